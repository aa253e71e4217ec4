"""The forward model: the same plan gives the same bytes, and the physics it claims."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from numpy.polynomial import polynomial

from reducers.identity import FrameKind
from reducers.profiles import load_instrument
from reducers.simulate import optics, pointing, sources
from reducers.simulate.frames import simulate, truth_as_json
from reducers.simulate.night import plan_night
from reducers.simulate.records import PlannedExposure, Source

INSTRUMENT = load_instrument("alfosc")
PLAN = plan_night(3)


def planned(kind: FrameKind, nth: int = 0) -> PlannedExposure:
    return [exposure for exposure in PLAN if exposure.kind is kind][nth]


def counts(content: bytes) -> Any:
    with fits.open(io.BytesIO(content)) as hdus:
        raw = np.asarray(hdus[1].data, dtype=np.int64)
    return np.where(raw > 2**31, raw - 2**32, raw).astype(float)


def levelled(content: bytes) -> Any:
    frame = counts(content)
    return frame - np.median(frame[1034:1046, 100:])


def test_the_same_plan_gives_the_same_bytes() -> None:
    exposure = planned(FrameKind.SPEC_OBJECT)
    assert simulate(exposure, INSTRUMENT).content == simulate(exposure, INSTRUMENT).content


def test_another_seed_gives_another_night() -> None:
    first, other = plan_night(1), plan_night(2)
    assert first[0].bias_level_adu != other[0].bias_level_adu
    contents = [simulate(plan[0], INSTRUMENT).content for plan in (first, other)]
    assert contents[0] != contents[1]


def test_bias_pairs_show_the_read_noise() -> None:
    one, two = (counts(simulate(planned(FrameKind.BIAS, n), INSTRUMENT).content) for n in (0, 1))
    noise = np.std((two - one)[10:, 20:]) / np.sqrt(2)
    assert noise == pytest.approx(32.0, abs=0.5)


def test_flat_pairs_show_the_true_gain_and_not_that_of_the_header() -> None:
    one, two = (
        levelled(simulate(planned(FrameKind.SPEC_FLAT, n), INSTRUMENT).content)[300:700, 30:]
        for n in (0, 1)
    )
    scaled = two * np.median(one) / np.median(two)
    difference = (one - scaled).reshape(40, 10, -1)
    # Flexure between the flats moves dust and fringes a little: take the noise along short runs.
    rows = np.diff(difference, axis=1) / np.sqrt(2)
    variance = np.var(rows, axis=(1, 2)) / 2 - 32.0**2
    level = np.mean((one + scaled).reshape(40, -1) / 2, axis=1)
    assert np.median(level / variance) == pytest.approx(0.18, abs=0.01)


def test_only_the_first_pixel_wraps() -> None:
    for kind in (FrameKind.BIAS, FrameKind.SPEC_OBJECT, FrameKind.ARC):
        frame = counts(simulate(planned(kind), INSTRUMENT).content)
        assert -19000 < frame[0, 0] < -10000
        assert np.count_nonzero(frame < 0) == 1


def test_no_pixel_wraps_in_a_bright_flat() -> None:
    assert counts(simulate(planned(FrameKind.SPEC_FLAT), INSTRUMENT).content).min() > 0


def test_overscan_rows_see_no_light() -> None:
    frame = levelled(simulate(planned(FrameKind.SPEC_FLAT), INSTRUMENT).content)
    rows = np.median(frame[:, 150:], axis=1)
    assert rows[1030] > 5000
    assert 0.5 < rows[1031] / rows[1030] < 0.75
    assert np.abs(rows[1032:]).max() < 30


def test_the_strongest_arc_lines_are_clipped_like_the_real_ones() -> None:
    frame = counts(simulate(planned(FrameKind.ARC), INSTRUMENT).content)
    assert 860_000 < frame.max() < 876_000


def test_arc_lines_stand_where_the_truth_says() -> None:
    frame = simulate(planned(FrameKind.ARC), INSTRUMENT)
    image, truth = levelled(frame.content), frame.truth
    for column, wavelength in ((60, 6219.001), (330, 5017.077), (200, 7247.163)):
        x = 850.0 + column
        t, c = (x - 1050) / 100, truth.bend_px[2]
        y = np.arange(0.5, 2064, 2)
        bend = (truth.bend_px[0] * t + truth.bend_px[1] * t**2) * (1 + c * (y - 1050) / 1000)
        u = (y - truth.shift_px - bend - 1000) / 1000
        expected = int(np.argmin(np.abs(polynomial.polyval(u, truth.dispersion) - wavelength)))
        rows = np.arange(expected - 3, expected + 4)
        line = np.median(image[rows[0] : rows[-1] + 1, column - 3 : column + 4], axis=1)
        line = np.clip(line - np.sort(line)[:3].mean(), 0, None)
        centre = np.interp((line * rows).sum() / line.sum(), np.arange(1032), y)
        found = polynomial.polyval(
            (centre - truth.shift_px - np.interp(centre, y, bend) - 1000) / 1000, truth.dispersion
        )
        assert found == pytest.approx(wavelength, abs=0.5)


def test_a_slit_that_moves_moves_the_spectrum_by_as_much() -> None:
    arc = planned(FrameKind.ARC)
    moved = replace(arc, aperture_y_px=arc.aperture_y_px + 14.0)
    spectra = [
        np.median(levelled(simulate(p, INSTRUMENT).content)[:1030, 90:110], axis=1)
        for p in (arc, moved)
    ]
    # 14 unbinned pixels are 7 binned rows.
    assert np.corrcoef(spectra[0][50:900], spectra[1][57:907])[0, 1] > 0.99


def test_electrons_of_an_object_add_up_to_the_truth() -> None:
    science = planned(FrameKind.SPEC_STD)
    dark = replace(science, sources=())
    truth = simulate(science, INSTRUMENT).truth.objects[0]
    light = counts(simulate(science, INSTRUMENT).content) - counts(
        simulate(dark, INSTRUMENT).content
    )
    rows = slice(380, 620)
    wavelength = optics.optics_of(science, INSTRUMENT).wavelength(
        958.0, np.arange(2 * rows.start - 0.5, 2 * rows.stop, 2)
    )
    per_row = np.interp(
        (wavelength[1:] + wavelength[:-1]) / 2,
        truth.wavelength_angstrom,
        truth.electrons_per_angstrom,
    ) * -np.diff(wavelength)
    found = light[rows, 20:230].sum() * sources.GAIN_E_PER_ADU
    # Slit marks and uneven illumination take and give a few per cent.
    assert found == pytest.approx(per_row.sum(), rel=0.06)


def test_brightness_is_the_ab_magnitude_at_5500() -> None:
    source = Source(name="a", model="quasar", ab_magnitude=18.0)
    flux = sources.flux_of(source, np.array([5500.0]), INSTRUMENT)[0]
    # 3631 Jy at magnitude 0.
    assert flux == pytest.approx(3.631e-20 * 10**-7.2 * 2.998e18 / 5500**2, rel=2e-3)


def test_a_standard_has_the_flux_of_its_table() -> None:
    standard = next(s for s in INSTRUMENT.standards if s.name == "HD 84937")
    source = Source(name="HD 84937", model="standard:HD 84937")
    at = pointing.vacuum(np.array(standard.wavelength_angstrom))
    flux = sources.flux_of(source, at, INSTRUMENT)
    assert flux == pytest.approx(sources.ab_flux(np.array(standard.ab_magnitude), at))


def test_blue_light_is_lifted_by_the_air_as_measured() -> None:
    # Measured on the standard of 2020-03-20: -4.09 px from 6126 to 3738 A at altitude 53.8 deg.
    lift = pointing.refraction_arcsec(np.array([3738.0, 6126.0]), 53.826)
    assert (lift[0] - lift[1]) / 0.2138 == pytest.approx(4.1, abs=0.25)


def test_pointing_agrees_with_a_real_header() -> None:
    when = datetime(2020, 3, 21, 4, 29, 55, 159000, UTC)
    real = pointing.point(192.51324, 28.00935, when)
    assert real.sidereal_h == pytest.approx(15.250833, abs=0.001)
    assert real.altitude_deg == pytest.approx(58.5636, abs=0.2)
    assert real.azimuth_deg == pytest.approx(97.2165, abs=0.3)
    assert real.parallactic_deg == pytest.approx(80.0484, abs=0.5)


@pytest.mark.parametrize("fwhm", [0.7, 1.1, 2.0])
def test_a_wider_slit_passes_more_light(fwhm: float) -> None:
    passed = [float(optics.slit_transmission(5500.0, w, fwhm)) for w in (0.5, 1.0, 1.8, 10.0)]
    assert passed == sorted(passed)
    assert passed[0] > 0
    assert 0.97 < passed[-1] <= 1


def test_cosmic_rays_come_as_often_as_measured() -> None:
    hits = [simulate(p, INSTRUMENT).truth.cosmic_rays for p in PLAN if p.exposure_s >= 600]
    exposed = [p.exposure_s + 2.8 for p in PLAN if p.exposure_s >= 600]
    area_cm2 = 400 * 2064 * 0.0015**2
    expected = 2.2 * area_cm2 * sum(exposed) / 60
    assert sum(hits) == pytest.approx(expected, abs=4 * np.sqrt(expected))


def test_the_truth_survives_json() -> None:
    truth = simulate(planned(FrameKind.SPEC_OBJECT), INSTRUMENT).truth
    read = json.loads(truth_as_json(truth))
    assert [o["name"] for o in read["objects"]] == ["SN2026abc", "host"]
    assert np.all(np.diff(read["objects"][0]["wavelength_angstrom"]) > 0)
    assert read["shift_px"] == truth.shift_px


def test_stars_of_an_image_stand_where_the_truth_says() -> None:
    frame = simulate(planned(FrameKind.IMG_OBJECT), INSTRUMENT)
    with fits.open(io.BytesIO(frame.content)) as hdus:
        image = np.asarray(hdus[1].data, dtype=np.int64)
        assert hdus[1].header["CTYPE1"] == "RA---TAN"
    image = np.where(image > 2**31, image - 2**32, image)
    inside = [s for s in frame.truth.stars if 890 < s["detector_x"] < 1210]
    inside = [s for s in inside if 890 < s["detector_y"] < 1210]
    star = max(inside, key=lambda s: s["electrons"])
    column, row = round(star["detector_x"] - 850), round(star["detector_y"] - 850)
    box = image[row - 6 : row + 7, column - 6 : column + 7]
    assert box[5:8, 5:8].max() == box.max()
