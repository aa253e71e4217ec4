"""The recipes of the detector's own masters: bias and flat."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from reducers.detector.bad_pixels import hot_pixels, unstable_pixels, with_bad_pixels
from reducers.detector.bias_set import sound_members
from reducers.detector.combine import combine, gain_of
from reducers.detector.correct import estimate_variance
from reducers.detector.flat import normalise_flat
from reducers.detector.flat_set import lit_members
from reducers.detector.fringes import flat_fringe_rms
from reducers.detector.overscan import find_level, has_overscan
from reducers.detector.start import start_frame
from reducers.frame import Mask
from reducers.preparation import (
    debiased,
    direction_known,
    flat_floor,
    gain_and_read_noise,
    grism_of,
    levelled,
    slit_offset,
)
from reducers.reduced import Built
from reducers.spectroscopy.dispersion import guess_wavelength

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reducers.frame import Frame, Vector
    from reducers.identity import Identity
    from reducers.instrument import Instrument
    from reducers.reduced import Exposure, SpectrumCalibrations


def build_bias(exposures: Sequence[Exposure], instrument: Instrument) -> Built:
    """Combine biases above their overscan level into a master bias.

    Raises
    ------
    NotEnoughFrames, SetupMismatch, NoOverscan
    """
    detector = instrument.detector
    frames, levels = map(list, zip(*(_levelled(e, instrument) for e in exposures), strict=True))
    if not np.isfinite(levels).all():
        levels = [float(np.median(frame.data)) for frame in frames]
        frames = _at_median_level(frames, levels)
    members = sound_members(frames, [e.stem for e in exposures], levels)
    noise = members.measurements["read_noise_adu"]
    master = combine(members.frames, at_least=3, read_noise=noise)
    bad = hot_pixels(master, noise) | unstable_pixels(members.frames, noise)
    master, condemned = with_bad_pixels(master, bad, "hot or unstable")
    measurements = {
        "frames": float(len(members.frames)),
        "level_adu": float(np.median(master.data)),
        "scatter_adu": float(1.4826 * np.median(np.abs(master.data - np.median(master.data)))),
        **members.measurements,
        **condemned,
    }
    expected = detector.read_noise_adu
    verdict = ""
    if not 0.5 * expected < noise < 2.0 * expected:
        verdict = f"read noise {noise:.1f} adu, expected about {expected:.1f}"
    return Built(
        role="BIAS",
        value=_with_left_out(master, members.left_out),
        measurements=measurements,
        verdict=verdict,
    )


def _levelled(exposure: Exposure, instrument: Instrument) -> tuple[Frame, float]:
    """Return one bias above its overscan and the level of that; NaN where it has none."""
    detector = instrument.detector
    raw = start_frame(exposure.raw.data, exposure.identity.setup, detector)
    known = has_overscan(raw, detector)
    level = float(np.median(find_level(raw, detector).adu)) if known else math.nan
    return levelled(exposure, instrument, started=raw), level


def _at_median_level(frames: Sequence[Frame], levels: Sequence[float]) -> list[Frame]:
    """Shift biases without overscan to the middle of their drift."""
    middle = float(np.median(levels))
    return [
        frame.after(
            f"level: shifted by {middle - level:+.1f} adu, there is no overscan",
            data=frame.data + np.float32(middle - level),
        )
        for frame, level in zip(frames, levels, strict=True)
    ]


def build_flat(
    exposures: Sequence[Exposure], given: SpectrumCalibrations, instrument: Instrument
) -> Built:
    """Combine spectral flats, measure the gain on them and take the lamp's colour out.

    Raises
    ------
    NotEnoughFrames, SetupMismatch, NoOverscan
    """
    identity = exposures[0].identity
    frames = [debiased(e, given.bias, instrument) for e in exposures]
    members = lit_members(frames, [e.stem for e in exposures])
    lit = list(members.frames or frames)
    assumed_gain, noise = gain_and_read_noise(identity, given, instrument)
    gain, gain_error = gain_of(members.frames, noise)
    known = gain if gain_error < 0.02 * gain else assumed_gain
    stacked = combine(_at_one_level([estimate_variance(f, known, noise) for f in lit]))
    level = {
        "frames": float(len(lit)),
        "left_out": float(len(members.left_out)),
        "level_adu": float(np.percentile(stacked.data, 99)),
    }
    level["lamp_adu_per_s"] = level["level_adu"] / _common_seconds(exposures)
    if members.verdict:
        stacked = _with_left_out(stacked, members.left_out)
        return Built(role="FLAT", value=stacked, measurements=level, verdict=members.verdict)
    row_wavelength = _row_wavelength(stacked, identity, instrument)
    flat, measured = normalise_flat(stacked, row_wavelength, flat_floor(identity, instrument))
    has_light = (flat.mask & np.uint16(Mask.NO_FLAT) == 0).any(axis=1)
    measurements = {
        **level,
        "gain_e_per_adu": gain,
        "gain_error": gain_error,
        "fringe_rms": flat_fringe_rms(flat, row_wavelength, has_light),
        **measured,
    }
    return Built(
        role="FLAT",
        value=_with_left_out(flat, members.left_out),
        measurements=measurements,
    )


def _common_seconds(exposures: Sequence[Exposure]) -> float:
    """Return the exposure time; NaN where the exposures differ or it is not known."""
    seconds = {e.identity.exposure_s for e in exposures}
    common = seconds.pop()
    return common if not seconds and common > 0 else math.nan


def _at_one_level(frames: Sequence[Frame]) -> list[Frame]:
    """Scale flats to their median level; variances follow."""
    levels = [float(np.median(frame.data)) for frame in frames]
    factors = [np.float32(np.median(levels) / level) if level > 0 else 1 for level in levels]
    return [
        frame.after(
            "scale to the set's level",
            data=frame.data * factor,
            variance=frame.variance * factor**2,
        )
        for frame, factor in zip(frames, factors, strict=True)
    ]


def _row_wavelength(frame: Frame, identity: Identity, instrument: Instrument) -> Vector:
    """Return the approximate wavelength (Angstrom) of every row; NaN where none can be said."""
    if not direction_known(identity, instrument):
        return np.full(frame.shape[0], np.nan)
    grism = grism_of(identity, instrument)
    rows = frame.geometry.detector_y(np.arange(frame.shape[0]))
    return guess_wavelength(grism, rows - slit_offset(identity, grism))


def _with_left_out(master: Frame, left_out: Sequence[str]) -> Frame:
    """Name in the history what was not combined, and why."""
    for reason in left_out:
        master = master.after(f"left out {reason}")
    return master
