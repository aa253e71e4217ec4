"""What masters and products have measured, night by night, without reading whole records."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from calibration_store.codec import from_json
from calibration_store.records import MasterState
from calibration_store.tables import MasterInputRow, MasterRow
from daemon.memory.archive_base import ArchiveWing
from daemon.memory.records import ProductState
from daemon.memory.tables import DecisionRow, MeasurementRow, ProductRow, RevisionRow
from reducers.identity import Setup

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from sqlalchemy import RowMapping
    from sqlalchemy.orm import Session

#: What the header says of an exposure beside its products' measurements, by the name it gets there.
_OF_HEADER = ("telescope_focus", "detector_temperature_c")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The numbers of one master or of one reduced exposure.

    Attributes
    ----------
    what
        Role of the master, or kind of the exposure.
    key
        Of the master, or of the product.
    state
        Of the master, or of the product.
    arc
        Key of the arc that an exposure was reduced with; '' for none.
    """

    what: str
    key: str
    state: str
    night: str
    at: datetime
    stem: str
    setup: Setup
    rotator_deg: float | None
    altitude_deg: float | None
    measurements: Mapping[str, float]
    arc: str = ""


class HealthArchive(ArchiveWing):
    """Queries on measurements over many nights."""

    def master_measurements(
        self, first: str, last: str, within: Session | None = None
    ) -> list[Measured]:
        """Return the masters in use and the refused ones of these nights, oldest first."""
        query = (
            select(
                MasterRow.role, MasterRow.key, MasterRow.state, MasterRow.night,
                MasterRow.observed_at, MasterRow.setup, MasterRow.measurements,
                MasterInputRow.stem,
            )
            .outerjoin(
                MasterInputRow,
                (MasterInputRow.master_id == MasterRow.id) & (MasterInputRow.position == 0),
            )
            .where(
                MasterRow.night >= first,
                MasterRow.night <= last,
                MasterRow.state.in_((MasterState.CURRENT, MasterState.REJECTED)),
            )
            .order_by(MasterRow.observed_at, MasterRow.id)
        )  # fmt: skip
        with self._reading(within) as session:
            return [_master(row) for row in session.execute(query).mappings()]

    def product_measurements(
        self, names: Collection[str], first: str, last: str, within: Session | None = None
    ) -> list[Measured]:
        """Return the named numbers of the current products of these nights, oldest first."""
        nights = (
            ProductRow.night >= first,
            ProductRow.night <= last,
            ProductRow.state != ProductState.SUPERSEDED,
        )
        frames = (
            select(
                ProductRow.id, ProductRow.key, ProductRow.state, ProductRow.night, ProductRow.stem,
                ProductRow.latency_s, RevisionRow.kind, RevisionRow.observed_at,
                RevisionRow.arrived_at, RevisionRow.identity,
            )
            .join(
                RevisionRow,
                (RevisionRow.frame_id == ProductRow.frame_id) & RevisionRow.current.is_(True),
            )
            .where(*nights)
            .order_by(RevisionRow.observed_at, ProductRow.id)
        )  # fmt: skip
        numbers = (
            select(MeasurementRow.product_id, MeasurementRow.name, MeasurementRow.value)
            .join(ProductRow, ProductRow.id == MeasurementRow.product_id)
            .where(*nights, MeasurementRow.name.in_(names))
        )
        arcs = (
            select(DecisionRow.product_id, DecisionRow.master_key)
            .join(ProductRow, ProductRow.id == DecisionRow.product_id)
            .where(*nights, DecisionRow.role == "ARC")
        )
        with self._reading(within) as session:
            found = _by_product((row[0], row[1], row[2]) for row in session.execute(numbers))
            arc_of = {row[0]: str(row[1]) for row in session.execute(arcs)}
            return [
                _product(row, found.get(row["id"], {}), arc_of.get(row["id"], ""))
                for row in session.execute(frames).mappings()
            ]


def _by_product(
    rows: Iterable[tuple[int, str, float | None]],
) -> dict[int, dict[str, float]]:
    found: dict[int, dict[str, float]] = {}
    for product, name, value in rows:
        found.setdefault(product, {})[name] = math.nan if value is None else value
    return found


def _master(row: RowMapping) -> Measured:
    numbers = {name: float(value) for name, value in row["measurements"].items()}
    return Measured(
        what=row["role"],
        key=row["key"],
        state=row["state"],
        night=row["night"],
        at=row["observed_at"],
        stem=row["stem"] or "",
        setup=from_json(Setup, row["setup"]),
        rotator_deg=numbers.get("rotator_deg"),
        altitude_deg=numbers.get("altitude_deg"),
        measurements=numbers,
    )


def _product(row: RowMapping, numbers: Mapping[str, float], arc: str) -> Measured:
    identity: Mapping[str, Any] = row["identity"]
    known = {name: identity[name] for name in _OF_HEADER if identity.get(name) is not None}
    if row["latency_s"] is not None:
        known["latency_s"] = row["latency_s"]
    return Measured(
        what=row["kind"],
        key=row["key"],
        state=row["state"],
        night=row["night"],
        at=row["observed_at"] or row["arrived_at"],
        stem=row["stem"],
        setup=from_json(Setup, identity["setup"]),
        rotator_deg=identity.get("rotator_deg"),
        altitude_deg=identity.get("altitude_deg"),
        measurements={**numbers, **known},
        arc=arc,
    )
