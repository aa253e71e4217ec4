"""Which objects stand on the slit, where they run, and the counts of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from reducers.spectroscopy.extract import Extraction, extract, model_variance
from reducers.spectroscopy.shape_fit import fit_profiles
from reducers.spectroscopy.sources import Source, find_sources, slit_profile
from reducers.spectroscopy.trace import Trace, forced_trace, trace_source

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reducers.frame import Vector
    from reducers.spectroscopy.shape import Profile

#: Objects extracted from one slit at most: more are noise or a wrong sky.
MOST_OBJECTS = 6
#: A companion of the target whose whole spectrum is fainter than this (sigma) is none.
LEAST_TOTAL_SNR = 4.0
#: Two traces closer than this are one object.
LEAST_GAP_FWHM = 0.75


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What is seen on one slit.

    Attributes
    ----------
    data, sky : (ny, nx) electrons
        Flat-fielded counts, and the sky in them.
    floor : (ny, nx) electrons^2
        Read noise squared and what the master bias adds.
    flat_variance : (ny, nx) or None
        Relative variance of the flat.
    mask, good : (ny, nx)
        Reasons per pixel, and which pixels may be used.
    """

    data: NDArray[np.float64]
    sky: NDArray[np.float64]
    floor: NDArray[np.float64]
    mask: NDArray[np.uint16]
    good: NDArray[np.bool_]
    flat_variance: NDArray[np.float64] | None = None

    @property
    def residual(self) -> NDArray[np.float64]:
        """Counts above the sky."""
        return self.data - self.sky

    @property
    def empty_variance(self) -> NDArray[np.float64]:
        """Variance without any object."""
        return model_variance(self.sky, np.zeros_like(self.sky), self.floor)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What is known of the target before the frame is looked at.

    Attributes
    ----------
    column : float or None
        Image column from the pointing, the acquisition or a person; None takes the brightest
        object, as is right for standard stars.
    tolerance_px : float
        How far from it a source may lie to be the target.
    crutch : Trace or None
        Trace of a standard star in the same set-up, which a faint object follows.
    """

    column: float | None = None
    tolerance_px: float = 0.0
    crutch: Trace | None = None


def search(
    scene: Scene, seeing_px: float, region_px: tuple[float, float] | None = None
) -> tuple[tuple[Source, ...], Vector]:
    """Return the objects on the slit, the most significant first, and the signal along it.

    Parameters
    ----------
    region_px
        First and last column in which objects may lie.
    """
    profile, error = slit_profile(scene.residual, scene.empty_variance, scene.good)
    found = find_sources(profile, error, seeing_px=seeing_px)
    seen = np.flatnonzero(error > 0)
    if seen.size and np.ptp(seen) + 1 < profile.size:
        # Where the slit ends inside the image its last columns hold more stray light than sky.
        low, high = seen[0] + seeing_px, seen[-1] - seeing_px
        found = tuple(s for s in found if low <= s.column <= high)
    if region_px is not None:
        found = tuple(s for s in found if region_px[0] <= s.column <= region_px[1])
    return found[:MOST_OBJECTS], profile


def trace_objects(
    scene: Scene, sources: Sequence[Source], seeing_px: float, expected: Expected
) -> tuple[Trace, ...]:
    """Trace every source, the target first; force its trace where it should be but is not found.

    Parameters
    ----------
    sources
        Most significant first.
    """
    # The mean of nine rows: an error from single pixels would follow their noise.
    smooth = ndimage.uniform_filter1d(np.where(scene.good, scene.residual, 0), 9, axis=0)
    variance = model_variance(scene.sky, smooth, scene.floor)
    crutch = expected.crutch
    traces: list[Trace] = []
    kept: list[Source] = []
    for source in sources:
        trace = trace_source(scene.residual, variance, scene.good, source, crutch=crutch)
        if any(_same(trace, other) for other in traces):
            continue
        kept.append(source)
        traces.append(trace)
        if len(traces) == 1 and np.isfinite(trace.rms_px):
            crutch = trace
    rows, columns = scene.data.shape
    if expected.column is None:
        return tuple(traces) or (forced_trace(rows, (columns - 1) / 2, seeing_px, crutch),)
    away = [abs(source.column - expected.column) for source in kept]
    if away and min(away) <= expected.tolerance_px:
        traces.insert(0, traces.pop(int(np.argmin(away))))
        return tuple(traces)
    return (forced_trace(rows, expected.column, seeing_px, crutch), *traces)


def _same(one: Trace, other: Trace) -> bool:
    """Whether two traces follow the same light: they could not be told apart."""
    gap = float(np.median(np.abs(one.columns - other.columns)))
    return gap < LEAST_GAP_FWHM * min(one.fwhm_px, other.fwhm_px)


def extract_objects(
    scene: Scene, traces: Sequence[Trace], *, aperture_px: float | None = None
) -> tuple[tuple[Trace, ...], tuple[Profile, ...], tuple[Extraction, ...]]:
    """Fit profiles and extract all objects together; companions without light are left out.

    Parameters
    ----------
    traces
        The target first: it is extracted whatever its flux.
    aperture_px
        Half-width of the plain sum; without it, where the profile has fallen to a tenth.
    """
    residual = scene.residual
    while True:
        profiles = fit_profiles(residual, scene.empty_variance, scene.good, traces)
        found = extract(
            residual, scene.sky, scene.floor, scene.mask, scene.good, traces, profiles,
            flat_variance=scene.flat_variance, aperture_px=aperture_px,
        )  # fmt: skip
        lit = [k for k, each in enumerate(found) if k == 0 or _total_snr(each) > LEAST_TOTAL_SNR]
        if len(lit) == len(found):
            return tuple(traces), profiles, found
        traces = [traces[k] for k in lit]


def _total_snr(found: Extraction) -> float:
    """Return the signal-to-noise of a whole spectrum; negative for a negative image."""
    weight = 1 / np.maximum(found.variance, 1e-9)
    flux = np.clip(found.flux, *np.percentile(found.flux, [1, 99]))
    return float((flux * weight).sum() / np.sqrt(weight.sum()))
