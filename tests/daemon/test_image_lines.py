"""Images as lines of status and report: what they say in words."""

from __future__ import annotations

from daemon.publish.image_lines import (
    HEAD,
    REPORT_HEAD,
    image_row,
    images_of,
    place_in_words,
    report_row,
    sky_in_words,
    spectra_of,
)
from daemon.publish.words import table
from daemon.status_lines import ProductSummary


def line(kind: str = "IMG_OBJECT", **measured: float) -> ProductSummary:
    return ProductSummary(
        stem="ALJa150009", kind=kind, target="AT2026img and a long name", state="provisional",
        quality=2, observed_at=None, exposure_s=60.0, setup="r_SDSS 1x1", flags=(),
        measurements=measured, choices={}, paths={}, version=1, latency_s=None,
    )  # fmt: skip


def test_the_sky_is_clear_or_cloudy_by_the_light_that_came_through() -> None:
    assert sky_in_words({"transparency": 1.06}) == "clear"
    assert sky_in_words({"transparency": 0.80}) == "thin cloud, 80 %"
    assert sky_in_words({"transparency": 0.5}) == "cloud, 50 %"
    assert sky_in_words({"transparency": 0.1}) == "thick cloud, 10 %"
    assert sky_in_words({}) == ""


def test_a_place_that_nobody_confirmed_is_named_so() -> None:
    assert place_in_words({"astrometry_unchecked": 1.0}) == "no catalogue"
    assert place_in_words({"astrometry_failed": 1.0}) == "not found"
    assert place_in_words({"astrometry_rms_mas": 21.4}) == "21 mas"
    few = {"astrometry_rms_mas": 0.4, "astrometry_systematic_mas": 94.8}
    assert place_in_words(few) == "95 mas"


def test_images_and_spectra_are_listed_apart() -> None:
    both = [line(), line("SPEC_OBJECT"), line("ACQUISITION")]
    assert [item.kind for item in images_of(both)] == ["IMG_OBJECT", "ACQUISITION"]
    assert [item.kind for item in spectra_of(both)] == ["SPEC_OBJECT"]


def test_an_ordinary_image_fits_the_width_of_report_and_terminal() -> None:
    known = line(
        seeing_arcsec=0.79, stars=105.0, zero_point_mag=25.68, limit_5_sigma_mag=23.1,
        astrometry_rms_mas=21.0, transparency=1.0,
    )  # fmt: skip
    for head, row, width in ((HEAD, image_row, 100), (REPORT_HEAD, report_row, 90)):
        (_, said) = table(head, [row(known)], width)
        assert said.endswith("clear")
        assert "r'" in said
