"""What a job asks of one exposure, the same for spectra and images."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from daemon.memory.records import FrameRecord, ProductRecord
from daemon.work.product_files import is_settled, is_whole
from daemon.work.redo import Redo, asked_by, carried_over
from daemon.work.roles import product_of
from daemon.work.selecting import wants_it_at_once
from daemon.work.upgrades import Upgrade, offer_upgrade, upgrade_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from calibration_store.policy import Selection
    from daemon.memory.records import Job, Verdict
    from daemon.work.bench import Bench
    from daemon.work.upgrades import Trial
    from reducers.identity import FrameKind

    Tried = Callable[[FrameRecord, ProductRecord, Bench, Sequence[Selection]], Trial]


@dataclass(frozen=True, slots=True, kw_only=True)
class Commission:
    """One exposure to be reduced, its product so far, and what a person wants of it.

    Attributes
    ----------
    recipe
        'spectrum' or 'image'.
    before
        The product that counts now.
    redo
        What a person asks for with this job; None where the daemon reduces by itself.
    """

    recipe: str
    frame: FrameRecord
    before: ProductRecord | None
    redo: Redo | None

    @property
    def how(self) -> Redo:
        """The request in force: this one, or the one that the product so far was made with."""
        same = self.before is not None and self.before.recipe == self.recipe
        return self.redo or (carried_over(self.before) if same else Redo())

    def rejection(self, bench: Bench) -> Verdict | None:
        """Return a person's rejection of what is replaced: a remake by itself does not lift it.

        It may have come while the product was being made.
        """
        before = bench.archive.current_product(self.frame.id)
        if before is None or before.is_accepted or self.redo is not None:
            return None
        return before.verdict if before.frame_sha256 == self.frame.sha256 else None

    def may_wait(self, bench: Bench) -> bool:
        """Tell whether calibrations that are due are waited for: no product is wanted at once."""
        return self.before is not None or not wants_it_at_once(bench, self.frame)

    def is_done(self, key: str) -> bool:
        """Tell whether the product of this key is there, whole, and nobody wants it anew."""
        found = self.before is not None and self.before.key == key and self.redo is None
        return found and self.before is not None and is_whole(self.before)

    def upgrade(self, bench: Bench, key: str, recipe_digest: str) -> Upgrade | None:
        """Return what the product of this key replaces; None for a first one or one asked for."""
        if self.redo is not None:
            return None
        return upgrade_of(bench, self.frame, self.before, key, recipe_digest)


def commission_of(
    bench: Bench, job: Job, recipe: str, kinds: Collection[FrameKind], tried: Tried
) -> Commission | None:
    """Return what a job asks for; None where nothing is to be made.

    What a person has accepted stays; better calibrations for it are offered.

    Parameters
    ----------
    tried
        Reduces an exposure as it was accepted, with other masters, to tell what they would change.

    Raises
    ------
    TryLater
        If masters that may have to be offered are due.
    """
    frame = bench.archive.frame(int(job.payload["frame_id"]))
    if frame is None or frame.identity.kind not in kinds:
        return None
    before, redo = bench.archive.current_product(frame.id), asked_by(job)
    if redo is None and not bench.wants(frame):
        return None
    if redo is None and before is not None and is_settled(before, frame):
        reduce = partial(tried, frame, before)
        offer_upgrade(bench, frame, before, product_of(frame.identity), reduce)
        return None
    return Commission(recipe=recipe, frame=frame, before=before, redo=redo)
