"""Which calibrated images make a star flat, and when their stars are looked at."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING

from calibration_store.sets import set_key
from daemon.clock import next_twilight
from daemon.work.calibrations import read_one
from daemon.work.outcomes import TryLater
from daemon.work.plan import Step, master_request
from daemon.work.roles import rule_of
from reducers.detector.start import cut_out
from reducers.errors import UnreadableFile
from reducers.identity import FrameKind
from reducers.imaging.star_flat import StarFlatMaterial
from reducers.imaging.star_list_reading import read_star_list
from reducers.products import read_master_frame

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

    from calibration_store.policy import Selection
    from daemon.memory.records import FrameRecord, ProductRecord
    from daemon.work.bench import Bench

log = logging.getLogger(__name__)

_LOOK_AGAIN_S = 0.5


def after_magnitudes(
    bench: Bench, frame: FrameRecord, product: ProductRecord, within: Session | None = None
) -> list[Step]:
    """Return the job that looks at the stars of an image's set once no more of it come.

    It makes nothing of the images that it has seen already. A star flat makes images new, whose
    stars then say the same, so that this ends.
    """
    if frame.identity.kind is not FrameKind.IMG_OBJECT or not _tells_stars(product):
        return []
    instrument = bench.instrument(frame.identity.instrument)
    rule, now = rule_of("STAR_FLAT", instrument), bench.clock.now()
    members = bench.archive.set_members(
        frame.identity.kind, set_key(frame.identity, rule), frame.night, within=within
    )
    if len(members) < rule.at_least:
        return []
    quiet_s = bench.config.calibration.quiet_s
    closes_after_s = rule.closes_after_s if quiet_s is None else quiet_s
    twilight_in_s = (next_twilight(now, instrument) - now).total_seconds()
    wait_s = max(0.0, min(closes_after_s, twilight_in_s))
    request = master_request("STAR_FLAT", frame, instrument, now + timedelta(seconds=wait_s))
    return [Step(request=request, postpone=True)]


def with_magnitudes(
    bench: Bench, group: Sequence[FrameRecord], selections: Sequence[Selection]
) -> tuple[FrameRecord, ...]:
    """Return the frames whose product has a zero point and the sky flat that is chosen now."""
    flat = _flat_of(selections)
    products = bench.archive.current_products([frame.id for frame in group])
    found = []
    for frame in group:
        product = products.get(frame.id)
        if product is None or flat is None or not _tells_stars(product):
            continue
        applied = {choice.role: choice.master_key for choice in product.choices}
        if applied.get("SKY_FLAT") == flat:
            found.append(frame)
    return tuple(found)


def star_flat_material(
    bench: Bench, selections: Sequence[Selection], group: Sequence[FrameRecord]
) -> StarFlatMaterial:
    """Read the flat and the stars of every image; one that cannot be read is left out.

    Raises
    ------
    TryLater
        If the file of the flat is gone or damaged; it is built anew.
    """
    (flat,) = (item.master for item in selections if item.role == "SKY_FLAT")
    if flat is None:
        raise TryLater("waits for the sky flat", after_s=_LOOK_AGAIN_S)
    images = []
    for frame in group:
        product = bench.archive.current_product(frame.id)
        if product is None:
            continue
        try:
            stars = read_star_list(product.paths["phot"], product.paths["image"], frame.stem)
        except UnreadableFile as error:
            log.warning("the stars of %s are left out: %s", frame.stem, error)
            continue
        if stars is not None:
            images.append(stars)
    setup = group[0].identity.setup
    return StarFlatMaterial(
        flat=cut_out(read_one(bench, flat, read_master_frame), setup), images=tuple(images)
    )


def _tells_stars(product: ProductRecord) -> bool:
    return (
        "phot" in product.paths
        and "zero_point_mag" in product.measurements
        and not product.measurements.get("no_flat", 1.0)
    )


def _flat_of(selections: Sequence[Selection]) -> str | None:
    return next(
        (item.master.key for item in selections if item.role == "SKY_FLAT" and item.master), None
    )
