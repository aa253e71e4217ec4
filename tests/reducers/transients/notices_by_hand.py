"""Notices written after the published descriptions of each stream; none was received."""

from __future__ import annotations

import json
from typing import Any


def voevent(
    ivorn: str,
    params: dict[str, object],
    *,
    ra: float = 150.0,
    dec: float = 2.2,
    error_deg: float = 0.05,
    when: str = "2026-11-21T21:00:00.18",
    issued: str = "2026-11-21T21:00:20",
    role: str = "observation",
    frame: str = "UTC-FK5-GEO",
    cites: str = "",
) -> bytes:
    """Return a VOEvent 2.0 with one position."""
    said = "".join(f'<Param name="{name}" value="{value}"/>' for name, value in params.items())
    return f"""<?xml version='1.0' encoding='UTF-8'?>
<voe:VOEvent xmlns:voe="http://www.ivoa.net/xml/VOEvent/v2.0" version="2.0" role="{role}"
    ivorn="{ivorn}">
  <Who><AuthorIVORN>ivo://somebody</AuthorIVORN><Date>{issued}</Date></Who>
  <What>{said}</What>
  <WhereWhen><ObsDataLocation><ObservatoryLocation id="GEOLUN"/><ObservationLocation>
    <AstroCoordSystem id="{frame}"/>
    <AstroCoords coord_system_id="{frame}">
      <Time unit="s"><TimeInstant><ISOTime>{when}</ISOTime></TimeInstant></Time>
      <Position2D unit="deg"><Name1>RA</Name1><Name2>Dec</Name2>
        <Value2><C1>{ra}</C1><C2>{dec}</C2></Value2><Error2Radius>{error_deg}</Error2Radius>
      </Position2D>
    </AstroCoords>
  </ObservationLocation></ObsDataLocation></WhereWhen>{cites}
</voe:VOEvent>""".encode()


def swift_bat(event: int = 1253910, packet: int = 61, serial: int = 1, **how: Any) -> bytes:
    more = how.pop("params", {})
    params = {"Packet_Type": packet, "Pkt_Ser_Num": serial, "TrigID": event, **more}
    return voevent(f"ivo://nasa.gsfc.gcn/SWIFT#BAT_GRB_Pos_{event}-{serial}", params, **how)


def swift_xrt(event: int = 1253910, serial: int = 1, **how: Any) -> bytes:
    params = {"Packet_Type": 67, "Pkt_Ser_Num": serial, "TrigID": event}
    how = {"error_deg": 0.00139, "issued": "2026-11-21T21:01:30", **how}
    return voevent(f"ivo://nasa.gsfc.gcn/SWIFT#XRT_Pos_{event}-{serial}", params, **how)


def fermi_gbm(packet: int, event: int = 791916611, **how: Any) -> bytes:
    params = {"Packet_Type": packet, "Pkt_Ser_Num": 1, "TrigID": event}
    return voevent(f"ivo://nasa.gsfc.gcn/Fermi#GBM_{packet}_{event}", params, **how)


def svom(instrument: str, what: str, packet: int, event: str = "sb26112101", **how: Any) -> bytes:
    params = {"Packet_Type": packet, "Pkt_Ser_Num": 1, "Burst_Id": event}
    if instrument:
        params["Instrument"] = instrument
    how = {"frame": "UTC-ICRS-GEO", "error_deg": 0.1962, **how}
    return voevent(f"ivo://org.svom/fsc#{event}_{what}", params, **how)


def unified(schema: str = "", **values: object) -> bytes:
    """Return a JSON notice; None leaves a value out."""
    said: dict[str, object] = {
        "alert_datetime": "2026-11-21T21:00:20Z",
        "alert_tense": "current",
        "alert_type": "initial",
        "trigger_time": "2026-11-21T21:00:00.18Z",
        "ra": 150.0,
        "dec": 2.2,
    }
    if schema:
        address = "https://gcn.nasa.gov/schema/v6.1.0/gcn/notices/{}.schema.json"
        said["$schema"] = address.format(schema)
    said |= values
    return json.dumps({name: value for name, value in said.items() if value is not None}).encode()


def einstein_probe(instrument: str = "WXT", **values: object) -> bytes:
    given = {"id": ["01708973486"], "ra_dec_error": 0.02, "instrument": instrument}
    return unified(f"einstein_probe/{instrument.lower()}/alert", **{**given, **values})


def swift_json(instrument: str, **values: object) -> bytes:
    given = {"id": 1253910, "mission": "SWIFT", "instrument": instrument}
    return unified(f"swift/{instrument.lower()}/position", **{**given, **values})
