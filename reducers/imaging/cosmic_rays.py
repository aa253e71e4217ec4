"""Cosmic rays on images: L.A.Cosmic where there may be a hit; cores of stars are given back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import astroscrappy
import numpy as np
from astroscrappy.utils import sepmedfilt5, sepmedfilt9
from scipy.ndimage import label

from reducers.detector.grow import grown
from reducers.frame import UNUSABLE, Frame, Mask
from reducers.imaging.separable_median import median_of_five, median_of_seven
from reducers.imaging.star_cores import star_cores

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

#: Pixels along the edges of a window that its filters spoil.
BORDER = 10
#: Pixels around a suspect in which the search goes on: the filters' reach and the border.
MARGIN_PX = 13
#: Suspects are searched by blocks of so many pixels: the box around all that hang together would
#: hold most of the image.
BLOCK_PX = 48
#: So near to an unusable pixel the search itself finds nothing (astroscrappy grows its mask).
UNSEARCHED_PX = 1
#: More of an image than this as steep as a hit, and all of it is masked as it stands: a detector
#: full of hot pixels, which a search would take minutes to sort.
MOST_STEEP = 0.05
#: Pixels whose surroundings are looked at together.
TOGETHER = 20_000
#: Least steepness of a hit over the fine structure that a star's core has.
CONTRAST = 5.0
#: Neighbours of a hit are hit too above this fraction of the threshold.
GROWTH = 0.3
ROUNDS = 3
#: Of the threshold, by how much a hit must stand above its four neighbours.
SUMMIT = 0.5
#: Pixels beside a hit are hit too where they stand out by so much of the noise and fine structure.
BESIDE_SIGMA, BESIDE_FINE = 3.0, 2.0
#: A track is followed so far from what was found of it.
FOLLOWED_PX = 12


def find_cosmic_rays(frame: Frame, read_noise_e: float, *, sigma: float = 4.5) -> Frame:
    """Mask cosmic rays (data stay as they are).

    Parameters
    ----------
    frame : Frame
        Electrons on native pixels, sky included; saturated and bled pixels are in its mask.
    read_noise_e
        Electrons; the least noise that a pixel may have.
    sigma
        Threshold, in units of the noise.

    Notes
    -----
    van Dokkum (2001, PASP 113, 1420) as in astroscrappy (separable medians), with the variance
    plane smoothed by a median, so that a hit does not raise its own threshold. Only the
    surroundings of what is steep are searched: there is nothing to find elsewhere. What is as
    wide as a star in both directions is given back (`star_cores`).
    """
    unusable = (frame.mask & np.uint16(UNUSABLE)) != 0
    unusable |= ~np.isfinite(frame.data) | ~np.isfinite(frame.variance)
    if unusable.all():
        return frame.after("cosmic rays: no pixel to search")
    level = np.median(frame.data[~unusable][::7])
    data = _mirrored(np.where(np.isfinite(frame.data), frame.data, level))
    planes = data, _mirrored(unusable), _smooth_variance(frame, read_noise_e)
    noise, smooth = np.sqrt(planes[2]), median_of_five(data)
    suspects = _suspects(data, smooth, noise, planes[1], sigma)
    if np.count_nonzero(suspects) > MOST_STEEP * data.size:
        return _all_masked(frame, suspects[BORDER:-BORDER, BORDER:-BORDER])
    hits = _searched_windows(planes, suspects, sigma)
    hits = _followed(hits, data - smooth, smooth, noise) & ~planes[1]
    hits = _beside_summits(hits, data, planes[2], sigma)[BORDER:-BORDER, BORDER:-BORDER]
    hits &= ~unusable
    # The flat top of a saturated star is as steep as a hit at its rim.
    saturated = (frame.mask & np.uint16(Mask.SATURATED)) != 0
    hits &= ~grown(saturated, rows=2, columns=2)
    hits &= ~star_cores(frame, hits)
    mask = frame.mask.copy()
    mask[hits] |= np.uint16(Mask.COSMIC)
    done = f"cosmic rays: {int(hits.sum())} pixels masked at {sigma:g} sigma"
    return frame.after(done, mask=mask)


def _smooth_variance(frame: Frame, read_noise_e: float) -> NDArray[np.float32]:
    """Return the variance without hits, nowhere below that of the readout."""
    known = np.where(np.isfinite(frame.variance), frame.variance, np.float32(0))
    return median_of_seven(_mirrored(np.maximum(known, np.float32(read_noise_e**2))))


def _all_masked(frame: Frame, suspects: NDArray[np.bool_]) -> Frame:
    """Mask whatever is steep."""
    mask = frame.mask.copy()
    mask[suspects] |= np.uint16(Mask.COSMIC)
    share = 100 * float(suspects.mean())
    return frame.after(f"cosmic rays: {share:.0f} % of the pixels are steep, all masked", mask=mask)


def _mirrored(image: NDArray[Any]) -> NDArray[Any]:
    """Continue an image past its edges by its mirror image: the search skips a border."""
    return np.pad(image, BORDER, mode="reflect")


def _searched_windows(
    planes: tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.float32]],
    suspects: NDArray[np.bool_],
    sigma: float,
) -> NDArray[np.bool_]:
    """Return the hits of data, unusable pixels and variance, window by window."""
    data, unusable, variance = planes
    hits = np.zeros(data.shape, bool)
    for window in _windows(suspects):
        found = _searched(
            data[window].copy(), unusable[window].copy(), variance[window].copy(), sigma
        )
        inner = np.s_[BORDER:-BORDER, BORDER:-BORDER]
        hits[window][inner] |= found[inner]
    return hits


def _windows(suspects: NDArray[np.bool_]) -> Iterator[tuple[slice, slice]]:
    """Yield the boxes around the suspects of every block, with their margins."""
    rows, columns = np.nonzero(suspects)
    block = rows // BLOCK_PX * suspects.shape[1] + columns // BLOCK_PX
    order = np.argsort(block, kind="stable")
    for members in np.split(order, np.flatnonzero(np.diff(block[order])) + 1):
        if members.size:
            yield _box(rows[members]), _box(columns[members])


def _box(places: NDArray[np.intp]) -> slice:
    """Return the range of places along one axis, with a margin."""
    return slice(max(int(places.min()) - MARGIN_PX, 0), int(places.max()) + MARGIN_PX + 1)


def _beside_summits(
    hits: NDArray[np.bool_],
    data: NDArray[np.float32],
    variance: NDArray[np.float32],
    sigma: float,
) -> NDArray[np.bool_]:
    """Return the hits within two pixels of one that outshines the mean of its four neighbours.

    On the steep flanks of very bright stars separable medians see structure where there is none.
    """
    rows, columns = np.nonzero(hits)
    inside = (rows > 0) & (rows < data.shape[0] - 1) & (columns > 0) & (columns < data.shape[1] - 1)
    rows, columns = rows[inside], columns[inside]
    around = data[rows - 1, columns] + data[rows + 1, columns]
    around += data[rows, columns - 1] + data[rows, columns + 1]
    above = data[rows, columns] - around / 4 > SUMMIT * sigma * np.sqrt(variance[rows, columns])
    summits = np.zeros(hits.shape, bool)
    summits[rows[above], columns[above]] = True
    return np.asarray(hits & grown(summits, rows=2, columns=2))


def _followed(
    hits: NDArray[np.bool_],
    above: NDArray[np.float32],
    smooth: NDArray[np.float32],
    noise: NDArray[np.float32],
) -> NDArray[np.bool_]:
    """Return the hits with what goes on from them: along a faint track L.A.Cosmic loses half.

    Parameters
    ----------
    above
        The data less their median over 5x5, `smooth`.
    """
    rows, columns = np.nonzero(hits)
    steps = np.array([(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)])
    for _ in range(FOLLOWED_PX):
        beside = np.unique(
            (rows[:, None] + steps[:, 0]) * hits.shape[1] + columns[:, None] + steps[:, 1]
        )
        rows, columns = np.divmod(beside, hits.shape[1])
        new = (rows >= BORDER) & (rows < hits.shape[0] - BORDER) & (columns >= BORDER)
        new &= columns < hits.shape[1] - BORDER
        rows, columns = rows[new], columns[new]
        fine = np.maximum(_fine_structure(smooth, rows, columns), 0)
        limit = BESIDE_SIGMA * noise[rows, columns] + BESIDE_FINE * fine
        new = ~hits[rows, columns] & (above[rows, columns] > limit)
        rows, columns = rows[new], columns[new]
        if not rows.size:
            break
        hits[rows, columns] = True
    return hits


def _suspects(
    data: NDArray[np.float32],
    smooth: NDArray[np.float32],
    noise: NDArray[np.float32],
    unusable: NDArray[np.bool_],
    sigma: float,
) -> NDArray[np.bool_]:
    """Return what is steep and holds a pixel that L.A.Cosmic may begin with.

    That one is steeper than its surroundings by the threshold, and than its fine structure allows.
    The sum is the Laplacian of an image of half pixels, negative values left out; the median
    that L.A.Cosmic subtracts from it can only lower it. What is steep hangs together along a
    track, which is eaten from its ends.
    """
    steep = _steepness(data, noise)
    candidates = steep > 0.97 * sigma
    candidates &= ~grown(unusable, rows=UNSEARCHED_PX, columns=UNSEARCHED_PX)
    rim = np.ones(data.shape, bool)
    rim[4:-4, 4:-4] = False
    rows, columns = np.nonzero(candidates & ~rim)
    above = steep[rows, columns] - _median_around(steep, rows, columns, 3)
    fine = _fine_structure(smooth, rows, columns) / noise[rows, columns]
    sharp = (above > 0.9 * sigma) & (above > 0.9 * CONTRAST * np.maximum(fine, 0.01))
    pieces, number = label(grown(candidates, rows=1, columns=1))
    chosen = np.zeros(number + 1, bool)
    chosen[pieces[rows[sharp], columns[sharp]]] = True
    return np.asarray(candidates & chosen[pieces])


def _steepness(data: NDArray[np.float32], noise: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the Laplacian of an image of half pixels over the noise, negative values left out."""
    middle = 2 * data[1:-1, 1:-1]
    steep = np.zeros_like(data)
    for along in (data[:-2, 1:-1], data[2:, 1:-1]):
        for across in (data[1:-1, :-2], data[1:-1, 2:]):
            beyond = middle - along
            beyond -= across
            steep[1:-1, 1:-1] += np.maximum(beyond, 0, out=beyond)
    steep /= 8 * noise
    return steep


def _fine_structure(
    smooth: NDArray[np.float32], rows: NDArray[np.intp], columns: NDArray[np.intp]
) -> NDArray[np.float32]:
    """Return the median over 5x5 less its own median over 9x9, at a few pixels."""
    return np.asarray(smooth[rows, columns] - _median_around(smooth, rows, columns, 4))


def _median_around(
    plane: NDArray[np.float32], rows: NDArray[np.intp], columns: NDArray[np.intp], reach: int
) -> NDArray[np.float32]:
    """Return the medians along rows, then along columns, around a few pixels."""
    around, found = np.arange(-reach, reach + 1), np.empty(len(rows), np.float32)
    for start in range(0, len(rows), TOGETHER):
        part = np.s_[start : start + TOGETHER, None, None]
        stamps = plane[rows[part] + around[:, None], columns[part] + around]
        middles = np.partition(stamps, reach, axis=2)[:, :, reach]
        found[start : start + TOGETHER] = np.median(middles, axis=1)
    return found


def _searched(
    data: NDArray[np.float32],
    unusable: NDArray[np.bool_],
    variance: NDArray[np.float32],
    sigma: float,
) -> NDArray[np.bool_]:
    if unusable.all():
        return unusable & False
    hits, clean = astroscrappy.detect_cosmics(
        data,
        inmask=unusable,
        invar=variance,
        gain=1.0,
        satlevel=np.inf,
        sigclip=sigma,
        sigfrac=GROWTH,
        objlim=CONTRAST,
        niter=ROUNDS,
        fsmode="median",
        sepmed=True,
        cleantype="medmask",
    )
    if not hits.any():
        return np.asarray(hits, bool)
    # Beside a hit found late, L.A.Cosmic grows no more.
    smooth = sepmedfilt5(clean)
    fine = np.maximum(smooth - sepmedfilt9(smooth), 0)
    bright = data - smooth > BESIDE_SIGMA * np.sqrt(variance) + BESIDE_FINE * fine
    beside = grown(hits, rows=1, columns=1) & bright & ~unusable
    return np.asarray(hits | beside, bool)
