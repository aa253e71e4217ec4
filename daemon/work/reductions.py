"""The task that reduces one spectroscopic exposure."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from daemon.memory.database import writing
from daemon.memory.records import FrameRecord, ProductRecord
from daemon.work.acquisitions import acquired
from daemon.work.announce import announce
from daemon.work.bench import Bench, digest_of, file_sha256
from daemon.work.calibrations import (
    choices_of,
    partner_of,
    provenance_of,
    read_calibrations,
    read_exposure,
    select_masters,
    wait_for_masters,
)
from daemon.work.classification import classified
from daemon.work.flux_ties import digest_of_magnitudes, target_magnitudes, wait_for_images
from daemon.work.groups import after_product
from daemon.work.pictures import SAFE_MODE_ATTEMPT, notes_of, save_picture
from daemon.work.plan import Step
from daemon.work.product_files import (
    flag_records,
    is_settled,
    is_whole,
    last_generation,
    next_version,
    state_of,
    target_of,
    write_files,
)
from daemon.work.redo import Redo, asked_by, carried_over, recovered, settings_of, sign
from daemon.work.roles import REDUCED
from daemon.work.upgrades import changes, hold, offer_upgrade, tell_change, upgrade_of
from reducers.quality import flag_bits
from reducers.recipes import RECIPE_VERSION, reduce_spectrum
from reducers.reduced import TargetMagnitude
from reducers.spectrum_products import spectrum_products

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from astropy.io.fits import HDUList

    from calibration_store.policy import Selection
    from daemon.config import Config
    from daemon.memory.records import Job
    from daemon.publish.page import Picture
    from reducers.instrument import Instrument
    from reducers.reduced import Exposure, ReducedSpectrum

    #: Draws the object of this number.
    Draw = Callable[[ReducedSpectrum, Exposure, int, Sequence[str]], Picture]

log = logging.getLogger(__name__)

RECIPE = "spectrum"
_ENDINGS = {
    "objects": "objects.fits",
    "spectrum": "1d.fits",
    "image2d": "2d.fits",
    "rectified": "2d_rect.fits",
    "iraf": "1d_iraf.fits",
    "ascii": "1d.ascii",
    "log": "log.txt",
}


def reduce_frame(bench: Bench, job: Job, draw: Draw) -> None:
    """Reduce one exposure with the masters that fit now; nothing when that has been done."""
    frame = bench.archive.frame(int(job.payload["frame_id"]))
    if frame is None or frame.identity.kind not in REDUCED:
        return
    before = bench.archive.current_product(frame.id)
    redo = asked_by(job)
    if redo is None and not bench.wants(frame):
        return
    if redo is None and before is not None and is_settled(before, frame):
        offer_upgrade(bench, frame, before, "SPECTRUM")
        return
    how = redo or (carried_over(before) if before and before.recipe == RECIPE else Redo())
    if before is not None or not bench.config.calibration.provisional:
        wait_for_masters(bench, "SPECTRUM")
        wait_for_images(bench, frame)
    selections = select_masters(bench, frame, "SPECTRUM", how)
    tied = settings_of(bench.config.spectrum, how).tie_flux
    seen = target_magnitudes(bench, frame) if tied else ()
    key = _product_key(bench, frame, selections, how, seen)
    if before is not None and before.key == key and redo is None and is_whole(before):
        return
    recipe = recipe_digest(bench.config, bench.instrument(frame.identity.instrument))
    upgrade = upgrade_of(bench, frame, before, key, recipe) if redo is None else None
    if upgrade is not None and upgrade.is_held(bench):
        hold(bench, job, upgrade, selections)
        return
    version = next_version(bench, frame, before, redo=redo is not None)
    made = Made(bench, frame, version, seen)
    reduced = made.reduce(selections, how, draw if job.attempts < SAFE_MODE_ATTEMPT else None)
    made.measurements |= changes(upgrade, made.paths, reduced.measurements)
    record = made.record(key, reduced, selections, before, how)
    with writing(bench.engine) as session:
        bench.archive.record_product(record, within=session)
        announce(bench, frame, record, before, session)
        tell_change(bench, frame, record, upgrade, session)
        looks_again = after_product(bench.archive, frame, session)
        bench.submit((Step(request=each) for each in looks_again), session)
        bench.queue.finish(job, within=session)


@dataclass(slots=True)
class Made:
    """One product as it is made, and its files as they are written."""

    bench: Bench
    frame: FrameRecord
    version: int
    magnitudes: tuple[TargetMagnitude, ...] = ()
    paths: dict[str, Path] = field(default_factory=dict)
    measurements: dict[str, float] = field(default_factory=dict)

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

    def path_of(self, role: str) -> Path:
        """Return where the file of this role lands."""
        own = self.frame
        return self.bench.layout.product(
            own.night, target_of(own), own.stem, _ending(role), version=self.version
        )

    def write(self, products: Mapping[str, HDUList | str]) -> None:
        """Write every product, each whole or not at all."""
        self.paths |= {role: self.path_of(role) for role in products}
        write_files(products, self.paths)

    def draw(
        self, draw: Draw, reduced: ReducedSpectrum, exposure: Exposure, notes: Sequence[str]
    ) -> None:
        """Draw the plot of every object; without them the product is as good as before."""
        own = self.frame
        for number, item in enumerate(reduced.objects):
            which = f":{item.name}" if number else ""
            name = target_of(own) + (f"_{item.name.lower()}" if number else "")
            path = self.bench.layout.verify_plot(own.night, own.stem, name, version=self.version)
            if not save_picture(path, partial(draw, reduced, exposure, number, notes)):
                self.measurements["plot_failed"] = 1.0
                continue
            self.paths[f"plot{which}"] = path
            self.paths[f"plot_facts{which}"] = path.with_suffix(".json")

    def record(
        self,
        key: str,
        reduced: ReducedSpectrum,
        selections: Sequence[Selection],
        before: ProductRecord | None,
        how: Redo,
    ) -> ProductRecord:
        """Return the product as the archive remembers it."""
        own, now = self.frame, self.bench.clock.now()
        return ProductRecord(
            key=key,
            frame_id=own.id,
            frame_sha256=own.sha256,
            stem=own.stem,
            night=own.night,
            recipe=RECIPE,
            recipe_version=RECIPE_VERSION,
            generation=1 + last_generation(self.bench, own),
            state=state_of(selections),
            quality=reduced.quality,
            flag_bits=flag_bits(reduced.flags),
            target=target_of(own),
            paths=self.paths,
            hashes={role: file_sha256(path) for role, path in self.paths.items()},
            measurements={**reduced.measurements, **self.measurements},
            flags=flag_records(reduced.flags),
            choices=choices_of(selections),
            created_at=now,
            # How long the first product took; an upgrade is not late.
            latency_s=before.latency_s if before else (now - own.arrived_at).total_seconds(),
            recipe_digest=recipe_digest(
                self.bench.config, self.bench.instrument(own.identity.instrument)
            ),
            redo=how.to_json(),
        )


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


def _ending(role: str) -> str:
    """Return the end of a file name; all but the target's own carry the object's name."""
    name, _, which = role.partition(":")
    ending = _ENDINGS.get(name, f"{name}.fits")
    return f"{which.lower()}_{ending}" if which else ending
