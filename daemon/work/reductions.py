"""The task that reduces one spectroscopic exposure."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from daemon.memory.database import writing
from daemon.work.acquisitions import acquired
from daemon.work.announce import announce
from daemon.work.bench import Bench, digest_of
from daemon.work.calibrations import partner_of, provenance_of, read_calibrations, read_exposure
from daemon.work.classification import classified
from daemon.work.commission import commission_of
from daemon.work.flux_ties import digest_of_magnitudes, target_magnitudes, wait_for_images
from daemon.work.groups import after_product
from daemon.work.made_product import MadeProduct
from daemon.work.pictures import SAFE_MODE_ATTEMPT, notes_of
from daemon.work.plan import Step
from daemon.work.product_files import next_version, state_of, target_of
from daemon.work.redo import Redo, carried_over
from daemon.work.redo_results import recovered, settings_of, sign
from daemon.work.roles import REDUCED
from daemon.work.selecting import select_masters, wait_for_masters
from daemon.work.upgrades import Trial, changes, hold, tell_change
from reducers.recipes import RECIPE_VERSION, reduce_spectrum
from reducers.reduced import TargetMagnitude
from reducers.spectrum_products import spectrum_products

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from calibration_store.policy import Selection
    from daemon.config import Config
    from daemon.memory.records import FrameRecord, Job, ProductRecord
    from daemon.publish.page import Picture
    from reducers.instrument import Instrument
    from reducers.reduced import Exposure, ReducedSpectrum

    #: Draws the object of this number.
    Draw = Callable[[ReducedSpectrum, Exposure, int, Sequence[str]], Picture]

log = logging.getLogger(__name__)

RECIPE = "spectrum"


def reduce_frame(bench: Bench, job: Job, draw: Draw) -> None:
    """Reduce one exposure with the masters that fit now; nothing when that has been done."""
    task = commission_of(bench, job, RECIPE, REDUCED, _tried)
    if task is None:
        return
    frame, how = task.frame, task.how
    if task.may_wait(bench):
        wait_for_masters(bench, "SPECTRUM")
        wait_for_images(bench, frame)
    selections = select_masters(bench, frame, "SPECTRUM", how)
    tied = settings_of(bench.config.spectrum, how).tie_flux
    seen = target_magnitudes(bench, frame) if tied else ()
    key = _product_key(bench, frame, selections, how, seen)
    if task.is_done(key):
        return
    digest = recipe_digest(bench.config, bench.instrument(frame.identity.instrument))
    upgrade = task.upgrade(bench, key, digest)
    if upgrade is not None and upgrade.is_held(bench):
        hold(bench, job, upgrade, selections)
        return
    version = next_version(bench, frame, task.before, redo=task.redo is not None)
    made = MadeSpectrum(bench, frame, version, magnitudes=seen)
    reduced = made.reduce(selections, how, draw if job.attempts < SAFE_MODE_ATTEMPT else None)
    made.measurements |= changes(upgrade, made.paths, reduced.measurements)
    record = made.record(
        task, key, reduced, selections, state=state_of(frame, selections), recipe_digest=digest
    )
    with writing(bench.engine) as session:
        bench.archive.record_product(record, within=session)
        announce(bench, frame, record, task.before, session)
        tell_change(bench, frame, record, upgrade, session)
        looks_again = after_product(bench.archive, frame, session)
        bench.submit((Step(request=each) for each in looks_again), session)
        bench.queue.finish(job, within=session)


def _tried(
    frame: FrameRecord, accepted: ProductRecord, bench: Bench, selections: Sequence[Selection]
) -> Trial:
    """Reduce an exposure as it was accepted, with other masters; no picture is drawn."""
    how = carried_over(accepted)
    tied = settings_of(bench.config.spectrum, how).tie_flux
    made = MadeSpectrum(bench, frame, 1, magnitudes=target_magnitudes(bench, frame) if tied else ())
    reduced = made.reduce(selections, how, None)
    return Trial(paths=made.paths, measurements=reduced.measurements, quality=reduced.quality)


@dataclass(slots=True)
class MadeSpectrum(MadeProduct):
    """One reduced spectrum as it is made."""

    magnitudes: tuple[TargetMagnitude, ...] = field(default=(), kw_only=True)

    def reduce(
        self, selections: Sequence[Selection], how: Redo, draw: Draw | None
    ) -> ReducedSpectrum:
        """Reduce the exposure, write every file and, with `draw`, the verification plot."""
        bench, frame = self.bench, self.frame
        exposure = read_exposure(bench, frame)
        given = acquired(read_calibrations(bench, selections), bench, frame)
        given = replace(given, magnitudes=self.magnitudes)
        instrument = bench.instrument(frame.identity.instrument)
        settings = settings_of(bench.config.spectrum, how)
        partner = partner_of(bench, how)
        found = reduce_spectrum(
            exposure,
            given,
            instrument,
            settings,
            read_exposure(bench, partner) if partner is not None else None,
            by_hand=how.settings.keys(),
        )
        reduced = recovered(found, how)
        # After two deaths neither is tried: the spectrum is as good without them.
        if draw is not None:
            reduced = classified(bench, exposure.identity.kind, reduced)
        files = spectrum_products(
            reduced,
            exposure,
            provenance_of([frame] if partner is None else [frame, partner], selections),
            telescope=instrument.telescope,
            settings=settings,
            missing={item.role: item.reason for item in selections if item.master is None},
        )
        sign(files, how, found.quality)
        self.write(files)
        if draw is not None:
            self.draw(draw, reduced, exposure, notes_of(selections))
        return reduced

    def draw(
        self, draw: Draw, reduced: ReducedSpectrum, exposure: Exposure, notes: Sequence[str]
    ) -> None:
        """Draw the plot of every object."""
        for number, item in enumerate(reduced.objects):
            name = target_of(self.frame) + (f"_{item.name.lower()}" if number else "")
            which = f":{item.name}" if number else ""
            self.show(name, partial(draw, reduced, exposure, number, notes), which)


def recipe_digest(config: Config, instrument: Instrument) -> str:
    """Return the digest of what makes a spectrum, whatever it is made from."""
    return digest_of(RECIPE, RECIPE_VERSION, config.settings_digest, instrument.digest)


def _product_key(
    bench: Bench,
    frame: FrameRecord,
    selections: Sequence[Selection],
    how: Redo,
    magnitudes: tuple[TargetMagnitude, ...],
) -> str:
    return digest_of(
        frame.sha256,
        RECIPE,
        RECIPE_VERSION,
        {item.role: item.master.key if item.master else "" for item in selections},
        [master.key for item in selections for master in item.companions],
        [item.role for item in selections if item.refused],
        [bench.config.settings_digest, how.choices],
        digest_of_magnitudes(magnitudes),
        bench.instrument(frame.identity.instrument).digest,
    )
