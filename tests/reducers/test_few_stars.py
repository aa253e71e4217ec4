"""A handful of stars places an image when they leave no other place, and only then."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from reducers.imaging.astrometry import solve_astrometry
from reducers.imaging.references import References
from reducers.imaging.sky_map import Astrometry, SkyMap
from reducers.imaging.tangent_plane import sky_map
from reducers.profiles import load_instrument
from tests.reducers.star_lists import SCALE_DEG, catalogue, detections, map_error_mas

ALFOSC = load_instrument("alfosc")
SIDE = 300
#: Entries to this many pixels beyond the window: a cone of a few arcminutes.
BEYOND = 700
CATALOGUE_LIMIT = 20.7


@dataclass(frozen=True, kw_only=True)
class Window:
    """A small window: what is on it, what is listed, and what the header says of its place."""

    places: np.ndarray
    flux: np.ndarray
    references: References
    place: SkyMap
    truth: SkyMap
    common: int

    def solved(self, references: References | None = None) -> Astrometry:
        error = np.full(len(self.flux), 0.1)
        order = np.argsort(-self.flux)
        found = detections(self.places[order], self.flux[order], error)
        known = references or self.references
        return solve_astrometry(found, self.place, known, ALFOSC, exposure_s=60.0)


def _tan(ra_deg: float, dec_deg: float, turn_deg: float, scale: float, parity: int) -> SkyMap:
    turn = np.radians(turn_deg)
    matrix = np.array([[-np.cos(turn), np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    matrix = SCALE_DEG * scale * matrix @ np.diag([parity, 1])
    return sky_map((ra_deg, dec_deg), (SIDE / 2, SIDE / 2), matrix, (SIDE, SIDE))


def _window(rng: np.random.Generator, *, listed_on_window: float, parity: int = 1) -> Window:
    """Return a window of a field whose stars go on beyond what the catalogue lists."""
    truth = _tan(150.0, 30.0, 37.0, 1.0, parity)
    count = rng.poisson(listed_on_window * 2.5 * ((SIDE + 2 * BEYOND) / SIDE) ** 2)
    magnitude = 22.5 + np.log10(rng.uniform(0, 1, count)) / 0.22
    x, y = rng.uniform(-BEYOND, SIDE + BEYOND, (2, count))
    listed = (magnitude < CATALOGUE_LIMIT) & (rng.random(count) > 0.03)
    ra, dec = truth.sky(x[listed], y[listed])
    seen = (np.abs(x - SIDE / 2) < SIDE / 2 - 2) & (np.abs(y - SIDE / 2) < SIDE / 2 - 2)
    seen &= (magnitude < rng.uniform(19.5, 22)) & (rng.random(count) > 0.03)
    colour = rng.normal(0, 0.4, count)
    away, to = 8 * abs(rng.standard_t(4)), rng.uniform(0, 2 * np.pi)
    place = _tan(
        150.0 + away * np.cos(to) / 3600 / np.cos(np.radians(30)),
        30.0 + away * np.sin(to) / 3600,
        37.0 + rng.normal(0, 0.6),
        1 + 0.004 * rng.normal(),
        parity,
    )
    return Window(
        places=np.column_stack([x[seen], y[seen]]) + rng.normal(0, 0.12, (seen.sum(), 2)),
        flux=60 * 10 ** (0.4 * (25.5 - magnitude[seen] - colour[seen])),
        references=References(
            astrometric=catalogue(ra, dec, magnitude[listed], np.full(listed.sum(), 3.0))
        ),
        place=place,
        truth=truth,
        common=int((seen & listed).sum()),
    )


def _off_arcsec(found: Astrometry, window: Window) -> float:
    return float(np.median(map_error_mas(found.sky_map, window.truth))) / 1000


def test_three_stars_in_a_small_window_place_it_and_its_map_is_as_good_as_it_says():
    rng = np.random.default_rng(3)
    tried, placed, pulls = 0, 0, []
    while tried < 15:
        window = _window(rng, listed_on_window=3.5, parity=int(rng.choice([-1, 1])))
        if not 3 <= window.common <= 5:
            continue
        tried += 1
        found = window.solved()
        placed += found.solved
        if found.solved:
            assert _off_arcsec(found, window) < 0.6
            assert found.method in {"few", "prior"}
            pulls.append(_off_arcsec(found, window) / found.systematic_mas * 1000)
    assert placed >= 14
    assert 0.3 < np.sqrt(np.mean(np.square(pulls))) < 1.5


def test_few_stars_of_another_field_place_nothing():
    rng = np.random.default_rng(4)
    for _ in range(25):
        window = _window(rng, listed_on_window=float(rng.uniform(1, 8)))
        other = _window(rng, listed_on_window=float(rng.uniform(1, 8)))
        assert not window.solved(other.references).solved


def test_one_star_places_nothing():
    """Any bright star near the pointing would do."""
    window = _window(np.random.default_rng(5), listed_on_window=4.0)
    found = replace(window, places=window.places[:1], flux=window.flux[:1]).solved()
    assert not found.solved
    assert found.why == "1 source was found on the image; 2 are needed."


def test_stars_that_fit_two_places_place_nothing_and_the_odds_are_told():
    """The same pair of stars twice within the telescope's usual pointing error."""
    truth = _tan(150.0, 30.0, 0.0, 1.0, 1)
    x, y = np.array([100.0, 190.0]), np.array([120.0, 170.0])
    twice = np.append(x, x + 60), np.append(y, y - 20)
    ra, dec = truth.sky(*twice)
    listed = catalogue(ra, dec, np.array([16.0, 17.0, 16.0, 17.0]), np.full(4, 1.0))
    flux = 60 * 10 ** (0.4 * (25.5 - np.array([16.0, 17.0])))
    window = Window(
        places=np.column_stack([x, y]),
        flux=flux,
        references=References(astrometric=listed),
        place=_tan(150.0, 30.0 + 3 / 3600, 0.0, 1.0, 1),
        truth=truth,
        common=2,
    )
    found = window.solved()
    assert not found.solved
    assert "the odds that it is the right one are only" in found.why


@pytest.mark.parametrize("missing", ["brightness", "errors"])
def test_a_catalogue_without_magnitudes_or_errors_still_serves(missing: str):
    rng = np.random.default_rng(6)
    window = _window(rng, listed_on_window=5.0)
    known = window.references.astrometric
    assert known is not None
    none = np.full(len(known), np.nan)
    poor = (
        replace(known, magnitudes={"G": none})
        if missing == "brightness"
        else replace(known, position_error_mas=none)
    )
    found = window.solved(References(astrometric=poor))
    assert not found.solved or _off_arcsec(found, window) < 0.6


def test_a_deeper_catalogue_places_what_that_of_positions_does_not_reach():
    rng = np.random.default_rng(7)
    window = _window(rng, listed_on_window=5.0)
    deep = window.references.astrometric
    assert deep is not None
    bright = deep.magnitudes["G"] < 17
    shallow = replace(
        deep,
        **{name: getattr(deep, name)[bright] for name in
           ("ra_deg", "dec_deg", "position_error_mas", "motion_known", "motion_mas", "star")},
        magnitudes={"G": deep.magnitudes["G"][bright]},
        magnitude_errors={"G": deep.magnitude_errors["G"][bright]},
    )  # fmt: skip
    deep = replace(deep, name="ps1")
    found = window.solved(References(astrometric=shallow, photometric=(deep,)))
    assert found.solved
    assert found.catalogue is deep
    assert _off_arcsec(found, window) < 0.6
