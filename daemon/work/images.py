"""The task that calibrates one image."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass, field, fields
from functools import partial
from typing import TYPE_CHECKING

from daemon.memory.database import writing
from daemon.memory.records import FrameRecord, ProductState
from daemon.work.announce import announce
from daemon.work.bench import Bench, digest_of
from daemon.work.blind_place import placed_blind
from daemon.work.calibrations import provenance_of, read_exposure, read_image_calibrations
from daemon.work.commission import commission_of
from daemon.work.differences import after_calibrated
from daemon.work.flux_ties import after_calibration
from daemon.work.made_product import MadeProduct
from daemon.work.pictures import SAFE_MODE_ATTEMPT, notes_of
from daemon.work.plan import Step, fetch_request
from daemon.work.product_files import next_version, state_of, target_of
from daemon.work.redo import Redo, carried_over
from daemon.work.redo_results import recovered, sign
from daemon.work.references import digest_of_references, references_for
from daemon.work.roles import IMAGED
from daemon.work.selecting import select_masters, wait_for_masters
from daemon.work.stack_groups import WAIT_S, after_image
from daemon.work.star_flats import after_magnitudes
from daemon.work.transients import Search, record_search, search_for_new
from daemon.work.upgrades import Trial, changes, hold, tell_change
from reducers.errors import ReductionError
from reducers.identity import FrameKind
from reducers.imaging.image_products import Making, image_products
from reducers.imaging.recipe import reduce_image
from reducers.imaging.reduced_image import ImageSettings
from reducers.imaging.references import References
from reducers.recipes import RECIPE_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from calibration_store.policy import Selection
    from daemon.config import Config
    from daemon.memory.records import Job, ProductRecord
    from daemon.publish.page import Picture
    from reducers.imaging.reduced_image import ReducedImage
    from reducers.instrument import Instrument
    from reducers.reduced import Exposure

    #: Draws the page of an image.
    DrawImage = Callable[[ReducedImage, Exposure, References, Sequence[str]], Picture]

log = logging.getLogger(__name__)

RECIPE = "image"


def calibrate_image(bench: Bench, job: Job, draw: DrawImage) -> None:
    """Calibrate one image with the masters that fit now; nothing when that has been done."""
    task = commission_of(bench, job, RECIPE, IMAGED, _tried)
    if task is None:
        return
    frame, how = task.frame, task.how
    if task.may_wait(bench):
        wait_for_masters(bench, "IMAGE")
    selections = select_masters(bench, frame, "IMAGE", how)
    settings = image_settings(bench.config, how)
    references = references_for(bench, frame) if settings.use_catalogues else References()
    key = _product_key(bench, frame, selections, references, how)
    if task.is_done(key):
        return
    digest = image_recipe_digest(bench.config, bench.instrument(frame.identity.instrument))
    upgrade = task.upgrade(bench, key, digest)
    if upgrade is not None and upgrade.is_held(bench):
        hold(bench, job, upgrade, selections)
        return
    version = next_version(bench, frame, task.before, redo=task.redo is not None)
    made = MadeImage(bench, frame, version, references=references)
    try:
        reduced = made.reduce(selections, how, draw if job.attempts < SAFE_MODE_ATTEMPT else None)
    except ReductionError as error:
        if frame.identity.kind is not FrameKind.ACQUISITION or task.redo is not None:
            raise
        # Its work was done at the telescope: the night is none the worse.
        log.info("%s gives no image: %s", frame.stem, error)
        bench.queue.finish(job, remark=f"gives no image: {error}")
        return
    made.measurements |= changes(upgrade, made.paths, reduced.measurements)
    state = _state(frame, made.references, selections)
    record = made.record(task, key, reduced, selections, state=state, recipe_digest=digest)
    with writing(bench.engine) as session:
        bench.archive.record_product(record, within=session)
        if made.search is not None:
            record_search(bench, frame, record, made.search, session)
        announce(bench, frame, record, task.before, session)
        tell_change(bench, frame, record, upgrade, session)
        if references.awaited:
            bench.queue.submit(fetch_request(bench.clock.now()), within=session)
        bench.submit(after_magnitudes(bench, frame, record, session), session)
        # The next exposure of a sequence comes within moments; a batch has them all.
        wait_s = WAIT_S if bench.config.calibration.provisional else 0.0
        looks_again = after_image(bench.archive, frame, session, wait_s=wait_s)
        bench.submit((Step(request=each, postpone=True) for each in looks_again), session)
        bench.submit(after_calibration(bench, frame, session), session)
        differences = after_calibrated(bench, frame, record)
        bench.submit((Step(request=each) for each in differences), session)
        bench.queue.finish(job, within=session)


def _tried(
    frame: FrameRecord, accepted: ProductRecord, bench: Bench, selections: Sequence[Selection]
) -> Trial:
    """Calibrate an image as it was accepted, with other masters; no picture is drawn."""
    how = carried_over(accepted)
    wanted = image_settings(bench.config, how).use_catalogues
    references = references_for(bench, frame, at_hand=True) if wanted else References()
    made = MadeImage(bench, frame, 1, references=references)
    reduced = made.reduce(selections, how, None)
    return Trial(paths=made.paths, measurements=reduced.measurements, quality=reduced.quality)


@dataclass(slots=True)
class MadeImage(MadeProduct):
    """One calibrated image as it is made."""

    references: References = field(default_factory=References, kw_only=True)
    search: Search | None = field(default=None, kw_only=True)

    def reduce(
        self, selections: Sequence[Selection], how: Redo, draw: DrawImage | None
    ) -> ReducedImage:
        """Reduce the image, write every file and, with `draw`, its page."""
        bench, frame = self.bench, self.frame
        exposure = read_exposure(bench, frame)
        instrument = bench.instrument(frame.identity.instrument)
        settings = image_settings(bench.config, how)
        # Nobody else holds the masters: the recipe lets go of those that it has applied.
        found = reduce_image(
            exposure,
            read_image_calibrations(bench, selections, frame.identity.setup),
            instrument,
            settings,
            self.references,
        )
        if settings.use_catalogues and settings.reaches("astrometry"):
            found, self.references = placed_blind(
                bench, frame, exposure, found, selections, self.references
            )
        reduced = recovered(found, how)
        making = Making(
            provenance=provenance_of([frame], selections),
            settings=settings,
            references=self.references,
            missing={item.role: item.reason for item in selections if item.master is None},
            telescope=instrument.telescope,
            keep_intermediate=bench.config.image.keep_intermediate,
        )
        self._write(reduced, exposure, making, how, found.quality)
        if draw is not None:
            page = partial(draw, reduced, exposure, self.references, notes_of(selections))
            self.show(target_of(frame), page)
        self._search(reduced, draw=draw is not None)
        return reduced

    def _write(
        self,
        reduced: ReducedImage,
        exposure: Exposure,
        making: Making,
        how: Redo,
        quality_auto: int,
    ) -> None:
        """Write every file; none of them stays in memory."""
        files = image_products(reduced, exposure, making)
        sign(files, how, quality_auto)
        self.write(files)

    def _search(self, reduced: ReducedImage, *, draw: bool) -> None:
        """Look for new sources; the files of the search are files of the product."""
        self.search = search_for_new(
            self.bench, self.frame, reduced, self.references, version=self.version, draw=draw
        )
        self.paths |= self.search.paths
        self.measurements |= self.search.measurements


def image_settings(config: Config, redo: Redo) -> ImageSettings:
    """Return the settings in force for one image."""
    known = {item.name for item in fields(ImageSettings)}
    configured = {name: value for name, value in asdict(config.image).items() if name in known}
    return ImageSettings(**{**configured, **redo.settings})


def image_recipe_digest(config: Config, instrument: Instrument) -> str:
    """Return the digest of what makes an image, whatever it is made from."""
    return digest_of(RECIPE, RECIPE_VERSION, config.image_digest, instrument.digest)


def _state(
    frame: FrameRecord, references: References, selections: Sequence[Selection]
) -> ProductState:
    """Tell whether a better product is to be expected: a master or a catalogue is missing."""
    return ProductState.PROVISIONAL if references.awaited else state_of(frame, selections)


def _product_key(
    bench: Bench,
    frame: FrameRecord,
    selections: Sequence[Selection],
    references: References,
    how: Redo,
) -> str:
    return digest_of(
        frame.sha256,
        RECIPE,
        RECIPE_VERSION,
        {item.role: item.master.key if item.master else "" for item in selections},
        digest_of_references(references),
        [bench.config.image_digest, how.choices],
        bench.instrument(frame.identity.instrument).digest,
    )
