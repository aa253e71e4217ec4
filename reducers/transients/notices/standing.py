"""What still counts of all that was said of one event."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from reducers.transients.notices.notice import Role

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reducers.transients.localisation import Localisation
    from reducers.transients.notices.notice import TriggerNotice

_LONG_AGO = datetime(1, 1, 1, tzinfo=UTC)


def standing_localisations(notices: Iterable[TriggerNotice]) -> tuple[Localisation, ...]:
    """Return at most one circle per event and kind, from notices in any order of arrival.

    Tests count for nothing. A retraction takes back everything that was issued before it. Of one
    instrument the final position counts before the first, then the newest; of several instruments
    of one kind the smallest circle. The time of the event is the earliest that any notice tells.
    """
    events: dict[str, list[TriggerNotice]] = defaultdict(list)
    for notice in notices:
        if notice.role is Role.OBSERVATION:
            events[notice.subject].append(notice)
    found = [each for event in sorted(events) for each in _of_event(events[event])]
    return tuple(found)


def is_retracted(notices: Iterable[TriggerNotice]) -> bool:
    """Tell whether the last word on one event is that it was none."""
    real = [each for each in notices if each.role is Role.OBSERVATION]
    return bool(real) and max(real, key=_when).retraction


def _of_event(notices: list[TriggerNotice]) -> list[Localisation]:
    gone = max((_when(each) for each in notices if each.retraction), default=None)
    valid = [n for n in notices if not n.retraction and (gone is None or _when(n) > gone)]
    best: dict[tuple[str, str], TriggerNotice] = {}
    for notice in valid:
        if notice.circle is None:
            continue
        slot = (notice.kind, notice.instrument)
        if slot not in best or _rank(notice) > _rank(best[slot]):
            best[slot] = notice
    happened_at = min((n.happened_at for n in valid if n.happened_at is not None), default=None)
    smallest: dict[str, Localisation] = {}
    for (kind, _), notice in sorted(best.items()):
        here = notice.localisation
        if here is not None and (
            kind not in smallest or here.r90_arcsec < smallest[kind].r90_arcsec
        ):
            smallest[kind] = here
    return [_dated(each, happened_at) for _, each in sorted(smallest.items())]


def _dated(localisation: Localisation, when: datetime | None) -> Localisation:
    return replace(localisation, happened_at=when)


def _when(notice: TriggerNotice) -> tuple[datetime, int, bool]:
    """Order notices as they were issued; of two at the same moment the retraction is the later."""
    issued = notice.issued_at or notice.happened_at or _LONG_AGO
    return issued, notice.revision, notice.retraction


def _rank(notice: TriggerNotice) -> tuple[int, tuple[datetime, int, bool]]:
    return notice.grade, _when(notice)
