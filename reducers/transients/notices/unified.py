"""Read JSON notices in the GCN Unified Schema (gcn.nasa.gov/docs/notices/schema)."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from reducers.errors import BadNotice
from reducers.transients.notices.notice import Circle, Role, TriggerNotice
from reducers.transients.notices.streams import Stream, letters_of, load_streams
from reducers.transients.notices.values import moment, number, place, plain, whole

if TYPE_CHECKING:
    from collections.abc import Mapping

#: What `alert_tense` and `alert_type` call something that is not on the sky.
_TESTS = {"test", "injection", "injected", "mock", "commanded", "commended"}


def read_unified(content: bytes) -> TriggerNotice:
    """Return what a JSON notice says.

    Raises
    ------
    BadNotice
        If it is no such notice, or of a stream that is not used.
    """
    said = _object(content)
    stream = _stream_of(said)
    tense, kind = (_word(said, name) for name in ("alert_tense", "alert_type"))
    if tense == "planned":
        raise BadNotice("the notice announces something planned, not an event")
    event = _event(said)
    if not event:
        raise BadNotice("the notice has no id that names its event")
    return TriggerNotice(
        mission=stream.mission,
        instrument=stream.instrument,
        kind=stream.kind,
        event=event,
        role=Role.TEST if {tense, kind} & _TESTS else Role.OBSERVATION,
        retraction=kind == "retraction",
        circle=_circle(said, stream),
        happened_at=moment(said.get("trigger_time")) or moment(said.get("observation_start")),
        issued_at=moment(said.get("alert_datetime")),
        revision=whole(said.get("record_number")) or 0,
        name=plain(said.get("$schema") or ""),
    )


def _object(content: bytes) -> Mapping[str, Any]:
    def refuse(word: str) -> None:
        raise BadNotice(f"the JSON holds {word}, which is no number")

    try:
        found = json.loads(content, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise BadNotice(f"no JSON: {plain(error)}") from None
    if not isinstance(found, dict):
        raise BadNotice("the JSON is not one object")
    return found


def _stream_of(said: Mapping[str, Any]) -> Stream:
    """Return the stream that mission and instrument, or the address of the schema, name."""
    named = f"{letters_of(_word(said, 'mission'))}/{letters_of(_word(said, 'instrument'))}"
    address = re.search(r"/notices/([^/]+)/([^/]+)/", str(said.get("$schema", ""))[:500])
    by_schema = "/".join(letters_of(part) for part in address.groups()) if address else ""
    for name in (named, by_schema):
        for stream in load_streams():
            if name in stream.names:
                return stream
    raise BadNotice(f"'{plain(by_schema or named)}' is no stream that is used")


def _word(said: Mapping[str, Any], name: str) -> str:
    """Return a text of the notice in small letters; of a list its first."""
    value = said.get(name)
    if isinstance(value, list):
        value = value[0] if value else ""
    return value.strip().casefold()[:100] if isinstance(value, str) else ""


def _event(said: Mapping[str, Any]) -> str:
    value = said.get("id")
    if isinstance(value, list):
        value = value[0] if value else None
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    if isinstance(value, int) and abs(value) >= 2**63:
        return ""
    return plain(value)


def _circle(said: Mapping[str, Any], stream: Stream) -> Circle | None:
    """Return the circle; of an ellipse that of its longer axis; None without place or radius."""
    found = place(said.get("ra"), said.get("dec"))
    radius = _radius_deg(said)
    if found is None or radius is None or not 0 < radius <= 180:
        return None
    probability = number(said.get("containment_probability"))
    if probability is not None and not 0 < probability < 1:
        raise BadNotice(f"a containment of {probability:g} is no probability")
    included = said.get("systematic_included")
    r90 = stream.r90_arcsec(
        3600 * radius, probability, included=included if isinstance(included, bool) else None
    )
    return Circle(ra_deg=found[0], dec_deg=found[1], r90_arcsec=r90)


def _radius_deg(said: Mapping[str, Any]) -> float | None:
    """Return the radius, under its name of today or the one before."""
    value = said.get("ra_dec_error", said.get("ra_uncertainty"))
    if isinstance(value, list):
        axes = [number(each) for each in value[:2]]
        return None if not axes or None in axes else max(axis for axis in axes if axis is not None)
    return number(value)
