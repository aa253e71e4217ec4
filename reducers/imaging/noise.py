"""The noise of an image, from the light that is expected rather than from the light that came."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import sep

from reducers.imaging.box_mean import mean_of_nine

if TYPE_CHECKING:
    from reducers.frame import Frame, Image

#: Boxes of the sky under the photon noise.
MESH_PX = 64
#: A mean of 3 x 3 pixels that differs from the sky by this many sigma of its own is a source; a
#: pixel so many sigma above the sky is known well enough by itself.
MEAN_SIGMA, PIXEL_SIGMA = 3.0, 10.0


def model_variance(frame: Frame, gain_e_per_adu: float, read_noise_adu: float) -> Frame:
    """Add read and photon noise to the variance of a bias-subtracted image in adu.

    The photons of empty pixels are counted over many of them: counted in each, those that
    happened to be low would get small errors, and every weighted mean would come out low.
    """
    gain, noise = np.float32(gain_e_per_adu), np.float32(read_noise_adu)
    photons = np.clip(expected_light(frame, gain_e_per_adu, read_noise_adu), 0, None) / gain
    return frame.after(
        f"variance: read noise {read_noise_adu:.2f} adu, gain {gain_e_per_adu:.4f} e/adu, "
        "photons of the sky's model",
        variance=frame.variance + noise**2 + photons,
    )


def expected_light(frame: Frame, gain_e_per_adu: float, read_noise_adu: float) -> Image:
    """Return the light (ny, nx) without its noise: sky, small means on sources, bright pixels."""
    data = frame.data.copy()
    mesh = sep.Background(data, mask=~frame.good, bw=MESH_PX, bh=MESH_PX)
    sky = mesh.back(dtype=np.float32)
    level = max(float(mesh.globalback), 0.0)
    sigma = np.float32(np.sqrt(read_noise_adu**2 + level / gain_e_per_adu))
    mean = mean_of_nine(data)
    light = np.where(np.abs(mean - sky) > np.float32(MEAN_SIGMA / 3) * sigma, mean, sky)
    bright = data - sky > np.float32(PIXEL_SIGMA) * sigma
    return np.asarray(np.where(bright, data, light))
