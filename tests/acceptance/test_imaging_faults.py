"""What goes wrong with images ends in the right flag or in a named reason, never in silence."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from calibration_store.catalogues.references import Catalogues
from reducers.errors import SetupMismatch
from reducers.frame import Mask
from reducers.imaging.masters import build_sky_flat
from reducers.simulate.scene import Scene, Visitor
from reducers.simulate.sky import Sky
from tests.acceptance.sky_camera import ALFOSC, PLACE, SCENE, SkyCamera

if TYPE_CHECKING:
    from reducers.imaging.references import References

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(600)]
EMPTY = Sky(stars_per_deg2=0.0, galaxies_per_deg2=0.0)


@pytest.fixture(scope="module")
def known(camera) -> References:
    """Return the catalogues of the field."""
    return camera.references(camera.plan())


def named(result) -> set[str]:
    return {flag.name for flag in result.flags}


def test_a_sound_image_has_no_flag_that_matters(camera) -> None:
    result = camera.reduce(camera.image())
    assert result.quality <= 1, named(result)


def test_no_stars_is_said_and_not_a_crash(camera, known) -> None:
    result = camera.reduce(camera.image(scene=replace(SCENE, sky=EMPTY)), references=known)
    assert "NO_STARS" in named(result)
    assert result.quality >= 4
    assert not result.astrometry.solved


def test_one_star_is_no_solution(camera, known) -> None:
    lone = Visitor(name="lone", ra_deg=PLACE[0], dec_deg=PLACE[1], r_mag=16.0)
    result = camera.reduce(
        camera.image(scene=replace(SCENE, sky=EMPTY, visitors=(lone,))), references=known
    )
    assert {"FEW_STARS", "ASTROM_FAIL"} <= named(result)
    assert not result.astrometry.solved
    assert result.astrometry.why


def test_a_telescope_that_moved_is_seen_in_the_stars(camera) -> None:
    result = camera.reduce(camera.image(scene=replace(SCENE, drift_px=(14.0, 9.0))))
    assert "TRAILED" in named(result)


def test_rings_instead_of_stars_are_called_out_of_focus(camera) -> None:
    result = camera.reduce(camera.image(scene=replace(SCENE, defocus_arcsec=3.0)))
    assert "FOCUS" in named(result)
    assert result.quality >= 2


def test_a_bright_twilight_sky_is_flagged(camera) -> None:
    shot = camera.image(sky_brightness=150.0)
    result = camera.reduce(shot)
    assert "BRIGHT_SKY" in named(result)


def test_a_field_full_of_light_is_masked_where_wells_are_full(camera) -> None:
    blinding = Visitor(name="bright", ra_deg=PLACE[0], dec_deg=PLACE[1], r_mag=8.0)
    shot = camera.image(scene=replace(SCENE, visitors=(blinding,)))
    result = camera.reduce(shot)
    marked = (result.image.mask & np.uint16(Mask.SATURATED)) != 0
    full = shot.planes.full[: marked.shape[0], : marked.shape[1]]
    assert marked[full].mean() > 0.99
    assert result.astrometry.solved
    assert "SATURATED" in named(result)


def test_a_filter_without_flat_is_flagged_and_reduced(camera) -> None:
    given = replace(camera.calibrations(), flat=None)
    result = camera.reduce(camera.image("V"), "V", calibrations=given)
    assert "NO_FLAT" in named(result)
    assert result.astrometry.solved


def test_a_flat_with_stars_that_stand_still_is_refused_in_words(camera) -> None:
    given = replace(camera.calibrations(), flat=None)
    crowded = replace(SCENE, sky=Sky(stars_per_deg2=1_000_000))
    stare = {"ra_deg": PLACE[0], "dec_deg": PLACE[1], "scene": crowded, "exposure_s": 30.0}
    flats = camera.flats("r_SDSS", sky_brightness=0.08, **stare)
    built = build_sky_flat([shot.exposure for shot in flats], given, ALFOSC)
    assert "stars" in built.verdict


def test_stars_in_dithered_flats_do_not_stay_in_the_flat(camera) -> None:
    given = replace(camera.calibrations(), flat=None)
    flats = [
        camera.flats("r_SDSS", 1, sky_brightness=0.08, exposure_s=30.0, scene=SCENE,
                     ra_deg=PLACE[0] + 0.005 * n, dec_deg=PLACE[1] + 0.004 * n)[0]
        for n in range(7)
    ]  # fmt: skip
    built = build_sky_flat([shot.exposure for shot in flats], given, ALFOSC)
    assert built.verdict == ""


def test_masters_of_another_binning_are_refused_by_name(camera, tmp_path) -> None:
    binned = SkyCamera(tmp_path, window=camera.window, binning=2).image()
    with pytest.raises(SetupMismatch):
        camera.reduce(binned)


def test_no_catalogue_at_hand_leaves_the_header_and_says_so(camera, tmp_path) -> None:
    nothing = Catalogues(tmp_path).references_for(*PLACE, 0.1, 2026.0, "r_SDSS")
    result = camera.reduce(camera.image(), references=nothing)
    assert {"WCS_UNCHECKED", "CAT_MISSING", "NO_ZP"} <= named(result)
    assert "ASTROM_FAIL" not in named(result)
    assert not result.astrometry.solved
    assert result.quality <= 2


def test_a_catalogue_without_entries_here_is_told_from_a_missing_one(camera) -> None:
    plan = camera.plan(scene=Scene(sky=EMPTY))
    empty = camera.references(plan)
    result = camera.reduce(camera.image(), references=empty)
    assert not result.astrometry.solved
    assert result.astrometry.why
    assert {"ASTROM_FAIL", "WCS_UNCHECKED"} & named(result)


def test_cloud_takes_light_but_not_the_truth_of_the_places(camera) -> None:
    result = camera.reduce(camera.image(transparency=0.1))
    assert result.astrometry.solved
    assert {"CLOUD", "ZP_OUTLIER"} <= named(result)
