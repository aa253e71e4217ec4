"""Stars tell what the flat gets wrong over the field, and whether it gets anything wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from astropy.io import fits

from reducers.errors import NotEnoughFrames, UnreadableFile
from reducers.frame import Frame, Mask
from reducers.imaging.star_correction import at_stars, divide_star_flat
from reducers.imaging.star_flat import StarFlatMaterial, build_star_flat
from reducers.imaging.star_flat_fit import StarList
from reducers.imaging.star_list_reading import read_star_list
from reducers.imaging.super_sky import additive_light, super_sky

if TYPE_CHECKING:
    from pathlib import Path

SHAPE = (500, 500)
PLACE, SCALE_ARCSEC = (150.0, 30.0), 0.8


def flat(mask: int = 0) -> Frame:
    return Frame(
        data=np.ones(SHAPE, np.float32),
        variance=np.zeros(SHAPE, np.float32),
        mask=np.full(SHAPE, mask, np.uint16),
        unit="",
    )


def ring(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return reflected light: 1 in the middle, 0 in the corners."""
    return 0.5 + 0.5 * np.cos(np.pi * np.clip(np.hypot(x - 250, y - 250) / 350, 0, 1))


def star_lists(
    amplitude_mag: float = 0.0,
    *,
    stars: int = 300,
    images: int = 6,
    entry_mag: float = 0.008,
    seed: int = 1,
) -> tuple[StarList, ...]:
    """Return the stars of dithered images, each in its own air, entries wrong in all alike."""
    rng = np.random.default_rng(seed)
    x0, y0 = rng.uniform(0, SHAPE[1], stars), rng.uniform(0, SHAPE[0], stars)
    entry, error = rng.normal(0, entry_mag, stars), 10 ** rng.uniform(-2.7, -1.5, stars)
    found = []
    for n in range(images):
        step = rng.normal(0, 20, 2)
        x, y = x0 + step[0], y0 + step[1]
        seen = (x > 0) & (x < SHAPE[1] - 1) & (y > 0) & (y < SHAPE[0] - 1)
        noise = rng.normal(0, 1, stars) * error
        residual = entry + noise - amplitude_mag * ring(x, y) + rng.normal(0, 0.3)
        found.append(
            StarList(
                stem=f"image{n}",
                ra_deg=(PLACE[0] + x0 * SCALE_ARCSEC / 3600)[seen],
                dec_deg=(PLACE[1] + y0 * SCALE_ARCSEC / 3600)[seen],
                x=x[seen],
                y=y[seen],
                residual=residual[seen],
                error=error[seen],
                entry_error=np.full(int(seen.sum()), entry_mag),
            )
        )
    return tuple(found)


def material(lists: tuple[StarList, ...]) -> StarFlatMaterial:
    return StarFlatMaterial(flat=flat(), images=lists)


def wrong_by(star_flat: Frame, amplitude_mag: float) -> tuple[float, float]:
    """Return how far a star flat is off (rms, mmag), and in units of its own errors."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    mag = 2.5 * np.log10(star_flat.data.astype(float))
    off = mag + amplitude_mag * ring(x, y)
    off -= off.mean()
    error = 1.0857 * np.sqrt(star_flat.variance) / star_flat.data
    return 1000 * float(off.std()), float(np.sqrt(np.mean((off / error) ** 2)))


def test_reflected_light_in_the_flat_is_measured_with_its_error() -> None:
    pulls = []
    for seed in range(4):
        built = build_star_flat(material(star_lists(0.03, seed=seed)))
        assert not built.verdict
        off_mmag, pull = wrong_by(built.value, 0.03)
        assert off_mmag < 2.5
        pulls.append(pull)
    assert 0.5 < float(np.sqrt(np.mean(np.square(pulls)))) < 1.5


def test_a_right_flat_is_left_alone_whatever_the_stars_scatter() -> None:
    for seed in range(8):
        built = build_star_flat(material(star_lists(0.0, seed=seed, entry_mag=0.02)))
        assert "nothing to correct" in built.verdict


def test_entries_wrong_in_all_images_alike_are_no_more_stars() -> None:
    """A star on ten dithers tells its error once: 60 stars cannot show 4 mmag."""
    once = build_star_flat(material(star_lists(0.004, stars=60, images=4, entry_mag=0.03)))
    often = build_star_flat(material(star_lists(0.004, stars=60, images=16, entry_mag=0.03)))
    assert once.verdict
    assert often.verdict


def test_cloud_moves_the_zero_point_of_an_image_and_nothing_else() -> None:
    lists = star_lists(0.03)
    clouded = (replace(lists[0], residual=lists[0].residual - 1.5), *lists[1:])
    plain, cloudy = (build_star_flat(material(each)).value for each in (lists, clouded))
    assert plain.data == pytest.approx(cloudy.data, abs=1e-4)


def test_an_image_through_broken_cloud_is_left_out() -> None:
    lists = star_lists(0.03)
    rng = np.random.default_rng(3)
    torn = lists[2].residual + rng.normal(0, 0.3, len(lists[2].residual))
    built = build_star_flat(material((*lists[:2], replace(lists[2], residual=torn), *lists[3:])))
    assert built.measurements["left_out"] == 1
    assert any("image2: its stars scatter" in step for step in built.value.history)
    assert wrong_by(built.value, 0.03)[0] < 2.5


@pytest.mark.parametrize(
    "lists",
    [
        (),
        star_lists(0.03, stars=1),
        star_lists(0.03, stars=20),
        star_lists(0.03, images=2),
        tuple(
            replace(each, **{n: getattr(each, n)[each.x < 250] for n in
                             ("ra_deg", "dec_deg", "x", "y", "residual", "error", "entry_error")})
            for each in star_lists(0.03)
        ),
    ],
    ids=["none", "one star", "few stars", "two images", "one half of the field"],
)  # fmt: skip
def test_too_few_stars_give_no_star_flat(lists: tuple[StarList, ...]) -> None:
    with pytest.raises(NotEnoughFrames, match="do not tell the response"):
        build_star_flat(material(lists))


def test_what_it_does_to_a_star_is_told_for_the_next_one() -> None:
    built = build_star_flat(material(star_lists(0.03)))
    image = flat().after("", data=np.full(SHAPE, 100, np.float32), unit="electron")
    divided = divide_star_flat(image, built.value)
    x, y = np.array([250.0, 20.0]), np.array([250.0, 30.0])
    change, error = at_stars(built.value, x, y)
    places = (y.astype(int), x.astype(int))
    assert change == pytest.approx(-2.5 * np.log10(divided.data[places] / 100), abs=1e-5)
    # The middle had been divided by too much: it becomes brighter.
    assert change[0] < -0.01 < change[1]
    assert (error > 0.0002).all()
    assert (error < 0.005).all()


def test_unlit_pixels_are_neither_divided_nor_counted() -> None:
    dark = flat()
    mask = np.zeros(SHAPE, np.uint16)
    mask[:, 450:] = np.uint16(Mask.NO_FLAT | Mask.VIGNETTED)
    built = build_star_flat(
        StarFlatMaterial(flat=dark.after("", mask=mask), images=star_lists(0.03))
    )
    assert (built.value.data[:, 450:] == 1).all()
    lit = 2.5 * np.log10(built.value.data[:, :450].astype(float))
    assert lit.mean() == pytest.approx(0, abs=1e-3)


def test_what_stars_do_not_share_of_an_uneven_sky_was_added_to_it() -> None:
    y, x = np.mgrid[4 : SHAPE[0] : 8, 4 : SHAPE[1] : 8]
    rng = np.random.default_rng(2)
    skies = [(1000 * n * (1 + 0.03 * ring(x, y)) + rng.normal(0, 1, x.shape), 8) for n in (1, 2, 3)]
    sky = super_sky([(np.asarray(plane, np.float32), step) for plane, step in skies])
    assert sky is not None
    lit = np.ones(SHAPE, bool)
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    even = additive_light(sky, np.ones(SHAPE, np.float32), lit)
    assert even["additive_range"] == even["sky_range"] == pytest.approx(0.03, abs=0.003)
    shared = additive_light(sky, np.asarray(1 + 0.03 * ring(columns, rows), np.float32), lit)
    assert shared["additive_range"] < 0.003
    assert super_sky([]) is None
    assert super_sky([(np.ones((60, 60), np.float32), 8)]) is None


def test_an_image_without_a_catalogue_tells_nothing_and_a_broken_file_is_named(
    tmp_path: Path,
) -> None:
    path = tmp_path / "phot.fits"
    fits.HDUList([fits.PrimaryHDU()]).writeto(path)
    assert read_star_list(path, path, "image") is None
    path.write_bytes(b"no FITS at all")
    with pytest.raises(UnreadableFile, match=r"phot\.fits tells no stars"):
        read_star_list(path, path, "image")
