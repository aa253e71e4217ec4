"""Products, the choices behind them and what was measured on them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import select, update

from calibration_store.columns import decode_name, encode_name
from daemon.memory.archive_base import ArchiveWing
from daemon.memory.archive_judgements import judgement_row
from daemon.memory.records import (
    Choice,
    Decision,
    FlagRecord,
    ProductRecord,
    ProductState,
    Verdict,
)
from daemon.memory.tables import (
    DecisionRow,
    FlagRow,
    MeasurementRow,
    ProductInputRow,
    ProductRow,
)

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy import Select
    from sqlalchemy.orm import Session


class ProductArchive(ArchiveWing):
    """Queries on products."""

    def record_product(self, record: ProductRecord, within: Session | None = None) -> None:
        """Record a product with its choices, measurements and flags.

        Unless it is itself superseded, every other product of the frame is from now on. The same
        key and generation is rewritten in place.
        """
        with self._writing(within) as session:
            row = session.scalar(
                select(ProductRow).where(
                    ProductRow.key == record.key, ProductRow.generation == record.generation
                )
            )
            if record.state is not ProductState.SUPERSEDED:
                _supersede(session, record.frame_id)
            if row is None:
                row = ProductRow(key=record.key, generation=record.generation)
            _fill(row, record)
            session.add(row)
            session.flush()

    def current_product(self, frame_id: int, within: Session | None = None) -> ProductRecord | None:
        """Return the product of an exposure that is not superseded."""
        query = _current().where(ProductRow.frame_id == frame_id)
        return self._first_product(query, within)

    def current_products(
        self, frame_ids: Collection[int], within: Session | None = None
    ) -> dict[int, ProductRecord]:
        """Return the products that count of several exposures, by exposure."""
        query = _current().where(ProductRow.frame_id.in_(frame_ids))
        return {product.frame_id: product for product in self._products(query, within)}

    def product_by_key(self, key: str, within: Session | None = None) -> ProductRecord | None:
        """Return the last generation with this key, superseded or not."""
        query = select(ProductRow).where(ProductRow.key == key)
        return self._first_product(query.order_by(ProductRow.generation.desc()), within)

    def products(
        self, night: str | None = None, within: Session | None = None
    ) -> list[ProductRecord]:
        """Return every current product, or those of one night, in order of making."""
        query = _current().order_by(ProductRow.created_at, ProductRow.id)
        if night is not None:
            query = query.where(ProductRow.night == night)
        return self._products(query, within)

    def product_history(self, frame_id: int, within: Session | None = None) -> list[ProductRecord]:
        """Return every product an exposure ever had, oldest first."""
        query = select(ProductRow).where(ProductRow.frame_id == frame_id)
        return self._products(query.order_by(ProductRow.created_at, ProductRow.id), within)

    def product_histories(
        self, night: str, within: Session | None = None
    ) -> dict[int, list[ProductRecord]]:
        """Return every product of a night by exposure, oldest first."""
        query = select(ProductRow).where(ProductRow.night == night)
        found: dict[int, list[ProductRecord]] = {}
        for product in self._products(query.order_by(ProductRow.created_at, ProductRow.id), within):
            found.setdefault(product.frame_id, []).append(product)
        return found

    def products_using(self, key: str, within: Session | None = None) -> list[ProductRecord]:
        """Return the current products that were made with this master or raw content."""
        users = select(ProductInputRow.product_id).where(ProductInputRow.key == key)
        return self._products(_current().where(ProductRow.id.in_(users)), within)

    def decide(
        self, record: ProductRecord, verdict: Verdict, within: Session | None = None
    ) -> None:
        """Note a person's decision on one product; an accepted one is the current one from now."""
        with self._writing(within) as session:
            row = _row_of(session, record)
            if row is None:
                return
            _decide(row, verdict)
            session.add(judgement_row(row, verdict))
            if verdict.decision is Decision.ACCEPTED and row.state == ProductState.SUPERSEDED:
                _make_current(session, row)

    def retire_product(self, frame_id: int, within: Session | None = None) -> None:
        """Let an exposure have no current product: it has turned out to be no spectrum."""
        with self._writing(within) as session:
            _supersede(session, frame_id)

    def make_current(self, record: ProductRecord, within: Session | None = None) -> None:
        """Go back to an earlier product of an exposure."""
        with self._writing(within) as session:
            row = _row_of(session, record)
            if row is not None and row.state == ProductState.SUPERSEDED:
                _make_current(session, row)

    def final_among(
        self, frame_ids: Collection[int], within: Session | None = None
    ) -> frozenset[int]:
        """Return those of some exposures whose product lacks nothing."""
        query = select(ProductRow.frame_id).where(
            ProductRow.frame_id.in_(frame_ids), ProductRow.state == ProductState.FINAL
        )
        with self._reading(within) as session:
            return frozenset(session.scalars(query))

    def has_products(self, within: Session | None = None) -> bool:
        """Tell whether anything was ever reduced."""
        with self._reading(within) as session:
            return session.scalar(select(ProductRow.id).limit(1)) is not None

    def products_not_made_by(
        self, digests: Collection[str], within: Session | None = None
    ) -> list[tuple[int, str]]:
        """Return (frame, recipe version) of the current products that other means have made.

        What a person accepted stays as it is.
        """
        query = select(ProductRow.frame_id, ProductRow.recipe_version).where(
            ProductRow.state != ProductState.SUPERSEDED,
            ProductRow.verdict != Decision.ACCEPTED,
            ProductRow.recipe_digest.not_in(digests),
        )
        with self._reading(within) as session:
            found = session.execute(query.order_by(ProductRow.id.desc()))
            return [(frame_id, version) for frame_id, version in found]

    def _first_product(
        self, query: Select[ProductRow], within: Session | None
    ) -> ProductRecord | None:
        found = self._products(query.limit(1), within)
        return found[0] if found else None

    def _products(self, query: Select[ProductRow], within: Session | None) -> list[ProductRecord]:
        with self._reading(within) as session:
            return [_product_record(row) for row in session.scalars(query)]


def _row_of(session: Session, record: ProductRecord) -> ProductRow | None:
    return session.scalar(
        select(ProductRow).where(
            ProductRow.key == record.key, ProductRow.generation == record.generation
        )
    )


def _make_current(session: Session, row: ProductRow) -> None:
    """Let this product of its exposure be the one that counts."""
    _supersede(session, row.frame_id)
    lacking = any(not each.master_key for each in row.decisions)
    row.state = (ProductState.PROVISIONAL if lacking else ProductState.FINAL).value


def _current() -> Select[ProductRow]:
    return select(ProductRow).where(ProductRow.state != ProductState.SUPERSEDED)


def _supersede(session: Session, frame_id: int) -> None:
    session.execute(
        update(ProductRow)
        .where(
            ProductRow.frame_id == frame_id,
            ProductRow.state != ProductState.SUPERSEDED,
        )
        .values(state=ProductState.SUPERSEDED)
    )


def _fill(row: ProductRow, record: ProductRecord) -> None:
    row.frame_id, row.frame_sha256, row.stem = record.frame_id, record.frame_sha256, record.stem
    row.night, row.recipe, row.target = record.night, record.recipe, record.target
    row.recipe_version, row.state = record.recipe_version, record.state.value
    row.quality, row.flag_bits = record.quality, record.flag_bits
    row.paths = {role: encode_name(str(path)) for role, path in record.paths.items()}
    row.hashes = dict(record.hashes)
    row.created_at, row.latency_s = record.created_at, record.latency_s
    row.recipe_digest, row.redo = record.recipe_digest, dict(record.redo)
    _decide(row, record.verdict)
    chosen = [(each.role, each.master_key) for each in record.choices if each.master_key]
    row.inputs = [
        ProductInputRow(position=position, role=role, key=key)
        for position, (role, key) in enumerate([("RAW", record.frame_sha256), *chosen])
    ]
    row.decisions = [_decision(position, each) for position, each in enumerate(record.choices)]
    row.measurements = [
        MeasurementRow(name=name, value=None if math.isnan(value) else float(value))
        for name, value in record.measurements.items()
    ]
    row.flags = [_flag(position, each) for position, each in enumerate(record.flags)]


def _decide(row: ProductRow, verdict: Verdict | None) -> None:
    row.verdict = verdict.decision.value if verdict else ""
    row.verdict_by = verdict.user if verdict else ""
    row.verdict_at = verdict.at if verdict else None


def _verdict(row: ProductRow) -> Verdict | None:
    if not row.verdict or row.verdict_at is None:
        return None
    return Verdict(decision=Decision(row.verdict), user=row.verdict_by, at=row.verdict_at)


def _decision(position: int, choice: Choice) -> DecisionRow:
    return DecisionRow(
        position=position,
        role=choice.role,
        master_key=choice.master_key,
        rung=choice.rung,
        reason=choice.reason,
        rejected=[list(each) for each in choice.rejected],
    )


def _flag(position: int, flag: FlagRecord) -> FlagRow:
    return FlagRow(
        position=position,
        name=flag.name,
        bit=flag.bit,
        quality=flag.quality,
        value=flag.value,
        threshold=flag.threshold,
        sentence=flag.sentence,
    )


def _choice(row: DecisionRow) -> Choice:
    return Choice(
        role=row.role,
        master_key=row.master_key,
        rung=row.rung,
        reason=row.reason,
        rejected=tuple((key, reason) for key, reason in row.rejected),
    )


def _flag_record(row: FlagRow) -> FlagRecord:
    return FlagRecord(
        name=row.name,
        bit=row.bit,
        quality=row.quality,
        value=row.value,
        threshold=row.threshold,
        sentence=row.sentence,
    )


def _product_record(row: ProductRow) -> ProductRecord:
    return ProductRecord(
        key=row.key,
        frame_id=row.frame_id,
        frame_sha256=row.frame_sha256,
        stem=row.stem,
        night=row.night,
        recipe=row.recipe,
        recipe_version=row.recipe_version,
        generation=row.generation,
        state=ProductState(row.state),
        quality=row.quality,
        flag_bits=row.flag_bits,
        target=row.target,
        paths={role: Path(decode_name(path)) for role, path in row.paths.items()},
        hashes=dict(row.hashes),
        measurements={
            each.name: math.nan if each.value is None else each.value for each in row.measurements
        },
        flags=tuple(_flag_record(each) for each in row.flags),
        choices=tuple(_choice(each) for each in row.decisions),
        created_at=row.created_at,
        latency_s=row.latency_s,
        recipe_digest=row.recipe_digest,
        redo=dict(row.redo),
        verdict=_verdict(row),
    )
