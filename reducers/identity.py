"""What a raw frame is, as read once from its header."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class FrameKind(StrEnum):
    """What an exposure was taken for."""

    BIAS = "BIAS"
    DARK = "DARK"
    ARC = "ARC"
    SPEC_FLAT = "SPEC_FLAT"
    SPEC_STD = "SPEC_STD"
    SPEC_OBJECT = "SPEC_OBJECT"
    SPEC_SKYFLAT = "SPEC_SKYFLAT"
    SLITLESS = "SLITLESS"
    IMG_FLAT = "IMG_FLAT"
    IMG_OBJECT = "IMG_OBJECT"
    ACQUISITION = "ACQUISITION"
    SLIT_IMAGE = "SLIT_IMAGE"
    FOCUS = "FOCUS"
    FLAT_TEST = "FLAT_TEST"
    POLARIMETRY = "POLARIMETRY"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """The optical and readout set-up that calibrations must share.

    Attributes
    ----------
    x_binning, y_binning : int
        Detector pixels per image pixel.
    window : tuple of int
        x1, x2, y1, y2: unbinned detector pixels, 1-based, inclusive.
    readout : str
        Amplifier, readout mode and speed, e.g. 'D-8-200'.
    grism, slit : str
        Names as the profile spells them; '' when out of the beam.
    filter : str
        Short name; 'A+B' when two are in; '' when none.
    """

    x_binning: int
    y_binning: int
    window: tuple[int, int, int, int]
    readout: str
    grism: str = ""
    slit: str = ""
    filter: str = ""

    @property
    def detector_key(self) -> str:
        """Binning, window and readout: what biases must share."""
        x1, x2, y1, y2 = self.window
        return f"{self.x_binning}x{self.y_binning}/{x1}:{x2},{y1}:{y2}/{self.readout}"

    @property
    def dispersion_axis(self) -> str:
        """'x' behind a vertical slit, 'y' behind every other."""
        return "x" if "vert" in self.slit.casefold() else "y"

    @property
    def slit_binning(self) -> int:
        """Detector pixels per image pixel along the slit."""
        return self.y_binning if self.dispersion_axis == "x" else self.x_binning

    @property
    def dispersion_binning(self) -> int:
        """Detector pixels per image pixel along the dispersion."""
        return self.x_binning if self.dispersion_axis == "x" else self.y_binning


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Everything the pipeline wants from one raw header; None or '' where it is not known.

    Attributes
    ----------
    reasons : tuple of str
        Why this kind was chosen, and every warning, as short sentences.
    missing : tuple of str
        Header keys that were wanted but absent or unusable.
    lamps : tuple of str
        Lamps that were lit: 'He', 'Ne', 'ThAr', 'Ar', 'Halogen'.
    standard : str
        Name of the spectrophotometric standard, as in the profile's table.
    on_object : bool
        Taken at the target's position (an arc on the object).
    standard_off_arcsec : float or None
        Between the pointing and the standard, at the epoch of the exposure.
    target_off_arcsec : float or None
        Between the pointing and the coordinates that the catalogue entry names.
    target_ra_deg, target_dec_deg : float or None
        Of that entry, for exposures of the sky; it may be stale: compare it with the pointing.
    aperture_y_px : float or None
        Position of the slit on the detector; predicts the wavelength zero point.
    rotator_deg : float or None
        Mechanical rotator angle (flexure).
    telescope_focus, detector_temperature_c : float or None
        Focus position in the units of the header, and the temperature of the detector.
    sequence : tuple of int or None
        Declared (number, total) within a sequence of exposures; total 0 when not declared.
    """

    instrument: str
    kind: FrameKind
    setup: Setup
    observed_at: datetime | None
    exposure_s: float
    object_name: str = ""
    target: str = ""
    ra_deg: float | None = None
    dec_deg: float | None = None
    airmass: float | None = None
    gain_e_per_adu: float | None = None
    read_noise_e: float | None = None
    lamps: tuple[str, ...] = ()
    standard: str = ""
    standard_off_arcsec: float | None = None
    target_off_arcsec: float | None = None
    target_ra_deg: float | None = None
    target_dec_deg: float | None = None
    on_object: bool = False
    aperture_y_px: float | None = None
    rotator_deg: float | None = None
    field_deg: float | None = None
    altitude_deg: float | None = None
    telescope_focus: float | None = None
    detector_temperature_c: float | None = None
    programme: str = ""
    block: str = ""
    sequence: tuple[int, int] | None = None
    reasons: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
