"""What becomes of one file: ingested, held, quarantined or ignored, with its reason."""

from __future__ import annotations

import gzip
import io
import os
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daemon.arrival.ingest import Outcome, Reception, ingest, stem_of
from daemon.arrival.sighting import Sighting
from daemon.memory.archive import Archive
from daemon.memory.records import FileState, FrameRecord
from tests.daemon.fresh_database import fresh_database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy.orm import Session

    from reducers.instrument import Instrument

START = datetime(2026, 11, 20, 22, tzinfo=UTC)


class FakeClock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return START + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds


class Desk:
    """A reception with a raw folder, and what it was asked to follow up."""

    def __init__(self, folder: Path) -> None:
        self.raw = folder / "raw"
        self.raw.mkdir()
        self.clock = FakeClock()
        self.engine = fresh_database(folder / "db" / "a.sqlite")
        self.archive = Archive(self.engine, self.clock)
        self.followed: list[FrameRecord] = []
        self.reception = Reception(
            engine=self.engine,
            archive=self.archive,
            clock=self.clock,
            profiles=("alfosc",),
            follow_up=self._follow_up,
            size_limit_bytes=20_000_000,
            hold_limit_s=600.0,
        )

    def _follow_up(self, frame: FrameRecord, instrument: Instrument, within: Session) -> None:
        assert within.in_transaction()
        self.followed.append(frame)

    def take(self, path: Path) -> Outcome:
        status = path.stat()
        sighting = Sighting(path=path, size=status.st_size, mtime_ns=status.st_mtime_ns)
        return ingest(sighting, START, self.reception)

    def put(self, name: str, content: bytes) -> Path:
        path = self.raw / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        return path


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.engine.dispose()


def raw_frame(fill: int = 300, **cards: Any) -> bytes:
    """Return the bytes of a small bias as ALFOSC writes it: two HDUs, the image in the second."""
    primary, image = fits.PrimaryHDU(), fits.ImageHDU(np.full((20, 30), fill, dtype=np.int32))
    facts = {"INSTRUME": "ALFOSC_FASU", "DATE-OBS": "2026-11-20T23:30:00", "EXPTIME": 0.0}
    for key, value in {**facts, "OBJECT": "bias", "IMAGETYP": "BIAS", **cards}.items():
        primary.header[key] = value
    stream = io.BytesIO()
    fits.HDUList([primary, image]).writeto(stream)
    return stream.getvalue()


def patched(key: str, was: int, reads: int) -> bytes:
    """Return a raw frame in which one card of the image reads otherwise."""
    old, new = (f"{key:8}= {value:20}".encode() for value in (was, reads))
    content = raw_frame()
    assert old in content
    return content.replace(old, new)


def test_a_whole_frame_becomes_an_exposure_with_what_follows(desk: Desk) -> None:
    outcome = desk.take(desk.put("ALa.fits", raw_frame()))
    assert outcome.state is FileState.INGESTED
    assert outcome.frame is not None
    assert (outcome.frame.stem, outcome.frame.night) == ("ALa", "2026-11-20")
    assert [frame.stem for frame in desk.followed] == ["ALa"]
    recorded = desk.archive.file_at(desk.raw / "ALa.fits")
    assert recorded is not None
    assert (recorded.state, recorded.sha256) == (FileState.INGESTED, outcome.frame.sha256)


def test_taking_it_in_again_does_nothing(desk: Desk) -> None:
    path = desk.put("ALa.fits", raw_frame())
    desk.take(path)
    assert desk.take(path).state is FileState.INGESTED
    assert len(desk.followed) == 1


def test_a_frame_after_midnight_belongs_to_the_night_before(desk: Desk) -> None:
    late = raw_frame(**{"DATE-OBS": "2026-11-21T05:00:00"})
    outcome = desk.take(desk.put("ALa.fits", late))
    assert outcome.frame is not None
    assert outcome.frame.night == "2026-11-20"


def test_a_frame_without_a_date_belongs_to_the_night_of_its_arrival(desk: Desk) -> None:
    outcome = desk.take(desk.put("ALa.fits", raw_frame(**{"DATE-OBS": "yesterday"})))
    assert outcome.frame is not None
    assert outcome.frame.night == "2026-11-20"


def test_a_writer_cut_anywhere_is_never_taken_early(desk: Desk) -> None:
    whole = raw_frame()
    cuts = {0, 1, 79, 80, 2879, *range(2880, len(whole), 2880), len(whole) - 1}
    for cut in sorted(cuts):
        outcome = desk.take(desk.put(f"AL{cut}.fits", whole[:cut]))
        assert outcome.state is FileState.HELD, cut
        assert outcome.again_in_s is not None
    assert desk.followed == []


@pytest.mark.realdata
def test_a_real_frame_cut_at_any_hdu_boundary_is_held(desk: Desk, realdata: Path) -> None:
    whole = (realdata / "alfosc_raw" / "ALDc210004.fits").read_bytes()
    ends = [0, 2880]
    with fits.open(realdata / "alfosc_raw" / "ALDc210004.fits") as hdus:
        for hdu in hdus:
            info = hdu.fileinfo()
            ends += [info["datLoc"], info["datLoc"] + info["datSpan"]]
    for cut in sorted({end for end in ends if end < len(whole)}):
        assert desk.take(desk.put(f"AL{cut}.fits", whole[:cut])).state is FileState.HELD
    assert desk.take(desk.put("ALwhole.fits", whole)).state is FileState.INGESTED


def test_the_hold_ends_with_the_number_of_bytes_and_begins_again_when_the_file_grows(
    desk: Desk,
) -> None:
    whole = raw_frame()
    path = desk.put("ALa.fits", whole[:5000])
    assert desk.take(path).state is FileState.HELD
    desk.clock.seconds = 600
    outcome = desk.take(path)
    assert outcome.state is FileState.QUARANTINED
    assert outcome.reason.startswith("never completed: 5000 bytes")
    assert outcome.again_in_s is None
    assert desk.take(desk.put("ALa.fits", whole)).state is FileState.INGESTED


def test_the_looks_at_a_held_file_end_at_the_limit(desk: Desk) -> None:
    path = desk.put("ALa.fits", raw_frame()[:5000])
    looks = 0
    while (again_in_s := desk.take(path).again_in_s) is not None:
        desk.clock.seconds += again_in_s
        looks += 1
    assert desk.clock.seconds == pytest.approx(600)
    assert looks < 40


def test_allocated_room_is_no_frame_yet(desk: Desk) -> None:
    outcome = desk.take(desk.put("ALa.fits", bytes(28800)))
    assert outcome.state is FileState.HELD
    assert "allocated" in outcome.reason


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (lambda: b"\xff\xd8\xff\xe0JFIF" * 1000, "FITS"),
        (lambda: os.urandom(5760), "FITS"),
        (lambda: patched("BITPIX", 32, 17), "17"),
        (lambda: patched("NAXIS1", 30, 200000), "NAXIS1"),
        (lambda: patched("NAXIS", 2, 999), "999"),
        (lambda: patched("NAXIS1", 30, -5), "NAXIS1"),
        (lambda: raw_frame() + bytes(20_000_000), "MB"),
        (lambda: gzip.compress(bytes(30_000_000)), ""),
        (lambda: raw_frame(INSTRUME=""), "INSTRUME missing"),
    ],
)  # fmt: skip
def test_bad_input_is_quarantined_with_a_named_reason(
    desk: Desk, content: Callable[[], bytes], word: str
) -> None:
    outcome = desk.take(desk.put("ALa.fits", content()))
    assert outcome.state is FileState.QUARANTINED
    assert outcome.reason
    assert word in outcome.reason
    assert outcome.again_in_s is None
    recorded = desk.archive.file_at(desk.raw / "ALa.fits")
    assert recorded is not None
    assert recorded.reason == outcome.reason


def test_a_fifo_is_refused_without_waiting_for_a_writer(desk: Desk) -> None:
    os.mkfifo(desk.raw / "ALa.fits")
    outcome = desk.take(desk.raw / "ALa.fits")
    assert (outcome.state, outcome.reason) == (FileState.QUARANTINED, "not a regular file")


@pytest.mark.parametrize(
    ("cards", "word"), [({"INSTRUME": "NOTCAM"}, "NOTCAM"), ({"ALFOSCD": "0.1"}, "product")]
)
def test_what_is_not_ours_is_ignored(desk: Desk, cards: dict[str, str], word: str) -> None:
    outcome = desk.take(desk.put("ALa.fits", raw_frame(**cards)))
    assert outcome.state is FileState.IGNORED
    assert word in outcome.reason


def test_room_that_was_allocated_but_not_filled_is_held_and_then_given_up(desk: Desk) -> None:
    whole = raw_frame()
    path = desk.put("ALa.fits", whole[:-2880] + bytes(2880))
    held = desk.take(path)
    assert held.state is FileState.HELD
    assert "zeros: room without pixels yet" in held.reason
    desk.clock.seconds = 700.0
    assert desk.take(path).state is FileState.QUARANTINED
    assert desk.archive.current_frames() == []
    path.write_bytes(whole)
    assert desk.take(path).state is FileState.INGESTED


def test_a_raw_file_that_was_missing_is_ingested_again_when_it_is_back(desk: Desk) -> None:
    path = desk.put("ALa.fits", raw_frame())
    desk.take(path)
    known = desk.archive.file_at(path)
    assert known is not None
    desk.archive.record_file(replace(known, state=FileState.MISSING, reason="gone"))
    assert desk.take(path).state is FileState.INGESTED
    assert len(desk.archive.current_frames()) == 1


def test_the_old_name_of_a_moved_file_is_not_missing(desk: Desk) -> None:
    old = desk.put("ALa.fits", raw_frame())
    desk.take(old)
    new = old.rename(desk.raw / "ALb.fits")
    desk.take(new)
    left = desk.archive.file_at(old)
    assert left is not None
    assert (left.state, left.reason) == (FileState.IGNORED, "moved to ALb.fits")


def test_the_same_content_under_another_name_is_one_exposure(desk: Desk) -> None:
    content = raw_frame()
    first = desk.take(desk.put("ALa.fits", content))
    second = desk.take(desk.put("ALa-1.fits", content))
    assert second.reason == "same content as ALa.fits"
    assert first.frame is not None
    assert second.frame is not None
    assert first.frame.id == second.frame.id
    assert len(desk.archive.current_frames()) == len(desk.followed) == 1


def test_a_renamed_file_stays_the_exposure_and_is_read_from_its_new_name(desk: Desk) -> None:
    path = desk.put("ALa.fits", raw_frame())
    desk.take(path)
    path.rename(desk.raw / "ALb.fits")
    assert desk.take(desk.raw / "ALb.fits").reason == "renamed from ALa.fits"
    [frame] = desk.archive.current_frames()
    assert frame.path == desk.raw / "ALb.fits"


def test_new_content_under_the_same_name_is_a_new_revision(desk: Desk) -> None:
    first = desk.take(desk.put("ALa.fits", raw_frame(fill=300)))
    second = desk.take(desk.put("ALa.fits", raw_frame(fill=301)))
    assert first.frame is not None
    assert second.frame is not None
    assert (second.frame.id, second.frame.revision) == (first.frame.id, 2)
    assert [frame.revision for frame in desk.archive.current_frames()] == [2]
    assert len(desk.followed) == 2


def test_a_touched_file_is_not_a_new_revision(desk: Desk) -> None:
    path = desk.put("ALa.fits", raw_frame())
    desk.take(path)
    os.utime(path, ns=(1, 10**18))
    assert desk.take(path).reason == "content unchanged"
    assert len(desk.followed) == 1


def test_a_job_for_a_look_that_is_past_decides_nothing(desk: Desk) -> None:
    path = desk.put("ALa.fits", raw_frame())
    old = Sighting(path=path, size=2880, mtime_ns=5)
    assert ingest(old, START, desk.reception).again_in_s is None
    assert desk.archive.file_at(path) is None
    assert desk.archive.current_frames() == []


def test_a_file_that_is_gone_is_recorded_as_gone(desk: Desk) -> None:
    gone = Sighting(path=desk.raw / "ALa.fits", size=5, mtime_ns=5)
    outcome = ingest(gone, START, desk.reception)
    assert outcome.state is FileState.IGNORED
    assert "gone" in outcome.reason


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_held_with_the_command_that_mends_it(desk: Desk) -> None:
    path = desk.put("AL a.fits", raw_frame())
    path.chmod(0)
    outcome = desk.take(path)
    assert outcome.state is FileState.HELD
    assert outcome.reason.endswith(f"chmod a+r '{path}'")
    path.chmod(0o444)
    assert desk.take(path).state is FileState.INGESTED


def test_a_raw_file_is_not_touched(desk: Desk) -> None:
    path = desk.put("ALa.fits", raw_frame())
    path.chmod(0o444)
    before = path.stat()
    desk.take(path)
    after = path.stat()
    assert path.read_bytes() == raw_frame()
    assert (before.st_mtime_ns, before.st_mode, before.st_ino) == (
        after.st_mtime_ns,
        after.st_mode,
        after.st_ino,
    )
    assert [item.name for item in desk.raw.iterdir()] == ["ALa.fits"]


def test_when_what_follows_cannot_be_submitted_nothing_is_recorded(desk: Desk) -> None:
    def refuse(frame: FrameRecord, instrument: Instrument, within: Session) -> None:
        raise InterruptedError

    path = desk.put("ALa.fits", raw_frame())
    reception = desk.reception
    desk.reception = Reception(
        engine=reception.engine,
        archive=reception.archive,
        clock=reception.clock,
        profiles=reception.profiles,
        follow_up=refuse,
        size_limit_bytes=reception.size_limit_bytes,
        hold_limit_s=reception.hold_limit_s,
    )
    with pytest.raises(InterruptedError):
        desk.take(path)
    assert desk.archive.current_frames() == []
    assert desk.archive.file_at(path) is None


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("ALDc200205.fits", "ALDc200205"),
        ("EFOSC.2022-01-26T19:02:38.210.fits.gz", "EFOSC.2022-01-26T19:02:38.210"),
        ("ALa.FITS", "ALa"),
        ("ALa.b.fits.fz", "ALa.b"),
    ],
)
def test_the_stem_is_the_name_without_its_type(name: str, stem: str) -> None:
    assert stem_of(Path("/raw") / name) == stem


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_no_damage_to_a_header_escapes_a_recorded_reason(desk: Desk, data: st.DataObject) -> None:
    content = bytearray(raw_frame())
    for _ in range(data.draw(st.integers(1, 12))):
        where = data.draw(st.integers(0, 8639))
        junk = data.draw(st.binary(min_size=1, max_size=40))
        content[where : where + len(junk)] = junk
    path = desk.put("ALa.fits", bytes(content))
    outcome = desk.take(path)
    recorded = desk.archive.file_at(path)
    assert recorded is not None
    assert (recorded.state, recorded.reason) == (outcome.state, outcome.reason)
    assert outcome.reason


@pytest.mark.realdata
def test_every_real_frame_is_an_exposure_of_its_night(desk: Desk, realdata: Path) -> None:
    for path in sorted((realdata / "alfosc_raw").glob("ALDc2003*.fits")):
        outcome = desk.take(Path(shutil.copy(path, desk.raw)))
        assert outcome.frame is not None
        assert outcome.frame.night == "2020-03-20"
    assert len(desk.followed) == 5
