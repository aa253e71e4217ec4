"""Find the sources of an image: matched filter, threshold, windowed centroids."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import sep
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from reducers.frame import UNUSABLE, Frame, Image, Mask, Vector
from reducers.imaging.centroids import windowed_centroids
from reducers.imaging.extraction import Extraction, extract
from reducers.imaging.fill import fill_masked
from reducers.imaging.prominence import Smoothed, stands_out
from reducers.imaging.seeing import NO_SEEING, Seeing, seeing_from
from reducers.imaging.sky_noise import SkyNoise, sky_noise
from reducers.imaging.sources import Detections

#: Sigma of the filtered image above which a source is one.
THRESHOLD = 5.0
#: Sigma of the first pass, which only looks for stars to measure.
FIRST_THRESHOLD = 12.0
#: Stars that tell the first width.
FIRST_STARS = 50
#: Width of the stars before any was seen, pixels.
FIRST_FWHM_PX = 4.0
#: Width of the filter in units of the stars' FWHM.
FILTER_FWHM = 1.1
#: Gaussian sigma of a FWHM of one.
SIGMA = 1 / 2.3548
#: Pixels that are not looked at; saturated stars are, so that each is found once.
HIDDEN = UNUSABLE & ~Mask.SATURATED


@dataclass(frozen=True, slots=True)
class Scene:
    """What the search looks at.

    Attributes
    ----------
    light : (ny, nx) float32
        Electrons above the sky, small masked spots filled.
    noise : (ny, nx) float32
        Sigma of the sky, pixel by pixel.
    hidden : (ny, nx) bool
        Pixels of which nothing is known.
    mask : (ny, nx) uint16
        Bits of `Mask`.
    """

    light: Image
    noise: Image
    hidden: NDArray[np.bool_]
    mask: NDArray[np.uint16]

    @property
    def unsaturated(self) -> NDArray[np.bool_]:
        """Pixels that measure light."""
        return np.asarray((self.mask & np.uint16(UNUSABLE)) == 0)


def detect(
    frame: Frame,
    background: Image,
    rms: Image,
    *,
    fwhm_px: float | None = None,
    threshold: float = THRESHOLD,
    noise: SkyNoise | None = None,
) -> tuple[Detections, NDArray[np.int32]]:
    """Find every source whose light, seen through the PSF, stands above the noise.

    The image is smoothed with a Gaussian of the stars' FWHM; the noise it is compared with is
    that of each pixel, scaled to what the smoothed image shows (Bertin & Arnouts 1996, A&AS 117,
    393, section 3; the filter of Irwin 1985, MNRAS 214, 575). The FWHM comes from the stars of a
    first, shallower pass unless it is given. What is sharper than a star is no source.

    Parameters
    ----------
    frame : Frame
        Electrons, sky included.
    background, rms : (ny, nx) float32
        The sky and its scatter per pixel, in the unit of the frame.
    fwhm_px : float, optional
        Width of the stars where it is known.
    threshold : float
        Sigma of the smoothed noise.
    noise : SkyNoise, optional
        That of this frame and sky, where it is at hand.

    Returns
    -------
    detections : Detections
        Brightest first.
    segmentation : (ny, nx) int32
        0 for sky, 1 + index into the detections for the pixels of a source.
    """
    given = fwhm_px if fwhm_px is not None and np.isfinite(fwhm_px) else None
    scene = scene_of(frame, background, rms, given or FIRST_FWHM_PX, noise)
    stars = NO_SEEING if given is not None else first_seeing(scene)
    width = given if given is not None else stars.fwhm_px
    kernel_fwhm = float(np.clip(width if np.isfinite(width) else FIRST_FWHM_PX, 1.5, 20))
    # A Gaussian a tenth wider than a Moffat star loses half a per cent of its signal to noise.
    above = _extract(scene, FILTER_FWHM * kernel_fwhm, threshold)
    found = above.objects
    kept = ~_sharper_than_a_star(scene, found, kernel_fwhm) & _first_of_saturated(scene, found)
    kernel = gaussian_kernel(FILTER_FWHM * kernel_fwhm)
    smoothed = Smoothed(scene.light, scene.noise, kernel, smoothed_noise(scene, kernel))
    kept[kept] = stands_out(
        smoothed,
        found["xcpeak"][kept].astype(float),
        found["ycpeak"][kept].astype(float),
        kernel_fwhm,
        stars.beta,
        threshold,
    )
    found = found[kept]
    detections, order = _measured(scene, found, kernel_fwhm, float(width))
    labels = np.zeros(len(kept) + 1, np.int32)
    labels[1 + np.flatnonzero(kept)[order]] = np.arange(1, len(order) + 1)
    detections = replace(detections, flooded=above.flooded_fraction)
    return detections, labels[above.segments]


def scene_of(
    frame: Frame, background: Image, rms: Image, fwhm_px: float, noise: SkyNoise | None = None
) -> Scene:
    """Return the image as the search sees it.

    The noise is the larger of what the variance says of the sky and what the sky shows.
    """
    hidden = ((frame.mask & np.uint16(HIDDEN)) != 0) | ~np.isfinite(frame.data)
    variance = (noise or sky_noise(frame, background)).variance
    hidden |= ~np.isfinite(variance)
    light, unknown = fill_masked(frame.data - background, hidden, fwhm_px)
    sigma = np.sqrt(np.maximum(variance, np.square(np.nan_to_num(rms))))
    return Scene(light, np.where(np.isfinite(sigma), sigma, 1e30), unknown, frame.mask)


def gaussian_kernel(fwhm_px: float) -> NDArray[np.float32]:
    """Return the filter of the search: a Gaussian of sum one."""
    half = int(np.clip(np.ceil(1.2 * fwhm_px), 2, 14))
    step = np.arange(-half, half + 1)
    line = np.exp(-(step**2) / (2 * (SIGMA * fwhm_px) ** 2))
    kernel = np.outer(line, line)
    return np.asarray(kernel / kernel.sum(), np.float32)


def first_seeing(scene: Scene) -> Seeing:
    """Return the shape of the stars, from a shallow search with a guessed width."""
    found = _extract(scene, FIRST_FWHM_PX, FIRST_THRESHOLD, levels=16).objects
    if not len(found):
        return NO_SEEING
    saturated = np.asarray((scene.mask & np.uint16(Mask.SATURATED)) != 0)
    x, y = found["x"], found["y"]
    reach = np.clip(4 * found["a"], 4, 60)
    with_half, _ = sep.flux_radius(scene.light, x, y, reach, 0.5, subpix=5)
    touched = _any_within(saturated, x, y, 4)
    # Of a Moffat profile of power 3 half the light lies within 0.63 FWHM.
    width = with_half / 0.63
    usable = ~touched & (width > 1) & (found["npix"] > 4) & (found["a"] < 3 * found["b"])
    if not usable.any():
        return NO_SEEING
    brightest = np.flatnonzero(usable)[np.argsort(-found["flux"][usable])]
    guess = float(np.median(width[brightest[:100]]))
    lonely = brightest[_lonely(x[brightest], y[brightest], 2.5 * guess)]
    chosen = lonely if len(lonely) >= 5 else brightest
    return seeing_from(
        scene.light,
        scene.noise.astype(float) ** 2,
        scene.unsaturated & ~scene.hidden,
        found["xcpeak"][chosen[:FIRST_STARS]].astype(float),
        found["ycpeak"][chosen[:FIRST_STARS]].astype(float),
        guess,
    )


def measure_seeing(frame: Frame, background: Image, rms: Image, detections: Detections) -> Seeing:
    """Return the shape of the stars among the detections and its course over the image.

    Parameters
    ----------
    frame, background, rms
        As in `detect`.
    detections : Detections
        Of which the bright, unsaturated, lonely ones are measured.
    """
    if not np.isfinite(detections.fwhm_px) or not len(detections):
        return NO_SEEING
    bright = detections.flux > 20 * detections.flux_error
    usable = bright & (detections.mask_bits & np.uint16(UNUSABLE) == 0) & ~detections.deblended
    chosen = np.flatnonzero(usable)
    chosen = chosen[_lonely(detections.x[chosen], detections.y[chosen], 4 * detections.fwhm_px)]
    x, y = detections.x[chosen], detections.y[chosen]
    light = frame.data - background
    return seeing_from(light, np.square(rms), frame.good, x, y, detections.fwhm_px)


def _extract(scene: Scene, fwhm_px: float, threshold: float, *, levels: int = 32) -> Extraction:
    """Return what stands above the noise; deblending gives up on nothing."""
    kernel = gaussian_kernel(fwhm_px)
    unit = float(np.sqrt(np.sum(kernel**2)))
    return extract(
        scene.light,
        threshold * unit * smoothed_noise(scene, kernel),
        err=scene.noise,
        mask=scene.hidden,
        minarea=1,
        filter_kernel=kernel,
        filter_type="conv",
        deblend_nthresh=levels,
        deblend_cont=0.005,
        clean=False,
    )


def smoothed_noise(scene: Scene, kernel: NDArray[np.float32]) -> float:
    """Return the noise of the smoothed image in units of what uncorrelated pixels would give.

    Resampling and sky structure correlate pixels; the lower half of the distribution, free of
    sources, tells by how much. Strips across the image are enough.
    """
    ny = scene.light.shape[0]
    height = min(ny, 4 * len(kernel))
    values = []
    for centre in np.linspace(0, ny - height, 5).astype(int):
        rows = slice(centre, centre + height)
        ratio = np.where(scene.hidden[rows], 0, scene.light[rows] / scene.noise[rows])
        line = kernel.sum(axis=0)
        smooth = ndimage.convolve1d(ndimage.convolve1d(ratio, line, axis=0), line, axis=1)
        inner = slice(len(kernel) // 2, height - len(kernel) // 2)
        values.append(smooth[inner][~scene.hidden[rows][inner]])
    sample = np.concatenate(values)
    if len(sample) < 1000:
        return 1.0
    middle, low = np.percentile(sample, [50, 15.87])
    return float(np.clip((middle - low) / np.sqrt(np.sum(kernel**2)), 0.7, 5))


def _sharper_than_a_star(scene: Scene, found: Any, fwhm_px: float) -> NDArray[np.bool_]:
    """Tell which peaks stand out of their neighbours as no PSF can: hits and hot pixels."""
    if not len(found):
        return np.zeros(0, bool)
    kernel = gaussian_kernel(fwhm_px)
    x, y = found["xcpeak"], found["ycpeak"]
    half = len(kernel) // 2
    ny, nx = scene.light.shape
    step = np.arange(-half, half + 1)
    rows = np.clip(y[:, None] + step, 0, ny - 1)[:, :, None]
    columns = np.clip(x[:, None] + step, 0, nx - 1)[:, None, :]
    stamp = scene.light[rows, columns].astype(float)
    near = stamp[:, half - 1 : half + 2, half - 1 : half + 2].reshape(len(x), 9)
    peak = near.max(axis=1)
    power = float(np.sum(kernel**2))
    flux = np.einsum("nij,ij->n", stamp, kernel) / power
    sigma = scene.noise[y, x]
    of_flux = kernel.max() * flux
    error = sigma * np.hypot(1.0, kernel.max() / np.sqrt(power))
    saturated = (scene.mask[y, x] & np.uint16(Mask.SATURATED)) != 0
    return np.asarray((peak > 1.6 * of_flux + 4 * error) & ~saturated)


def _first_of_saturated(scene: Scene, found: Any) -> NDArray[np.bool_]:
    """Keep one source for every patch of saturated pixels: a bleeding column is one star."""
    kept = np.ones(len(found), bool)
    saturated = np.asarray((scene.mask & np.uint16(Mask.SATURATED)) != 0)
    if not len(found) or not saturated.any():
        return kept
    patches, _ = ndimage.label(ndimage.binary_dilation(saturated, iterations=2))
    patch = patches[found["ycpeak"], found["xcpeak"]]
    for number in np.unique(patch[patch > 0]):
        members = np.flatnonzero(patch == number)
        kept[members] = False
        kept[members[np.argmax(found["flux"][members])]] = True
    return kept


def _lonely(x: Vector, y: Vector, radius: float) -> NDArray[np.bool_]:
    """Tell which places have no other within the radius."""
    if not len(x):
        return np.zeros(0, bool)
    tree = cKDTree(np.column_stack([x, y]))
    counts = tree.query_ball_point(np.column_stack([x, y]), radius, return_length=True)
    return np.asarray(counts == 1)


def _any_within(plane: NDArray[np.bool_], x: Vector, y: Vector, reach: int) -> NDArray[np.bool_]:
    """Tell where a plane is set within a square around the places."""
    ny, nx = plane.shape
    step = np.arange(-reach, reach + 1)
    rows = np.clip(np.rint(y).astype(int)[:, None] + step, 0, ny - 1)[:, :, None]
    columns = np.clip(np.rint(x).astype(int)[:, None] + step, 0, nx - 1)[:, None, :]
    return np.asarray(plane[rows, columns].any(axis=(1, 2)))


def _measured(
    scene: Scene, found: Any, kernel_fwhm: float, fwhm_px: float
) -> tuple[Detections, NDArray[np.intp]]:
    """Return the detections, brightest first, and the order in which they stood."""
    start_x, start_y = found["xcpeak"].astype(float), found["ycpeak"].astype(float)
    centres = windowed_centroids(scene.light, scene.noise, start_x, start_y, kernel_fwhm)
    bright = np.maximum(scene.light, 0)
    flux, error, _ = sep.sum_circle(
        scene.light, centres.x, centres.y, kernel_fwhm, err=scene.noise, subpix=5
    )
    error = np.hypot(error, np.sqrt(np.maximum(flux, 0)))
    order = np.argsort(-flux, kind="stable")
    reach = max(int(np.ceil(kernel_fwhm)), 1)
    bits = bits_around(scene.mask, centres.x, centres.y, reach)
    peak = bright[found["ypeak"], found["xpeak"]]
    fields = {
        "x": centres.x,
        "y": centres.y,
        "x_error": centres.x_error,
        "y_error": centres.y_error,
        "flux": flux,
        "flux_error": error,
        "peak": peak.astype(float),
        "semimajor_px": found["a"].astype(float),
        "semiminor_px": found["b"].astype(float),
        "theta_rad": found["theta"].astype(float),
        "area_px": found["npix"].astype(np.int64),
        "mask_bits": bits,
        "deblended": (found["flag"] & sep.OBJ_MERGED) != 0,
    }
    ordered = {name: values[order] for name, values in fields.items()}
    return Detections(**ordered, fwhm_px=fwhm_px), order


def bits_around(mask: NDArray[np.uint16], x: Vector, y: Vector, reach: int) -> NDArray[np.uint16]:
    """Return the bits of all pixels within a circle around the places."""
    ny, nx = mask.shape
    step = np.arange(-reach, reach + 1)
    circle = step[:, None] ** 2 + step[None, :] ** 2 <= reach**2
    rows = np.clip(np.rint(y).astype(int)[:, None] + step, 0, ny - 1)[:, :, None]
    columns = np.clip(np.rint(x).astype(int)[:, None] + step, 0, nx - 1)[:, None, :]
    bits = np.where(circle, mask[rows, columns], 0).reshape(len(x), step.size**2)
    return np.asarray(np.bitwise_or.reduce(bits, axis=1), np.uint16)
