"""The verification plot: one page that shows whether a spectrum can be trusted."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from daemon.publish.calibration_panels import draw_lines, draw_response
from daemon.publish.page import DRAWING_ERRORS, Page, Picture, known
from daemon.publish.panels import (
    draw_image,
    draw_residual,
    draw_sky,
    draw_slit_profile,
    draw_spectrum,
    draw_zone_residuals,
    draw_zones,
)
from daemon.publish.strip import Verdict, circumstances, flag_facts, write_strip
from daemon.publish.view import look
from daemon.publish.zones import zones_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from daemon.publish.zones import Zone
    from reducers.reduced import Exposure, ExtractedObject, ReducedSpectrum

_PASSED = "all checks passed"
_LEFT, _WIDE = 72, 1080
_RIGHT, _NARROW = 1222, 362


def science_picture(
    reduced: ReducedSpectrum,
    exposure: Exposure,
    object_index: int = 0,
    *,
    notes: Sequence[str] = (),
) -> Picture:
    """Return the verification plot of one object, and what it says as JSON."""
    return science_page(reduced, exposure, object_index, notes=notes).finish()


def science_page(
    reduced: ReducedSpectrum,
    exposure: Exposure,
    object_index: int = 0,
    *,
    notes: Sequence[str] = (),
) -> Page:
    """Draw the whole way from slit image to spectrum of one object on one page.

    Parameters
    ----------
    reduced
        What the recipe returned.
    exposure
        The raw exposure it was made from.
    object_index
        Which of the objects on the slit.
    notes
        Short lines about the calibrations, e.g. 'ARC ALDc200208, 0.4 h'.
    """
    page = Page("science")
    seen = look(reduced, exposure, object_index, width_px=_WIDE)
    zones = _zones(reduced, seen.shown)
    _write_header(page, reduced, exposure, seen.shown, notes)
    page.panel("image", (_LEFT, 703, _WIDE, 152), draw_image, seen)
    page.panel("residual", (_LEFT, 530, _WIDE, 152), draw_residual, seen)
    page.panel("spectrum", (_LEFT, 306, _WIDE, 184), draw_spectrum, seen)
    page.panel("sky", (_LEFT, 202, _WIDE, 84), draw_sky, seen)
    page.panel("lines", (_LEFT, 48, _WIDE, 96), draw_lines, seen)
    page.panel("slit_profile", (_RIGHT, 645, _NARROW, 210), draw_slit_profile, seen)
    unit = "px" if reduced.in_pixels else "A"
    scale = _pixel_arcsec(reduced)
    page.panel("zones", (_RIGHT, 406, _NARROW, 172), draw_zones, zones, scale, unit)
    page.panel("zone_residuals", (_RIGHT, 335, _NARROW, 68), draw_zone_residuals, zones)
    page.panel("response", (_RIGHT, 48, _NARROW, 220), draw_response, seen)
    return page


def _zones(reduced: ReducedSpectrum, shown: ExtractedObject | None) -> tuple[Zone, ...]:
    try:
        return () if shown is None else zones_of(reduced, shown)
    except DRAWING_ERRORS:
        return ()


def _pixel_arcsec(reduced: ReducedSpectrum) -> float:
    """Return arcseconds per pixel along the slit, from the width that was given in both."""
    width_px = reduced.objects[0].fwhm_px if reduced.objects else math.nan
    return reduced.measurements.get("fwhm_arcsec", math.nan) / width_px if width_px else math.nan


def _write_header(
    page: Page,
    reduced: ReducedSpectrum,
    exposure: Exposure,
    shown: ExtractedObject | None,
    notes: Sequence[str],
) -> None:
    identity, found = exposure.identity, reduced.measurements
    snr = None if shown is None else shown.snr
    fwhm = None if shown is None else shown.fwhm_px * _pixel_arcsec(reduced)
    # The quality is judged on the target; its neighbours on the slit only share the frame's.
    judged = "" if shown is None or shown is reduced.objects[0] else " of OBJ1"
    verdict = Verdict.of(reduced.quality, judged)
    told = [] if judged or reduced.classification is None else reduced.classification.sentences
    about = [
        *circumstances(identity),
        f'FWHM {known(fwhm, ".2f")}"',
        f"S/N {known(snr, '.1f')}",
    ]
    write_strip(
        page,
        name=identity.target or identity.object_name,
        badge=verdict.badge,
        colour=verdict.colour,
        about=about,
        reasons=[
            *told,
            *([f"{flag.name}: {flag.sentence}" for flag in reduced.flags] or [_PASSED]),
        ],
        right=f"{exposure.stem}  {'' if shown is None else shown.name}",
        aside=notes,
    )
    page.facts |= {
        "frame": exposure.stem,
        "target": identity.target or identity.object_name,
        "object": None if shown is None else shown.name,
        "quality": verdict.quality,
        "flags": flag_facts(reduced.flags),
        "circumstances": about,
        "classification": told,
        "calibrations": list(notes),
        "measurements": dict(found),
    }
