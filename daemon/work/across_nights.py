"""Combine the spectra of one target and set-up over several nights, when a person asks for it.

Each spectrum has been calibrated with its own night's calibrations by then.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from daemon.work.classification import classification_of
from daemon.work.combinations import (
    ENDINGS,
    combine_members,
    drawn,
    in_one_unit,
    products_of,
    quality_of,
    read_member,
    record_of,
)
from daemon.work.groups import Candidate, Group, group_of, members_and_others
from daemon.work.observer_motion import velocity_km_s
from daemon.work.product_files import write_files
from reducers.identity import FrameKind
from reducers.spectroscopy.barycentre import at_barycentre

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from daemon.memory.records import CombinationRecord, FrameRecord
    from daemon.work.bench import Bench
    from reducers.combined_products import StoredSpectrum


class NothingToCombine(Exception):
    """What a person asked for cannot be combined; the message says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a person wants combined; '' or () leaves it open."""

    target: str
    nights: tuple[str, ...] = ()
    grism: str = ""
    slit: str = ""


def combine_nights(bench: Bench, wanted: Wanted, into: Path | None = None) -> CombinationRecord:
    """Combine what is wanted, write it below the newest night and remember it.

    Parameters
    ----------
    into
        A folder to write to instead; then the archive is left alone.

    Raises
    ------
    NothingToCombine
        If fewer than two nights give a usable spectrum, or several set-ups are meant.
    TryLater
        If the file of a member has to be made again by the daemon first.
    """
    group, frames = _frames(bench, wanted)
    members, excluded = _members(bench, frames)
    read = [read_member(bench, each) for each in members]
    members, stored = _calibrated(members, read, excluded)
    nights = sorted({each.frame.night for each in members})
    group = replace(group, night=f"{nights[0]}..{nights[-1]}")
    velocities = _velocities(bench, members)
    chosen = in_one_unit(stored)
    if velocities:
        chosen = [at_barycentre(each, v) for each, v in zip(chosen, velocities, strict=True)]
    combined = combine_members(members, chosen)
    paths = _paths(bench, group, nights, into)
    found = classification_of(bench, combined.spectrum, quality_of(members, combined))
    quality, files = products_of(
        members, excluded, stored, combined, velocities, classification=found
    )
    write_files(files, paths)
    record = record_of(bench, group, quality, members, excluded, combined, paths)
    record = replace(
        record,
        night=nights[-1],
        setup=f"{record.setup}, {nights[0]} to {nights[-1]}",
        measurements={**record.measurements, **_of_nights(nights, velocities)},
    )
    record = drawn(bench, record, chosen, combined, into, classification=found)
    if into is None:
        bench.archive.record_combination(record)
    return record


def _frames(bench: Bench, wanted: Wanted) -> tuple[Group, list[FrameRecord]]:
    """Return the one set-up that is wanted, its night left open, and its exposures."""
    found: dict[Group, list[FrameRecord]] = {}
    known = set()
    for frame in bench.archive.current_frames(FrameKind.SPEC_OBJECT):
        group = group_of(frame)
        if group is None:
            continue
        known.add(group.target)
        if _fits(group, wanted):
            found.setdefault(replace(group, night=""), []).append(frame)
    if not found:
        said = ", ".join(sorted(known)[:8]) or "none yet"
        raise NothingToCombine(f"no spectrum fits; targets with spectra: {said}")
    if len(found) > 1:
        said = "; ".join(sorted(f"{each.target} {each.grism} {each.slit}" for each in found))
        raise NothingToCombine(f"several set-ups fit: {said}. Add --grism or --slit")
    return next(iter(found.items()))


def _fits(group: Group, wanted: Wanted) -> bool:
    pairs = ((wanted.target, group.target), (wanted.grism, group.grism), (wanted.slit, group.slit))
    return (not wanted.nights or group.night in wanted.nights) and all(
        not asked or _plain(asked) in (_plain(own), _plain(own.rpartition("_")[2]))
        for asked, own in pairs
    )


def _plain(text: str) -> str:
    """Return a name as people spell it: '#4', '4' and 'Grism_#4' end alike."""
    return "".join(text.split()).casefold().replace("#", "")


def _members(
    bench: Bench, frames: Sequence[FrameRecord]
) -> tuple[tuple[Candidate, ...], dict[str, str]]:
    products = [(frame, bench.archive.current_product(frame.id)) for frame in frames]
    members, excluded = members_and_others(
        Candidate(frame=frame, product=product) for frame, product in products if product
    )
    _require_two_nights(members, excluded)
    return members, excluded


def _require_two_nights(members: Sequence[Candidate], excluded: dict[str, str]) -> None:
    nights = sorted({each.frame.night for each in members})
    if len(nights) < 2:
        left = "; ".join(f"{stem}: {why}" for stem, why in sorted(excluded.items())[:6])
        raise NothingToCombine(
            f"usable spectra come from {nights[0] if nights else 'no night'} alone; within one "
            "night the daemon combines by itself" + (f". Left out: {left}" if left else "")
        )


def _calibrated(
    members: tuple[Candidate, ...], stored: Sequence[StoredSpectrum], excluded: dict[str, str]
) -> tuple[tuple[Candidate, ...], Sequence[StoredSpectrum]]:
    """Leave out spectra without a flux where others have one; all in counts when none has."""
    pairs = list(zip(members, stored, strict=True))
    fluxed = [(member, each) for member, each in pairs if each.spectrum is not None]
    if not fluxed or len(fluxed) == len(pairs):
        return members, stored
    for member, each in pairs:
        if each.spectrum is None:
            excluded[member.frame.stem] = "no flux calibration"
    kept = tuple(member for member, _ in fluxed)
    _require_two_nights(kept, excluded)
    return kept, [each for _, each in fluxed]


def _velocities(bench: Bench, members: Sequence[Candidate]) -> tuple[float, ...]:
    """Return the telescope's velocity towards the target by member; () if one is not known."""
    found = [
        velocity_km_s(each.frame.identity, bench.instrument(each.frame.identity.instrument))
        for each in members
    ]
    known = tuple(value for value in found if value is not None)
    return known if len(known) == len(found) else ()


def _of_nights(nights: Sequence[str], velocities: Sequence[float]) -> dict[str, float]:
    measured = {"nights": float(len(nights))}
    if velocities:
        measured["velocity_spread_km_s"] = max(velocities) - min(velocities)
    return measured


def _paths(bench: Bench, group: Group, nights: Sequence[str], into: Path | None) -> dict[str, Path]:
    stem = "_".join(part for part in (group.target, group.grism, group.slit) if part)
    between = f"combined_{nights[0]}_{nights[-1]}"
    paths = {}
    for role, ending in ENDINGS.items():
        name = ending.replace("combined", between, 1)
        path = bench.layout.product(nights[-1], group.target, stem, name)
        paths[role] = path if into is None else into / path.name
    return paths
