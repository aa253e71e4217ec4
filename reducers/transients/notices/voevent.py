"""Read VOEvent 2.0 (Seaman et al. 2011, IVOA recommendation), safely and only what is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import Element, ParseError, TreeBuilder
from xml.parsers import expat

from reducers.errors import BadNotice
from reducers.transients.notices.notice import Circle, Role, TriggerNotice
from reducers.transients.notices.streams import Stream, letters_of, load_streams
from reducers.transients.notices.values import moment, number, place, plain, whole

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Of a position in one of these frames nothing has to be converted: they agree to 0.1 arcsec.
_FRAMES = ("ICRS", "FK5")
_DEEPEST = 50


def read_voevent(content: bytes) -> TriggerNotice:
    """Return what a VOEvent says.

    Raises
    ------
    BadNotice
        If it is none, or of a stream or about something that is not used.
    """
    root = parsed(content)
    if _local(root) != "VOEvent":
        raise BadNotice(f"the XML is a '{plain(_local(root))}', not a VOEvent")
    ivorn = plain(root.get("ivorn", ""))
    said = _parameters(root)
    cited = {(each.get("cite") or "").casefold() for each in _all(root, "EventIVORN")}
    packet = whole(said.get("Packet_Type"))
    ours = _of_author(ivorn)
    gone = "retraction" in cited or ivorn.casefold().endswith("_retraction")
    gone = gone or any(packet in stream.retractions for stream in ours)
    stream = _stream_of(ours, packet, said, gone=gone, ivorn=ivorn)
    gone = gone or said.get(stream.retracted_by, "").strip().casefold() in ("true", "1")
    event = plain(said.get(stream.event, ""))
    if not event:
        raise BadNotice(f"the VOEvent has no parameter {stream.event} that names its event")
    named = _is_of(stream, packet, said)
    return TriggerNotice(
        mission=stream.mission,
        instrument=stream.instrument if named else "",
        kind=stream.kind,
        event=event,
        role=_role(root, said),
        retraction=gone,
        circle=_circle(root, stream) if named else None,
        happened_at=moment(_text(root, "ISOTime")),
        issued_at=moment(_text(root, "Date")),
        grade=stream.packets.get(str(packet), 1),
        revision=whole(said.get("Pkt_Ser_Num")) or 0,
        name=ivorn,
    )


def parsed(content: bytes) -> Element:
    """Return the root of an XML document that declares no DTD, so that nothing in it can grow.

    Raises
    ------
    BadNotice
        If it is not well-formed, or declares a DTD or an entity.
    """
    builder, reader, depth = TreeBuilder(), expat.ParserCreate(namespace_separator=" "), 0

    def refuse(*_: Any) -> Any:
        raise BadNotice("the XML declares a DTD or entities, as no VOEvent does")

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > _DEEPEST:
            raise BadNotice("the XML is nested deeper than any VOEvent")
        builder.start(tag, attributes)

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(tag)

    reader.StartDoctypeDeclHandler = refuse
    reader.EntityDeclHandler = refuse
    reader.ExternalEntityRefHandler = refuse
    reader.StartElementHandler = start
    reader.EndElementHandler = end
    reader.CharacterDataHandler = builder.data
    try:
        reader.Parse(content, True)  # noqa: FBT003 - the last piece
        return builder.close()
    except (expat.ExpatError, ParseError, LookupError, ValueError) as error:
        # A declared encoding that nobody knows is a LookupError or a ValueError.
        raise BadNotice(f"no well-formed XML: {plain(error)}") from None


def _of_author(ivorn: str) -> list[Stream]:
    name = ivorn.casefold().removeprefix("ivo://")
    ours = [s for s in load_streams() if s.ivorn and name.startswith(s.ivorn.casefold())]
    if not ours:
        raise BadNotice(f"'{ivorn}' is of no stream that is used")
    return ours


def _stream_of(
    ours: list[Stream],
    packet: int | None,
    said: Mapping[str, str],
    *,
    gone: bool,
    ivorn: str,
) -> Stream:
    """Return the stream of a packet; a retraction may be of the mission as a whole."""
    for stream in ours:
        if _is_of(stream, packet, said):
            return stream
    if gone:
        return ours[0]
    raise BadNotice(f"'{ivorn}' (Packet_Type {packet}) is of an instrument or kind not used")


def _is_of(stream: Stream, packet: int | None, said: Mapping[str, str]) -> bool:
    if stream.instrument_parameter:
        return letters_of(said.get(stream.instrument_parameter, "")) == letters_of(
            stream.instrument
        )
    return str(packet) in stream.packets


def _role(root: Element, said: Mapping[str, str]) -> Role:
    role = root.get("role", "observation").strip().casefold()
    if said.get("Test_Submission", "").strip().casefold() in ("true", "1"):
        return Role.TEST
    try:
        return Role(role)
    except ValueError:
        raise BadNotice(f"the VOEvent is a '{plain(role)}', not an observation") from None


def _circle(root: Element, stream: Stream) -> Circle | None:
    """Return the circle of Position2D; None where there is no place or no radius."""
    here = next(_all(root, "Position2D"), None)
    if here is None:
        return None
    if (unit := here.get("unit", "deg").strip()) != "deg":
        raise BadNotice(f"the position is in '{plain(unit)}', not in degrees")
    frame = next(_all(root, "AstroCoords"), here).get("coord_system_id", "")
    if frame and not any(name in frame for name in _FRAMES):
        raise BadNotice(f"the position is in the frame '{plain(frame)}', not ICRS or FK5")
    radius = number(_text(here, "Error2Radius"))
    if radius is None or not 0 < radius <= 180:
        return None
    found = place(_text(here, "C1") or None, _text(here, "C2") or None)
    if found is None:
        return None
    return Circle(ra_deg=found[0], dec_deg=found[1], r90_arcsec=stream.r90_arcsec(3600 * radius))


def _parameters(root: Element) -> dict[str, str]:
    """Return every Param by name, those in groups as well; the first of a name counts."""
    found: dict[str, str] = {}
    for each in _all(root, "Param"):
        found.setdefault(each.get("name", ""), each.get("value", ""))
    return found


def _all(root: Element, name: str) -> Any:
    return (each for each in root.iter() if _local(each) == name)


def _text(root: Element, name: str) -> str:
    found = next(_all(root, name), None)
    return "" if found is None else (found.text or "").strip()


def _local(element: Element) -> str:
    """Return the name of an element without its namespace, which servers spell in many ways."""
    return element.tag.rpartition(" ")[2]
