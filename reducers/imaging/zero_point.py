"""The zero point of an image from catalogue stars on it.

A magnitude is zero point - 2.5 log10(electrons per second) + colour term (g - r - 0.6). The
zero point is that of the image in its own air: no extinction is taken off or added anywhere, so
that magnitudes never depend on an extinction coefficient. What the zero point would be above the
atmosphere is only computed to tell the transparency.

Electrons are those within eight FWHM on an image divided by a flat whose median over the lit field
is one: where the field lens dims the edges, a pixel in the middle catches more than that by a few
per cent, and the zero point of its bare light lies as much higher.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from reducers.frame import Vector
from reducers.imaging.colour_terms import REFERENCE_COLOUR, Calibrators, Passband, calibrators
from reducers.imaging.zero_point_fit import FEWEST, Line, Matched, fit_line, match_stars

if TYPE_CHECKING:
    from reducers.imaging.photometry import Photometry
    from reducers.imaging.references import References
    from reducers.imaging.sky_map import Astrometry

#: Catalogues in the order in which they are preferred; one that a person brought comes before.
PREFERRED = ("ps1", "refcat2", "sdss", "skymapper", "gaia")
#: A catalogue with fewer matched stars gives way to the next one that has more.
ENOUGH = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class ZeroPoint:
    """The zero point of one image.

    Attributes
    ----------
    magnitude, error : float
        Of 1 electron/s in the image's own air, and the statistical error; NaN where none was
        found.
    systematic : float
        How far catalogue and relation as a whole may be off.
    scatter : float
        Of single stars beyond their errors.
    stars, matched : int
        Stars kept, and stars found on image and catalogue.
    band, system : str
        'V', 'Vega'; 'r', 'AB'.
    catalogue, release, source : str
        Whose stars, and the relation used.
    colour_term, colour_term_error : float
        Per magnitude of g - r (SDSS), with the knowledge before the fit.
    transparency, transparency_error : float
        Light that came through, of what a clear night lets through; NaN where not known.
    off_expected : float
        Expected zero point in this air less that found, magnitudes: cloud is positive.
    verified : bool
        Whether passband and relation are confirmed facts.
    why : str
        Why there is none; '' where there is one.
    source_index : (matched,) int
        Sources of the photometry that were matched.
    residual : (matched,) float64
        Magnitude of the catalogue less ours.
    kept : (matched,) bool
    star_error : (matched,) float64
        Error of a residual, that of the catalogue's entry included.
    star_applied : (matched,) float64
        What a star flat put into each magnitude; it made the star fainter where positive.
    """

    magnitude: float = float("nan")
    error: float = float("nan")
    systematic: float = float("nan")
    scatter: float = float("nan")
    stars: int = 0
    matched: int = 0
    band: str = ""
    system: str = ""
    catalogue: str = ""
    release: str = ""
    source: str = ""
    colour_term: float = 0.0
    colour_term_error: float = float("nan")
    reference_colour: float = REFERENCE_COLOUR
    transparency: float = float("nan")
    transparency_error: float = float("nan")
    off_expected: float = float("nan")
    verified: bool = False
    why: str = ""
    source_index: NDArray[np.intp] = field(default_factory=lambda: np.empty(0, np.intp))
    residual: Vector = field(default_factory=lambda: np.empty(0))
    kept: NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, bool))
    star_error: Vector = field(default_factory=lambda: np.empty(0))
    star_applied: Vector = field(default_factory=lambda: np.empty(0))

    @property
    def known(self) -> bool:
        """Whether there is one."""
        return bool(np.isfinite(self.magnitude))


def fit_zero_point(
    photometry: Photometry,
    astrometry: Astrometry | None,
    references: References,
    passband: Passband | None,
    *,
    exposure_s: float,
    airmass: float = float("nan"),
    extinction_mag: float = float("nan"),
) -> ZeroPoint:
    """Compare the stars of an image with those of the catalogues.

    Parameters
    ----------
    passband : Passband or None
        Of the filter: `colour_terms.passband_of`.
    exposure_s : float
        Seconds to which the electrons belong.
    airmass, extinction_mag : float
        Of the image, and magnitudes per airmass at the filter; only for the transparency.
    """
    nothing = _why_not(photometry, astrometry, references, passband, exposure_s)
    if nothing or astrometry is None or passband is None:
        band = passband.band if passband else ""
        return ZeroPoint(why=nothing, band=band, system=passband.system if passband else "")
    best: tuple[Matched, Calibrators] | None = None
    for known in _by_preference(references, passband.band):
        found = match_stars(photometry, astrometry, known, exposure_s)
        if best is None or len(found.source) > len(best[0].source):
            best = found, known
        if len(best[0].source) >= ENOUGH:
            break
    if best is None:
        return ZeroPoint(
            why=f"No catalogue here has magnitudes that lead to {passband.band}.",
            band=passband.band,
            system=passband.system,
        )
    line = fit_line(best[0], passband) if len(best[0].source) >= FEWEST else None
    zero = _zero_point(best[0], best[1], line, passband)
    return _with_transparency(zero, passband, airmass, extinction_mag)


def _why_not(
    photometry: Photometry,
    astrometry: Astrometry | None,
    references: References,
    passband: Passband | None,
    exposure_s: float,
) -> str:
    """Return why no zero point can be looked for; '' where it can."""
    if passband is None:
        return "The filter is no photometric band known to the pipeline."
    if astrometry is None or not astrometry.solved:
        return "The image has no confirmed positions, so that no star can be named."
    if not references.photometric:
        return "No catalogue with magnitudes covers this field."
    if not exposure_s > 0:
        return "The exposure time is not known."
    return "" if len(photometry) else "No source was found."


def _by_preference(references: References, band: str) -> list[Calibrators]:
    """Return the calibrators of every catalogue that has the band, the preferred first."""

    def rank(known: Calibrators) -> int:
        name = known.catalogue.name
        return PREFERRED.index(name) if name in PREFERRED else -1

    found = [calibrators(catalogue, band) for catalogue in references.photometric]
    return sorted((known for known in found if known is not None and len(known)), key=rank)


def _zero_point(
    stars: Matched, known: Calibrators, line: Line | None, passband: Passband
) -> ZeroPoint:
    """Return the result, or why there is none."""
    nothing = ZeroPoint(
        band=passband.band,
        system=passband.system,
        catalogue=known.catalogue.name,
        release=known.catalogue.release,
        source=known.relation.source,
        matched=len(stars.source),
        verified=passband.verified and known.relation.verified,
        source_index=stars.source,
    )
    kept = 0 if line is None else int(line.kept.sum())
    if line is None or kept < FEWEST:
        count = kept or nothing.matched
        return replace(nothing, why=f"Only {count} stars are in common with {nothing.catalogue}.")
    return replace(
        nothing,
        magnitude=line.magnitude,
        error=line.error,
        systematic=known.relation.systematic,
        scatter=line.scatter,
        stars=kept,
        colour_term=line.term,
        colour_term_error=line.term_error,
        residual=line.residual,
        kept=line.kept,
        star_error=stars.error,
        star_applied=np.zeros(len(stars.source)),
    )


def _with_transparency(
    zero: ZeroPoint, passband: Passband, airmass: float, extinction_mag: float
) -> ZeroPoint:
    """Return the zero point with what it says of the sky's transparency."""
    expected = passband.zero_point - extinction_mag * airmass
    off = expected - zero.magnitude
    if not np.isfinite(off):
        return zero
    error = float(np.hypot(zero.error, passband.zero_point_error))
    light = float(10 ** (-0.4 * off))
    return replace(
        zero, off_expected=off, transparency=light, transparency_error=light * error / 1.0857
    )


def magnitudes(
    flux: Vector, error: Vector, zero: ZeroPoint, exposure_s: float
) -> tuple[Vector, Vector]:
    """Return magnitudes and statistical errors of fluxes; NaN for those that are not positive.

    Instrumental (zero point 0) where there is none. The error of the zero point is not in them:
    all share it.
    """
    level = zero.magnitude if zero.known else 0.0
    seen = flux > 0
    safe = np.where(seen, flux, 1.0)
    magnitude = np.where(seen, level - 2.5 * np.log10(safe / exposure_s), np.nan)
    return magnitude, np.where(seen, 1.0857 * error / safe, np.nan)
