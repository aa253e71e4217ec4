from __future__ import annotations

import io
import json
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from calibration_store.catalogues.adapters import adql, ask
from calibration_store.catalogues.answers import BrokenAnswer, read_answer
from calibration_store.catalogues.asking import Errand
from calibration_store.catalogues.entries import pack
from calibration_store.catalogues.hosts import Hosts
from calibration_store.catalogues.online import HERE, Answer, Answers
from calibration_store.catalogues.references import Catalogues
from calibration_store.catalogues.services import known_catalogues
from calibration_store.catalogues.sky import Cone, separation_deg
from tests.calibration_store.catalogue_server import (
    CatalogueServer,
    as_votable,
    served_by,
    serving,
    sky_table,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from calibration_store.catalogues.services import KnownCatalogues, Service

FIELD = Cone(150.0, 2.0, 0.1)
#: How long a test is ready to wait for a process that imports astroquery on a busy machine.
PATIENT_S = 60.0


def field_stars(count: int = 300, seed: int = 3) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    magnitudes = {band: random.uniform(14, 20, count) for band in ("G", "BP", "RP", *"ugrizyvJHK")}
    errors = {f"{band}_error": np.full(count, 0.01) for band in magnitudes}
    return {
        "ra_deg": 150.0 + random.uniform(-0.25, 0.25, count),
        "dec_deg": 2.0 + random.uniform(-0.25, 0.25, count),
        "motion_ra_mas": random.normal(0, 5, count),
        "motion_dec_mas": random.normal(0, 5, count),
        "position_error_ra_mas": np.full(count, 3.0),
        "position_error_dec_mas": np.full(count, 4.0),
        **magnitudes,
        **errors,
    }


@pytest.fixture
def servers() -> Iterator[list[CatalogueServer]]:
    yield from serving(2)


@pytest.fixture
def known(tmp_path: Path, servers: list[CatalogueServer]) -> KnownCatalogues:
    found = served_by(tmp_path, *servers)
    for facts in found.by_name.values():
        for service in facts.services:
            for server in servers:
                server.tables[service.table] = sky_table(service, field_stars())
    return found


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 21, 20, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.time


def the_service(known: KnownCatalogues, name: str, kind: str) -> Service:
    return next(s for s in known.by_name[name].services if s.kind == kind)


def errand(tmp_path: Path, known: KnownCatalogues, *needs: tuple[str, ...], **changed: Any) -> list:
    """Run a request in this process; return what it reported."""
    request = {
        "facts": str(known.source),
        "needs": needs,
        "ra_deg": FIELD.ra_deg,
        "dec_deg": FIELD.dec_deg,
        "radius_deg": FIELD.radius_deg,
        "row_limit": 1000,
        "until": time.monotonic() + PATIENT_S,
        "vizier_hosts": (),
        "resting": (),
        "folder": str(tmp_path),
        **changed,
    }
    voice = io.StringIO()
    Errand(request, voice).run()
    return [json.loads(line) for line in voice.getvalue().splitlines()]


# ---------------------------------------------------------------- one question, one answer


@pytest.mark.parametrize("name", known_catalogues().by_name)
def test_every_catalogue_is_read_from_what_its_service_sends(
    known: KnownCatalogues, name: str
) -> None:
    for service in known.by_name[name].services:
        answered = ask(service, service.hosts[0], FIELD, row_limit=1000, limit_s=PATIENT_S)
        assert len(answered) == 300
        assert not answered.truncated
        band = known.by_name[name].bands[0]
        assert set(known.by_name[name].bands) <= set(answered.columns)
        np.testing.assert_allclose(answered.columns[band], field_stars()[band], atol=1e-6)
        if "position_error_mas" in answered.columns:
            np.testing.assert_allclose(answered.columns["position_error_mas"], np.sqrt(12.5))


@pytest.mark.parametrize("kind", ["vizier", "tap"])
@pytest.mark.parametrize(
    ("manner", "words"),
    [
        ("503", "503|Service Unavailable"),
        ("maintenance", "a web page instead of a table"),
        ("truncated", "the answer broke off"),
        ("error", "no such table|ERROR|results"),
    ],
)
def test_a_broken_answer_is_never_taken_for_a_table(
    known: KnownCatalogues, servers: list[CatalogueServer], kind: str, manner: str, words: str
) -> None:
    service = the_service(known, "gaia", kind)
    for server in servers:
        server.manner = manner
    with pytest.raises(Exception, match=words):
        ask(service, service.hosts[0], FIELD, row_limit=1000, limit_s=PATIENT_S)


def test_a_redirect_is_followed(known: KnownCatalogues, servers: list[CatalogueServer]) -> None:
    servers[0].manner = "redirect"
    service = the_service(known, "ps1", "vizier")
    assert len(ask(service, service.hosts[0], FIELD, row_limit=1000, limit_s=PATIENT_S)) == 300


def test_an_answer_that_leaves_rows_out_is_known_as_such() -> None:
    service = known_catalogues().by_name["ps1"].services[0]
    table = sky_table(service, field_stars())
    assert read_answer(as_votable(table, overflow=True), service, row_limit=1000).truncated
    assert read_answer(as_votable(table), service, row_limit=300).truncated
    assert not read_answer(as_votable(table), service, row_limit=301).truncated


@pytest.mark.parametrize("content", [b"", b"  \n", b"ra,dec\n1,2\n", b"\x1f\x8b\x08\x00half"])
def test_what_is_no_table_is_refused(content: bytes) -> None:
    service = known_catalogues().by_name["ps1"].services[0]
    with pytest.raises(BrokenAnswer):
        read_answer(content, service, row_limit=10)


def test_a_column_that_is_gone_is_named() -> None:
    service = known_catalogues().by_name["ps1"].services[0]
    table = sky_table(service, field_stars())
    table.remove_column("rmag")
    with pytest.raises(BrokenAnswer, match="no column rmag") as caught:
        read_answer(as_votable(table), service, row_limit=1000)
    assert caught.value.of_table


def test_what_is_not_indispensable_may_lack() -> None:
    service = known_catalogues().by_name["refcat2"].services[0]
    table = sky_table(service, field_stars())
    table.remove_columns(["e_pmRA", "e_pmDE", "e_gmag", "Plx"])
    answered = read_answer(as_votable(table), service, row_limit=1000)
    assert len(answered) == 300
    assert "g_error" not in answered.columns


def test_stars_and_galaxies_are_told_apart_by_each_survey_s_own_means() -> None:
    known = known_catalogues()
    for name, changed in (
        ("ps1", {"iKmag": 17.5}),
        ("sdss", {"class": 3}),
        ("skymapper", {"ClassStar": 0.1}),
    ):
        service = known.by_name[name].services[0]
        table = sky_table(service, field_stars(2))
        for column, value in changed.items():
            table[column][1] = 17.5 if name == "ps1" else value
        if name == "ps1":
            table["imag"] = 18.0
            table["iKmag"][0] = 17.99
        star = read_answer(as_votable(table), service, row_limit=100).columns["star"]
        assert star[0] > 0.5 > star[1], name


def test_errors_of_gaia_grow_with_the_misfit_of_its_model() -> None:
    service = known_catalogues().by_name["gaia"].services[0]
    table = sky_table(service, field_stars(2))
    table["RUWE"] = [0.9, 3.0]
    errors = read_answer(as_votable(table), service, row_limit=100).columns["position_error_mas"]
    np.testing.assert_allclose(errors, np.sqrt(12.5) * np.array([1.0, 3.0]))


def test_codes_for_missing_magnitudes_are_missing() -> None:
    service = the_service(known_catalogues(), "ps1", "tap")
    table = sky_table(service, field_stars(3))
    table["rMeanPSFMag"] = [-999.0, 99.0, 17.0]
    found = read_answer(as_votable(table), service, row_limit=100).columns["r"]
    np.testing.assert_array_equal(np.isnan(found), [True, True, False])


def test_the_question_asks_for_the_brightest_first() -> None:
    question = adql(the_service(known_catalogues(), "gaia", "tap"), FIELD, 50)
    assert question.startswith("SELECT TOP 50 ra, dec, pmra")
    assert "CIRCLE('ICRS', 150.00000000, 2.00000000, 0.10000000)" in question
    assert question.endswith("ORDER BY phot_g_mean_mag")


# ---------------------------------------------------------------- several hosts


def test_mirrors_are_asked_in_order_until_one_answers(
    tmp_path: Path, known: KnownCatalogues, servers: list[CatalogueServer]
) -> None:
    servers[0].manner = "maintenance"
    events = errand(tmp_path, known, ("gaia",))
    told = [(event["event"], event["host"]) for event in events]
    assert told == [
        ("trying", servers[0].host),
        ("failed", servers[0].host),
        ("trying", servers[1].host),
        ("answered", servers[1].host),
    ]


def test_a_host_that_drips_loses_its_turn(
    tmp_path: Path, known: KnownCatalogues, servers: list[CatalogueServer]
) -> None:
    servers[0].manner = "drip"
    events = errand(tmp_path, known, ("ps1",), until=time.monotonic() + 6.0)
    assert [event["event"] for event in events[:2]] == ["trying", "failed"]
    assert events[1]["host"] == servers[0].host
    assert events[1]["why"].startswith("it did not answer within")
    assert servers[1].asked


def test_a_host_that_rests_is_not_asked(
    tmp_path: Path, known: KnownCatalogues, servers: list[CatalogueServer]
) -> None:
    errand(tmp_path, known, ("gaia",), resting=[servers[0].host])
    assert not servers[0].asked
    assert servers[1].asked


def test_the_next_catalogue_of_a_choice_stands_in(
    tmp_path: Path, known: KnownCatalogues, servers: list[CatalogueServer]
) -> None:
    for server in servers:
        for service in known.by_name["ps1"].services:
            server.tables[service.table] = server.tables[service.table][:0]
    events = errand(tmp_path, known, ("ps1", "refcat2", "sdss"))
    assert [e["catalogue"] for e in events if e["event"] == "answered"] == ["refcat2"]
    whys = {e["why"] for e in events if e["event"] == "failed"}
    assert whys == {"its answer has no entries, which is not believed"}


def test_a_fault_of_one_table_does_not_rest_the_host(
    tmp_path: Path, known: KnownCatalogues, servers: list[CatalogueServer]
) -> None:
    servers[0].tables["II/349/ps1"].remove_column("rmag")
    events = errand(tmp_path, known, ("ps1",), ("gaia",))
    rests = {event["rests"] for event in events if event["event"] == "failed"}
    assert rests == {f"{servers[0].host} ps1"}


# ---------------------------------------------------------------- failures and time


def test_a_failing_host_rests_ever_longer_until_it_answers(tmp_path: Path) -> None:
    clock = Clock()
    hosts = Hosts(tmp_path / "hosts.json", clock)
    for minutes in (1, 2, 4, 8, 16, 32, 60, 60):
        hosts.note({"a": "it cannot be reached"}, set())
        clock.time += timedelta(minutes=minutes, seconds=-1)
        assert "a" in Hosts(tmp_path / "hosts.json", clock).resting()
        clock.time += timedelta(seconds=1)
        assert not hosts.resting()
    hosts.note({}, {"a"})
    hosts.note({"a": "again"}, set())
    assert hosts.resting()["a"].failures == 1


def test_one_failure_that_two_workers_see_counts_once(tmp_path: Path) -> None:
    clock = Clock()
    for _ in range(2):
        Hosts(tmp_path / "hosts.json", clock).note({"a": "it cannot be reached"}, set())
    assert Hosts(tmp_path / "hosts.json", clock).resting()["a"].failures == 1


def test_a_damaged_memory_of_failures_is_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "hosts.json"
    path.write_text('{"a": 5}')
    hosts = Hosts(path, Clock())
    assert not hosts.resting()
    hosts.note({"b": "why"}, set())
    assert set(hosts.resting()) == {"b"}


# ---------------------------------------------------------------- the whole way, in its own process


def test_what_was_fetched_once_is_there_without_any_network(
    tmp_path: Path, known: KnownCatalogues, servers: list[CatalogueServer]
) -> None:
    clock = Clock()
    catalogues = Catalogues(tmp_path / "c", online=True, limit_s=PATIENT_S, known=known, now=clock)
    first = catalogues.references_for(150.0, 2.0, 0.1, 2026.9, "r_SDSS")
    assert first.astrometric is not None
    assert first.reasons == ()
    assert [one.name for one in first.photometric] == ["ps1", "gaia"]
    assert (first.photometric[0].release, first.photometric[0].retrieved) == ("DR1", "2026-11-21")
    asked = [sum(server.asked.values()) for server in servers]
    later = Catalogues(tmp_path / "c", online=True, known=known, now=clock)
    again = later.references_for(150.01, 2.01, 0.1, 2026.9, "r_SDSS")
    assert [sum(server.asked.values()) for server in servers] == asked
    assert again.astrometric is not None
    stars = field_stars()
    inside = separation_deg(150.01, 2.01, stars["ra_deg"], stars["dec_deg"]) <= 0.1
    assert abs(len(again.astrometric) - inside.sum()) <= 1  # motion may carry one across
    offline = Catalogues(tmp_path / "c", known=known).references_for(150, 2, 0.1, 2026.9, "V")
    assert [one.name for one in offline.photometric] == ["ps1", "gaia"]
    assert again.astrometric.covered == 1


def test_a_host_that_drips_is_given_up_in_time_and_rests(
    tmp_path: Path, known: KnownCatalogues, servers: list[CatalogueServer]
) -> None:
    server, clock = servers[0], Clock()
    server.manner = "drip"
    alone = served_by(tmp_path, server)
    catalogues = Catalogues(tmp_path / "c", online=True, limit_s=5.0, known=alone, now=clock)
    start = time.monotonic()
    found = catalogues.references_for(150.0, 2.0, 0.1, 2026.9, "r")
    assert time.monotonic() - start < 5.0 + 4.0
    assert found.astrometric is None
    assert found.photometric == ()
    assert "Gaia DR3 could not be had" in found.reasons[0]
    # On a machine that is too busy to start asking in time, it is not the host that rests.
    assert set(catalogues.hosts.resting()) in ({server.host}, {HERE})
    asked = sum(server.asked.values())
    rested = catalogues.references_for(150.0, 2.0, 0.1, 2026.9, "r")
    assert "failed before, not asked until 20:01 UT" in rested.reasons[0]
    assert sum(server.asked.values()) == asked
    # The link comes back.
    (wish,) = catalogues.wanted.everything()
    assert wish.needs == (("gaia",), ("ps1", "refcat2", "sdss", "skymapper"))
    server.manner = "well"
    clock.time += timedelta(minutes=5)
    assert catalogues.fetch_wanted(limit_s=PATIENT_S) == (wish,)
    assert catalogues.wanted.everything() == []
    assert catalogues.references_for(150.0, 2.0, 0.1, 2026.9, "r").reasons == ()


class Given:
    """A service that always gives the same answers."""

    def __init__(self, *found: Answer) -> None:
        self.found, self.asked = found, 0

    def ask(
        self,
        needs: Sequence[Sequence[str]],
        cone: Cone,
        *,
        limit_s: float,
        even_resting: bool = False,
    ) -> Answers:
        self.asked += 1
        return Answers(found=self.found)


def given(*names: str, truncated: bool = False) -> Given:
    known = known_catalogues().by_name
    return Given(
        *(
            Answer(
                catalogue=name,
                host="here",
                release="1",
                rows=pack(field_stars(), known[name].bands, epoch_year=2016.0),
                truncated=truncated,
            )
            for name in names
        )
    )


def test_a_truncated_answer_serves_once_and_is_not_kept(tmp_path: Path) -> None:
    services = given("gaia", "ps1", truncated=True)
    catalogues = Catalogues(tmp_path, online=True, services=services, now=Clock())
    for turn in (1, 2):
        found = catalogues.references_for(150.0, 2.0, 0.1, 2026.9, "r")
        assert services.asked == turn
        assert found.astrometric is not None
        assert found.astrometric.truncated
        assert found.reasons[0].startswith("Gaia DR3: only the brightest")
    assert catalogues.tiles.names() == ()


def test_a_full_disc_does_not_keep_an_answer_from_the_image(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    services = given("gaia", "ps1")
    catalogues = Catalogues(tmp_path / "file", online=True, services=services, now=Clock())
    found = catalogues.references_for(150.0, 2.0, 0.1, 2026.9, "r")
    assert found.astrometric is not None
    assert [one.name for one in found.photometric] == ["ps1", "gaia"]
    assert found.reasons == ()


# ---------------------------------------------------------------- without a link


def offline(tmp_path: Path) -> Catalogues:
    return Catalogues(tmp_path, now=Clock())


def test_without_services_the_reason_says_what_to_do(tmp_path: Path) -> None:
    found = offline(tmp_path).references_for(150.0, 2.0, 0.1, 2026.9, "V")
    assert found.astrometric is None
    assert "alfoscd catalogues fetch --region 150.000,+2.000,0.10" in found.reasons[0]
    assert len(found.reasons) == 2


def test_exposures_of_one_field_are_one_wish(tmp_path: Path) -> None:
    catalogues = offline(tmp_path)
    for shift in (0.0, 0.001, -0.001):
        catalogues.references_for(150.0 + shift, 2.0, 0.1, 2026.9, "r")
    assert len(catalogues.wanted.everything()) == 1


@pytest.mark.parametrize(
    ("band", "dec", "names"),
    [
        ("r_SDSS", 30.0, ("ps1", "refcat2", "sdss")),
        ("V", -40.0, ("refcat2", "skymapper")),
        ("U", 10.0, ("sdss", "skymapper")),
        ("Halpha_N", 80.0, ("ps1", "refcat2", "sdss")),
        ("", 87.0, ("ps1", "refcat2")),
    ],
)
def test_filter_and_declination_choose_the_catalogues(
    tmp_path: Path, band: str, dec: float, names: tuple[str, ...]
) -> None:
    assert offline(tmp_path).serving(band, Cone(0.0, dec, 0.1)) == names


def test_a_catalogue_of_one_s_own_comes_first(tmp_path: Path) -> None:
    catalogues = offline(tmp_path)
    columns = field_stars()
    for name in ("standards", "ps1", "gaia"):
        catalogues.write_cone(name, columns, Cone(150.0, 2.0, 0.2), release="1")
    found = catalogues.references_for(150.0, 2.0, 0.1, 2026.9, "g_SDSS")
    assert [one.name for one in found.photometric] == ["standards", "ps1", "gaia"]
    assert found.reasons == ()


def test_what_no_survey_has_looked_at_is_not_awaited(tmp_path: Path) -> None:
    catalogues = offline(tmp_path)
    nothing = {"ra_deg": [], "dec_deg": []}
    catalogues.write_cone("gaia", field_stars(), Cone(150.0, 2.0, 0.2))
    assert catalogues.references_for(150.0, 2.0, 0.1, 2026.9, "U").awaited
    for name in ("sdss", "skymapper"):
        catalogues.write_cone(name, nothing, Cone(150.0, 2.0, 0.2))
    found = catalogues.references_for(150.0, 2.0, 0.1, 2026.9, "U")
    assert found.reasons == ("SDSS DR16, SkyMapper DR4: none has looked at this field",)
    assert not found.awaited


def test_gaia_stands_in_for_missing_magnitudes(tmp_path: Path) -> None:
    catalogues = offline(tmp_path)
    catalogues.write_cone("gaia", field_stars(), Cone(150.0, 2.0, 0.2))
    found = catalogues.references_for(150.0, 2.0, 0.1, 2026.9, "V")
    assert [one.name for one in found.photometric] == ["gaia"]
    assert found.awaited
    assert [one.name for one in found.each] == ["gaia"]


def test_half_a_field_is_given_with_a_word_about_it(tmp_path: Path) -> None:
    catalogues = offline(tmp_path)
    for name in ("gaia", "ps1"):
        catalogues.write_cone(name, field_stars(), Cone(150.1, 2.0, 0.1))
    found = catalogues.references_for(150.0, 2.0, 0.1, 2026.9, "g")
    assert found.astrometric is not None
    assert 0.2 < found.astrometric.covered < 0.5
    assert any("Gaia DR3 covers" in reason for reason in found.reasons)


@pytest.mark.parametrize("position", [(float("nan"), 2.0), (150.0, 91.0)])
def test_an_image_without_a_position_gets_a_reason(
    tmp_path: Path, position: tuple[float, float]
) -> None:
    found = offline(tmp_path).references_for(*position, 0.1, 2026.9, "g")
    assert found.reasons == ("the position or time of the image is not known",)


def test_a_disc_that_cannot_be_written_costs_nothing_but_the_note(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    found = offline(tmp_path / "file").references_for(150.0, 2.0, 0.1, 2026.9, "g")
    assert len(found.reasons) == 2
