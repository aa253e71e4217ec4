"""Matched difference of two images (Zackay, Ofek & Gal-Yam 2016, ApJ 830, 27).

With N = P_n * T + noise the new image and R = f P_r * T + noise the template on its pixels (their
equations 12, 13, 16 and appendix; F_n is 1 here and F_r is f):

    D   = (f P_r N - P_n R) / sqrt(s_r^2 |P_n|^2 + s_n^2 f^2 |P_r|^2)
    S   = k_n * N - k_r * R,   k_n = f^2 conj(P_n) |P_r|^2 / den,   k_r = f conj(P_r) |P_n|^2 / den

S over its response to a star of unit light is the best flux of a new star at each pixel; its
variance is the variance of the pixels, their sources' photons included, through the squares of
the kernels, plus that of wrong places (the gradient), of wrong light (the light itself) and,
through the absolute kernel, of light that one of both images does not show and of the wings that
were cut off the point spreads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from reducers.frame import Image

#: Tiles are about so large; each has point spreads and noise of its own.
TILE_PX = 640


@dataclass(frozen=True, slots=True)
class Pair:
    """One piece of both images, masked pixels filled.

    Attributes
    ----------
    new, template : (ny, nx) float32
        Light above the sky, each in its own unit.
    new_variance, template_variance : (ny, nx) float32
    lost : (ny, nx) float32
        1 where a pixel of either is not to be used.
    bright, hidden : (ny, nx) float32
        Light of sources, and that of it on pixels that one of both does not show.
    new_psf, template_psf : (m, m) float64
        Light of a star of unit flux, centred; on the same pixels.
    wing : (w, w) float64
        Of such a star, what was cut off both.
    flux_ratio : float
        Light of the template over that of the image.
    new_sigma, template_sigma : float
        Noise of the sky.
    """

    new: Image
    template: Image
    new_variance: Image
    template_variance: Image
    lost: Image
    bright: Image
    hidden: Image
    new_psf: NDArray[np.float64]
    template_psf: NDArray[np.float64]
    wing: NDArray[np.float64]
    flux_ratio: float
    new_sigma: float
    template_sigma: float


@dataclass(frozen=True, slots=True)
class Matched:
    """What the matched filter says of every pixel, in the unit of the new image.

    Attributes
    ----------
    difference : (ny, nx) float32
        Image with white noise in which new stars have the shape `psf`.
    difference_variance : (ny, nx) float32
    flux, variance : (ny, nx) float32
        Of a new star centred on the pixel; photons and read noise only.
    own_light : (ny, nx) float32
        What the new image alone gives there, by the same filter.
    lost : (ny, nx) float32
        Share of the filter's weight that fell on lost pixels.
    leak : (ny, nx) float32
        Most that hidden light and the cut wings of bright stars may have done to `flux`.
    psf : (m, m) float64
        Of `difference`, sum about 1.
    """

    difference: Image
    difference_variance: Image
    flux: Image
    variance: Image
    own_light: Image
    lost: Image
    leak: Image
    psf: NDArray[np.float64]


def matched_difference(pair: Pair) -> Matched:
    """Return the matched difference of one piece; a margin of the PSF's size is not to be used."""
    ny, nx = pair.new.shape
    size = fft.next_fast_len(ny, real=True), fft.next_fast_len(nx, real=True)

    def ahead(plane: Any) -> Any:
        return fft.rfft2(plane, size)

    def back(spectrum: Any) -> Any:
        return fft.irfft2(spectrum, size)

    p_n, p_r = (ahead(_at_origin(psf, size)) for psf in (pair.new_psf, pair.template_psf))
    f, s_n, s_r = (np.float32(v) for v in (pair.flux_ratio, pair.new_sigma, pair.template_sigma))
    new_power, template_power = np.abs(p_n) ** 2, np.abs(p_r) ** 2
    den = s_r**2 * new_power + s_n**2 * f**2 * template_power
    den = np.maximum(den, np.float32(1e-12) * den[0, 0])
    k_n = f**2 * np.conj(p_n) * template_power / den
    k_r = f * np.conj(p_r) * new_power / den
    new, template = ahead(pair.new), ahead(pair.template)
    response = float(back(k_n * p_n)[0, 0])
    own = back(k_n * new)
    score = own - back(k_r * template)
    own_kernel = back(k_n)
    near, far = ahead(own_kernel**2), ahead(back(k_r) ** 2)
    wings = ahead(_at_origin(pair.wing, size)) * ahead(pair.bright)
    leak = back(ahead(np.abs(own_kernel)) * (ahead(pair.hidden) + wings))
    variance = back(near * ahead(pair.new_variance) + far * ahead(pair.template_variance))
    lost = back(near * ahead(pair.lost)) / np.float32(near[0, 0].real)
    root = np.sqrt(den)
    white = f / np.sqrt(s_n**2 * f**2 + s_r**2)
    difference = back((f * p_r * new - p_n * template) / root) / white
    half = pair.new_psf.shape[0] // 2
    shape = np.roll(back(f * p_n * p_r / (white * root)), (half, half), (0, 1))
    cut = np.s_[:ny, :nx]
    level = pair.new_variance + pair.template_variance / f**2
    return Matched(
        difference=difference[cut],
        difference_variance=level,
        flux=score[cut] / np.float32(response),
        variance=np.maximum(variance[cut], 0) / np.float32(response**2),
        own_light=own[cut] / np.float32(response),
        lost=np.clip(lost[cut], 0, 1),
        leak=np.abs(leak[cut]) / np.float32(response),
        psf=np.asarray(shape[: 2 * half + 1, : 2 * half + 1], float),
    )


def _at_origin(psf: NDArray[np.float64], size: tuple[int, int]) -> Image:
    """Return a point spread centred on pixel (0, 0), wrapped around."""
    half = psf.shape[0] // 2
    spare = [max(0, half - (side - 1) // 2) for side in size]
    psf = psf[spare[0] : psf.shape[0] - spare[0], spare[1] : psf.shape[1] - spare[1]]
    plane = np.zeros(size, np.float32)
    plane[: psf.shape[0], : psf.shape[1]] = psf
    return np.roll(plane, (-(psf.shape[0] // 2), -(psf.shape[1] // 2)), (0, 1))
