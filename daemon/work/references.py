"""What catalogues know of the sky that an image shows."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import TYPE_CHECKING

from daemon.work.sky_catalogues import open_catalogues
from reducers.imaging.references import References

if TYPE_CHECKING:
    from datetime import datetime

    from daemon.memory.records import FrameRecord
    from daemon.work.bench import Bench
    from reducers.identity import Identity
    from reducers.instrument import Instrument

#: How far the telescope may point from where the header says: more is not looked for.
#: It reaches a little beyond the widest offset that the search for a match tries (305 arcsec).
MARGIN_ARCSEC = 320.0
_J2000 = 2451545.0
_UNIX_EPOCH = 2440587.5


def references_for(bench: Bench, frame: FrameRecord, *, at_hand: bool = False) -> References:
    """Return the entries around an image's pointing at its epoch, and why any are missing.

    Parameters
    ----------
    at_hand
        Take what lies on local disc and wait for no service.
    """
    own = frame.identity
    if own.ra_deg is None or own.dec_deg is None:
        return References(reasons=("the header tells no position",))
    middle = (own.observed_at or frame.arrived_at) + timedelta(seconds=own.exposure_s / 2)
    return open_catalogues(bench.config).references_for(
        own.ra_deg,
        own.dec_deg,
        radius_deg(own, bench.instrument(own.instrument)),
        julian_year(middle),
        own.setup.filter,
        ask=not at_hand,
    )


def radius_deg(identity: Identity, instrument: Instrument) -> float:
    """Return how far from the pointing stars of an image may lie: its corners, and a margin.

    A window lies anywhere on the detector: its farthest corner from the middle counts.
    """
    x1, x2, y1, y2 = identity.setup.window
    detector = instrument.detector
    across = max(abs(x1 - detector.columns / 2), abs(x2 - detector.columns / 2))
    along = max(abs(y1 - detector.rows / 2), abs(y2 - detector.rows / 2))
    return (math.hypot(across, along) * detector.pixel_scale_arcsec + MARGIN_ARCSEC) / 3600


def julian_year(when: datetime) -> float:
    """Return a time as a Julian year."""
    return 2000.0 + (when.timestamp() / 86400 + _UNIX_EPOCH - _J2000) / 365.25


def digest_of_references(references: References) -> list[list[object]]:
    """Return what tells these entries from others, as JSON can hold it."""
    return [
        [item.name, item.release, item.retrieved, len(item), round(item.covered, 4)]
        for item in references.each
    ]
