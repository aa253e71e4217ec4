"""Which earlier image a template may be, and why every other is not taken."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

#: A pixel of the template and one of the image differ by no more than this factor.
SAME_SCALE = 1.05
#: A survey's pixels are its own; up to this factor they can be moved.
MOVABLE_SCALE = 1.6
#: Worst quality of an image that is a template.
WORST_QUALITY = 2
#: A template whose stars are wider by more than this factor shows too little.
WIDEST_SEEING = 1.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """An image that may be a template, or the one that needs one; NaN where not known.

    Attributes
    ----------
    kind : str
        'image', 'stack' or 'survey'.
    limit_mag : float
        Five sigma.
    reach_arcsec : float
        From its middle to its nearer edge.
    why_not : str
        What was found wrong while it was read.
    """

    name: str
    kind: str
    image: Path
    phot: Path | None
    instrument: str
    filter: str
    ra_deg: float
    dec_deg: float
    observed_at: datetime | None
    pixel_arcsec: float = math.nan
    reach_arcsec: float = math.nan
    seeing_arcsec: float = math.nan
    limit_mag: float = math.nan
    quality: int = 0
    placed: bool = True
    has_zero_point: bool = True
    why_not: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateChoice:
    """The template of an image.

    Attributes
    ----------
    offer : Offer or None
    reason : str
        Why this one, or why none.
    rejected : tuple of (str, str)
        Name and reason of every other.
    """

    offer: Offer | None
    reason: str
    rejected: tuple[tuple[str, str], ...] = ()


def choose_template(image: Offer, offers: Sequence[Offer], *, least_age_d: float) -> TemplateChoice:
    """Return the offer that gives the deepest difference.

    Own images and stacks come before a survey's; of those the least noise of a new star counts,
    that of the offer grown by its seeing where that is the worse one.
    """
    reasons = [_why_not(image, offer, least_age_d) for offer in offers]
    able = [offer for offer, why in zip(offers, reasons, strict=True) if not why]
    rejected = [(offer.name, why) for offer, why in zip(offers, reasons, strict=True) if why]
    if not able:
        why = "no earlier image of this field in this filter" if not offers else (
            f"none of {len(offers)} earlier images can be taken: {rejected[0][1]}"
        )  # fmt: skip
        return TemplateChoice(offer=None, reason=why, rejected=tuple(rejected))
    ranked = sorted(able, key=lambda offer: _rank(image, offer))
    best = ranked[0]
    rejected += [(offer.name, "another one gives a deeper difference") for offer in ranked[1:]]
    return TemplateChoice(offer=best, reason=_praise(image, best), rejected=tuple(rejected))


def _why_not(image: Offer, offer: Offer, least_age_d: float) -> str:
    """Return what speaks against an offer; '' for nothing."""
    survey = offer.kind == "survey"
    scale = offer.pixel_arcsec / image.pixel_arcsec
    away = separation_arcsec(image, offer)
    checks = (
        (bool(offer.why_not), offer.why_not),
        (not offer.placed, "no stars confirm its place on the sky"),
        (not survey and not offer.has_zero_point, "it has no zero point of its own"),
        (not survey and offer.instrument != image.instrument, f"taken with {offer.instrument}"),
        (not _same_band(image, offer), f"taken through {offer.filter}"),
        (away > image.reach_arcsec + offer.reach_arcsec, "it shows another part of the sky"),
        (not _moves(scale, SAME_SCALE if not survey else MOVABLE_SCALE),
         f"its pixels are {scale:.2f} times as wide: other binning"),
        (offer.quality > WORST_QUALITY, f"its quality is {offer.quality}"),
        (not survey and _age_d(image, offer) < least_age_d, _too_young(image, offer, least_age_d)),
        (offer.seeing_arcsec > WIDEST_SEEING * image.seeing_arcsec,
         f'its seeing is {offer.seeing_arcsec:.1f}", much worse than that of the image'),
    )  # fmt: skip
    return next((why for holds, why in checks if holds), "")


def _moves(scale: float, most: float) -> bool:
    return not math.isfinite(scale) or 1 / most < scale < most


def _same_band(image: Offer, offer: Offer) -> bool:
    if offer.kind != "survey":
        return offer.filter == image.filter
    return offer.filter[:1] == image.filter[:1]


def _age_d(image: Offer, offer: Offer) -> float:
    if image.observed_at is None or offer.observed_at is None:
        return -math.inf
    return (image.observed_at - offer.observed_at).total_seconds() / 86400


def _too_young(image: Offer, offer: Offer, least_age_d: float) -> str:
    age = _age_d(image, offer)
    if not math.isfinite(age):
        return "when it was taken is not known"
    if age < 0:
        return "it was taken later"
    return f"it is {age:.1f} days older, at least {least_age_d:g} are asked for"


def _rank(image: Offer, offer: Offer) -> tuple[bool, float, str]:
    noise = 10 ** (-0.4 * offer.limit_mag) if math.isfinite(offer.limit_mag) else math.inf
    wider = offer.seeing_arcsec / image.seeing_arcsec
    return offer.kind == "survey", noise * (max(wider, 1.0) if wider == wider else 2.0), offer.name


def _praise(image: Offer, best: Offer) -> str:
    words = [best.kind]
    if math.isfinite(best.limit_mag):
        words.append(f"reaches {best.limit_mag:.1f} mag")
    if math.isfinite(best.seeing_arcsec):
        words.append(f'seeing {best.seeing_arcsec:.1f}"')
    age = _age_d(image, best)
    if math.isfinite(age):
        words.append(f"{age:.0f} days older")
    return ", ".join(words)


def separation_arcsec(one: Offer, two: Offer) -> float:
    """Return how far two images' middles lie apart."""
    ra1, dec1, ra2, dec2 = map(math.radians, (one.ra_deg, one.dec_deg, two.ra_deg, two.dec_deg))
    half = math.sin((dec2 - dec1) / 2) ** 2
    half += math.cos(dec1) * math.cos(dec2) * math.sin((ra2 - ra1) / 2) ** 2
    return math.degrees(2 * math.asin(min(1.0, math.sqrt(half)))) * 3600
