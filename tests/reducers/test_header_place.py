"""The first guess of where an image lies on the sky."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from reducers.errors import ProfileError
from reducers.fits import read_raw
from reducers.frame import Frame, Geometry
from reducers.identify import identify
from reducers.identity import FrameKind, Identity, Setup
from reducers.imaging.astrometry import solve_astrometry
from reducers.imaging.background import estimate_background
from reducers.imaging.detection import detect
from reducers.imaging.header_place import header_place
from reducers.imaging.references import References
from reducers.imaging.sky_map import SkyMap
from reducers.imaging.tangent_plane import from_plane, moved_tangent, onto_plane
from reducers.profile_imaging import Distortion, Imaging
from reducers.profiles import load_instrument
from tests.reducers.star_lists import catalogue

if TYPE_CHECKING:
    from pathlib import Path

    from reducers.instrument import Section

ALFOSC = load_instrument("alfosc")


def _identity(window: tuple[int, int, int, int] = (1, 2148, 1, 2102), **known: Any) -> Identity:
    return Identity(
        instrument="ALFOSC",
        kind=FrameKind.IMG_OBJECT,
        setup=Setup(x_binning=1, y_binning=1, window=window, readout="D-8-200"),
        observed_at=None,
        exposure_s=60.0,
        **known,
    )


def _cards() -> dict[str, Any]:
    scale = 0.2138 / 3600
    return dict(
        zip(
            [
                "CTYPE1",
                "CTYPE2",
                "CRVAL1",
                "CRVAL2",
                "CRPIX1",
                "CRPIX2",
                "CD1_1",
                "CD1_2",
                "CD2_1",
                "CD2_2",
            ],
            ("RA---TAN", "DEC--TAN", 10.0, 60.0, 101.0, 201.0, -scale, 0.0, 0.0, scale),
            strict=True,
        )
    )


@pytest.mark.parametrize("dec_deg", [-30.0, 0.0, 60.0, 88.0, 89.99])
@pytest.mark.parametrize("ra_deg", [0.001, 150.0, 359.999])
def test_the_plane_and_the_sky_are_inverse_at_any_declination(ra_deg: float, dec_deg: float):
    xi, eta = np.array([-300.0, 5.0, 400.0]), np.array([200.0, 0.0, -350.0])
    again = onto_plane(*from_plane(xi, eta, (ra_deg, dec_deg)), (ra_deg, dec_deg))
    np.testing.assert_allclose(again, (xi, eta), atol=1e-6)


def test_moving_the_tangent_point_close_to_the_pole_keeps_every_position():
    matrix = np.array([[-6e-5, 1e-6], [1e-6, 6e-5]])
    tangent, turned = moved_tangent((10.0, 89.9), matrix, (600.0, -400.0))
    before = from_plane(*(matrix @ [700.0, -300.0] * 3600), (10.0, 89.9))
    after = from_plane(*(turned @ [100.0, 100.0] * 3600), tangent)
    away = np.hypot(*onto_plane(*after, (float(before[0]), float(before[1]))))
    assert away < 0.01


def test_the_slit_of_alfosc_lies_along_the_field_angle():
    """Towards smaller x the position angle is FIELD: so say the spectra of 2020-03-21."""
    place = header_place(
        _identity(ra_deg=192.5, dec_deg=28.0, field_deg=80.0), (2064, 2048), Geometry(x0=50), ALFOSC
    )
    assert place is not None
    ra, dec = place.sky([1000.0, 900.0], [1032.0, 1032.0])
    xi, eta = onto_plane(ra, dec, (192.5, 28.0))
    assert np.degrees(np.arctan2(xi[1] - xi[0], eta[1] - eta[0])) == pytest.approx(80, abs=0.1)


def test_the_pointing_falls_on_the_optical_centre_of_any_window_and_binning():
    geometry = Geometry(x0=700, y0=650, x_binning=2, y_binning=2)
    place = header_place(
        _identity(ra_deg=359.9999, dec_deg=75.0, field_deg=0.0), (400, 400), geometry, ALFOSC
    )
    assert place is not None
    x, y = place.pixels(359.9999, 75.0)
    assert geometry.detector_x(x) == pytest.approx(1050)
    assert geometry.detector_y(y) == pytest.approx(1032)
    assert place.pixel_scale_arcsec == pytest.approx(2 * 0.2138, rel=1e-6)


def test_sane_cards_are_used_with_window_and_trimming():
    cards = _cards()
    identity = _identity(window=(701, 1500, 601, 1400), ra_deg=10.01, dec_deg=60.0)
    place = header_place(identity, (790, 780), Geometry(x0=710, y0=605), ALFOSC, cards)
    assert place is not None
    x, y = place.pixels(10.0, 60.0)
    assert (x, y) == (pytest.approx(100 - 10, abs=0.01), pytest.approx(200 - 5, abs=0.01))


@pytest.mark.parametrize(
    "wrong",
    [
        {"CD1_1": -1.0},
        {"CRVAL2": -20.0},
        {"CTYPE1": "X"},
        {"CRPIX1": "?"},
        {"CRPIX1": 99999.0},  # the position is the pointing's, but ascribed to a place far off
        {"CD1_2": 5e-5},
    ],
)
def test_cards_that_cannot_be_are_passed_over(wrong: dict[str, Any]):
    cards = _cards()
    identity = _identity(ra_deg=10.01, dec_deg=60.0)
    by_pointing = header_place(identity, (2064, 2048), Geometry(x0=50), ALFOSC)
    place = header_place(identity, (2064, 2048), Geometry(x0=50), ALFOSC, {**cards, **wrong})
    assert place is not None
    assert by_pointing is not None
    np.testing.assert_allclose(place.sky(5.0, 5.0), by_pointing.sky(5.0, 5.0), atol=1e-9)


def test_without_a_position_there_is_no_guess():
    assert header_place(_identity(), (2064, 2048), Geometry(x0=50), ALFOSC) is None


def test_a_known_distortion_moves_binned_pixels_as_far_on_the_sky_as_unbinned_ones():
    imaging = Imaging(
        centre_px=(1000.0, 1000.0),
        field_direction_deg=90,
        parity=1,
        distortion=Distortion(x_terms={"30": 1e-9, "12": 1e-9}, y_terms={"03": 1e-9, "21": 1e-9}),
    )
    instrument, identity = replace(ALFOSC, imaging=imaging), _identity(ra_deg=5.0, dec_deg=0.0)
    one = header_place(identity, (2000, 2000), Geometry(), instrument)
    two = header_place(identity, (1000, 1000), Geometry(x_binning=2, y_binning=2), instrument)
    assert one is not None
    assert two is not None
    np.testing.assert_allclose(one.sky(101.5, 1801.5), two.sky(50.5, 900.5), atol=1e-10)
    x, _ = one.pixels(*one.sky(100.0, 1800.0))
    assert x == pytest.approx(100.0, abs=1e-3)


def test_a_profile_with_a_senseless_parity_or_term_is_refused():
    with pytest.raises(ProfileError, match="parity"):
        Imaging(centre_px=(0.0, 0.0), field_direction_deg=0.0, parity=2)
    with pytest.raises(ProfileError, match="term"):
        Distortion(x_terms={"10": 1.0})


@pytest.mark.realdata
def test_efosc2_cards_and_profile_tell_the_same_place(realdata: Path):
    """The header's own map, and the one of pointing, field angle and profile."""
    instrument = load_instrument("efosc2")
    frames = sorted(realdata.glob("efosc2_raw/EFOSC.2022-0*.fits.gz"))
    compared = 0
    for path in frames:
        raw = read_raw(path, instrument.detector)
        identity = identify(raw.header, instrument)
        if "TAN" not in str(raw.header.get("CTYPE1")):
            continue
        geometry = Geometry(x_binning=2, y_binning=2)
        by_cards = header_place(identity, raw.data.shape, geometry, instrument, raw.header)
        by_profile = header_place(identity, raw.data.shape, geometry, instrument)
        assert by_cards is not None
        assert by_profile is not None
        x, y = by_profile.pixels(*by_cards.sky([100.0, 900.0], [200.0, 800.0]))
        np.testing.assert_allclose((x, y), ([100, 900], [200, 800]), atol=2.5)  # scales: 0.3 %
        compared += 1
    assert compared >= 5


@pytest.mark.realdata
def test_the_offsets_of_three_efosc2_frames_are_those_that_their_headers_tell(realdata: Path):
    """One frame's stars are the next one's catalogue: parity, rotation, scale of the header.

    The telescope was moved 10 arcsec in RA and twice 5 in Dec. With the wrong parity, or half a
    turn off, the first two frames would lie 20 arcsec from where their headers put them.
    """
    instrument = load_instrument("efosc2")
    images = []
    for path in sorted(realdata.glob("efosc2_raw/EFOSC.2022-01-28T0[45]*.fits.gz")):
        raw = read_raw(path, instrument.detector)
        identity = identify(raw.header, instrument)
        detector = instrument.detector.image
        frame, geometry = _electrons(raw.data, detector, instrument.detector.gain_e_per_adu)
        background = estimate_background(frame)
        found, _ = detect(frame, background.level, background.rms, threshold=8.0)
        place = header_place(identity, frame.shape, geometry, instrument, raw.header)
        assert place is not None
        images.append((found, place))
    first, first_place = images[0]
    ra, dec = first_place.sky(first.x, first.y)
    error = np.hypot(first.x_error, first.y_error) * 240
    references = References(astrometric=catalogue(ra, dec, -np.log10(first.flux), error))
    assert len(images) == 3
    for found, place in images[1:]:
        result = solve_astrometry(found, place, references, instrument, exposure_s=180.0)
        assert result.solved
        assert result.method == "prior"
        assert result.matched > 40
        assert result.facts["parity"] == -1
        assert result.facts["offset_arcsec"] < 0.5
        assert abs(result.facts["rotation_deg"]) < 0.05
        assert result.facts["scale_ratio"] == pytest.approx(1, abs=1e-3)
        assert max(result.ra_rms_mas, result.dec_rms_mas) < 100
    wcs = place.wcs.deepcopy()
    wcs.wcs.cd = wcs.wcs.cd @ [[0.0, 1.0], [1.0, 0.0]]  # x and y exchanged: turned and mirrored
    again = solve_astrometry(found, SkyMap(wcs=wcs), references, instrument, exposure_s=180.0)
    assert again.method == "wide"
    np.testing.assert_allclose(again.sky_map.sky(5, 9), result.sky_map.sky(5, 9), atol=3e-5)


def _electrons(counts: Any, image: Section, gain: float) -> tuple[Frame, Geometry]:
    rows = slice(image.y_start // 2, image.y_stop // 2)
    columns = slice(image.x_start // 2, image.x_stop // 2)
    data = (counts[rows, columns] - 200.0) * gain
    geometry = Geometry(x0=image.x_start, y0=image.y_start, x_binning=2, y_binning=2)
    mask = np.zeros(data.shape, np.uint16)
    variance = np.maximum(data, 0) + 140.0
    return Frame(
        data=data, variance=variance, mask=mask, unit="electron", geometry=geometry
    ), geometry
