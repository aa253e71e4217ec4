"""Zero points are those of the truth, with errors that hold, for whatever catalogue there is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from astropy.wcs import WCS

from reducers.imaging.colour_terms import (
    Passband,
    calibrators,
    passband_of,
    passbands,
    transformations,
)
from reducers.imaging.references import ReferenceCatalogue, References
from reducers.imaging.sky_map import Astrometry, SkyMap
from reducers.imaging.source_flags import SourceFlag
from reducers.imaging.zero_point import ZeroPoint, fit_zero_point, magnitudes

PASSBAND = Passband(
    band="r",
    wavelength_angstrom=6200,
    colour_term_error=0.03,
    zero_point=25.7,
    zero_point_error=0.1,
)


def sky_map() -> SkyMap:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [150.0, 70.0]
    wcs.wcs.crpix = [500.5, 500.5]
    wcs.wcs.cdelt = [-0.2138 / 3600, 0.2138 / 3600]
    return SkyMap(wcs=wcs)


def catalogue(
    name: str, x: np.ndarray, y: np.ndarray, bands: dict[str, np.ndarray], **options: Any
) -> ReferenceCatalogue:
    ra, dec = sky_map().sky(x, y)
    count = len(x)
    defaults: dict[str, Any] = {
        "star": np.ones(count),
        "position_error_mas": np.full(count, 20.0),
        "magnitude_errors": {band: np.full(count, 0.005) for band in bands},
    }
    return ReferenceCatalogue(
        name=name,
        epoch_year=2026.0,
        ra_deg=ra,
        dec_deg=dec,
        motion_known=np.ones(count, bool),
        motion_mas=np.zeros(count),
        magnitudes=bands,
        **(defaults | options),
    )


class Scene:
    """Stars on an image and in a Pan-STARRS-like catalogue, of a known zero point."""

    def __init__(self, count: int, seed: int = 1, *, term: float = 0.0, scatter: float = 0.0):
        rng = np.random.default_rng(seed)
        self.x, self.y = rng.uniform(10, 990, (2, count))
        self.g_r = rng.uniform(0.2, 1.2, count)
        self.r = rng.uniform(16, 19.5, count)
        self.error = 0.004 + 0.03 * 10 ** (0.4 * (self.r - 19.5))
        sdss_r = self.r - 0.001 + 0.004 * self.g_r + 0.007 * self.g_r**2
        sdss_g_r = 0.014 + 1.141 * self.g_r + 0.012 * self.g_r**2
        instrumental = sdss_r - 25.5 - term * (sdss_g_r - 0.6)
        instrumental += rng.normal(0, np.hypot(self.error, scatter))
        self.flux = 60.0 * 10 ** (-0.4 * instrumental)
        self.flags = np.zeros(count, np.int64)
        noise = rng.normal(0, 0.005, (2, count))
        self.bands = {"g": self.r + self.g_r + noise[0], "r": self.r + noise[1]}

    def fit(self, passband: Passband = PASSBAND, **options: Any) -> ZeroPoint:
        known = References(photometric=(catalogue("ps1", self.x, self.y, self.bands),))
        place = Astrometry(sky_map=sky_map(), solved=True, method="prior")
        return fit_zero_point(Sources(self), place, known, passband, exposure_s=60.0, **options)


class Sources:
    """The few columns of the photometry that a zero point looks at."""

    def __init__(self, scene: Scene) -> None:
        self.x, self.y, self.flux, self.flags = scene.x, scene.y, scene.flux, scene.flags
        self.flux_error = scene.flux * scene.error / 1.0857

    def __len__(self) -> int:
        return len(self.x)


def test_a_zero_point_scatters_by_its_error() -> None:
    fits = [Scene(30, seed).fit() for seed in range(60)]
    pulls = np.array([(fit.magnitude - 25.5) / fit.error for fit in fits])
    assert np.std(pulls) == pytest.approx(1.0, abs=0.25)
    assert np.mean([fit.magnitude for fit in fits]) == pytest.approx(25.5, abs=0.002)
    assert all(fit.error < 0.01 for fit in fits)


def test_scatter_beyond_the_errors_is_seen_and_widens_the_error() -> None:
    fits = [Scene(40, seed, scatter=0.04).fit() for seed in range(40)]
    pulls = np.array([(fit.magnitude - 25.5) / fit.error for fit in fits])
    assert np.median([fit.scatter for fit in fits]) == pytest.approx(0.04, abs=0.008)
    assert np.std(pulls) == pytest.approx(1.0, abs=0.3)


def test_variable_stars_and_wrong_matches_do_not_move_it() -> None:
    scene = Scene(40, 3)
    scene.flux[:4] *= 1.3
    scene.flux[4:6] *= 0.5
    fit = scene.fit()
    assert fit.magnitude == pytest.approx(25.5, abs=3 * fit.error + 0.001)
    assert not fit.kept[:6].any()
    assert fit.stars >= 30


def test_saturated_and_extended_sources_do_not_calibrate() -> None:
    scene = Scene(30, 4)
    scene.flux[:15] *= 1.5
    scene.flags[:8] |= int(SourceFlag.SATURATED)
    scene.flags[8:15] |= int(SourceFlag.EXTENDED)
    fit = scene.fit()
    assert fit.matched == 15
    assert fit.magnitude == pytest.approx(25.5, abs=0.01)


def test_a_colour_term_is_fitted_where_stars_tell_it() -> None:
    fit = Scene(80, 5, term=0.10).fit()
    assert fit.colour_term == pytest.approx(0.10, abs=0.02)
    assert fit.magnitude == pytest.approx(25.5, abs=0.006)


def test_few_stars_leave_the_colour_term_where_it_was_known() -> None:
    known = Passband(band="r", wavelength_angstrom=6200, colour_term=0.08, colour_term_error=0.002)
    fit = Scene(5, 6, term=0.08).fit(known)
    assert fit.colour_term == pytest.approx(0.08, abs=0.004)
    assert fit.magnitude == pytest.approx(25.5, abs=0.02)


def test_airmass_changes_the_transparency_but_no_magnitude() -> None:
    scene = Scene(30, 7)
    low, high = (scene.fit(airmass=airmass, extinction_mag=0.1) for airmass in (1.0, 2.0))
    assert low.magnitude == high.magnitude
    # Expected 25.7 - 0.1 at airmass 1, found 25.5: 0.1 mag of cloud.
    assert low.off_expected == pytest.approx(0.1, abs=0.01)
    assert low.transparency == pytest.approx(10**-0.04, abs=0.01)
    assert high.transparency == pytest.approx(1.0, abs=0.01)


def test_every_reason_for_no_zero_point_is_a_sentence() -> None:
    scene = Scene(10, 8)
    place = Astrometry(sky_map=sky_map(), solved=True, method="prior")
    known = References(photometric=(catalogue("ps1", scene.x, scene.y, scene.bands),))
    ask = {"exposure_s": 60.0}
    nothing = [
        fit_zero_point(Sources(scene), None, known, PASSBAND, **ask),
        fit_zero_point(Sources(scene), place, References(), PASSBAND, **ask),
        fit_zero_point(Sources(scene), place, known, None, **ask),
        fit_zero_point(Sources(Scene(2, 9)), place, known, PASSBAND, **ask),
        fit_zero_point(
            Sources(scene), place, known, Passband(band="U", wavelength_angstrom=3600), **ask
        ),
    ]
    assert not any(zero.known for zero in nothing)
    assert all(zero.why.endswith(".") for zero in nothing)


def test_a_catalogue_without_the_band_gives_way_to_one_that_has_it() -> None:
    scene = Scene(30, 10)
    gaia = catalogue("gaia", scene.x, scene.y, {"G": scene.r, "BP": scene.r, "RP": scene.r - 1})
    few = catalogue("ps1", scene.x[:4], scene.y[:4], {k: v[:4] for k, v in scene.bands.items()})
    refcat = catalogue("refcat2", scene.x, scene.y, scene.bands)
    place = Astrometry(sky_map=sky_map(), solved=True, method="prior")
    zero = fit_zero_point(
        Sources(scene),
        place,
        References(photometric=(gaia, few, refcat)),
        PASSBAND,
        exposure_s=60.0,
    )
    assert zero.catalogue == "refcat2"
    assert zero.magnitude == pytest.approx(25.5, abs=0.01)


def test_a_catalogue_of_one_s_own_is_taken_at_its_word() -> None:
    scene = Scene(30, 10)
    own = catalogue("standards", scene.x, scene.y, {"r": scene.r})
    ps1 = catalogue("ps1", scene.x, scene.y, {k: v + 0.1 for k, v in scene.bands.items()})
    place = Astrometry(sky_map=sky_map(), solved=True, method="prior")
    known = References(photometric=(ps1, own))
    zero = fit_zero_point(Sources(scene), place, known, PASSBAND, exposure_s=60.0)
    assert zero.catalogue == "standards"
    assert zero.magnitude == pytest.approx(25.5, abs=0.02)


def test_solar_colours_come_out_of_every_catalogue_alike() -> None:
    """A star like the Sun: B-V 0.65, V-R 0.36, V-I 0.71 (Ramirez et al. 2012), three ways."""
    one = np.array([500.0])
    sdss = {"u": one * 0 + 16.43, "g": one * 0 + 15.0, "r": one * 0 + 14.56}
    sdss["i"] = sdss["r"] - 0.11
    ps1 = {"g": sdss["g"] - 0.07, "r": sdss["r"] - 0.002, "i": sdss["i"] + 0.001}
    for name, bands in (("sdss", sdss), ("ps1", ps1)):
        stars = catalogue(name, one, one, bands)
        found = {}
        for band in "BVRI":
            known = calibrators(stars, band)
            assert known is not None
            found[band] = float(known.magnitude[0])
        assert found["B"] - found["V"] == pytest.approx(0.65, abs=0.05)
        assert found["V"] - found["R"] == pytest.approx(0.36, abs=0.05)
        assert found["V"] - found["I"] == pytest.approx(0.71, abs=0.05)
    gaia = catalogue("gaia", one, one, {"G": one * 0, "BP": one * 0 + 0.33, "RP": one * 0 - 0.49})
    found = {}
    for band in "BVRI":
        known = calibrators(gaia, band)
        assert known is not None
        found[band] = float(known.magnitude[0])
    assert found["B"] - found["V"] == pytest.approx(0.65, abs=0.05)
    assert found["V"] - found["R"] == pytest.approx(0.36, abs=0.05)
    assert found["V"] - found["I"] == pytest.approx(0.71, abs=0.05)


def test_galaxies_of_the_catalogue_and_strange_colours_are_left_out() -> None:
    x = np.arange(10.0, 60, 10)
    bands = {"g": np.array([17.0, 17, 17, 20, np.nan]), "r": np.full(5, 16.5)}
    star = np.array([1, 0, np.nan, 1, 1])
    known = calibrators(catalogue("ps1", x, x, bands, star=star), "r")
    assert known is not None
    assert known.index.tolist() == [0, 2]


@pytest.mark.parametrize("instrument", ["ALFOSC", "EFOSC2"])
def test_every_filter_is_stated_in_a_system_that_some_catalogue_reaches(instrument: str) -> None:
    bands = {entry.band for entry in transformations().relation}
    assert passbands(instrument).filters
    for passband in passbands(instrument).filters.values():
        assert passband.band in bands
        assert passband.system == ("Vega" if passband.band.isupper() else "AB")
    assert passband_of(instrument, "Grism_#4") is None


def test_fluxes_that_are_not_positive_have_no_magnitude() -> None:
    flux, error = np.array([100.0, -5.0, np.nan]), np.array([10.0, 10.0, 10.0])
    magnitude, uncertainty = magnitudes(flux, error, ZeroPoint(magnitude=25.0), 10.0)
    assert magnitude[0] == pytest.approx(22.5)
    assert uncertainty[0] == pytest.approx(0.10857)
    assert np.isnan(magnitude[1:]).all()
