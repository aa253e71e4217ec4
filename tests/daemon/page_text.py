"""What stands on a page must be legible."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from matplotlib.backends.backend_agg import FigureCanvasAgg

from daemon.publish.page import HEIGHT_PX, WIDTH_PX

if TYPE_CHECKING:
    from daemon.publish.page import Page


def colliding(page: Page) -> list[tuple[str, str]]:
    """Return pairs of texts that lie on each other, and texts that leave the page."""
    FigureCanvasAgg(page.figure).draw()
    texts = [*page.figure.texts, *(t for axes in page.figure.axes for t in axes.texts)]
    boxes = [(t.get_text(), t.get_window_extent()) for t in texts if t.get_text().strip()]
    outside = [
        (text, "outside the page")
        for text, box in boxes
        if box.x0 < 0 or box.y0 < 0 or box.x1 > WIDTH_PX or box.y1 > HEIGHT_PX
    ]
    return outside + [
        (one, other)
        for (one, a), (other, b) in itertools.combinations(boxes, 2)
        if min(a.x1, b.x1) - max(a.x0, b.x0) > 1 and min(a.y1, b.y1) - max(a.y0, b.y0) > 1
    ]
