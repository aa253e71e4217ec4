"""Which objects stand on the slit, where they run, and the counts of each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from reducers.spectroscopy.extract import (
    Extraction,
    FlatNoise,
    extract,
    image_of,
    model_variance,
    solve_rows,
)
from reducers.spectroscopy.host import host_fraction, separate_host
from reducers.spectroscopy.shape import Profile
from reducers.spectroscopy.shape_fit import fit_profiles
from reducers.spectroscopy.sources import Source, find_sources, slit_profile
from reducers.spectroscopy.trace import Planes, Trace, forced_trace, light_along, trace_source

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reducers.frame import Vector

#: Objects extracted from one slit at most: more are noise or a wrong sky.
MOST_OBJECTS = 6
#: A companion of the target whose whole spectrum is fainter than this (sigma) is none.
LEAST_TOTAL_SNR = 4.0
#: Two traces closer than this are one object.
LEAST_GAP_FWHM = 0.75


#: A host is at most eight times as wide as a star, its profile reaches four of its own widths.
REACH_OF_HOSTS_FWHM, LEAST_REACH_PX = 45.0, 100.0
#: Columns that are averaged along the dispersion at a time.
_STRIP_PX = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What is seen on one slit.

    Attributes
    ----------
    data, sky : (ny, nx) electrons
        Flat-fielded counts, and the sky in them.
    floor : (ny, nx) electrons^2
        Read noise squared and what the master bias adds.
    flat : FlatNoise or None
        What the flat did to the noise.
    mask, good : (ny, nx)
        Reasons per pixel, and which pixels may be used.
    """

    data: NDArray[np.float64]
    sky: NDArray[np.float64]
    floor: NDArray[np.float64]
    mask: NDArray[np.uint16]
    good: NDArray[np.bool_]
    flat: FlatNoise | None = None

    @property
    def residual(self) -> NDArray[np.float64]:
        """Counts above the sky."""
        return self.data - self.sky

    @property
    def empty_variance(self) -> NDArray[np.float64]:
        """Variance without any object."""
        return model_variance(self.sky, None, self.floor, self.flat)

    def columns(self, chosen: slice) -> Scene:
        """Return some columns of the scene, without copying."""
        flat = self.flat and FlatNoise(
            response=self.flat.response[:, chosen], variance=self.flat.variance[:, chosen]
        )
        return Scene(
            data=self.data[:, chosen],
            sky=self.sky[:, chosen],
            floor=self.floor[:, chosen],
            mask=self.mask[:, chosen],
            good=self.good[:, chosen],
            flat=flat,
        )


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
    certain : bool
        The header or a person says so: without an object there, the target is extracted there all
        the same. Otherwise it is only where targets usually stand: an object there is the target
        even if another is brighter, and without one the brightest is (observers nod).
    crutch : Trace or None
        Path that light takes as far as is known beforehand (refraction): a faint object follows
        it unless there is more light along a straight line.
    star : Profile or None
        Profile of a point source under the same seeing; a wider target has a host.
    """

    column: float | None = None
    tolerance_px: float = 0.0
    certain: bool = True
    crutch: Trace | None = None
    star: Profile | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Extracted:
    """Objects with their traces, profiles and counts, the target first.

    Attributes
    ----------
    host_fraction : float
        Share of an extended host in the light within one FWHM of the target. Where it is not
        zero, the target is a point source alone and the last object is its host.
    """

    traces: tuple[Trace, ...]
    profiles: tuple[Profile, ...]
    extractions: tuple[Extraction, ...]
    host_fraction: float = 0.0


def search(
    scene: Scene, seeing_px: float, region_px: tuple[float, float] | None = None
) -> tuple[tuple[Source, ...], Vector]:
    """Return the objects on the slit, the most significant first, and the signal along it.

    Parameters
    ----------
    region_px
        First and last column in which objects may lie.
    """
    # Columns do not know of each other, and a few at a time take little memory.
    parts = (
        scene.columns(slice(first, first + _STRIP_PX))
        for first in range(0, scene.data.shape[1], _STRIP_PX)
    )
    strips = [slit_profile(part.residual, part.empty_variance, part.good) for part in parts]
    profile, error = (np.concatenate(each) for each in zip(*strips, strict=True))
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
    """Trace every source, the target first; force its trace where it must be but is not found.

    Parameters
    ----------
    sources
        Most significant first.
    """
    # The mean of nine rows: an error from single pixels would follow their noise.
    smooth = ndimage.uniform_filter1d(np.where(scene.good, scene.residual, 0), 9, axis=0)
    variance = model_variance(scene.sky, smooth, scene.floor, scene.flat)
    planes = (scene.residual, variance, scene.good)
    crutch = expected.crutch
    traces: list[Trace] = []
    kept: list[Source] = []
    for source in sources:
        trace = trace_source(*planes, source, crutch=crutch)
        if crutch is not None and crutch is expected.crutch:
            straight = trace_source(*planes, source)
            trace = max(trace, straight, key=lambda path: light_along(planes, path))
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
    if traces and not expected.certain:
        return tuple(traces)
    return (forced_trace(rows, expected.column, seeing_px, crutch), *traces)


def _same(one: Trace, other: Trace) -> bool:
    """Whether two traces follow the same light: they could not be told apart."""
    gap = float(np.median(np.abs(one.columns - other.columns)))
    return gap < LEAST_GAP_FWHM * min(one.fwhm_px, other.fwhm_px)


def extract_objects(
    scene: Scene,
    traces: Sequence[Trace],
    *,
    aperture_px: float | None = None,
    star: Profile | None = None,
) -> Extracted:
    """Fit profiles and extract all objects together; companions without light are left out.

    Parameters
    ----------
    traces
        The target first: it is extracted whatever its flux.
    aperture_px
        Half-width of the plain sum; without it, where the profile has fallen to a tenth.
    star
        Profile of a point source; without it, the sharpest other object on the slit.
    """
    whole, around = tuple(traces), _around(scene, traces, aperture_px)
    found = _extract_in(scene.columns(around), _moved(whole, -around.start), aperture_px, star)
    return replace(found, traces=_moved(found.traces, around.start))


def _around(scene: Scene, traces: Sequence[Trace], aperture_px: float | None) -> slice:
    """Return the columns that light of the objects and of their hosts can reach."""
    columns = scene.data.shape[1]
    width = max((t.fwhm_px for t in traces if np.isfinite(t.fwhm_px)), default=5.0)
    reach = max(REACH_OF_HOSTS_FWHM * width, LEAST_REACH_PX, (aperture_px or 0.0) + 2)
    low = min(float(trace.columns.min()) for trace in traces) - reach
    high = max(float(trace.columns.max()) for trace in traces) + reach
    if not (high > 0 and low < columns):
        return slice(0, columns)
    return slice(max(int(low), 0), min(int(high) + 2, columns))


def _moved(traces: Sequence[Trace], by_px: int) -> tuple[Trace, ...]:
    return tuple(replace(trace, columns=trace.columns + by_px) for trace in traces)


def _extract_in(
    scene: Scene, traces: tuple[Trace, ...], aperture_px: float | None, star: Profile | None
) -> Extracted:
    """Fit profiles and extract in a scene that holds little more than the objects."""
    columns = scene.data.shape[1]
    while True:
        profiles = fit_profiles(scene.residual, scene.empty_variance, scene.good, traces)
        every, shapes = _with_host(scene, traces, profiles, star)
        found = extract(
            scene.residual, scene.sky, scene.floor, scene.mask, scene.good, every, shapes,
            flat=scene.flat, aperture_px=aperture_px,
        )  # fmt: skip
        lit = [k for k in range(len(traces)) if k == 0 or _total_snr(found[k]) > LEAST_TOTAL_SNR]
        if len(lit) == len(traces):
            share = 0.0
            if len(every) > len(traces):
                pair = ((shapes[0], shapes[-1]), (found[0], found[-1]))
                share = host_fraction(every[0], *pair, columns)
            return Extracted(traces=every, profiles=shapes, extractions=found, host_fraction=share)
        traces = tuple(traces[k] for k in lit)


def _with_host(
    scene: Scene, traces: tuple[Trace, ...], profiles: tuple[Profile, ...], star: Profile | None
) -> tuple[tuple[Trace, ...], tuple[Profile, ...]]:
    """Split the target into point source and host where it is wider than a star; host last."""
    sharp = [p for p, t in zip(profiles[1:], traces[1:], strict=True) if np.isfinite(t.rms_px)]
    star = star or min(sharp, key=lambda p: p.fwhm_px, default=None)
    if star is None or traces[0].forced:
        return traces, profiles
    others = [p.values(t, scene.data.shape[1]) for p, t in zip(profiles, traces, strict=True)]
    fluxes, _ = solve_rows(scene.residual, scene.empty_variance, scene.good, others)
    alone = scene.residual - image_of(fluxes, others) + fluxes[0][:, None] * others[0]
    planes = (alone, scene.empty_variance, scene.good)
    trace, parts = traces[0], None
    for _ in range(2):
        found = separate_host(planes, trace, profiles[0], star)
        if found is None:
            break
        parts = (trace, *found)
        trace = _traced_in_host(planes, trace, *found)
    if parts is None:
        return traces, profiles
    trace, point, host = parts
    around = replace(trace, fwhm_px=host.fwhm_px)
    return (trace, *traces[1:], around), (point, *profiles[1:], host)


def _traced_in_host(planes: Planes, trace: Trace, point: Profile, host: Profile) -> Trace:
    """Trace a point source again without its host, which had drawn the first trace to itself."""
    shapes = [p.values(trace, planes[0].shape[1]) for p in (point, host)]
    fluxes, _ = solve_rows(*planes, shapes)
    alone = planes[0] - fluxes[1][:, None] * shapes[1]
    column = float(np.median(trace.columns)) + point.offset_px
    source = Source(column=column, significance=np.inf, fwhm_px=point.fwhm_px)
    variance = planes[1] + np.maximum(image_of(fluxes, shapes), 0)
    again = trace_source(alone, variance, planes[2], source)
    return again if np.isfinite(again.rms_px) else trace


def _total_snr(found: Extraction) -> float:
    """Return the signal-to-noise of a whole spectrum; negative for a negative image."""
    weight = 1 / np.maximum(found.variance, 1e-9)
    flux = np.clip(found.flux, *np.percentile(found.flux, [1, 99]))
    return float((flux * weight).sum() / np.sqrt(weight.sum()))
