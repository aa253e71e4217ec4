"""Find objects that show nothing but emission lines: their mean along the slit drowns in noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from reducers.spectroscopy.running_median import running_median
from reducers.spectroscopy.sources import FWHM_PER_SIGMA, Source

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reducers.frame import Vector

Plane = NDArray[np.float64]

#: Signal-to-noise of a line, of one that stands alone, and of the most lines that are looked at.
LEAST_SNR, LONE_SNR, MOST_LINES = 7.0, 20.0, 40
#: Residual squares may exceed those of line and noise by so much: a cosmic ray's exceed them more.
WORST_MISFIT = 1.6
#: Objects of this kind on one slit at most.
MOST_SOURCES = 2
#: Rows of the running median that is no line.
CONTINUUM_ROWS = 61
#: Width of a line (unbinned px) where no arc has told it.
USUAL_LINE_PX = 5.0
#: An object stands so far (FWHM) from every other, or it is part of that.
CLEAR_FWHM = 3.0


def find_line_sources(
    residual: Plane,
    variance: Plane,
    good: NDArray[np.bool_],
    known: Sequence[Source],
    *,
    seeing_px: float,
    line_rows: float,
    path: Vector | None = None,
) -> tuple[Source, ...]:
    """Return objects found by emission lines alone, the most significant first.

    Every place of the slit image is compared with the image of a line behind the slit (matched
    filter); the noise of a row is at least what the row itself shows, so that the remains of sky
    lines count little. One line must be beyond doubt, two may be fainter.

    Parameters
    ----------
    residual, variance, good : (ny, nx)
        Sky-subtracted electrons, their variance, and usable pixels.
    known
        Objects with a continuum.
    seeing_px, line_rows
        FWHM of a line along the slit and across it, image pixels.
    path : (ny,)
        Columns along which light runs, as far as is known beforehand; an object's column is that of
        the mean row.
    """
    width = (max(line_rows, 1.5) / FWHM_PER_SIGMA, seeing_px / FWHM_PER_SIGMA)
    score = _score(residual, variance, good, width)
    shape = np.zeros(residual.shape[0]) if path is None else path - path.mean()
    found = []
    for row, column in _peaks(score, max(2, round(seeing_px))):
        here = column - shape[row]
        beside = all(abs(here - each.column) > CLEAR_FWHM * each.fwhm_px for each in known)
        if beside and _is_line(residual, variance, good, (row, column), width):
            found.append((float(score[row, column]), float(here)))
    return _joined(found, seeing_px)


def _score(
    residual: Plane, variance: Plane, good: NDArray[np.bool_], width: tuple[float, float]
) -> Plane:
    """Return the signal-to-noise of a line at every place."""
    weight = np.where(good, 1 / np.maximum(variance, 1e-9), 0.0)
    # What an object's continuum or the host leaves in a column is no line.
    light = np.where(good, residual, 0.0)
    light -= running_median(light, CONTINUUM_ROWS, axis=0)
    seen = ndimage.gaussian_filter(light * weight, width)
    # A Gaussian squared is a narrower Gaussian: sums of squared weights need no second kernel.
    narrow = (width[0] / np.sqrt(2), width[1] / np.sqrt(2))
    noise = ndimage.gaussian_filter(weight, narrow) / (4 * np.pi * width[0] * width[1])
    score = seen / np.sqrt(np.maximum(noise, 1e-12))
    own = 1.4826 * np.median(np.abs(score), axis=1, keepdims=True)
    return np.asarray(score / np.maximum(own, 1.0))


def _peaks(score: Plane, edge: int) -> list[tuple[int, int]]:
    top = (score == ndimage.maximum_filter(score, size=5)) & (score > LEAST_SNR)
    top[:edge], top[-edge:], top[:, :edge], top[:, -edge:] = False, False, False, False
    rows, columns = np.nonzero(top)
    best = np.argsort(-score[rows, columns])[:MOST_LINES]
    return [(int(rows[k]), int(columns[k])) for k in best]


def _is_line(
    residual: Plane,
    variance: Plane,
    good: NDArray[np.bool_],
    place: tuple[int, int],
    width: tuple[float, float],
) -> bool:
    """Tell whether the light about a place has the shape of a line: cosmic rays are sharper."""
    reach = [int(np.ceil(2.5 * each)) for each in width]
    rows, columns = (
        np.arange(max(at - far, 0), min(at + far + 1, size))
        for at, far, size in zip(place, reach, residual.shape, strict=True)
    )
    cut = np.ix_(rows, columns)
    shape = np.exp(-0.5 * ((rows - place[0]) / width[0]) ** 2)[:, None]
    shape = shape * np.exp(-0.5 * ((columns - place[1]) / width[1]) ** 2)
    weight = np.where(good[cut], 1 / np.maximum(variance[cut], 1e-9), 0.0)
    many = int((weight > 0).sum())
    if many < 0.7 * weight.size:
        return False
    floor = np.median(residual[cut])
    line = float((weight * shape * (residual[cut] - floor)).sum())
    signal = line**2 / float((weight * shape**2).sum())
    squares = float((weight * (residual[cut] - floor) ** 2).sum())
    return bool(squares < WORST_MISFIT * signal + 2 * many)


def _joined(found: Sequence[tuple[float, float]], seeing_px: float) -> tuple[Source, ...]:
    """Return one object for every column in which lines stand, the brightest line first."""
    sources: list[Source] = []
    left = list(found)
    while left and len(sources) < MOST_SOURCES:
        column = left[0][1]
        own = [line for line in left if abs(line[1] - column) < 0.7 * seeing_px]
        left = [line for line in left if abs(line[1] - column) >= 2 * seeing_px]
        if own[0][0] > LONE_SNR or len(own) > 1:
            weight = np.array([snr for snr, _ in own]) ** 2
            sources.append(
                Source(
                    column=float(np.average([at for _, at in own], weights=weight)),
                    significance=float(np.sqrt(weight.sum())),
                    fwhm_px=seeing_px,
                    by_lines=True,
                )
            )
    return tuple(sources)
