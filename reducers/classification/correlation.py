"""Correlate a spectrum with templates: how alike they are, and at which redshift.

Tonry & Davis 1979, AJ 84, 1511; Blondin & Tonry 2007, ApJ 666, 1024, sect. 2.4 and 3.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from reducers.classification.grid import BINS, STEP, lag_of, redshift_of
from reducers.classification.preparation import band_pass, taper
from reducers.frame import Vector, read_only

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reducers.classification.lnw import Template
    from reducers.classification.preparation import Prepared

#: Least logarithm of last over first wavelength that a spectrum and a template must share.
LEAST_OVERLAP = 0.4
#: Pairs of template and redshift, the highest peaks, that are looked at trimmed to the overlap.
_CANDIDATES, _PEAKS = 600, 3
#: How far a peak may move between two rounds of trimming, bins.
_WANDER, _ROUNDS = 12, 2
#: Redshift error over width / (1 + rlap), after Blondin & Tonry 2007, sect. 3.4.
_ERROR_SCALE = 1.0

_Windows = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateSet:
    """All spectra of all templates, ready to be correlated; made once, used for every spectrum.

    Attributes
    ----------
    names, subtypes : (n,) of str
    phases_days : (n,)
        NaN where unknown.
    spectra : (n, BINS)
    starts, stops : (n,)
        The bins that were observed.
    transforms : (n, BINS // 2 + 1)
        Of the tapered and band-passed spectra, of unit power.
    """

    names: tuple[str, ...]
    subtypes: tuple[str, ...]
    phases_days: Vector
    spectra: NDArray[np.float32]
    starts: NDArray[np.int64]
    stops: NDArray[np.int64]
    transforms: NDArray[np.complex64]

    def without(self, name: str) -> TemplateSet:
        """Return the set less the spectra of one object."""
        keep = np.array([own != name for own in self.names])
        return TemplateSet(
            names=tuple(np.array(self.names)[keep]),
            subtypes=tuple(np.array(self.subtypes)[keep]),
            phases_days=self.phases_days[keep], spectra=self.spectra[keep],
            starts=self.starts[keep], stops=self.stops[keep], transforms=self.transforms[keep],
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Matches:
    """What the correlation with one template after another gave, most alike first.

    Attributes
    ----------
    template : (m,)
        Number of the spectrum in the set.
    redshift, redshift_error : (m,)
    height, r, overlap : (m,)
        Of the peak: height (1 for equal spectra), its ratio to the noise peaks, and the shared
        range as the logarithm of last over first wavelength.
    """

    template: NDArray[np.int64]
    redshift: Vector
    redshift_error: Vector
    height: Vector
    r: Vector
    overlap: Vector

    @property
    def rlap(self) -> Vector:
        """The product of r and overlap; above 5 a match is believed."""
        return np.asarray(self.r * self.overlap)

    @property
    def likeness(self) -> Vector:
        """How alike, for ranking: the height, weighed by the overlap.

        The r of Tonry & Davis measures how sure a peak is, not how alike two spectra are. With
        templates left out one object at a time the height named 84 % of types right, rlap 81 %,
        and the sure ones were wrong half as often.
        """
        return np.asarray(self.height * np.sqrt(self.overlap))

    def of(self, chosen: NDArray[Any]) -> Matches:
        """Return the chosen matches (numbers, or true and false)."""
        return Matches(**{each.name: getattr(self, each.name)[chosen] for each in fields(self)})


def template_set(templates: Sequence[Template]) -> TemplateSet:
    """Return the spectra of templates that reach over the least overlap, prepared."""
    spectra = np.concatenate([item.spectra for item in templates])
    seen = spectra != 0
    starts = np.where(seen.any(axis=1), seen.argmax(axis=1), 0)
    stops = np.where(seen.any(axis=1), BINS - seen[:, ::-1].argmax(axis=1), 0)
    keep = (stops - starts) * STEP >= LEAST_OVERLAP
    owners = [item for item in templates for _ in item.phases_days]
    spectra, starts, stops = spectra[keep], starts[keep], stops[keep]
    return TemplateSet(
        names=tuple(item.name for item, kept in zip(owners, keep, strict=True) if kept),
        subtypes=tuple(item.subtype for item, kept in zip(owners, keep, strict=True) if kept),
        phases_days=np.concatenate([item.phases_days for item in templates])[keep],
        spectra=read_only(spectra, np.float32),
        starts=starts,
        stops=stops,
        transforms=read_only(_transform(spectra, taper(starts, stops)), np.complex64),
    )


def correlate(
    prepared: Prepared, templates: TemplateSet, redshifts: tuple[float, float]
) -> Matches:
    """Return how well every template matches, at the best redshift of each within a range.

    Notes
    -----
    The highest peaks of the correlation of whole spectra are the candidates. Each is repeated
    with spectrum and template trimmed to the wavelengths that both have at its redshift.
    """
    which, lags = _candidates(prepared, templates, redshifts)
    for _ in range(_ROUNDS):
        which, lags, found = _trimmed(prepared, templates, which, lags, redshifts)
        if which.size == 0:
            break
    height, r, overlap, width = found
    redshift = np.asarray(redshift_of(lags))
    found_all = Matches(
        template=which, redshift=redshift, height=height, r=r, overlap=overlap,
        redshift_error=_ERROR_SCALE * width * STEP * (1 + redshift) / (1 + r * overlap),
    )  # fmt: skip
    order = np.argsort(-found_all.likeness, kind="stable")
    # Of the peaks of one template only the best counts.
    _, first = np.unique(which[order], return_index=True)
    return found_all.of(order[np.sort(first)])


def _transform(spectra: NDArray[np.float32], windows: _Windows) -> NDArray[np.complex64]:
    """Return transforms of tapered, band-passed spectra of mean 0 and unit power."""
    total = np.maximum(windows.sum(axis=1, dtype=np.float64), 1e-9)
    mean = (spectra * windows).sum(axis=1, dtype=np.float64) / total
    tapered = (spectra - mean[:, None].astype(np.float32)) * windows
    waves = fft.rfft(tapered, axis=1) * band_pass()
    # Parseval: every wave number but the first counts twice.
    power = np.sqrt(2 * np.sum(np.abs(waves) ** 2, axis=1, dtype=np.float64) / BINS)
    return np.asarray(waves / np.maximum(power, 1e-12)[:, None].astype(np.float32), np.complex64)


def _candidates(
    prepared: Prepared, templates: TemplateSet, redshifts: tuple[float, float]
) -> tuple[NDArray[np.int64], Vector]:
    """Return template numbers and lags of the highest peaks."""
    window = taper(np.array([prepared.start]), np.array([prepared.stop]))
    own = _transform(prepared.values[None].astype(np.float32), window)
    heights = fft.irfft(own * np.conj(templates.transforms), BINS, axis=1)
    lags = np.arange(int(np.floor(lag_of(redshifts[0]))), int(np.ceil(lag_of(redshifts[1]))) + 1)
    around = heights[:, np.arange(lags[0] - 1, lags[-1] + 2) % BINS]
    inner = around[:, 1:-1]
    peak = (inner >= around[:, :-2]) & (inner > around[:, 2:]) & (inner > 0)
    shared = np.minimum(templates.stops[:, None], prepared.stop - lags)
    shared = shared - np.maximum(templates.starts[:, None], prepared.start - lags)
    score = np.where(peak & (shared * STEP >= LEAST_OVERLAP), inner, 0)
    few = min(_PEAKS, lags.size)
    best = np.argpartition(-score, few - 1, axis=1)[:, :few]
    which = np.repeat(np.arange(len(templates.names)), few)
    best_score = np.take_along_axis(score, best, axis=1).ravel()
    order = np.argsort(-best_score, kind="stable")[:_CANDIDATES]
    order = order[best_score[order] > 0]
    return which[order], lags[best.ravel()[order]].astype(np.float64)


def _trimmed(
    prepared: Prepared,
    templates: TemplateSet,
    which: NDArray[np.int64],
    lags: Vector,
    redshifts: tuple[float, float],
) -> tuple[NDArray[np.int64], Vector, tuple[Vector, Vector, Vector, Vector]]:
    """Return pairs, their lags, and (height, r, overlap, width) after trimming to the overlap."""
    start = np.maximum(templates.starts[which], prepared.start - lags)
    stop = np.minimum(templates.stops[which], prepared.stop - lags)
    wide = (stop - start) * STEP >= LEAST_OVERLAP
    which, lags, start, stop = which[wide], lags[wide], start[wide], stop[wide]
    values = np.broadcast_to(prepared.values.astype(np.float32), (which.size, BINS))
    own = _transform(values, taper(start + lags, stop + lags))
    product = own * np.conj(_transform(templates.spectra[which], taper(start, stop)))
    heights = fft.irfft(product, BINS, axis=1)
    place, height, width = _peak(heights, lags)
    inside = (place >= lag_of(redshifts[0])) & (place <= lag_of(redshifts[1]))
    r = height / np.maximum(_asymmetry(product, place) * np.sqrt(2), 1e-9)
    found = (height[inside], r[inside], ((stop - start) * STEP)[inside], width[inside])
    return which[inside], place[inside], found


def _peak(heights: NDArray[np.float32], lags: Vector) -> tuple[Vector, Vector, Vector]:
    """Return place, height and full width at half height of the highest peak near each lag."""
    near = np.rint(lags).astype(int)[:, None] + np.arange(-_WANDER - 1, _WANDER + 2)
    around = np.take_along_axis(heights, near % BINS, axis=1).astype(np.float64)
    at = 1 + around[:, 1:-1].argmax(axis=1)
    rows = np.arange(lags.size)
    left, mid, right = around[rows, at - 1], around[rows, at], around[rows, at + 1]
    bend = np.minimum(left + right - 2 * mid, -1e-9)
    step = np.clip(0.5 * (left - right) / bend, -0.5, 0.5)
    height = mid - 0.25 * (left - right) * step
    # Of a Gaussian peak of this height and curvature.
    width = 2.355 * np.sqrt(np.maximum(height, 1e-9) / -bend)
    return near[rows, at] + step, height, width


def _asymmetry(product: NDArray[np.complex64], place: Vector) -> Vector:
    """Return the rms of what is not symmetric about the peak (Tonry & Davis 1979, sect. III)."""
    wave = np.arange(product.shape[1])
    turned = product * np.exp((2j * np.pi / BINS) * place[:, None] * wave).astype(np.complex64)
    return np.asarray(2 / BINS * np.sqrt(np.sum(turned.imag.astype(np.float64) ** 2, axis=1)))
