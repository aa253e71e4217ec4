"""The verification plot can be drawn of anything the recipe may return."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import numpy as np
import pytest

from daemon.publish.figures import HEIGHT_PX, WIDTH_PX, as_png, draw_verification, verification_png
from daemon.publish.panels import plain
from daemon.publish.view import resampled, rows_on_grid
from reducers.frame import Frame, Mask
from reducers.identity import FrameKind, Identity, Setup
from reducers.spectrum import Spectrum

ROWS, COLUMNS, OBJECT_COLUMN = 2051, 400, 182.0


def identity(target: str = "AT2026abc") -> Identity:
    setup = Setup(
        x_binning=1, y_binning=1, window=(1, 500, 1, 2102), readout="D-8-200",
        grism="Grism_#4", slit="Slit_1.0", filter="",
    )  # fmt: skip
    return Identity(
        instrument="ALFOSC", kind=FrameKind.SPEC_OBJECT, setup=setup, target=target,
        observed_at=datetime(2026, 11, 20, 3, 14, 22, tzinfo=UTC), exposure_s=1800.0, airmass=1.31,
    )  # fmt: skip


def spectrum(wavelength: np.ndarray, flux: np.ndarray, noise: float, unit: str) -> Spectrum:
    mask = np.zeros(flux.size, dtype=np.uint16)
    mask[(wavelength > 7590) & (wavelength < 7700)] |= np.uint16(Mask.TELLURIC)
    mask[wavelength > 9300] |= np.uint16(Mask.WAVE_EXTRAPOLATED)
    mask[700:705] |= np.uint16(Mask.COSMIC)
    sky = 300 + 4000 * np.exp(-0.5 * ((wavelength - 5579.1) / 6) ** 2)
    return Spectrum(
        wavelength=wavelength, flux=flux, error=np.full(flux.size, noise), sky=sky, mask=mask,
        unit=unit,
    )  # fmt: skip


def extracted(name: str, column: float, wavelength: np.ndarray) -> SimpleNamespace:
    rng = np.random.default_rng(5)
    counts = 900 * np.exp(-0.5 * ((wavelength - 6000) / 1500) ** 2) + rng.normal(0, 40, ROWS)
    rows = np.arange(ROWS)
    return SimpleNamespace(
        name=name,
        spectrum=spectrum(wavelength, counts * 2e-18, 8e-17, "erg / (s cm2 Angstrom)"),
        counts=spectrum(wavelength, counts, 40.0, "electron"),
        boxcar=spectrum(wavelength, counts + rng.normal(0, 20, ROWS), 45.0, "electron"),
        trace=SimpleNamespace(
            rows=rows,
            columns=column + 4 * (rows / ROWS - 0.5),
            fwhm_px=4.7,
            rms_px=0.08,
            forced=False,
        ),
        snr=21.3,
    )


def reduced() -> SimpleNamespace:
    wavelength = 3200.0 + 3.3 * np.arange(ROWS)
    rng = np.random.default_rng(3)
    x = np.arange(COLUMNS)
    profile = 300 * np.exp(-0.5 * ((x - OBJECT_COLUMN) / 2) ** 2)
    profile += 60 * np.exp(-0.5 * ((x - 250) / 2) ** 2)
    sky = np.repeat(
        (300 + 4000 * np.exp(-0.5 * ((wavelength - 5579) / 6) ** 2))[:, None], COLUMNS, 1
    )
    data = sky + profile + rng.normal(0, 1, (ROWS, COLUMNS)) * np.sqrt(sky + 20)
    plane = (ROWS, COLUMNS)
    image = Frame(data=data, variance=sky + 20, mask=np.zeros(plane), unit="electron")
    off = rng.normal(0, 0.15, 40)
    grid = np.linspace(3400, 9600, 100)
    return SimpleNamespace(
        objects=(
            extracted("OBJ1", OBJECT_COLUMN, wavelength), extracted("OBJ2", 250.0, wavelength)
        ),
        image=image,
        sky=sky,
        wavelengths=np.repeat(wavelength[:, None], COLUMNS, 1),
        slit_profile=profile + rng.normal(0, 2, COLUMNS),
        measurements={"fwhm_arcsec": 0.97, "sky5577_angstrom": 5579.02, "flexure_px": 0.4},
        flags=(
            SimpleNamespace(
                name="WAVE_BORROWED", sentence="The arc is of another slit position, 6.1 h away."
            ),
        ),
        quality=2,
        solution=SimpleNamespace(rms_angstrom=0.14, rms_px=0.042, n_lines=38,
            line_wavelength=np.linspace(3600, 9000, 40),
            line_residual_angstrom=off, line_used=np.abs(off) < 0.3,
        ),
        response=SimpleNamespace(
            wavelength=grid, ab_zero_point=19 - 1e-7 * (grid - 6000) ** 2, error=np.full(100, 0.04),
            standard="HD84937", rms_mag=0.021, airmass=1.2, slit="Slit_1.0", grism="Grism_#4",
            points_wavelength=grid[::9], points_zero_point=19 - 1e-7 * (grid[::9] - 6000) ** 2,
        ),
    )  # fmt: skip


@pytest.fixture(scope="module")
def whole() -> SimpleNamespace:
    return reduced()


def exposure(target: str = "AT2026abc") -> SimpleNamespace:
    return SimpleNamespace(stem="ALDc200205", identity=identity(target), raw=None)


def test_the_plot_is_a_png_of_1600_by_1000(whole: SimpleNamespace) -> None:
    from PIL import Image

    png = verification_png(whole, exposure(), 0, notes=["ARC ALDc200208, 0.4 h away"])
    assert Image.open(io.BytesIO(png)).size == (WIDTH_PX, HEIGHT_PX)


def test_the_header_says_target_quality_and_reason_in_words(whole: SimpleNamespace) -> None:
    words = " ".join(text.get_text() for text in draw_verification(whole, exposure()).texts)
    for expected in ("AT2026abc", "quality 2", "arc is of another slit position", "1800 s"):
        assert expected in words


@pytest.mark.parametrize("target", ["$\\frac{1}$_^", "目標 ☃\x00\n", "", "x" * 400])
def test_a_hostile_target_name_is_drawn(whole: SimpleNamespace, target: str) -> None:
    assert as_png(draw_verification(whole, exposure(target))).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "missing",
    [{"solution": None}, {"response": None}, {"objects": ()}, {"measurements": {}, "flags": ()}],
)
def test_what_is_missing_leaves_a_sentence_not_an_error(
    whole: SimpleNamespace, missing: dict[str, object]
) -> None:
    poorer = SimpleNamespace(**{**vars(whole), **missing})
    assert as_png(draw_verification(poorer, exposure())).startswith(b"\x89PNG")


def test_a_frame_of_nans_is_drawn(whole: SimpleNamespace) -> None:
    first = whole.objects[0]
    nothing = np.full(ROWS, np.nan)
    dead = SimpleNamespace(
        **{**vars(first), "spectrum": replace(first.spectrum, flux=nothing, error=nothing),
           "trace": SimpleNamespace(rows=np.arange(ROWS), columns=nothing, fwhm_px=np.nan,
                                    rms_px=np.nan, forced=True)}
    )  # fmt: skip
    image = replace(whole.image, data=np.full((ROWS, COLUMNS), np.nan))
    broken = SimpleNamespace(
        **{**vars(whole), "objects": (dead,), "image": image,
           "slit_profile": np.full(COLUMNS, np.nan),
           "wavelengths": np.full((ROWS, COLUMNS), np.nan)}
    )  # fmt: skip
    assert as_png(draw_verification(broken, exposure())).startswith(b"\x89PNG")


def test_resampling_puts_a_line_at_its_wavelength_whichever_way_the_spectrum_runs() -> None:
    rising = np.linspace(4000.0, 8000.0, 401)
    for along in (rising, rising[::-1]):
        plane = np.where(np.abs(along - 6000) < 1, 1.0, 0.0)[:, None]
        grid = np.linspace(4000, 8000, 801)
        seen = resampled(plane, rows_on_grid(along, grid))[0]
        assert abs(grid[seen.argmax()] - 6000) <= 10


def test_text_that_no_font_has_is_replaced() -> None:
    assert plain("a\nb\x00目") == "a b??"
