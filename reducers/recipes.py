"""The recipes: from raw exposures to masters and spectra, each reading like its description."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from reducers.detector.correct import estimate_variance
from reducers.detector_recipes import build_bias, build_flat
from reducers.errors import PoorResponse
from reducers.instrument import IN_PIXELS
from reducers.preparation import (
    debiased,
    gain_and_read_noise,
    grism_of,
    solve_arc,
)
from reducers.quality import judge, load_limits
from reducers.reduced import (
    Built,
    Exposure,
    ExtractedObject,
    ReducedSpectrum,
    SpectrumCalibrations,
    SpectrumSettings,
)
from reducers.slit_recipe import see_slit
from reducers.spectroscopy.assess import (
    SEEN,
    measure_calibrations,
    measure_flux,
    measure_fringes,
    measure_neighbours,
    measure_response,
    measure_target,
    red_noise_ratio,
)
from reducers.spectroscopy.calibrate import calibrate_objects
from reducers.spectroscopy.circumstances import (
    effective_airmass,
    measure_circumstances,
    sky_over_dark,
)
from reducers.spectroscopy.flux_tie import tie_flux
from reducers.spectroscopy.lamp_light import lamp_light
from reducers.spectroscopy.response import fit_response
from reducers.spectroscopy.standard_place import place_by_star
from reducers.spectroscopy.telluric import with_telluric

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from reducers.frame import Frame
    from reducers.identity import Identity
    from reducers.instrument import Instrument, Standard

__all__ = [
    "RECIPE_VERSION",
    "Built",
    "Exposure",
    "ExtractedObject",
    "ReducedSpectrum",
    "SpectrumCalibrations",
    "SpectrumSettings",
    "build_arc",
    "build_bias",
    "build_flat",
    "build_response",
    "reduce_spectrum",
]

#: A standard that misses its reference by more (4000-8500 A) gives no response.
WORST_RESPONSE_MAG = 0.15
#: Settings that decide which light is measured; a person's choice of one is told in the product.
HUMAN_SETTINGS = frozenset(
    {"centroid_px", "region_px", "background_px", "mask_angstrom", "aperture_px", "method"}
)
#: Enters every product key: raise it whenever numbers change.
RECIPE_VERSION = "5"


def build_arc(
    exposures: Sequence[Exposure], given: SpectrumCalibrations, instrument: Instrument
) -> Built:
    """Sum the arcs of one visit to the lamp and identify their lines.

    Raises
    ------
    PoorWavelengthFit, SetupMismatch, NoOverscan
    """
    identity = exposures[0].identity
    grism = grism_of(identity, instrument)
    frames = [debiased(e, given.bias, instrument) for e in exposures]
    gain, noise = gain_and_read_noise(identity, given, instrument)
    frame = estimate_variance(total(frames), gain, noise)
    lamps = tuple(sorted({lamp for e in exposures for lamp in e.identity.lamps}))
    solution = solve_arc(frame, identity, lamps, instrument)
    measurements = {
        "rms_angstrom": solution.rms_angstrom,
        "rms_px": solution.rms_px,
        "lines": float(solution.n_lines),
        "fwhm_px": solution.fwhm_px,
        "shift_px": solution.shift_px,
        **lamp_light(frame, solution, burning_s(exposures), gain),
    }
    verdict = ""
    if solution.rms_angstrom > grism.rms_limit_angstrom:
        verdict = (
            f"rms {solution.rms_angstrom:.2f} A is above the grism's limit of "
            f"{grism.rms_limit_angstrom:.2f} A"
        )
    return Built(role="ARC", value=solution, measurements=measurements, verdict=verdict)


def burning_s(exposures: Sequence[Exposure]) -> dict[str, float]:
    """Return for how many seconds each lamp was seen."""
    seconds: dict[str, float] = {}
    for exposure in exposures:
        for lamp in exposure.identity.lamps:
            seconds[lamp] = seconds.get(lamp, 0.0) + exposure.identity.exposure_s
    return seconds


def total(frames: Sequence[Frame]) -> Frame:
    """Add frames (He and Ne taken one after the other), joining their masks."""
    first = frames[0]
    if len(frames) == 1:
        return first
    mask = np.bitwise_or.reduce([f.mask for f in frames])
    return first.after(
        f"sum of {len(frames)} arcs",
        data=np.sum([f.data for f in frames], axis=0),
        variance=np.sum([f.variance for f in frames], axis=0),
        mask=mask,
    )


def build_response(
    exposure: Exposure, given: SpectrumCalibrations, instrument: Instrument
) -> Built:
    """Reduce a standard star to counts and compare them with its reference.

    Raises
    ------
    PoorResponse
        If the star is unknown, was not found or scatters too much.
    """
    identity = exposure.identity
    standard = standard_of(identity, instrument)
    if given.wavelengths is None:
        raise PoorResponse("no arc for the standard: its counts have no wavelengths")
    reduced = reduce_spectrum(exposure, replace(given, response=None), instrument)
    star = max(reduced.objects, key=lambda o: o.snr)
    if star.trace.forced:
        raise PoorResponse(f"{standard.name} was not found on the slit")
    scale_arcsec = instrument.detector.pixel_scale_arcsec * identity.setup.slit_binning
    response = fit_response(
        star.counts,
        standard,
        instrument,
        exposure_s=identity.exposure_s,
        airmass=effective_airmass(identity, instrument),
        slit=identity.setup.slit,
        grism=identity.setup.grism,
        filter_name=identity.setup.filter,
        seeing_arcsec=star.fwhm_px * scale_arcsec,
    )
    response = with_telluric(response, star.counts, standard, instrument, identity.exposure_s)
    measurements = {**measure_response(response, identity, instrument), "snr": star.snr}
    verdict = ""
    if measurements["residual_rms_mag"] > WORST_RESPONSE_MAG:
        off = measurements["residual_rms_mag"]
        verdict = f"{standard.name} scatters by {off:.2f} mag about its reference"

    return Built(role="RESPONSE", value=response, measurements=measurements, verdict=verdict)


def standard_of(identity: Identity, instrument: Instrument) -> Standard:
    """Return the reference table of the standard that the frame shows.

    Raises
    ------
    PoorResponse
        If the profile has no such star.
    """
    for standard in instrument.standards:
        if standard.name == identity.standard:
            return standard
    raise PoorResponse(f"the profile has no standard {identity.standard!r}")


def reduce_spectrum(
    exposure: Exposure,
    given: SpectrumCalibrations,
    instrument: Instrument,
    how: SpectrumSettings | None = None,
    partner: Exposure | None = None,
    by_hand: Collection[str] = (),
) -> ReducedSpectrum:
    """Reduce one long-slit exposure to calibrated spectra of every object on the slit.

    Parameters
    ----------
    partner
        An exposure of the same set-up with the target elsewhere on the slit; it is subtracted.
    by_hand
        Names of the settings in `how` that a person chose for this exposure alone.

    Raises
    ------
    SetupMismatch, NoOverscan
        If the frame cannot be placed on the detector, or the partner has another set-up.
        Missing calibrations are flags.
    """
    how = how or SpectrumSettings()
    identity = exposure.identity
    grism = grism_of(identity, instrument)
    if grism.in_pixels:  # nothing that is told by wavelength can be applied
        given = replace(given, wavelengths=None, response=None)
    seen = see_slit(exposure, given, instrument, how, partner)
    slit = seen.slit
    if identity.standard and given.wavelengths is not None:
        slit = place_by_star(slit, standard_of(identity, instrument))
    objects = calibrate_objects(
        slit,
        identity,
        given.response,
        instrument,
        response_age_h=given.facts.get("response_age_h"),
    )
    objects, tied = tie_flux(objects, given.magnitudes if how.tie_flux else (), instrument)
    gain, _ = gain_and_read_noise(identity, given, instrument)
    measurements = {
        **slit.measurements,
        **measure_target(objects[0], identity, instrument),
        **measure_calibrations(given, slit),
        **measure_flux(objects[0], given.response, identity, instrument),
        **tied,
        **measure_neighbours(objects),
        **measure_circumstances(identity, instrument),
        "red_noise_ratio": red_noise_ratio(objects[0].counts),
        "sky_over_dark": sky_over_dark(
            slit.measurements.get("sky_level_e", math.nan), objects[0].counts, identity, instrument
        ),
        **measure_fringes(slit, seen.floor),
        **seen.facts,
        "gain_e_per_adu": gain,
        "read_noise_e": seen.read_noise_e,
        "airmass": identity.airmass if identity.airmass is not None else math.nan,
        "human_choice": float(partner is not None or not HUMAN_SETTINGS.isdisjoint(by_hand)),
        "unverified_facts": float(grism.status not in (*SEEN, IN_PIXELS)),
    }
    measurements["snr_unless_lines"] = _snr_unless_lines(measurements)
    flags, quality = judge(
        measurements,
        load_limits(),
        is_standard=bool(identity.standard),
        grism=identity.setup.grism,
    )
    return ReducedSpectrum(
        objects=objects,
        image=slit.frame,
        sky=slit.sky,
        wavelengths=slit.wavelengths,
        slit_profile=slit.profile,
        measurements=measurements,
        flags=flags,
        quality=quality,
        solution=slit.solution,
        response=given.response,
    )


def _snr_unless_lines(measurements: Mapping[str, float]) -> float:
    """Return the signal-to-noise; a median says nothing of an object that only shows lines."""
    by_lines = measurements["found_by_lines"] > 0
    return math.nan if by_lines else measurements["snr_resolution"]
