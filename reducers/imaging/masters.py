"""The recipes of the images' own masters: sky flat, dark and fringe pattern."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from reducers.detector.bad_pixels import with_bad_pixels
from reducers.detector.combine import combine, gain_of
from reducers.detector.correct import estimate_variance
from reducers.errors import NotEnoughFrames
from reducers.identity import FrameKind
from reducers.imaging.fringe import (
    FEWEST_EXPOSURES,
    LEAST_DITHER_ARCSEC,
    fringe_pattern,
    sky_structure_beside_sources,
)
from reducers.imaging.preparation import image_electrons
from reducers.imaging.sky_flat import (
    STARS_LEFT,
    STARS_LEFT_PER_MEGAPIXEL,
    SkyFlatSet,
    fit_members,
    middle_level,
    normalise_sky_flat,
)
from reducers.preparation import above_bias, gain_and_read_noise
from reducers.reduced import Built

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reducers.frame import Frame
    from reducers.imaging.reduced_image import ImageCalibrations
    from reducers.instrument import Instrument
    from reducers.reduced import Exposure

#: A dark pixel stands out when it exceeds the others by so many sigma.
WARM_SIGMA = 8.0
#: More dark signal than this (electrons per second) is light, not dark current.
LEAK_E_PER_S = 0.5
#: Exposures that are held in memory together; of more, as many are taken evenly.
MOST_EXPOSURES = 10


def build_sky_flat(
    exposures: Sequence[Exposure], given: ImageCalibrations, instrument: Instrument
) -> Built:
    """Combine flats of the twilight sky or the dome into the response of one filter.

    Raises
    ------
    NotEnoughFrames, SetupMismatch, NoOverscan
    """
    identity = exposures[0].identity
    assumed_gain, noise = gain_and_read_noise(identity, given, instrument)
    chosen = spread_over(exposures, MOST_EXPOSURES)
    frames = [above_bias(e, given.bias, instrument) for e in chosen]
    members = fit_members(frames, [e.stem for e in chosen], assumed_gain)
    gain, gain_error = gain_of(_brightest(members), noise)
    known = gain if gain_error < 0.02 * gain else assumed_gain
    lit, number, left_out = list(members.frames or frames), len(members.frames), members.left_out
    measurements = {
        "frames": float(number),
        "left_out": float(len(left_out)),
        "gain_e_per_adu": gain,
        "gain_error": gain_error,
        **members.measurements,
    }
    del frames, members  # full frames in numbers fill the memory
    level = float(np.median([middle_level(frame) for frame in lit]))
    for index in range(len(lit)):
        lit[index] = at_level(estimate_variance(lit[index], known, noise), level)
    stacked = combine(lit)
    del lit
    flat, measured = normalise_sky_flat(stacked)
    for reason in left_out:
        flat = flat.after(f"left out {reason}")
    measurements |= measured
    at_least = instrument.sets[FrameKind.IMG_FLAT].at_least
    verdict = _why_too_few(number, len(chosen), at_least, left_out) or _why_stars(
        measured["stars_left"], flat.data.size
    )
    return Built(role="SKY_FLAT", value=flat, measurements=measurements, verdict=verdict)


def _why_too_few(number: int, taken: int, at_least: int, left_out: Sequence[str]) -> str:
    if number >= at_least:
        return ""
    why = f" ({left_out[0]})" if left_out else ""
    return f"{number} of {taken} flats are fit, {at_least} are needed{why}"


def _why_stars(stars: float, pixels: int) -> str:
    if stars <= max(STARS_LEFT, STARS_LEFT_PER_MEGAPIXEL * pixels / 1e6):
        return ""
    return (
        f"{stars:.0f} stars of the twilight sky are left on it: move the telescope by ten arcsec "
        "or more between the flats"
    )


def _brightest(members: SkyFlatSet) -> list[Frame]:
    """Return the four brightest members by level, so that pairs for the gain are alike."""
    order = np.argsort(members.levels_adu)[-4:]
    return [members.frames[int(i)] for i in order]


def at_level(frame: Frame, level: float) -> Frame:
    """Scale a flat to a level of its middle; the variance follows."""
    own = middle_level(frame)
    factor = np.float32(level / own if own > 0 else 1.0)
    return frame.after(
        "scale to the set's level",
        data=frame.data * factor,
        variance=frame.variance * factor**2,
    )


def build_dark(
    exposures: Sequence[Exposure], given: ImageCalibrations, instrument: Instrument
) -> Built:
    """Combine dark exposures into adu per second; pixels that stand far out are BAD.

    Raises
    ------
    NotEnoughFrames, SetupMismatch, NoOverscan
    """
    gain, noise = gain_and_read_noise(exposures[0].identity, given, instrument)
    rates = []
    for exposure in exposures:
        frame = estimate_variance(above_bias(exposure, given.bias, instrument), gain, noise)
        seconds = np.float32(max(exposure.identity.exposure_s, 0.1))
        rates.append(
            frame.after(
                "dark: over its exposure time",
                data=frame.data / seconds,
                variance=frame.variance / seconds**2,
                unit="adu/s",
            )
        )
    master = combine(rates, at_least=3)
    level = float(np.median(master.data))
    sigma = 1.4826 * float(np.median(np.abs(master.data - level)))
    master, warm = with_bad_pixels(
        master, np.abs(master.data - level) > WARM_SIGMA * max(sigma, 1e-9), "warm"
    )
    rate = level * gain
    verdict = ""
    if rate > LEAK_E_PER_S:
        verdict = f"{rate:.2f} electrons per second are light, not dark signal: was the dome dark?"
    measurements = {
        "frames": float(len(rates)),
        "dark_e_per_hour": 3600 * rate,
        "scatter_e_per_hour": 3600 * sigma * gain,
        **warm,
    }
    return Built(role="DARK", value=master, measurements=measurements, verdict=verdict)


def build_fringe(
    exposures: Sequence[Exposure], given: ImageCalibrations, instrument: Instrument
) -> Built:
    """Combine moved exposures of one filter into the pattern of its fringes.

    Every exposure stands at its own sky with its sources masked, hence frames of different fields
    and brightness may be mixed.

    Raises
    ------
    NotEnoughFrames
        If there are fewer than four.
    SetupMismatch, NoOverscan
    """
    if len(exposures) < FEWEST_EXPOSURES:
        raise NotEnoughFrames(
            f"{len(exposures)} exposures, {FEWEST_EXPOSURES} are needed for the fringes of a filter"
        )
    chosen = spread_over(exposures, MOST_EXPOSURES)
    structures = [_structure(exposure, given, instrument) for exposure in chosen]
    pattern, measurements, verdict = fringe_pattern(structures)
    if not verdict:  # once more, now that faint sources can be told from the crests
        for index, exposure in enumerate(chosen):
            structures[index] = _structure(exposure, given, instrument, pattern)
        pattern, measurements, verdict = fringe_pattern(structures)
    moved = dither_arcsec(exposures)
    measurements["dither_arcsec"] = moved
    if moved < LEAST_DITHER_ARCSEC:
        verdict = (
            f"the telescope moved by {moved:.1f} arcsec only: move it by ten or more between the "
            "exposures"
        )
    return Built(role="FRINGE", value=pattern, measurements=measurements, verdict=verdict)


def _structure(
    exposure: Exposure,
    given: ImageCalibrations,
    instrument: Instrument,
    pattern: Frame | None = None,
) -> Frame:
    """Return the small structure of one sky; a first pattern tells its sources from the crests."""
    frame, _ = image_electrons(exposure, given, instrument)
    return sky_structure_beside_sources(frame, pattern)


def spread_over(exposures: Sequence[Exposure], most: int) -> list[Exposure]:
    """Return at most so many exposures, evenly from first to last."""
    if len(exposures) <= most:
        return list(exposures)
    return [exposures[int(i)] for i in np.linspace(0, len(exposures) - 1, most).round()]


def dither_arcsec(exposures: Sequence[Exposure]) -> float:
    """Return the median distance of the pointings from their mean; infinite where not known."""
    places = [(e.identity.ra_deg, e.identity.dec_deg) for e in exposures]
    known = np.array([place for place in places if None not in place], np.float64)
    if len(known) < len(exposures):
        return float("inf")
    dec = known[:, 1]
    ra = np.unwrap(np.radians(known[:, 0])) * np.cos(np.radians(dec.mean()))
    offsets = np.hypot(ra - ra.mean(), np.radians(dec - dec.mean()))
    return float(np.degrees(np.median(offsets))) * 3600
