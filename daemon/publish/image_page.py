"""The page of a calibrated image: whether its pixels, places and magnitudes can be trusted."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from daemon.publish.image_panels import (
    draw_counts,
    draw_pulls,
    draw_sky_model,
    draw_star,
    draw_star_profile,
)
from daemon.publish.page import BLUE, RED, Page, Picture, known, note, title
from daemon.publish.photometry_panels import (
    draw_errors,
    draw_growth,
    draw_offsets,
    draw_point_spread,
    draw_zero_by_colour,
    draw_zero_by_magnitude,
)
from daemon.publish.sky_picture import draw_compass, draw_sky
from daemon.publish.strip import Verdict, flag_facts, write_strip
from reducers.frame import UNUSABLE, Mask
from reducers.imaging.image_products import blocks
from reducers.imaging.reduced_image import ReducedImage
from reducers.imaging.references import References
from reducers.reduced import Exposure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from reducers.identity import Identity
    from reducers.imaging.photometry import Photometry

_PASSED = "all checks passed"
_BOX = (56, 45, 800, 815)
#: Catalogue stars that are circled at most, the brightest first.
_CIRCLES = 250


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageCase:
    """An image with what was made of it."""

    reduced: ReducedImage
    exposure: Exposure
    references: References


def image_picture(
    reduced: ReducedImage, exposure: Exposure, references: References, notes: Sequence[str]
) -> Picture:
    """Return the page of an image, and what it says as JSON."""
    return image_page(reduced, exposure, references, notes).finish()


def image_page(
    reduced: ReducedImage, exposure: Exposure, references: References, notes: Sequence[str] = ()
) -> Page:
    """Draw an image with its stars, their shape, places and magnitudes.

    Parameters
    ----------
    notes
        Short lines about the calibrations.
    """
    page = Page("image")
    case = ImageCase(reduced=reduced, exposure=exposure, references=references)
    _write_header(page, case, notes)
    page.panel("image", _BOX, _draw_image, case)
    if reduced.photometry is not None:
        _draw_photometry(page, case, reduced.photometry)
    else:
        page.panel("star", (905, 680, 160, 160), draw_star, reduced)
        page.panel("star_profile", (1125, 680, 455, 160), draw_star_profile, reduced, _scale(case))
        page.panel("counts", (925, 330, 655, 230), draw_counts, reduced)
    page.panel("sky_model", (905, 60, 150, 150), draw_sky_model, reduced)
    page.panel("pulls", (1150, 60, 430, 150), draw_pulls, reduced)
    return page


def _draw_photometry(page: Page, case: ImageCase, found: Photometry) -> None:
    """Draw what the stars say: shape, growth, zero point, errors and places."""
    reduced, references = case.reduced, case.references
    zero, place = reduced.zero_point, reduced.astrometry
    seconds = case.exposure.identity.exposure_s
    page.panel("psf", (905, 705, 420, 140), draw_point_spread, found)
    page.panel("growth", (1385, 705, 195, 140), draw_growth, found)
    page.panel("zero_by_magnitude", (955, 495, 295, 140), draw_zero_by_magnitude, found, zero,
               seconds)  # fmt: skip
    page.panel("zero_by_colour", (1320, 495, 260, 140), draw_zero_by_colour, found, zero,
               references, place)  # fmt: skip
    page.panel("errors", (955, 285, 395, 140), draw_errors, reduced, seconds)
    page.panel("offsets", (1430, 285, 150, 140), draw_offsets, found, references, place)


def _scale(case: ImageCase) -> float:
    """Return arcseconds per image pixel; NaN where the place on the sky is not known."""
    found = case.reduced.astrometry
    return math.nan if found is None else found.sky_map.pixel_scale_arcsec


def _write_header(page: Page, case: ImageCase, notes: Sequence[str]) -> None:
    reduced, identity = case.reduced, case.exposure.identity
    verdict = Verdict.of(reduced.quality)
    about = [*_circumstances(identity), *_in_words(reduced)]
    write_strip(
        page,
        name=identity.target or identity.object_name,
        badge=verdict.badge,
        colour=verdict.colour,
        about=about,
        reasons=[f"{flag.name}: {flag.sentence}" for flag in reduced.flags] or [_PASSED],
        right=f"{case.exposure.stem}  {identity.setup.filter or 'no filter'}",
        aside=[*notes, *case.references.reasons],
    )
    page.facts |= {
        "frame": case.exposure.stem,
        "target": identity.target or identity.object_name,
        "filter": identity.setup.filter,
        "quality": verdict.quality,
        "flags": flag_facts(reduced.flags),
        "circumstances": about,
        "calibrations": list(notes),
        "catalogues": list(case.references.reasons),
        "measurements": dict(reduced.measurements),
    }


def _circumstances(identity: Identity) -> list[str]:
    when, setup = identity.observed_at, identity.setup
    return [
        "time unknown" if when is None else f"{when:%Y-%m-%d %H:%M:%S} UT",
        f"{identity.exposure_s:g} s",
        f"binning {setup.x_binning}x{setup.y_binning}",
        f"airmass {known(identity.airmass, '.2f')}",
    ]


def _in_words(reduced: ReducedImage) -> list[str]:
    found = reduced.measurements
    said = [
        f'seeing {known(found.get("seeing_arcsec"), ".2f")}"',
        f"{known(found.get('stars'), '.0f')} stars",
    ]
    if not math.isfinite(found.get("zero_point_mag", math.nan)):
        return [*said, "no zero point"]
    return [
        *said,
        f"zero point {found['zero_point_mag']:.3f} +- "
        f"{known(found.get('zero_point_error_mag'), '.3f')}",
        f"5 sigma at {known(found.get('limit_5_sigma_mag'), '.2f')} mag",
    ]


def _draw_image(axes: Axes, case: ImageCase) -> dict[str, Any]:
    reduced = case.reduced
    usable = (reduced.image.mask & np.uint16(UNUSABLE)) == 0
    plane, step = blocks(reduced.image.data - reduced.background, usable, max(_BOX[2:]) + 400)
    low, high = draw_sky(axes, plane, (_BOX[2], _BOX[3]), step=step)
    said: dict[str, Any] = {"levels": (low, high)}
    found = reduced.astrometry
    marked = _mark_catalogue(axes, case)
    what = f"; circles: {marked} catalogue stars" if marked else ""
    title(axes, f"image less the sky: white {low:.0f}, black {high:.0f} electrons{what}")
    if found is not None:
        said |= draw_compass(axes, found.sky_map, reduced.image.shape)
        if not found.solved:
            note(axes, "no star confirms the place on the sky", color=RED, fontsize=10)
    return said | {"catalogue_stars": marked}


def _mark_catalogue(axes: Axes, case: ImageCase) -> int:
    """Circle the brightest catalogue stars on the image; return how many."""
    found, known_stars = case.reduced.astrometry, case.references.astrometric
    if found is None or known_stars is None or not len(known_stars):
        return 0
    magnitude = next(iter(known_stars.magnitudes.values()), np.zeros(len(known_stars)))
    order = np.argsort(np.where(np.isfinite(magnitude), magnitude, np.inf))
    x, y = found.sky_map.pixels(known_stars.ra_deg[order], known_stars.dec_deg[order])
    ny, nx = case.reduced.image.shape
    inside = np.isfinite(x) & np.isfinite(y) & (x >= 0) & (y >= 0) & (x < nx) & (y < ny)
    x, y = x[inside], y[inside]
    lit = (case.reduced.image.mask[y.astype(int), x.astype(int)] & np.uint16(Mask.VIGNETTED)) == 0
    x, y = x[lit][:_CIRCLES], y[lit][:_CIRCLES]
    axes.plot(x, y, "o", ms=9, mfc="none", mec=BLUE if found.solved else RED, mew=0.7)
    return int(x.size)
