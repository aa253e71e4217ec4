"""An alert for machines: JSON with the names of GCN's Unified Schema, and VOEvent 2.0."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, Any

from daemon.publish.page import as_json
from daemon.publish.words import clean
from reducers.transients.alert import Change
from reducers.transients.localisation import R90_PER_SIGMA

if TYPE_CHECKING:
    from datetime import datetime

    from reducers.transients.alert import Alert

#: Raised when a name changes its meaning or goes; new names may come without.
SCHEMA_VERSION = "1.0"
_SPACE = "http://www.ivoa.net/xml/VOEvent/v2.0"
_TYPES = {Change.NEW: "initial"}


def json_of(alert: Alert, now: datetime) -> dict[str, Any]:
    """Return an alert under the names of the Unified Schema, and ours where it has none."""
    found, image = alert.candidate, alert.image
    return {
        "schema_version": SCHEMA_VERSION,
        "mission": image.telescope,
        "instrument": image.instrument,
        "messenger": "EM",
        "id": [alert.name],
        "alert_datetime": now.isoformat(),
        "alert_tense": "current",
        "alert_type": _TYPES.get(alert.change, "update"),
        "trigger_time": _iso(alert.localisations[0].happened_at) if alert.localisations else None,
        "follow_up_event": [each.event for each in alert.localisations],
        "observation_start": _iso(image.observed_at),
        "observation_livetime": image.exposure_s,
        "ra": found.ra_deg,
        "dec": found.dec_deg,
        "ra_dec_error": found.position_error_arcsec * R90_PER_SIGMA / 3600,
        "containment_probability": 0.9,
        "systematic_included": True,
        "filter": [found.band],
        "magnitude": found.magnitude,
        "magnitude_error": found.magnitude_error,
        "magnitude_system": image.system,
        "limiting_magnitude": image.limit_mag if math.isfinite(image.limit_mag) else None,
        "urgency": alert.urgency.value,
        "class": found.colour.name,
        "score": found.score,
        "detection_method": found.method,
        "snr": found.snr,
        "flags": [flag.name for flag in found.vetoes],
        "image": image.stem,
        "target": image.target,
        "programme": image.programme,
        "measurements": dict(found.measurements),
    }


def json_bytes(alert: Alert, now: datetime) -> bytes:
    """Return the JSON with every digit of the position; what is not finite becomes null."""
    said = json_of(alert, now)
    # Six significant digits, as a page needs, would move the place by an arcsecond.
    exact = {name: f"{said[name]:.7f}" for name in ("ra", "dec")}
    text = as_json({**said, **{name: f"#{value}#" for name, value in exact.items()}}).decode()
    for value in exact.values():
        text = text.replace(f'"#{value}#"', value)
    return text.encode()


def voevent_of(alert: Alert, now: datetime) -> bytes:
    """Return the VOEvent; every text in it is escaped by the writer."""
    found, image = alert.candidate, alert.image
    root = ET.Element(
        f"{{{_SPACE}}}VOEvent",
        {
            "version": "2.0",
            "role": "observation",
            "ivorn": f"ivo://alfoscd/{alert.name}#{now:%Y%m%dT%H%M%S}",
        },
    )
    who = ET.SubElement(root, "Who")
    ET.SubElement(who, "AuthorIVORN").text = "ivo://alfoscd"
    ET.SubElement(who, "Date").text = f"{now:%Y-%m-%dT%H:%M:%S}"
    what = ET.SubElement(root, "What")
    _param(what, "name", alert.name, "meta.id")
    _param(what, "magnitude", f"{found.magnitude:.3f}", "phot.mag", "mag")
    _param(what, "magnitude_error", f"{found.magnitude_error:.3f}", "stat.error;phot.mag", "mag")
    _param(what, "band", found.band, "instr.bandpass")
    _param(what, "magnitude_system", image.system, "meta.note")
    _param(what, "exposure", f"{image.exposure_s:g}", "time.duration;obs.exposure", "s")
    _param(what, "class", found.colour.name, "meta.code.class")
    _param(what, "score", f"{found.score:.3f}", "stat.probability")
    _param(what, "image", image.stem, "meta.file")
    _param(what, "target", image.target, "meta.note")
    _where(root, alert)
    how = ET.SubElement(root, "How")
    ET.SubElement(how, "Description").text = f"{image.telescope} {image.instrument}, alfoscd"
    if alert.localisations:
        why = ET.SubElement(root, "Why")
        for each in alert.localisations:
            ET.SubElement(why, "Concept").text = clean(f"counterpart of {each.event}")
    ET.register_namespace("voe", _SPACE)
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True))


def _where(root: ET.Element, alert: Alert) -> None:
    found, middle = alert.candidate, alert.image.middle
    path = ("WhereWhen", "ObsDataLocation", "ObservationLocation")
    here = root
    for name in path:
        here = ET.SubElement(here, name)
    ET.SubElement(here, "AstroCoordSystem", {"id": "UTC-ICRS-TOPO"})
    here = ET.SubElement(here, "AstroCoords", {"coord_system_id": "UTC-ICRS-TOPO"})
    if middle is not None:
        time = ET.SubElement(ET.SubElement(here, "Time", {"unit": "s"}), "TimeInstant")
        ET.SubElement(time, "ISOTime").text = f"{middle:%Y-%m-%dT%H:%M:%S.%f}"
    place = ET.SubElement(here, "Position2D", {"unit": "deg"})
    ET.SubElement(place, "Name1").text, ET.SubElement(place, "Name2").text = "RA", "Dec"
    value = ET.SubElement(place, "Value2")
    ET.SubElement(value, "C1").text = f"{found.ra_deg:.7f}"
    ET.SubElement(value, "C2").text = f"{found.dec_deg:.7f}"
    r90 = found.position_error_arcsec * R90_PER_SIGMA / 3600
    ET.SubElement(place, "Error2Radius").text = f"{r90:.7f}"


def _param(what: ET.Element, name: str, value: str, ucd: str, unit: str = "") -> None:
    said = {"name": name, "value": clean(value), "ucd": ucd}
    ET.SubElement(what, "Param", said | ({"unit": unit} if unit else {}))


def _iso(when: datetime | None) -> str | None:
    return None if when is None else when.isoformat()
