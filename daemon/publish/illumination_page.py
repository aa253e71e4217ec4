"""The page of a slit's illumination: the twilight along the slit, in the blue and in the red."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from daemon.publish.evidence import LEFT, RIGHT, open_page
from daemon.publish.page import BLUE, GREEN, PALE, RED, frame, known, percentiles, title

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from daemon.publish.evidence import Evidence
    from daemon.publish.page import Page
    from reducers.frame import Frame

_WIDE = RIGHT - LEFT + 346


def illumination_page(case: Evidence) -> Page:
    """Draw the twilight along the slit over the lamp's, first, middle and last row."""
    found = case.built.measurements
    page = open_page(case, "illumination", [
        f"{known(found.get('frames'), '.0f')} of {len(case.exposures)} frames",
        f"{known(100 * found.get('illumination_rms', np.nan), '.2f')} per cent rms along the slit",
        f"left over {known(100 * found.get('residual_rms', np.nan), '.2f')} per cent",
        f"degree {known(found.get('slit_degree'), '.0f')}",
    ])  # fmt: skip
    page.panel("along_slit", (LEFT, 90, _WIDE, 700), _draw_along, case.image)
    return page


def _draw_along(axes: Axes, master: Frame) -> dict[str, Any]:
    title(axes, "twilight over flat: first (blue), middle (green) and last row (red)")
    rows = (0, master.shape[0] // 2, master.shape[0] - 1)
    axes.axhline(1.0, color=PALE, lw=0.8)
    for row, colour in zip(rows, (BLUE, GREEN, RED), strict=True):
        axes.plot(master.data[row], color=colour, lw=1.2)
    low, high = percentiles(master.data, (0, 100))
    room = 0.1 * (high - low) + 0.002
    frame(axes, (-0.5, master.shape[1] - 0.5), (low - room, high + room), x_label="slit (px)",
          y_label="relative light")  # fmt: skip
    return {"lowest": low, "highest": high}
