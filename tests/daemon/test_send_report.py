"""The report goes out once for each version, whatever restarts, and says later what changed."""

from __future__ import annotations

import csv
import json
import socket
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from daemon.cli.main import main
from daemon.config import Catalogues, Config, Mail, Paths, Programme
from daemon.memory.messages import DeliveryState, Topic
from daemon.memory.records import (
    Decision,
    JobKind,
    JobRequest,
    JobState,
    ProductRecord,
    ProductState,
    Verdict,
)
from daemon.outbox.courier import Courier
from daemon.outbox.routing import places_of
from daemon.outbox.sinks import open_sinks
from daemon.report.gather import gather
from daemon.report.send import report_key, send_report
from daemon.report.text import render_text
from daemon.report.verdict import subject_of
from daemon.work.bench import open_bench
from daemon.work.outcomes import TryLater
from reducers.identity import FrameKind, Identity, Setup
from tests.daemon.fresh_database import fresh_database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from daemon.memory.messages import Message
    from daemon.memory.records import FrameRecord
    from daemon.work.bench import Bench

NIGHT = "2026-11-20"
DAWN = datetime(2026, 11, 21, 8, tzinfo=UTC)
SETUP = Setup(x_binning=1, y_binning=2, window=(1, 500, 1, 2102), readout="D-8-200",
              grism="Grism_#4", slit="Slit_1.0")  # fmt: skip


class Clock:
    def __init__(self) -> None:
        self.at = DAWN

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.at.timestamp()


class Morning:
    """A memory with frames and products put in by hand, and the task that reports them."""

    def __init__(self, folder: Path, **sections: object) -> None:
        (folder / "raw").mkdir(exist_ok=True)
        self.clock, self.folder = Clock(), folder
        config = Config(
            paths=Paths(raw=(folder / "raw",), root=folder / "out"),
            catalogues=Catalogues(online=False),
        )
        config = replace(config, **sections)
        engine = fresh_database(config.database)
        self.bench: Bench = open_bench(config, self.clock, engine=engine)

    def take(self, stem: str, night: str = NIGHT, **changed: object) -> FrameRecord:
        identity = Identity(
            instrument="alfosc", kind=FrameKind.SPEC_OBJECT, setup=SETUP, target="AT2026abc",
            object_name="AT2026abc", programme="72-010", exposure_s=900.0,
            observed_at=datetime.fromisoformat(f"{night}T22:00:00+00:00"),
        )  # fmt: skip
        path = self.folder / "raw" / f"{stem}.fits"
        path.write_bytes(stem.encode())
        frame, *_ = self.bench.archive.record_frame(
            stem=stem, sha256=stem, path=path, size=1, night=night, set_keys=(),
            identity=replace(identity, **changed), arrived_at=DAWN - timedelta(hours=9),
        )  # fmt: skip
        return frame

    def reduce(self, frame: FrameRecord, quality: int = 0, generation: int = 1) -> ProductRecord:
        product = ProductRecord(
            key=f"key of {frame.stem}", frame_id=frame.id, frame_sha256=frame.sha256,
            stem=frame.stem, night=frame.night, recipe="spectrum", recipe_version="3",
            generation=generation, state=ProductState.FINAL, quality=quality, flag_bits=0,
            target="AT2026abc", paths={}, hashes={}, measurements={"snr": 20.0 + quality},
            flags=(), choices=(), created_at=self.clock.at,
        )  # fmt: skip
        self.bench.archive.record_product(product)
        return product

    def report(self, occasion: str = "report") -> None:
        queue = self.bench.queue
        key = f"{occasion}:{NIGHT}"
        request = JobRequest(
            kind=JobKind.REPORT, key=key, payload={"night": NIGHT, "occasion": occasion}
        )
        if all(job.key != key for job in queue.jobs(JobState.WAITING)):
            queue.submit(request)
        job = queue.claim("worker", [JobKind.REPORT])
        assert job is not None
        try:
            send_report(self.bench, job)
        except TryLater as later:
            queue.put_back(job, later.reason, later.after_s)
            raise
        queue.finish(job)

    def messages(self) -> list[Message]:
        return [n.message for n in reversed(self.bench.archive.notices(Topic.REPORT))]

    def wait_for(self, frame: FrameRecord) -> None:
        self.bench.queue.submit(
            JobRequest(
                kind=JobKind.REDUCE,
                key=f"reduce:{frame.sha256}",
                payload={"frame_id": frame.id},
                not_before=DAWN + timedelta(days=1),
            )
        )


@pytest.fixture
def morning(tmp_path: Path) -> Iterator[Morning]:
    found = Morning(tmp_path)
    yield found
    found.bench.engine.dispose()


def test_a_report_goes_out_once_whatever_restarts(morning: Morning) -> None:
    morning.reduce(morning.take("ALDk200001"))
    for _ in range(3):
        morning.report()
    (message,) = morning.messages()
    assert message.key == report_key(NIGHT, 1)
    assert message.subject.startswith(f"[ALFOSC {NIGHT}] ")
    assert "1 spectra (1 ok)" in message.subject
    folder = morning.bench.layout.report(NIGHT)
    assert {path.name for path in folder.iterdir()} == {
        "report.txt", "report.html", "report.json", "products.csv", "masters.csv",
    }  # fmt: skip
    assert json.loads((folder / "report.json").read_text())["frames"] == {"SPEC_OBJECT": 1}
    (_, row) = csv.reader((folder / "products.csv").read_text().splitlines())
    assert row[0] == "ALDk200001"


def test_a_night_without_frames_is_reported_too(morning: Morning) -> None:
    morning.report()
    (message,) = morning.messages()
    assert "GREEN nothing taken" in message.subject
    assert "raw on disc 0" in message.text


def test_open_work_is_waited_for_an_hour_and_then_named(morning: Morning) -> None:
    morning.wait_for(morning.take("ALDk200001"))
    with pytest.raises(TryLater, match="still open"):
        morning.report()
    assert morning.messages() == []
    morning.clock.at += timedelta(minutes=61)
    morning.report()
    (message,) = morning.messages()
    assert "1 spectra (1 open)" in message.subject
    assert "AMBER" in message.subject
    assert "its reduction is waiting" in message.text


def test_what_changes_later_is_told_in_one_addendum(morning: Morning) -> None:
    first, second, third = (morning.take(f"ALDk20000{n}") for n in (1, 2, 3))
    morning.reduce(first, 2)
    accepted = morning.reduce(second)
    morning.reduce(third)
    morning.report("addendum")
    assert morning.messages() == [], "an addendum to nothing"
    morning.report()
    morning.clock.at += timedelta(days=1)
    morning.report("addendum")
    assert len(morning.messages()) == 1, "nothing has changed"
    morning.reduce(first, 0, generation=2)
    verdict = Verdict(decision=Decision.ACCEPTED, user="eva", at=morning.clock.at)
    morning.bench.archive.decide(accepted, verdict)
    morning.report("addendum")
    morning.report("addendum")
    _, told = morning.messages()
    assert "addendum: 2 changes" in told.subject
    assert "ALDk200001: upgraded: quality 2 -> 0" in told.text
    assert "ALDk200002: accepted by eva" in told.text
    assert "ALDk200003" not in told.text


def test_targets_of_closed_programmes_stay_on_disc(morning: Morning) -> None:
    morning.reduce(morning.take("ALDk200001"), 3)
    morning.report()
    (message,) = morning.messages()
    assert "AT2026abc" not in message.text + message.html
    assert [path.name for path in message.attachments] == ["masters.csv"]
    assert "AT2026abc" in (morning.bench.layout.report(NIGHT) / "report.txt").read_text()


def test_a_programme_with_a_mailbox_gets_its_own_frames_and_nobody_else_does(
    tmp_path: Path,
) -> None:
    mail = Mail(host="localhost", recipients=("all@example.org",))
    programmes = {"72-010": Programme(open=True, mail=("pi@example.org",))}
    morning = Morning(tmp_path, mail=mail, programmes=programmes)
    morning.reduce(morning.take("ALDk200001"))
    morning.reduce(morning.take("ALDk200002", programme="72-999", target="SECRET"))
    morning.report()
    whole, own = morning.messages()
    assert places_of(whole, morning.bench.config) == [("mail", "all@example.org", "")]
    assert places_of(own, morning.bench.config) == [("mail", "pi@example.org", "")]
    assert "ALDk200002" not in own.text
    morning.bench.engine.dispose()


def test_the_outbox_brings_the_report_into_the_folder_of_the_night(morning: Morning) -> None:
    morning.report()
    bench = morning.bench
    Courier(bench.config, bench.archive, open_sinks(bench.config)).step()
    found = list(bench.layout.report(NIGHT).glob("*.eml"))
    assert len(found) == 1
    assert f"Subject: [ALFOSC {NIGHT}] GREEN nothing taken" in found[0].read_text("utf8")


def test_a_mail_server_that_is_down_loses_no_report(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    mail = Mail(host="127.0.0.1", port=port, security="none", recipients=("all@example.org",))
    morning = Morning(tmp_path, mail=mail)
    morning.report()
    bench = morning.bench
    Courier(bench.config, bench.archive, open_sinks(bench.config)).step()
    (delivery,) = bench.archive.deliveries_of(report_key(NIGHT, 1))
    assert (delivery.state, delivery.attempts) == (DeliveryState.WAITING, 1)
    assert delivery.next_try > morning.clock.at
    assert (bench.layout.report(NIGHT) / "report.html").is_file()
    bench.engine.dispose()


def test_a_database_that_is_locked_is_told_and_later_read(
    morning: Morning, capsys: pytest.CaptureFixture[str]
) -> None:
    morning.take("ALDk200001")
    morning.bench.engine.dispose()
    told = ["report", "--root", str(morning.bench.config.root), "--night", NIGHT]
    with closing(sqlite3.connect(morning.bench.config.database)) as other:
        other.execute("PRAGMA locking_mode=EXCLUSIVE")
        other.execute("BEGIN IMMEDIATE")
        assert main(told) == 1
    said = capsys.readouterr().out
    assert "RED" in said
    assert "rule: not provable: " in said
    assert "locked" in said
    morning.report()
    assert len(morning.messages()) == 1


def test_a_part_that_cannot_be_read_is_named_and_the_others_are_told(morning: Morning) -> None:
    morning.reduce(morning.take("ALDk200001"))
    with morning.bench.engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE alert")
    report = gather(morning.bench, NIGHT)
    assert list(report.unknown) == ["TRANSIENTS"]
    text = render_text(report)
    assert "alert" in text[text.index("TRANSIENTS\n") :]
    assert "1 spectra (1 ok)" in subject_of(report)


def test_a_first_value_and_a_misspelt_standard_are_named(morning: Morning) -> None:
    morning.take("ALDj190001", night="2026-03-01")
    morning.take("ALDk200001", setup=replace(SETUP, grism="Grism_#20"))
    morning.take("ALDk200002", object_name="SP0305+216", target="SP0305+216")
    said = [each.sentence for each in gather(morning.bench, NIGHT).oddities]
    assert "first grism 'Grism_#20' ever (1 frame, first ALDk200001)" in said
    assert "first grism 'Grism_#4' in 264 d (1 frame, first ALDk200002)" in said
    assert any("SP0305+216" in each and "SP0305+261 (HD 19445)?" in each for each in said)


def test_the_report_is_printed_in_every_form(
    morning: Morning, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    morning.reduce(morning.take("ALDk200001"))
    root = ["report", "--root", str(morning.bench.config.root)]
    assert main(root) == 0
    assert "ALFOSC night 2026-11-20" in capsys.readouterr().out
    assert main([*root, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["night"] == NIGHT
    assert main([*root, "--csv"]) == 0
    assert capsys.readouterr().out.startswith("frame,kind,")
    assert main([*root, "--csv", "masters"]) == 0
    assert capsys.readouterr().out.startswith("role,setup,")
    assert main([*root, "--html", str(tmp_path / "n.html")]) == 0
    assert (tmp_path / "n.html").read_text().startswith("<!DOCTYPE html>")


def test_a_person_sends_a_new_version_only_when_there_is_something_new(
    morning: Morning, capsys: pytest.CaptureFixture[str]
) -> None:
    morning.reduce(morning.take("ALDk200001"))
    send = ["report", "--root", str(morning.bench.config.root), "--send"]
    assert main(send) == 0
    assert main(send) == 2
    assert "nothing has changed" in capsys.readouterr().err
    assert main([*send, "--comment", "clouds until 02:00"]) == 0
    first, second = morning.messages()
    assert (first.key, second.key) == (report_key(NIGHT, 1), report_key(NIGHT, 2))
    assert "comment: clouds until 02:00" in second.text
    assert "replaces: report v1" in second.text
