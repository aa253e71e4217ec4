"""What the twilight shows along the slit is taken out where it was taken, and nowhere else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from reducers.errors import NotEnoughFrames
from reducers.fits import read_raw
from reducers.frame import Frame, Mask
from reducers.identify import identify
from reducers.identity import FrameKind
from reducers.profiles import load_instrument
from reducers.recipes import reduce_spectrum
from reducers.reduced import Exposure, SpectrumCalibrations
from reducers.simulate.frames import simulate
from reducers.simulate.night import plan_night
from reducers.spectroscopy.twilight import divide_illumination, lit_flat, measure_twilight
from reducers.twilight_recipe import build_illumination
from tests.daemon.hall import WINDOW

ALFOSC = load_instrument("alfosc")
SHAPE = (600, 300)


def slope(red: float = 0.0) -> np.ndarray:
    """Return an illumination that bends along the slit, more so in the red."""
    x, y = np.linspace(-1, 1, SHAPE[1]), np.linspace(-1, 1, SHAPE[0])
    surface = 1 + 0.04 * x - 0.03 * (x**2 - 1 / 3) + red * np.outer(y, x)
    return np.broadcast_to(surface, SHAPE)


def twilight(seed: int, light: np.ndarray, *, star: int | None = None, level: float = 2e4) -> Frame:
    """Return a solar spectrum with tilted lines behind the slit."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)
    place = y + 3 * (x / SHAPE[1]) ** 2
    colour = level * np.exp(-0.5 * ((place - 300) / 250) ** 2)
    colour *= 1 - 0.4 * np.exp(-0.5 * ((place % 37 - 18) / 1.5) ** 2)
    image = colour * light
    if star is not None:
        image += 0.3 * colour * np.exp(-0.5 * ((x - star) / 3) ** 2)
    data = rng.poisson(image) + rng.normal(0, 6, SHAPE)
    return Frame(
        data=data.astype(np.float32),
        variance=(image + 36).astype(np.float32),
        mask=np.zeros(SHAPE, np.uint16),
        unit="electron",
    )


@pytest.mark.parametrize("red", [0.0, 0.02])
def test_the_light_along_the_slit_is_found_to_a_thousandth(red: float) -> None:
    found = measure_twilight([twilight(k, slope(red), star=60 * k + 40) for k in range(3)])
    true = slope(red) / slope(red).mean(axis=1, keepdims=True)
    assert np.abs(found.surface - true).max() < 3e-3
    assert float(np.sqrt(np.mean((found.surface - true) ** 2))) < 1e-3
    assert 0 < found.error < 1e-3


def test_an_even_slit_is_left_alone() -> None:
    found = measure_twilight([twilight(7, np.ones(SHAPE))])
    assert found.degree == 0
    assert np.abs(found.surface - 1).max() < 1e-6


def test_columns_beyond_the_slit_do_not_count() -> None:
    light = slope().copy()
    light[:, :50] = 0.01
    frame = twilight(3, light)
    mask = frame.mask.copy()
    mask[:, :50] |= np.uint16(Mask.VIGNETTED)
    found = measure_twilight([replace(frame, mask=mask)])
    assert np.all(found.surface[:, :50] == 1)
    inside = slope()[:, 50:] / slope()[:, 50:].mean(axis=1, keepdims=True)
    assert np.abs(found.surface[:, 50:] - inside).max() < 4e-3


def test_darkness_gives_no_illumination() -> None:
    with pytest.raises(NotEnoughFrames, match="too faint"):
        measure_twilight([twilight(1, np.ones(SHAPE), level=20.0)])


def test_dividing_keeps_the_noise_true() -> None:
    frame = twilight(5, slope())
    master = Frame(
        data=slope().astype(np.float32), variance=np.full(SHAPE, 1e-8, np.float32), mask=frame.mask
    )
    level = divide_illumination(frame, master)
    assert np.allclose(level.data * slope(), frame.data, rtol=1e-5)
    assert np.allclose(level.variance * slope() ** 2, frame.variance, rtol=1e-2)
    assert lit_flat(None, master) is None
    flat = replace(frame, data=np.full(SHAPE, 2.0, np.float32))
    both = lit_flat(flat, master)
    assert both is not None
    assert np.allclose(both.data, 2 * slope(), rtol=1e-5)


@pytest.fixture(scope="module")
def science(tmp_path_factory) -> Exposure:
    (planned,) = [each for each in plan_night(seed=5) if each.stem == "ALJa150017"]
    path = tmp_path_factory.mktemp("raw") / "ALJa150017.fits"
    path.write_bytes(simulate(replace(planned, window=WINDOW), ALFOSC).content)
    raw = read_raw(path, ALFOSC.detector)
    return Exposure(raw=raw, identity=identify(raw.header, ALFOSC), stem=path.stem)


def test_a_science_frame_is_lit_as_the_twilight_says(science: Exposure) -> None:
    plain = SpectrumCalibrations(facts={"bias_read_noise_adu": 32.0})
    shape = reduce_spectrum(science, plain, ALFOSC).image.shape
    geometry = reduce_spectrum(science, plain, ALFOSC).image.geometry
    even = Frame(
        data=np.ones(shape, np.float32), variance=np.full(shape, 1e-6, np.float32),
        mask=np.zeros(shape, np.uint16), geometry=geometry,
    )  # fmt: skip
    ramp = replace(even, data=even.data * np.linspace(0.9, 1.1, shape[1], dtype=np.float32))
    without = reduce_spectrum(science, replace(plain, flat=even), ALFOSC)
    given = replace(plain, flat=even, illumination=ramp)
    assert np.allclose(
        reduce_spectrum(science, given, ALFOSC).image.data * ramp.data,
        without.image.data,
        rtol=1e-5,
    )
    assert without.measurements["no_illumination"] == 1.0
    alone = reduce_spectrum(science, replace(plain, illumination=ramp), ALFOSC)
    assert alone.measurements["no_illumination"] == 1.0, "worth nothing without the flat"


def test_a_twilight_without_a_flat_makes_no_master(science: Exposure) -> None:
    with pytest.raises(NotEnoughFrames, match="waits for a flat"):
        build_illumination([science], SpectrumCalibrations(), ALFOSC)


def test_a_spectrum_typed_as_sky_flat_is_one(alfosc_header) -> None:
    identity = identify(alfosc_header("science", IMAGETYP="FLAT,SKY"), ALFOSC)
    assert identity.kind is FrameKind.SPEC_SKYFLAT
    assert ALFOSC.sets[FrameKind.SPEC_SKYFLAT].same == ("detector", "grism", "slit")
