"""How deep a catalogue is in one field, by its own counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from reducers.transients.settings import search_numbers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reducers.frame import Vector
    from reducers.imaging.references import ReferenceCatalogue, References

#: First letter of an image's band -> bands of catalogues that are nearest to it, best first.
NEAREST = {
    "U": ("u", "g", "G"), "u": ("u", "g", "G"),
    "B": ("g", "B", "G"), "g": ("g", "G"),
    "V": ("r", "V", "g", "G"), "r": ("r", "G"), "R": ("r", "R", "G"),
    "i": ("i", "r", "G"), "I": ("i", "I", "r", "G"),
    "z": ("z", "i", "r", "G"),
    "J": ("J",), "H": ("H", "J"), "K": ("K", "Ks", "H"),
}  # fmt: skip
_ANY = ("r", "G", "g", "i", "z", "V", "J")


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueDepth:
    """How far one catalogue can be trusted to list what is there.

    Attributes
    ----------
    name, band : str
        The catalogue, and the band of it that was looked at.
    limit_mag : float
        Complete down to here in the image's band, the margin for colour taken off; NaN where the
        catalogue says nothing of this field.
    why : str
        Why it says nothing; '' where it does.
    """

    name: str
    band: str = ""
    limit_mag: float = float("nan")
    why: str = ""


def depths_of(references: References, band: str) -> tuple[CatalogueDepth, ...]:
    """Return the depth of every catalogue in the band of an image."""
    return tuple(depth_of(catalogue, band) for catalogue in references.each)


def depth_of(catalogue: ReferenceCatalogue, band: str) -> CatalogueDepth:
    """Return how deep one catalogue is here, in the band nearest to the image's.

    The catalogue's own statement, or the turn-over of its counts in this field where that comes
    earlier.
    """
    numbers = search_numbers()["depth"]
    if catalogue.truncated:
        return CatalogueDepth(
            name=catalogue.name,
            why=f"of {catalogue.name} only the brightest {len(catalogue)} entries were given",
        )
    if catalogue.covered < numbers["covered"]:
        share = f"{catalogue.covered:.0%}" if catalogue.covered > 0 else "none"
        return CatalogueDepth(
            name=catalogue.name, why=f"{catalogue.name} covers {share} of the field"
        )
    own = nearest_band(catalogue.magnitudes, band)
    if not own:
        return CatalogueDepth(name=catalogue.name, why=f"{catalogue.name} has no magnitudes")
    stated = catalogue.limits.get(own, np.nan)
    counted = turn_over(catalogue.magnitudes[own])
    limit = float(np.nanmin([stated, counted])) if np.isfinite([stated, counted]).any() else np.nan
    if not np.isfinite(limit):
        why = f"{catalogue.name} has too few entries here to tell how deep it is"
        return CatalogueDepth(name=catalogue.name, band=own, why=why)
    margin = numbers["colour_margin_mag"]
    return CatalogueDepth(name=catalogue.name, band=own, limit_mag=limit - margin)


def nearest_band(magnitudes: Mapping[str, Vector], band: str) -> str:
    """Return the band of a catalogue that is nearest to an image's; '' where it has none."""
    usable = [name for name, values in magnitudes.items() if np.isfinite(values).any()]
    wanted: Sequence[str] = (*NEAREST.get(band[:1], ()), *_ANY)
    return next((name for name in wanted if name in usable), usable[0] if usable else "")


def magnitudes_near(magnitudes: Mapping[str, Vector], band: str) -> tuple[Vector, Vector]:
    """Return the magnitude of every entry in its own band nearest to an image's.

    Returns
    -------
    magnitude : (n,) float64
        NaN where an entry has none.
    other : (n,) bool
        Whether the band is another than the catalogue's nearest.
    """
    first = nearest_band(magnitudes, band)
    if not first:
        count = len(next(iter(magnitudes.values()), ()))
        return np.full(count, np.nan), np.zeros(count, bool)
    best = magnitudes[first].copy()
    other = ~np.isfinite(best)
    for name in (*NEAREST.get(band[:1], ()), *_ANY):
        if name in magnitudes:
            best = np.where(np.isfinite(best), best, magnitudes[name])
    return best, other


def turn_over(magnitudes: Vector) -> float:
    """Return where the counts of a field begin to fall; NaN where there are too few.

    Numbers of stars and of galaxies grow with magnitude everywhere on the sky down to the depths
    of all-sky surveys: where a bin holds significantly fewer than the fullest before it, entries
    are missing.
    """
    numbers = search_numbers()["depth"]
    known = magnitudes[np.isfinite(magnitudes)]
    if len(known) < 2 * numbers["fewest"]:
        return float("nan")
    step = numbers["bin_mag"]
    edges = np.arange(np.floor(known.min() / step) * step, known.max() + 2 * step, step)
    counts, _ = np.histogram(known, edges)
    fullest = 0.0
    for count, faint_end in zip(counts, edges[1:], strict=True):
        if fullest >= numbers["fewest"] and count < numbers["drop"] * fullest - 2 * fullest**0.5:
            return float(faint_end - step)
        fullest = max(fullest, float(count))
    return float(known.max())
