"""Bias, gain, variance and flat: the arithmetic that carries errors and masks."""

from __future__ import annotations

import numpy as np

from reducers.errors import SetupMismatch
from reducers.frame import Frame, Image, Mask

#: Pixels with a smaller flat are not divided but marked.
LEAST_FLAT = 0.2


def require_same_pixels(frame: Frame, master: Frame, role: str) -> None:
    """Refuse a master of another binning or window.

    Raises
    ------
    SetupMismatch
        Naming both sides.
    """
    if frame.shape != master.shape or frame.geometry != master.geometry:
        raise SetupMismatch(
            f"{role} has {master.shape} at {master.geometry}, the frame {frame.shape} at "
            f"{frame.geometry}"
        )


def subtract_bias(frame: Frame, master: Frame) -> Frame:
    """Subtract a master bias and add its variance."""
    require_same_pixels(frame, master, "master bias")
    return frame.after(
        "bias: master subtracted",
        data=frame.data - master.data,
        variance=frame.variance + master.variance,
        mask=frame.mask | master.mask,
    )


def estimate_variance(frame: Frame, gain_e_per_adu: float, read_noise_adu: float) -> Frame:
    """Add read and photon noise to the variance of a bias-subtracted frame in adu.

    Weights in the extraction do not use this plane, whose noise follows the data
    (see `reducers.spectroscopy.extract.model_variance`).
    """
    photons = np.clip(frame.data, 0, None) / np.float32(gain_e_per_adu)
    return frame.after(
        f"variance: read noise {read_noise_adu:.2f} adu, gain {gain_e_per_adu:.4f} e/adu",
        variance=frame.variance + np.float32(read_noise_adu**2) + photons,
    )


def apply_gain(frame: Frame, gain_e_per_adu: float) -> Frame:
    """Turn adu into electrons."""
    gain = np.float32(gain_e_per_adu)
    return frame.after(
        f"gain: times {gain_e_per_adu:.4f} e/adu",
        data=frame.data * gain,
        variance=frame.variance * gain**2,
        unit="electron",
    )


def relative_variance(flat: Frame) -> Image:
    """Return the squared relative error that dividing by a flat adds; 0 where it is not used."""
    usable = (flat.data > LEAST_FLAT) & flat.good
    safe = np.where(usable, flat.data, np.float32(1))
    return np.asarray(np.where(usable, flat.variance / safe**2, 0), np.float32)


def subtract_dark(frame: Frame, dark: Frame, exposure_s: float) -> Frame:
    """Subtract a master dark (adu per second) scaled to an exposure, adding its variance."""
    require_same_pixels(frame, dark, "dark")
    seconds = np.float32(exposure_s)
    return frame.after(
        f"dark: master subtracted for {exposure_s:g} s",
        data=frame.data - dark.data * seconds,
        variance=frame.variance + dark.variance * seconds**2,
        mask=frame.mask | dark.mask,
    )


def divide_flat(frame: Frame, flat: Frame) -> Frame:
    """Divide by a normalised flat, adding its relative variance.

    Pixels where the flat is unusable or below 0.2 keep their value and are masked.
    """
    require_same_pixels(frame, flat, "flat")
    usable = (flat.data > LEAST_FLAT) & flat.good
    divisor = np.where(usable, flat.data, np.float32(1))
    relative = relative_variance(flat)
    data = frame.data / divisor
    mask = frame.mask | flat.mask
    mask[~usable] |= np.uint16(Mask.BAD)
    return frame.after(
        "flat: divided",
        data=data,
        variance=frame.variance / divisor**2 + relative * data**2,
        mask=mask,
    )
