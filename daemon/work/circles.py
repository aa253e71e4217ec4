"""Where satellites have seen something: the circles that an image may show."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daemon.triggers.matching import localisations_for
from daemon.work.references import radius_deg

if TYPE_CHECKING:
    from daemon.memory.records import FrameRecord
    from daemon.work.bench import Bench
    from reducers.transients.localisation import Localisation


def circles_of(bench: Bench, frame: FrameRecord) -> tuple[Localisation, ...]:
    """Return the circles of satellites' notices that an image may show."""
    own = frame.identity
    if own.ra_deg is None or own.dec_deg is None:
        return ()
    reach = radius_deg(own, bench.instrument(own.instrument))
    when = own.observed_at or frame.arrived_at
    place = (own.ra_deg, own.dec_deg)
    return localisations_for(bench.archive, place, reach, when, bench.config.triggers)
