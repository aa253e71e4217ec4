"""Ask one host of one service for a cone, through astroquery, which is imported nowhere else."""

from __future__ import annotations

import socket
import tempfile
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from calibration_store.catalogues.answers import (
    Answered,
    BrokenAnswer,
    columns_wanted,
    read_answer,
)

if TYPE_CHECKING:
    from calibration_store.catalogues.services import Service
    from calibration_store.catalogues.sky import Cone

#: Words of errors that mean: there is no way to the host.
_UNREACHABLE = (
    "name resolution",
    "nameresolution",
    "name or service not known",
    "connection refused",
    "unreachable",
    "newconnection",
)


def ask(service: Service, host: str, cone: Cone, *, row_limit: int, limit_s: float) -> Answered:
    """Ask one host for a cone, brightest first.

    Raises
    ------
    BrokenAnswer, OSError
        If it cannot be reached or sends no table.
    """
    content = _ADAPTERS[service.kind](service, host, cone, row_limit, limit_s)
    return read_answer(content, service, row_limit=row_limit)


def _ask_vizier(service: Service, host: str, cone: Cone, row_limit: int, limit_s: float) -> bytes:
    from astropy import units
    from astropy.coordinates import SkyCoord
    from astroquery.vizier import VizierClass

    class Mirror(VizierClass):  # type: ignore[misc]
        """A VizieR that may also be given as a whole address."""

        def _server_to_url(self, return_type: str = "votable") -> str:
            base = host if "://" in host else f"https://{host}"
            return f"{base}/viz-bin/{return_type}"

    columns = [
        f"+{name}" if name == service.brightest else name for name in columns_wanted(service)
    ]
    mirror = Mirror(
        columns=columns,
        column_filters=dict(service.filters),
        row_limit=row_limit,
        timeout=limit_s,
        vizier_server=host,
    )
    answer = mirror.query_region_async(
        SkyCoord(cone.ra_deg, cone.dec_deg, unit="deg"),
        radius=cone.radius_deg * units.deg,
        catalog=service.table,
        cache=False,
        frame="icrs",
    )
    if answer.status_code != 200:
        raise BrokenAnswer(f"it answered HTTP {answer.status_code} {answer.reason}")
    return bytes(answer.content)


def _ask_tap(service: Service, host: str, cone: Cone, row_limit: int, limit_s: float) -> bytes:
    from astroquery.utils.tap.core import TapPlus

    # Asynchronous: synchronous answers are cut at 2000 rows by Gaia's archive.
    with tempfile.TemporaryDirectory() as folder:
        TapPlus(url=host).launch_job_async(
            adql(service, cone, row_limit), output_file=f"{folder}/answer.gz", dump_to_file=True
        )
        found = sorted(Path(folder).iterdir())
        if not found:
            raise BrokenAnswer("the answer is empty")
        return found[0].read_bytes()


_ADAPTERS = {"vizier": _ask_vizier, "tap": _ask_tap}
#: What a kind of service needs; loading it takes seconds.
LIBRARIES = {"vizier": "astroquery.vizier", "tap": "astroquery.utils.tap.core"}


def adql(service: Service, cone: Cone, row_limit: int) -> str:
    """Return the question for a cone, as services with TAP understand it."""
    ra, dec = service.columns["ra_deg"], service.columns["dec_deg"]
    where = (
        f"1 = CONTAINS(POINT('ICRS', {ra}, {dec}), "
        f"CIRCLE('ICRS', {cone.ra_deg:.8f}, {cone.dec_deg:.8f}, {cone.radius_deg:.8f}))"
    )
    if service.where:
        where += f" AND {service.where}"
    return (
        f"SELECT TOP {row_limit} {', '.join(columns_wanted(service))} FROM {service.table} "
        f"WHERE {where} ORDER BY {service.brightest}"
    )


def knock(address: str, limit_s: float) -> OSError | None:
    """Return why a host cannot be reached at all; None when it can, or a proxy stands between."""
    url = urlsplit(address if "://" in address else f"https://{address}")
    if urllib.request.getproxies():
        return None
    port = url.port or (80 if url.scheme == "http" else 443)
    try:
        socket.create_connection((url.hostname or "", port), timeout=limit_s).close()
    except OSError as error:
        return error
    return None


def in_words(error: BaseException, limit_s: float) -> str:
    """Return why a host failed, as a person would say it."""
    text = " ".join(str(error).split())[:160]
    if isinstance(error, BrokenAnswer):
        return text
    if isinstance(error, TimeoutError) or "timed out" in text.casefold():
        return f"it did not answer within {limit_s:.0f} s"
    plain = f"{type(error).__name__} {error}".casefold()
    if isinstance(error, ConnectionError) or any(word in plain for word in _UNREACHABLE):
        return "it cannot be reached"
    return f"it failed: {text or type(error).__name__}"
