"""The frames of a canary: a strip about the slit, a standard, and a star whose answer is known."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from reducers.identity import FrameKind
from reducers.simulate.observer import Observer
from reducers.simulate.records import Source
from reducers.simulate.targets import STANDARDS

if TYPE_CHECKING:
    from reducers.simulate.records import PlannedExposure

NAME = "ALFOSCD-CANARY"
#: Long past and always the same: the same bytes every time, and no night that anybody observed.
_NIGHT, _SEED = date(2017, 1, 15), 20
_WINDOW = (901, 1020, 1, 2102)
_MIDDLE_PX = 958.0


def canary_set() -> tuple[PlannedExposure, ...]:
    """Return five biases, three flats, a standard, the star that is judged, and an arc."""
    observer = Observer(seed=_SEED, night=_NIGHT, steady=True)
    observer.window = _WINDOW
    observer.biases(5)
    observer.at(-4.5)
    observer.flats(3)
    observer.at(1.0)
    standard = STANDARDS[0]
    observer.take(
        FrameKind.SPEC_STD,
        standard.exposure_s,
        standard.target,
        target=standard.target,
        sources=(_source(standard.name, f"standard:{standard.name}"),),
        ra_deg=standard.ra_deg,
        dec_deg=standard.dec_deg,
    )
    place = {"ra_deg": observer.right_ascension(0.3), "dec_deg": 20.0}
    star = _source(NAME, "quasar", ab_magnitude=16.0)
    observer.take(FrameKind.SPEC_OBJECT, 300.0, NAME, target=NAME, sources=(star,), **place)
    observer.arc(NAME, **place)
    return tuple(observer.taken)


def star_of(plan: tuple[PlannedExposure, ...]) -> PlannedExposure:
    """Return the exposure whose product is judged."""
    return next(item for item in plan if item.kind is FrameKind.SPEC_OBJECT)


def _source(name: str, model: str, ab_magnitude: float = 0.0) -> Source:
    return Source(name=name, model=model, ab_magnitude=ab_magnitude, detector_x=_MIDDLE_PX)
