"""What else than a supernova a spectrum shows: a star, a galaxy, an active nucleus, or nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import numpy as np

from reducers.classification.features import groups, rest_profile
from reducers.classification.flat_spectrum import Explained, Flat, Scan, explained, scan
from reducers.classification.grid import STEP, lag_of, redshift_of
from reducers.frame import Vector, read_only

if TYPE_CHECKING:
    from reducers.classification.host_lines import HostRedshift

STAR = (
    "balmer", "balmer_broad", "balmer_emission", "helium", "helium_broad", "helium_emission",
    "ionised_helium", "calcium", "g_band", "iron", "magnesium", "sodium", "calcium_triplet",
    "break_4000", "titanium_oxide", "calcium_hydride",
)  # fmt: skip
GALAXY = (
    "balmer", "calcium", "g_band", "iron", "magnesium", "sodium", "calcium_triplet", "break_4000",
    "nebular", "nebular_red",
)  # fmt: skip
QUASAR = ("quasar_ultraviolet", "quasar_optical", "quasar_iron", "nebular", "nebular_red")
#: Depths of an old galaxy's lines over its continuum, and heights of a quasar's (rough).
_OLD = {
    "calcium": 0.35, "g_band": 0.2, "iron": 0.2, "magnesium": 0.15, "sodium": 0.2,
    "break_4000": 0.35, "balmer": 0.1, "calcium_triplet": 0.2,
}  # fmt: skip
_ACTIVE = {"quasar_ultraviolet": 2.0, "quasar_optical": 1.0, "quasar_iron": 0.6}
#: Redshifts that are tried.
_GALAXIES, _QUASARS = 0.6, 4.3
#: Bins (406 km/s) that a star may be off, by its velocity and by a bad wavelength scale.
_STAR_BINS = 2
#: Peaks over the scatter of the scan: noise and supernovae reach 3.5 (99 %).
_SURE_ABSORPTION, _SURE_QUASAR = 4.0, 4.2
#: Significance of one line or group that counts, and how many have to.
_LINE_SNR, _LINES = 3.0, 3
#: Least share of the structure that lines explain, and how sure there has to be structure.
_SHARE, _STRUCTURE_SIGMA = 0.55, 5.0
#: Supernovae of type II have broad Balmer lines too, but those explain up to 80 % of them only.
_BALMER_SHARE = 0.85
#: Of the relative wavelengths of two exposures.
_SYSTEMATIC = 2e-4
#: What is looked at one by one to believe an absorption redshift.
_SINGLE_ABSORPTION = (
    "calcium:0", "calcium:1", "g_band", "magnesium", "sodium", "balmer:1", "calcium_triplet",
)  # fmt: skip
_SINGLE_QUASAR = tuple(f"quasar_ultraviolet:{n}" for n in (0, 3, 4, 5)) + tuple(
    f"quasar_optical:{n}" for n in (1, 2, 3)
)
_NAMES = {
    "calcium:0": "Ca K", "calcium:1": "Ca H", "balmer:1": "H-beta",
    "quasar_ultraviolet:0": "Lyman-alpha", "quasar_ultraviolet:3": "C IV",
    "quasar_ultraviolet:4": "C III]", "quasar_ultraviolet:5": "Mg II",
    "quasar_optical:1": "H-gamma", "quasar_optical:2": "H-beta", "quasar_optical:3": "H-alpha",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Nature:
    """What a spectrum is explained by, without a supernova.

    Attributes
    ----------
    kind
        'star', 'galaxy', 'quasar', or '' where no lines settle it.
    share
        Part of the structure that its lines explain, 0 to 1.
    redshift, redshift_error
        0 for a star; NaN where unknown.
    lines
        The features that were seen, blue to red.
    strengths, snr
        Of every group of features, for a star's class.
    featureless
        Whether nothing stands above the noise.
    """

    kind: str = ""
    share: float = 0.0
    redshift: float = math.nan
    redshift_error: float = math.nan
    lines: tuple[str, ...] = ()
    strengths: Mapping[str, float] = field(default_factory=dict)
    snr: Mapping[str, float] = field(default_factory=dict)
    featureless: bool = False

    @property
    def words(self) -> str:
        """For people."""
        if not self.kind:
            return "featureless within its noise" if self.featureless else "no lines settle it"
        at = f" at z = {self.redshift:.4f} +- {self.redshift_error:.4f}"
        name = "quasar or active nucleus" if self.kind == "quasar" else self.kind
        return (
            f"{name}{'' if self.kind == 'star' else at} ({', '.join(self.lines)}; "
            f"{self.share:.0%} of the structure)"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LineRedshift:
    """The redshift at which a list of lines fits best.

    Attributes
    ----------
    height
        Peak of the scan over its scatter.
    lines
        Those that are seen there one by one.
    """

    redshift: float
    error: float
    height: float
    lines: tuple[str, ...]


def nature_of(flat: Flat, calm: Flat, host: HostRedshift) -> Nature:
    """Return what lines alone make of a spectrum.

    Parameters
    ----------
    flat, calm
        The spectrum over its continuum, and without its narrow emission lines.
    host
        What narrow emission lines said.
    """
    star = max(
        (explained(flat, STAR, lag) for lag in range(-_STAR_BINS, _STAR_BINS + 1)),
        key=lambda fit: fit.share,
    )
    if star.structure_sigma < _STRUCTURE_SIGMA and not host.known:
        return Nature(featureless=True)
    found = [
        nature
        for nature in (_star(star), _galaxy(flat, calm, host), _quasar(flat))
        if nature is not None and nature.share >= _SHARE
    ]
    # A star and a galaxy at redshift 0 are one spectrum: the nearer is the star.
    return max(found, key=lambda nature: nature.share + 0.05 * (nature.kind == "star"),
               default=Nature())  # fmt: skip


def absorption_redshift(calm: Flat) -> LineRedshift | None:
    """Return the redshift of the absorption lines of stars; None where they settle none.

    Parameters
    ----------
    calm
        Without narrow emission lines.

    Notes
    -----
    The correlation of Tonry & Davis (1979, AJ 84, 1511) with a mask of lines (Ca H&K, G band,
    Mg b, Na D, H-beta, metals and the break at 4000 A) in place of a template, weighted by the
    errors. The highest peak must stand out of the scatter of all, and three features must be
    seen one by one.
    """
    tried = scan(calm, _mask("old", calm.resolution_angstrom), _lags(-3, _GALAXIES))
    return _best(calm, tried, _SINGLE_ABSORPTION, _SURE_ABSORPTION, _LINES)


def broad_line_redshift(flat: Flat) -> LineRedshift | None:
    """Return the redshift of a pattern of broad emission lines; None where there is none."""
    tried = scan(flat, _mask("active", flat.resolution_angstrom), _lags(0, _QUASARS))
    return _best(flat, tried, _SINGLE_QUASAR, _SURE_QUASAR, 2)


def _star(fit: Explained) -> Nature | None:
    """Return the star that the best fit at rest makes, if its features prove one."""
    seen = {key: snr for key, snr in fit.snr.items() if snr >= _LINE_SNR and key != "break_4000"}
    # One group of many lines is enough where it is as plain as in A and M stars.
    if fit.structure_sigma < _STRUCTURE_SIGMA or not (
        max(seen.values(), default=0.0) > 12 or (len(seen) >= 2 and sum(seen.values()) > 12)
    ):
        return None
    return Nature(
        kind="star", share=fit.share, redshift=0.0, redshift_error=_SYSTEMATIC,
        lines=tuple(groups()[key].name for key in seen), strengths=fit.strengths, snr=fit.snr,
    )  # fmt: skip


def _galaxy(flat: Flat, calm: Flat, host: HostRedshift) -> Nature | None:
    absorbed = absorption_redshift(calm)
    best: Nature | None = None
    if host.known:
        fit = explained(calm, GALAXY, lag_of(host.redshift))
        lines = explained(flat, GALAXY, lag_of(host.redshift))
        best = Nature(
            kind="galaxy", share=max(fit.share, lines.share), redshift=host.redshift,
            redshift_error=host.error, lines=host.lines,
        )  # fmt: skip
    if absorbed is not None:
        fit = explained(calm, GALAXY, lag_of(absorbed.redshift))
        if best is None or fit.share > best.share:
            best = Nature(
                kind="galaxy", share=fit.share, redshift=absorbed.redshift,
                redshift_error=absorbed.error, lines=absorbed.lines,
            )  # fmt: skip
    return best


def _quasar(flat: Flat) -> Nature | None:
    found = broad_line_redshift(flat)
    if found is None:
        return None
    fit = explained(flat, QUASAR, lag_of(found.redshift))
    if all(line.startswith("H-") for line in found.lines) and fit.share < _BALMER_SHARE:
        return None
    return Nature(
        kind="quasar", share=fit.share, redshift=found.redshift, redshift_error=found.error,
        lines=found.lines,
    )  # fmt: skip


def _lags(first: int, redshift: float) -> np.ndarray:
    return np.arange(first, int(lag_of(redshift)) + 1)


@lru_cache(maxsize=16)
def _mask(of: Literal["old", "active"], resolution: float) -> Vector:
    parts = _OLD if of == "old" else _ACTIVE
    return read_only(
        np.sum([depth * rest_profile(key, resolution) for key, depth in parts.items()], axis=0),
        np.float64,
    )


def _best(
    flat: Flat, tried: Scan, singles: tuple[str, ...], least_height: float, least_lines: int
) -> LineRedshift | None:
    """Return the highest peak of a scan if it stands out and its lines are seen one by one."""
    scatter = 1.4826 * float(np.median(np.abs(tried.snr)))
    at = int(tried.snr.argmax())
    if scatter <= 0 or tried.snr[at] < least_height * max(scatter, 1.0):
        return None
    place = max(1, min(at, tried.snr.size - 2))
    left, mid, right = tried.snr[place - 1 : place + 2]
    bend = min(left + right - 2 * mid, -1e-9)
    lag = float(tried.lags[place] + np.clip(0.5 * (left - right) / bend, -1, 1))
    fit = explained(flat, singles, lag)
    seen = [key for key, snr in fit.snr.items() if snr >= _LINE_SNR]
    if len(seen) < least_lines:
        return None
    # Chi square rises by one where the squared significance falls by one; the scatter beyond
    # the noise is structure that the mask does not know.
    own = math.sqrt(max(scatter, 1.0) / max(-bend * mid, 1e-9))
    redshift = float(redshift_of(lag))
    error = (1 + redshift) * math.hypot(own * STEP, _SYSTEMATIC)
    return LineRedshift(
        redshift=redshift, error=error, height=float(tried.snr[at]) / scatter,
        lines=tuple(_NAMES.get(key, "") or groups()[key].name for key in seen),
    )  # fmt: skip
