"""The point spread of an image: a Moffat profile whose shape varies, and what it leaves over."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from reducers.imaging.moffat import moffat, moffat_slopes

if TYPE_CHECKING:
    from reducers.frame import Vector
    from reducers.imaging.stamps import Stamps

#: Terms of ln(FWHM) and of e1, e2 across the image, by the number of PSF stars that carry them.
WIDTH_TERMS = ((0, 1), (8, 3), (20, 4))
SHAPE_TERMS = ((0, 1), (25, 2), (60, 4))


@dataclass(frozen=True, slots=True, kw_only=True)
class PointSpread:
    """The light of a star of unit flux, anywhere on an image.

    Attributes
    ----------
    shape : tuple of int
        Rows and columns of the image.
    beta : float
        Power of the Moffat profile.
    ln_fwhm : tuple of float
        Coefficients of 1, u, v, u^2 + v^2; u and v run from -1 to 1 across the image.
    e1, e2 : tuple of float
        Coefficients of 1; the radial term (u^2 - v^2, 2 u v); u; v.
    residual : (m, m) float64
        Light per pixel that the profile leaves over, as a function of the distance from the star
        in steps of 1/`oversampling` pixel (Anderson & King 2000, PASP 112, 1360); empty for none.
    stars : int
        PSF stars it was made of; 0 for a guess.
    chi2 : float
        Median reduced chi2 of those stars.
    model_error : float
        Fraction of the light of a pixel by which the model is wrong.
    """

    shape: tuple[int, int]
    beta: float = 3.0
    ln_fwhm: tuple[float, ...]
    e1: tuple[float, ...] = (0.0,)
    e2: tuple[float, ...] = (0.0,)
    residual: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 0)))
    oversampling: int = 1
    stars: int = 0
    chi2: float = float("nan")
    model_error: float = 0.0

    @property
    def fwhm_px(self) -> float:
        """FWHM at the centre of the image."""
        return float(np.exp(self.ln_fwhm[0]))

    def parameters(self, x: Any, y: Any) -> tuple[Vector, Vector, Vector]:
        """Return FWHM, e1 and e2 at places of the image."""
        width = width_terms(x, y, self.shape)[..., : len(self.ln_fwhm)]
        first, second = shape_terms(x, y, self.shape)
        return (
            np.exp(width @ np.array(self.ln_fwhm)),
            first[..., : len(self.e1)] @ np.array(self.e1),
            second[..., : len(self.e2)] @ np.array(self.e2),
        )

    def _parameters_of(self, x: Vector, y: Vector) -> tuple[Any, Any, Any]:
        """Return FWHM, e1 and e2 of each of many stamps, in single precision."""
        fwhm, e1, e2 = self.parameters(x, y)
        return (
            fwhm[:, None, None].astype(np.float32),
            e1[:, None, None].astype(np.float32),
            e2[:, None, None].astype(np.float32),
        )

    def values(self, stamps: Stamps, x: Vector, y: Vector) -> NDArray[np.float64]:
        """Return the (n, size, size) float32 light of unit stars at x, y."""
        dx, dy = (each.astype(np.float32) for each in stamps.offsets(x, y))
        fwhm, e1, e2 = self._parameters_of(x, y)
        return np.asarray(moffat(dx, dy, fwhm, self.beta, e1, e2) + self.left_over(dx, dy))

    def design(self, stamps: Stamps, x: Vector, y: Vector) -> NDArray[np.float64]:
        """Return the light of unit stars and its derivatives by x, y and ln(FWHM).

        Returns
        -------
        (4, n, size, size) float32
        """
        dx, dy = (each.astype(np.float32) for each in stamps.offsets(x, y))
        fwhm, e1, e2 = self._parameters_of(x, y)
        slopes = moffat_slopes(dx, dy, fwhm, self.beta, e1, e2)
        value = slopes.value + self.left_over(dx, dy)
        return np.stack([value, slopes.x, slopes.y, slopes.ln_fwhm])

    def left_over(self, dx: Any, dy: Any) -> Any:
        """Return the empirical residual at distances dx, dy from a star."""
        if not self.residual.size:
            return 0.0
        centre = self.residual.shape[0] // 2
        rows, columns = np.broadcast_arrays(
            dy * self.oversampling + centre, dx * self.oversampling + centre
        )
        return ndimage.map_coordinates(self.residual, [rows, columns], order=1, cval=0.0)

    def picture(self, x: float, y: float, *, half: int, oversampling: int = 1) -> Any:
        """Return the PSF at one place as an image centred on its middle pixel.

        Each pixel of the picture is 1/`oversampling` of an image pixel wide; the light is that
        of a whole image pixel there, so that the sum is `oversampling` squared.
        """
        step = np.arange(-half * oversampling, half * oversampling + 1) / oversampling
        fwhm, e1, e2 = (float(each) for each in self.parameters(x, y))
        dx, dy = step[None, :], step[:, None]
        return moffat(dx, dy, fwhm, self.beta, e1, e2) + self.left_over(dx, dy)


def _unit(x: Any, y: Any, shape: tuple[int, int]) -> tuple[Vector, Vector]:
    """Return u, v from -1 to 1 across the image."""
    return (
        2 * np.asarray(x, float) / max(shape[1] - 1, 1) - 1,
        2 * np.asarray(y, float) / max(shape[0] - 1, 1) - 1,
    )


def width_terms(x: Any, y: Any, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Return the terms of ln(FWHM) along a last axis."""
    u, v = _unit(x, y, shape)
    return np.stack([np.ones_like(u), u, v, u**2 + v**2], axis=-1)


def shape_terms(
    x: Any, y: Any, shape: tuple[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the terms of e1 and of e2 along a last axis."""
    u, v = _unit(x, y, shape)
    one = np.ones_like(u)
    return np.stack([one, u**2 - v**2, u, v], axis=-1), np.stack([one, 2 * u * v, u, v], axis=-1)


def guessed_point_spread(shape: tuple[int, int], fwhm_px: float, beta: float = 3.0) -> PointSpread:
    """Return a round, constant PSF for an image without a usable star."""
    return PointSpread(shape=shape, beta=beta, ln_fwhm=(float(np.log(fwhm_px)),))
