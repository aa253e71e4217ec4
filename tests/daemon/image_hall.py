"""A bench with a few small simulated images, and the catalogues of their sky."""

from __future__ import annotations

from datetime import date
from functools import cache
from typing import TYPE_CHECKING

from calibration_store.brought_lists import BadLines
from calibration_store.catalogues.sky import Cone
from daemon.memory.records import JobKind
from daemon.publish.page import Picture
from daemon.work.images import calibrate_image
from daemon.work.known_sky import minor_planets
from daemon.work.looks import show_image
from daemon.work.sky_catalogues import open_catalogues
from daemon.work.stack_sequences import stack_sequence
from reducers.simulate.catalogue import cones_of, survey_catalogue
from reducers.simulate.frames import simulate
from reducers.simulate.minor_planets import MinorPlanet, mpcorb_lines
from reducers.simulate.night_images import image_biases, sky_flats, target_field
from reducers.simulate.observer import Observer
from reducers.simulate.sky import Sky
from tests.daemon.hall import ALFOSC, Contents, Hall

if TYPE_CHECKING:
    from reducers.simulate.records import PlannedExposure

#: 2.1 arcmin about the middle of the field, with the overscan above the image left out.
WINDOW = (751, 1350, 701, 1300)


@cache
def planned(exposures: int = 2, band: str = "r_SDSS") -> tuple[PlannedExposure, ...]:
    """Return five biases, three flats and dithered images of one field."""
    observer = Observer(seed=4, night=date(2026, 1, 15), steady=True)
    image_biases(observer, 5, WINDOW, 1)
    observer.at(-5.0)
    sky_flats(observer, (band,), 3, WINDOW, 1)
    observer.at(-2.0)
    sky = Sky(stars_per_deg2=150_000)
    target_field(
        observer, bands=(band,), exposure_s=60.0, exposures=exposures, sky=sky, window=WINDOW,
        binning=1,
    )  # fmt: skip
    return tuple(observer.taken)


@cache
def simulated_images(exposures: int = 2, band: str = "r_SDSS") -> Contents:
    frames = [simulate(item, ALFOSC) for item in planned(exposures, band)]
    return {frame.name: frame.content for frame in frames}


BIASES = tuple(f"{item.stem}.fits" for item in planned()[:5])
FLATS = tuple(f"{item.stem}.fits" for item in planned()[5:8])
IMAGES = tuple(f"{item.stem}.fits" for item in planned()[8:])


def draw(*_: object) -> Picture:
    return Picture(png=b"a picture", json=b"{}")


class ImageHall(Hall):
    """A hall that calibrates images as well."""

    @property
    def tasks(self) -> dict[JobKind, object]:
        return {
            **super().tasks,
            JobKind.IMAGE: lambda job: calibrate_image(self.bench, job, draw),
            JobKind.STACK: lambda job: stack_sequence(self.bench, job),
            JobKind.LOOK: lambda job: show_image(self.bench, job, draw),
        }

    def fill_catalogues(self) -> None:
        """Write what the surveys list of the simulated sky."""
        catalogues = open_catalogues(self.bench.config)
        for sky, ra, dec, radius in cones_of(planned()):
            for name in ("gaia", "ps1", "sdss"):
                catalogues.write_cone(
                    name, survey_catalogue(name, sky, ra, dec, radius), Cone(ra, dec, radius)
                )
        path = self.bench.config.root / "one_orbit.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{an_orbit()}\n")
        minor_planets(self.bench.config).take(path, BadLines(), "one")


@cache
def an_orbit() -> str:
    """Return the orbit of a body that is far from every field: lists of orbits are on disc."""
    body = MinorPlanet(number=4000, ra_deg=10.0, dec_deg=-40.0, magnitude=18.0, distance_au=1.5)
    (line,) = mpcorb_lines([body], 61056.0, 61000.0, longitude_deg=-17.9, latitude_deg=28.8)
    return line
