"""Difference by a fitted kernel (Alard & Lupton 1998, ApJ 503, 325; Alard 2000, A&AS 144, 363).

Needs no point spread: the kernel that turns the sharper image into the other one is fitted to the
pixels around stars, Gaussians times polynomials whose weights vary over the image.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from reducers.imaging.stamps import stamps_around
from reducers.transients.difference.fourier import fftconvolve

if TYPE_CHECKING:
    from reducers.frame import Image, Vector

#: Widths of the Gaussians in units of what the sharper image lacks, and degrees of polynomials.
WIDTHS, DEGREES = (0.6, 1.0, 1.8), (3, 2, 2)
#: Stars used at most; rounds in which those that do not fit are left out, chi2 over the median.
MOST_STARS, ROUNDS, WORST = 150, 3, 3.0
#: Terms of the variation over the image, by the number of stars.
TERMS = ((0, 1), (12, 3), (40, 6))
#: The kernel is that of the middle of tiles so large.
TILE_PX = 256
#: Part of the light by which pixels of stars are thought wrong.
MODEL_ERROR = 0.01
#: Fraction of the mean diagonal that keeps the fit regular.
RIDGE = 1e-8


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """The fitted kernel.

    Attributes
    ----------
    basis : (k, m, m) float64
        Its first has the sum 1, all others 0.
    weights : (k, t) float64
        Of each over the image: polynomial terms; the first does not vary.
    shape : tuple of int
        Rows and columns of the image.
    stars : int
        Used in the end.
    chi2 : float
        Median of their reduced chi2.
    """

    basis: NDArray[np.float64]
    weights: NDArray[np.float64]
    shape: tuple[int, int]
    stars: int
    chi2: float

    @property
    def scale(self) -> float:
        """Light of a star after over before."""
        return float(self.weights[0, 0])

    def at(self, x: float, y: float) -> NDArray[np.float64]:
        """Return the kernel at a place."""
        terms = _terms(np.array([x]), np.array([y]), self.shape, self.weights.shape[1])[0]
        return np.asarray(np.tensordot(self.weights @ terms, self.basis, 1))


def basis_of(sharp_fwhm_px: float, wide_fwhm_px: float) -> NDArray[np.float64]:
    """Return the (k, m, m) Gaussians times polynomials."""
    lacking = np.sqrt(max(wide_fwhm_px**2 - sharp_fwhm_px**2, 0.0)) / 2.3548
    sigma = max(lacking, 0.7)
    half = int(np.ceil(3.2 * max(sigma, 1.0))) + 2
    step = np.arange(-half, half + 1, dtype=float)
    x, y = step[None, :], step[:, None]
    found = []
    for width, degree in zip(WIDTHS, DEGREES, strict=True):
        bell = np.exp(-(x**2 + y**2) / (2 * (width * sigma) ** 2))
        for i in range(degree + 1):
            for j in range(degree + 1 - i):
                term = bell * (x / sigma) ** i * (y / sigma) ** j
                found.append(term / np.abs(term).sum())
    first = found[0] / found[0].sum()
    return np.array([first, *(term - term.sum() * first for term in found[1:])])


def fit_kernel(
    sharp: Image,
    wide: Image,
    variance: Image,
    good: NDArray[np.bool_],
    x: Vector,
    y: Vector,
    fwhm_px: tuple[float, float],
) -> Kernel | None:
    """Fit the kernel that turns `sharp` into `wide`; None where too few stars are clean.

    Parameters
    ----------
    variance : (ny, nx) float32
        Of `wide`, its sky and the other's.
    good : (ny, nx) bool
        Pixels usable on both.
    x, y : (n,) float64
        Stars, brightest first.
    fwhm_px : tuple of float
        Of the sharper and of the wider image.
    """
    basis = basis_of(*fwhm_px)
    half = int(np.clip(np.ceil(2 * fwhm_px[1]), 6, 30))
    reach = half + basis.shape[1] // 2
    around = stamps_around(x, y, reach, wide.shape)
    whole = (around.of(good) & around.inside).all(axis=(1, 2))
    x, y = x[whole][:MOST_STARS], y[whole][:MOST_STARS]
    if len(x) < 3:
        return None
    around, stamps = (stamps_around(x, y, size, wide.shape) for size in (reach, half))
    light, value = around.of(sharp), stamps.of(wide).astype(float)
    moved = np.stack(
        [fftconvolve(light, term[None], mode="valid", axes=(1, 2)) for term in basis], axis=1
    )
    weight = 1 / (stamps.of(variance) + (MODEL_ERROR * np.maximum(value, 0)) ** 2)
    return _fitted(basis, moved, value, weight, x, y, wide.shape)


def _fitted(
    basis: NDArray[np.float64],
    moved: NDArray[np.float64],
    value: NDArray[np.float64],
    weight: NDArray[np.float64],
    x: Vector,
    y: Vector,
    shape: tuple[int, int],
) -> Kernel | None:
    """Solve for the weights, the sky below free, and leave out stars that do not fit."""
    kept = np.ones(len(x), bool)
    for _ in range(ROUNDS):
        count = [terms for least, terms in TERMS if kept.sum() >= least][-1]
        terms = _terms(x, y, shape, count)
        varying = moved[:, 1:, None] * terms[:, None, :, None, None]
        ones = np.ones_like(value)[:, None]
        flat = (len(x), -1, *value.shape[1:])
        design = np.concatenate([moved[:, :1], varying.reshape(flat), ones], axis=1)
        weighted = design[kept] * weight[kept][:, None]
        normal = np.einsum("nipq,njpq->ij", weighted, design[kept], optimize=True)
        side = np.einsum("nipq,npq->i", weighted, value[kept])
        normal += np.eye(len(normal)) * RIDGE * np.trace(normal) / len(normal)
        answer = np.linalg.solve(normal, side)
        left = value - np.einsum("nipq,i->npq", design, answer)
        chi2 = np.mean(weight * left**2, axis=(1, 2))
        middle = float(np.median(chi2[kept]))
        fits = chi2 < WORST * max(middle, 1.0)
        if fits.sum() < 3:
            return None
        used, kept = int(kept.sum()), fits
    weights = np.zeros((len(basis), count))
    weights[0, 0] = answer[0]
    weights[1:] = answer[1:-1].reshape(len(basis) - 1, count)
    return Kernel(basis=basis, weights=weights, shape=shape, stars=used, chi2=middle)


def convolved(image: Image, kernel: Kernel, *, square: bool = False) -> Image:
    """Return an image through the kernel of each tile; its square for variances."""
    reach = kernel.basis.shape[1] // 2
    padded = np.pad(image, reach, mode="edge")
    result = np.empty(image.shape, np.float32)
    for top in range(0, image.shape[0], TILE_PX):
        for left in range(0, image.shape[1], TILE_PX):
            piece = padded[top : top + TILE_PX + 2 * reach, left : left + TILE_PX + 2 * reach]
            here = kernel.at(left + TILE_PX / 2, top + TILE_PX / 2)
            here = here**2 if square else here
            result[top : top + TILE_PX, left : left + TILE_PX] = fftconvolve(
                piece, here.astype(np.float32), mode="valid"
            )
    return result


def _terms(x: Vector, y: Vector, shape: tuple[int, int], count: int) -> NDArray[np.float64]:
    u, v = 2 * x / max(shape[1] - 1, 1) - 1, 2 * y / max(shape[0] - 1, 1) - 1
    return np.stack([np.ones_like(u), u, v, u * u, u * v, v * v][:count], axis=-1)
