"""From a raw exposure to the slit with its sky, objects and counts; with a partner, A - B."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from reducers.errors import SetupMismatch
from reducers.preparation import electrons, grism_of, slit_offset
from reducers.reduced import SpectrumSettings
from reducers.spectroscopy.circumstances import drawn_along_slit_px
from reducers.spectroscopy.longslit import Slit, measure_slit
from reducers.spectroscopy.nod import nod_measurements, subtract_partner
from reducers.spectroscopy.nominal import nominal_solution
from reducers.spectroscopy.objects import Expected
from reducers.spectroscopy.trace import Trace
from reducers.spectroscopy.twilight import lit_flat

if TYPE_CHECKING:
    from reducers.frame import Frame
    from reducers.identity import Identity
    from reducers.instrument import Instrument
    from reducers.reduced import Exposure, SpectrumCalibrations
    from reducers.spectroscopy.wavelength import WavelengthSolution

#: An object so near to the usual place of targets is the target.
USUAL_WITHIN_ARCSEC = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenSlit:
    """The slit of one exposure.

    Attributes
    ----------
    floor : (ny, nx) electrons^2
        Read noise squared, what the masters add and, with a partner, what that adds.
    facts
        What was measured on the way.
    """

    slit: Slit
    read_noise_e: float
    floor: NDArray[np.float64]
    facts: Mapping[str, float]


def see_slit(
    exposure: Exposure,
    given: SpectrumCalibrations,
    instrument: Instrument,
    how: SpectrumSettings,
    partner: Exposure | None = None,
) -> SeenSlit:
    """Return the sky, the objects and their counts in one exposure.

    Parameters
    ----------
    partner
        An exposure of the same set-up with the target elsewhere on the slit; it is subtracted.

    Raises
    ------
    SetupMismatch, NoOverscan
        If the frame cannot be placed on the detector, or the partner has another set-up.
    """
    frame, read_noise_e, masters, facts = electrons(exposure, given, instrument)
    variance = masters.astype(np.float64)
    # Who subtracts a partner has nodded: then the usual place says nothing.
    acquired_px = given.facts.get("target_along_px")
    place = usual_place(frame, exposure.identity, instrument, acquired_px)
    place = place if partner is None else None
    slit = _measured(
        frame, read_noise_e, variance, exposure.identity, given, instrument, how, place
    )
    if partner is not None:
        _require_same_setup(exposure, partner)
        plain = SpectrumSettings(cosmic_sigma=how.cosmic_sigma, seeing_arcsec=how.seeing_arcsec)
        beside = see_slit(partner, given, instrument, plain)
        nod = subtract_partner(
            slit, beside.slit, read_noise_e=beside.read_noise_e, masters_variance=variance
        )
        variance = variance + nod.variance
        # Cosmic rays are masked by now, and the noise is no longer that of one exposure.
        slit = _measured(
            nod.frame, read_noise_e, variance, exposure.identity, given, instrument,
            replace(how, clean_cosmics=False),
        )  # fmt: skip
        facts = {**facts, **nod_measurements(nod, slit, beside.slit)}
    return SeenSlit(
        slit=slit, read_noise_e=read_noise_e, floor=read_noise_e**2 + variance, facts=facts
    )


def usual_place(
    frame: Frame, identity: Identity, instrument: Instrument, acquired_px: float | None = None
) -> Expected | None:
    """Return where the target of an exposure should stand; None where that is not known.

    Parameters
    ----------
    acquired_px
        Detector x at which an image through the slit showed it; without one, where targets
        usually stand.

    Notes
    -----
    A standard is the brightest object wherever it stands.
    """
    target_x_px = instrument.target_x_px if acquired_px is None else acquired_px
    if identity.standard or target_x_px is None or frame.geometry.turned:
        return None
    column = float(frame.geometry.column(target_x_px))
    if not 0 <= column < frame.shape[1]:
        return None
    scale_arcsec = instrument.detector.pixel_scale_arcsec * identity.setup.slit_binning
    return Expected(column=column, tolerance_px=USUAL_WITHIN_ARCSEC / scale_arcsec, certain=False)


def refracted_path(
    frame: Frame, solution: WavelengthSolution, identity: Identity, instrument: Instrument
) -> Trace | None:
    """Return the path along which the air spreads the colours; None where that is not known."""
    if solution.grism.in_pixels:
        return None
    rows = np.arange(frame.shape[0], dtype=np.float64)
    middle = frame.geometry.detector_x(np.full(rows.size, (frame.shape[1] - 1) / 2))
    # Beyond what the grism passes the solution runs wild, and there is no light to follow.
    low, high = instrument.grisms[identity.setup.grism].range_angstrom
    colours = np.clip(solution.wavelength(frame.geometry.detector_y(rows), middle), low, high)
    columns = drawn_along_slit_px(colours, identity, instrument)
    if columns is None:
        return None
    return Trace(rows=rows, columns=columns, fwhm_px=np.nan, rms_px=np.nan)


def _measured(
    frame: Frame,
    read_noise_e: float,
    masters_variance: NDArray[np.float64],
    identity: Identity,
    given: SpectrumCalibrations,
    instrument: Instrument,
    how: SpectrumSettings,
    expected: Expected | None = None,
) -> Slit:
    grism, arc = grism_of(identity, instrument), given.wavelengths
    moved_px = 0.0
    if arc is not None and identity.setup.dispersion_axis == "y":
        here = arc.behind_slit_at(identity.aperture_y_px)
        moved_px, arc = here.flexure_px - arc.flexure_px, here
    solution = arc or nominal_solution(grism, slit_offset(identity, grism))
    expected = (expected if how.region_px is None else None) or Expected()
    expected = replace(expected, crutch=refracted_path(frame, solution, identity, instrument))
    slit = measure_slit(
        frame,
        read_noise_e=read_noise_e,
        masters_variance=masters_variance,
        arc=arc,
        grism=grism,
        slit_offset_px=slit_offset(identity, grism),
        pixel_scale_arcsec=instrument.detector.pixel_scale_arcsec * identity.setup.slit_binning,
        how=how,
        flat=lit_flat(given.flat, given.illumination),
        expected=expected,
    )
    return replace(slit, measurements=slit.measurements | {"arc_slit_moved_px": moved_px})


def _require_same_setup(exposure: Exposure, partner: Exposure) -> None:
    own, other = exposure.identity.setup, partner.identity.setup
    for name in ("grism", "slit", "filter"):
        mine, its = getattr(own, name) or "none", getattr(other, name) or "none"
        if mine != its:
            raise SetupMismatch(
                f"{partner.stem} was taken with {name} {its}, {exposure.stem} with {mine}: "
                "a partner must share the set-up"
            )
