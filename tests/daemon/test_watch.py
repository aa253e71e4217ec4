"""Hints: real inotify where it is asked for, text and loggers elsewhere."""

from __future__ import annotations

import logging
import os
import shutil
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from daemon.arrival.watch import Watcher, file_system

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MOUNTS = """\
/dev/sda1 / ext4 rw 0 0
nas:/raw /data/raw\\040night nfs4 rw 0 0
//pc/share /mnt/pc cifs rw 0 0
sshfs#x /mnt/far fuse.sshfs rw 0 0
/dev/sdb1 /mnt/pc/local ext4 rw 0 0
/dev/sdc1 /swap ext4 rw 0 0
nas:/x /swap nfs rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/data", "ext4"),
        ("/data/raw night/2026", "nfs4"),
        ("/mnt/pc/deep/er", "cifs"),
        ("/mnt/pc/local/x", "ext4"),
        ("/mnt/pcs", "ext4"),
        ("/mnt/far", "fuse.sshfs"),
        ("/swap/x", "nfs"),
    ],
)
def test_the_deepest_and_last_mount_tells_the_file_system(path: str, kind: str) -> None:
    assert file_system(Path(path), MOUNTS) == kind


class Hinted:
    """A running watcher and everything it hinted at so far."""

    def __init__(self, folder: Path) -> None:
        self.woken = threading.Event()
        self.watcher = Watcher([folder], "never", self.woken.set)
        self.paths: set[Path] = set()
        self.rescan = False

    def gather(self) -> None:
        hints = self.watcher.hints()
        self.paths |= hints.paths
        self.rescan = self.rescan or hints.rescan

    def until(self, reached: Callable[[], bool]) -> bool:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            self.gather()
            if reached():
                return True
            self.woken.wait(0.1)
            self.woken.clear()
        return False


@pytest.fixture
def hinted(tmp_path: Path) -> Iterator[Hinted]:
    (tmp_path / "raw").mkdir()
    hinted = Hinted(tmp_path / "raw")
    hinted.watcher.start()
    hinted.gather()
    hinted.rescan = False
    yield hinted
    hinted.watcher.stop()


def slow_write(raw: Path, outside: Path) -> None:
    with (raw / "ALa.fits").open("wb") as stream:
        for _ in range(3):
            stream.write(b"x" * 100)
            stream.flush()


def copy(raw: Path, outside: Path) -> None:
    shutil.copy(outside / "source", raw / "ALa.fits")


def rename_within(raw: Path, outside: Path) -> None:
    (raw / ".ALa.fits.Xy12Ab").write_bytes(b"x")
    (raw / ".ALa.fits.Xy12Ab").rename(raw / "ALa.fits")


def rename_part(raw: Path, outside: Path) -> None:
    (raw / "ALa.fits.part").write_bytes(b"x")
    (raw / "ALa.fits.part").rename(raw / "ALa.fits")


def rename_in(raw: Path, outside: Path) -> None:
    (outside / "source").rename(raw / "ALa.fits")


def replace(raw: Path, outside: Path) -> None:
    (raw / "ALa.fits").write_bytes(b"old")
    (outside / "source").replace(raw / "ALa.fits")


def hard_link(raw: Path, outside: Path) -> None:
    (raw / "ALa.fits").hardlink_to(outside / "source")


def soft_link(raw: Path, outside: Path) -> None:
    (raw / "ALa.fits").symlink_to(outside / "source")


def killed_writer(raw: Path, outside: Path) -> None:
    descriptor = os.open(raw / "ALa.fits", os.O_CREAT | os.O_WRONLY)
    os.write(descriptor, b"half")
    os.close(descriptor)


def reopened(raw: Path, outside: Path) -> None:
    (raw / "ALa.fits").write_bytes(b"header")
    with (raw / "ALa.fits").open("ab") as stream:
        stream.write(b"data")


def preallocated(raw: Path, outside: Path) -> None:
    with (raw / "ALa.fits").open("wb") as stream:
        stream.truncate(5760)
        stream.write(b"SIMPLE")


@pytest.mark.parametrize(
    "deliver",
    [
        slow_write,
        copy,
        rename_within,
        rename_part,
        rename_in,
        replace,
        hard_link,
        soft_link,
        killed_writer,
        reopened,
        preallocated,
    ],
)
def test_every_way_of_delivery_gives_a_hint(
    hinted: Hinted, tmp_path: Path, deliver: Callable[[Path, Path], None]
) -> None:
    (tmp_path / "source").write_bytes(b"x" * 100)
    deliver(tmp_path / "raw", tmp_path)
    assert hinted.until(lambda: tmp_path / "raw" / "ALa.fits" in hinted.paths)


def directory_moved_in(raw: Path, outside: Path) -> None:
    (outside / "night").mkdir()
    (outside / "night" / "ALa.fits").write_bytes(b"x")
    (outside / "night").rename(raw / "night")


def directory_filled_at_once(raw: Path, outside: Path) -> None:
    (raw / "night").mkdir()
    (raw / "night" / "ALa.fits").write_bytes(b"x")


def rsync_delayed(raw: Path, outside: Path) -> None:
    (raw / ".~tmp~").mkdir()
    (raw / ".~tmp~" / "ALa.fits").write_bytes(b"x")
    (raw / ".~tmp~" / "ALa.fits").rename(raw / "ALa.fits")


@pytest.mark.parametrize("deliver", [directory_moved_in, directory_filled_at_once, rsync_delayed])
def test_a_directory_that_arrives_asks_for_a_scan(
    hinted: Hinted, tmp_path: Path, deliver: Callable[[Path, Path], None]
) -> None:
    deliver(tmp_path / "raw", tmp_path)
    assert hinted.until(lambda: hinted.rescan)


@pytest.mark.parametrize("module", ["inotify_c", "inotify"])
def test_a_warning_of_lost_events_asks_for_a_scan(hinted: Hinted, module: str) -> None:
    logging.getLogger(f"watchdog.observers.{module}").warning("Inotify queue overflowed")
    hinted.gather()
    assert hinted.rescan


def test_a_stopped_watcher_no_longer_listens_for_warnings(tmp_path: Path) -> None:
    hinted = Hinted(tmp_path)
    hinted.watcher.start()
    hinted.watcher.stop()
    hinted.gather()
    hinted.rescan = False
    logging.getLogger("watchdog.observers.inotify_c").warning("Inotify queue overflowed")
    hinted.gather()
    assert not hinted.rescan


def test_a_directory_that_comes_back_is_watched_again(hinted: Hinted, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.rename(tmp_path / "away")
    hinted.watcher.check()
    assert hinted.watcher.describe() == [f"{raw}: missing"]
    raw.mkdir()
    hinted.gather()
    hinted.rescan = False
    hinted.watcher.check()
    hinted.gather()
    assert hinted.rescan
    assert hinted.watcher.describe() == [f"{raw}: watched"]
    (raw / "ALa.fits").write_bytes(b"x")
    assert hinted.until(lambda: raw / "ALa.fits" in hinted.paths)


def test_a_directory_replaced_between_two_looks_is_watched_again(
    hinted: Hinted, tmp_path: Path
) -> None:
    raw = tmp_path / "raw"
    (tmp_path / "next").mkdir()
    raw.rename(tmp_path / "away")
    (tmp_path / "next").rename(raw)
    hinted.watcher.check()
    hinted.gather()
    assert hinted.rescan
    (raw / "ALb.fits").write_bytes(b"x")
    assert hinted.until(lambda: raw / "ALb.fits" in hinted.paths)


def test_polling_by_configuration_is_told(tmp_path: Path) -> None:
    watcher = Watcher([tmp_path], "always")
    watcher.start()
    assert watcher.polls
    assert watcher.describe() == [f"{tmp_path}: polled (as configured)"]
    watcher.stop()
