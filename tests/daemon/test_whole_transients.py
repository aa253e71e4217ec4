"""From the pixels of a night to what people are told: transients are, what is known is not."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import pytest

from calibration_store.brought_lists import BadLines
from calibration_store.catalogues.sky import Cone
from daemon.config import Programme
from daemon.memory.messages import Topic
from daemon.work.known_sky import minor_planets, variable_stars
from daemon.work.sky_catalogues import open_catalogues
from reducers.julian_date import mjd_of
from reducers.simulate.catalogue import cones_of, survey_catalogue
from reducers.simulate.frames import simulate
from reducers.simulate.minor_planets import MinorPlanet, mpcorb_lines
from reducers.simulate.scene import Visitor
from reducers.transients.alert import Urgency
from reducers.transients.candidate import Standing
from reducers.transients.sphere import separation_arcsec
from tests.daemon.hall import ALFOSC, NOON
from tests.daemon.image_hall import BIASES, FLATS, IMAGES, ImageHall, planned, simulated_images

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from reducers.simulate.records import PlannedExposure
    from reducers.transients.candidate import Candidate

PLANS = planned()[8:10]
PLACE = (float(PLANS[0].ra_deg or 0), float(PLANS[0].dec_deg or 0))
SITE = {"longitude_deg": ALFOSC.longitude_deg, "latitude_deg": ALFOSC.latitude_deg}


def at(name: str, east: float, north: float, r_mag: float) -> Visitor:
    """Return a source so many arcsec from the middle of the field."""
    ra = PLACE[0] + east / 3600 / np.cos(np.radians(PLACE[1]))
    return Visitor(name=name, ra_deg=ra, dec_deg=PLACE[1] + north / 3600, r_mag=r_mag)


#: Nothing else of this sky is within three arcsec of any of them.
TRANSIENT = at("transient", 14.4, -21.6, 18.0)
VARIABLE = at("variable", -30.0, 12.0, 16.8)
FAST = at("fast star", 25.0, 22.0, 17.5)
#: A known body on each exposure, and one that nobody knows: it moves 2.4 arcsec.
BODIES = (at("body", -20.0, -28.0, 18.3), at("body", 35.0, -5.0, 18.6))
UNKNOWN = (at("unknown", -8.0, 32.0, 18.2), at("unknown", -5.9, 33.2, 18.2))


def shown(plan: PlannedExposure, nth: int) -> PlannedExposure:
    assert plan.scene is not None
    seen = (TRANSIENT, VARIABLE, FAST, BODIES[nth], UNKNOWN[nth])
    return replace(plan, scene=replace(plan.scene, visitors=seen))


def middle(plan: PlannedExposure) -> datetime:
    return plan.start + timedelta(seconds=plan.exposure_s / 2)


class WholeHall(ImageHall):
    """A hall with catalogues, orbits and variables on disc."""

    def fill_catalogues(self) -> None:
        super().fill_catalogues()
        catalogues = open_catalogues(self.bench.config)
        for sky, ra, dec, radius in cones_of(planned()):
            gaia = survey_catalogue("gaia", sky, ra, dec, radius)
            own = fast_star()
            more = {name: np.append(column, own.get(name, np.nan)) for name, column in gaia.items()}
            catalogues.write_cone("gaia", more, Cone(ra, dec, radius))

    def fill_lists(self, folder: Path) -> None:
        lines = []
        for nth, (plan, body) in enumerate(zip(PLANS, BODIES, strict=True)):
            planet = MinorPlanet(
                number=5001 + nth, ra_deg=body.ra_deg, dec_deg=body.dec_deg,
                magnitude=body.r_mag + 0.2, distance_au=1.6,
            )  # fmt: skip
            lines += mpcorb_lines([planet], mjd_of(middle(plan)), 61000.0, **SITE)
        orbits, variables = folder / "MPCORB.DAT", folder / "variables.csv"
        orbits.write_text("\n".join(lines) + "\n")
        row = f"V1 Sim,{VARIABLE.ra_deg},{VARIABLE.dec_deg},16.5,20.9,UG"
        variables.write_text(f"name,ra,dec,max,min,type\n{row}\n")
        minor_planets(self.bench.config).take(orbits, BadLines())
        variable_stars(self.bench.config).take(variables, BadLines())

    def found(self, nth: int, what: Visitor) -> Candidate | None:
        """Return the candidate of an exposure at the place of a visitor."""
        kept = self.bench.archive.candidates_of(self.frame(IMAGES[nth]).id)
        near = [one.candidate for one in kept if off_arcsec(one.candidate, what) < 0.5]
        return near[0] if near else None

    @property
    def told(self) -> list[tuple[str, Urgency]]:
        """Return which visitor was told of how; what is none of them by its headline."""
        visitors = (TRANSIENT, VARIABLE, FAST, *BODIES, *UNKNOWN)
        named = []
        for each in self.bench.archive.alerts():
            near = [one.name for one in visitors if off_arcsec(each, one) < 0.5]
            named.append((near[0] if near else each.headline, each.urgency))
        return sorted(named)

    @property
    def digest(self) -> str:
        waiting = self.bench.archive.unrouted_notices(self.clock.now() + timedelta(days=9))
        (message,) = [one.message for one in waiting if one.message.topic is Topic.ALERT]
        return message.text


def off_arcsec(one, what: Visitor) -> float:
    return float(separation_arcsec(one.ra_deg, one.dec_deg, what.ra_deg, what.dec_deg))


def fast_star() -> dict[str, float]:
    """Return Gaia's entry of a star that has moved nine arcsec since its epoch."""
    years = 2026.041 - 2016.0
    return {
        "ra_deg": FAST.ra_deg - 0.9 * years / 3600 / np.cos(np.radians(FAST.dec_deg)),
        "dec_deg": FAST.dec_deg, "epoch_year": 2016.0, "position_error_mas": 0.1, "star": 1.0,
        "motion_ra_mas": 900.0, "motion_dec_mas": 0.0, "motion_error_mas": 0.1,
        "G": 17.4, "G_error": 0.003, "BP": 17.8, "BP_error": 0.01, "RP": 16.9, "RP_error": 0.01,
    }  # fmt: skip


@pytest.fixture(scope="module")
def hall(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholeHall]:
    folder = tmp_path_factory.mktemp("whole")
    contents = dict(simulated_images())
    for nth, plan in enumerate(PLANS):
        contents[IMAGES[nth]] = simulate(shown(plan, nth), ALFOSC).content
    hall = WholeHall(folder, contents, programmes={"*": Programme(alerts=True, open=True)})
    hall.fill_catalogues()
    hall.fill_lists(folder)
    hall.clock.seconds = (middle(PLANS[0]) - NOON).total_seconds() + 300
    hall.put(*BIASES, *FLATS, IMAGES[0])
    hall.work(until_s=600)
    yield hall
    hall.bench.engine.dispose()


def test_a_transient_is_new_and_what_is_known_is_not(hall: WholeHall) -> None:
    new = hall.found(0, TRANSIENT)
    assert new is not None
    assert new.standing is Standing.NEW, new.reasons
    body, variable = hall.found(0, BODIES[0]), hall.found(0, VARIABLE)
    assert body is not None
    assert variable is not None
    assert body.standing is variable.standing is Standing.KNOWN
    assert "(5001)" in body.name
    assert "V1 Sim" in variable.name
    assert hall.found(0, FAST) is None, "Gaia lists it where it is now"


def test_without_a_trigger_nobody_is_woken_and_the_digest_waits(hall: WholeHall) -> None:
    assert hall.told == [("transient", Urgency.DIGEST), ("unknown", Urgency.DIGEST)]
    assert hall.digest.startswith("2 new sources")


def test_a_second_exposure_takes_back_what_has_moved(hall: WholeHall) -> None:
    hall.put(IMAGES[1])
    hall.work(until_s=600)
    assert hall.told == [("transient", Urgency.DIGEST), ("unknown", Urgency.DIGEST)]
    body, moved = hall.found(1, BODIES[1]), hall.found(1, UNKNOWN[1])
    assert body is not None
    assert moved is not None
    assert body.standing is Standing.KNOWN
    assert (moved.standing, {flag.name for flag in moved.vetoes}) == (Standing.VETOED, {"MOVES"})
    assert hall.digest.startswith("1 new source ")
    assert hall.digest.endswith("1 that seemed new moved from one exposure to the next")
