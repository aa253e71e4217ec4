"""An instrument as data: the dataclasses over `instruments/*.toml`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from reducers.errors import ProfileError
from reducers.identity import FrameKind
from reducers.profile_imaging import Imaging

#: Status of the stand-in for a grism whose wavelengths nobody knows.
IN_PIXELS = "pixels"
#: Ways to subtract the overscan.
OVERSCAN_MODES = ("constant", "ramp", "column", "full", "trim")


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A box on the detector: unbinned, 0-based, half-open."""

    x_start: int
    x_stop: int
    y_start: int
    y_stop: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Detector:
    """Geometry and electronics of the detector.

    Attributes
    ----------
    columns, rows : int
        Full unbinned raw size.
    image : Section
        Pixels that see light.
    overscan : tuple of Section
        Boxes that are safe to use as overscan, the best first.
    overscan_mode : str
        'constant', 'ramp', 'column', 'full' or 'trim': see `reducers.detector.overscan`.
    wraps_negative : bool
        Counts below zero are written modulo 2**32.
    gain_e_per_adu, read_noise_adu : float
        Used when the header has none; read noise as measured.
    nonlinear_adu : float
        Above this the response departs by more than 1 %.
        Raw counts, whatever the binning: which of well and amplifier sets it is not known.
    full_well_adu : float
        Raw count at which one detector pixel is full; binning adds wells together.
    converter_adu : float
        Raw count at which amplifier and converter clip, however many wells were added.
    dark_e_per_hour : float
        Dark signal of one unbinned pixel; 0 where nobody stated it.
    linearity : tuple of float
        True counts = counts (1 + a x + b x^2 + ...), x = counts / 100 000 above the bias; empty
        where no correction is known, and then none is made.
    """

    name: str
    columns: int
    rows: int
    image: Section
    overscan: tuple[Section, ...]
    wraps_negative: bool
    gain_e_per_adu: float
    read_noise_adu: float
    nonlinear_adu: float
    full_well_adu: float
    converter_adu: float
    pixel_scale_arcsec: float
    overscan_mode: str = "constant"
    linearity: tuple[float, ...] = ()
    dark_e_per_hour: float = 0.0

    def __post_init__(self) -> None:
        if self.overscan_mode not in OVERSCAN_MODES:
            raise ProfileError(
                f"overscan_mode is {self.overscan_mode!r}, not one of {', '.join(OVERSCAN_MODES)}"
            )

    def saturation_adu(self, x_binning: int, y_binning: int) -> float:
        """Return the raw count above which a pixel of this binning is saturated."""
        return min(self.full_well_adu * x_binning * y_binning, self.converter_adu)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArcLine:
    """One lamp line: vacuum Angstrom, relative strength (0 when unknown), 'HeI', 'NeI', ..."""

    wavelength_angstrom: float
    ion: str
    strength: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Grism:
    """A grism and where it puts which wavelength.

    Attributes
    ----------
    first_guess : tuple of float
        Vacuum Angstrom as a polynomial in u = (detector_y - reference_px) / scale_px,
        lowest order first, for a slit at `slit_reference_px`; empty where nobody knows it.
    valid_px : tuple of float
        Detector pixels between which the guess is measured.
    range_angstrom : tuple of float
        What the grism passes usefully.
    flat_floor_angstrom : float
        Blueward of this the lamp gives no light and no flat is divided.
    degree : int
        Degree of the wavelength polynomial along the dispersion.
    rms_limit_angstrom : float
        Largest acceptable arc residual.
    second_order_angstrom : float
        From here on the second order of blue light falls on the first when no filter blocks
        it; 0 where that does not happen or is not known.
    """

    name: str
    first_guess: tuple[float, ...]
    reference_px: float
    scale_px: float
    slit_reference_px: float
    valid_px: tuple[float, float]
    range_angstrom: tuple[float, float]
    flat_floor_angstrom: float
    degree: int
    rms_limit_angstrom: float
    status: str = "measured"
    second_order_angstrom: float = 0.0

    @property
    def in_pixels(self) -> bool:
        """True where no wavelength is known and the detector pixel takes its place."""
        return self.status == IN_PIXELS


@dataclass(frozen=True, slots=True, kw_only=True)
class VerticalSlits:
    """How spectra lie behind slits that stand along the detector's y.

    Attributes
    ----------
    axis_px : float
        Detector x that takes the place of a grism's `slit_reference_px`.
    directions : tuple of int
        1 where wavelengths run along x as they do along y, -1 where mirrored; both when unknown.
    search_px : float
        How far from `axis_px` the zero point is looked for.
    """

    axis_px: float
    directions: tuple[int, ...]
    search_px: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Standard:
    """A spectrophotometric standard: position (J2000) and reference AB magnitudes.

    Attributes
    ----------
    wavelength_angstrom, ab_magnitude, bandpass_angstrom : tuple of float
        Reference table, wavelengths as published: in air or vacuum, see `medium`.
    medium : str
        'air' (the older tables) or 'vacuum' (CALSPEC).
    pm_ra_mas_yr, pm_dec_mas_yr : float
        Proper motion from 2000.0 on; the former on the sky (with cos Dec).
    radial_velocity_km_s : float
        Heliocentric; 0 where it is small or not known.
    verified : bool
        False where the position rests on memory only.
    """

    name: str
    aliases: tuple[str, ...]
    ra_deg: float
    dec_deg: float
    wavelength_angstrom: tuple[float, ...]
    ab_magnitude: tuple[float, ...]
    bandpass_angstrom: tuple[float, ...]
    source: str
    medium: str = "air"
    pm_ra_mas_yr: float = 0.0
    pm_dec_mas_yr: float = 0.0
    radial_velocity_km_s: float = 0.0
    verified: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class SetRule:
    """When a set of calibration frames is complete and what its members share.

    Attributes
    ----------
    same : tuple of str
        Fields of `Setup` that must agree ('detector' = binning, window and readout).
    at_least : int
        Members without which no master is built.
    closes_after_s : float
        Quiet time after the last member that closes the set.
    within_days : float
        Oldest master that is still used for a frame.
    """

    kind: FrameKind
    same: tuple[str, ...]
    at_least: int
    closes_after_s: float
    within_days: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One classification rule: the kind, and the conditions that must all hold.

    Attributes
    ----------
    where : mapping of str to mapping
        Fact -> {test: argument}; the tests are those of `reducers.rules`.
    because : str
        The reason that is stored with the frame.
    """

    kind: FrameKind
    where: Mapping[str, Mapping[str, Any]]
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Caution:
    """A sentence that is added to the reasons of a frame when all conditions hold."""

    says: str
    where: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """One instrument profile.

    Attributes
    ----------
    header : mapping of str to str
        Our name -> header keyword(s); the only place keywords appear.
    rules : tuple of Rule
        Classification rules; the first that holds names the kind.
    warnings : tuple of Caution
        Sentences added to the reasons when their condition holds.
    recognised_by : mapping of str to tuple of str
        Header keyword -> texts, one of which its value must contain.
    lamps : mapping of str to str
        Header keyword that is 1 when the lamp is lit -> 'He', 'Ne', 'Halogen', ...
    flat_lamps : mapping of str to str
        The same for lamps that light the dome or the baffle.
    out_of_beam : tuple of str
        A wheel whose name contains one of these (case-insensitively) is empty.
    standard_radius_arcsec : float
        How far the pointing may be from a standard to be called that standard.
    vertical_slits : VerticalSlits or None
        None where spectra along the detector's x are refused.
    imaging : Imaging or None
        None where nobody said how images lie on the sky.
    slit_from_field_deg : float
        Position angle of a horizontal slit, less the header's `field` angle.
    slit_direction : int
        1 where detector x grows along the position angle of a horizontal slit, -1 where it falls,
        0 where nobody measured it.
    target_x_px : float or None
        Where observers put the target on a horizontal slit, detector x (unbinned, 0-based); None
        where nobody measured it.
    dark_sky_rate : float
        Median of a dark sky, electrons / s / Angstrom / arcsec^2; 0 where nobody measured it.
    running_number : str
        Regular expression with the groups 'prefix' and 'number' of raw names that carry a count;
        '' where they do not.
    unverified : tuple of str
        What this profile states without a measurement behind it.
    digest : str
        SHA-256 over the profile and its tables; enters the product key.
    """

    name: str
    telescope: str
    file_pattern: str
    longitude_deg: float
    latitude_deg: float
    elevation_m: float
    detector: Detector
    header: Mapping[str, Any]
    rules: tuple[Rule, ...]
    grisms: Mapping[str, Grism]
    slits_arcsec: Mapping[str, float]
    lines: tuple[ArcLine, ...]
    standards: tuple[Standard, ...]
    extinction_angstrom: tuple[float, ...]
    extinction_mag_per_airmass: tuple[float, ...]
    sets: Mapping[FrameKind, SetRule]
    vertical_slits: VerticalSlits | None = None
    imaging: Imaging | None = None
    filters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    running_number: str = ""
    warnings: tuple[Caution, ...] = ()
    recognised_by: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    lamps: Mapping[str, str] = field(default_factory=dict)
    flat_lamps: Mapping[str, str] = field(default_factory=dict)
    out_of_beam: tuple[str, ...] = ("open",)
    standard_radius_arcsec: float = 60.0
    slit_from_field_deg: float = 0.0
    slit_direction: int = 0
    target_x_px: float | None = None
    dark_sky_rate: float = 0.0
    unverified: tuple[str, ...] = ()
    digest: str = ""


def shows_fringes(filter_name: str, instrument: Instrument) -> bool:
    """Tell whether the profile knows fringes in this filter."""
    parts = filter_name.split("+")
    return any(instrument.filters.get(part, {}).get("fringes", False) for part in parts)
