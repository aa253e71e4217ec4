"""The angle between two places, for those who need one and not numpy."""

from __future__ import annotations

import math


def angle_arcsec(ra_deg: float, dec_deg: float, to_ra_deg: float, to_dec_deg: float) -> float:
    """Return the angle between two places (haversine formula, exact for small angles)."""
    dec, to_dec = math.radians(dec_deg), math.radians(to_dec_deg)
    half = math.sin((to_dec - dec) / 2) ** 2
    across = math.sin(math.radians(to_ra_deg - ra_deg) / 2) ** 2
    half += math.cos(dec) * math.cos(to_dec) * across
    return math.degrees(2 * math.asin(math.sqrt(min(half, 1.0)))) * 3600
