"""One slit from electrons to counts: the target is chosen rightly, and a person's wishes count."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from reducers.frame import Frame, Geometry, Mask
from reducers.identify import identify
from reducers.profiles import load_instrument
from reducers.reduced import SpectrumSettings
from reducers.slit_recipe import usual_place
from reducers.spectroscopy.calibrate import calibrate_objects
from reducers.spectroscopy.longslit import Slit, measure_slit
from reducers.spectroscopy.objects import Expected
from reducers.spectroscopy.shape import Profile
from reducers.spectroscopy.trace import Trace

ALFOSC = load_instrument("alfosc")
GRISM = ALFOSC.grisms["Grism_#4"]
ROWS, COLUMNS, NOISE_E = 300, 160, 5.8
FAINT, BRIGHT = (50.0, 120.0), (110.0, 2000.0)  # column, electrons per row


def slit_frame(
    objects: tuple[tuple[float, float], ...] = (FAINT, BRIGHT), gradient: float = 0.0
) -> Frame:
    rows = np.arange(ROWS, dtype=float)
    light = np.full((ROWS, COLUMNS), 30.0) + gradient * np.linspace(-1, 1, COLUMNS)
    for column, per_row in objects:
        path = column + 2.0 * (rows / ROWS - 0.5)
        trace = Trace(rows=rows, columns=path, fwhm_px=4.0, rms_px=0.0)
        light += per_row * Profile(beta=3.0, fwhm_px=4.0, slope=0.0).values(trace, COLUMNS)
    rng = np.random.default_rng(8)
    data = rng.poisson(light) + rng.normal(0, NOISE_E, light.shape)
    return Frame(
        data=data.astype(np.float32),
        variance=(light + NOISE_E**2).astype(np.float32),
        mask=np.zeros(light.shape, np.uint16),
        unit="electron",
        geometry=Geometry(x0=850, y0=600, y_binning=2),
    )


def bent_frame(column: float, bend: np.ndarray, *, per_row: float, seed: int) -> Frame:
    """Return a slit with one faint object whose path bends: S/N 1 per row."""
    rows = np.arange(ROWS, dtype=float)
    trace = Trace(rows=rows, columns=column + bend, fwhm_px=4.0, rms_px=0.0)
    light = np.full((ROWS, COLUMNS), 30.0)
    light += per_row * Profile(beta=3.0, fwhm_px=4.0, slope=0.0).values(trace, COLUMNS)
    rng = np.random.default_rng(seed)
    data = rng.poisson(light) + rng.normal(0, NOISE_E, light.shape)
    return slit_frame().after("bent", data=data.astype(np.float32))


def measured(frame: Frame, expected: Expected | None = None, **wishes: object) -> Slit:
    return measure_slit(
        frame,
        read_noise_e=NOISE_E,
        masters_variance=np.zeros(frame.shape),
        arc=None,
        grism=GRISM,
        slit_offset_px=0.0,
        pixel_scale_arcsec=0.2138,
        how=SpectrumSettings(clean_cosmics=False, **wishes),
        expected=expected,
    )


def columns_of(slit: Slit) -> list[int]:
    return [round(float(np.median(trace.columns))) for trace in slit.traces]


def test_the_brightest_object_is_the_target_where_nothing_else_is_known() -> None:
    assert columns_of(measured(slit_frame())) == [110, 50]


def test_the_object_at_the_expected_place_is_the_target() -> None:
    slit = measured(slit_frame(), Expected(column=52.0, tolerance_px=8.0))
    assert columns_of(slit) == [50, 110]
    assert not slit.traces[0].forced


def test_where_targets_usually_stand_outweighs_brightness_but_forces_nothing() -> None:
    there = measured(slit_frame(), Expected(column=54.0, tolerance_px=8.0, certain=False))
    assert columns_of(there) == [50, 110]
    assert there.measurements["target_unsure"] == 0.0
    nodded = measured(slit_frame(), Expected(column=80.0, tolerance_px=8.0, certain=False))
    assert columns_of(nodded) == [110, 50]
    assert nodded.measurements["target_unsure"] == 1.0
    assert "target_offset_arcsec" not in nodded.measurements


def test_one_object_is_the_target_wherever_it_stands() -> None:
    usual = Expected(column=80.0, tolerance_px=8.0, certain=False)
    alone = measured(slit_frame(objects=(FAINT,)), usual)
    assert columns_of(alone) == [50]
    assert alone.measurements["target_unsure"] == 0.0
    empty = measured(slit_frame(objects=()), usual)
    assert empty.traces[0].forced
    assert columns_of(empty) == [80]


def test_a_target_is_off_only_where_somebody_said_its_place() -> None:
    slit = measured(slit_frame(), centroid_px=48.0)
    assert slit.measurements["target_offset_arcsec"] == pytest.approx(2 * 0.2138, abs=0.1)


def test_a_faint_object_follows_the_path_that_refraction_draws() -> None:
    rows = np.arange(ROWS, dtype=float)
    bend = 5.0 * (rows / ROWS) ** 3
    crutch = Trace(rows=rows, columns=bend - bend.mean(), fwhm_px=np.nan, rms_px=np.nan)
    off = {"known": [], "not known": [], "wrong": []}
    for seed in range(3):
        frame = bent_frame(60.0, bend, per_row=25.0, seed=seed)
        for name, path in (
            ("known", crutch),
            ("not known", None),
            ("wrong", replace(crutch, columns=-crutch.columns)),
        ):
            trace = measured(frame, Expected(crutch=path)).traces[0]
            off[name].append(float(np.sqrt(np.mean((trace.columns - 60.0 - bend) ** 2))))
    assert np.mean(off["known"]) < 0.4 * np.mean(off["not known"])
    # A header that tells the wrong angle costs nothing: there is more light along the straight.
    assert np.mean(off["wrong"]) < 1.05 * np.mean(off["not known"])


@pytest.mark.parametrize(("standard", "x0"), [("HD 84937", 850), ("", 1050)])
def test_no_place_is_expected_of_a_standard_or_outside_the_window(
    standard: str, x0: int, alfosc_header
) -> None:
    frame = replace(slit_frame(), geometry=Geometry(x0=x0, y0=600, y_binning=2))
    identity = replace(identify(alfosc_header("science"), ALFOSC), standard=standard)
    assert usual_place(frame, identity, ALFOSC) is None


def test_the_usual_place_counts_binned_columns(alfosc_header) -> None:
    frame = replace(slit_frame(), geometry=Geometry(x0=850, y0=600, x_binning=2, y_binning=2))
    identity = identify(alfosc_header("science"), ALFOSC)
    identity = replace(identity, setup=replace(identity.setup, x_binning=2))
    place = usual_place(frame, identity, ALFOSC)
    assert place is not None
    assert place.column == pytest.approx(53.25)
    assert place.tolerance_px == pytest.approx(3 / (2 * 0.2138))


def test_a_target_that_is_not_found_is_extracted_parallel_to_the_bright_object() -> None:
    slit = measured(slit_frame(), Expected(column=80.0, tolerance_px=8.0))
    target, bright = slit.traces[0], slit.traces[1]
    assert target.forced
    assert float(np.median(target.columns)) == pytest.approx(80.0, abs=0.1)
    assert np.ptp(target.columns - bright.columns) == pytest.approx(0, abs=1e-6)
    # What the neighbours' wings hold is theirs.
    assert abs(np.mean(slit.extractions[0].flux)) < 5


def test_a_target_beside_the_window_is_a_product_without_light() -> None:
    slit = measured(slit_frame(), Expected(column=-60.0, tolerance_px=8.0))
    assert slit.traces[0].forced
    assert (slit.extractions[0].mask & np.uint16(Mask.BAD)).all()
    assert columns_of(slit)[1:] == [110, 50]


def test_the_history_tells_how_sky_and_wavelengths_were_made() -> None:
    steps = measured(slit_frame()).frame.history
    assert [step.partition(":")[0] for step in steps[-3:]] == ["sky", "wavelengths", "flexure"]
    assert "there is no arc" in steps[-2]


def test_negative_images_are_never_objects() -> None:
    frame = slit_frame()
    nodded = frame.data - np.roll(frame.data, 30, axis=1) + 30
    slit = measured(frame.after("nod", data=nodded))
    assert sorted(columns_of(slit)) == [50, 110]


def test_the_stray_light_at_the_end_of_the_slit_is_no_object() -> None:
    frame = slit_frame()
    data, mask = frame.data.copy(), frame.mask.copy()
    data[:, 20:22] += 150
    mask[:, :20] = Mask.BAD
    assert columns_of(measured(frame.after("edge", data=data, mask=mask))) == [110, 50]


def test_objects_outside_the_wanted_region_are_not_looked_for() -> None:
    assert columns_of(measured(slit_frame(), region_px=(20, 80))) == [50]


def test_the_sky_is_taken_where_a_person_says() -> None:
    frame = slit_frame(objects=(FAINT,))
    glow = frame.data.copy()
    glow[:, 100:] += 60.0
    slit = measured(frame.after("glow", data=glow), background_px=((5, 30), (70, 95)))
    assert np.median(slit.sky[:, 40:60]) == pytest.approx(30, abs=1)


def test_wavelengths_that_a_person_leaves_out_are_marked() -> None:
    slit = measured(slit_frame(), mask_angstrom=((6000.0, 6100.0),))
    frame, trace = slit.frame, slit.traces[0]
    geometry = frame.geometry
    wavelength = slit.solution.wavelength(
        geometry.detector_y(trace.rows), geometry.detector_x(trace.columns)
    )
    inside = (wavelength > 6000) & (wavelength < 6100)
    marked = (slit.extractions[0].mask & np.uint16(Mask.BAD)) != 0
    assert inside.sum() > 5
    assert (marked == inside).all()


def test_a_wider_aperture_holds_the_same_flux_with_more_noise() -> None:
    narrow = measured(slit_frame(), aperture_px=3.0).extractions[0]
    wide = measured(slit_frame(), aperture_px=10.0).extractions[0]
    assert np.mean(wide.box_flux) == pytest.approx(np.mean(narrow.box_flux), rel=0.01)
    assert np.median(wide.box_variance) > 1.1 * np.median(narrow.box_variance)


def test_the_published_spectrum_is_the_one_that_was_asked_for(alfosc_header) -> None:
    identity = identify(alfosc_header("science"), ALFOSC)
    for method, which in (("optimal", "flux"), ("boxcar", "box_flux")):
        slit = measured(slit_frame(), method=method)
        target = calibrate_objects(slit, identity, None, ALFOSC)[0]
        wanted = getattr(slit.extractions[0], which)
        assert np.isin(target.counts.flux, wanted).all()


def on_a_host(transient: float, host: float) -> Frame:
    """Return a slit with a star and, at column 50, a point source in an extended host."""
    rows = np.arange(ROWS, dtype=float)
    frame = slit_frame(objects=((50.0, transient), BRIGHT))
    trace = Trace(rows=rows, columns=52.0 + 2.0 * (rows / ROWS - 0.5), fwhm_px=12.0, rms_px=0.0)
    galaxy = host * Profile(beta=3.0, fwhm_px=12.0, slope=0.0).values(trace, COLUMNS)
    noisy = frame.data + np.random.default_rng(3).poisson(galaxy)
    return frame.after("host", data=noisy.astype(np.float32))


def test_a_transient_is_told_from_its_host() -> None:
    slit = measured(on_a_host(400.0, 1500.0), Expected(column=50.0, tolerance_px=8.0))
    target, host = slit.extractions[0], slit.extractions[-1]
    assert np.mean(target.flux) == pytest.approx(400, rel=0.05)
    assert np.mean(host.flux) == pytest.approx(1500, rel=0.05)
    assert slit.measurements["host_fraction"] == pytest.approx(0.63, abs=0.08)
    pulls = (target.flux - 400) / np.sqrt(target.variance)
    assert np.std(pulls) == pytest.approx(1, abs=0.15)


def test_the_host_is_named_and_a_star_has_none(alfosc_header) -> None:
    identity = identify(alfosc_header("science"), ALFOSC)
    slit = measured(on_a_host(400.0, 1500.0), Expected(column=50.0, tolerance_px=8.0))
    names = [each.name for each in calibrate_objects(slit, identity, None, ALFOSC)]
    assert names == ["OBJ1", "OBJ2", "HOST"]
    alone = measured(on_a_host(400.0, 0.0), Expected(column=50.0, tolerance_px=8.0))
    assert alone.measurements["host_fraction"] == 0
    assert len(alone.traces) == 2
