"""How wide and how round the stars of an image are, and where."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from reducers.frame import Vector
from reducers.imaging.moffat import elongation, moffat_slopes
from reducers.imaging.stamps import Stamps, stamps_around

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

#: Powers of the Moffat profile that are tried; the last is nearly a Gaussian.
BETAS = (2.2, 3.0, 4.5, 7.0, 30.0)
USUAL_BETA = 3.0
#: Stars measured at most.
MOST_STARS = 120
#: A narrower source is no star but a cosmic ray or a hot pixel.
LEAST_FWHM_PX = 1.2
#: No width is better known than this fraction: stars differ.
LEAST_WIDTH_ERROR = 0.01
#: Fraction of the light by which every model is thought wrong.
MODEL_ERROR = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Seeing:
    """The shape of the stars.

    Attributes
    ----------
    fwhm_px, fwhm_error_px
        Median over the stars and its error; NaN where there is no star.
    beta : float
        Power of the Moffat profile that fits them best.
    ellipticity, position_angle_rad
        1 - b/a of the mean star, and where its long axis points, from x to y.
    stars : int
        Stars measured.
    x, y, star_fwhm_px, e1, e2 : (stars,) float64
        Each star; e1, e2 as in `moffat`.
    terms : tuple of float
        FWHM = sum of terms times 1, u, v, u^2 + v^2; u and v run from -1 to 1 across the image.
    shape : tuple of int
        Rows and columns of the image.
    """

    fwhm_px: float
    fwhm_error_px: float = float("nan")
    beta: float = 3.0
    ellipticity: float = float("nan")
    position_angle_rad: float = float("nan")
    stars: int = 0
    x: Vector = field(default_factory=lambda: np.empty(0))
    y: Vector = field(default_factory=lambda: np.empty(0))
    star_fwhm_px: Vector = field(default_factory=lambda: np.empty(0))
    e1: Vector = field(default_factory=lambda: np.empty(0))
    e2: Vector = field(default_factory=lambda: np.empty(0))
    terms: tuple[float, ...] = ()
    shape: tuple[int, int] = (0, 0)

    def at(self, x: Any, y: Any) -> Vector:
        """Return the FWHM (pixels) at places of the image."""
        columns = spatial_terms(np.asarray(x, float), np.asarray(y, float), self.shape)
        used = self.terms or (self.fwhm_px,)
        return np.asarray(columns[..., : len(used)] @ np.array(used))


NO_SEEING = Seeing(fwhm_px=float("nan"))


def spatial_terms(x: Vector, y: Vector, shape: tuple[int, int]) -> Vector:
    """Return 1, u, v, u^2 + v^2 along a last axis, u and v from -1 to 1 across the image."""
    u = 2 * x / max(shape[1] - 1, 1) - 1
    v = 2 * y / max(shape[0] - 1, 1) - 1
    return np.stack([np.ones_like(u), u, v, u**2 + v**2], axis=-1)


@dataclass(frozen=True, slots=True)
class Shapes:
    """Moffat profiles fitted to single stars; every field is (n,) long.

    `width_error` is the error of ln(FWHM), `chi2` is -2 ln(likelihood) with the variances' part.
    """

    flux: Vector
    x: Vector
    y: Vector
    fwhm_px: Vector
    e1: Vector
    e2: Vector
    chi2: Vector
    width_error: Vector

    def take(self, chosen: NDArray[Any]) -> Shapes:
        """Return only the chosen stars."""
        return Shapes(*(getattr(self, entry.name)[chosen] for entry in fields(self)))


def measure_shapes(
    light: NDArray[Any],
    variance: NDArray[Any],
    good: NDArray[np.bool_],
    x: Vector,
    y: Vector,
    fwhm_px: float,
    *,
    beta: float = 3.0,
    rounds: int = 8,
) -> Shapes:
    """Fit a Moffat profile of fixed power to every star alone (Gauss-Newton, damped).

    Parameters
    ----------
    light, variance : (ny, nx)
        Sky-subtracted electrons and the variance of the sky.
    good : (ny, nx) bool
        Pixels to be used.
    x, y : (n,) float
        Places within about half a FWHM.
    fwhm_px : float
        First guess.
    """
    half = int(np.clip(np.ceil(1.6 * fwhm_px), 4, 25))
    stamps = stamps_around(x, y, half, (light.shape[0], light.shape[1]))
    data = stamps.of(light).astype(float)
    sky = stamps.of(variance).astype(float)
    usable = stamps.of(good) & stamps.inside & np.isfinite(data) & np.isfinite(sky) & (sky > 0)
    data, sky = np.where(usable, data, 0.0), np.where(usable, sky, 1.0)
    shapes = Shapes(
        flux=np.maximum(data.sum(axis=(1, 2)), 1.0),
        x=np.array(x, float),
        y=np.array(y, float),
        fwhm_px=np.full(len(x), float(fwhm_px)),
        e1=np.zeros(len(x)),
        e2=np.zeros(len(x)),
        chi2=np.full(len(x), np.inf),
        width_error=np.ones(len(x)),
    )
    for _ in range(rounds):
        shapes = _improved(shapes, stamps, data, sky, usable, beta)
    return shapes


def _improved(
    now: Shapes,
    stamps: Stamps,
    data: NDArray[Any],
    sky: NDArray[Any],
    usable: NDArray[np.bool_],
    beta: float,
) -> Shapes:
    """Return the shapes after one step of all fits."""
    wide = (slice(None), None, None)
    dx, dy = stamps.offsets(now.x, now.y)
    slopes = moffat_slopes(dx, dy, now.fwhm_px[wide], beta, now.e1[wide], now.e2[wide])
    star = np.maximum(now.flux, 0)[wide] * slopes.value
    weight = np.where(usable, 1 / (sky + star + (MODEL_ERROR * star) ** 2), 0.0)
    flux = now.flux[wide]
    columns = [slopes.value, np.ones_like(data)]
    columns += [flux * each for each in (slopes.x, slopes.y, slopes.ln_fwhm, slopes.e1, slopes.e2)]
    design = np.stack(columns, axis=-1).reshape(len(data), -1, len(columns))
    flat = weight.reshape(len(data), -1)
    residual = (data - flux * slopes.value).reshape(len(data), -1)
    weighted = (design * flat[..., None]).swapaxes(1, 2)
    normal = weighted @ design
    diagonal = np.einsum("nii->ni", normal)
    normal += 1e-3 * diagonal[:, :, None] * np.eye(7) + 1e-12 * np.eye(7)
    step = np.linalg.solve(normal, weighted @ residual[..., None])[..., 0]
    left = residual - step[:, 1, None]
    e1 = np.clip(now.e1 + np.clip(step[:, 5], -0.15, 0.15), -0.65, 0.65)
    e2 = np.clip(now.e2 + np.clip(step[:, 6], -0.15, 0.15), -0.65, 0.65)
    return Shapes(
        flux=np.maximum(now.flux + step[:, 0], 1e-3),
        x=now.x + np.clip(step[:, 2], -0.7, 0.7),
        y=now.y + np.clip(step[:, 3], -0.7, 0.7),
        fwhm_px=np.clip(now.fwhm_px * np.exp(np.clip(step[:, 4], -0.3, 0.3)), 0.5, 60),
        e1=e1,
        e2=e2,
        # Else a model with broader wings would win by its larger errors alone.
        chi2=np.sum(flat * left**2 - np.log(np.where(flat > 0, flat, 1.0)), axis=1),
        width_error=np.sqrt(np.linalg.inv(normal)[:, 4, 4]),
    )


def densest(values: Vector) -> float:
    """Return where values lie densest: the half-sample mode (Bickel & Fruehwirth 2006)."""
    left = np.sort(values[np.isfinite(values)])
    if not len(left):
        return float("nan")
    while len(left) > 3:
        half = (len(left) + 1) // 2
        start = int(np.argmin(left[half - 1 :] - left[: len(left) - half + 1]))
        left = left[start : start + half]
    return float(np.median(left))


def middle(values: Vector, error: Vector) -> float:
    """Return the median of values, each weighted by what its error allows."""
    order = np.argsort(values)
    heavy = np.cumsum(1 / (error[order] ** 2 + LEAST_WIDTH_ERROR**2))
    return float(np.interp(0.5 * heavy[-1], heavy - np.diff(heavy, prepend=0) / 2, values[order]))


def stars_of(shapes: Shapes) -> NDArray[np.bool_]:
    """Tell which sources have the common width: stars, neither galaxies nor cosmic rays.

    The stars are the densest group; of few sources the narrow ones that agree.
    """
    plausible = (shapes.fwhm_px > LEAST_FWHM_PX) & (np.hypot(shapes.e1, shapes.e2) < 0.6)
    plausible &= np.isfinite(shapes.chi2) & (shapes.fwhm_px < 59)
    if not plausible.any():
        return plausible
    widths = np.log(np.where(plausible, shapes.fwhm_px, 1.0))
    centre = densest(widths[plausible])
    centre = _narrowest_group(widths, plausible, centre)
    near = plausible & (np.abs(widths - centre) < 0.25)
    for _ in range(3):
        if not near.any():
            return plausible
        centre = float(np.median(widths[near]))
        spread = 1.4826 * float(np.median(np.abs(widths[near] - centre)))
        allowed = np.clip(3.5 * np.maximum(spread, shapes.width_error), 0.06, 0.25)
        near = plausible & (np.abs(widths - centre) < allowed)
    return near


def _narrowest_group(widths: Vector, plausible: NDArray[np.bool_], centre: float) -> float:
    """Return the centre of a narrower group than the densest: then that one is of galaxies."""
    crowd = np.count_nonzero(plausible & (np.abs(widths - centre) < 0.15))
    narrow = plausible & (widths < centre - 0.2)
    if np.count_nonzero(narrow) < max(4, 0.3 * crowd):
        return centre
    other = densest(widths[narrow])
    agreed = np.count_nonzero(narrow & (np.abs(widths - other) < 0.1))
    return other if agreed >= max(4, 0.3 * crowd) else centre


def seeing_from(
    light: NDArray[Any],
    variance: NDArray[Any],
    good: NDArray[np.bool_],
    x: Vector,
    y: Vector,
    fwhm_px: float,
) -> Seeing:
    """Return the shape of the stars among bright, unsaturated, lonely sources.

    Parameters
    ----------
    light, variance, good
        As in `measure_shapes`.
    x, y : (n,) float
        Candidates, brightest first; the first `MOST_STARS` are measured.
    fwhm_px : float
        First guess.
    """
    if not len(x):
        return NO_SEEING
    x, y = x[:MOST_STARS], y[:MOST_STARS]
    shapes = measure_shapes(light, variance, good, x, y, fwhm_px)
    shapes = shapes.take(stars_of(shapes))
    if not len(shapes.x):
        return NO_SEEING
    width = middle(shapes.fwhm_px, shapes.width_error)
    trials = {
        beta: measure_shapes(
            light, variance, good, shapes.x[:30], shapes.y[:30], width, beta=beta, rounds=5
        )
        for beta in BETAS
    }
    beta = best_power(trials)
    if beta != USUAL_BETA:
        shapes = measure_shapes(
            light, variance, good, shapes.x, shapes.y, width, beta=beta, rounds=5
        )
    return _summary(shapes, beta, (light.shape[0], light.shape[1]))


def best_power(trials: Mapping[float, Shapes]) -> float:
    """Return the power that is likeliest; the usual one unless another is clearly better.

    No star counts for more than 30 against a power: a double star has no say.
    """
    powers = list(trials)
    misfit = np.array([trial.chi2 for trial in trials.values()])
    loss = np.minimum(misfit - misfit.min(axis=0), 30).sum(axis=1)
    best = int(np.argmin(loss))
    clearly = loss[powers.index(USUAL_BETA)] - loss[best] > 9
    return powers[best] if clearly else USUAL_BETA


def _summary(shapes: Shapes, beta: float, image: tuple[int, int]) -> Seeing:
    """Return the numbers of the kept stars."""
    width, count = middle(shapes.fwhm_px, shapes.width_error), len(shapes.x)
    scatter = 1.4826 * middle(np.abs(shapes.fwhm_px - width), shapes.width_error)
    ellipticity, angle = elongation(
        *(middle(e, shapes.width_error) for e in (shapes.e1, shapes.e2))
    )
    order = 4 if count >= 20 else 3 if count >= 10 else 1
    columns = spatial_terms(shapes.x, shapes.y, image)[:, :order]
    kept = np.ones(count, bool)
    for _ in range(2):
        weight = 1 / np.hypot(shapes.width_error[kept], LEAST_WIDTH_ERROR)
        terms = np.linalg.lstsq(
            columns[kept] * weight[:, None], shapes.fwhm_px[kept] * weight, rcond=None
        )[0]
        left = np.abs(shapes.fwhm_px - columns @ terms)
        kept = left <= 3 * 1.4826 * np.median(left) + 1e-3
    return Seeing(
        fwhm_px=width,
        fwhm_error_px=1.2533 * scatter / np.sqrt(count) if count > 1 else float("nan"),
        beta=beta,
        ellipticity=float(ellipticity),
        position_angle_rad=float(angle),
        stars=count,
        x=shapes.x,
        y=shapes.y,
        star_fwhm_px=shapes.fwhm_px,
        e1=shapes.e1,
        e2=shapes.e2,
        terms=tuple(float(term) for term in terms),
        shape=image,
    )
