"""A source is new when a catalogue deep enough does not list it, anywhere on the sky."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from reducers.frame import Mask
from reducers.imaging.references import References
from reducers.transients.candidate import Standing
from reducers.transients.evidence import ecliptic_latitude_deg
from reducers.transients.localisation import Colour, Localisation
from reducers.transients.new_sources import NO_PLACE, NO_ZERO_POINT, find_new_sources
from reducers.transients.settings import SearchSettings
from reducers.transients.vetting import held_against
from reducers.transients.witness import Statement
from tests.reducers.transients.small_field import (
    catalogue,
    changed,
    field,
    known,
    surveys,
    twice,
)

FIELD = field()
#: The first source is in no catalogue.
KNOWN = surveys(FIELD)


def names(candidate) -> set[str]:
    return {flag.name for flag in candidate.vetoes}


@pytest.mark.parametrize("place", [(150.0, 32.0), (0.0, 10.0), (359.999, -60.0), (77.0, 89.9)])
def test_the_only_source_without_an_entry_is_new_wherever_it_stands(place) -> None:
    image = field(*place)
    found = find_new_sources(image, surveys(image))
    assert [one.number for one in found.candidates] == [1]
    assert found.candidates[0].standing is Standing.NEW
    assert found.matched == found.searched - 1
    assert found.candidates[0].score > 0.5


def test_nothing_is_new_where_all_is_listed() -> None:
    found = find_new_sources(FIELD, surveys(FIELD, leaving_out=()))
    assert found.candidates == ()
    assert not found.warnings


def test_an_entry_of_unknown_motion_is_the_source_within_its_larger_error() -> None:
    def off(error_mas: float, magnitude_of_entry: float = 18.9) -> int:
        entries = catalogue(FIELD, leaving_out=())
        dec = entries.dec_deg.copy()
        dec[0] += 1.2 / 3600
        error = entries.position_error_mas.copy()
        error[0] = error_mas
        magnitude = entries.magnitudes["r"].copy()
        magnitude[0] = magnitude_of_entry
        moved = replace(entries, dec_deg=dec, position_error_mas=error, magnitudes={"r": magnitude})
        return len(find_new_sources(FIELD, twice(moved)).candidates)

    assert off(20.0) == 1
    assert off(450.0) == 0
    # Two magnitudes fainter it is another star.
    assert off(450.0, magnitude_of_entry=20.0) == 1


def test_two_stars_that_seeing_has_merged_are_no_new_source() -> None:
    entries = catalogue(FIELD, leaving_out=())
    dec = entries.dec_deg.copy()
    dec[0] += 0.62 / 3600
    assert not find_new_sources(FIELD, twice(replace(entries, dec_deg=dec))).candidates


@pytest.mark.parametrize(
    ("flaw", "words"),
    [
        ({"truncated": True}, "only the brightest"),
        ({"covered": 0.7}, "70%"),
        ({"limits": {"r": 17.0}}, "complete here to"),
    ],
)
def test_a_catalogue_that_does_not_reach_leaves_a_candidate_unvetted(flaw, words) -> None:
    found = find_new_sources(FIELD, surveys(FIELD, **flaw), settings=SearchSettings(limit_mag=20.1))
    assert found.candidates[0].standing is Standing.UNVETTED
    assert words in found.candidates[0].reasons[0]


def test_one_of_several_catalogues_has_to_reach_deep_enough() -> None:
    shallow = catalogue(FIELD, name="gaia", limits={"r": 17.0})
    found = find_new_sources(FIELD, known(shallow, catalogue(FIELD)))
    assert found.candidates[0].standing is Standing.NEW


def test_what_a_single_catalogue_lacks_may_be_forgotten_by_it() -> None:
    (found,) = find_new_sources(FIELD, known(catalogue(FIELD))).candidates
    assert found.standing is Standing.UNVETTED
    assert "forget about one such star in 4 images" in found.reasons[0]
    made_of_it = known(catalogue(FIELD, name="refcat2"), catalogue(FIELD))
    assert find_new_sources(FIELD, made_of_it).candidates[0].standing is Standing.UNVETTED


def test_a_circle_proves_new_what_a_single_catalogue_lacks() -> None:
    own, alone = FIELD.sources, known(catalogue(FIELD))
    circle = Localisation(kind="BAT", ra_deg=own.ra_deg[0], dec_deg=own.dec_deg[0], r90_arcsec=60.0)
    (found,) = find_new_sources(FIELD, alone, localisations=[circle]).candidates
    assert found.standing is Standing.NEW
    elsewhere = replace(circle, dec_deg=circle.dec_deg + 0.5)
    (found,) = find_new_sources(FIELD, alone, localisations=[elsewhere]).candidates
    assert found.standing is Standing.UNVETTED
    late = held_against(found, [circle])
    assert (late.standing, late.colour) == (Standing.NEW, Colour.ORANGE)
    shallow = find_new_sources(FIELD, known(catalogue(FIELD, truncated=True)))
    assert held_against(shallow.candidates[0], [circle]).standing is Standing.UNVETTED


@pytest.mark.parametrize(
    ("told", "standing", "words"),
    [
        ({"last_limit_days": 12.2, "earlier_limit_mag": 21.4}, Standing.NEW, "12 days before"),
        (
            {"last_limit_days": 12.2, "earlier_limit_mag": 21.4, "seen_before": 1.0},
            Standing.UNVETTED,
            "forget",
        ),
        ({"change_mag": -0.8, "first_seen_days": 3.0}, Standing.NEW, "0.8 mag brighter"),
        ({"change_mag": 0.1, "first_seen_days": 3.0}, Standing.UNVETTED, "forget"),
    ],
)
def test_an_earlier_image_tells_what_catalogues_cannot(told, standing, words) -> None:
    def earlier(candidates, image):
        return [Statement(measurements=told) for _ in candidates]

    (found,) = find_new_sources(FIELD, known(catalogue(FIELD)), witnesses=[earlier]).candidates
    assert found.standing is standing
    assert words in found.reasons[0]


def test_near_the_ecliptic_nothing_seen_once_is_new_while_no_orbits_are_on_disc() -> None:
    def witness(**told):
        return lambda candidates, image: [Statement(measurements=told) for _ in candidates]

    def standing(*witnesses) -> Standing:
        return find_new_sources(FIELD, KNOWN, witnesses=witnesses).candidates[0].standing

    assert abs(ecliptic_latitude_deg(150.0, 32.0)) == pytest.approx(18.4, abs=0.2)
    blind = witness(orbits_missing=1.0)
    assert standing(blind) is Standing.UNVETTED
    assert standing(blind, witness(exposures=2.0, moves=0.0)) is Standing.NEW
    polar = field(270.0, 66.5)
    (found,) = find_new_sources(polar, surveys(polar), witnesses=[blind]).candidates
    assert found.standing is Standing.NEW
    assert standing(witness(minor_planet_maybe=1.0)) is Standing.UNVETTED


def test_the_counts_of_the_field_tell_where_a_catalogue_ends() -> None:
    entries = catalogue(FIELD)
    kept = entries.magnitudes["r"] < 17.5
    faint = {"r": np.where(kept, entries.magnitudes["r"], np.nan)}
    found = find_new_sources(FIELD, twice(replace(entries, magnitudes=faint)))
    assert found.limit_mag < 17.6
    assert not [one for one in found.candidates if one.standing is Standing.NEW]


def test_without_any_catalogue_only_what_lies_in_a_circle_is_told_and_unvetted() -> None:
    nothing = find_new_sources(FIELD, References())
    assert nothing.candidates == ()
    assert "No catalogue" in nothing.warnings[0]
    own = FIELD.sources
    circle = Localisation(kind="XRT", ra_deg=own.ra_deg[0], dec_deg=own.dec_deg[0], r90_arcsec=2.0)
    found = find_new_sources(FIELD, References(), localisations=[circle])
    assert [one.number for one in found.candidates] == [1]
    assert found.candidates[0].standing is Standing.UNVETTED
    assert found.candidates[0].colour is Colour.GREEN


def test_an_image_without_a_place_has_no_candidates_and_one_reason() -> None:
    found = find_new_sources(replace(FIELD, sky_map=None), KNOWN)
    assert found.candidates == ()
    assert found.why == NO_PLACE


def test_without_a_zero_point_magnitudes_are_unknown_and_nothing_is_new() -> None:
    unknown = np.full(len(FIELD.sources), np.nan)
    blind = replace(
        FIELD,
        zero_point_mag=np.nan,
        sources=replace(FIELD.sources, magnitude=unknown, magnitude_error=unknown),
    )
    found = find_new_sources(blind, KNOWN)
    assert NO_ZERO_POINT in found.warnings
    assert np.isnan(found.candidates[0].magnitude)
    assert found.candidates[0].standing is Standing.UNVETTED
    given = find_new_sources(blind, KNOWN, settings=SearchSettings(zero_point_mag=27.0))
    assert given.candidates[0].magnitude == pytest.approx(18.0)
    assert given.candidates[0].standing is Standing.NEW


@pytest.mark.parametrize(
    ("bit", "off_px", "flag"),
    [
        (Mask.SATURATED, 15, "NEAR_SATURATION"),
        (Mask.TRAIL, 8, "ON_TRAIL"),
        (Mask.VIGNETTED, 20, "ON_EDGE"),
        (Mask.BAD, 0, "BAD_PIXELS"),
    ],
)
def test_what_is_masked_nearby_holds_a_candidate_back(bit, off_px, flag) -> None:
    mask = FIELD.mask.copy()
    row, column = int(FIELD.sources.y_px[0]), int(FIELD.sources.x_px[0])
    mask[row, column + off_px] = bit
    found = find_new_sources(replace(FIELD, mask=mask), KNOWN).candidates[0]
    assert flag in names(found)
    assert found.standing is Standing.VETOED
    assert found.score == 0


def test_a_galaxy_and_a_hot_pixel_differ_from_the_stars() -> None:
    for concentration, flag in ((0.35, "EXTENDED_SOURCE"), (0.8, "SHARP_SOURCE")):
        image = changed(FIELD, 0, concentration=concentration)
        found = find_new_sources(image, KNOWN).candidates[0]
        assert flag in names(found)
        assert found.standing is Standing.VETOED


def test_a_marked_cosmic_ray_beside_a_star_that_is_no_sharper_only_lowers_its_rank() -> None:
    mask = FIELD.mask.copy()
    row, column = int(FIELD.sources.y_px[0]), int(FIELD.sources.x_px[0])
    mask[row, column + 2] = Mask.COSMIC
    struck = replace(FIELD, mask=mask)
    found = find_new_sources(struck, KNOWN).candidates[0]
    assert found.standing is Standing.NEW
    assert found.score < find_new_sources(FIELD, KNOWN).candidates[0].score
    sharp = find_new_sources(changed(struck, 0, concentration=0.55), KNOWN).candidates[0]
    assert "COSMIC_REMNANT" in names(sharp)
    assert sharp.standing is Standing.VETOED


def test_a_wrong_place_on_the_sky_gives_one_warning_and_no_candidate_that_stands() -> None:
    shifted = replace(FIELD.sources, dec_deg=FIELD.sources.dec_deg + 7.0 / 3600)
    found = find_new_sources(replace(FIELD, sources=shifted), KNOWN)
    assert found.suspicious
    assert len(found.warnings) == 1
    assert found.standing == ()


def test_a_witness_who_knows_a_candidate_by_name_makes_it_known() -> None:
    def seen(candidates, image):
        return [Statement(name="(4) Vesta") for _ in candidates]

    found = find_new_sources(FIELD, KNOWN, witnesses=[seen]).candidates[0]
    assert (found.standing, found.name) == (Standing.KNOWN, "(4) Vesta")
    assert "Vesta" in found.reasons[0]


def test_the_best_candidate_comes_first() -> None:
    image = changed(FIELD, 3, concentration=0.3)
    found = find_new_sources(image, surveys(FIELD, leaving_out=(0, 3)))
    assert [one.number for one in found.candidates] == [1, 4]
    assert found.candidates[1].standing is Standing.VETOED


def test_a_source_that_outshines_the_entry_at_its_place_is_new_and_its_host_is_told() -> None:
    entries = catalogue(FIELD, leaving_out=())
    magnitude = entries.magnitudes["r"].copy()
    magnitude[0] = 21.9
    found = find_new_sources(FIELD, twice(replace(entries, magnitudes={"r": magnitude})))
    assert [one.number for one in found.candidates] == [1]
    assert "3.9 mag fainter" in found.candidates[0].reasons[0]
    assert found.candidates[0].standing is Standing.NEW
    row, column = int(FIELD.sources.y_px[0]), int(FIELD.sources.x_px[0])
    mask = FIELD.mask.copy()
    mask[row, column + 2] = Mask.COSMIC
    struck = replace(FIELD, mask=mask)
    (doubted,) = find_new_sources(
        struck, twice(replace(entries, magnitudes={"r": magnitude}))
    ).candidates
    assert doubted.standing is Standing.UNVETTED
    assert "not sure enough" in doubted.reasons[0]


def at_source(index: int = 0) -> tuple[int, int]:
    return round(FIELD.sources.y_px[index]), round(FIELD.sources.x_px[index])


@pytest.mark.parametrize("off_px", [1, 2, 3])
def test_a_bad_column_through_a_star_does_not_make_it_oblong(off_px) -> None:
    column = at_source()[1]
    mask, light = FIELD.mask.copy(), FIELD.light.copy()
    mask[:, column + off_px] = Mask.BAD
    light[:, column + off_px] = 5000
    found = find_new_sources(replace(FIELD, mask=mask, light=light), KNOWN).candidates[0]
    assert "ELONGATED" not in names(found)
    assert found.measurements["axis_ratio"] > 0.93


def test_a_star_that_is_hidden_on_both_sides_has_no_shape() -> None:
    row, column = at_source()
    mask = FIELD.mask.copy()
    mask[row - 8 : row + 9, column + 1 : column + 4] = Mask.COSMIC
    mask[row - 8 : row + 9, column - 3 : column] = Mask.COSMIC
    found = find_new_sources(replace(FIELD, mask=mask), KNOWN).candidates[0]
    assert np.isnan(found.measurements["elongation_sigma"])


def test_a_new_star_so_bright_that_its_middle_is_full_is_told_but_not_proven() -> None:
    row, column = at_source()
    mask = FIELD.mask.copy()
    mask[row - 1 : row + 2, column - 1 : column + 2] = Mask.SATURATED
    found = find_new_sources(replace(FIELD, mask=mask), KNOWN).candidates[0]
    assert found.standing is Standing.UNVETTED
    assert "SATURATED_CORE" in names(found)
    assert "saturated" in found.reasons[0]
    mask[row : row + 12, column] = Mask.SATURATED
    bled = find_new_sources(replace(FIELD, mask=mask), KNOWN).candidates[0]
    assert "NEAR_SATURATION" in names(bled)
    assert bled.standing is Standing.VETOED


@pytest.mark.parametrize(("star", "standing"), [(1.0, Standing.UNVETTED), (0.0, Standing.VETOED)])
def test_a_listed_star_beside_it_explains_a_wide_source_but_a_galaxy_does_not(
    star, standing
) -> None:
    wide = changed(FIELD, 0, concentration=0.4)
    entries = catalogue(FIELD, leaving_out=())
    dec, magnitude = entries.dec_deg.copy(), entries.magnitudes["r"].copy()
    dec[0] += 1.1 / 3600
    magnitude[0] = 20.1
    kind = entries.star.copy()
    kind[0] = star
    beside = replace(entries, dec_deg=dec, star=kind, magnitudes={"r": magnitude})
    (found,) = find_new_sources(wide, twice(beside)).candidates
    assert found.standing is standing
    assert ("LISTED_COMPANION" in names(found)) == (star > 0.5)


def test_what_hardly_stands_out_of_a_neighbours_light_is_not_proven_new_by_catalogues() -> None:
    (found,) = find_new_sources(changed(FIELD, 0, crowding=1.4), KNOWN).candidates
    assert found.standing is Standing.UNVETTED
    assert "neighbour" in found.reasons[0]


def test_catalogues_prove_nothing_of_what_is_brighter_than_all_their_entries() -> None:
    bright = changed(FIELD, 0, magnitude=13.2)
    entries = catalogue(FIELD)

    def standing(brightest: float) -> Standing:
        magnitude = np.where(entries.magnitudes["r"] < brightest, np.nan, entries.magnitudes["r"])
        surveyed = twice(replace(entries, magnitudes={"r": magnitude}))
        return find_new_sources(bright, surveyed).candidates[0].standing

    assert standing(12.0) is Standing.NEW
    assert standing(13.5) is Standing.UNVETTED


def test_where_no_star_tells_its_shape_a_source_is_not_proven_new_by_catalogues() -> None:
    unknown = np.full(len(FIELD.sources), np.nan)
    blind = replace(FIELD, sources=replace(FIELD.sources, concentration=unknown))
    (found,) = find_new_sources(blind, KNOWN).candidates
    assert found.standing is Standing.UNVETTED
    assert "shape" in found.reasons[0]


def test_the_light_of_a_neighbour_is_not_taken_for_a_shape() -> None:
    light = FIELD.light.copy()
    row, column = round(FIELD.sources.y_px[0]), round(FIELD.sources.x_px[0])
    light[row - 1 : row + 2, column + 3 : column + 6] += 3000
    oblong = replace(FIELD, light=light)
    assert "ELONGATED" in names(find_new_sources(oblong, KNOWN).candidates[0])
    beside = changed(oblong, 0, crowding=0.2)
    assert "ELONGATED" not in names(find_new_sources(beside, KNOWN).candidates[0])
