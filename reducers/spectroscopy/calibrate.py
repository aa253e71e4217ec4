"""From extracted electrons to spectra: wavelengths, masks and flux for every object."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from reducers.frame import Mask
from reducers.reduced import HOST, ExtractedObject
from reducers.spectroscopy.circumstances import mark_second_order, second_order_from
from reducers.spectroscopy.flux import apply_response, mark_telluric
from reducers.spectrum import Spectrum

if TYPE_CHECKING:
    from reducers.frame import Vector
    from reducers.identity import Identity
    from reducers.instrument import Instrument
    from reducers.spectroscopy.longslit import Slit
    from reducers.spectroscopy.response import Response


def calibrate_objects(
    slit: Slit,
    identity: Identity,
    response: Response | None,
    instrument: Instrument,
    *,
    response_age_h: float | None = None,
) -> tuple[ExtractedObject, ...]:
    """Give every extraction its wavelengths and, with a response, its flux."""
    return tuple(
        _calibrated(slit, index, identity, response, instrument, response_age_h)
        for index in range(len(slit.traces))
    )


def _calibrated(
    slit: Slit,
    index: int,
    identity: Identity,
    response: Response | None,
    instrument: Instrument,
    response_age_h: float | None,
) -> ExtractedObject:
    trace, found = slit.traces[index], slit.extractions[index]
    geometry = slit.frame.geometry
    wavelength = slit.solution.wavelength(
        geometry.detector_y(trace.rows), geometry.detector_x(trace.columns)
    )
    order = np.argsort(wavelength)
    in_pixels = slit.solution.grism.in_pixels
    beyond = slit.solution.is_extrapolated(wavelength) & (not in_pixels)
    mask = found.mask | np.where(beyond, np.uint16(Mask.WAVE_EXTRAPOLATED), np.uint16(0))

    def spectrum(flux: Vector, variance: Vector, step: str) -> Spectrum:
        return Spectrum(
            wavelength=wavelength[order],
            flux=flux[order],
            error=np.sqrt(np.maximum(variance[order], 0)),
            sky=found.sky[order],
            mask=mask[order].astype(np.uint16),
            history=(*slit.frame.history, step),
            in_pixels=in_pixels,
        )

    box = spectrum(found.box_flux, found.box_variance, "extraction: sum along the slit")
    counts = box
    if slit.method == "optimal":
        counts = spectrum(found.flux, found.variance, "extraction: optimal (Horne 1986)")
    if not in_pixels:
        counts, box = (_in_wavelengths(each, instrument, identity) for each in (counts, box))
    scale_arcsec = instrument.detector.pixel_scale_arcsec * identity.setup.slit_binning
    flux = None
    if response is not None and not in_pixels:
        flux = apply_response(
            counts,
            response,
            instrument,
            identity,
            seeing_arcsec=slit.widths_px[index] * scale_arcsec,
            response_age_h=response_age_h,
        )
    usable = counts.good
    # The ends beyond the arc lines hold little light; without an arc everything is beyond.
    known = usable & ((counts.mask & np.uint16(Mask.WAVE_EXTRAPOLATED)) == 0)
    usable = known if known.any() else usable
    snr = float(np.median(counts.flux[usable] / counts.error[usable])) if usable.any() else 0.0
    return ExtractedObject(
        name=_name(slit, index), spectrum=flux.spectrum if flux else counts, counts=counts,
        boxcar=box, trace=trace, fwhm_px=slit.widths_px[index], snr=snr,
        transmission=flux.transmission if flux else None,
        scale_error=flux.scale_error if flux else None,
    )  # fmt: skip


def _name(slit: Slit, index: int) -> str:
    """Return OBJ1 for the target, OBJ2, ... for others, and HOST for the light around it."""
    last = index == len(slit.traces) - 1
    return HOST if last and slit.measurements["host_fraction"] > 0 else f"OBJ{index + 1}"


def _in_wavelengths(counts: Spectrum, instrument: Instrument, identity: Identity) -> Spectrum:
    """Keep what the grism passes, and mark where the air absorbs and two orders fall."""
    start = second_order_from(identity, instrument)
    return mark_second_order(_within_range(mark_telluric(counts), instrument, identity), start)


def _within_range(counts: Spectrum, instrument: Instrument, identity: Identity) -> Spectrum:
    """Keep the wavelengths that the grism passes, widened by 50 A."""
    grism = instrument.grisms[identity.setup.grism]
    low, high = grism.range_angstrom
    inside = (counts.wavelength > low - 50) & (counts.wavelength < high + 50)
    if inside.sum() < 10:
        return counts
    return replace(
        counts,
        wavelength=counts.wavelength[inside],
        flux=counts.flux[inside],
        error=counts.error[inside],
        sky=counts.sky[inside],
        mask=counts.mask[inside],
    )
