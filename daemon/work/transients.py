"""Look for new sources on every image that is reduced, and remember what was found.

The search belongs to the job of its image: it takes some hundredths of a second, and a figure
only where there is something to see. Whatever goes wrong with it, the image stands.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from daemon.layout import write_atomically
from daemon.publish.new_sources_page import new_sources_picture
from daemon.publish.page import DRAWING_ERRORS
from daemon.work.alerts import Finding, announce, take_back_movers
from daemon.work.circles import circles_of
from daemon.work.pictures import save_picture
from daemon.work.product_files import target_of
from daemon.work.witnesses import witnesses_of
from reducers.transients.candidate import Standing
from reducers.transients.from_reduced import search_image_of
from reducers.transients.new_source_table import new_sources_text, told
from reducers.transients.new_sources import NewSources, find_new_sources
from reducers.transients.search_image import SearchImage

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from daemon.memory.records import FrameRecord, ProductRecord
    from daemon.work.bench import Bench
    from reducers.imaging.reduced_image import ReducedImage
    from reducers.imaging.references import References

log = logging.getLogger(__name__)

#: Images taken longer ago are searched and remembered; nobody is called for them.
FRESH = timedelta(days=3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What was looked for on one image, and the files that tell of it.

    Attributes
    ----------
    image
        None where nothing could be searched at all.
    paths
        Role ('new_sources', 'new_sources_plot', 'new_sources_facts') -> file.
    """

    found: NewSources
    image: SearchImage | None = None
    paths: dict[str, Path] = field(default_factory=dict)

    @property
    def measurements(self) -> dict[str, float]:
        """Numbers of the search, as the product keeps them."""
        if self.image is None:
            return {"search_failed": 1.0}
        standing = [one.standing for one in self.found.candidates]
        return {
            "new_sources": float(standing.count(Standing.NEW)),
            "unvetted_sources": float(standing.count(Standing.UNVETTED)),
            # Without a catalogue it was not looked how deep anything is new.
            "search_limit_mag": self.found.limit_mag if self.found.depths else math.nan,
            "search_suspicious": float(self.found.suspicious),
            "search_impossible": float(bool(self.found.why)),
        }


def search_for_new(
    bench: Bench,
    frame: FrameRecord,
    reduced: ReducedImage,
    references: References,
    *,
    version: int,
    draw: bool = True,
) -> Search:
    """Search one reduced image, write the list, and a figure where there is something to see."""
    instrument = bench.instrument(frame.identity.instrument)
    try:
        image = search_image_of(reduced, frame.identity, instrument, name=frame.stem)
        found = find_new_sources(
            image,
            references,
            localisations=circles_of(bench, frame),
            witnesses=witnesses_of(bench, frame),
        )
        text = new_sources_text(found, image)
    except DRAWING_ERRORS:
        log.exception("%s could not be searched for new sources", frame.stem)
        return Search(found=NewSources())
    path = bench.layout.new_sources(frame.night, target_of(frame), frame.stem, version=version)
    write_atomically(path, text.encode())
    paths = {"new_sources": path}
    if draw and (found.standing or found.suspicious or (found.localisations and not found.why)):
        plot = bench.layout.new_sources_plot(
            frame.night, frame.stem, target_of(frame), version=version
        )
        if save_picture(plot, partial(new_sources_picture, found, image, references)):
            paths |= {"new_sources_plot": plot, "new_sources_facts": plot.with_suffix(".json")}
    return Search(found=found, image=image, paths=paths)


def record_search(
    bench: Bench, frame: FrameRecord, product: ProductRecord, search: Search, within: Session
) -> None:
    """Remember the candidates of a product, and tell people what is to be told of them.

    It happens in the transaction of the product: there is no product whose candidates were
    forgotten, and no candidate without its product.
    """
    image, found = search.image, search.found
    if image is None:
        return
    bench.archive.record_candidates(product, told(found), observed_at=image.middle, within=within)
    taken = image.middle or frame.arrived_at
    moves = any(one.measurements.get("moves", 0.0) > 0 for one in found.candidates)
    if found.suspicious or bench.clock.now() - taken > FRESH or not (found.standing or moves):
        return
    plot = search.paths.get("new_sources_plot")
    pictures = {one.number: (plot,) for one in found.standing if plot is not None}
    finding = Finding(
        candidates=found.standing,
        localisations=found.localisations,
        system=image.system or "AB",
        limit_mag=found.limit_mag if math.isfinite(found.limit_mag) else math.nan,
        pictures=pictures,
    )
    announce(bench, frame, finding, within)
    if moves:
        take_back_movers(bench, frame, finding, within)
