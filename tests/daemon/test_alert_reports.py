"""Reports to TNS and SkyPortal: shown first, sent once whatever the service answers."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from daemon.cli.main import main
from daemon.publish.alert_reports import skyportal_report, tns_report
from daemon.publish.alert_services import Answer, Arrival, SkyPortal, Tns
from daemon.sections import Alerts
from daemon.work.alert_sending import send_once
from tests.daemon.report_server import ReportServer, report_server
from tests.daemon.test_alerts import OPEN, AlertHall, candidate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from daemon.memory.archive_alerts import AlertRecord

SETTINGS = Alerts(
    tns_group=1, tns_instrument=2, reporter="A. Person (Institute)", skyportal_url="http://x",
    skyportal_filters=("3",), skyportal_instrument=4,
)  # fmt: skip


@pytest.fixture
def server() -> Iterator[ReportServer]:
    with report_server() as server:
        yield server


@pytest.fixture
def hall(tmp_path: Path) -> Iterator[AlertHall]:
    hall = AlertHall(tmp_path, {}, programmes=OPEN)
    hall.tell(candidate(), limit_mag=21.5)
    yield hall
    hall.bench.engine.dispose()


def tns(server: ReportServer) -> Tns:
    return Tns(url=f"{server.url}/api", key="k", bot_id="7", bot_name="bot")


class Desk:
    """A person who sends the same report again and again."""

    def __init__(self, hall: AlertHall, server: ReportServer, service: str = "TNS") -> None:
        self.hall, self.server, self.name = hall, server, service

    @property
    def record(self) -> AlertRecord:
        (record,) = self.hall.bench.archive.alerts()
        return record

    def send(self) -> Answer:
        if self.name == "TNS":
            service, report = tns(self.server), tns_report(self.record, SETTINGS)
        else:
            service = SkyPortal(url=self.server.url, token="t")
            report = skyportal_report(self.record, SETTINGS)
        return send_once(self.hall.bench.archive, self.record, self.name, service, report)


def test_a_report_says_what_was_measured_and_nothing_else(hall: AlertHall) -> None:
    (record,) = hall.bench.archive.alerts()
    report = tns_report(record, SETTINGS)
    ((path, content),) = report.parts
    said = content["at_report"]["0"]
    assert (path, report.lacking) == ("set/bulk-report", ())
    assert (said["ra"]["value"], said["dec"]["value"]) == ("150.1192100", "2.2058900")
    assert (said["ra"]["error"], said["internal_name"]) == ("0.080", "ALF-J100028.61+021221.2")
    (photometry,) = said["photometry"]["photometry_group"].values()
    assert (photometry["flux"], photometry["flux_error"]) == ("19.124", "0.031")
    assert (photometry["filter_value"], photometry["flux_units"]) == ("22", "1")
    assert photometry["obsdate"] == said["discovery_datetime"] == "2026-11-21 12:58:00"
    (_, found), (_, points) = skyportal_report(record, SETTINGS).parts
    assert (found["ra"], found["filter_ids"]) == (150.11921, [3])
    assert points["mjd"] == [pytest.approx(61365.540278, abs=1e-5)]
    assert (points["mag"], points["filter"], points["magsys"]) == ([19.124], ["sdssr"], ["ab"])


def test_what_a_report_lacks_is_said_and_not_invented(hall: AlertHall) -> None:
    (record,) = hall.bench.archive.alerts()
    odd = replace(record, document={**record.document, "filter": ["unfiltered"]})
    lacking = " ".join(tns_report(odd, Alerts()).lacking)
    for words in ("tns_group", "tns_instrument", "reporter", "no filter for 'unfiltered AB'"):
        assert words in lacking
    no_depth = replace(record, document={**record.document, "limiting_magnitude": None})
    assert any("depth" in each for each in skyportal_report(no_depth, SETTINGS).lacking)


@pytest.mark.parametrize("service", ["TNS", "SkyPortal"])
def test_a_report_is_sent_once(hall: AlertHall, server: ReportServer, service: str) -> None:
    desk = Desk(hall, server, service)
    assert desk.send().arrival is Arrival.SENT
    assert desk.send().words == "it was sent before"
    assert len(server.taken) == 1
    assert desk.record.reports[service]["state"] == "sent"


@pytest.mark.parametrize("service", ["TNS", "SkyPortal"])
def test_a_report_that_was_taken_and_answered_504_is_not_sent_again(
    hall: AlertHall, server: ReportServer, service: str
) -> None:
    server.answers = [504]
    desk = Desk(hall, server, service)
    assert desk.send().arrival is Arrival.SENT, "the look found it"
    assert desk.send().arrival is Arrival.SENT
    assert len(server.taken) == 1


def test_an_unclear_answer_is_looked_after_before_it_is_repeated(
    hall: AlertHall, server: ReportServer
) -> None:
    server.answers = [500]
    desk = Desk(hall, server)
    assert desk.send().arrival is Arrival.UNKNOWN
    assert "two minutes" in desk.send().words, "it may still turn up"
    assert server.paths.count("/api/set/bulk-report") == 1
    hall.clock.seconds += 180
    server.search_status = 503
    assert desk.send().arrival is Arrival.UNKNOWN, "a look that fails proves nothing"
    assert server.paths.count("/api/set/bulk-report") == 1
    server.search_status = 200
    assert desk.send().arrival is Arrival.SENT
    assert len(server.taken) == 1


def test_an_attempt_that_was_killed_is_looked_after_too(
    hall: AlertHall, server: ReportServer
) -> None:
    desk = Desk(hall, server)
    server.taken.append(desk.record.name)
    at = hall.clock.now().isoformat()
    killed = {"state": "sending", "remote": "", "error": "", "at": at}
    hall.bench.archive.record_report(desk.record.name, "TNS", killed)
    answer = desk.send()
    assert (answer.arrival, answer.remote) == (Arrival.SENT, "2026abc")
    assert "/api/set/bulk-report" not in server.paths


@pytest.mark.parametrize(
    ("status", "arrival"), [(400, Arrival.REFUSED), (401, Arrival.REFUSED), (429, Arrival.ABSENT)]
)
def test_a_refusal_is_told_and_may_be_tried_again(
    hall: AlertHall, server: ReportServer, status: int, arrival: Arrival
) -> None:
    server.answers = [status]
    desk = Desk(hall, server)
    answer = desk.send()
    assert (answer.arrival, answer.words[:3]) == (arrival, str(status))
    assert desk.send().arrival is Arrival.SENT


def test_a_service_that_is_away_has_taken_nothing(hall: AlertHall) -> None:
    with report_server() as server:
        gone = tns(server)
    (record,) = hall.bench.archive.alerts()
    answer = send_once(hall.bench.archive, record, "TNS", gone, tns_report(record, SETTINGS))
    assert answer.arrival is Arrival.ABSENT


def test_tns_is_told_which_bot_asks(hall: AlertHall, server: ReportServer) -> None:
    Desk(hall, server).send()
    assert server.agents == ['tns_marker{"tns_id": "7", "type": "bot", "name": "bot"}']


def test_nothing_is_sent_without_really(
    hall: AlertHall, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = ["--root", str(hall.bench.config.root)]
    assert main(["alert", "list", *root]) == 0
    assert "ALF-J100028.61+021221.2" in capsys.readouterr().out
    assert main(["alert", "show", "ALF-J1000", *root]) == 0
    assert json.loads(capsys.readouterr().out)["class"] == "GREEN"
    assert main(["alert", "send", "TNS", "ALF", *root]) == 0
    out = capsys.readouterr().out
    assert '"internal_name": "ALF-J100028.61+021221.2"' in out
    assert "before it can go: set [alerts] tns_group" in out
    assert "nothing was sent" in out
    assert main(["alert", "send", "TNS", "ALF", "--really", *root]) == 2
    assert "tns_group" in capsys.readouterr().err
    assert main(["alert", "show", "nobody", *root]) == 2


def test_a_person_sends_with_keys_from_the_environment(
    hall: AlertHall,
    server: ReportServer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = tmp_path / "alfoscd.toml"
    settings.write_text(
        f'[paths]\nroot = "{hall.bench.config.root}"\n[alerts]\ntns_url = "{server.url}/api"\n'
        'tns_group = 1\ntns_instrument = 2\nreporter = "A. Person"\n'
    )
    asked = ["alert", "send", "TNS", "ALF", "--really", "--config", str(settings)]
    for name in ("KEY", "BOT_ID", "BOT_NAME"):
        monkeypatch.delenv(f"ALFOSCD_TNS_{name}", raising=False)
    assert main(asked) == 2
    assert "ALFOSCD_TNS_KEY" in capsys.readouterr().err
    for name in ("KEY", "BOT_ID", "BOT_NAME"):
        monkeypatch.setenv(f"ALFOSCD_TNS_{name}", "x")
    assert main(asked) == 0
    assert "TNS: sent report 42" in capsys.readouterr().out
    assert len(server.taken) == 1
