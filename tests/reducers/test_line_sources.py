"""An object without a continuum is found by its lines; cosmic rays and sky lines are none."""

from __future__ import annotations

import numpy as np
import pytest

from reducers.spectroscopy.line_sources import find_line_sources
from reducers.spectroscopy.sources import Source

ROWS, COLUMNS, SEEING_PX, LINE_ROWS = 500, 200, 5.6, 2.3


def slit(seed: int, *lines: tuple[float, float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Return residual and variance of a slit with lines (row, column, electrons)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:ROWS, :COLUMNS]
    light = np.zeros((ROWS, COLUMNS))
    along, across = SEEING_PX / 2.3548, LINE_ROWS / 2.3548
    for row, column, electrons in lines:
        shape = np.exp(-0.5 * (((y - row) / across) ** 2 + ((x - column) / along) ** 2))
        light += electrons * shape / (2 * np.pi * along * across)
    variance = np.full(light.shape, 60.0)
    variance[::50] = 400.0  # sky lines
    return light + rng.normal(0, np.sqrt(variance + light)), variance


def found_in(
    residual: np.ndarray, variance: np.ndarray, known: tuple[Source, ...] = (), **more: object
) -> list[float]:
    good = np.ones(residual.shape, bool)
    sources = find_line_sources(
        residual, variance, good, known, seeing_px=SEEING_PX, line_rows=LINE_ROWS, **more
    )
    assert all(source.by_lines for source in sources)
    return [source.column for source in sources]


@pytest.mark.parametrize("seed", range(3))
def test_two_lines_in_one_column_make_an_object_where_they_stand(seed: int) -> None:
    noise_of_a_line = np.sqrt(60.0 * 4 * np.pi * SEEING_PX * LINE_ROWS / 2.3548**2)
    pair = [(120.0, 77.3, 12 * noise_of_a_line), (333.0, 77.3, 11 * noise_of_a_line)]
    assert found_in(*slit(seed, *pair)) == [pytest.approx(77.3, abs=0.6)]
    # One such line alone may be anything, a brighter one is not.
    assert found_in(*slit(seed, pair[0])) == []
    assert found_in(*slit(seed, (120.0, 77.3, 30 * noise_of_a_line))) == [
        pytest.approx(77.3, abs=0.3)
    ]


@pytest.mark.parametrize("seed", range(5))
def test_noise_sky_lines_and_cosmic_rays_are_no_objects(seed: int) -> None:
    residual, variance = slit(seed)
    rng = np.random.default_rng(seed + 100)
    for _ in range(40):  # what the search for cosmic rays has left
        row, column = rng.integers(10, ROWS - 10), rng.integers(10, COLUMNS - 10)
        residual[row, column : column + rng.integers(1, 4)] += rng.uniform(100, 4000)
    assert found_in(residual, variance) == []


def test_a_line_of_an_object_that_is_known_is_no_second_one() -> None:
    known = (Source(column=80.0, significance=50.0, fwhm_px=5.0),)
    assert found_in(*slit(1, (200.0, 77.3, 5000.0)), known) == []


def test_an_object_stands_where_its_lines_meet_the_path_of_light() -> None:
    path = 100.0 + 4.0 * np.linspace(-1, 1, ROWS)
    lines = [(row, 60.0 + path[row] - 100.0, 3000.0) for row in (40, 450)]
    assert found_in(*slit(2, *lines), path=path) == [pytest.approx(60.0, abs=0.4)]
