"""The masters of a night as the report tells them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from calibration_store.records import MasterState
from daemon.account.debt import words_of
from daemon.report.history import checks_of
from daemon.report.night_report import MasterFacts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from calibration_store.records import MasterRecord
    from calibration_store.store import CalibrationStore
    from daemon.memory.records import ProductRecord


def master_facts(
    store: CalibrationStore, masters: Sequence[MasterRecord], products: Sequence[ProductRecord]
) -> tuple[MasterFacts, ...]:
    """Return every master of a night that was not superseded, against the nights before."""
    used = Counter(choice.master_key for item in products for choice in item.choices)
    standing = [each for each in masters if each.state is not MasterState.SUPERSEDED]
    histories = {
        (role, name): store.history(role, name)
        for role, name in {(each.role, each.instrument) for each in standing}
    }
    return tuple(
        MasterFacts(
            key=each.key,
            role=each.role,
            setup=_setup(each),
            frames=len(each.inputs),
            first=each.inputs[0][1] if each.inputs else "unknown",
            last=each.inputs[-1][1] if each.inputs else "unknown",
            state=each.state.value,
            reason=each.reason,
            path=str(each.path),
            sha256=each.sha256,
            version=each.version,
            checks=checks_of(each, histories[each.role, each.instrument]),
            used_by=used[each.key],
            night=each.night,
            observed_at=each.observed_at,
        )
        for each in sorted(standing, key=lambda item: (item.role, item.observed_at))
    )


def borrowed_by(
    products: Sequence[ProductRecord], masters: Sequence[MasterRecord]
) -> dict[str, int]:
    """Return how many products of the night use masters of another one, by role."""
    own = {master.key for master in masters}
    chosen = [c for item in products for c in item.choices if c.master_key]
    return dict(Counter(choice.role for choice in chosen if choice.master_key not in own))


def _setup(master: MasterRecord) -> str:
    """Return what matters of a set-up: the readout of a bias, the optics of all else."""
    own = master.setup
    if master.role in ("BIAS", "DARK"):
        return f"{own.x_binning}x{own.y_binning} {own.readout}"
    return words_of(own)
