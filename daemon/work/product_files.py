"""What every product of an exposure shares: its version, its state, its files on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from astropy.io.fits import HDUList

from daemon.layout import version_of, write_atomically, write_fits_atomically
from daemon.memory.records import FlagRecord, ProductState
from daemon.work.bench import file_sha256
from daemon.work.roles import OPTIONAL, PROVIDED_FOR

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from calibration_store.policy import Selection
    from daemon.memory.records import CombinationRecord, FrameRecord, ProductRecord
    from daemon.work.bench import Bench
    from reducers.quality import Flag


def state_of(frame: FrameRecord, selections: Sequence[Selection]) -> ProductState:
    """Tell whether a better product is to be expected: a master is missing or borrowed.

    What has no calibrations taken for it is final with those that there are; flags tell the rest.
    """
    if frame.identity.kind not in PROVIDED_FOR:
        return ProductState.FINAL
    asked = [item for item in selections if item.role not in OPTIONAL]
    lacking = any(item.master is None or item.borrowed for item in asked)
    return ProductState.PROVISIONAL if lacking else ProductState.FINAL


def is_settled(product: ProductRecord | None, frame: FrameRecord) -> bool:
    """Tell whether a person has accepted what was made from this very content."""
    return product is not None and product.is_accepted and product.frame_sha256 == frame.sha256


def next_version(
    bench: Bench, frame: FrameRecord, before: ProductRecord | None, *, redo: bool
) -> int:
    """Return the number in the file names: what a person asks for never replaces a file.

    An upgrade of a provisional product is written under its name.
    """
    if before is None:
        return 1
    if not redo and before.state is not ProductState.FINAL:
        return version_of(before.main_path)
    history = bench.archive.product_history(frame.id)
    return 1 + max(version_of(item.main_path) for item in history)


def last_generation(bench: Bench, frame: FrameRecord) -> int:
    """Return how many products an exposure has had."""
    history = bench.archive.product_history(frame.id)
    return max((item.generation for item in history), default=0)


def is_whole(product: ProductRecord | CombinationRecord) -> bool:
    """Tell whether every file of a product is still there as it was written."""
    return all(
        path.is_file() and file_sha256(path) == product.hashes.get(role)
        for role, path in product.paths.items()
    )


def write_files(files: Mapping[str, HDUList | str], paths: Mapping[str, Path]) -> None:
    """Write files by role, each whole or not at all."""
    for role, content in files.items():
        if isinstance(content, HDUList):
            write_fits_atomically(paths[role], content)
        else:
            write_atomically(paths[role], content.encode())


def target_of(frame: FrameRecord) -> str:
    """Return the name under which the products of a frame are kept."""
    return frame.identity.target or frame.identity.object_name or "unnamed"


def flag_records(flags: Sequence[Flag]) -> tuple[FlagRecord, ...]:
    """Return flags as the archive records them."""
    return tuple(
        FlagRecord(
            name=flag.name,
            bit=flag.bit,
            quality=flag.quality,
            value=flag.value,
            threshold=flag.threshold,
            sentence=flag.sentence,
        )
        for flag in flags
    )
