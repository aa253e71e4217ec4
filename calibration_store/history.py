"""Which masters stood at a time gone by."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from calibration_store.records import MasterRecord, MasterState

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime


def standing_at(masters: Iterable[MasterRecord], when: datetime) -> list[MasterRecord]:
    """Return the masters that had been built by then, in the state they had.

    Of every set the newest version was current. Rejections were made at building and stay; a ban
    carries no date, so a banned master counts as banned.
    """
    known = [master for master in masters if master.built_at <= when]
    newest: dict[tuple[str, ...], MasterRecord] = {}
    for master in sorted(known, key=lambda item: item.version):
        if master.state in (MasterState.CURRENT, MasterState.SUPERSEDED):
            newest[_set_of(master)] = master
    return [
        replace(master, state=_state_then(master, newest.get(_set_of(master)))) for master in known
    ]


def _state_then(master: MasterRecord, newest: MasterRecord | None) -> MasterState:
    if master.state in (MasterState.REJECTED, MasterState.BANNED):
        return master.state
    return MasterState.CURRENT if master is newest else MasterState.SUPERSEDED


def _set_of(master: MasterRecord) -> tuple[str, ...]:
    return master.role, master.instrument, master.set_key, master.night
