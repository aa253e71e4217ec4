"""Expected electrons of a dispersed exposure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.ndimage import gaussian_filter1d

from reducers.simulate import optics as optical
from reducers.simulate import sources
from reducers.simulate.camera import LIT_ROWS, Window, sensitivity
from reducers.simulate.records import ObjectTruth

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reducers.instrument import Instrument
    from reducers.simulate.optics import Optics
    from reducers.simulate.pointing import Pointing
    from reducers.simulate.records import PlannedExposure, Source

#: Straightened rows on which light is dispersed before pixels gather it.
STEP_PX = 0.25
FINE_Y = np.arange(-60.0, 2160.0, STEP_PX)
#: Slit marks, unbinned 0-based column: share of the light lost; they move with nothing here.
SLIT_DUST = {
    955: 0.04, 1011: 0.02, 1012: 0.05, 1073: 0.03, 1074: 0.03, 1075: 0.02, 1162: 0.03, 1163: 0.03,
    1169: 0.04, 1170: 0.05, 1171: 0.03, 1199: 0.04, 1235: 0.03, 1236: 0.04, 1237: 0.03,
}  # fmt: skip
FRINGE_SCALE_ANGSTROM = 3.2e6
_SIGMA_TO_AREA = 3.9 / 2.3548 * np.sqrt(2 * np.pi)


class Disperser:
    """Lays light of one exposure onto the raw pixels.

    Parameters
    ----------
    optics
        Where each wavelength falls.
    window
        The pixels that are read.
    """

    def __init__(self, optics: Optics, window: Window) -> None:
        self.optics = optics
        self.window = window
        self.fine_wavelength = optics.wavelength_at(FINE_Y)
        # Where the wavelength stands still (beyond what is passed) there is no light to spread.
        self.fine_dispersion = np.maximum(np.abs(np.gradient(self.fine_wavelength, STEP_PX)), 1e-3)
        x, edges = window.x[None, :], window.y_edges[:, None]
        self.edges = optics.straight(x, edges)
        self.wavelength = optics.wavelength(x, window.y[:, None])

    def spread(self, per_angstrom: Any, lines: Iterable[tuple[float, float]] = ()) -> Any:
        """Return the amount in each raw pixel of one column's worth of light, (rows, columns).

        Parameters
        ----------
        per_angstrom : (n,) float
            Continuum at `fine_wavelength`, per Angstrom.
        lines
            (vacuum Angstrom, amount summed over the line).
        """
        density = per_angstrom * self.fine_dispersion
        for wavelength, amount in lines:
            self._deposit(density, wavelength, amount)
        sigma = self.optics.line_fwhm_px / 2.3548 / STEP_PX
        blurred = gaussian_filter1d(density, sigma, mode="nearest")
        below = np.concatenate([[0.0], np.cumsum(blurred) * STEP_PX])
        at = np.append(FINE_Y, FINE_Y[-1] + STEP_PX) - STEP_PX / 2
        return np.diff(np.interp(self.edges, at, below), axis=0)

    def _deposit(self, density: Any, wavelength: float, amount: float) -> None:
        y = np.interp(-wavelength, -self.fine_wavelength, FINE_Y)
        place = (y - FINE_Y[0]) / STEP_PX
        index = int(place)
        if 0 < index < len(density) - 1:
            density[index] += amount / STEP_PX * (1 - (place - index))
            density[index + 1] += amount / STEP_PX * (place - index)


def slit_illumination(x: Any) -> Any:
    """Return how evenly the slit passes light at unbinned detector columns."""
    t = np.clip((np.asarray(x) - 1060) / 200, -1.4, 1.4)
    smooth = 0.985 + 0.038 * t**2
    dust = np.array([SLIT_DUST.get(round(float(column)), 0.0) for column in x])
    ends = np.clip((x - 190) / 15, 0, 1) * np.clip((1910 - x) / 15, 0, 1)
    return smooth * (1 - dust) * ends


def fringes(disperser: Disperser) -> Any:
    """Return the fringe pattern by which red light is modulated, (rows, columns)."""
    w, x = disperser.wavelength, disperser.window.x[None, :]
    y = disperser.window.y[:, None]
    strength = np.interp(w, (7000, 8000, 9000, 10000), (0, 0.012, 0.04, 0.07))
    thickness = 0.35 * np.sin(x / 310 + 0.4) + 0.25 * np.sin(y / 260)
    return 1 + strength * np.sin(2 * np.pi * (FRINGE_SCALE_ANGSTROM / w + thickness))


def expose_slit(
    planned: PlannedExposure, pointing: Pointing, window: Window, instrument: Instrument
) -> tuple[Any, tuple[ObjectTruth, ...], Optics, float]:
    """Return expected electrons, the truth of the objects, the optics and the median sky."""
    optics = optical.optics_of(planned, instrument)
    disperser = Disperser(optics, window)
    slit = slit_illumination(window.x)[None, :] * window.x_binning
    objects: tuple[ObjectTruth, ...] = ()
    straight, scattered = np.zeros(window.shape), np.zeros(window.shape)
    sky_level = 0.0
    if planned.lamps:
        straight, scattered = _lamps(planned, disperser, optics)
    else:
        straight, scattered = _sky(planned, disperser, optics)
        sky_level = float(np.median(straight))
    light = straight * slit
    for source in planned.sources:
        image, truth = _object(source, planned, pointing, disperser, instrument)
        light = light + image
        objects = (*objects, truth)
    light = light * fringes(disperser) + scattered * window.x_binning
    return light * sensitivity(window), objects, optics, sky_level


def _lamps(planned: PlannedExposure, disperser: Disperser, optics: Optics) -> tuple[Any, Any]:
    rows = disperser.window.y / 2
    binning = disperser.window.y_binning / 2
    width = optics.slit_arcsec * sources.GAIN_E_PER_ADU * planned.lamp_power
    straight, scattered = np.zeros(disperser.window.shape), np.zeros((len(rows), 1))
    if "Halogen" in planned.light:
        scale = width * planned.exposure_s / 5
        per_pixel = np.interp(disperser.fine_wavelength, *sources.HALOGEN, left=0, right=0)
        straight = disperser.spread(per_pixel * scale / (2 * disperser.fine_dispersion))
        scattered = scattered + _at_rows(rows, sources.HALOGEN_SCATTER) * scale * binning
    ions = {ion for lamp in planned.light for ion in sources.LAMP_IONS.get(lamp, ())}
    if ions:
        scale = width * planned.exposure_s / 3
        lines = [
            (wavelength, strength * scale * _SIGMA_TO_AREA / 2)
            for wavelength, ion, strength in sources.line_table("arc_lines")
            if ion in ions
        ]
        straight = straight + disperser.spread(np.zeros_like(FINE_Y), lines)
        scattered = scattered + _at_rows(rows, sources.ARC_SCATTER) * scale * binning
    return straight, scattered


def _at_rows(rows: Any, table: Any) -> Any:
    return np.where(rows < LIT_ROWS / 2, np.interp(rows, *table), 0.0)[:, None]


def _sky(planned: PlannedExposure, disperser: Disperser, optics: Optics) -> tuple[Any, Any]:
    scale = sources.GAIN_E_PER_ADU * planned.exposure_s / 1030 * planned.sky_brightness
    width = optics.slit_arcsec
    per_pixel = np.interp(disperser.fine_wavelength, *sources.SKY_CONTINUUM)
    lines = [(w, s * scale * width) for w, _, s in sources.line_table("sky_lines")]
    straight = disperser.spread(per_pixel * scale * width / (2 * disperser.fine_dispersion), lines)
    pedestal = sources.SKY_PEDESTAL_ADU * scale * disperser.window.y_binning / 2
    return straight, np.full(disperser.window.shape, pedestal)


def _object(
    source: Source,
    planned: PlannedExposure,
    pointing: Pointing,
    disperser: Disperser,
    instrument: Instrument,
) -> tuple[Any, ObjectTruth]:
    optics, window, w = disperser.optics, disperser.window, disperser.fine_wavelength
    flux = sources.flux_of(source, w, instrument)
    photons = flux * w / sources.PLANCK_C_ERG_ANGSTROM * sources.COLLECTING_AREA_CM2
    extinction = np.interp(w, instrument.extinction_angstrom, instrument.extinction_mag_per_airmass)
    kept = optical.slit_transmission(
        w,
        optics.slit_arcsec,
        planned.seeing_arcsec,
        off_slit_arcsec=source.off_slit_arcsec,
        extent_arcsec=source.extent_arcsec,
    )
    rate = photons * sources.photon_throughput(w) * kept * planned.transparency
    rate = rate * 10 ** (-0.4 * extinction * pointing.airmass)
    electrons = rate * sources.telluric(w, pointing.airmass) * planned.exposure_s
    centre = optics.trace(source.detector_x, source.detector_x, pointing.altitude_deg, window.y)
    seeing = optical.seeing_at(
        optics.wavelength(source.detector_x, window.y), planned.seeing_arcsec
    )
    fwhm_px = np.hypot(seeing, source.extent_arcsec) / optics.scale_arcsec
    across = optical.along_slit(window.x_edges, centre, fwhm_px[:, None], source.trail_px)
    image = disperser.spread(electrons) * across * slit_illumination(window.x)[None, :]
    return image, _object_truth(source, disperser, centre, flux, electrons, kept)


def _object_truth(
    source: Source, disperser: Disperser, centre: Any, flux: Any, electrons: Any, kept: Any
) -> ObjectTruth:
    some_rows, order = slice(None, None, 10), slice(None, None, -8)
    return ObjectTruth(
        name=source.name,
        model=source.model,
        ab_magnitude=source.ab_magnitude,
        detector_y=_rounded(disperser.window.y[some_rows], 1),
        detector_x=_rounded(centre[some_rows], 3),
        wavelength_angstrom=_rounded(disperser.fine_wavelength[order], 3),
        flux=tuple(float(f"{value:.5e}") for value in flux[order]),
        electrons_per_angstrom=_rounded(electrons[order], 4),
        slit_transmission=_rounded(kept[order], 5),
    )


def _rounded(values: Any, digits: int) -> tuple[float, ...]:
    return tuple(np.round(np.asarray(values, dtype=float), digits).tolist())
