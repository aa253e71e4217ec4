"""What the simulated sky has and no catalogue lists is found, and nothing else is called new."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from reducers.simulate.scene import Visitor
from reducers.transients.candidate import Standing
from reducers.transients.from_reduced import search_image_of
from reducers.transients.new_sources import find_new_sources
from reducers.transients.sphere import separation_arcsec
from tests.acceptance.sky_camera import ALFOSC, SCENE

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(600)]
BRIGHTNESS = (16.5, 17.5, 18.5, 19.3)


@pytest.mark.parametrize("place", [(150.0, 32.0), (0.002, 78.0)])
def test_transients_are_found_at_any_place_and_nothing_else_is_new(camera, place) -> None:
    ra, dec = place
    # Nothing else of this sky is nearer to them than the seeing.
    away = np.array([(-40, -30), (35, -20), (-20, 40), (30, 45)]) / 3600
    visitors = tuple(
        Visitor(
            name=f"new {mag}",
            ra_deg=(ra + east / np.cos(np.radians(dec))) % 360,
            dec_deg=dec + north,
            r_mag=mag,
        )
        for mag, (east, north) in zip(BRIGHTNESS, away, strict=True)
    )
    sky = replace(SCENE.sky, stars_per_deg2=80_000)
    scene = replace(SCENE, sky=sky, visitors=visitors)
    shot = camera.image(ra_deg=ra, dec_deg=dec, scene=scene)
    references = camera.references(shot.planned)
    reduced = camera.reduce(shot, references=references)
    image = search_image_of(reduced, shot.exposure.identity, ALFOSC)
    found = find_new_sources(image, references)
    new = [one for one in found.candidates if one.standing is Standing.NEW]
    for visitor in visitors:
        off = [
            separation_arcsec(one.ra_deg, one.dec_deg, visitor.ra_deg, visitor.dec_deg)
            for one in new
        ]
        assert min(off) < 0.3, visitor.name
    assert len(new) == len(visitors)
