"""Light curves of watched targets: forced photometry on every image and difference."""

from __future__ import annotations

import logging
import math
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np

from daemon.memory.archive_differences import LightRecord
from reducers.errors import UnreadableFile
from reducers.transients.difference.changes import forced
from reducers.transients.difference.epoch import NoDifference
from reducers.transients.difference.forced import ForcedFlux, forced_on_image

if TYPE_CHECKING:
    from daemon.config import Config
    from daemon.memory.records import FrameRecord, ProductRecord
    from daemon.work.differences import Subtracted
    from reducers.identity import Identity
    from reducers.transients.difference.epoch import Epoch

log = logging.getLogger(__name__)

#: An image whose pointing is further away does not show a target.
NEAR_ARCSEC = 420.0
_SEXAGESIMAL = re.compile(r"^([+-]?)(\d+):(\d+):(\d+(?:\.\d*)?)$")


@dataclass(frozen=True, slots=True)
class Watched:
    """A target that is measured on every image of its field, ICRS degrees."""

    name: str
    ra_deg: float
    dec_deg: float


def watched_targets(config: Config) -> list[Watched]:
    """Return the targets of the configuration and its file; lines that say nothing are told."""
    lines = list(config.differences.watch)
    path = config.differences.watch_file
    if path is not None:
        try:
            lines += path.read_text("utf8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            log.warning("the list of watched targets cannot be read: %s", error)
    found: dict[str, Watched] = {}
    for line in lines:
        text = line.split("#")[0].replace(",", " ").strip()
        target = parse_watched(text) if text else None
        if text and target is None:
            log.warning("not a watched target, 'name ra dec' is expected: %s", text)
        elif target is not None:
            found[target.name] = target
    return list(found.values())


def parse_watched(text: str) -> Watched | None:
    """Return the target of a line; None if it is none.

    'name ra dec', in degrees or as hh:mm:ss dd:mm:ss.
    """
    words = text.split()
    if len(words) < 3:
        return None
    ra, dec = _degrees(words[-2], hours=True), _degrees(words[-1], hours=False)
    if not (0 <= ra < 360 and -90 <= dec <= 90):
        return None
    return Watched(" ".join(words[:-2]), ra, dec)


def _degrees(word: str, *, hours: bool) -> float:
    parts = _SEXAGESIMAL.match(word)
    if parts is None:
        try:
            return float(word)
        except ValueError:
            return math.nan
    sign, whole, minutes, seconds = parts.groups()
    value = int(whole) + int(minutes) / 60 + float(seconds) / 3600
    return (-value if sign == "-" else value) * (15 if hours else 1)


def watched_on(config: Config, identity: Identity) -> list[Watched]:
    """Return the targets that an image may show."""
    ra, dec = identity.ra_deg, identity.dec_deg
    if ra is None or dec is None:
        return []
    return [
        target
        for target in watched_targets(config)
        if _away_arcsec(ra, dec, target.ra_deg, target.dec_deg) < NEAR_ARCSEC
    ]


def _away_arcsec(ra1: float, dec1: float, ra2: float, dec2: float) -> float:
    along = ((ra1 - ra2 + 180) % 360 - 180) * math.cos(math.radians((dec1 + dec2) / 2))
    return 3600 * math.hypot(along, dec1 - dec2)


def measure_watched(
    config: Config,
    frame: FrameRecord,
    product: ProductRecord,
    science: Epoch,
    made: Subtracted | NoDifference,
) -> list[LightRecord]:
    """Return the points that an image and its difference give."""
    points = []
    for target in watched_on(config, frame.identity):
        try:
            seen = forced_on_image(science, product.paths["phot"], target.ra_deg, target.dec_deg)
        except UnreadableFile as error:
            seen = ForcedFlux(why=str(error))
        points.append(_point(target, "image", frame, product, science, seen))
        changed = _on_difference(target, science, made)
        points.append(_point(target, "difference", frame, product, science, changed))
    return points


def _on_difference(target: Watched, science: Epoch, made: Subtracted | NoDifference) -> ForcedFlux:
    if isinstance(made, NoDifference):
        return ForcedFlux(why=made.why)
    x, y = science.sky_map.pixels(target.ra_deg, target.dec_deg)
    flux, error = forced(made.difference, np.atleast_1d(x), np.atleast_1d(y))
    if not np.isfinite(flux[0]):
        return ForcedFlux(why="the place is saturated, masked or not on both images")
    return ForcedFlux(flux=float(flux[0]), error=float(error[0]))


def _point(
    target: Watched,
    method: str,
    frame: FrameRecord,
    product: ProductRecord,
    science: Epoch,
    seen: ForcedFlux,
) -> LightRecord:
    identity = frame.identity
    start = identity.observed_at
    middle = None if start is None else start + timedelta(seconds=identity.exposure_s / 2)
    why = seen.why or ("" if math.isfinite(science.zero_point_mag) else "no zero point")
    return LightRecord(
        target=target.name,
        frame_id=frame.id,
        method=method,
        product_key=product.key,
        stem=frame.stem,
        band=science.band or identity.setup.filter,
        observed_at=middle,
        exposure_s=science.exposure_s,
        ra_deg=target.ra_deg,
        dec_deg=target.dec_deg,
        flux=seen.flux,
        flux_error=seen.error,
        zero_point_mag=science.zero_point_mag,
        zero_point_error_mag=science.zero_point_error_mag,
        why=why,
    )
