"""Images through the slit tell where the target stands on it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from reducers.frame import Frame, Geometry
from reducers.identity import FrameKind, Identity, Setup
from reducers.imaging.acquisition import OnSlit, measure_on_slit
from reducers.profiles import load_instrument

ALFOSC = load_instrument("alfosc")
GEOMETRY = Geometry(x0=700, y0=940)
SHAPE = (240, 500)
SLIT_PX = 1057.4


def _identity(kind: FrameKind = FrameKind.SLIT_IMAGE, slit: str = "Slit_1.0") -> Identity:
    return Identity(
        instrument="ALFOSC",
        kind=kind,
        setup=Setup(x_binning=1, y_binning=1, window=(1, 1, 1, 1), readout="D-8-200", slit=slit),
        observed_at=None,
        exposure_s=20.0,
        aperture_y_px=1057.37,
    )


def _through_slit(
    *,
    seed: int = 0,
    across_arcsec: float = 0.0,
    star_e: float = 2e5,
    sky_e: float = 100.0,
    slit_arcsec: float = 1.0,
    fwhm_arcsec: float = 0.9,
    beta: float | None = None,
) -> Frame:
    """Return the sky and a star behind a slit with sharp edges, sampled five times per pixel."""
    fine = 5
    y = GEOMETRY.y0 + (np.arange(SHAPE[0] * fine) + 0.5) / fine - 0.5
    x = GEOMETRY.x0 + np.arange(SHAPE[1])
    open_ = np.abs(y - SLIT_PX) < slit_arcsec / 2 / 0.2138
    fwhm = fwhm_arcsec / 0.2138
    r2 = (y[:, None] - SLIT_PX - across_arcsec / 0.2138) ** 2 + (x[None, :] - 955.3) ** 2
    if beta is None:
        star = np.exp(-4 * np.log(2) * r2 / fwhm**2)
    else:
        alpha2 = fwhm**2 / (4 * (2 ** (1 / beta) - 1))
        star = (1 + r2 / alpha2) ** -beta
    star *= star_e * fine / star.sum()
    light = (open_[:, None] * (sky_e + star)).reshape(SHAPE[0], fine, SHAPE[1]).mean(axis=1)
    rng = np.random.default_rng(seed)
    data = rng.poisson(light + 3.0) + rng.normal(0, 5, SHAPE)
    variance = light + 3.0 + 25
    return Frame(
        data=data,
        variance=variance,
        mask=np.zeros(SHAPE, np.uint16),
        unit="electron",
        geometry=GEOMETRY,
    )


@pytest.mark.parametrize("across_arcsec", [-0.6, -0.3, 0.0, 0.2, 0.5])
def test_the_place_across_the_slit_is_seen_though_the_slit_cuts_the_star(across_arcsec: float):
    pulls = []
    for seed in range(4):
        frame = _through_slit(seed=seed, across_arcsec=across_arcsec)
        found = measure_on_slit(frame, _identity(), ALFOSC)
        assert found.why == ""
        assert found.across_arcsec == pytest.approx(across_arcsec, abs=0.06)
        assert found.along_px == pytest.approx(955.3, abs=0.1)
        assert found.slit_px == pytest.approx(SLIT_PX, abs=0.15)
        assert found.fwhm_arcsec == pytest.approx(0.9, rel=0.06)
        pulls.append((found.across_arcsec - across_arcsec) / found.across_error_arcsec)
    assert np.sqrt(np.mean(np.square(pulls))) < 2.5


def test_a_star_with_wings_is_not_taken_for_one_beside_the_slit():
    found = measure_on_slit(_through_slit(beta=3.0, across_arcsec=0.3), _identity(), ALFOSC)
    assert found.across_arcsec == pytest.approx(0.3, abs=0.12)


def test_a_cosmic_ray_on_the_slit_is_not_taken_for_the_target():
    frame = _through_slit(across_arcsec=0.2)
    data = frame.data.copy()
    row = round(SLIT_PX - GEOMETRY.y0)
    data[row, 225:230] += 40_000  # a track along the slit, brighter than the star
    data[row - 3 : row + 3, 290] += 40_000
    struck = Frame(
        data=data, variance=frame.variance, mask=frame.mask, unit="electron", geometry=GEOMETRY
    )
    found = measure_on_slit(struck, _identity(), ALFOSC)
    assert found.along_px == pytest.approx(955.3, abs=0.5)
    assert found.across_arcsec == pytest.approx(0.2, abs=0.15)


def test_a_target_beside_the_slit_is_told_in_the_unit_of_the_limit():
    inside = measure_on_slit(_through_slit(across_arcsec=0.2), _identity(), ALFOSC)
    beside = measure_on_slit(_through_slit(across_arcsec=1.1, star_e=2e6), _identity(), ALFOSC)
    assert inside.measurements["target_across_slit"] < 0.4
    assert beside.measurements["target_across_slit"] > 0.9


def test_vertical_slits_are_measured_along_the_columns():
    frame = _through_slit(across_arcsec=0.2, slit_arcsec=0.9)
    turned = Frame(
        data=frame.data.T,
        variance=frame.variance.T,
        mask=frame.mask.T,
        unit="electron",
        geometry=Geometry(x0=GEOMETRY.y0, y0=GEOMETRY.x0),
    )
    found = measure_on_slit(turned, _identity(slit="Vert_0.9"), ALFOSC)
    assert found.across_arcsec == pytest.approx(0.2, abs=0.06)


@pytest.mark.parametrize(
    ("changes", "identity", "why"),
    [
        ({}, _identity(FrameKind.ACQUISITION), "Only an image through the slit"),
        ({}, _identity(slit="Slit_77"), "is not known"),
        ({"sky_e": 0.0, "star_e": 0.0}, _identity(), "No stripe"),
        ({"star_e": 0.0}, _identity(), "No star"),
    ],
)
def test_what_cannot_be_measured_is_said(changes: Any, identity: Identity, why: str):
    found = measure_on_slit(_through_slit(**changes), identity, ALFOSC)
    assert why in found.why
    assert found.measurements == {}


def test_no_star_is_found_on_empty_slits():
    for seed in range(10):
        found = measure_on_slit(_through_slit(seed=seed, star_e=0.0), _identity(), ALFOSC)
        assert isinstance(found, OnSlit)
        assert "No star" in found.why
