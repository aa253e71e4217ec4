"""What becomes of new light on a difference: vetted, drawn, remembered, told."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np

from daemon.layout import slug, write_atomically
from daemon.publish.finder_chart import finder_chart, offset_stars, stamps_picture
from daemon.publish.page import DRAWING_ERRORS
from daemon.work.alerts import Finding, announce
from daemon.work.circles import circles_of
from daemon.work.witnesses import witnesses_of
from reducers.frame import Mask
from reducers.quality import judge, load_limits
from reducers.transients.agreement import colour_of
from reducers.transients.candidate import Candidate, Standing
from reducers.transients.from_files import read_search_image
from reducers.transients.ranking import VETO_QUALITY, score_of
from reducers.transients.vetting import heard

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from sqlalchemy.orm import Session

    from daemon.memory.records import FrameRecord, ProductRecord
    from daemon.work.bench import Bench
    from reducers.transients.difference.epoch import Epoch
    from reducers.transients.difference.subtraction import Difference
    from reducers.transients.localisation import Localisation

log = logging.getLogger(__name__)

METHOD = "difference"
#: Candidates of one image that get pictures: the best.
MOST_PICTURES = 5
#: Images taken longer ago are remembered; nobody is called for them.
FRESH = timedelta(days=3)
#: Where such a part of the image does not show sky, a chart is left blank.
_DARK = np.uint16(Mask.EDGE | Mask.VIGNETTED | Mask.BAD)


def vetted_changes(
    bench: Bench,
    frame: FrameRecord,
    product: ProductRecord,
    candidates: Sequence[Candidate],
    template: str,
) -> tuple[Candidate, ...]:
    """Return candidates of a difference with what is known of them, their standing and score.

    What is clean is new: the template shows that nothing was there, however faint it is.
    """
    if not candidates:
        return ()
    image = read_search_image(product.paths["image"], product.paths["phot"])
    circles = circles_of(bench, frame)
    told = heard(candidates, image, witnesses_of(bench, frame))
    return tuple(_judged(each, circles, template) for each in told)


def _judged(candidate: Candidate, circles: Sequence[Localisation], template: str) -> Candidate:
    flags, quality = judge(candidate.measurements, load_limits("transients"))
    reasons: tuple[str, ...] = (f"It is {candidate.name}.",)
    if candidate.name:
        standing = Standing.KNOWN
    elif quality >= VETO_QUALITY:
        standing = Standing.VETOED
        reasons = tuple(flag.sentence for flag in flags if flag.quality >= VETO_QUALITY)
    else:
        standing, reasons = Standing.NEW, (f"{template} does not show it.",)
    colour = colour_of(
        candidate.ra_deg, candidate.dec_deg, candidate.position_error_arcsec, circles
    )
    judged = replace(candidate, vetoes=flags, standing=standing, reasons=reasons, colour=colour)
    return replace(judged, score=score_of(judged, circles=bool(circles)))


def draw_candidates(
    bench: Bench,
    frame: FrameRecord,
    candidates: Sequence[Candidate],
    science: Epoch,
    difference: Difference,
) -> dict[int, tuple[Path, ...]]:
    """Write stamps and a finder chart of the best candidates; return the files by number."""
    best = sorted(
        (each for each in candidates if each.standing is Standing.NEW),
        key=lambda each: -(each.score if math.isfinite(each.score) else -1.0),
    )
    light = np.where((science.frame.mask & _DARK) == 0, science.frame.data, np.float32(np.nan))
    planes = {
        "science": light,
        "template": difference.template.data,
        "difference": difference.frame.data,
    }
    drawn: dict[int, tuple[Path, ...]] = {}
    for each in best[:MOST_PICTURES]:
        try:
            pictures = _pictures(frame, each, science, planes)
        except DRAWING_ERRORS:
            log.exception("candidate %d of %s could not be drawn", each.number, frame.stem)
            continue
        paths = []
        for what, png in pictures.items():
            name = f"{slug(frame.stem)}_new{each.number}_{what}.png"
            path = bench.layout.plots(frame.night) / name
            write_atomically(path, png)
            paths.append(path)
        drawn[each.number] = tuple(paths)
    return drawn


def _pictures(
    frame: FrameRecord,
    candidate: Candidate,
    science: Epoch,
    planes: Mapping[str, np.ndarray],
) -> dict[str, bytes]:
    place, where = science.sky_map, (candidate.ra_deg, candidate.dec_deg)
    stars = offset_stars(
        science.stars, place, *where, radius_arcsec=90.0,
        zero_point_mag=science.zero_point_mag, exposure_s=science.exposure_s,
    )  # fmt: skip
    words = [frame.stem, frame.identity.setup.filter]
    if frame.identity.observed_at is not None:
        words.append(f"{frame.identity.observed_at:%Y-%m-%d %H:%M} UT")
    if math.isfinite(candidate.magnitude):
        words.append(f"{candidate.magnitude:.2f} +- {candidate.magnitude_error:.2f} mag")
    remark = "   ".join(words)
    title = f"new {candidate.number} on {frame.stem}"
    return {
        "stamps": stamps_picture(planes, place, *where, name=title),
        "finder": finder_chart(
            planes["science"], place, *where, name=title, stars=stars, remark=remark
        ),
    }


def hand_over(
    bench: Bench,
    frame: FrameRecord,
    product: ProductRecord,
    candidates: Sequence[Candidate],
    pictures: Mapping[int, tuple[Path, ...]],
    limit_mag: float,
    within: Session,
) -> None:
    """Remember the candidates beside those of the catalogue search, and tell of the new ones."""
    start = frame.identity.observed_at
    middle = None
    if start is not None:
        middle = start + timedelta(seconds=frame.identity.exposure_s / 2)
    bench.archive.record_candidates(
        product, candidates, method=METHOD, observed_at=middle, within=within
    )
    new = tuple(each for each in candidates if each.standing is Standing.NEW)
    if not new or bench.clock.now() - (middle or frame.arrived_at) > FRESH:
        return
    finding = Finding(
        candidates=new,
        localisations=circles_of(bench, frame),
        limit_mag=limit_mag,
        pictures=pictures,
    )
    announce(bench, frame, finding, within)
