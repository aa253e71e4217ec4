"""Products that are replaced by themselves: how much they change, how often, and when not."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from calibration_store.records import MasterState
from daemon.layout import Layout
from daemon.memory.messages import Message, Topic
from daemon.memory.records import FrameRecord, ProductRecord
from daemon.outbox.routing import is_heard
from daemon.publish.upgrade_text import change_text, effect_text, held_text, offer_text
from daemon.work.bench import digest_of, file_sha256
from daemon.work.redo import carried_over
from daemon.work.selecting import select_masters, wait_for_masters
from reducers.combined_products import StoredSpectrum, read_spectrum
from reducers.errors import ReductionError, UnreadableFile
from reducers.imaging.stack_products import StoredImage, read_image
from reducers.product_change import image_change, news_of, spectrum_change, unit_change

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy.orm import Session

    from calibration_store.policy import Selection
    from daemon.memory.records import Job
    from daemon.work.bench import Bench

    Reduce = Callable[[Bench, Sequence[Selection]], "Trial"]

_STORM = "upgrade"
#: Calibrations of one morning come within minutes: one offer tells of them all.
_OFFER_AFTER = timedelta(minutes=10)
_MAIN = ("spectrum", "image")


@dataclass(frozen=True, slots=True, kw_only=True)
class Upgrade:
    """A product that is about to be replaced by a better one, as it was.

    Attributes
    ----------
    before
        What is replaced.
    spectrum, image
        As it was, read before its file is overwritten; None where it is the other or damaged.
    count
        How often the product has replaced itself, this time included.
    """

    frame: FrameRecord
    before: ProductRecord
    count: int
    spectrum: StoredSpectrum | None = None
    image: StoredImage | None = None

    def is_held(self, bench: Bench) -> bool:
        """Tell whether it has replaced itself too often.

        What a person has banned is left behind all the same.
        """
        if self.count <= bench.config.calibration.most_upgrades:
            return False
        keys = [choice.master_key for choice in self.before.choices if choice.master_key]
        masters = [bench.store.get(key) for key in keys]
        refused = (MasterState.BANNED, MasterState.REJECTED)
        return not any(each is not None and each.state in refused for each in masters)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What a product would be: files that go away again, and what was measured on it."""

    paths: Mapping[str, Path]
    measurements: Mapping[str, float]
    quality: int


def upgrade_of(
    bench: Bench, frame: FrameRecord, before: ProductRecord | None, key: str, recipe: str
) -> Upgrade | None:
    """Return what a product made by itself replaces; None where nothing, or only lost files are.

    Parameters
    ----------
    key
        Of the product that is about to be made.
    recipe
        Digest of the recipe in force: a new recipe or other settings begin to count anew.
    """
    if before is None or before.key == key or before.frame_sha256 != frame.sha256:
        return None
    count = 1 + _times_replaced(bench, before) if before.recipe_digest == recipe else 1
    spectrum, image = _as_written(before)
    return Upgrade(frame=frame, before=before, count=count, spectrum=spectrum, image=image)


def changes(
    upgrade: Upgrade | None, paths: Mapping[str, Path], measurements: Mapping[str, float]
) -> dict[str, float]:
    """Return how the product differs from what it replaces, as measurements `upgrade_...`.

    Parameters
    ----------
    paths
        Files of the new product, written.
    measurements
        Of the new product.
    """
    if upgrade is None:
        return {}
    return {"upgrade_count": float(upgrade.count), **_difference(upgrade, paths, measurements)}


def tell_change(
    bench: Bench,
    frame: FrameRecord,
    product: ProductRecord,
    upgrade: Upgrade | None,
    within: Session,
) -> None:
    """Queue one message where the change is larger than its limit and its error."""
    news = news_of(product.measurements)
    if upgrade is None or not news or not _is_told(bench, frame):
        return
    bench.archive.queue_message(
        Message(
            key=f"upgrade:{product.frame_sha256}:{product.key}:{product.generation}",
            topic=Topic.CHANGE,
            text=change_text(product, upgrade.before, news),
            night=product.night,
            target=product.target,
            programme=_programme(frame),
            slot=f"upgrade:{frame.id}",
            storm=_STORM,
            payload={
                name: value
                for name, value in product.measurements.items()
                if name.startswith("upgrade_") and value == value
            },
        ),
        within,
    )


def hold(bench: Bench, job: Job, upgrade: Upgrade, selections: Sequence[Selection]) -> None:
    """Leave a product that has replaced itself too often as it is, and say so once."""
    before, frame = upgrade.before, upgrade.frame
    most = bench.config.calibration.most_upgrades
    bench.queue.finish(job, remark=f"was replaced {most} times by itself and stays as it is")
    if not _is_told(bench, frame):
        return
    other = _other_masters(before, selections)
    bench.archive.queue_message(
        Message(
            key=f"held:{frame.sha256}:{before.key}:{before.generation}",
            topic=Topic.HINT,
            text=held_text(before, most, other),
            night=before.night,
            target=before.target,
            programme=_programme(frame),
        )
    )


def offer_upgrade(
    bench: Bench, frame: FrameRecord, accepted: ProductRecord, product: str, reduce: Reduce
) -> None:
    """Tell of better calibrations for what a person accepted, and of what they would change.

    Parameters
    ----------
    product
        'SPECTRUM' or 'IMAGE'.
    reduce
        Reduces the frame as the person once asked for it, with other masters and into the folder
        of the bench it is given; nothing of it is kept.

    Raises
    ------
    TryLater
        If masters that it may use are due.
    """
    if not _is_told(bench, frame):
        return
    wait_for_masters(bench, product)
    selections = select_masters(bench, frame, product, carried_over(accepted))
    other = _other_masters(accepted, selections)
    now = [[role, was, is_] for role, was, is_ in other]
    key = f"offer:{frame.sha256}:{accepted.key}:{digest_of(now)[:16]}"
    if not other or bench.archive.notice(key) is not None:
        return
    bench.archive.queue_message(
        Message(
            key=key,
            topic=Topic.CHANGE,
            text=offer_text(accepted, other, _effect(bench, frame, accepted, selections, reduce)),
            night=accepted.night,
            target=accepted.target,
            programme=_programme(frame),
            slot=f"offer:{frame.id}",
            storm=_STORM,
            not_before=bench.clock.now() + _OFFER_AFTER,
        )
    )


def _effect(
    bench: Bench,
    frame: FrameRecord,
    accepted: ProductRecord,
    selections: Sequence[Selection],
    reduce: Reduce,
) -> str:
    """Return in words what other masters would change, by trying them out of sight."""
    spectrum, image = _as_written(accepted)
    upgrade = Upgrade(frame=frame, before=accepted, count=0, spectrum=spectrum, image=image)
    with TemporaryDirectory(prefix="alfoscd-trial-") as folder:
        try:
            trial = reduce(replace(bench, layout=Layout(Path(folder))), selections)
        except ReductionError as error:
            return f"They were tried and give nothing: {error}"
        changed = _difference(upgrade, trial.paths, trial.measurements)
    return effect_text(accepted, trial.quality, trial.measurements, changed)


def _other_masters(
    product: ProductRecord, selections: Sequence[Selection]
) -> list[tuple[str, str, str]]:
    """Return (role, what it was made with, what would be taken now) where these differ."""
    was = {each.role: each for each in product.choices}
    found = []
    for each in selections:
        old = was.get(each.role)
        if each.master is None or (old is not None and old.master_key == each.master.key):
            continue
        before = (old.rung if old is not None and old.master_key else "") or "none"
        found.append((each.role, before, f"{each.master.path.name} ({each.rung})"))
    return found


def _times_replaced(bench: Bench, product: ProductRecord) -> int:
    """Return how often this content, recipe and request has got another key so far."""
    own = (product.frame_sha256, product.recipe_digest, product.redo)
    keys = [
        item.key
        for item in bench.archive.product_history(product.frame_id)
        if (item.frame_sha256, item.recipe_digest, item.redo) == own
    ]
    return sum(one != other for one, other in itertools.pairwise(keys))


def _as_written(product: ProductRecord) -> tuple[StoredSpectrum | None, StoredImage | None]:
    """Read a product before it is overwritten, if its file is still the one that was recorded."""
    role = next((each for each in _MAIN if each in product.paths), "")
    path = product.paths.get(role)
    try:
        if path is None or file_sha256(path) != product.hashes.get(role):
            return None, None
        return (read_spectrum(path), None) if role == "spectrum" else (None, read_image(path))
    except (UnreadableFile, OSError):
        return None, None


def _difference(
    upgrade: Upgrade, paths: Mapping[str, Path], measurements: Mapping[str, float]
) -> dict[str, float]:
    try:
        if upgrade.spectrum is not None and "spectrum" in paths:
            return _spectrum_difference(upgrade.spectrum, read_spectrum(paths["spectrum"]))
        if upgrade.image is not None and "image" in paths:
            old, new = upgrade.image, read_image(paths["image"])
            places = [each.sky_map if each.member.placed else None for each in (old, new)]
            was = upgrade.before.measurements
            return image_change(places[0], places[1], old.pixels.shape, was, measurements)
    except (UnreadableFile, OSError):
        pass
    return {}


def _spectrum_difference(old: StoredSpectrum, new: StoredSpectrum) -> dict[str, float]:
    units = unit_change(was_absolute=old.spectrum is not None, is_absolute=new.spectrum is not None)
    before, after = old.counts, new.counts
    if old.spectrum is not None and new.spectrum is not None:
        before, after = old.spectrum, new.spectrum
    return units | spectrum_change(before, after)


def _is_told(bench: Bench, frame: FrameRecord) -> bool:
    """Tell whether anybody listens and the frame is of these days."""
    age = bench.clock.now() - frame.ingested_at
    fresh = age <= timedelta(hours=bench.config.outbox.fresh_h)
    return fresh and (is_heard(Topic.CHANGE, bench.config) or is_heard(Topic.HINT, bench.config))


def _programme(frame: FrameRecord) -> str:
    return frame.identity.programme or "none"
