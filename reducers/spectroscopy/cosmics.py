"""Cosmic rays on single spectra: L.A.Cosmic above a sky model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import astroscrappy
import numpy as np
from scipy.ndimage import median_filter

from reducers.frame import Frame, Mask
from reducers.spectroscopy.extract import model_variance

if TYPE_CHECKING:
    from numpy.typing import NDArray


def flag_cosmic_rays(
    frame: Frame,
    sky: NDArray[np.float64],
    *,
    read_noise_e: float,
    sigma_limit: float = 5.0,
) -> Frame:
    """Mask cosmic rays (data stay as they are).

    Parameters
    ----------
    frame : Frame
        Flat-fielded electrons.
    sky : (ny, nx) electrons
        Sky model: its lines must not be taken for cosmic rays.

    Notes
    -----
    van Dokkum (2001, PASP 113, 1420) as in astroscrappy, with the sky model as background
    and the variance of a smoothed model, so that a hit does not raise its own threshold.
    """
    data = frame.data.astype(np.float32)
    smooth = np.clip(data - sky, 0, None)
    # An object changes slowly along the rows: its median over 31 rows holds no cosmic ray.
    smooth = _row_median(smooth, 31)
    variance = model_variance(sky, smooth, read_noise_e**2).astype(np.float32)
    bad = ~frame.good
    hits, _ = astroscrappy.detect_cosmics(
        data,
        inmask=bad,
        inbkg=sky.astype(np.float32),
        invar=variance,
        gain=1.0,
        readnoise=read_noise_e,
        satlevel=np.inf,
        sigclip=sigma_limit,
        sigfrac=0.3,
        objlim=5.0,
        niter=3,
        sepmed=True,
        cleantype="medmask",
    )
    # The core of a bright, sharp object looks like a cosmic ray across the slit, not along it:
    # what agrees with its neighbours in the dispersion within a quarter stays.
    noise = np.sqrt(variance)
    core = (smooth > 3 * noise) & (data - sky - smooth < sigma_limit * noise + 0.25 * smooth)
    hits &= ~bad & ~core
    mask = frame.mask.copy()
    mask[hits] |= np.uint16(Mask.COSMIC)
    return frame.after(
        f"cosmic rays: {int(hits.sum())} pixels masked at {sigma_limit:g} sigma",
        mask=mask,
    )


def _row_median(image: NDArray[np.floating], rows: int) -> NDArray[np.float64]:
    return np.asarray(median_filter(image, size=(rows, 1)), dtype=np.float64)
