"""Recognise a spectrophotometric standard by its position and its names."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from reducers.instrument import Standard

#: A name that matches while the telescope points farther away than this is stale.
STALE_NAME_ARCSEC = 600.0


def recognise_standard(
    standards: Sequence[Standard],
    names: Iterable[str],
    position_deg: tuple[float, float] | None,
    radius_arcsec: float,
) -> tuple[str, str]:
    """Return (standard, reason); the standard is '' when there is none or names and sky differ."""
    near = _nearest(standards, position_deg, radius_arcsec)
    named = [star for name in names for star in standards if is_named(star, name)]
    if near is not None and any(star is not near for star in named):
        return "", f"named {named[0].name} but pointing at {near.name}"
    if near is not None and position_deg is not None:
        distance = separation_arcsec(position_deg, (near.ra_deg, near.dec_deg))
        return near.name, f"{near.name} lies {distance:.0f} arcsec from the pointing"
    if not named:
        return "", ""
    star = named[0]
    if any(other is not star for other in named):
        return "", "named as two different standards"
    if position_deg is not None:
        distance = separation_arcsec(position_deg, (star.ra_deg, star.dec_deg))
        if distance > STALE_NAME_ARCSEC:
            return "", f"named {star.name}, which is {distance / 60:.0f} arcmin away"
    return star.name, f"named {star.name}"


def is_named(star: Standard, name: str) -> bool:
    """Tell whether `name` is one of the names of the star, whatever its case and blanks."""
    plain = _plain(name)
    return bool(plain) and plain in {_plain(known) for known in (star.name, *star.aliases)}


def separation_arcsec(first_deg: tuple[float, float], second_deg: tuple[float, float]) -> float:
    """Return the angle between two positions (RA, Dec in degrees)."""
    ra1, dec1, ra2, dec2 = (math.radians(value) for value in (*first_deg, *second_deg))
    half = math.sin((dec2 - dec1) / 2) ** 2
    half += math.cos(dec1) * math.cos(dec2) * math.sin((ra2 - ra1) / 2) ** 2
    return math.degrees(2 * math.asin(math.sqrt(min(1.0, max(0.0, half))))) * 3600


def _plain(name: str) -> str:
    return "".join(character for character in name.casefold() if character not in " _")


def _nearest(
    standards: Sequence[Standard], position_deg: tuple[float, float] | None, radius_arcsec: float
) -> Standard | None:
    if position_deg is None:
        return None
    distances = [
        (separation_arcsec(position_deg, (star.ra_deg, star.dec_deg)), index)
        for index, star in enumerate(standards)
    ]
    best, index = min(distances, default=(math.inf, 0))
    return standards[index] if best <= radius_arcsec else None
