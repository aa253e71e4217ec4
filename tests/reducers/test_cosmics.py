"""Cosmic rays are found on the sky and beside objects; a star's core is never eaten."""

from __future__ import annotations

import numpy as np
import pytest

from reducers.frame import Frame, Mask
from reducers.spectroscopy.cosmics import flag_cosmic_rays
from reducers.spectroscopy.shape import Profile
from reducers.spectroscopy.trace import Trace

ROWS, COLUMNS, NOISE = 400, 100, 5.8


def spectrum_frame(per_row: float, fwhm_px: float, seed: int = 1) -> tuple[Frame, np.ndarray]:
    rng = np.random.default_rng(seed)
    rows = np.arange(ROWS, dtype=float)
    trace = Trace(rows=rows, columns=50 + rows / 100, fwhm_px=fwhm_px, rms_px=0.0)
    star = per_row * Profile(beta=3.0, fwhm_px=fwhm_px, slope=0.0).values(trace, COLUMNS)
    sky = np.full(star.shape, 30.0)
    data = rng.poisson(star + sky) + rng.normal(0, NOISE, star.shape)
    frame = Frame(
        data=data.astype(np.float32),
        variance=(star + sky + NOISE**2).astype(np.float32),
        mask=np.zeros(star.shape, np.uint16),
        unit="electron",
    )
    return frame, sky


def hits(frame: Frame, sky: np.ndarray) -> np.ndarray:
    flagged = flag_cosmic_rays(frame, sky, read_noise_e=NOISE)
    return np.asarray((flagged.mask & Mask.COSMIC) != 0)


def test_a_sharp_bright_star_is_not_eaten() -> None:
    for per_row in (500.0, 50_000.0):
        frame, sky = spectrum_frame(per_row, fwhm_px=3.5)
        assert hits(frame, sky)[:, 40:65].mean() < 0.001


def test_tracks_on_the_sky_are_masked() -> None:
    frame, sky = spectrum_frame(500.0, fwhm_px=5.0)
    data = frame.data.copy()
    for step in range(8):
        data[100 + step, 20 + step // 2] += 400.0
    found = hits(frame.after("track", data=data), sky)
    assert sum(found[100 + step, 20 + step // 2] for step in range(8)) >= 7


def test_tracks_along_the_edges_are_masked() -> None:
    frame, sky = spectrum_frame(500.0, fwhm_px=5.0)
    data = frame.data.copy()
    for step in range(9):
        data[200 + step, step // 3] += 1500.0
        data[step // 3, 10 + step] += 1500.0
    found = hits(frame.after("tracks", data=data), sky)
    assert all(found[200 + step, step // 3] for step in range(9))
    assert all(found[step // 3, 10 + step] for step in range(9))


@pytest.mark.parametrize("fwhm_px", [2.0, 3.0])
def test_bright_emission_lines_are_not_eaten(fwhm_px: float) -> None:
    frame, sky = spectrum_frame(300.0, fwhm_px=4.0)
    rows, columns = np.arange(ROWS)[:, None], np.arange(COLUMNS)[None, :]

    def line(row: float) -> np.ndarray:
        return np.asarray(np.exp(-0.5 * ((rows - row) / (fwhm_px / 2.3548)) ** 2))

    on_the_star = 20_000.0 * line(100.3) * np.exp(-0.5 * ((columns - 51.0) / 1.7) ** 2)
    nebula = 20_000.0 * line(250.7) * np.exp(-0.5 * ((columns - 50.0) / 15.0) ** 2)
    light = on_the_star + nebula
    noisy = frame.data + np.random.default_rng(2).poisson(light)
    assert not hits(frame.after("lines", data=noisy), sky)[light > 50].any()


def test_a_hit_on_a_faint_object_is_masked() -> None:
    frame, sky = spectrum_frame(300.0, fwhm_px=5.0)
    data = frame.data.copy()
    data[200, 52] += 2000.0
    assert hits(frame.after("hit", data=data), sky)[200, 52]


def test_data_stay_as_they_were() -> None:
    frame, sky = spectrum_frame(300.0, fwhm_px=5.0)
    flagged = flag_cosmic_rays(frame, sky, read_noise_e=NOISE)
    assert np.array_equal(flagged.data, frame.data)
