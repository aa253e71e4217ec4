"""One page per master: bias, flat, arc, response, and those of images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daemon.publish.arc_page import arc_page
from daemon.publish.bias_page import bias_page
from daemon.publish.failure_page import Failure, failure_page
from daemon.publish.flat_page import flat_page
from daemon.publish.illumination_page import illumination_page
from daemon.publish.image_master_pages import dark_page, fringe_page, sky_flat_page
from daemon.publish.standard_page import standard_page
from daemon.publish.star_flat_page import star_flat_page

if TYPE_CHECKING:
    from daemon.publish.evidence import Evidence
    from daemon.publish.page import Page, Picture

_PAGES = {
    "BIAS": bias_page,
    "FLAT": flat_page,
    "ARC": arc_page,
    "RESPONSE": standard_page,
    "ILLUMINATION": illumination_page,
    "DARK": dark_page,
    "SKY_FLAT": sky_flat_page,
    "FRINGE": fringe_page,
    "STAR_FLAT": star_flat_page,
}


def master_page(case: Evidence | Failure) -> Page:
    """Draw the page of a master of any role, or of frames that gave none."""
    if isinstance(case, Failure):
        return failure_page(case)
    return _PAGES[case.built.role](case)


def master_picture(case: Evidence | Failure) -> Picture:
    """Return the picture of a master or of a failure, and what it says as JSON."""
    return master_page(case).finish()
