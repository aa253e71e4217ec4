"""The verification plot can be drawn of anything the recipe may return, and says what it shows."""

from __future__ import annotations

import gc
import io
import json
import time
import weakref
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from daemon.publish.figures import science_page, science_picture
from daemon.publish.page import HEIGHT_PX, WIDTH_PX, Page, as_json, plain, say
from daemon.publish.view import resampled, rows_on_grid
from daemon.publish.zones import zones_of
from reducers.classification.verdict import not_classified
from reducers.frame import Frame, Mask
from reducers.identity import FrameKind, Identity, Setup
from reducers.profiles import load_instrument
from reducers.quality import Flag, load_limits
from reducers.spectroscopy.nominal import nominal_solution, pixel_scale
from reducers.spectrum import Spectrum
from tests.daemon.page_text import colliding

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes

    from reducers.spectroscopy.wavelength import WavelengthSolution

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
        fwhm_px=4.7,
    )


def solution(off_angstrom: np.ndarray) -> WavelengthSolution:
    """Return a solution whose arc lines are off by so much."""
    nominal = nominal_solution(load_instrument("alfosc").grisms["Grism_#4"], 0.0)
    wavelength = np.linspace(3600, 9000, off_angstrom.size)
    return replace(
        nominal, rms_angstrom=0.14, rms_px=0.042, n_lines=38, line_wavelength=wavelength,
        line_row=nominal.row(wavelength, 200.0), line_residual_angstrom=off_angstrom,
        line_used=np.abs(off_angstrom) < 0.3, line_ion=("NeI",) * off_angstrom.size,
    )  # fmt: skip


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
            Flag(
                name="WAVE_BORROWED", bit=7, quality=2, value=6.1, threshold=3.0,
                sentence="The arc is of another slit position, 6.1 h away.", advice="Look at it.",
            ),
        ),
        quality=2,
        in_pixels=False,
        solution=solution(off),
        classification=None,
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


def changed(one: SimpleNamespace, **values: object) -> SimpleNamespace:
    return SimpleNamespace(**{**vars(one), **values})


def all_flags() -> tuple[Flag, ...]:
    return tuple(
        Flag(
            name=r.name, bit=r.bit, quality=4, value=1.0, threshold=0.5, sentence=r.sentence,
            advice=r.advice,
        )
        for r in load_limits().rules
    )  # fmt: skip


PANELS = {
    "image", "residual", "spectrum", "sky", "lines", "slit_profile", "zones", "zone_residuals",
    "response",
}  # fmt: skip


def test_the_plot_is_a_png_of_1600_by_1000(whole: SimpleNamespace) -> None:
    from PIL import Image

    picture = science_picture(whole, exposure(), 0, notes=["ARC ALDc200208, 0.4 h away"])
    assert Image.open(io.BytesIO(picture.png)).size == (WIDTH_PX, HEIGHT_PX)


def test_the_description_says_quality_reasons_calibrations_and_every_panel(
    whole: SimpleNamespace,
) -> None:
    notes = ["ARC ALDc200208, 0.4 h away"]
    said = json.loads(science_picture(whole, exposure(), 0, notes=notes).json)
    assert (said["kind"], said["target"], said["object"]) == ("science", "AT2026abc", "OBJ1")
    assert (said["frame"], said["quality"], said["calibrations"]) == ("ALDc200205", 2, notes)
    assert said["flags"][0]["name"] == "WAVE_BORROWED"
    assert said["panels"].keys() == PANELS
    assert not [name for name, panel in said["panels"].items() if "failed" in panel]
    assert said["measurements"]["flexure_px"] == 0.4


def test_the_description_finds_the_objects_and_their_width(whole: SimpleNamespace) -> None:
    panels = science_page(whole, exposure()).facts["panels"]
    assert [one["name"] for one in panels["slit_profile"]["objects"]] == ["OBJ1", "OBJ2"]
    assert panels["image"]["trace_column"] == pytest.approx(OBJECT_COLUMN, abs=0.1)
    # A Gaussian of sigma 2 px.
    for zone in ("blue", "green", "red"):
        assert panels["zones"][zone]["fwhm_px"] == pytest.approx(4.71, abs=0.3)
    assert panels["residual"]["robust_sigma"] == pytest.approx(1.0, abs=0.1)


def test_the_page_of_another_object_says_whose_quality_it_is(whole: SimpleNamespace) -> None:
    words = " ".join(text.get_text() for text in science_page(whole, exposure(), 1).figure.texts)
    assert "quality 2 of OBJ1" in words
    assert "ALDc200205 OBJ2" in words


def test_the_header_says_target_quality_and_reason_in_words(whole: SimpleNamespace) -> None:
    words = " ".join(text.get_text() for text in science_page(whole, exposure()).figure.texts)
    for expected in ("AT2026abc", "quality 2", "arc is of another slit position", "1800 s"):
        assert expected in words


@pytest.mark.parametrize("target", ["$\\frac{1}$_^", "目標 ☃\x00\n", "", "x" * 400])
def test_a_hostile_target_name_is_drawn(whole: SimpleNamespace, target: str) -> None:
    assert science_picture(whole, exposure(target)).png.startswith(b"\x89PNG")


def six_objects(whole: SimpleNamespace) -> SimpleNamespace:
    wavelength = whole.objects[0].spectrum.wavelength
    places = (182.0, 186.0, 20.0, 250.0, 380.0, 396.0)
    objects = [extracted(f"OBJ{n}", place, wavelength) for n, place in enumerate(places, start=1)]
    return changed(whole, objects=tuple(objects))


def dead(whole: SimpleNamespace) -> SimpleNamespace:
    """Return a reduction in which every number is NaN."""
    nothing = np.full(ROWS, np.nan)
    first = whole.objects[0]
    trace = SimpleNamespace(
        rows=np.arange(ROWS), columns=nothing, fwhm_px=np.nan, rms_px=np.nan, forced=True
    )
    item = changed(
        first, trace=trace, snr=np.nan, fwhm_px=np.nan,
        spectrum=replace(first.spectrum, flux=nothing, error=nothing, sky=nothing),
        counts=replace(first.counts, flux=nothing, error=nothing, sky=nothing),
        boxcar=replace(first.boxcar, flux=nothing, error=nothing),
    )  # fmt: skip
    image = replace(whole.image, data=np.full((ROWS, COLUMNS), np.nan))
    return changed(
        whole, objects=(item,), image=image, slit_profile=np.full(COLUMNS, np.nan),
        wavelengths=np.full((ROWS, COLUMNS), np.nan), measurements={"snr": np.nan},
    )  # fmt: skip


def masked(whole: SimpleNamespace) -> SimpleNamespace:
    """Return a reduction in which every pixel is masked."""
    everywhere = np.full((ROWS, COLUMNS), np.uint16(Mask.COSMIC))
    first = whole.objects[0]
    bits = np.full(ROWS, np.uint16(Mask.COSMIC | Mask.TELLURIC))
    item = changed(first, spectrum=replace(first.spectrum, mask=bits),
                   counts=replace(first.counts, mask=bits))  # fmt: skip
    return changed(whole, image=replace(whole.image, mask=everywhere), objects=(item,))


def bare(whole: SimpleNamespace) -> SimpleNamespace:
    return changed(whole, solution=None, response=None, flags=all_flags(), quality=4)


def in_pixels(whole: SimpleNamespace) -> SimpleNamespace:
    """Return a reduction without any wavelengths."""
    scale = nominal_solution(pixel_scale("Grism_#99", load_instrument("alfosc")), 0.0)
    places = np.repeat(np.arange(float(ROWS))[:, None], COLUMNS, 1)
    first = whole.objects[0]
    planes = {
        name: replace(getattr(first, name), wavelength=places[:, 0], in_pixels=True)
        for name in ("spectrum", "counts", "boxcar")
    }
    return changed(
        whole, objects=(changed(first, **planes),), wavelengths=places, solution=scale,
        response=None, in_pixels=True,
    )  # fmt: skip


def nobody(whole: SimpleNamespace) -> SimpleNamespace:
    return changed(whole, objects=(), measurements={}, flags=(), quality=9)


CASES = {"as it is": lambda whole: whole, "six objects": six_objects, "all NaN": dead,
         "all masked": masked, "no calibration": bare, "no wavelengths": in_pixels,
         "no object": nobody}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_anything_is_drawn_without_text_upon_text(whole: SimpleNamespace, case: str) -> None:
    notes = ["RESPONSE EFOSC.2022-01-29T01:12:03.548, another night, another slit, 46.7 h"] * 5
    page = science_page(CASES[case](whole), exposure("SDSS J125005.72+280041.9 host"), notes=notes)
    assert not [name for name, panel in page.facts["panels"].items() if "failed" in panel]
    assert colliding(page) == []
    picture = page.finish()
    assert picture.png.startswith(b"\x89PNG")
    assert json.loads(picture.json)["panels"].keys() == PANELS


@given(
    rows=st.integers(1, 40), columns=st.integers(1, 40), fill=st.sampled_from([0, 1, np.nan, 1e30])
)
@settings(max_examples=8, deadline=None)
@example(rows=1, columns=1, fill=0)
@example(rows=2, columns=1, fill=np.nan)
@example(rows=30, columns=2, fill=0)
def test_a_frame_of_any_size_is_drawn(rows: int, columns: int, fill: float) -> None:
    line = np.full(rows, fill)
    wavelength = np.linspace(4000, 4100, rows)
    one = Spectrum(
        wavelength=wavelength, flux=line, error=line, sky=line, mask=np.zeros(rows, np.uint16)
    )
    trace = SimpleNamespace(rows=np.arange(float(rows)), columns=np.full(rows, columns / 2),
                            fwhm_px=1.0, rms_px=np.nan, forced=True)  # fmt: skip
    item = SimpleNamespace(name="OBJ1", spectrum=one, counts=one, boxcar=one, trace=trace,
                           snr=fill, fwhm_px=0.0)  # fmt: skip
    plane = np.full((rows, columns), fill, np.float32)
    tiny = SimpleNamespace(
        objects=(item,), image=Frame(data=plane, variance=plane, mask=np.zeros(plane.shape)),
        sky=plane.astype(float), wavelengths=np.repeat(wavelength[:, None], columns, 1),
        slit_profile=plane[0].astype(float), measurements={}, flags=(), quality=0,
        in_pixels=False,
        solution=nominal_solution(load_instrument("alfosc").grisms["Grism_#4"], 0.0),
        response=None, classification=None,
    )  # fmt: skip
    page = science_page(tiny, exposure())
    assert not [panel for panel in page.facts["panels"].values() if "failed" in panel]
    json.loads(page.finish().json)


def test_a_panel_that_fails_says_so_and_the_rest_is_drawn() -> None:
    def broken(axes: object) -> dict[str, object]:
        raise ValueError("the $lamp_ exploded")

    page = Page("science")
    page.panel("first", (100, 100, 400, 400), broken)
    page.panel("second", (700, 100, 400, 400), lambda axes: {"drawn": True})
    said = json.loads(page.finish().json)["panels"]
    assert "exploded" in said["first"]["failed"]
    assert said["second"] == {"drawn": True}


def test_a_sentence_keeps_to_its_panel() -> None:
    page = Page("nothing")
    seen = []

    def nothing(axes: Axes) -> dict[str, object]:
        seen.append(axes)
        return say(axes, "no star is where the catalogue has one, nor anywhere near")

    page.panel("offsets", (1300, 200, 150, 150), nothing)
    canvas = FigureCanvasAgg(page.figure)
    (text,) = seen[0].texts
    drawn, panel = text.get_window_extent(canvas.get_renderer()), seen[0].get_window_extent()
    assert panel.x0 <= drawn.x0 < drawn.x1 <= panel.x1
    assert panel.y0 <= drawn.y0 < drawn.y1 <= panel.y1


def test_json_holds_no_number_that_readers_refuse() -> None:
    facts = {"a": np.float32(np.nan), "b": [np.inf, np.int64(3)], "c": {"d": np.array([1.0])}}
    assert json.loads(as_json(facts)) == {"a": None, "b": [None, 3], "c": {"d": [1.0]}}


def test_zones_of_a_tilted_trace_are_centred(whole: SimpleNamespace) -> None:
    rows = np.arange(ROWS)
    x = np.arange(COLUMNS)[None, :]
    centre = OBJECT_COLUMN + 4 * (rows / ROWS - 0.5)
    star = 500 * np.exp(-0.5 * ((x - centre[:, None]) / 2) ** 2)
    rng = np.random.default_rng(8)
    data = whole.sky + star + rng.normal(0, 5, star.shape)
    tilted = changed(whole, image=replace(whole.image, data=data))
    for zone in zones_of(tilted, whole.objects[0]):
        assert zone.offset_px[zone.data.argmax()] == 0
        assert zone.fwhm_px == pytest.approx(4.71, abs=0.15)


def test_a_neighbour_is_no_part_of_a_profile(whole: SimpleNamespace) -> None:
    alone = whole.objects[0]
    columns = alone.trace.columns
    faint = SimpleNamespace(**{**vars(alone), "trace": SimpleNamespace(**vars(alone.trace))})
    faint.trace.columns = columns + 14.0
    together = SimpleNamespace(**{**vars(whole), "objects": (alone, faint)})
    for zone in zones_of(together, faint):
        assert not np.isfinite(zone.data[zone.offset_px < -7]).any()
        assert np.isfinite(zone.data[zone.offset_px > -7]).all()


def test_resampling_puts_a_line_at_its_wavelength_whichever_way_the_spectrum_runs() -> None:
    rising = np.linspace(4000.0, 8000.0, 401)
    for along in (rising, rising[::-1]):
        plane = np.where(np.abs(along - 6000) < 1, 1.0, 0.0)[:, None]
        grid = np.linspace(4000, 8000, 801)
        seen = resampled(plane, rows_on_grid(along, grid))[0]
        assert abs(grid[seen.argmax()] - 6000) <= 10


def test_text_that_no_font_has_is_replaced() -> None:
    assert plain("a\nb\x00目") == "a b??"


def test_a_finished_page_leaves_nothing_behind(whole: SimpleNamespace) -> None:
    page = science_page(whole, exposure())
    figure = weakref.ref(page.figure)
    page.finish()
    del page
    gc.collect()
    assert figure() is None


def least_time_s(work: Callable[[], object]) -> float:
    took = []
    for _ in range(3):
        began = time.process_time()
        work()
        took.append(time.process_time() - began)
    return min(took)


def test_nine_panels_take_no_longer_than_nine_empty_plots(whole: SimpleNamespace) -> None:
    def plain_plots() -> None:
        figure = Figure(figsize=(16, 10), dpi=100)
        for axes in figure.subplots(3, 3).ravel():
            axes.plot(np.arange(50), np.arange(50))
            axes.set_xlabel("x")
        figure.savefig(io.BytesIO(), format="png")

    science_picture(whole, exposure())
    assert least_time_s(lambda: science_picture(whole, exposure())) < 2 * least_time_s(plain_plots)


def test_the_page_says_what_the_target_is_and_nothing_of_its_neighbours(
    whole: SimpleNamespace,
) -> None:
    said = not_classified("no light above the noise")
    seen = changed(whole, classification=said)
    assert science_page(seen, exposure()).facts["classification"] == [said.words]
    assert science_page(seen, exposure(), 1).facts["classification"] == []
    assert science_page(whole, exposure()).facts["classification"] == []
