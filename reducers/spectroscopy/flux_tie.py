"""Tie the flux of a spectrum to what an image of the same night says of its target.

A slit loses light, and clouds pass between standard and target: both dim a spectrum greyly. An
image calibrated with the stars on it knows nothing of either, so that one magnitude of the target
sets the level. The shape stays that of the response.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from reducers.frame import Mask, Vector
from reducers.reduced import HOST, TargetMagnitude
from reducers.spectroscopy.flux import AB_ZERO, FLUX_UNIT, SPEED_OF_LIGHT_A_S

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reducers.instrument import Instrument
    from reducers.reduced import ExtractedObject
    from reducers.spectrum import Spectrum

#: AB less Vega magnitude of a source in each band, and g - r of Vega on the AB system
#: (Blanton & Roweis 2007, AJ 133, 734, table 1).
AB_LESS_VEGA = {"U": 0.79, "B": -0.09, "V": 0.02, "R": 0.21, "I": 0.45}
VEGA_COLOUR = -0.24
#: A box in place of the filter's curve, and what lenses and detector do within it (unverified).
BAND_ERROR_MAG = 0.03
#: Share of a passband that has to be covered by good pixels.
LEAST_COVERED = 0.9
#: Magnitudes less certain than this tie nothing, nor does flux less certain than as much.
WORST_MAG = 0.1
#: Factors beyond these tell of another source or a target off the slit, not of a slit loss.
CREDIBLE = (0.3, 10.0)
#: The flanks of a box, of its width.
_FLANK = 0.1
_PER_MAG = math.log(10) / 2.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """Transmission (photons) of a filter at rising wavelengths (Angstrom); 0 outside."""

    wavelength: Vector
    transmission: Vector


@dataclass(frozen=True, slots=True, kw_only=True)
class FluxTie:
    """The factor that gives a spectrum the magnitude of an image.

    Attributes
    ----------
    factor, error : float
        On the flux, and its standard error.
    ab_magnitude : float
        Of the image, on the AB system in the filter's own band.
    """

    factor: float
    error: float
    ab_magnitude: float
    seen: TargetMagnitude

    @property
    def credible(self) -> bool:
        """Whether slit losses and clouds can have done this."""
        return CREDIBLE[0] <= self.factor <= CREDIBLE[1]

    @property
    def in_words(self) -> str:
        """One sentence for the history of a product."""
        return (
            f"flux: times {self.factor:.3f} +- {self.error:.3f}, so that it has the "
            f"{self.seen.filter_name} magnitude of image {self.seen.stem} "
            f"({self.ab_magnitude:.2f} AB)"
        )


def box_band(filter_name: str, instrument: Instrument) -> Band | None:
    """Return a filter as a box with steep flanks; None where the profile knows no width."""
    facts = instrument.filters.get(filter_name, {})
    centre, width = facts.get("centre_nm"), facts.get("width_nm")
    if not centre or not width:
        return None
    half, flank = 5.0 * width, 5.0 * width * _FLANK
    places = (-half - flank, -half + flank, half - flank, half + flank)
    return Band(
        wavelength=10.0 * centre + np.array(places), transmission=np.array([0.0, 1.0, 1.0, 0.0])
    )


def synthetic_ab(spectrum: Spectrum, band: Band) -> tuple[float, float, float]:
    """Return the AB magnitude of a spectrum through a band, its error and the share covered.

    NaN where less than 90 % of the band has good pixels, or where no light is left.

    Notes
    -----
    Synthetic photometry of a photon counter (Bessell & Murphy 2012, PASP 124, 140, eq. A12),
    both integrals over the good pixels; second-order light is none of the target's.
    """
    x = spectrum.wavelength
    through = np.interp(x, band.wavelength, band.transmission, left=0.0, right=0.0)
    good = spectrum.good & ((spectrum.mask & np.uint16(Mask.SECOND_ORDER)) == 0)
    width = np.abs(np.gradient(x))
    whole = float(np.trapezoid(band.transmission, band.wavelength))
    covered = float((through * width)[good].sum()) / whole
    if covered < LEAST_COVERED:
        return float("nan"), float("nan"), covered
    weight = (through * x * width)[good]
    light = float((weight * spectrum.flux[good]).sum())
    if not light > 0:
        return float("nan"), float("nan"), covered
    noise = float(np.sqrt(((weight * spectrum.error[good]) ** 2).sum()))
    per_hz = light / float((through / x * width)[good].sum()) / SPEED_OF_LIGHT_A_S
    return -2.5 * math.log10(per_hz) - AB_ZERO, noise / light / _PER_MAG, covered


def natural_ab(seen: TargetMagnitude) -> float:
    """Return a magnitude in the filter's own band on the AB system.

    Notes
    -----
    The zero point turns counts into the standard band for one colour. In the filter's own band a
    flat spectrum (AB) or Vega has by definition the magnitude of the standard band: what lies
    between the two colours is the colour term's. The target's own colour is not needed.
    """
    vega = seen.system == "Vega"
    anchor = VEGA_COLOUR if vega else 0.0
    offset = AB_LESS_VEGA.get(seen.band, math.nan) if vega else 0.0
    return seen.magnitude + seen.colour_term * (anchor - seen.reference_colour) + offset


def tie_of(
    objects: Sequence[ExtractedObject], seen: Sequence[TargetMagnitude], instrument: Instrument
) -> FluxTie | None:
    """Return the tie by the first magnitude that can give one; None where none can.

    A target on a host is not tied: image and slit catch different shares of the host.
    """
    spectrum = objects[0].spectrum
    if spectrum.unit != FLUX_UNIT or any(item.name == HOST for item in objects):
        return None
    for one in seen:
        band, true = box_band(one.filter_name, instrument), natural_ab(one)
        if band is None or not one.error <= WORST_MAG or not math.isfinite(true):
            continue
        found, noise, _ = synthetic_ab(spectrum, band)
        if not noise <= WORST_MAG:
            continue
        factor = 10 ** (0.4 * (found - true))
        error = factor * _PER_MAG * math.hypot(one.error, noise, BAND_ERROR_MAG)
        return FluxTie(factor=factor, error=error, ab_magnitude=true, seen=one)
    return None


def tie_flux(
    objects: tuple[ExtractedObject, ...], seen: Sequence[TargetMagnitude], instrument: Instrument
) -> tuple[tuple[ExtractedObject, ...], Mapping[str, float]]:
    """Return every object of the slit on the scale of the images, and what was measured.

    Others behind the slit lost as much to clouds and seeing: their ratios to the target stay.
    """
    tie = tie_of(objects, seen, instrument)
    facts = measure_tie(tie, seen, instrument)
    if tie is None or not tie.credible:
        return objects, facts
    return tuple(_tied(item, tie) for item in objects), facts


def _tied(item: ExtractedObject, tie: FluxTie) -> ExtractedObject:
    old, scale_error = item.spectrum, item.scale_error
    new = old.after(
        tie.in_words,
        flux=old.flux * tie.factor,
        error=old.error * tie.factor,
        sky=old.sky * tie.factor,
    )
    if scale_error is not None:
        scale_error = np.hypot(scale_error, tie.error / tie.factor)
    return replace(item, spectrum=new, scale_error=scale_error)


def measure_tie(
    tie: FluxTie | None, seen: Sequence[TargetMagnitude], instrument: Instrument
) -> Mapping[str, float]:
    """Return how the flux was tied; nothing where no image shows the target.

    'tie_filter' is the observatory's number of the filter; 'tie_refused' tells that the factor
    is beyond belief and was not applied.
    """
    if not seen:
        return {}
    if tie is None:
        return {"flux_tied": 0.0}
    facts = instrument.filters.get(tie.seen.filter_name, {})
    return {
        "flux_tied": float(tie.credible),
        "tie_refused": float(not tie.credible),
        "tie_factor": tie.factor,
        "tie_error": tie.error,
        "tie_filter": float(facts.get("id", math.nan)),
        "tie_apart_h": tie.seen.apart_h,
        "tie_off_arcsec": tie.seen.off_arcsec,
    }
