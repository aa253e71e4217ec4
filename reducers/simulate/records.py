"""What is planned, what comes out, and what was true."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from reducers.identity import FrameKind
from reducers.simulate.scene import Scene

WINDOW = (851, 1250, 1, 2102)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One thing in the sky that sends light into the frame.

    Attributes
    ----------
    model : str
        Name of a spectrum in `reducers.simulate.sources`, or 'standard:NAME' of the profile.
    ab_magnitude : float
        AB magnitude at 5500 A above the atmosphere; not used for a standard.
    detector_x, detector_y : float
        Unbinned 0-based detector pixel; on the slit, `detector_x` is where 6000 A falls.
    off_slit_arcsec : float
        How far the source stands from the middle of the slit, across it.
    extent_arcsec : float
        FWHM of an extended source before the seeing; 0 is a point.
    trail_px : float
        How far the source drifts along the slit while the shutter is open.
    """

    name: str
    model: str
    ab_magnitude: float = 0.0
    detector_x: float = 954.5
    detector_y: float = 1050.0
    off_slit_arcsec: float = 0.0
    extent_arcsec: float = 0.0
    trail_px: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedExposure:
    """One exposure to be taken.

    Attributes
    ----------
    stem : str
        File name without '.fits'.
    window : tuple of int
        x1, x2, y1, y2: unbinned detector pixels, 1-based, inclusive.
    ra_deg, dec_deg : float or None
        None when the telescope is parked at zenith.
    flexure_px : float
        Shift of the spectrum along detector y against a slit at `aperture_y_px`.
    seeing_arcsec : float
        FWHM at 5500 A as it falls on the detector.
    transparency, sky_brightness : float
        Factors on object light and on the dark sky.
    burning : tuple of str or None
        The lamps that truly burn, when they are not those of the header.
    lamp_power : float
        Factor on the light of the lamps: 0 is a dead lamp.
    scripted : bool
        Written by a script or an observing block: its card order, DATE at the start.
    scene : Scene or None
        What an image shows; None where only `sources` shine, and the pointing is exact.
    night_seed : int
        Seeds what one night shares (dispersion, bias level).
    """

    stem: str
    number: int
    kind: FrameKind
    start: datetime
    exposure_s: float
    object_name: str
    target: str = ""
    image_type: str = "OBJECT"
    image_category: str = "SCIENCE"
    lamps: tuple[str, ...] = ()
    grism: str = ""
    slit: str = ""
    filter: str = ""
    window: tuple[int, int, int, int] = WINDOW
    x_binning: int = 1
    y_binning: int = 2
    ra_deg: float | None = None
    dec_deg: float | None = None
    aperture_y_px: float = 1057.37
    flexure_px: float = 0.0
    seeing_arcsec: float = 1.1
    transparency: float = 1.0
    sky_brightness: float = 1.0
    burning: tuple[str, ...] | None = None
    lamp_power: float = 1.0
    bias_level_adu: float = 11700.0
    sources: tuple[Source, ...] = ()
    scripted: bool = False
    scene: Scene | None = None
    night_seed: int = 0

    @property
    def light(self) -> tuple[str, ...]:
        """The lamps that truly burn."""
        return self.lamps if self.burning is None else self.burning

    @property
    def is_dispersed(self) -> bool:
        """Whether the light passes a grism and a slit."""
        return bool(self.grism and self.slit)


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectTruth:
    """What one object on the slit truly sends.

    Attributes
    ----------
    detector_x : tuple of float
        Centre of the trace at `detector_y`, unbinned 0-based pixels.
    wavelength_angstrom : tuple of float
        Vacuum.
    flux : tuple of float
        erg / (s cm2 A) above the atmosphere, before any loss.
    electrons_per_angstrom : tuple of float
        Expected in the whole exposure after atmosphere, slit and instrument.
    slit_transmission : tuple of float
        Share of the light that passed the slit.
    """

    name: str
    model: str
    ab_magnitude: float
    detector_y: tuple[float, ...] = ()
    detector_x: tuple[float, ...] = ()
    wavelength_angstrom: tuple[float, ...] = ()
    flux: tuple[float, ...] = ()
    electrons_per_angstrom: tuple[float, ...] = ()
    slit_transmission: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """Everything that went into one frame.

    Attributes
    ----------
    dispersion : tuple of float
        Vacuum Angstrom as a polynomial in u = (y - shift - bend - 1000) / 1000, lowest order
        first; y is the unbinned 0-based detector row.
    shift_px : float
        Slit position and flexure together.
    bend_px : tuple of float
        Coefficients a, b, c of bend = (a t + b t**2) (1 + c u0), t = (x - 1050) / 100,
        u0 = (y - 1050) / 1000.
    stars, galaxies, trails : tuple of mapping
        Of an image: `field_truth.FieldTruth` row by row.
    place : mapping of str to float
        Of an image: the fields of `place.Place`, FWHM, zero point and extinction.
    cosmic_ray_pixels, cosmic_rays : int
        Pixels that gained more than five times the read noise, and the hits that made them.
    """

    stem: str
    kind: str
    gain_e_per_adu: float
    read_noise_adu: float
    bias_level_adu: float
    airmass: float = 1.0
    seeing_arcsec: float = 0.0
    dispersion: tuple[float, ...] = ()
    shift_px: float = 0.0
    bend_px: tuple[float, float, float] = (0.0, 0.0, 0.0)
    line_fwhm_px: float = 0.0
    objects: tuple[ObjectTruth, ...] = ()
    stars: tuple[Mapping[str, float], ...] = ()
    galaxies: tuple[Mapping[str, float], ...] = ()
    trails: tuple[Mapping[str, Any], ...] = ()
    place: Mapping[str, float] = field(default_factory=dict)
    cosmic_rays: int = 0
    cosmic_ray_pixels: int = 0
    sky_electrons: float = 0.0
    notes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedFrame:
    """The bytes of one raw file and the truth behind them."""

    name: str
    content: bytes
    truth: Truth


@dataclass(frozen=True, slots=True, kw_only=True)
class HiddenPlanes:
    """What no header tells of the pixels of one raw frame.

    Attributes
    ----------
    cosmic_ray_e : (ny, nx) float
        Electrons that cosmic rays left.
    full : (ny, nx) bool
        Where a well is full, bleeding included.
    expected_e : (ny, nx) float
        Electrons without noise and without cosmic rays.
    """

    cosmic_ray_e: Any
    full: Any
    expected_e: Any
