"""Fields that were needed and could not be had, until the link is back."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from calibration_store.catalogues.sky import Cone
from calibration_store.catalogues.tiles import write_whole

if TYPE_CHECKING:
    from pathlib import Path

#: Beyond this many nothing more is noted: somebody has to look first.
MOST = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One field that is missing.

    Attributes
    ----------
    needs
        Each a choice of catalogues of which one is enough.
    since, tried
        Time (ISO, UTC) of the first and the latest attempt.
    why
        Why the latest attempt failed.
    """

    ra_deg: float
    dec_deg: float
    radius_deg: float
    needs: tuple[tuple[str, ...], ...]
    since: str
    tried: str
    why: str

    @property
    def cone(self) -> Cone:
        """The piece of sky."""
        return Cone(self.ra_deg, self.dec_deg, self.radius_deg)

    @property
    def key(self) -> str:
        """Name that the same wish always has: exposures of one field share theirs."""
        place = (round(self.ra_deg, 2), round(self.dec_deg, 2), round(self.radius_deg, 2))
        return hashlib.sha256(repr((place, self.needs)).encode()).hexdigest()[:16]


class WantedList:
    """One small file for each wish; processes may add and remove at the same time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def note(self, wish: Wanted) -> None:
        """Remember a wish; one that is known keeps its first date."""
        path = self._folder / f"{wish.key}.json"
        earlier = _read(path)
        if earlier is not None:
            wish = replace(wish, since=earlier.since)
        elif sum(1 for _ in self._folder.glob("*.json")) >= MOST:
            return
        write_whole(path, json.dumps(asdict(wish)).encode())

    def everything(self) -> list[Wanted]:
        """Return all wishes, the oldest first."""
        found = [_read(path) for path in self._folder.glob("*.json")]
        return sorted((wish for wish in found if wish), key=lambda wish: (wish.since, wish.key))

    def forget(self, wish: Wanted) -> None:
        """Remove a wish, fulfilled or given up."""
        (self._folder / f"{wish.key}.json").unlink(missing_ok=True)


def _read(path: Path) -> Wanted | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        needs = tuple(tuple(map(str, choice)) for choice in content.pop("needs"))
        return Wanted(needs=needs, **content)
    except (OSError, ValueError, TypeError, KeyError):
        return None
