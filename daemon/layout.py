"""Where things land below the root, and how a file is written so that it is whole or absent."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from astropy.io.fits import HDUList

#: Folders of a night that no target may take.
RESERVED = frozenset({"calibrations", "plots", "report", "quicklook"})
_LONGEST = 60
#: Names that `_replace` gives to files it has not finished.
_VERSION = re.compile(r"_v(\d+)\.\w+$")
_UNFINISHED = re.compile(r"\.\d+-[0-9a-f]{8}\.tmp$")


def slug(text: str) -> str:
    """Return a harmless file name made of `text`: ASCII letters, digits and ``._+-``.

    Ordinary names survive readably. Where letters are lost or cut off, a short digest keeps
    different names apart.
    """
    plain = unicodedata.normalize("NFKD", text)
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    safe = re.sub(r"[^A-Za-z0-9._+-]+", "_", plain)
    safe = re.sub(r"_{2,}", "_", safe).lstrip(".-_").rstrip("._")
    lost = bool(re.search(r"[^\x20-\x7e]", plain)) or len(safe) > _LONGEST
    if lost:
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
        safe = f"{safe[:_LONGEST].rstrip('._')}_{digest}".lstrip("_")
    return safe or "unnamed"


@dataclass(frozen=True, slots=True)
class Layout:
    """Names everything below one root; it makes no folder, writing does."""

    root: Path

    def night_folder(self, night: str) -> Path:
        """Return the folder of one observing night, e.g. '2026-11-20'."""
        return self.root / slug(night)

    def calibrations(self, night: str) -> Path:
        """Return the folder of the masters of a night."""
        return self.night_folder(night) / "calibrations"

    def target_folder(self, night: str, target: str) -> Path:
        """Return the folder of one target; hostile names stay below the night."""
        name = slug(target)
        return self.night_folder(night) / (f"{name}_" if name.lower() in RESERVED else name)

    def plots(self, night: str) -> Path:
        """Return the folder of the pictures of a night."""
        return self.night_folder(night) / "plots"

    def report(self, night: str) -> Path:
        """Return the folder of the night's report."""
        return self.night_folder(night) / "report"

    def alerts(self, night: str) -> Path:
        """Return the folder of what was told of new sources of a night, beside the nights."""
        return self.root / "alerts" / slug(night)

    @property
    def logs(self) -> Path:
        """Folder of the logs, beside the nights."""
        return self.root / "logs"

    @property
    def spool(self) -> Path:
        """Folder of what waits to be sent, beside the nights."""
        return self.root / "spool"

    def product(self, night: str, target: str, stem: str, ending: str, *, version: int = 1) -> Path:
        """Return the path of a product: raw stem first, e.g. 'ALDc200205_1d.fits'.

        Parameters
        ----------
        ending
            What it is, with its file type: '1d.fits', '2d.fits', '1d.ascii'.
        version
            From 2 on it shows in the name: 'ALDc200205_1d_v2.fits'.
        """
        name, dot, kind = ending.partition(".")
        return self.target_folder(night, target) / f"{slug(stem)}_{name}{_v(version)}{dot}{kind}"

    def master(self, night: str, role: str, label: str, *, version: int = 1) -> Path:
        """Return the path of a master, e.g. 'calibrations/master_bias_<label>.fits'."""
        name = f"master_{slug(role.lower())}_{slug(label)}{_v(version)}.fits"
        return self.calibrations(night) / name

    def quick_look(self, night: str, stem: str, target: str) -> Path:
        """Return the path of the small image that is there before the product."""
        return self.night_folder(night) / "quicklook" / f"{slug(stem)}_{slug(target)}_quick.fits"

    def new_sources(self, night: str, target: str, stem: str, *, version: int = 1) -> Path:
        """Return the path of the list of an image's new sources, named as PyNOT names it."""
        name = f"new_sources_{slug(stem)}{_v(version)}.txt"
        return self.target_folder(night, target) / name

    def new_sources_plot(self, night: str, stem: str, target: str, *, version: int = 1) -> Path:
        """Return the path of the figure of the same search."""
        return self.plots(night) / f"new_sources_{slug(stem)}_{slug(target)}{_v(version)}.png"

    def verify_plot(self, night: str, stem: str, target: str, *, version: int = 1) -> Path:
        """Return the path of the picture that verifies one spectrum."""
        return self.plots(night) / f"verify_{slug(stem)}_{slug(target)}{_v(version)}.png"


def version_of(path: Path | str) -> int:
    """Return the version that a product's file name shows: 1 unless it ends in _v2, _v3, ..."""
    found = _VERSION.search(str(path))
    return int(found[1]) if found else 1


def _v(version: int) -> str:
    return f"_v{version}" if version > 1 else ""


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees the old one, the whole new one, or none."""
    _replace(path, lambda stream: stream.write(content))


def write_fits_atomically(path: Path, hdus: HDUList) -> None:
    """Write a FITS file with checksums, whole or not at all.

    The checksum cards carry no time of writing: the same content gives the same bytes.
    """
    for hdu in hdus:
        hdu.add_checksum(when="of the whole HDU")
    _replace(path, lambda stream: hdus.writeto(stream, output_verify="exception"))


def remove_unfinished(root: Path, pid: int | None = None) -> int:
    """Delete what killed writers left half written below the root; return how many files.

    Parameters
    ----------
    pid
        Only what this process left; others may be writing.
    """
    own = ".*.tmp" if pid is None else f".*.{pid}-*.tmp"
    left = [path for path in root.rglob(own) if _UNFINISHED.search(path.name)]
    for path in left:
        path.unlink(missing_ok=True)
    return len(left)


def _replace(path: Path, fill: Callable[[IO[bytes]], object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Same folder, or os.replace could not be atomic; hidden, so no pattern of ours matches it.
    temporary = path.with_name(f".{path.name[:200]}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("wb") as stream:
            fill(stream)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
