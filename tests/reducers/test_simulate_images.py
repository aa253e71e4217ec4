"""Simulated images: one sky for every exposure, and physics that can be checked."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from reducers.identify import identify
from reducers.identity import FrameKind
from reducers.profiles import load_instrument
from reducers.simulate.camera import Window, sensitivity
from reducers.simulate.field_truth import field_truth
from reducers.simulate.filters import PASSBANDS
from reducers.simulate.frames import pointing_of, simulate, simulate_with_planes
from reducers.simulate.illumination import dust, fringes, vignetting
from reducers.simulate.place import Place
from reducers.simulate.records import PlannedExposure, Source
from reducers.simulate.scene import SatelliteTrail, Scene, Visitor
from reducers.simulate.sky import Sky, distance_deg, stars_near
from reducers.simulate.sources import flux_of
from reducers.simulate.through_filter import ab_through
from reducers.simulate.well import WELL_E, bleed

ALFOSC = load_instrument("alfosc")
WINDOW = (701, 1400, 701, 1400)


def image(**changes: Any) -> PlannedExposure:
    """Return a planned image of a windowed field."""
    plan = PlannedExposure(
        stem="ALJa150100",
        number=100,
        kind=FrameKind.IMG_OBJECT,
        start=datetime(2026, 1, 15, 23, tzinfo=UTC),
        exposure_s=120.0,
        object_name="field",
        filter=PASSBANDS["r_SDSS"].header_name,
        window=WINDOW,
        y_binning=1,
        ra_deg=150.0,
        dec_deg=30.0,
        seeing_arcsec=0.9,
        scene=Scene(),
    )
    return replace(plan, **changes)


def truth_of(plan: PlannedExposure) -> Any:
    return field_truth(plan, pointing_of(plan), ALFOSC)


def header_of(content: bytes) -> fits.Header:
    with fits.open(io.BytesIO(content)) as hdus:
        header: fits.Header = hdus[0].header.copy()
        header.update(hdus[1].header)
    return header


def test_another_pointing_and_filter_show_the_same_stars() -> None:
    here = truth_of(image())
    there = truth_of(image(ra_deg=150.01, dec_deg=30.008, filter="V_Bes 530_80"))
    _, a, b = np.intersect1d(here.stars.number, there.stars.number, return_indices=True)
    assert len(a) > 20
    assert here.ra_deg[a] == pytest.approx(there.ra_deg[b], abs=1e-10)
    assert here.stars.magnitudes["g_PS1"][a] == pytest.approx(there.stars.magnitudes["g_PS1"][b])


@pytest.mark.parametrize(("ra", "dec"), [(0.0, 45.0), (359.99, -5.0), (10.0, 89.9), (200.0, 75.0)])
def test_a_wide_cone_holds_all_that_a_narrow_one_does(ra: float, dec: float) -> None:
    sky = Sky(stars_per_deg2=30_000)
    wide, narrow = stars_near(sky, ra, dec, 0.12), stars_near(sky, ra, dec, 0.05)
    inside = distance_deg(wide.ra_deg, wide.dec_deg, ra, dec) <= 0.05
    assert sorted(wide.number[inside]) == sorted(narrow.number)
    area = np.pi * 0.05**2
    assert len(narrow) == pytest.approx(30_000 * area, rel=0.25)


def test_places_are_those_of_a_tangent_plane_with_sip() -> None:
    place = Place(ra_deg=150.0, dec_deg=60.0, rotation_deg=33.0)
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN-SIP", "DEC--TAN-SIP"]
    wcs.wcs.crval = [150.0, 60.0]
    wcs.wcs.crpix = [1050.0, 1050.0]
    scale, turn = place.scale_arcsec / 3600, np.radians(33.0)
    wcs.wcs.cd = scale * np.array([[-np.cos(turn), np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    header = wcs.to_header()
    header["CTYPE1"], header["CTYPE2"] = "RA---TAN-SIP", "DEC--TAN-SIP"
    header["A_ORDER"], header["B_ORDER"] = 3, 3
    for name in ("A_3_0", "A_1_2", "B_0_3", "B_2_1"):
        header[name] = place.cubic
    header["A_2_0"], header["B_1_1"] = place.quadratic, place.quadratic
    oracle = WCS(header)
    x, y = (grid.ravel() for grid in np.meshgrid([0.0, 700, 1500, 2147], [0.0, 900, 2101]))
    ra, dec = place.sky(x, y)
    expected_ra, expected_dec = oracle.all_pix2world(x, y, 0)
    assert ra == pytest.approx(expected_ra, abs=1e-9)
    assert dec == pytest.approx(expected_dec, abs=1e-9)
    back_x, back_y = place.pixels(ra, dec)
    assert back_x == pytest.approx(x, abs=1e-6)
    assert back_y == pytest.approx(y, abs=1e-6)


def test_the_distortion_reaches_two_pixels_in_the_corner() -> None:
    bent, flat = (
        Place(ra_deg=150.0, dec_deg=30.0),
        Place(ra_deg=150.0, dec_deg=30.0, cubic=0.0, quadratic=0.0),
    )
    x, y = bent.pixels(*flat.sky(2098.0, 2064.0))
    assert np.hypot(x - 2098, y - 2064) == pytest.approx(2.0, abs=0.3)


@pytest.mark.parametrize("binning", [1, 2])
def test_the_header_is_wrong_by_what_the_scene_says(binning: int) -> None:
    scene = Scene(pointing_error_arcsec=(-60.0, 45.0), rotation_error_deg=0.8)
    plan = image(scene=scene, x_binning=binning, y_binning=binning)
    header = header_of(simulate(plan, ALFOSC).content)
    said = WCS(
        fits.Header({key: header[key] for key in header if key[:2] in ("CT", "CR", "CD", "CU")})
    )
    truth = truth_of(plan)
    # The middle of the detector, as the header places it on this window.
    pixel = (1049.0 - 700 + 0.5) / binning - 0.5
    ra, dec = said.all_pix2world(pixel, pixel, 0)
    east = (truth.place.ra_deg - ra) * np.cos(np.radians(30.0)) * 3600
    north = (truth.place.dec_deg - dec) * 3600
    assert (east, north) == pytest.approx((-60.0, 45.0), abs=0.05)
    up_ra, up_dec = said.all_pix2world(pixel, pixel + 100 / binning, 0)
    true_ra, true_dec = truth.place.sky(1049.0, 1149.0)
    said_turn = np.arctan2((up_ra - ra) * np.cos(np.radians(30.0)), up_dec - dec)
    true_turn = np.arctan2(
        (true_ra - truth.place.ra_deg) * np.cos(np.radians(30.0)), true_dec - truth.place.dec_deg
    )
    assert np.degrees(true_turn - said_turn) == pytest.approx(0.8, abs=0.02)


def test_proper_motions_carry_stars_from_the_catalogue_to_the_night() -> None:
    stars = stars_near(Sky(), 150.0, 30.0, 0.05)
    ra, dec = stars.at(2026.0)
    east = (ra - stars.ra_deg) * np.cos(np.radians(stars.dec_deg)) * 3.6e6
    assert east == pytest.approx(10 * stars.motion_ra_mas, abs=0.01)
    assert (dec - stars.dec_deg) * 3.6e6 == pytest.approx(10 * stars.motion_dec_mas, abs=0.01)
    assert np.median(np.hypot(stars.motion_ra_mas, stars.motion_dec_mas)) == pytest.approx(4, abs=1)


@pytest.mark.parametrize("binning", [1, 2])
def test_a_star_gives_the_electrons_and_the_centre_of_its_truth(binning: int) -> None:
    visitor = Visitor(name="x", ra_deg=150.004, dec_deg=30.003, r_mag=17.0)
    empty = Scene(sky=Sky(stars_per_deg2=0.0, galaxies_per_deg2=0.0))
    lone = image(scene=replace(empty, visitors=(visitor,)), x_binning=binning, y_binning=binning)
    dark = replace(lone, scene=empty)
    window = Window(x0=700, x1=1400, y0=700, y1=1400, x_binning=binning, y_binning=binning)
    passed = vignetting(window) * sensitivity(window) * dust(window, lone.filter)
    with_star, without = (
        simulate_with_planes(plan, ALFOSC)[1].expected_e / passed for plan in (lone, dark)
    )
    light, truth = with_star - without, truth_of(lone)
    rows, columns = np.indices(light.shape)
    assert light.sum() == pytest.approx(truth.electrons[0], rel=0.01)
    core = light > light.max() / 20
    x = (light * columns)[core].sum() / light[core].sum() * binning + (binning - 1) / 2 + 700
    y = (light * rows)[core].sum() / light[core].sum() * binning + (binning - 1) / 2 + 700
    assert (x, y) == pytest.approx((truth.x[0], truth.y[0]), abs=0.05)


def test_a_magnitude_at_the_zero_point_gives_an_electron_a_second() -> None:
    truth = truth_of(image())
    rate = truth.electrons / 120.0
    above = -2.5 * np.log10(rate) + truth.zero_point - truth.extinction
    assert above == pytest.approx(truth.magnitude)


def test_charge_that_bleeds_is_neither_lost_nor_made() -> None:
    electrons = np.full((200, 5), 100.0)
    electrons[98:103, 2] = 9e5
    before = electrons.sum()
    full = bleed(electrons)
    assert electrons.sum() == pytest.approx(before)
    assert electrons.max() <= WELL_E
    rows = np.flatnonzero(full[:, 2])
    assert len(rows) == pytest.approx(5 * 9e5 / WELL_E, abs=2)
    assert rows.mean() == pytest.approx(100, abs=1)
    assert not full[:, [0, 1, 3, 4]].any()


def test_a_star_too_bright_saturates_and_bleeds_along_its_column() -> None:
    visitor = Visitor(name="x", ra_deg=150.004, dec_deg=30.003, r_mag=11.5)
    plan = image(scene=Scene(visitors=(visitor,)))
    frame, planes = simulate_with_planes(plan, ALFOSC)
    rows, columns = np.nonzero(planes.full)
    assert np.ptp(rows) > 3 * np.ptp(columns) > 0
    with fits.open(io.BytesIO(frame.content)) as hdus:
        raw = np.asarray(hdus[1].data, dtype=np.int64)
    assert np.median(raw[planes.full]) > 690_000


def test_a_trail_is_as_bright_as_it_says() -> None:
    trail = SatelliteTrail(x_px=1050.0, y_px=1050.0, angle_deg=30.0, sigma=2.0)
    plans = [image(scene=Scene(stars=False, trails=t)) for t in ((trail,), ())]
    lit, dark = (simulate_with_planes(plan, ALFOSC)[1].expected_e for plan in plans)
    noise = np.sqrt(np.median(dark) + 5.76**2)
    assert (lit - dark).max() / noise == pytest.approx(2.0, rel=0.08)


def test_fringes_stay_on_the_detector_and_grow_with_the_sky() -> None:
    def ripple(**changes: Any) -> Any:
        plan = image(
            filter=PASSBANDS["z_SDSS"].header_name,
            scene=Scene(stars=False, sky_gradient=0.0), **changes,
        )  # fmt: skip
        light = simulate_with_planes(plan, ALFOSC)[1].expected_e
        window = Window(x0=700, x1=1400, y0=700, y1=1400, x_binning=1, y_binning=1)
        passed = vignetting(window) * sensitivity(window) * dust(window, plan.filter)
        return light / passed

    one, other = ripple(), ripple(ra_deg=200.0, dec_deg=40.0, sky_brightness=3.0)
    assert np.std(one) / np.mean(one) == pytest.approx(0.02, rel=0.4)
    # Warm pixels do not follow the sky.
    assert np.percentile(np.abs(other / one - 3), 99.9) < 1e-3
    pattern = fringes(
        Window(x0=0, x1=2148, y0=0, y1=2102, x_binning=1, y_binning=1), "z'_SDSS  832_LP"
    )
    assert (pattern.mean(), pattern.std()) == pytest.approx((0, 1), abs=1e-3)


@pytest.mark.parametrize("name", sorted(PASSBANDS))
def test_every_filter_is_read_back_from_its_wheel(name: str) -> None:
    plan = image(filter=PASSBANDS[name].header_name, window=(901, 1100, 901, 1100))
    identity = identify(header_of(simulate(plan, ALFOSC).content), ALFOSC)
    assert identity.kind is FrameKind.IMG_OBJECT
    assert identity.setup.filter == name


def test_defocus_and_drift_spread_light_but_keep_it() -> None:
    visitor = Visitor(name="x", ra_deg=150.004, dec_deg=30.003, r_mag=17.0)
    empty = Sky(stars_per_deg2=0.0, galaxies_per_deg2=0.0)
    sharp = Scene(sky=empty, visitors=(visitor,))
    lights = [
        simulate_with_planes(image(scene=scene), ALFOSC)[1].expected_e
        for scene in (
            sharp, replace(sharp, defocus_arcsec=3.0), replace(sharp, drift_px=(30.0, 0.0)),
            Scene(sky=empty),
        )
    ]  # fmt: skip
    in_focus, ring, streak = (light - lights[3] for light in lights[:3])
    assert ring.sum() == pytest.approx(in_focus.sum(), rel=0.02)
    assert streak.sum() == pytest.approx(in_focus.sum(), rel=0.02)
    row, column = np.unravel_index(np.argmax(in_focus), in_focus.shape)
    assert ring[row, column] < 0.5 * ring.max()
    assert streak[row, column + 12] > 0.7 * streak[row, column]
    assert streak[row + 12, column] < 0.05 * streak[row, column]


def test_flats_of_dome_and_twilight_differ_only_smoothly() -> None:
    plans = [
        image(kind=FrameKind.IMG_FLAT, exposure_s=3.0, image_type=kind, scene=Scene(stars=False))
        for kind in ("FLAT,SKY", "FLAT,DOME")
    ]
    sky, dome = (simulate_with_planes(plan, ALFOSC)[1].expected_e for plan in plans)
    ratio = dome / sky
    assert 0.005 < np.ptp(ratio) < 0.05
    assert np.abs(np.diff(ratio, axis=0)).max() < 1e-3


def test_the_plane_of_cosmic_rays_shows_what_the_raw_frame_holds() -> None:
    plan = image(exposure_s=300.0, scene=Scene(stars=False, hit_rate=3.0))
    quiet = replace(plan, scene=replace(plan.scene or Scene(), hit_rate=0.0))
    (hit, planes), (_, none) = (simulate_with_planes(p, ALFOSC) for p in (plan, quiet))
    assert not none.cosmic_ray_e.any()
    assert hit.truth.cosmic_rays > 10
    with fits.open(io.BytesIO(hit.content)) as hdus:
        raw = np.asarray(hdus[1].data, dtype=np.int64)
    struck = planes.cosmic_ray_e > 1000
    assert (raw[struck].mean() - np.median(raw)) * 0.18 > 1000


@pytest.mark.parametrize("model", ["supernova", "quasar", "star"])
def test_a_filter_passes_what_a_slit_shows_of_the_same_source(model: str) -> None:
    """The mean flux in r over that of 0 mag, each wavelength by its photons."""
    wavelength = np.arange(5440.0, 6920.0, 1.0)
    source = Source(name="", model=model, ab_magnitude=18.0)
    photons = np.sum(flux_of(source, wavelength, ALFOSC) * wavelength)
    of_zero = np.sum(10 ** (-0.4 * 48.6) * 2.99792458e18 / wavelength)
    found = ab_through(model, 18.0, PASSBANDS["r_SDSS"], ALFOSC)
    assert found == pytest.approx(-2.5 * np.log10(photons / of_zero), abs=0.01)
