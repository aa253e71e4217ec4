"""A night of observing, planned exposure by exposure."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING

from reducers.identity import FrameKind
from reducers.simulate.observer import IMAGE_WINDOW, SDSS, Observer
from reducers.simulate.records import WINDOW
from reducers.simulate.targets import STANDARDS, science_targets

if TYPE_CHECKING:
    from reducers.simulate.records import PlannedExposure

FULL_FRAME = (1, 2148, 1, 2102)


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
        standards, changing seeing, 1x1 and 1x2 binning, and imaging.
    windowed
        False reads the full width of the detector in every spectrum.
    """
    if scale not in ("small", "full"):
        raise ValueError(f"scale is 'small' or 'full', not {scale!r}")
    observer = Observer(seed=seed, night=night, steady=scale == "small")
    observer.window = WINDOW if windowed else FULL_FRAME
    if scale == "small":
        _small(observer)
    else:
        _full(observer)
    return tuple(observer.taken)


def _small(observer: Observer) -> None:
    targets = science_targets(observer.rng)
    observer.biases(7)
    observer.at(-4.5)
    observer.arc()
    observer.flats(5)
    observer.at(-2.0)
    observer.images("field r", ("g", "r"), 20.0, IMAGE_WINDOW)
    observer.acquisition(targets[0])
    observer.science(targets[0])
    observer.acquisition(targets[1])
    observer.science(targets[1])
    observer.at(2.0)
    observer.standard(STANDARDS[0])
    observer.science(targets[2])


def _full(observer: Observer) -> None:
    observer.biases(11)
    observer.biases(11, y_binning=1)
    observer.biases(9, window=FULL_FRAME, x_binning=1, y_binning=1)
    observer.at(-4.7)
    for band in ("g", "r"):
        _twilight_flats(observer, band)
    observer.arc()
    observer.flats(5)
    observer.at(-4.0)
    for round_ in range(4):
        for target in science_targets(observer.rng):
            named = replace(target, name=f"{target.name}{'' if not round_ else chr(97 + round_)}")
            observer.acquisition(named)
            observer.science(named, exposures=2)
        observer.images(f"field {round_ + 1}", ("g", "r", "i"), 60.0, FULL_FRAME)
        if round_ == 1:
            observer.at(2.0)
            observer.standard(STANDARDS[0], exposures=2)
        if round_ == 2:
            observer.standard(STANDARDS[1])
    observer.at(6.8)
    observer.flats(5)
    observer.biases(11)


def _twilight_flats(observer: Observer, band: str) -> None:
    for n in range(3):
        observer.take(
            FrameKind.IMG_FLAT,
            round(1.5 * 1.4**n, 1),
            "EasyFlat",
            filter=SDSS[band],
            image_type="FLAT,SKY",
            image_category="CALIB",
            window=FULL_FRAME,
            x_binning=1,
            y_binning=1,
            ra_deg=observer.right_ascension(0.2),
            dec_deg=25.0,
        )
