"""What may be taken off an image: earlier images and stacks, and a folder of files."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from typing import TYPE_CHECKING

from daemon.work.product_files import target_of
from daemon.work.roles import IMAGED
from reducers.errors import UnreadableFile
from reducers.transients.difference.association import (
    Offer,
    TemplateChoice,
    choose_template,
    separation_arcsec,
)
from reducers.transients.difference.cutout import read_cutout_facts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sqlalchemy.orm import Session

    from daemon.memory.records import FrameRecord, ProductRecord
    from daemon.work.bench import Bench

log = logging.getLogger(__name__)

#: An image whose pointing is further away shows nothing of the field.
NEAR_ARCSEC = 600.0
_ENDINGS = ("*.fits", "*.fits.gz", "*.fits.fz")


def template_of(
    bench: Bench, frame: FrameRecord, product: ProductRecord, within: Session | None = None
) -> TemplateChoice:
    """Return the template of a calibrated image, or why there is none."""
    own = image_offer(bench, frame, product)
    if not own.placed:
        return TemplateChoice(offer=None, reason="no stars confirm the place of the image")
    if "phot" not in product.paths:
        return TemplateChoice(offer=None, reason="no source was measured on the image")
    offers = [*_images(bench, frame, own, within), *_stacks(bench, frame, own, within)]
    offers += [
        offer
        for offer in stored_templates(bench.config.template_folder)
        if offer.why_not or separation_arcsec(own, offer) < NEAR_ARCSEC
    ]
    return choose_template(own, offers, least_age_d=bench.config.differences.least_age_d)


def image_offer(bench: Bench, frame: FrameRecord, product: ProductRecord) -> Offer:
    """Return what an image is as a template, or as what one is wanted for."""
    identity = frame.identity
    setup, detector = identity.setup, bench.instrument(identity.instrument).detector
    binning = (setup.x_binning + setup.y_binning) / 2
    x1, x2, y1, y2 = setup.window
    reach = min(x2 - x1, y2 - y1) / 2 * detector.pixel_scale_arcsec
    told = product.measurements
    return Offer(
        name=frame.stem,
        kind="image",
        image=product.paths["image"],
        phot=product.paths.get("phot"),
        instrument=identity.instrument,
        filter=setup.filter,
        ra_deg=math.nan if identity.ra_deg is None else identity.ra_deg,
        dec_deg=math.nan if identity.dec_deg is None else identity.dec_deg,
        observed_at=identity.observed_at,
        pixel_arcsec=detector.pixel_scale_arcsec * binning,
        reach_arcsec=reach,
        seeing_arcsec=told.get("seeing_arcsec", math.nan),
        limit_mag=told.get("psf_limit_5_sigma_mag", math.nan),
        quality=product.quality,
        placed=told.get("astrometry_failed", math.nan) == 0,
        has_zero_point=math.isfinite(told.get("zero_point_mag", math.nan)),
        why_not="" if "phot" in product.paths else "no source was measured on it",
    )


def _images(bench: Bench, frame: FrameRecord, own: Offer, within: Session | None) -> list[Offer]:
    """Return the earlier images near an image, those of other filters left out."""
    reach_deg = NEAR_ARCSEC / 3600
    low_deg, high_deg = own.dec_deg - reach_deg, own.dec_deg + reach_deg
    near = [
        other
        for kind in sorted(IMAGED)
        for other in bench.archive.frames_of_zone(kind, own.instrument, low_deg, high_deg, within)
        if other.id != frame.id and other.identity.setup.filter == own.filter and _near(own, other)
    ]
    products = bench.archive.current_products([other.id for other in near], within)
    return [
        image_offer(bench, other, product)
        for other in near
        if (product := products.get(other.id)) is not None and "image" in product.paths
    ]


def _near(own: Offer, other: FrameRecord) -> bool:
    identity = other.identity
    if identity.ra_deg is None or identity.dec_deg is None or not math.isfinite(own.ra_deg):
        return False
    there = replace(own, ra_deg=identity.ra_deg, dec_deg=identity.dec_deg)
    return separation_arcsec(own, there) < NEAR_ARCSEC


def _stacks(bench: Bench, frame: FrameRecord, own: Offer, within: Session | None) -> list[Offer]:
    """Return the stacks of the same target and filter on other nights."""
    found = []
    for record in bench.archive.combinations(within=within):
        paths = record.paths
        if record.setup != own.filter or record.target != target_of(frame):
            continue
        if record.night == frame.night or not {"combined", "combined_phot"} <= set(paths):
            continue
        members = [
            item
            for item in bench.archive.current_frames(
                frame.identity.kind, record.night, own.instrument, within=within
            )
            if item.stem in {each.stem for each in record.members}
        ]
        if not members:
            continue
        newest = max(members, key=lambda item: item.identity.observed_at or item.arrived_at)
        product = bench.archive.current_product(newest.id, within=within)
        if product is None or "image" not in product.paths or not _near(own, newest):
            continue
        one = image_offer(bench, newest, product)
        found.append(
            replace(
                one,
                name=paths["combined"].stem,
                kind="stack",
                image=paths["combined"],
                phot=paths["combined_phot"],
                seeing_arcsec=record.measurements.get("seeing_arcsec", math.nan),
                limit_mag=one.limit_mag + 1.25 * math.log10(max(len(members), 1)),
                quality=record.quality,
            )
        )
    return found


def stored_templates(folder: Path) -> Sequence[Offer]:
    """Return the templates of a folder; those that cannot be read with the reason."""
    if not folder.is_dir():
        return ()
    paths = sorted({path for pattern in _ENDINGS for path in folder.glob(pattern)})
    return [_stored(path) for path in paths]


def _stored(path: Path) -> Offer:
    try:
        return read_cutout_facts(path)
    except UnreadableFile as error:
        log.warning("the template %s is left out: %s", path.name, error)
        return Offer(
            name=path.name, kind="survey", image=path, phot=None, instrument="", filter="",
            ra_deg=0.0, dec_deg=0.0, observed_at=None, why_not=str(error),
        )  # fmt: skip
