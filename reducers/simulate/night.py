"""A night of observing, planned exposure by exposure."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

from reducers.simulate.night_images import (
    field_of,
    image_biases,
    sky_flats,
    standard_field,
    target_field,
)
from reducers.simulate.observer import IMAGE_WINDOW, Observer
from reducers.simulate.records import WINDOW
from reducers.simulate.scene import Scene
from reducers.simulate.sky import Sky
from reducers.simulate.targets import STANDARDS, science_targets

if TYPE_CHECKING:
    from reducers.simulate.records import PlannedExposure
    from reducers.simulate.targets import Target

FULL_FRAME = (1, 2148, 1, 2102)
#: What the demo reads of its images: 3.9 arcmin with the slit's middle, and the overscan rows.
DEMO_WINDOW = (501, 1600, 1001, 2102)
#: A strip about the slit's middle, and a square of 2.1 arcmin in the field's.
STRIP, SQUARE = (891, 1050, 1, 2102), (751, 1350, 701, 1300)
SCALES = ("small", "full", "images", "demo", "tied")


def plan_night(
    seed: int = 1,
    scale: str = "small",
    *,
    night: date = date(2026, 1, 15),
    windowed: bool = True,
) -> tuple[PlannedExposure, ...]:
    """Return the exposures of one night, in the order they are taken.

    Parameters
    ----------
    scale
        'small': about 25 windowed frames with a steady seeing; 'full': a long night with two
        standards, changing seeing, 1x1 and 1x2 binning, and imaging; 'images': full frames in
        g, r and i only, with twilight flats; 'demo': the small night and the field of its
        last target in r; 'tied': one target in g, in r, and 0.45 arcsec beside the slit's middle.
    windowed
        False reads the full width of the detector in every spectrum.
    """
    plans = {"small": _small, "full": _full, "images": _images, "demo": _demo, "tied": _tied}
    if scale not in plans:
        raise ValueError(f"scale is {', '.join(map(repr, SCALES))}, not {scale!r}")
    observer = Observer(seed=seed, night=night, steady=scale in ("small", "demo", "tied"))
    observer.window = WINDOW if windowed else FULL_FRAME
    plans[scale](observer)
    return tuple(observer.taken)


def _demo(observer: Observer) -> None:
    how: dict[str, Any] = {"window": DEMO_WINDOW, "binning": 1}
    image_biases(observer, 5, **how)
    observer.at(-5.0)
    sky_flats(observer, ("r_SDSS",), 3, **how)
    sky = Sky(stars_per_deg2=120_000)
    last = _spectra(observer, window=DEMO_WINDOW, scene=Scene(sky=sky))
    field_of(observer, last, bands=("r_SDSS",), exposure_s=60.0, exposures=2, sky=sky, **how)


def _tied(observer: Observer) -> None:
    """Take one target on images and behind the slit, where it stands beside the middle."""
    how: dict[str, Any] = {"window": SQUARE, "binning": 1}
    bands = ("g_SDSS", "r_SDSS")
    image_biases(observer, 5, **how)
    observer.window = STRIP
    observer.biases(5)
    observer.at(-5.0)
    sky_flats(observer, bands, 3, **how)
    observer.arc()
    observer.flats(5)
    observer.at(0.0)
    observer.standard(STANDARDS[0])
    target = science_targets(observer.rng)[2]
    beside = tuple(replace(source, off_slit_arcsec=0.45) for source in target.sources)
    target = replace(target, ra_deg=observer.right_ascension(0.2), sources=beside)
    sky = Sky(stars_per_deg2=150_000)
    field_of(observer, target, bands=bands, exposure_s=60.0, exposures=1, sky=sky, **how)
    observer.science(target)


def _images(observer: Observer) -> None:
    how: dict[str, Any] = {"window": FULL_FRAME, "binning": 1}
    bands = ("g_SDSS", "r_SDSS", "i_SDSS")
    image_biases(observer, 7, **how)
    observer.at(-5.0)
    sky_flats(observer, bands, 3, **how)
    observer.at(-2.0)
    target_field(observer, bands=bands, exposure_s=120.0, **how)
    observer.at(2.0)
    standard_field(observer, bands=bands, exposure_s=20.0, **how)


def _small(observer: Observer) -> None:
    _spectra(observer, images=True)


def _spectra(observer: Observer, *, images: bool = False, **acquired: Any) -> Target:
    """Take three targets and a standard, and return the last target with its coordinates.

    `acquired` says how their images are taken.
    """
    targets = science_targets(observer.rng)
    observer.biases(7)
    observer.at(-4.5)
    observer.arc()
    observer.flats(5)
    observer.at(-2.0)
    if images:
        observer.images("field r", ("g", "r"), 20.0, IMAGE_WINDOW)
    observer.acquisition(targets[0], **acquired)
    observer.science(targets[0])
    observer.acquisition(targets[1], **acquired)
    observer.science(targets[1])
    observer.at(2.0)
    observer.standard(STANDARDS[0])
    last = replace(targets[2], ra_deg=observer.right_ascension(targets[2].hour_angle_h))
    observer.science(last)
    return last


def _full(observer: Observer) -> None:
    observer.biases(11)
    observer.biases(11, y_binning=1)
    observer.biases(9, window=FULL_FRAME, x_binning=1, y_binning=1)
    observer.at(-4.7)
    sky_flats(observer, ("g_SDSS", "r_SDSS"), 3, FULL_FRAME, 1)
    observer.arc()
    observer.flats(5)
    observer.at(-4.0)
    for round_ in range(4):
        for target in science_targets(observer.rng):
            named = replace(target, name=f"{target.name}{'' if not round_ else chr(97 + round_)}")
            observer.acquisition(named)
            observer.science(named, exposures=2)
        target_field(
            observer, bands=("g_SDSS", "r_SDSS", "i_SDSS"), exposure_s=60.0, exposures=1,
            window=FULL_FRAME, binning=1,
        )  # fmt: skip
        if round_ == 1:
            observer.at(2.0)
            observer.standard(STANDARDS[0], exposures=2)
        if round_ == 2:
            observer.standard(STANDARDS[1])
    observer.at(6.8)
    observer.flats(5)
    observer.biases(11)
