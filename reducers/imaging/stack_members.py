"""Which images take part in a stack, how they are scaled, and what each is worth."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """What is known of an image that may take part; NaN where something was not measured.

    Attributes
    ----------
    name
        Stem of its file.
    exposure_s, seeing_arcsec, ellipticity, airmass
        As its product says.
    zero_point_mag, zero_point_error_mag
        Magnitude of one electron per second.
    sky_e, sky_sigma_e
        Level and noise per pixel of the sky, electrons.
    read_noise_e
        Of a pixel.
    placed
        Whether stars confirm its place on the sky.
    position_rms_arcsec
        Scatter of those stars, per axis.
    quality
        Of its product, 0 to 5.
    why_not
        A reason that was found while reading it; '' for none.
    """

    name: str
    exposure_s: float
    filter: str = ""
    seeing_arcsec: float = math.nan
    ellipticity: float = math.nan
    airmass: float = math.nan
    zero_point_mag: float = math.nan
    zero_point_error_mag: float = math.nan
    sky_e: float = math.nan
    sky_sigma_e: float = math.nan
    read_noise_e: float = math.nan
    placed: bool = True
    position_rms_arcsec: float = math.nan
    quality: int = 0
    why_not: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StackSettings:
    """How images are chosen and added.

    Attributes
    ----------
    method
        'mean' (weighted) or 'median'.
    weights
        'depth' (inverse variance of the sky), 'stars' (the same over the square of the seeing,
        best for point sources) or 'equal'.
    clip_sigma
        Distance from the median beyond which a pixel is left out; 0 for never.
    seeing_ratio
        Widest seeing, of the median of the images.
    most_ellipticity
    most_dimmed_mag
        Most light lost to cloud against the clearest image.
    sky_ratio
        Brightest sky (per second), of the median.
    worst_quality
        Highest quality number that takes part.
    position_sigma, position_least_arcsec
        Scatter of the stars about the place, beyond the median of the images.
    """

    method: str = "mean"
    weights: str = "depth"
    clip_sigma: float = 4.0
    seeing_ratio: float = 1.5
    most_ellipticity: float = 0.3
    most_dimmed_mag: float = 0.75
    sky_ratio: float = 4.0
    worst_quality: int = 2
    position_sigma: float = 5.0
    position_least_arcsec: float = 0.15


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What was decided about one image.

    Attributes
    ----------
    weight
        Share of the stack where all images cover it; 0 where it takes no part.
    scale
        Its electrons times this are electrons per second at the reference transparency.
    reason
        Why it takes no part; '' where it does.
    """

    member: Member
    use: bool
    weight: float = 0.0
    scale: float = math.nan
    reason: str = ""


def choose(
    members: Sequence[Member],
    settings: StackSettings | None = None,
    *,
    transparency: Mapping[str, float] | None = None,
    wanted: Mapping[str, bool] | None = None,
    weights: Mapping[str, float] | None = None,
) -> tuple[Choice, ...]:
    """Decide which images are stacked, with what scale and weight, in the given order.

    Parameters
    ----------
    transparency
        Light of each image over that of the reference, from stars they share; images that are
        not in it are scaled by their zero points.
    wanted
        A person's word: name -> whether it takes part, whatever the limits say.
    weights
        A person's weights, relative to each other; images without are weighted as settings say.
    """
    how = settings or StackSettings()
    wanted = wanted or {}
    reasons = _reasons(members, how)
    for number, member in enumerate(members):
        if member.name in wanted:
            chosen = wanted[member.name]
            reasons[number] = _impossible(member) if chosen else "taken out by hand"
    light = _transparencies(members, reasons, transparency or {})
    scales = [
        1 / (m.exposure_s * t) if m.exposure_s > 0 else math.nan
        for m, t in zip(members, light, strict=True)
    ]
    shares = _weights(members, reasons, scales, how, weights or {})
    return tuple(
        Choice(member=member, use=not reason, weight=weight, scale=scale, reason=reason)
        for member, reason, weight, scale in zip(members, reasons, shares, scales, strict=True)
    )


def _impossible(member: Member) -> str:
    """Return what even a person's word cannot change."""
    if member.why_not:
        return member.why_not
    return "" if member.exposure_s > 0 else "its exposure time is not known"


def _reasons(members: Sequence[Member], how: StackSettings) -> list[str]:
    """Return why each image takes no part, '' where it does."""
    own = [_impossible(member) or _own_reason(member, how) for member in members]
    left = [member for member, reason in zip(members, own, strict=True) if not reason]
    seeing = _median(left, lambda m: m.seeing_arcsec)
    sky = _median(left, lambda m: m.sky_e / m.exposure_s)
    zero_points = [m.zero_point_mag for m in left if math.isfinite(m.zero_point_mag)]
    clearest = max(zero_points, default=math.nan)
    rms = [m.position_rms_arcsec for m in left if math.isfinite(m.position_rms_arcsec)]
    usual = float(np.median(rms)) if rms else math.nan
    spread = 1.4826 * float(np.median(np.abs(np.array(rms) - usual))) if rms else math.nan
    loosest = max(usual + how.position_sigma * spread, how.position_least_arcsec, 2 * usual)
    for number, member in enumerate(members):
        if own[number]:
            continue
        if member.seeing_arcsec > how.seeing_ratio * seeing:
            own[number] = f'seeing {member.seeing_arcsec:.2f}", the others {seeing:.2f}"'
        elif clearest - member.zero_point_mag > how.most_dimmed_mag:
            own[number] = f"cloud took {clearest - member.zero_point_mag:.2f} mag of its light"
        elif member.sky_e / member.exposure_s > how.sky_ratio * sky:
            ratio = member.sky_e / member.exposure_s / sky
            own[number] = f"its sky is {ratio:.1f} times as bright as the others'"
        elif member.position_rms_arcsec > loosest:
            own[number] = (
                f'its stars scatter by {member.position_rms_arcsec:.2f}" about their places'
            )
    return own


def _own_reason(member: Member, how: StackSettings) -> str:
    """Return what speaks against an image without looking at the others."""
    if not member.placed:
        return "no stars confirm its place on the sky"
    if member.quality > how.worst_quality:
        return f"its quality is {member.quality}"
    if member.ellipticity > how.most_ellipticity:
        return f"its stars are drawn out, ellipticity {member.ellipticity:.2f}"
    return ""


def _transparencies(
    members: Sequence[Member], reasons: Sequence[str], measured: Mapping[str, float]
) -> list[float]:
    """Return the light of each image over that of the reference.

    The reference is the clearest of those that take part; without zero points it is what the
    stars were compared with, and an image of which nothing is known counts as clear.
    """
    points = [
        m.zero_point_mag
        for m, reason in zip(members, reasons, strict=True)
        if not reason and math.isfinite(m.zero_point_mag)
    ]
    clearest = max(points, default=math.nan)
    light = []
    for member in members:
        known = measured.get(member.name, math.nan)
        if not math.isfinite(known):
            known = 10 ** (0.4 * (member.zero_point_mag - clearest))
        light.append(known if math.isfinite(known) and known > 0 else 1.0)
    return light


def _weights(
    members: Sequence[Member],
    reasons: Sequence[str],
    scales: Sequence[float],
    how: StackSettings,
    given: Mapping[str, float],
) -> list[float]:
    """Return shares that add up to one."""
    weights = []
    seeing = _median(members, lambda m: m.seeing_arcsec)
    noise = _median(members, lambda m: m.sky_sigma_e / math.sqrt(m.exposure_s))
    for member, reason, scale in zip(members, reasons, scales, strict=True):
        sigma = member.sky_sigma_e
        if not sigma > 0:
            sigma = noise * math.sqrt(member.exposure_s) if noise > 0 else 1 / scale
        weight = 1.0 if how.weights == "equal" else 1 / (sigma * scale) ** 2
        if how.weights == "stars" and member.seeing_arcsec > 0 and seeing > 0:
            weight *= (seeing / member.seeing_arcsec) ** 2
        weight = given.get(member.name, weight)
        weights.append(0.0 if reason or not math.isfinite(weight) else max(weight, 0.0))
    total = sum(weights)
    return [weight / total for weight in weights] if total > 0 else weights


def _median(members: Sequence[Member], value: Callable[[Member], float]) -> float:
    values = [value(m) for m in members if m.exposure_s > 0 and math.isfinite(value(m))]
    return float(np.median(values)) if values else math.nan
