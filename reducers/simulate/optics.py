"""How the spectrograph maps wavelength and slit position onto the detector."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.polynomial import polynomial

from reducers.simulate.pointing import refraction_arcsec

if TYPE_CHECKING:
    from reducers.instrument import Instrument
    from reducers.simulate.records import PlannedExposure

MEASURED_GRISM_4 = (5984.9109, -3542.3408, 206.9227, 123.1037, 113.8074, 52.6086)
MEASURED_APERTURE_Y = 1057.37
BEND_PX = (-0.20, 0.06, -0.25)
LINE_FWHM_PX = 4.0
MOFFAT_BETA = 3.5
#: No glass and no detector goes further.
PASSED_ANGSTROM = (2500.0, 12500.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Optics:
    """The path of the light in one exposure.

    Attributes
    ----------
    dispersion : tuple of float
        Vacuum Angstrom as a polynomial in (y - shift - bend - 1000) / 1000.
    shift_px : float
        Slit position and flexure, unbinned pixels along y.
    slit_arcsec, scale_arcsec : float
        Slit width; size of a detector pixel.
    """

    dispersion: tuple[float, ...]
    shift_px: float
    slit_arcsec: float
    scale_arcsec: float
    bend_px: tuple[float, float, float] = BEND_PX

    @property
    def line_fwhm_px(self) -> float:
        """FWHM of a lamp line before it is integrated over pixels; wider slits widen it."""
        slit_px = self.slit_arcsec / self.scale_arcsec
        narrow_px = 1.0 / self.scale_arcsec
        camera = LINE_FWHM_PX**2 - (0.72 * narrow_px) ** 2
        return float(np.sqrt(camera + (0.72 * slit_px) ** 2))

    def bend(self, x: Any, y: Any) -> Any:
        """Return how far a line at detector x lies above its place at x = 1050, pixels."""
        a, b, c = self.bend_px
        t = (np.asarray(x, dtype=float) - 1050) / 100
        u = (np.asarray(y, dtype=float) - 1050) / 1000
        return (a * t + b * t**2) * (1 + c * u)

    def straight(self, x: Any, y: Any) -> Any:
        """Return detector y with slit position, flexure and bend taken out."""
        return np.asarray(y, dtype=float) - self.shift_px - self.bend(x, y)

    def wavelength_at(self, straight_y: Any) -> Any:
        """Return vacuum Angstrom at straightened rows."""
        value = polynomial.polyval((np.asarray(straight_y) - 1000) / 1000, self.dispersion)
        return np.clip(value, *PASSED_ANGSTROM)

    def wavelength(self, x: Any, y: Any) -> Any:
        """Return vacuum Angstrom at detector pixels (0-based, unbinned; x and y broadcast)."""
        return self.wavelength_at(self.straight(x, y))

    def trace(self, x0: float, x: Any, altitude_deg: float, y: Any) -> Any:
        """Return the column where an object stands whose 6000 A light falls at x0."""
        lift_px = refraction_arcsec(self.wavelength(x, y), altitude_deg) / self.scale_arcsec
        # The camera magnifies the red end a little less: measured 1 px at 200 px from the axis.
        spread = 0.005 * (x0 - 955) * (np.asarray(y, dtype=float) - 1000) / 1000
        return x0 - lift_px + spread


def optics_of(planned: PlannedExposure, instrument: Instrument) -> Optics:
    """Return the optics of one exposure; every night stretches the dispersion a little."""
    rng = np.random.default_rng([planned.night_seed, 404])
    base = _dispersion(planned.grism, instrument)
    stretched = tuple(c * (1 + rng.normal(0, 2e-4)) if i else c for i, c in enumerate(base))
    return Optics(
        dispersion=stretched,
        shift_px=planned.aperture_y_px - MEASURED_APERTURE_Y + planned.flexure_px,
        slit_arcsec=instrument.slits_arcsec.get(planned.slit, 1.0),
        scale_arcsec=instrument.detector.pixel_scale_arcsec,
    )


def _dispersion(name: str, instrument: Instrument) -> tuple[float, ...]:
    grism = instrument.grisms.get(name)
    if grism is None or name.endswith("4"):
        return MEASURED_GRISM_4
    # A cubic through the measured stretch goes on smoothly where no line was ever seen.
    y = np.linspace(*grism.valid_px, 200)
    guess = polynomial.polyval((y - grism.reference_px) / grism.scale_px, grism.first_guess)
    move = (MEASURED_APERTURE_Y - grism.slit_reference_px) / 1000
    return tuple(polynomial.polyfit((y - 1000) / 1000 + move, guess, 3))


@cache
def _moffat_marginal() -> tuple[Any, Any]:
    # A round Moffat profile summed across one axis is again Moffat, with beta - 1/2.
    at = np.concatenate([-np.geomspace(60, 1e-3, 3000), [0], np.geomspace(1e-3, 60, 3000)])
    alpha = 0.5 / np.sqrt(2 ** (1 / MOFFAT_BETA) - 1)
    density = (1 + (at / alpha) ** 2) ** (0.5 - MOFFAT_BETA)
    share = np.concatenate([[0], np.cumsum(np.diff(at) * (density[1:] + density[:-1]) / 2)])
    return at, share / share[-1]


def light_below(distance: Any, fwhm: Any) -> Any:
    """Return the share of a Moffat image on the near side of a line at `distance`."""
    at, share = _moffat_marginal()
    return np.interp(np.asarray(distance) / fwhm, at, share)


def seeing_at(wavelength_angstrom: Any, seeing_arcsec: float) -> Any:
    """Return the FWHM at each wavelength (Kolmogorov: to the power -1/5), arcsec."""
    return seeing_arcsec * (np.asarray(wavelength_angstrom) / 5500) ** -0.2


def slit_transmission(
    wavelength_angstrom: Any,
    slit_arcsec: float,
    seeing_arcsec: float,
    *,
    off_slit_arcsec: float = 0.0,
    extent_arcsec: float = 0.0,
) -> Any:
    """Return the share of a source's light that passes the slit."""
    fwhm = np.hypot(seeing_at(wavelength_angstrom, seeing_arcsec), extent_arcsec)
    far, near = off_slit_arcsec + slit_arcsec / 2, off_slit_arcsec - slit_arcsec / 2
    return light_below(far, fwhm) - light_below(near, fwhm)


def along_slit(edges_px: Any, centre_px: Any, fwhm_px: Any, trail_px: float) -> Any:
    """Return the share of a source's light in each column, (rows, columns).

    Parameters
    ----------
    edges_px : (columns + 1,)
    centre_px, fwhm_px : (rows,)
    trail_px
        The image drifts evenly over so many pixels.
    """
    steps = np.linspace(-0.5, 0.5, 9) if trail_px else np.zeros(1)
    shares = [
        np.diff(
            light_below(edges_px[None, :] - (centre_px + step * trail_px)[:, None], fwhm_px), axis=1
        )
        for step in steps
    ]
    return np.mean(shares, axis=0)
