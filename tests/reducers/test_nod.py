"""A - B takes away what two exposures share, and says what it costs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from reducers.errors import SetupMismatch
from reducers.frame import Frame, Geometry, Mask
from reducers.profiles import load_instrument
from reducers.spectroscopy.extract import Extraction
from reducers.spectroscopy.longslit import Slit
from reducers.spectroscopy.nod import nod_measurements, subtract_partner
from reducers.spectroscopy.nominal import nominal_solution
from reducers.spectroscopy.trace import Trace

ROWS, COLUMNS, READ_NOISE_E, FWHM_PX = 400, 240, 6.0, 6.0
SKY_E = 300.0
#: Fringes and dust that no flat took out.
STRUCTURE = 0.06 * np.random.default_rng(1).normal(size=(ROWS, COLUMNS))
SOLUTION = nominal_solution(load_instrument("alfosc").grisms["Grism_#4"], 0.0)


def star(column, per_row):
    distance = np.arange(COLUMNS) - column
    shape = np.exp(-0.5 * (distance / (FWHM_PX / 2.3548)) ** 2)
    return per_row * shape / shape.sum()


def exposure(seed, column, *, sky=SKY_E, per_row=2000.0, masters=None):
    """Return the slit of an exposure with one object, as `measure_slit` would describe it."""
    rng = np.random.default_rng(seed)
    light = sky * (1 + STRUCTURE) + star(column, per_row)[None, :]
    data = rng.poisson(light) + rng.normal(0, READ_NOISE_E, light.shape)
    data = data + (0 if masters is None else masters)
    frame = Frame(
        data=data,
        variance=light + READ_NOISE_E**2,
        mask=np.zeros(light.shape, np.uint16),
        unit="electron",
    )
    rows = np.arange(ROWS, dtype=float)
    trace = Trace(rows=rows, columns=np.full(ROWS, column), fwhm_px=FWHM_PX, rms_px=0.01)
    nothing = np.zeros(ROWS)
    counts = Extraction(
        flux=nothing, variance=nothing, box_flux=nothing, box_variance=nothing, sky=nothing,
        mask=np.zeros(ROWS, np.uint16),
    )  # fmt: skip
    return Slit(
        frame=frame, sky=np.full(light.shape, sky), wavelengths=np.ones(light.shape),
        profile=star(column, per_row), solution=SOLUTION, traces=(trace,), widths_px=(FWHM_PX,),
        extractions=(counts,), measurements={},
    )  # fmt: skip


def subtracted(own, partner, masters_e2=0.0):
    return subtract_partner(
        own,
        partner,
        read_noise_e=READ_NOISE_E,
        masters_variance=np.full((ROWS, COLUMNS), masters_e2),
    )


def pulls(nod, columns):
    """Return the sky that is left in some columns, in sigma of its own account."""
    light = SKY_E * np.ones((ROWS, COLUMNS)) + READ_NOISE_E**2 + nod.variance
    return ((nod.frame.data - SKY_E) / np.sqrt(light))[:, columns]


def test_shared_structure_goes_and_the_noise_is_that_of_both() -> None:
    own, partner = exposure(2, 60.0), exposure(3, 160.0)
    nod = subtracted(own, partner)
    before = (own.frame.data - SKY_E)[:, 90:130] / np.sqrt(SKY_E + READ_NOISE_E**2)
    assert np.std(before) > 1.3
    assert np.std(pulls(nod, slice(90, 130))) == pytest.approx(1, abs=0.02)
    expected = 2 * (SKY_E + READ_NOISE_E**2)
    assert np.median(nod.variance[:, 90:130]) + SKY_E + READ_NOISE_E**2 == pytest.approx(expected)


def test_the_own_object_keeps_its_flux() -> None:
    own, partner = exposure(2, 60.0), exposure(3, 160.0)
    flux = (subtracted(own, partner).frame.data - SKY_E)[:, 45:76].sum() / ROWS
    assert flux == pytest.approx(2000, rel=0.01)


def test_the_partner_s_object_leaves_no_negative_spectrum() -> None:
    own, partner = exposure(2, 60.0), exposure(3, 160.0)
    nod = subtracted(own, partner)
    np.testing.assert_array_equal(nod.frame.data[:, 155:166], own.frame.data[:, 155:166])
    assert (nod.variance[:, 155:166] == 0).all()


def test_roles_exchanged_give_the_partner_s_spectrum() -> None:
    own, partner = exposure(2, 60.0, per_row=500.0), exposure(3, 160.0, per_row=1500.0)
    flux = (subtracted(partner, own).frame.data - SKY_E)[:, 145:176].sum() / ROWS
    assert flux == pytest.approx(1500, rel=0.01)


def test_structure_is_scaled_with_the_sky() -> None:
    own, partner = exposure(2, 60.0), exposure(3, 160.0, sky=2 * SKY_E)
    nod = subtracted(own, partner)
    assert nod.scale == pytest.approx(0.5, abs=0.01)
    assert np.std(pulls(nod, slice(90, 130))) == pytest.approx(1, abs=0.02)


def test_the_noise_of_the_masters_cancels() -> None:
    same = np.random.default_rng(9).normal(0, 8.0, (ROWS, COLUMNS))
    own, partner = exposure(2, 60.0, masters=same), exposure(3, 160.0, masters=same)
    nod = subtracted(own, partner, masters_e2=64.0)
    total = SKY_E + READ_NOISE_E**2 + 64.0 + nod.variance[:, 90:130]
    left = (nod.frame.data - SKY_E)[:, 90:130] / np.sqrt(total)
    assert np.std(left) == pytest.approx(1, abs=0.02)


def test_cosmic_rays_of_the_partner_are_not_subtracted() -> None:
    own, partner = exposure(2, 60.0), exposure(3, 160.0)
    mask, data = partner.frame.mask.copy(), partner.frame.data.copy()
    mask[100, 100], data[100, 100] = int(Mask.COSMIC), 5000
    data[200, 100] = 5000  # one that no search has found
    hit = replace(partner, frame=partner.frame.after("hit", data=data, mask=mask))
    nod = subtracted(own, hit)
    for row in (100, 200):
        assert nod.frame.data[row, 100] == own.frame.data[row, 100]
        assert nod.variance[row, 100] == 0


def test_an_overlap_of_the_two_objects_is_measured() -> None:
    own = exposure(2, 60.0)
    far, near = exposure(3, 160.0), exposure(3, 64.0)
    measured = nod_measurements(subtracted(own, far), own, far)
    assert measured["nod_px"] == pytest.approx(-100)
    assert measured["nod_overlap"] == 0
    assert nod_measurements(subtracted(own, near), own, near)["nod_overlap"] == 1


def test_a_partner_of_another_window_is_refused() -> None:
    own, partner = exposure(2, 60.0), exposure(3, 160.0)
    elsewhere = replace(partner, frame=replace(partner.frame, geometry=Geometry(x0=10)))
    with pytest.raises(SetupMismatch, match="window and binning"):
        subtracted(own, elsewhere)
