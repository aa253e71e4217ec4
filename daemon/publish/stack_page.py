"""The page of a stack: what the images show together, and what each of them gave."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from daemon.publish.evidence import draw_histogram
from daemon.publish.page import (
    BLUE,
    GREEN,
    PALE,
    Page,
    Picture,
    frame,
    known,
    middle,
    note,
    percentiles,
    plain,
    robust_sigma,
    say,
    title,
)
from daemon.publish.sky_picture import draw_compass, draw_sky
from daemon.publish.strip import Verdict, write_strip
from reducers.frame import UNUSABLE
from reducers.imaging.image_products import blocks
from reducers.imaging.stack import Stacked
from reducers.imaging.stack_members import Choice

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BOX = (56, 45, 800, 815)
_LEFT, _WIDE = 960, 620
_MOST_LINES = 14
#: Where the columns of the table of images begin.
_COLUMNS = (0.0, 0.36, 0.5, 0.66, 0.8)


@dataclass(frozen=True, slots=True, kw_only=True)
class StackCase:
    """A stack, what was decided about each image, and who else was left out (stem, reason)."""

    stacked: Stacked
    choices: tuple[Choice, ...]
    target: str
    setup: str
    quality: int
    excluded: tuple[tuple[str, str], ...] = ()


def stack_picture(case: StackCase) -> Picture:
    """Return the page of a stack, and what it says as JSON."""
    return stack_page(case).finish()


def stack_page(case: StackCase) -> Page:
    """Draw a stack over its members."""
    page = Page("stack")
    stacked, verdict = case.stacked, Verdict.of(case.quality)
    left_out = [f"{name} left out: {reason}" for name, reason in case.excluded]
    write_strip(
        page,
        name=case.target,
        badge=verdict.badge,
        colour=verdict.colour,
        about=[
            case.setup,
            f"{len(stacked.shares)} images, {stacked.exposure_s:.0f} s",
            f"zero point {known(stacked.zero_point_mag, '.3f')}",
            f"errors of sums grow by {known(stacked.noise_gain**-0.5, '.2f')}",
        ],
        reasons=left_out or ["every image takes part"],
        right="stack",
    )
    page.facts |= {
        "target": case.target, "setup": case.setup, "quality": verdict.quality,
        "zero_point_mag": stacked.zero_point_mag, "exposure_s": stacked.exposure_s,
        "members": [
            {"image": s.choice.member.name, "weight": s.choice.weight, "scale": s.choice.scale,
             "rejected": s.rejected, "covered": s.covered}
            for s in stacked.shares
        ],
        "left_out": [{"image": name, "reason": reason} for name, reason in case.excluded],
    }  # fmt: skip
    page.panel("image", _BOX, _draw_image, stacked)
    page.panel("members", (905, 560, 675, 270), _draw_members, case)
    page.panel("coverage", (905, 310, 200, 180), _draw_coverage, stacked)
    page.panel("weights", (1200, 310, 380, 180), _draw_weights, stacked)
    page.panel("pulls", (_LEFT, 70, _WIDE, 160), _draw_pulls, stacked)
    return page


def _draw_image(axes: Axes, stacked: Stacked) -> dict[str, Any]:
    usable = (stacked.image.mask & np.uint16(UNUSABLE)) == 0
    plane, step = blocks(stacked.image.data, usable, max(_BOX[2:]) + 400)
    low, high = draw_sky(axes, plane, (_BOX[2], _BOX[3]), step=step)
    title(axes, f"stack: white {low:.2f}, black {high:.2f} electrons per second")
    found = draw_compass(axes, stacked.grid.sky_map, stacked.image.shape)
    return {"levels": (low, high), **found}


def _draw_members(axes: Axes, case: StackCase) -> dict[str, Any]:
    """Write what each image was like, and what of it was left out."""
    title(axes, "images: weight, light against the clearest, seeing, pixels rejected; or why not")
    axes.set_axis_off()
    shares = {share.choice.member.name: share for share in case.stacked.shares}
    for number, choice in enumerate(case.choices[:_MOST_LINES]):
        member, share = choice.member, shares.get(choice.member.name)
        cells = [plain(choice.reason, 70)]
        if share is not None:
            light = 100 / (choice.scale * member.exposure_s)
            cells = [
                f"{choice.weight:.3f}",
                f"{light:.1f} %",
                f'{known(member.seeing_arcsec, ".2f")}"',
                f"{100 * share.rejected:.3f} %",
            ]
        for place, text in zip(_COLUMNS, [plain(member.name, 34), *cells], strict=False):
            axes.text(place, 0.98 - number / _MOST_LINES, text, transform=axes.transAxes, va="top",
                      fontsize=8.5, parse_math=False, color="0.1" if share else "0.5")  # fmt: skip
    if len(case.choices) > _MOST_LINES:
        note(axes, f"and {len(case.choices) - _MOST_LINES} more", y=0.04)
    return {"images": len(case.choices)}


def _draw_coverage(axes: Axes, stacked: Stacked) -> dict[str, Any]:
    most = max(int(stacked.coverage.max()), 1)
    ny, nx = stacked.coverage.shape
    axes.imshow(stacked.coverage[::4, ::4], origin="lower", cmap="viridis", vmin=0, vmax=most,
                aspect="auto", extent=(-0.5, nx - 0.5, -0.5, ny - 0.5))  # fmt: skip
    title(axes, f"images in each pixel, up to {most}")
    frame(axes, (-0.5, nx - 0.5), (-0.5, ny - 0.5), x_ticks=3, y_ticks=3)
    return {"most": most, "complete_fraction": float((stacked.coverage == most).mean())}


def _draw_weights(axes: Axes, stacked: Stacked) -> dict[str, Any]:
    title(axes, "weight (blue) and rejected per mille (green) by image")
    number = np.arange(1, len(stacked.shares) + 1)
    weight = np.array([share.choice.weight for share in stacked.shares])
    lost = np.array([1000 * share.rejected for share in stacked.shares])
    axes.plot(number, weight, "o-", color=BLUE, ms=5, lw=0.8)
    top = 1.3 * max(float(weight.max()), 1e-3)
    axes.plot(number, np.clip(lost / 10, 0, 1) * top, "s", color=GREEN, ms=4)
    axes.axhline(1 / max(number.size, 1), color=PALE, lw=0.8)
    frame(axes, (0.4, number.size + 0.6), (0, top), x_label="image", y_label="weight", x_ticks=6)
    note(axes, "green: full height is 10 per mille")
    return {"weight": weight, "rejected_per_mille": lost}


def _draw_pulls(axes: Axes, stacked: Stacked) -> dict[str, Any]:
    """Draw the stack in units of the error of single pixels; stars make the right wing."""
    title(axes, "pixels where every image shows over their error (blue), Gaussian of their width")
    full = stacked.coverage == stacked.coverage.max()
    usable = ((stacked.image.mask & np.uint16(UNUSABLE)) == 0) & full
    step = max(1, math.isqrt(usable.size // 300_000))
    some = (slice(None, None, step), slice(None, None, step))
    if np.count_nonzero(usable[some]) < 100:
        return say(axes, "too few pixels that every image shows")
    error = np.sqrt(np.maximum(stacked.image.variance[some], 1e-12))
    pull = (stacked.image.data[some] / error)[usable[some]]
    low = percentiles(pull, (50,))[0]
    sigma = robust_sigma(pull[pull < low + 2])
    said: dict[str, Any] = draw_histogram(axes, pull, robust_sigma(pull), x_label="sigma")
    note(axes, f"width {robust_sigma(pull):.2f} (neighbours share noise: expected 1)")
    return said | {"median": middle(pull), "width_below": sigma}
