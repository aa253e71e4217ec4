"""A long night for the bench: many small frames, one standard late, one set-up without an arc."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from reducers.identity import FrameKind
from reducers.profiles import load_instrument
from reducers.simulate.header import readout_s
from reducers.simulate.night_images import dithered, image_biases, sky_flats
from reducers.simulate.observer import Observer
from reducers.simulate.records import PlannedExposure
from reducers.simulate.sky import Sky
from reducers.simulate.targets import StandardTarget, science_targets

if TYPE_CHECKING:
    from reducers.simulate.targets import Target

#: A strip about the slit, a square of 1.9 arcmin, and a smaller one for acquisitions.
STRIP, SQUARE, SMALL = (901, 1080, 1, 2102), (801, 1340, 751, 1290), (901, 1100, 951, 1150)
LATE_BY = timedelta(hours=3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """What is taken, and when each file is there.

    Attributes
    ----------
    arrivals
        (moment of the night at which the file appears, exposure), in that order.
    without_arc, late
        Stems of the spectra that have no arc, and of the standard that comes late.
    """

    date: date
    arrivals: tuple[tuple[datetime, PlannedExposure], ...]
    without_arc: tuple[str, ...]
    late: str

    @property
    def plan(self) -> tuple[PlannedExposure, ...]:
        """The exposures as they were taken."""
        return tuple(sorted((item for _, item in self.arrivals), key=lambda item: item.number))


def plan_long_night(night: date, *, targets: int = 40, fields: int = 6, seed: int = 7) -> Night:
    """Return a night with so many targets behind the slit, and so many fields in g and r."""
    observer = Observer(seed=seed, night=night, steady=True)
    observer.window = STRIP
    large = fields > 0
    observer.biases(11 if large else 5)
    how = {"window": SQUARE, "binning": 1}
    if large:
        image_biases(observer, 7, **how)
        observer.at(-5.0)
        sky_flats(observer, ("g_SDSS", "r_SDSS"), 3, **how)
    observer.at(-4.6)
    observer.arc()
    observer.flats(5 if large else 3)
    observer.at(-4.0)
    observer.standard(_standard(observer))
    late = next(item.stem for item in observer.taken if item.kind is FrameKind.SPEC_STD)
    without_arc: list[str] = []
    every = max(targets // max(fields, 1), 1)
    for number in range(targets):
        target = _target(observer, number)
        if large:
            observer.acquisition(target, window=SMALL)
        observer.science(target, exposures=2 if large else 1)
        if number == targets // 2:
            without_arc += _without_arc(observer, target)
        if large and number % every == 0:
            place = (observer.right_ascension(-0.5), 31.25)
            dithered(
                observer, f"field{number:02d}", ("g_SDSS", "r_SDSS"), 60.0, place,
                sky=Sky(stars_per_deg2=60_000), **how,
            )  # fmt: skip
    if large:
        observer.flats(5)
        observer.biases(11)
    arrivals = sorted(
        ((_there(item, late), item) for item in observer.taken), key=lambda pair: pair[0]
    )
    return Night(date=night, arrivals=tuple(arrivals), without_arc=tuple(without_arc), late=late)


def _standard(observer: Observer) -> StandardTarget:
    """Return the profile's bright standard that stands highest now."""
    star = min(
        (each for each in load_instrument("alfosc").standards if 9 < each.ab_magnitude[0] < 12),
        key=lambda each: (
            abs((observer.right_ascension(0.0) - each.ra_deg + 180) % 360 - 180)
            + abs(each.dec_deg - 28)
        ),
    )
    exposure_s = round(6.0 * 10 ** (0.4 * (star.ab_magnitude[0] - 9.5)), 1)
    return StandardTarget(
        name=star.name,
        target=star.name,
        ra_deg=star.ra_deg,
        dec_deg=star.dec_deg,
        exposure_s=exposure_s,
    )


def _target(observer: Observer, number: int) -> Target:
    chosen = science_targets(observer.rng)[number % 3]
    return replace(chosen, name=f"{chosen.name}{number:02d}", exposure_s=300.0)


def _without_arc(observer: Observer, target: Target) -> list[str]:
    """Take one spectrum in another grism, and forget its arc."""
    observer.take(
        FrameKind.SPEC_OBJECT,
        300.0,
        target.name,
        target=target.name,
        sources=target.sources,
        grism="Grism_#7",
        slit="Slit_1.0",
        **observer.place_of(target),
    )
    return [observer.taken[-1].stem]


def _there(item: PlannedExposure, late: str) -> datetime:
    done = item.start + timedelta(seconds=item.exposure_s + readout_s(item))
    return done + LATE_BY if item.stem == late else done
