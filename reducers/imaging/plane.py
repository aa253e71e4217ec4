"""What photometry looks at: light above the sky, the noise of the sky, usable pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reducers.frame import Frame, Image
from reducers.imaging.sky_noise import SkyNoise, sky_noise


@dataclass(frozen=True, slots=True)
class Plane:
    """An image made ready to be measured.

    Attributes
    ----------
    light : (ny, nx) float32
        Electrons above the sky; 0 where not usable.
    sky_variance : (ny, nx) float32
        Variance of the sky alone.
    source_variance : (ny, nx) float32
        The frame's variance less that of the sky: the photon noise of the sources; 0 where not
        usable.
    good : (ny, nx) bool
        Pixels that may be used.
    mask : (ny, nx) uint16
        Bits of `Mask`.
    photon_gain : float
        Variance per unit of light of a source.
    binning : float
        Detector pixels per image pixel, mean of both axes.
    """

    light: Image
    sky_variance: Image
    source_variance: Image
    good: NDArray[np.bool_]
    mask: NDArray[np.uint16]
    photon_gain: float
    binning: float = 1.0

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.light.shape[0], self.light.shape[1]


def plane_of(
    frame: Frame,
    background: Image,
    *,
    photon_gain: float | None = None,
    noise: SkyNoise | None = None,
) -> Plane:
    """Return what is to be measured of a frame.

    Parameters
    ----------
    frame : Frame
        Electrons, sky included; for a mean of N frames, too.
    background : (ny, nx) float32
        The sky, in the unit of the frame.
    photon_gain : float, optional
        Variance per unit of light: 1 for one frame in electrons, 1/N for a mean of N; read off
        the bright pixels of the frame's variance unless given.
    noise : SkyNoise, optional
        That of this frame and sky, where it is at hand.
    """
    noise = noise or sky_noise(frame, background)
    sky = noise.variance
    good = frame.good & np.isfinite(frame.data) & np.isfinite(sky)
    light = np.where(good, frame.data - background, 0).astype(np.float32)
    known = good & np.isfinite(frame.variance)
    whole = np.where(known, frame.variance, 0)
    source = np.where(known, np.maximum(whole - np.where(known, sky, 0), 0), 0).astype(np.float32)
    return Plane(
        light=light,
        sky_variance=sky,
        source_variance=source,
        good=good,
        mask=frame.mask,
        photon_gain=noise.photon_gain if photon_gain is None else photon_gain,
        binning=(frame.geometry.x_binning + frame.geometry.y_binning) / 2,
    )
