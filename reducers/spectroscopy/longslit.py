"""The middle of the spectroscopic recipe: sky, objects and extraction on one slit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from reducers.frame import Frame, Mask, Vector
from reducers.spectroscopy.cosmics import flag_cosmic_rays
from reducers.spectroscopy.extract import (
    Extraction,
    extract,
    model_variance,
)
from reducers.spectroscopy.flexure import Flexure, measure_flexure
from reducers.spectroscopy.nominal import nominal_solution
from reducers.spectroscopy.shape_fit import fit_profiles
from reducers.spectroscopy.sky import (
    SkyFit,
    dispersion_coordinate,
    fit_sky,
    free_columns,
    line_chi2,
    rough_sky,
    spline_for,
)
from reducers.spectroscopy.sources import Source, find_sources, slit_profile
from reducers.spectroscopy.trace import Trace, forced_trace, trace_source
from reducers.spectroscopy.wavelength import WavelengthSolution

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reducers.instrument import Grism
    from reducers.reduced import SpectrumSettings

#: Objects extracted from one slit at most: more are noise or a wrong sky.
MOST_OBJECTS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Slit:
    """One slit with its sky model and the counts of its objects, target first."""

    frame: Frame
    sky: NDArray[np.float64]
    wavelengths: NDArray[np.float64]
    profile: Vector
    solution: WavelengthSolution
    traces: tuple[Trace, ...]
    widths_px: tuple[float, ...]
    extractions: tuple[Extraction, ...]
    measurements: dict[str, float]


def measure_slit(
    frame: Frame,
    *,
    read_noise_e: float,
    masters_variance: NDArray[np.float64],
    arc: WavelengthSolution | None,
    grism: Grism,
    slit_offset_px: float,
    pixel_scale_arcsec: float,
    how: SpectrumSettings,
) -> Slit:
    """Subtract the sky, mask cosmic rays, find and trace objects and extract their counts.

    Parameters
    ----------
    frame : Frame
        Flat-fielded electrons.
    masters_variance : (ny, nx) electrons^2
        What the master bias adds to every pixel.
    arc
        Wavelength solution; None falls back on the grism's nominal one.
    pixel_scale_arcsec
        Along the slit, per image pixel.
    """
    solution = arc or nominal_solution(grism, slit_offset_px)
    wavelengths = solution.map_for(frame.shape, frame.geometry)
    data = frame.data.astype(np.float64)
    floor = read_noise_e**2 + masters_variance
    seeing_px = how.seeing_arcsec / pixel_scale_arcsec
    sources, profile = _find(data, rough_sky(data, frame.good), frame.good, floor, seeing_px)
    coordinate = dispersion_coordinate(wavelengths)
    sky = _sky(data, frame.good, coordinate, sources, profile, floor).sky
    if how.clean_cosmics:
        frame = flag_cosmic_rays(
            frame, sky, read_noise_e=read_noise_e, sigma_limit=how.cosmic_sigma
        )
    sources, profile = _find(data, sky, frame.good, floor, seeing_px)
    fit = _sky(data, frame.good, coordinate, sources, profile, floor, before=sky)
    sky = fit.sky
    sources, profile = _find(data, sky, frame.good, floor, seeing_px)
    flexure = measure_flexure(sky, solution, frame.geometry, frame.shape)
    if arc is not None and flexure.applied:
        solution = solution.shifted(flexure.shift_px)
        wavelengths = solution.map_for(frame.shape, frame.geometry)
    traces = _trace(data - sky, sky, frame, sources, floor, seeing_px, how)
    widths, extractions = _extract(data - sky, sky, frame, traces, floor)
    measurements = {
        **_sky_measurements(data, fit, coordinate, floor),
        **_flexure_measurements(flexure),
        "cosmic_pixels": float(((frame.mask & Mask.COSMIC) != 0).sum()),
        "cosmic_events": float(ndimage.label((frame.mask & Mask.COSMIC) != 0)[1]),
        "objects": float(sum(not t.forced for t in traces)),
    }
    return Slit(
        frame=frame, sky=sky, wavelengths=wavelengths, profile=profile, solution=solution,
        traces=traces, widths_px=widths, extractions=extractions, measurements=measurements,
    )  # fmt: skip


def _find(
    data: NDArray[np.float64],
    sky: NDArray[np.float64],
    good: NDArray[np.bool_],
    floor: NDArray[np.float64],
    seeing_px: float,
) -> tuple[tuple[Source, ...], Vector]:
    variance = model_variance(sky, np.zeros_like(sky), floor)
    profile, error = slit_profile(data - sky, variance, good)
    return find_sources(profile, error, seeing_px=seeing_px)[:MOST_OBJECTS], profile


def _sky(
    data: NDArray[np.float64],
    good: NDArray[np.bool_],
    coordinate: NDArray[np.float64],
    sources: Sequence[Source],
    profile: Vector,
    floor: NDArray[np.float64],
    before: NDArray[np.float64] | None = None,
) -> SkyFit:
    """Fit the sky beside the objects."""
    noise_e = float(np.sqrt(np.median(floor) + max(float(np.median(data)), 0.0)))
    free = free_columns(profile, noise_e, [(each.column, each.fwhm_px) for each in sources])
    use = good & free[None, :]
    return fit_sky(data, use, spline_for(coordinate, free), floor, before=before)


def _trace(
    residual: NDArray[np.float64],
    sky: NDArray[np.float64],
    frame: Frame,
    sources: Sequence[Source],
    floor: NDArray[np.float64],
    seeing_px: float,
    how: SpectrumSettings,
) -> tuple[Trace, ...]:
    """Trace every source, the target first; force one where there is none."""
    if how.centroid_px is not None:
        chosen = [s for s in sources if abs(s.column - how.centroid_px) < seeing_px]
        if not chosen:
            return (forced_trace(residual.shape[0], how.centroid_px, seeing_px),)
        sources = [*chosen, *(s for s in sources if s not in chosen)]
    if not sources:
        return (forced_trace(residual.shape[0], (residual.shape[1] - 1) / 2, seeing_px),)
    variance = model_variance(sky, residual, floor)
    return tuple(trace_source(residual, variance, frame.good, s) for s in sources)


def _extract(
    residual: NDArray[np.float64],
    sky: NDArray[np.float64],
    frame: Frame,
    traces: Sequence[Trace],
    floor: NDArray[np.float64],
) -> tuple[tuple[float, ...], tuple[Extraction, ...]]:
    empty = model_variance(sky, np.zeros_like(sky), floor)
    profiles = fit_profiles(residual, empty, frame.good, traces)
    results = extract(residual, sky, floor, frame.mask, frame.good, traces, profiles)
    return tuple(p.fwhm_px for p in profiles), results


def _sky_measurements(
    data: NDArray[np.float64],
    fit: SkyFit,
    coordinate: NDArray[np.float64],
    floor: NDArray[np.float64],
) -> dict[str, float]:
    variance = model_variance(fit.sky, np.zeros_like(fit.sky), floor)
    deviation = ((data - fit.sky) / np.sqrt(variance))[fit.kept]
    if deviation.size == 0:
        return {"sky_chi2": math.nan}
    robust = (1.4826 * float(np.median(np.abs(deviation - np.median(deviation))))) ** 2
    measured = {"sky_chi2": robust, "sky_level_e": float(np.median(fit.sky))}
    in_lines, between = line_chi2(data, fit, coordinate, floor)
    measured |= {"sky_chi2_lines": in_lines, "sky_chi2_between_lines": between}
    return measured


def _flexure_measurements(flexure: Flexure) -> dict[str, float]:
    if flexure.n_lines == 0:
        return {"flexure_unknown": 1.0}
    return {
        "flexure_unknown": 0.0,
        "flexure_px": flexure.shift_px,
        "flexure_abs_px": abs(flexure.shift_px),
        "flexure_error_px": flexure.error_px,
        "flexure_lines": float(flexure.n_lines),
        "skyline_residual_px": flexure.residual_px,
        "sky5577_angstrom": flexure.oxygen_5577_angstrom,
    }
