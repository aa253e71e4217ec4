"""The debt of calibrations: what the set-ups in use need against what is in hand."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from calibration_store.ladders import slit_unmoved
from daemon.work.roles import OPTIONAL, PROVIDED_FOR, product_of, rule_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from calibration_store.policy import Selection
    from daemon.memory.records import FrameRecord, ProductRecord
    from reducers.identity import Setup
    from reducers.instrument import Instrument

    #: Chooses the masters of a frame as its reduction would.
    Select = Callable[[FrameRecord], Sequence[Selection]]


class Standing(StrEnum):
    """How a set-up stands with one role."""

    HAVE = "have"
    MOVED = "slit moved"
    OLD = "have old"
    REFUSED = "refused"
    MISSING = "missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Debt:
    """One role of one set-up.

    Attributes
    ----------
    setup
        The set-up in words, 'Grism_#4 Slit_1.0 1x1'.
    frames
        How many frames of the night wait for it or use it.
    age_h
        Between the last of them and the master; None without one.
    take
        What to take, and by when; '' when nothing is owed.
    """

    setup: str
    role: str
    standing: Standing
    frames: int
    age_h: float | None = None
    take: str = ""

    @property
    def is_owed(self) -> bool:
        """Whether somebody should take something."""
        return self.standing is not Standing.HAVE


@dataclass(frozen=True, slots=True, kw_only=True)
class Hint:
    """Something to know during the night."""

    about: str
    sentence: str


#: Role -> what to take: number of frames, set-up.
_TAKE = {
    "BIAS": "{count} biases, {detector}, shutter closed, any time",
    "FLAT": "{count} halogen flats, {optics}, {detector}",
    "ARC": "an arc, {optics}, {detector}, before grism or slit move",
    "RESPONSE": "a spectrophotometric standard, {grism}, wide slit",
    "SKY_FLAT": "{count} sky flats, filter {filter}, {detector}, in twilight",
    "FRINGE": "{count} dithered images of a sparse field, filter {filter}",
}


def debts_of(
    frames: Iterable[FrameRecord],
    select: Select,
    instruments: Mapping[str, Instrument],
    dawn: datetime | None = None,
) -> list[Debt]:
    """Return how every set-up that is in use stands with every role it needs.

    Parameters
    ----------
    frames
        Of one night; those for which no calibrations are taken count for nothing.
    dawn
        When the night ends, to say by when.
    """
    groups: dict[tuple[str, Setup], list[FrameRecord]] = {}
    for frame in frames:
        product = product_of(frame.identity)
        provided_for = frame.identity.kind in PROVIDED_FOR
        if provided_for and frame.identity.instrument in instruments:
            groups.setdefault((product, frame.identity.setup), []).append(frame)
    found: list[Debt] = []
    for (_, setup), members in groups.items():
        last = max(members, key=lambda item: item.identity.observed_at or item.arrived_at)
        instrument = instruments[last.identity.instrument]
        for selection in select(last):
            if selection.role in OPTIONAL:
                continue
            standing = _standing(last, selection)
            take = "" if standing is Standing.HAVE else _take(selection.role, setup, instrument)
            if take and dawn is not None and selection.role not in ("BIAS", "FLAT"):
                take += f"; before {dawn:%H:%M} UT"
            found.append(
                Debt(
                    setup=words_of(setup),
                    role=selection.role,
                    standing=standing,
                    frames=len(members),
                    age_h=selection.age_h,
                    take=take,
                )
            )
    return sorted(found, key=lambda item: (item.setup, item.role))


def hints_of(products: Iterable[ProductRecord], *, snr_goal: float) -> list[Hint]:
    """Tell of every target what its exposures came to, and how many are left to the goal.

    The signal-to-noise of exposures alike adds up as the root of the sum of squares.

    Parameters
    ----------
    snr_goal
        0 for no goal.
    """
    if snr_goal <= 0:
        return []
    targets: dict[str, list[float]] = {}
    for product in products:
        snr = product.measurements.get("snr", math.nan)
        if product.recipe == "spectrum" and product.quality <= 2 and snr > 0:
            targets.setdefault(product.target, []).append(snr)
    return [_goal(target, values, snr_goal) for target, values in sorted(targets.items())]


def words_of(setup: Setup) -> str:
    """Return a set-up in a few words."""
    optics = " ".join(word for word in (setup.grism, setup.slit, setup.filter) if word)
    return f"{optics} {setup.x_binning}x{setup.y_binning}".strip()


def _goal(target: str, values: Sequence[float], goal: float) -> Hint:
    reached = math.sqrt(sum(value**2 for value in values))
    said = f"S/N {reached:.0f} in {len(values)} exposure{'s' * (len(values) > 1)}"
    if reached >= goal:
        return Hint(about=target, sentence=f"{said}: the goal of {goal:.0f} is reached")
    left = math.ceil((goal**2 - reached**2) / values[-1] ** 2)
    more = f"{left} more like the last {'is' if left == 1 else 'are'} expected to be enough"
    return Hint(about=target, sentence=f"{said} of {goal:.0f} wanted: {more}")


def _standing(frame: FrameRecord, selection: Selection) -> Standing:
    master = selection.master
    if selection.refused:
        return Standing.REFUSED
    if master is None:
        return Standing.MISSING
    if selection.borrowed:
        return Standing.OLD
    if (
        selection.role == "ARC"
        and frame.identity.aperture_y_px is not None
        and master.aperture_y_px is not None
        and not slit_unmoved(frame.identity, master)
    ):
        return Standing.MOVED
    return Standing.HAVE


def _take(role: str, setup: Setup, instrument: Instrument) -> str:
    rule = rule_of(role, instrument)
    optics = " ".join(word for word in (setup.grism, setup.slit, setup.filter) if word)
    detector = f"{setup.x_binning}x{setup.y_binning} window {'{}:{},{}:{}'.format(*setup.window)}"
    text = _TAKE.get(role, "{count} frames for a master {role}, {optics}, {detector}")
    return text.format(
        count=rule.at_least, optics=optics, detector=detector, grism=setup.grism,
        filter=setup.filter or "none", role=role,
    )  # fmt: skip
