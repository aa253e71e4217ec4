"""Every verdict that people gave: the labels by which the automatic checks are measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from daemon.memory.archive_base import ArchiveWing
from daemon.memory.records import Decision, Judgement, Verdict
from daemon.memory.tables import JudgementRow

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from daemon.memory.tables import ProductRow


class JudgementArchive(ArchiveWing):
    """Queries on verdicts."""

    def judgements(
        self, night: str | None = None, within: Session | None = None
    ) -> list[Judgement]:
        """Return the last verdict on every product that was judged, in order of judging."""
        query = select(JudgementRow).order_by(JudgementRow.id)
        if night is not None:
            query = query.where(JudgementRow.night == night)
        with self._reading(within) as session:
            latest = {row.product_key: row for row in session.scalars(query)}
            return [_judgement(row) for row in sorted(latest.values(), key=lambda row: row.id)]


def judgement_row(product: ProductRow, verdict: Verdict) -> JudgementRow:
    """Return a verdict with what the checks had said of its product."""
    return JudgementRow(
        product_key=product.key,
        stem=product.stem,
        night=product.night,
        recipe=product.recipe,
        quality=product.quality,
        flags=[flag.name for flag in product.flags],
        decision=verdict.decision.value,
        user=verdict.user,
        answers=dict(verdict.answers),
        remark=verdict.remark,
        judged_at=verdict.at,
    )


def _judgement(row: JudgementRow) -> Judgement:
    return Judgement(
        stem=row.stem,
        night=row.night,
        recipe=row.recipe,
        quality=row.quality,
        flags=tuple(str(name) for name in row.flags),
        verdict=Verdict(
            decision=Decision(row.decision),
            user=row.user,
            at=row.judged_at,
            answers={str(name): str(value) for name, value in row.answers.items()},
            remark=row.remark,
        ),
    )
