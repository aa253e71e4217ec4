"""The middle of the spectroscopic recipe: sky, objects and extraction on one slit."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from reducers.detector.correct import LEAST_FLAT, relative_variance
from reducers.frame import Frame, Mask, Vector
from reducers.spectroscopy.cosmics import flag_cosmic_rays
from reducers.spectroscopy.extract import Extraction, FlatNoise
from reducers.spectroscopy.flexure import Flexure, measure_flexure
from reducers.spectroscopy.line_sources import USUAL_LINE_PX, find_line_sources
from reducers.spectroscopy.nominal import nominal_solution
from reducers.spectroscopy.objects import Expected, Scene, extract_objects, search, trace_objects
from reducers.spectroscopy.sky import (
    SkyFit,
    dispersion_coordinate,
    fit_sky,
    free_columns,
    line_chi2,
    rough_sky,
    spline_for,
)
from reducers.spectroscopy.sky_error import with_sky_error
from reducers.spectroscopy.sky_illumination import follow_illumination
from reducers.spectroscopy.trace import Trace
from reducers.spectroscopy.wavelength import WavelengthSolution

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reducers.frame import Geometry
    from reducers.instrument import Grism
    from reducers.reduced import SpectrumSettings
    from reducers.spectroscopy.objects import Extracted
    from reducers.spectroscopy.sources import Source


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
    method: str = "optimal"


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
    flat: Frame | None = None,
    expected: Expected | None = None,
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
    flat
        The flat by which the frame was divided: its noise is part of a bright object's.
    expected
        What is known of the target; by default it is the brightest object.
    """
    solution = arc or nominal_solution(grism, slit_offset_px)
    wavelengths = solution.map_for(frame.shape, frame.geometry)
    seeing_px = how.seeing_arcsec / pixel_scale_arcsec
    scene = _first_look(frame, read_noise_e, masters_variance, flat)
    sources, profile = search(scene, seeing_px)
    coordinate = dispersion_coordinate(wavelengths)
    sky = _sky(scene, coordinate, sources, profile, how).sky
    if how.clean_cosmics:
        frame = flag_cosmic_rays(
            frame, sky, read_noise_e=read_noise_e, sigma_limit=how.cosmic_sigma
        )
    scene = replace(scene, sky=sky, mask=frame.mask, good=frame.good)
    sources, profile = search(scene, seeing_px)
    fit = _sky(scene, coordinate, sources, profile, how, before=sky)
    fit = follow_illumination(scene.data, fit, scene.empty_variance)
    scene = replace(scene, sky=fit.sky)
    sources, profile = search(scene, seeing_px, how.region_px)
    flexure = measure_flexure(fit.sky, solution, frame.geometry, frame.shape, nominal=arc is None)
    if flexure.applied:
        solution = solution.shifted(flexure.shift_px)
        wavelengths = solution.map_for(frame.shape, frame.geometry)
    expected = expected or Expected()
    binning = frame.geometry.y_binning
    sources = (*sources, *_by_lines(scene, sources, solution, seeing_px, expected, how, binning))
    if how.centroid_px is not None:  # a person knows better
        expected = replace(expected, column=how.centroid_px, tolerance_px=seeing_px, certain=True)
    traces = trace_objects(scene, sources, seeing_px, expected)
    seen = extract_objects(scene, traces, aperture_px=how.aperture_px, star=expected.star)
    traces = seen.traces
    extractions = _with_sky_errors(seen, fit, solution, frame.geometry, how)
    own = [t for t in traces if not t.forced][: -1 if seen.host_fraction > 0 else None]
    measurements = {
        **_sky_measurements(scene, fit, coordinate),
        **({} if solution.grism.in_pixels else _flexure_measurements(flexure)),
        **_cosmic_measurements(frame),
        "objects": float(len(own)),
        "found_by_lines": float(_is_by_lines(traces[0], sources, seeing_px)),
        "host_fraction": seen.host_fraction,
        **_place_measurements(traces[0], own, expected, pixel_scale_arcsec),
    }
    frame = replace(frame, history=(*frame.history, *_steps(fit, solution, flexure)))
    return Slit(
        frame=frame, sky=fit.sky, wavelengths=wavelengths, profile=profile, solution=solution,
        traces=traces, widths_px=tuple(p.fwhm_px for p in seen.profiles), extractions=extractions,
        measurements=measurements, method=how.method,
    )  # fmt: skip


def _by_lines(
    scene: Scene,
    sources: Sequence[Source],
    solution: WavelengthSolution,
    seeing_px: float,
    expected: Expected,
    how: SpectrumSettings,
    dispersion_binning: int,
) -> tuple[Source, ...]:
    """Return the objects without a continuum."""
    line_px = solution.fwhm_px if math.isfinite(solution.fwhm_px) else USUAL_LINE_PX
    found = find_line_sources(
        scene.residual,
        scene.empty_variance,
        scene.good,
        sources,
        seeing_px=seeing_px,
        line_rows=line_px / dispersion_binning,
        path=expected.crutch.columns if expected.crutch is not None else None,
    )
    low, high = how.region_px or (-math.inf, math.inf)
    return tuple(source for source in found if low <= source.column <= high)


def _is_by_lines(target: Trace, sources: Sequence[Source], seeing_px: float) -> bool:
    """Tell whether only emission lines show the target."""
    where = float(np.median(target.columns))
    near = [each for each in sources if abs(each.column - where) < seeing_px]
    return bool(near) and all(each.by_lines for each in near) and not target.forced


def _steps(fit: SkyFit, solution: WavelengthSolution, flexure: Flexure) -> tuple[str, ...]:
    """Tell what made the sky and the wavelengths, for the history."""
    lit = int(fit.kept.any(axis=0).sum())
    sky = f"sky: spline along wavelength and slit (Kelson 2003), {lit} columns"
    if solution.grism.in_pixels:
        return sky, "wavelengths: none are known, the axis is the detector's pixels"
    scale = "wavelengths: nominal for the grism, there is no arc"
    if solution.n_lines:
        scale = (
            f"wavelengths: {solution.n_lines} arc lines, "
            f"rms {solution.rms_angstrom:.3f} A ({solution.rms_px:.3f} px)"
        )
    moved = "flexure: no sky line could be measured"
    if flexure.strays:
        moved = f"flexure: {flexure.strays} sky lines, none where the wavelengths put any"
    if flexure.n_lines:
        moved = (
            f"flexure: {flexure.shift_px:+.2f} +- {flexure.error_px:.2f} px from "
            f"{flexure.n_lines} sky lines, {'applied' if flexure.applied else 'not applied'}"
        )
    return sky, scale, moved


def _first_look(
    frame: Frame,
    read_noise_e: float,
    masters_variance: NDArray[np.float64],
    flat: Frame | None,
) -> Scene:
    """Return the scene with a rough sky, its noise as it is after the flat."""
    data = frame.data.astype(np.float64)
    noise, floor = None, read_noise_e**2 + masters_variance
    if flat is not None:
        usable = (flat.data > LEAST_FLAT) & flat.good
        response = np.where(usable, flat.data, np.float32(1))
        noise = FlatNoise(response=response, variance=relative_variance(flat))
        floor /= response.astype(np.float64) ** 2
    return Scene(
        data=data,
        sky=rough_sky(data, frame.good),
        floor=floor,
        mask=frame.mask,
        good=frame.good,
        flat=noise,
    )


def _sky(
    scene: Scene,
    coordinate: NDArray[np.float64],
    sources: Sequence[Source],
    profile: Vector,
    how: SpectrumSettings,
    before: NDArray[np.float64] | None = None,
) -> SkyFit:
    """Fit the sky beside the objects, or in the columns that a person chose."""
    data = scene.data
    noise_e = float(np.sqrt(np.median(scene.floor) + max(float(np.median(data)), 0.0)))
    free = free_columns(profile, noise_e, [(each.column, each.fwhm_px) for each in sources])
    if how.background_px:
        columns = np.arange(data.shape[1])
        free = np.zeros(columns.size, bool)
        for low, high in how.background_px:
            free |= (columns >= low) & (columns <= high)
    use = scene.good & free[None, :]
    return fit_sky(data, use, spline_for(coordinate, free), scene.floor, before=before)


def _with_sky_errors(
    seen: Extracted,
    fit: SkyFit,
    solution: WavelengthSolution,
    geometry: Geometry,
    how: SpectrumSettings,
) -> tuple[Extraction, ...]:
    """Return the extractions with the error of the sky, without what a person leaves out."""
    extractions = tuple(
        with_sky_error(found, trace, profile, fit, how.aperture_px)
        for found, trace, profile in zip(seen.extractions, seen.traces, seen.profiles, strict=True)
    )
    if how.mask_angstrom and not solution.grism.in_pixels:
        return _left_out(seen.traces, extractions, solution, geometry, how.mask_angstrom)
    return extractions


def _left_out(
    traces: Sequence[Trace],
    extractions: Sequence[Extraction],
    solution: WavelengthSolution,
    geometry: Geometry,
    ranges: Sequence[tuple[float, float]],
) -> tuple[Extraction, ...]:
    """Mark the wavelengths that a person does not want."""
    marked = []
    for trace, found in zip(traces, extractions, strict=True):
        wavelength = solution.wavelength(
            geometry.detector_y(trace.rows), geometry.detector_x(trace.columns)
        )
        mask = found.mask.copy()
        for low, high in ranges:
            mask[(wavelength >= low) & (wavelength <= high)] |= np.uint16(Mask.BAD)
        marked.append(replace(found, mask=mask))
    return tuple(marked)


def _sky_measurements(
    scene: Scene, fit: SkyFit, coordinate: NDArray[np.float64]
) -> dict[str, float]:
    deviation = (scene.residual / np.sqrt(scene.empty_variance))[fit.kept]
    if deviation.size == 0:
        return {"sky_chi2": math.nan}
    robust = (1.4826 * float(np.median(np.abs(deviation - np.median(deviation))))) ** 2
    measured = {"sky_chi2": robust, "sky_level_e": float(np.median(fit.sky))}
    in_lines, between = line_chi2(scene.data, fit, coordinate, scene.floor)
    measured |= {"sky_chi2_lines": in_lines, "sky_chi2_between_lines": between}
    measured["sky_chi2_worst"] = max(robust, in_lines) if math.isfinite(in_lines) else robust
    return measured


def _place_measurements(
    target: Trace, found: Sequence[Trace], expected: Expected, pixel_scale_arcsec: float
) -> dict[str, float]:
    """Return where the target should be; how far off it is, or whether it may be another."""
    if expected.column is None:
        return {}
    away = [abs(float(np.median(trace.columns)) - expected.column) for trace in (target, *found)]
    measured = {"expected_column": float(expected.column)}
    if not expected.certain:
        nobody_there = min(away) > expected.tolerance_px
        return measured | {"target_unsure": float(nobody_there and len(found) > 1)}
    return measured | {"target_offset_arcsec": away[0] * pixel_scale_arcsec}


def _cosmic_measurements(frame: Frame) -> dict[str, float]:
    marked = (frame.mask & Mask.COSMIC) != 0
    return {
        "cosmic_pixels": float(marked.sum()),
        "cosmic_events": float(ndimage.label(marked)[1]),
    }


def _flexure_measurements(flexure: Flexure) -> dict[str, float]:
    if flexure.n_lines == 0:
        strays = float(flexure.strays)
        return {"flexure_unknown": float(strays == 0), "sky_stray_lines": strays}
    return {
        "flexure_unknown": 0.0,
        "sky_confirms": float(flexure.confirms),
        "flexure_px": flexure.shift_px,
        "flexure_abs_px": abs(flexure.shift_px),
        "flexure_error_px": flexure.error_px,
        "flexure_lines": float(flexure.n_lines),
        "skyline_residual_px": flexure.residual_px,
        "sky5577_angstrom": flexure.oxygen_5577_angstrom,
    }
