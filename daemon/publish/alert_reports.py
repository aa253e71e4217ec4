"""An alert as the Transient Name Server and SkyPortal want it: prepared for a person to send."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from reducers.julian_date import mjd_of

if TYPE_CHECKING:
    from daemon.memory.archive_alerts import AlertRecord
    from daemon.sections import Alerts

#: TNS: what is known of a source that was only seen is nothing ("Other").
_UNDEFINED = 0
_R90_PER_SIGMA = 2.145966


@dataclass(frozen=True, slots=True)
class Report:
    """What would be sent to a service, and why it cannot be sent yet.

    Attributes
    ----------
    parts
        Where below the address of the service -> what is posted there, in this order.
    lacking
        What a person has to do first, one sentence each; empty when it can go.
    """

    parts: tuple[tuple[str, Mapping[str, Any]], ...]
    lacking: tuple[str, ...] = field(default=())


def tns_report(record: AlertRecord, settings: Alerts) -> Report:
    """Return the bulk report (AT report) of one source."""
    said = record.document
    band = _band(said)
    when = _moment(said)
    photometry = {
        "obsdate": f"{when:%Y-%m-%d %H:%M:%S}" if when else "",
        "flux": _number(said.get("magnitude"), 3),
        "flux_error": _number(said.get("magnitude_error"), 3),
        "limiting_flux": _number(said.get("limiting_magnitude"), 2),
        "flux_units": str(_names("tns", "units").get(str(said.get("magnitude_system")), "")),
        "filter_value": str(_names("tns", "filters").get(band, "")),
        "instrument_value": str(settings.tns_instrument or ""),
        "exptime": _number(said.get("observation_livetime"), 1),
        "observer": "Robot",
        "comments": "",
    }
    # Where nothing was seen before has to be said; what nobody has measured is not invented.
    before = {
        "archiveid": "0",
        "archival_remarks": "No entry in reference catalogues that reach this magnitude",
    }
    sigma = float(said.get("ra_dec_error") or math.nan) * 3600 / _R90_PER_SIGMA
    place = {
        name: {"value": f"{said[name]:.7f}", "error": _number(sigma, 3), "units": "arcsec"}
        for name in ("ra", "dec")
    }
    report = {
        "ra": place["ra"],
        "dec": place["dec"],
        "reporting_group_id": str(settings.tns_group or ""),
        "discovery_data_source_id": str(settings.tns_group or ""),
        "reporter": settings.reporter,
        "discovery_datetime": photometry["obsdate"],
        "at_type": str(_UNDEFINED),
        "internal_name": record.name,
        "remarks": _remarks(said),
        "non_detection": before,
        "photometry": {"photometry_group": {"0": photometry}},
    }
    lacking = _lacking(
        (settings.tns_group, "set [alerts] tns_group to the id of your reporting group"),
        (settings.tns_instrument, "set [alerts] tns_instrument to the id of the instrument"),
        (settings.reporter, "set [alerts] reporter to who reports"),
        (photometry["filter_value"], f"TNS has no filter for '{band}'"),
        (when, "the image tells no time"),
    )
    return Report((("set/bulk-report", {"at_report": {"0": report}}),), lacking)


def skyportal_report(record: AlertRecord, settings: Alerts) -> Report:
    """Return the candidate and its photometry."""
    said, band, when = record.document, _band(record.document), _moment(record.document)
    passband = _names("skyportal", "filters").get(band, "")
    filters = [int(each) for each in settings.skyportal_filters if each.isdigit()]
    candidate = {
        "id": record.name,
        "ra": said["ra"],
        "dec": said["dec"],
        "filter_ids": filters,
        "passed_at": when.isoformat() if when else "",
        "score": said.get("score"),
        "origin": "alfoscd",
    }
    photometry = {
        "obj_id": record.name,
        "mjd": [mjd_of(when)] if when else [],
        "mag": [said.get("magnitude")],
        "magerr": [said.get("magnitude_error")],
        "limiting_mag": [said.get("limiting_magnitude")],
        "filter": [passband],
        "magsys": ["ab" if said.get("magnitude_system") == "AB" else "vega"],
        "instrument_id": settings.skyportal_instrument,
        "origin": [record.name],
    }
    lacking = _lacking(
        (settings.skyportal_url, "set [alerts] skyportal_url"),
        (filters, "set [alerts] skyportal_filters to the ids of its filters"),
        (settings.skyportal_instrument, "set [alerts] skyportal_instrument"),
        (passband, f"SkyPortal has no passband for '{band}'"),
        (said.get("limiting_magnitude"), "the depth of the image is not known, SkyPortal wants it"),
        (when, "the image tells no time"),
    )
    return Report((("candidates", candidate), ("photometry", photometry)), lacking)


def _lacking(*needs: tuple[object, str]) -> tuple[str, ...]:
    return tuple(sentence for value, sentence in needs if not value)


def _remarks(said: Mapping[str, Any]) -> str:
    events = ", ".join(str(each) for each in said.get("follow_up_event") or ())
    if events:
        return f"Possible counterpart of {events}"
    return "Found by the automatic comparison of an image with catalogues"


def _band(said: Mapping[str, Any]) -> str:
    filters = said.get("filter") or [""]
    return f"{filters[0]} {said.get('magnitude_system', '')}"


def _moment(said: Mapping[str, Any]) -> datetime | None:
    """Return when the exposure began."""
    when = said.get("observation_start")
    return datetime.fromisoformat(when) if isinstance(when, str) else None


def _number(value: object, digits: int) -> str:
    finite = isinstance(value, int | float) and math.isfinite(value)
    return f"{value:.{digits}f}" if finite else ""


@cache
def _names(service: str, what: str) -> Mapping[str, Any]:
    text = resources.files("daemon.publish").joinpath("services.toml").read_text("utf8")
    found: Mapping[str, Any] = tomllib.loads(text)[service][what]
    return found
