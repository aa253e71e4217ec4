"""The task that takes a template off a calibrated image and measures the watched targets on it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from astropy.io import fits

from daemon.memory.archive_differences import DifferenceRecord
from daemon.memory.database import writing
from daemon.memory.records import PRIORITY_DIFFERENCE, JobKind, JobRequest
from daemon.work.bench import file_sha256
from daemon.work.difference_candidates import draw_candidates, hand_over, vetted_changes
from daemon.work.product_files import target_of, write_files
from daemon.work.roles import IMAGED
from daemon.work.templates import template_of
from daemon.work.watched import measure_watched, watched_on
from reducers.errors import ReductionError, UnreadableFile
from reducers.products import Provenance
from reducers.transients.difference.changes import Change, find_changes
from reducers.transients.difference.cutout import read_cutout
from reducers.transients.difference.epoch import Epoch, NoDifference
from reducers.transients.difference.products import candidates_of, difference_products
from reducers.transients.difference.reading import read_epoch
from reducers.transients.difference.recovery import limits, recovery
from reducers.transients.difference.subtraction import Difference, subtract

if TYPE_CHECKING:
    from pathlib import Path

    from daemon.memory.records import FrameRecord, Job, ProductRecord
    from daemon.work.bench import Bench
    from reducers.transients.difference.association import Offer, TemplateChoice

log = logging.getLogger(__name__)

ENDINGS = {"difference": "diff.fits", "changes": "diff.txt"}


def difference_request(frame: FrameRecord) -> JobRequest:
    """Return the job that takes a template off an image."""
    return JobRequest(
        kind=JobKind.DIFFERENCE,
        key=f"difference:{frame.sha256}",
        payload={"frame_id": frame.id, "night": frame.night},
        priority=PRIORITY_DIFFERENCE,
    )


def after_calibrated(bench: Bench, frame: FrameRecord, product: ProductRecord) -> list[JobRequest]:
    """Return the job of an image on which sources were measured.

    Whether there is a template is looked up there: the image waits for nothing.
    """
    wanted = bench.config.differences.enabled or watched_on(bench.config, frame.identity)
    return [difference_request(frame)] if "phot" in product.paths and wanted else []


@dataclass(frozen=True, slots=True)
class Subtracted:
    """A difference as it was made."""

    science: Epoch
    template: Epoch
    difference: Difference
    changes: tuple[Change, ...]
    measurements: Mapping[str, float]


def subtract_template(bench: Bench, job: Job) -> None:
    """Take the template off one image; what cannot be done is recorded with its reason."""
    frame = bench.archive.frame(int(job.payload["frame_id"]))
    if frame is None or frame.identity.kind not in IMAGED:
        return
    product = bench.archive.current_product(frame.id)
    if product is None or not {"image", "phot"} <= set(product.paths):
        return
    choice = template_of(bench, frame, product)
    if choice.offer is None and not watched_on(bench.config, frame.identity):
        nothing = _record(frame, product, choice, NoDifference(choice.reason), {})
        bench.archive.record_difference(nothing)
        return
    try:
        science = read_epoch(product.paths["image"], product.paths["phot"])
    except UnreadableFile as error:
        nothing = _record(frame, product, choice, NoDifference(str(error)), {})
        bench.archive.record_difference(nothing)
        return
    science = replace(science, name=frame.stem)
    made = _made(bench, science, choice)
    paths: dict[str, Path] = {}
    if isinstance(made, Subtracted):
        paths = _write(bench, frame, product, choice, made)
        candidates = vetted_changes(
            bench, frame, product, candidates_of(made.changes, science), made.template.name
        )
        pictures = draw_candidates(bench, frame, candidates, science, made.difference)
    record = _record(frame, product, choice, made, paths)
    points = measure_watched(bench.config, frame, product, science, made)
    with writing(bench.engine) as session:
        bench.archive.record_difference(record, within=session)
        for point in points:
            bench.archive.record_light(point, within=session)
        if isinstance(made, Subtracted):
            limit = made.measurements["difference_limit_50_mag"]
            hand_over(bench, frame, product, candidates, pictures, limit, session)
        bench.queue.finish(job, within=session)


def _made(bench: Bench, science: Epoch, choice: TemplateChoice) -> Subtracted | NoDifference:
    """Return the difference, or why there is none."""
    if not bench.config.differences.enabled:
        return NoDifference("differences are switched off")
    if choice.offer is None:
        return NoDifference(choice.reason)
    try:
        template = replace(read_template(choice.offer), name=choice.offer.name)
        found = subtract(science, template)
    except ReductionError as error:
        return NoDifference(str(error))
    if isinstance(found, NoDifference):
        return found
    told = limits(found, recovery(found), science.zero_point_mag, science.exposure_s)
    return Subtracted(
        science=science,
        template=template,
        difference=found,
        changes=find_changes(found),
        measurements={**found.measurements, **told},
    )


def read_template(offer: Offer) -> Epoch:
    """Read a template with its stars.

    Raises
    ------
    UnreadableFile
        If it cannot be used after all.
    """
    return read_cutout(offer.image) if offer.phot is None else read_epoch(offer.image, offer.phot)


def _write(
    bench: Bench,
    frame: FrameRecord,
    product: ProductRecord,
    choice: TemplateChoice,
    made: Subtracted,
) -> dict[str, Path]:
    """Write the files of a difference beside its image."""
    offer = choice.offer
    provenance = [
        Provenance(
            file=product.paths["image"].name, sha256=product.hashes.get("image", ""), role="IMAGE"
        )
    ]
    if offer is not None:
        provenance.append(
            Provenance(
                file=offer.image.name, sha256=file_sha256(offer.image), role="TEMPLATE",
                reason=choice.reason,
            )
        )  # fmt: skip
    header = fits.getheader(product.paths["image"])
    files = difference_products(
        made.difference, made.science, made.template, made.changes, header, provenance,
        made.measurements,
    )  # fmt: skip
    layout = bench.layout
    paths = {
        role: layout.product(frame.night, target_of(frame), frame.stem, ENDINGS[role])
        for role in files
    }
    write_files(files, paths)
    return paths


def _record(
    frame: FrameRecord,
    product: ProductRecord,
    choice: TemplateChoice,
    made: Subtracted | NoDifference,
    paths: Mapping[str, Path],
) -> DifferenceRecord:
    done = isinstance(made, Subtracted)
    return DifferenceRecord(
        frame_id=frame.id,
        product_key=product.key,
        night=frame.night,
        template=choice.offer.name if choice.offer is not None else "",
        method=made.difference.method if isinstance(made, Subtracted) else "",
        why=choice.reason if done else made.why if isinstance(made, NoDifference) else "",
        rejected=choice.rejected,
        paths=paths,
        hashes={role: file_sha256(path) for role, path in paths.items()},
        measurements=made.measurements if isinstance(made, Subtracted) else {},
    )
