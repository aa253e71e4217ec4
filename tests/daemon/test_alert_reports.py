"""Reports to TNS and SkyPortal: shown first, sent once whatever the service answers."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from daemon.cli.main import main
from daemon.memory.messages import DeliveryState
from daemon.outbox.courier import Courier
from daemon.outbox.report_sink import report_sinks
from daemon.outbox.routing import places_of
from daemon.publish.alert_reports import skyportal_report, tns_report
from daemon.sections import Alerts
from daemon.work.alert_sending import queue_report, state_of
from tests.daemon.hall import NOON
from tests.daemon.report_server import ReportServer, report_server
from tests.daemon.test_alerts import OPEN, AlertHall, candidate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from daemon.config import Config
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


SECRETS = {
    "ALFOSCD_TNS_KEY": "k", "ALFOSCD_TNS_BOT_ID": "7", "ALFOSCD_TNS_BOT_NAME": "bot",
    "ALFOSCD_SKYPORTAL_TOKEN": "t",
}  # fmt: skip


class Desk:
    """A person who sends the same report again and again, and the courier of the daemon."""

    def __init__(
        self, hall: AlertHall, url: str, service: str = "TNS", secrets: dict[str, str] | None = None
    ) -> None:
        self.hall, self.name = hall, service
        self.secrets = SECRETS if secrets is None else secrets
        self.settings = replace(SETTINGS, tns_url=f"{url}/api", skyportal_url=url)
        self.courier = self.hired()

    def hired(self) -> Courier:
        sinks = report_sinks(self.settings, self.secrets, self.hall.clock.monotonic)
        courier = Courier(self.courier_config, self.hall.bench.archive, sinks, lambda: 0.5)
        courier.begin()
        return courier

    @property
    def courier_config(self) -> Config:
        return replace(self.hall.bench.config, alerts=self.settings)

    @property
    def record(self) -> AlertRecord:
        (record,) = self.hall.bench.archive.alerts()
        return record

    @property
    def state(self) -> str:
        return state_of(self.hall.bench.archive, self.record, self.name)["state"]

    def ask(self) -> str:
        make = tns_report if self.name == "TNS" else skyportal_report
        report = make(self.record, self.settings)
        return queue_report(self.hall.bench.archive, self.record, self.name, report)

    def wait(self, seconds: float) -> str:
        """Let the courier work for so long; return how the report stands."""
        end = self.hall.clock.seconds + seconds
        while self.hall.clock.seconds <= end:
            self.courier.step()
            self.hall.clock.seconds += 5
        return self.state


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
    desk = Desk(hall, server.url, service)
    assert desk.ask() == "queued"
    assert desk.ask() == "it is on its way already"
    assert desk.wait(0) == "sent"
    assert desk.ask().startswith("it was sent before")
    assert desk.wait(60) == "sent"
    assert len(server.taken) == 1


@pytest.mark.parametrize("service", ["TNS", "SkyPortal"])
def test_a_report_that_was_taken_and_answered_504_is_not_sent_again(
    hall: AlertHall, server: ReportServer, service: str
) -> None:
    server.answers = [504]
    desk = Desk(hall, server.url, service)
    desk.ask()
    assert desk.wait(0) == "unknown"
    assert desk.wait(30) == "sent", "the look found it"
    assert len(server.taken) == 1


def test_an_unclear_answer_is_looked_after_before_it_is_repeated(
    hall: AlertHall, server: ReportServer
) -> None:
    server.answers, server.search_status = [500], 503
    desk = Desk(hall, server.url)
    desk.ask()
    assert desk.wait(600) == "unknown", "a look that fails proves nothing"
    server.search_status = 200
    desk.wait(60)
    assert server.paths.count("/api/set/bulk-report") == 1, "it may still turn up"
    assert desk.wait(3600) == "sent"
    assert server.paths.count("/api/set/bulk-report") == 2
    assert len(server.taken) == 1


def test_an_attempt_that_was_killed_is_looked_after_too(
    hall: AlertHall, server: ReportServer
) -> None:
    desk = Desk(hall, server.url)
    desk.ask()
    archive = hall.bench.archive
    for notice in archive.unrouted_notices(hall.clock.now()):
        archive.route_notice(notice.id, places_of(notice.message, desk.courier_config))
    key = desk.record.reports["TNS"]["key"]
    (delivery,) = archive.deliveries_of(key)
    archive.mark(delivery.id, DeliveryState.SENDING, began_at=hall.clock.now())
    server.taken.append(desk.record.name)
    desk.courier = desk.hired()
    assert desk.wait(30) == "sent"
    assert "/api/set/bulk-report" not in server.paths


@pytest.mark.parametrize("status", [400, 401])
def test_a_refusal_is_told_and_a_corrected_report_may_go(
    hall: AlertHall, server: ReportServer, status: int
) -> None:
    server.answers = [status]
    desk = Desk(hall, server.url)
    desk.ask()
    assert desk.wait(0) == "dead"
    said = state_of(hall.bench.archive, desk.record, "TNS")
    assert f"TNS answered {status}" in said["error"]
    assert "given up before" in desk.ask()
    desk.settings = replace(desk.settings, reporter="B. Person")
    assert desk.ask() == "queued"
    assert desk.wait(0) == "sent"


def test_a_service_that_has_too_much_or_is_away_is_tried_again(
    hall: AlertHall, server: ReportServer
) -> None:
    server.answers = [429]
    desk = Desk(hall, server.url)
    desk.ask()
    assert desk.wait(0) == "waiting"
    assert desk.wait(60) == "sent"
    with report_server() as gone:
        away = Desk(hall, gone.url, "SkyPortal")
    away.ask()
    assert away.wait(60) == "waiting"


def test_tns_is_told_which_bot_asks(hall: AlertHall, server: ReportServer) -> None:
    desk = Desk(hall, server.url)
    desk.ask()
    desk.wait(0)
    assert server.agents == ['tns_marker{"tns_id": "7", "type": "bot", "name": "bot"}']


def test_a_daemon_without_credentials_says_which_it_needs(
    hall: AlertHall, server: ReportServer
) -> None:
    desk = Desk(hall, server.url, secrets={})
    desk.ask()
    assert desk.wait(0) == "dead"
    said = state_of(hall.bench.archive, desk.record, "TNS")
    assert "ALFOSCD_TNS_KEY, ALFOSCD_TNS_BOT_ID" in said["error"]
    assert server.paths == []


def test_nothing_is_sent_without_really(
    hall: AlertHall, capsys: pytest.CaptureFixture[str]
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


def test_really_queues_and_the_list_shows_what_became_of_it(
    hall: AlertHall,
    server: ReportServer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings = tmp_path / "alfoscd.toml"
    settings.write_text(
        f'[paths]\nroot = "{hall.bench.config.root}"\n[alerts]\ntns_url = "{server.url}/api"\n'
        'tns_group = 1\ntns_instrument = 2\nreporter = "A. Person"\n'
    )
    config = ["--config", str(settings)]
    asked = ["alert", "send", "TNS", "ALF", "--really", *config]
    assert main(asked) == 0
    assert "TNS: queued" in capsys.readouterr().out
    assert main(asked) == 1
    assert "on its way already" in capsys.readouterr().out
    assert server.paths == [], "the daemon sends, not the command"
    assert main(["alert", "list", *config]) == 0
    assert "TNS queued" in capsys.readouterr().out
    hall.clock.seconds = (datetime.now(UTC) - NOON).total_seconds()
    Desk(hall, server.url).wait(0)
    assert main(["alert", "list", *config]) == 0
    assert "TNS sent" in capsys.readouterr().out
    assert len(server.taken) == 1
