"""What goes into a recipe and what comes out of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from reducers.classification.verdict import Classification
from reducers.fits import RawExposure
from reducers.frame import Frame, Vector
from reducers.identity import Identity
from reducers.quality import Flag
from reducers.spectroscopy.response import Response
from reducers.spectroscopy.trace import Trace
from reducers.spectroscopy.wavelength import WavelengthSolution
from reducers.spectrum import Spectrum


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """One raw frame as a recipe takes it."""

    raw: RawExposure
    identity: Identity
    stem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetMagnitude:
    """What a calibrated image of the night says of the target of a spectrum.

    Attributes
    ----------
    stem, filter_name : str
        The image, and its filter as the profile spells it.
    magnitude, error : float
        For a source of `reference_colour`; the error with that of the zero point.
    band, system : str
        Of the magnitude: 'V', 'Vega'; 'r', 'AB'.
    colour_term : float
        Magnitudes to add per magnitude of g - r beyond `reference_colour`.
    apart_h, off_arcsec : float
        Between image and spectrum in time, and between source and target on the sky.
    """

    stem: str
    filter_name: str
    magnitude: float
    error: float
    band: str
    system: str
    colour_term: float = 0.0
    reference_colour: float = 0.6
    apart_h: float = 0.0
    off_arcsec: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SpectrumCalibrations:
    """The masters chosen for one exposure; None where there is none.

    Attributes
    ----------
    dark
        In adu per second.
    illumination
        Of the slit by the sky, over that by the flat's lamp: worth something only with the flat.
    facts
        Ages 'bias_age_h', 'flat_age_h', 'arc_age_h', 'response_age_h'; 'arc_gate_failed', 1 where
        the night's arc was refused and 0.5 where another night's stands in; and what the masters
        measured: 'bias_read_noise_adu', 'flat_gain_e_per_adu', 'flat_gain_error'.
    magnitudes
        Of the target on images of the same night, the nearest in time first.
    """

    bias: Frame | None = None
    dark: Frame | None = None
    flat: Frame | None = None
    wavelengths: WavelengthSolution | None = None
    response: Response | None = None
    illumination: Frame | None = None
    facts: Mapping[str, float] = field(default_factory=dict)
    magnitudes: tuple[TargetMagnitude, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A master, what was measured on it, and why it must not be used ('' when it may)."""

    role: str
    value: Frame | WavelengthSolution | Response
    measurements: Mapping[str, float]
    verdict: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpectrumSettings:
    """What a user may choose about one reduction.

    Attributes
    ----------
    cosmic_sigma
        Threshold of the cosmic-ray search, sigma of the noise.
    seeing_arcsec
        Width that the object finder expects.
    centroid_px
        Extract here (image column) instead of where an object is found.
    clean_cosmics
        Search cosmic rays at all.
    aperture_px
        Half-width of the plain sum (image columns); without it, where the profile has fallen to
        a tenth of its peak.
    region_px
        First and last column in which objects are looked for.
    background_px
        First and last column of every strip that shows the sky; without any, all columns beside
        the objects.
    mask_angstrom
        First and last vacuum wavelength of every range that is left out (marked BAD).
    method
        'optimal' or 'boxcar': which extraction becomes the published spectrum.
    wavelengths
        'vacuum' or 'air': in what the products tell wavelengths.
    tie_flux
        Bring the flux to the magnitude that an image of the same night gives the target.
    """

    cosmic_sigma: float = 5.0
    seeing_arcsec: float = 1.2
    centroid_px: float | None = None
    clean_cosmics: bool = True
    aperture_px: float | None = None
    region_px: tuple[float, float] | None = None
    background_px: tuple[tuple[float, float], ...] = ()
    mask_angstrom: tuple[tuple[float, float], ...] = ()
    method: str = "optimal"
    wavelengths: str = "vacuum"
    tie_flux: bool = True


#: Name of the extended light under the target, an object of its own.
HOST = "HOST"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractedObject:
    """One object on the slit.

    Attributes
    ----------
    spectrum
        Flux-calibrated where a response was given, else electrons.
    counts, boxcar
        Electrons per pixel: by the method that was chosen, and a plain sum as a check.
    snr
        Median signal-to-noise per pixel where the response is good.
    transmission
        Telluric transmission by which the flux was divided; None without a response.
    scale_error
        Relative error of the flux scale, common to neighbouring pixels and not part of the
        spectrum's own errors; None without a response.
    """

    name: str
    spectrum: Spectrum
    counts: Spectrum
    boxcar: Spectrum
    trace: Trace
    fwhm_px: float
    snr: float
    transmission: Vector | None = None
    scale_error: Vector | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReducedSpectrum:
    """Everything that one spectroscopic exposure gave.

    Attributes
    ----------
    objects
        The target first; never empty (an object that was not found is extracted where it
        should be).
    image
        Flat-fielded electrons before sky subtraction, cosmic rays masked.
    classification
        What the target is; None where nobody asked (no templates, or no target of science).
    sky, wavelengths : (ny, nx)
        Sky model in electrons, and vacuum Angstrom (detector pixels where `in_pixels`).
    slit_profile : (nx,)
        Mean signal along the slit, electrons per row.
    """

    objects: tuple[ExtractedObject, ...]
    image: Frame
    sky: NDArray[np.float64]
    wavelengths: NDArray[np.float64]
    slit_profile: Vector
    measurements: Mapping[str, float]
    flags: tuple[Flag, ...]
    quality: int
    solution: WavelengthSolution | None
    response: Response | None
    classification: Classification | None = None

    @property
    def in_pixels(self) -> bool:
        """True where no wavelengths are known."""
        return self.solution is not None and self.solution.grism.in_pixels
