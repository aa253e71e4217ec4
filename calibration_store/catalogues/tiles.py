"""Catalogues on local disc: one file per piece of sky, read without a lock, written whole.

README.md beside this module describes the files.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import mmap
import os
import re
import secrets
import shutil
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from calibration_store.catalogues.coverage import (
    COVER,
    NOTHING,
    OUTSIDE,
    Cover,
    day_of,
    overlaid,
    ranges_of,
)
from calibration_store.catalogues.entries import Holding, Rows, row_type
from calibration_store.catalogues.sky import (
    CELL_SHIFT,
    TILE_SHIFT,
    Cone,
    Pixels,
    cells_touched,
    in_ranges,
    pixels_inside,
    split_by_tile,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_ABOUT = "catalogue.json"
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,39}")
FORMAT = 1


class UnusableCatalogue(Exception):
    """The catalogue on disc cannot take these entries."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What local disc holds of one cone.

    Attributes
    ----------
    rows
        Entries of every cell that the cone touches: more than the cone.
    covered
        Fraction of the cone of which the entries are held.
    asked
        Fraction of the cone for which asking again would bring nothing new: what is covered, and
        where the catalogue is known not to have looked.
    cover
        The ranges of coverage that the cone touches: when and from which release.
    damaged
        Files that could not be read.
    """

    rows: Rows
    covered: float
    asked: float
    cover: Cover
    damaged: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """One file of a catalogue: which pixels it knows, how many entries, how large."""

    cover: Cover
    entries: int
    size_bytes: int


class TileStore:
    """The catalogues below one folder.

    Readers take no lock: a file is replaced whole, and entries are in place before the coverage
    that announces them. Writers of one catalogue wait for each other.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._holdings: dict[str, tuple[int, Holding]] = {}

    def names(self) -> tuple[str, ...]:
        """Return the names of the catalogues that are held."""
        return tuple(sorted(path.parent.name for path in self.folder.glob(f"*/{_ABOUT}")))

    def holding(self, name: str) -> Holding | None:
        """Return what a catalogue is; None where nothing of it is held."""
        about = self.folder / name / _ABOUT
        try:
            stamp = about.stat().st_mtime_ns
            known = self._holdings.get(name)
            if known is None or known[0] != stamp:
                known = (stamp, _holding(json.loads(about.read_text(encoding="utf-8"))))
                self._holdings[name] = known
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return known[1]

    def read(self, name: str, cone: Cone, *, pad_deg: float = 0.0) -> Found:
        """Return what is held of a cone.

        Parameters
        ----------
        pad_deg
            Entries are given so far beyond the cone; coverage counts inside it.
        """
        holding = self.holding(name)
        if holding is None:
            return Found(rows=np.empty(0, row_type(())), covered=0.0, asked=0.0, cover=NOTHING)
        cells = cells_touched(replace(cone, radius_deg=cone.radius_deg + pad_deg))
        rows, covers, damaged = [], [NOTHING], []
        kind = row_type(holding.bands)
        for tile in np.unique(cells >> (TILE_SHIFT - CELL_SHIFT)):
            path, own = self._tile(name, int(tile)), cells >> (TILE_SHIFT - CELL_SHIFT) == tile
            try:
                cover = _cover(_beside(path))
                # Coverage first: entries are at least as new as the coverage read before them.
                rows += _cells_of(path, kind, cells[own])
                covers.append(cover)
            except (OSError, ValueError, EOFError):
                damaged.append(path)
        cover = np.concatenate(covers)
        pixels = pixels_inside(cone, cells)
        known = in_ranges(ranges_of(cover), pixels)
        owner = np.searchsorted(cover["start"], pixels[known], side="right") - 1
        looked = cover["release"][owner] != OUTSIDE
        return Found(
            rows=np.concatenate(rows) if rows else np.empty(0, kind),
            covered=float(looked.sum() / len(pixels)),
            asked=float(known.mean()),
            cover=cover[np.unique(owner[looked])],
            damaged=tuple(damaged),
        )

    def merge(
        self, holding: Holding, rows: Rows, ranges: Pixels, *, release: str | None, retrieved: str
    ) -> int:
        """Make ranges of pixels known; what was held of them before is replaced.

        Parameters
        ----------
        rows
            Entries sorted by pixel; those outside the ranges are left out.
        release
            None says that the catalogue has not looked there.
        retrieved
            Date (ISO) at which the entries left the service; '' where unknown.

        Returns
        -------
        int
            Entries that were kept.

        Raises
        ------
        UnusableCatalogue
            If the name is not one, or a catalogue of this name with other bands is held.
        """
        if not _NAME.fullmatch(holding.name):
            raise UnusableCatalogue(
                f"'{holding.name}' cannot name a catalogue: small letters, digits and . _ - only"
            )
        with self._locked(holding.name):
            number = self._agree(holding, release)
            kept = 0
            for tile, part in split_by_tile(ranges).items():
                start, stop = np.searchsorted(
                    rows["pixel"], [tile << TILE_SHIFT, (tile + 1) << TILE_SHIFT]
                )
                fresh = rows[start:stop]
                fresh = fresh[in_ranges(part, fresh["pixel"])]
                self._merge_tile(holding.name, tile, fresh, part, (day_of(retrieved), number))
                kept += len(fresh)
        return kept

    def remove(self, name: str) -> bool:
        """Remove a catalogue from disc; False where there is none."""
        if not _NAME.fullmatch(name) or self.holding(name) is None:
            return False
        with self._locked(name):
            # Without its description nothing of it is read any more, whatever else remains.
            (self.folder / name / _ABOUT).unlink(missing_ok=True)
            shutil.rmtree(self.folder / name, ignore_errors=True)
        return True

    def tiles(self, name: str) -> Iterator[Tile]:
        """Yield every tile that can be read."""
        holding = self.holding(name)
        kind = row_type(holding.bands if holding else ())
        for path in sorted((self.folder / name).glob("*.cover.npy")):
            entries = path.with_name(path.name.replace(".cover", ""))
            with contextlib.suppress(OSError, ValueError, EOFError):
                rows = _mapped(entries, kind)
                size = path.stat().st_size + (0 if rows is None else rows.nbytes)
                count = 0 if rows is None else len(rows)
                yield Tile(cover=_cover(path), entries=count, size_bytes=size)

    def _tile(self, name: str, tile: int) -> Path:
        return self.folder / name / f"{tile:05d}.npy"

    def _merge_tile(
        self, name: str, tile: int, fresh: Rows, ranges: Pixels, label: tuple[int, int]
    ) -> None:
        path = self._tile(name, tile)
        try:
            cover, held = _cover(_beside(path)), _mapped(path, fresh.dtype)
        except (OSError, ValueError, EOFError):
            cover, held = NOTHING, None  # damaged: what is known now replaces it
        if held is not None:
            old = held[~in_ranges(ranges, held["pixel"])]
            fresh = np.concatenate([old, fresh])
            fresh = fresh[np.argsort(fresh["pixel"], kind="stable")]
        _write(path, fresh)
        _write(_beside(path), overlaid(cover, ranges, *label))

    def _agree(self, holding: Holding, release: str | None) -> int:
        """Write the description where it is new; return the number of the release."""
        held = self.holding(holding.name)
        if held is not None and held.bands != holding.bands:
            raise UnusableCatalogue(
                f"'{holding.name}' is held with the bands {', '.join(held.bands) or 'none'}, not "
                f"{', '.join(holding.bands) or 'none'}: choose another name, or remove it first"
            )
        releases = held.releases if held is not None else ()
        if release is not None and release not in releases:
            releases = (*releases, release)
        limits = holding.limits or (held.limits if held is not None else {})
        described = replace(holding, releases=releases, limits=limits)
        if described != held:
            about = {"format": FORMAT, **asdict(described)}
            text = json.dumps(about, indent=1) + "\n"
            write_whole(self.folder / holding.name / _ABOUT, text.encode())
        return OUTSIDE if release is None else releases.index(release)

    @contextlib.contextmanager
    def _locked(self, name: str) -> Iterator[None]:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / f".{name}.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            (self.folder / name).mkdir(exist_ok=True)
            yield


def write_whole(path: Path, content: bytes | memoryview) -> None:
    """Write a file so that a reader sees the old one or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _holding(about: Mapping[str, Any]) -> Holding:
    if about["format"] != FORMAT:
        raise ValueError("written by another version")
    return Holding(
        name=str(about["name"]),
        bands=tuple(map(str, about["bands"])),
        releases=tuple(map(str, about["releases"])),
        limits={str(band): float(limit) for band, limit in about["limits"].items()},
    )


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.stem}.cover.npy")


def _cover(path: Path) -> Cover:
    return NOTHING if (cover := _mapped(path, COVER)) is None else cover


def _mapped(path: Path, kind: np.dtype[Any]) -> Rows | None:
    """Return an array on disc, mapped, not read; None where there is none.

    `numpy.load` opens a file twice to map it, and may meet two versions of it.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return None
    with file:
        start = file.read(10)
        length = int.from_bytes(start[8:], "little")
        shape, found = _described(start + file.read(length))
        if found != kind or len(shape) != 1:
            raise ValueError(f"{path} holds something else")
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return np.frombuffer(content, kind, count=shape[0], offset=file.tell())


@lru_cache(maxsize=1024)
def _described(header: bytes) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Return shape and type that the beginning of an `.npy` file states."""
    stream = io.BytesIO(header)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError("not an array of version 1.0")
    shape, _, kind = np.lib.format.read_array_header_1_0(stream)
    return shape, kind


def _cells_of(path: Path, kind: np.dtype[Any], cells: Pixels) -> list[Rows]:
    """Return the entries of some cells, as copies."""
    rows = _mapped(path, kind)
    if rows is None:
        return []
    edges = np.stack([cells, cells + 1]) << CELL_SHIFT
    starts, stops = np.searchsorted(rows["pixel"], edges.astype(np.int32))
    wanted = np.concatenate([np.arange(*ends) for ends in zip(starts, stops, strict=True)])
    return [rows[wanted]]


def _write(path: Path, values: Rows) -> None:
    """Write an array as `numpy.save` does, whole or not at all; an empty one means no file."""
    if not len(values) and values.dtype != COVER:
        path.unlink(missing_ok=True)
        return
    buffer = io.BytesIO()
    np.save(buffer, values, allow_pickle=False)
    write_whole(path, buffer.getbuffer())
