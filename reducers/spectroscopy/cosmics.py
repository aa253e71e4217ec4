"""Cosmic rays on single spectra: L.A.Cosmic above a sky model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import astroscrappy
import numpy as np
from scipy.ndimage import find_objects, label, maximum_filter, minimum_filter

from reducers.frame import Frame, Mask
from reducers.spectroscopy.extract import model_variance
from reducers.spectroscopy.running_median import running_median

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Pixels along every edge that astroscrappy's filters do not look at, with one to spare.
BORDER = 4
#: Pixels around a suspect in which the search goes on: its filters reach six, its border is four.
MARGIN_PX = 12


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
    signal = _smooth_signal(data - sky, np.sqrt(model_variance(sky, None, read_noise_e**2)))
    variance = model_variance(sky, signal, read_noise_e**2).astype(np.float32)
    bad = ~frame.good
    planes = tuple(_mirrored(plane) for plane in (data, bad, sky.astype(np.float32), variance))
    suspects = _suspects(planes, sigma_limit)
    hits = np.zeros(planes[0].shape, bool)
    # There is nothing to find elsewhere.
    for rows, columns in find_objects(label(maximum_filter(suspects, 2 * MARGIN_PX + 1))[0]):
        cut = tuple(plane[rows, columns] for plane in planes)
        hits[rows, columns] |= _detected(cut, read_noise_e, sigma_limit)
    hits = hits[BORDER:-BORDER, BORDER:-BORDER]
    # The core of a bright, sharp object looks like a cosmic ray across the slit, not along it:
    # what agrees with the smooth signal within a quarter stays.
    noise = np.sqrt(variance)
    core = (signal > 3 * noise) & (data - sky - signal < sigma_limit * noise + 0.25 * signal)
    hits &= ~bad & ~core
    mask = frame.mask.copy()
    mask[hits] |= np.uint16(Mask.COSMIC)
    return frame.after(
        f"cosmic rays: {int(hits.sum())} pixels masked at {sigma_limit:g} sigma",
        mask=mask,
    )


def _suspects(planes: tuple[NDArray[Any], ...], sigma_limit: float) -> NDArray[np.bool_]:
    """Return where the Laplacian is steep enough for a hit, with the least noise it may have.

    astroscrappy's Laplacian is that of an image of half pixels, its noise a median over seven
    pixels: with their minimum no hit is overlooked.
    """
    data, _, sky, variance = planes
    above = data - sky
    middle = 2 * above[1:-1, 1:-1]
    beside = [above[1:-1, :-2], above[1:-1, 2:]]
    steep = sum(
        np.maximum(middle - along - across, 0)
        for along in (above[:-2, 1:-1], above[2:, 1:-1])
        for across in beside
    )
    least = np.maximum(minimum_filter(variance - sky, 7) + sky, 0)[1:-1, 1:-1]
    # Four half pixels, against twice the noise.
    return np.pad(steep > 0.999 * 8 * sigma_limit * np.sqrt(least), 1)


def _detected(
    planes: tuple[NDArray[Any], ...], read_noise_e: float, sigma_limit: float
) -> NDArray[np.bool_]:
    data, bad, sky, variance = (np.ascontiguousarray(plane) for plane in planes)
    hits, _ = astroscrappy.detect_cosmics(
        data,
        inmask=bad,
        inbkg=sky,
        invar=variance,
        gain=1.0,
        readnoise=read_noise_e,
        satlevel=np.inf,
        sigclip=sigma_limit,
        sigfrac=0.3,
        objlim=5.0,
        niter=4,
        sepmed=True,
        cleantype="medmask",
    )
    return np.asarray(hits, dtype=bool)


def _mirrored(image: NDArray[Any]) -> NDArray[Any]:
    """Continue an image past its edges by its mirror image: the search skips a border."""
    return np.pad(image, BORDER, mode="reflect")


def _smooth_signal(
    residual: NDArray[np.float64], noise: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the light of objects without cosmic rays, emission lines included.

    An object's continuum is the median over 31 rows. In an emission line a row is brighter than
    that continuum by one factor in all columns of the object; an extended line is as bright in
    all columns around it. A cosmic ray does neither.
    """
    continuum = _median(residual, 31, axis=0)
    np.clip(continuum, 0, None, out=continuum)
    brighter = np.where(continuum > noise, residual, 0)
    brighter /= np.maximum(continuum, noise)
    line = _median(brighter, 7, axis=1)
    del brighter
    np.maximum(line, 1, out=line)
    line *= continuum
    along = _median(residual, 15, axis=1)
    # A track along the slit is one row high, the image of the slit is two or more.
    beside = np.roll(along, 1, axis=0)
    beside += np.roll(along, -1, axis=0)
    return np.maximum(line, np.minimum(along, beside, out=along), out=line)


def _median(image: NDArray[np.floating], length_px: int, *, axis: int) -> NDArray[np.float64]:
    return running_median(image.astype(np.float32), length_px, axis=axis).astype(np.float64)
