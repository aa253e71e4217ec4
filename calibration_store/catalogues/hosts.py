"""Which services have failed lately and are left in peace for a while."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from calibration_store.catalogues.tiles import write_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

#: A host rests this long after its first failure, twice as long after each further one.
FIRST_REST = timedelta(minutes=1)
LONGEST_REST = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Rest:
    """How a host failed: how often in a row, why the last time, and until when it is not asked."""

    failures: int
    until: str
    why: str


def host_of(address: str) -> str:
    """Return the host, with its port, of a URL or of a bare host name."""
    return urlsplit(address).netloc or address


class Hosts:
    """Remembers failures in one small file that all processes share.

    After its rest a host is tried once; it counts as well again when that succeeds.
    """

    def __init__(self, path: Path, now: Callable[[], datetime]) -> None:
        self._path, self._now = path, now

    def resting(self) -> Mapping[str, Rest]:
        """Return the hosts that are not to be asked now."""
        now = self._now()
        return {
            host: r for host, r in self._read().items() if datetime.fromisoformat(r.until) > now
        }

    def note(self, failed: Mapping[str, str], well: set[str]) -> None:
        """Remember which hosts failed, and why, and which answered."""
        known, resting = self._read(), self.resting()
        changed = {host: rest for host, rest in known.items() if host not in well}
        for host, why in failed.items():
            if host in resting:
                continue  # somebody asked at the same time and has noted it
            failures = (known[host].failures if host in known else 0) + 1
            rest = min(FIRST_REST * 2 ** min(failures - 1, 10), LONGEST_REST)
            changed[host] = Rest(failures, (self._now() + rest).isoformat(), why)
        if changed != known:
            content = {host: asdict(rest) for host, rest in changed.items()}
            write_whole(self._path, json.dumps(content, indent=1).encode())

    def _read(self) -> dict[str, Rest]:
        try:
            content = json.loads(self._path.read_text(encoding="utf-8"))
            return {str(host): Rest(**rest) for host, rest in content.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}
