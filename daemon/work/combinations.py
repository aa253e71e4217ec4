"""The task that combines the spectra of one target, set-up and night."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from daemon.memory.database import writing
from daemon.memory.records import (
    PRIORITY_CALIBRATION,
    CombinationRecord,
    MemberRecord,
    ProductState,
)
from daemon.publish.combined_page import Combination, combined_picture
from daemon.work.announce import announce_combination
from daemon.work.bench import Bench, digest_of, file_sha256
from daemon.work.classification import class_measurements, classification_of
from daemon.work.groups import Candidate, Group, frames_of, members_and_others
from daemon.work.members import LOOK_AGAIN_S, wait_for_members, with_page
from daemon.work.outcomes import TryLater
from daemon.work.pictures import SAFE_MODE_ATTEMPT
from daemon.work.plan import reduce_request
from daemon.work.product_files import is_whole, write_files
from reducers.combined_products import COMBINATION_VERSION, combined_products, read_spectrum
from reducers.products import Provenance
from reducers.quality import judge, load_limits
from reducers.spectroscopy.combine import Contribution, combine_spectra

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from astropy.io.fits import HDUList

    from daemon.memory.records import Job
    from reducers.classification.verdict import Classification
    from reducers.combined_products import StoredSpectrum
    from reducers.spectroscopy.combine import CombinedSpectrum
    from reducers.spectrum import Spectrum

log = logging.getLogger(__name__)

#: How the files of a combination end, by role.
ENDINGS = {"combined": "combined_1d.fits", "combined_ascii": "combined_1d.ascii"}


def combine_group(bench: Bench, job: Job) -> None:
    """Combine what there is of a group; nothing when that has been done.

    Raises
    ------
    TryLater
        If a member is just being reduced, or its file has to be made again.
    """
    payload = {name: str(job.payload[name]) for name in Group.__dataclass_fields__}
    group = Group(**payload)
    frames = frames_of(bench.archive, group)
    wait_for_members(bench, frames)
    products = [(frame, bench.archive.current_product(frame.id)) for frame in frames]
    members, excluded = members_and_others(
        Candidate(frame=frame, product=product) for frame, product in products if product
    )
    before = bench.archive.combination(group.key)
    if len(members) < 2:
        if before is not None:
            _withdraw(bench, before, job)
        return
    key = _key(members, excluded)
    if before is not None and before.key == key and is_whole(before):
        return
    stored = [read_member(bench, each) for each in members]
    chosen = in_one_unit(stored)
    combined = combine_members(members, chosen)
    paths = {role: _path(bench, group, role) for role in ENDINGS}
    safely = job.attempts >= SAFE_MODE_ATTEMPT
    quality = quality_of(members, combined)
    found = None if safely else classification_of(bench, combined.spectrum, quality)
    quality, files = products_of(members, excluded, stored, combined, classification=found)
    write_files(files, paths)
    record = record_of(bench, group, quality, members, excluded, combined, paths)
    if found is not None:
        measured = {**record.measurements, **class_measurements(found)}
        record = replace(record, measurements=measured)
    if not safely:
        record = drawn(bench, record, chosen, combined, classification=found)
    with writing(bench.engine) as session:
        bench.archive.record_combination(record, within=session)
        announce_combination(bench, [each.frame for each in members], record, before, session)
        bench.queue.finish(job, within=session)


def _key(members: Sequence[Candidate], excluded: Mapping[str, str]) -> str:
    made_of = sorted(
        (each.frame.stem, each.product.key, each.product.hashes.get("spectrum", ""))
        for each in members
    )
    return digest_of("combine", COMBINATION_VERSION, made_of, sorted(excluded.items()))


def read_member(bench: Bench, member: Candidate) -> StoredSpectrum:
    """Read one member; a file that is gone or damaged is made again first."""
    path = member.product.paths.get("spectrum")
    if (
        path is None
        or not path.is_file()
        or file_sha256(path) != member.product.hashes.get("spectrum")
    ):
        now = bench.clock.now()
        bench.queue.submit(reduce_request(member.frame, priority=PRIORITY_CALIBRATION, now=now))
        raise TryLater(f"the spectrum of {member.frame.stem} is made again", after_s=LOOK_AGAIN_S)
    return read_spectrum(path)


def in_one_unit(stored: Sequence[StoredSpectrum]) -> Sequence[Spectrum]:
    """Return fluxes, or counts where not every member has a flux."""
    fluxes = [each.spectrum for each in stored if each.spectrum is not None]
    return fluxes if len(fluxes) == len(stored) else [each.counts for each in stored]


def combine_members(members: Sequence[Candidate], chosen: Sequence[Spectrum]) -> CombinedSpectrum:
    """Combine the spectra of members that are in one unit."""
    return combine_spectra(
        [
            Contribution(
                name=member.frame.stem,
                spectrum=spectrum,
                exposure_s=member.frame.identity.exposure_s,
            )
            for member, spectrum in zip(members, chosen, strict=True)
        ]
    )


def quality_of(members: Sequence[Candidate], combined: CombinedSpectrum) -> int:
    """Return the worst quality of the members and of what they say of each other."""
    _, own = judge(combined.measurements, load_limits())
    return max(own, *(each.product.quality for each in members))


def products_of(
    members: Sequence[Candidate],
    excluded: Mapping[str, str],
    stored: Sequence[StoredSpectrum],
    combined: CombinedSpectrum,
    velocities_km_s: Sequence[float] = (),
    *,
    classification: Classification | None = None,
) -> tuple[int, dict[str, HDUList | str]]:
    """Return the quality of a combination, and its files by role.

    Parameters
    ----------
    velocities_km_s
        Of the telescope, by member, where the wavelengths are at the barycentre.
    classification
        What the combination shows; None where nobody asked.
    """
    flags, _ = judge(combined.measurements, load_limits())
    quality = quality_of(members, combined)
    provenance = [
        Provenance(
            file=each.product.paths["spectrum"].name,
            sha256=each.product.hashes["spectrum"],
            role="SPECTRUM",
        )
        for each in members
    ]
    return quality, combined_products(
        combined,
        [each.header for each in stored],
        provenance,
        quality=quality,
        flags=flags,
        excluded=excluded,
        velocities_km_s=velocities_km_s,
        classification=classification,
    )


def record_of(
    bench: Bench,
    group: Group,
    quality: int,
    members: Sequence[Candidate],
    excluded: Mapping[str, str],
    combined: CombinedSpectrum,
    paths: Mapping[str, Path],
) -> CombinationRecord:
    """Return a combination, its files written, as the archive remembers it."""
    open_ended = any(each.product.state is ProductState.PROVISIONAL for each in members)
    return CombinationRecord(
        group=group.key,
        key=_key(members, excluded),
        night=group.night,
        target=group.target,
        setup=f"{group.grism} {group.slit}".strip(),
        state=ProductState.PROVISIONAL if open_ended else ProductState.FINAL,
        quality=quality,
        exposure_s=combined.exposure_s,
        members=_member_records(members, combined),
        excluded=tuple(sorted(excluded.items())),
        paths=dict(paths),
        hashes={role: file_sha256(path) for role, path in paths.items()},
        measurements=combined.measurements,
        created_at=bench.clock.now(),
    )


def drawn(
    bench: Bench,
    record: CombinationRecord,
    chosen: Sequence[Spectrum],
    combined: CombinedSpectrum,
    into: Path | None = None,
    *,
    classification: Classification | None = None,
) -> CombinationRecord:
    """Draw the page of a combination; without it the combination is as good as before.

    Parameters
    ----------
    into
        A folder for it instead of the night's.
    """
    case = Combination(
        combined=combined,
        members=tuple(chosen),
        target=record.target,
        setup=record.setup,
        quality=record.quality,
        excluded=record.excluded,
        classification=classification,
    )
    folder = into or bench.layout.plots(record.night)
    path = folder / f"verify_{record.paths['combined'].stem}.png"
    return with_page(record, path, partial(combined_picture, case))


def _member_records(
    members: Sequence[Candidate], combined: CombinedSpectrum
) -> tuple[MemberRecord, ...]:
    keys = {each.frame.stem: each.product.key for each in members}
    return tuple(
        MemberRecord(
            stem=share.name,
            product_key=keys[share.name],
            factor=share.factor,
            weight=share.weight,
            remark=share.remark,
        )
        for share in combined.shares
    )


def _path(bench: Bench, group: Group, role: str) -> Path:
    stem = "_".join(part for part in (group.target, group.grism, group.slit) if part)
    return bench.layout.product(group.night, group.target, stem, ENDINGS[role])


def _withdraw(bench: Bench, record: CombinationRecord, job: Job) -> None:
    """Take back a combination that has fewer than two members left: a stale one would mislead."""
    for path in record.paths.values():
        path.unlink(missing_ok=True)
    log.info("%s is withdrawn: fewer than two members are left", job.key)
    with writing(bench.engine) as session:
        bench.archive.withdraw_combination(record.group, within=session)
        bench.queue.finish(job, within=session)
