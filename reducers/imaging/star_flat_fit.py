"""The fit of a smooth surface to the magnitudes of stars on many images."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from reducers.frame import Image, Vector

if TYPE_CHECKING:
    from collections.abc import Sequence

#: The order of a surface that is round about the middle beyond order 2.
ROUND = 4
#: Stars of two images are one within this.
SAME_ARCSEC = 1.0
#: Stars further off than so many sigma leave.
CLIP_SIGMA, ROUNDS = 4.0, 6
#: Our magnitudes are never thought better.
LEAST_ERROR = 0.002


@dataclass(frozen=True, slots=True, kw_only=True)
class StarList:
    """The calibrating stars of one image.

    Attributes
    ----------
    ra_deg, dec_deg, x, y : (n,) float64
        Places on the sky, and on the image (0-based pixels).
    residual : (n,) float64
        Magnitude of the catalogue less ours, as they were without a star flat.
    error, entry_error : (n,) float64
        Of our magnitude, and of the catalogue's.
    sky : (ny / step, nx / step) float32 or None
        Model of the sky of an image to which no star flat was applied, every `step` pixels.
    """

    stem: str
    ra_deg: Vector
    dec_deg: Vector
    x: Vector
    y: Vector
    residual: Vector
    error: Vector
    entry_error: Vector
    sky: Image | None = None
    sky_step: int = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class TogetherStars:
    """Measurements of stars on all images; every field but `number` is (n,) long.

    Attributes
    ----------
    u, v : float64
        Place on the image, -1 to 1 along x and y.
    image, star : int
        Whose measurement it is; the same star has the same number on every image.
    value, variance, entry_variance : float64
        Catalogue less ours (mag), variance of ours, and of the entry.
    number : int
        Different stars.
    """

    u: Vector
    v: Vector
    image: NDArray[np.intp]
    star: NDArray[np.intp]
    value: Vector
    variance: Vector
    entry_variance: Vector
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Surface:
    """A polynomial surface, magnitudes, and how well it fits.

    Attributes
    ----------
    coefficients, covariance
        Of the terms of `basis` in their order.
    scatter : float
        Of single stars beyond their errors, magnitudes.
    freedom : int
        Measurements less what was fitted.
    """

    order: int
    coefficients: Vector
    covariance: NDArray[np.float64]
    chi2: float
    freedom: int
    bic: float
    scatter: float

    @property
    def terms(self) -> int:
        """Number of coefficients."""
        return len(self.coefficients)


def basis(u: Vector, v: Vector, order: int) -> NDArray[np.float64]:
    """Return Legendre products of total degree 1 to `order` (n, terms).

    Order `ROUND` is order 2 and the fourth power of the distance from the middle alone: reflections
    gather there.
    """
    highest = 2 if order == ROUND else order
    along, across = (np.polynomial.legendre.legvander(z, highest) for z in (u, v))
    pairs = [(i, n - i) for n in range(1, highest + 1) for i in range(n + 1)]
    found = [along[:, i] * across[:, j] for i, j in pairs]
    if order == ROUND:
        found.append((u**2 + v**2) ** 2)
    return np.column_stack(found) if found else np.zeros((len(u), 0))


def choose_stars(images: Sequence[StarList], shape: tuple[int, int]) -> TogetherStars:
    """Return the measurements of all images, with one number for every star of the sky."""

    def joined(name: str) -> Vector:
        values = [np.asarray(getattr(image, name), np.float64) for image in images]
        return np.concatenate(values) if values else np.zeros(0)

    ny, nx = shape
    star = _same_stars(joined("ra_deg"), joined("dec_deg"))
    counts = [len(image.residual) for image in images]
    return TogetherStars(
        u=2 * joined("x") / (nx - 1) - 1,
        v=2 * joined("y") / (ny - 1) - 1,
        image=np.repeat(np.arange(len(images)), counts),
        star=star,
        value=joined("residual"),
        variance=joined("error") ** 2 + LEAST_ERROR**2,
        entry_variance=joined("entry_error") ** 2,
        number=int(star.max()) + 1 if len(star) else 0,
    )


def _same_stars(ra_deg: Vector, dec_deg: Vector) -> NDArray[np.intp]:
    """Return a number for every star; fields far apart are told apart by their directions."""
    if not len(ra_deg):
        return np.zeros(0, np.intp)
    ra, dec = np.radians(ra_deg), np.radians(dec_deg)
    places = np.column_stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])
    pairs = cKDTree(places).query_pairs(math.radians(SAME_ARCSEC / 3600), output_type="ndarray")
    links = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(ra),) * 2)
    return np.asarray(connected_components(links, directed=False)[1], np.intp)


def fit_surface(stars: TogetherStars, orders: Sequence[int]) -> list[Surface]:
    """Return the fits of order 0 (even light) and of every given order, to the same stars."""
    keep, scatter = np.ones(len(stars.value), bool), 0.01
    for _ in range(ROUNDS):
        fit = _solve(stars, keep, scatter, max(orders))
        off = np.abs(fit.rest) / np.sqrt(stars.variance + stars.entry_variance + scatter**2)
        before, keep = keep, off < CLIP_SIGMA
        scatter = _scatter(stars, keep, fit.rest)
        if np.array_equal(before, keep):
            break
    return [_surface(stars, keep, scatter, order) for order in (0, *orders)]


@dataclass(frozen=True, slots=True)
class _Solved:
    found: Vector
    covariance: NDArray[np.float64]
    rest: Vector
    chi2: float


def _solve(stars: TogetherStars, keep: NDArray[np.bool_], scatter: float, order: int) -> _Solved:
    """Solve for a zero point of every image and the surface.

    Errors of one star's entry are shared by its measurements: the inverse of their covariance is
    that of Sherman & Morrison (1950, Ann. Math. Statist. 21, 124).
    """
    images = int(stars.image.max()) + 1
    levels = np.zeros((len(stars.value), images))
    levels[np.arange(len(stars.value)), stars.image] = 1.0
    design = np.hstack([levels, basis(stars.u, stars.v, order)])
    weight = np.where(keep, 1 / stars.variance, 0.0)
    total = np.bincount(stars.star, weight, stars.number)
    entry = np.zeros(stars.number)
    entry[stars.star] = stars.entry_variance + scatter**2
    shared = np.sqrt(entry / (1 + entry * total))
    summed = np.zeros((stars.number, design.shape[1]))
    np.add.at(summed, stars.star, design * weight[:, None])
    summed *= shared[:, None]
    values = np.bincount(stars.star, weight * stars.value, stars.number) * shared
    normal = design.T @ (design * weight[:, None]) - summed.T @ summed
    side = design.T @ (weight * stars.value) - summed.T @ values
    covariance = np.linalg.pinv(normal, hermitian=True)
    found = covariance @ side
    rest = stars.value - design @ found
    own = np.bincount(stars.star, weight * rest, stars.number) * shared
    chi2 = float(np.sum(weight * rest**2) - np.sum(own**2))
    return _Solved(found, covariance, rest, chi2)


def _surface(stars: TogetherStars, keep: NDArray[np.bool_], scatter: float, order: int) -> Surface:
    solved = _solve(stars, keep, scatter, order)
    images = len(np.unique(stars.image[keep]))
    first = int(stars.image.max()) + 1
    coefficients = solved.found[first:]
    freedom = max(int(keep.sum()) - images - len(coefficients), 1)
    # Errors that are too small on the whole are made larger, never smaller.
    inflation = max(solved.chi2 / freedom, 1.0)
    different = len(np.unique(stars.star[keep]))
    return Surface(
        order=order,
        coefficients=coefficients,
        covariance=solved.covariance[first:, first:] * inflation,
        chi2=solved.chi2,
        freedom=freedom,
        bic=solved.chi2 + len(coefficients) * math.log(max(different, 2)),
        scatter=scatter,
    )


def _scatter(stars: TogetherStars, keep: NDArray[np.bool_], rest: Vector) -> float:
    """Return the scatter of stars about the surface that their errors do not explain.

    By the median of the stars' mean residuals: a few wild ones make no room for themselves.
    """
    weight = np.where(keep, 1 / stars.variance, 0.0)
    total = np.bincount(stars.star, weight, stars.number)
    seen = total > 0
    mean = np.bincount(stars.star, weight * rest, stars.number)[seen] / total[seen]
    entry = np.zeros(stars.number)
    entry[stars.star] = stars.entry_variance
    known = 1 / total[seen] + entry[seen]
    low, high = 0.0, 0.2
    for _ in range(25):
        middle = (low + high) / 2
        small = np.median(np.abs(mean) / np.sqrt(known + middle**2)) > 0.6745
        low, high = (middle, high) if small else (low, middle)
    return high
