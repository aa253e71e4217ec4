"""Ask astrometry.net where an image lies, within a deadline; whatever goes wrong is a sentence.

The tool is `solve-field` with the sources that the recipe found, so that it reads no pixels. What
it says is a first guess and nothing more.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import subprocess
import tempfile
import time
import warnings
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS
from astropy.wcs.wcs import WcsError

from daemon.work.cone_index import build_index
from daemon.work.confine import die_with_parent
from reducers.imaging.sky_map import SkyMap
from reducers.imaging.sources import Detections

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reducers.imaging.references import References

#: So many of the brightest sources are handed over.
_SOURCES = 200
#: The scale may be off by this fraction.
_SCALE_TOLERANCE = 0.03
#: The header's position may be off by so much in the first try (deg).
_NEAR_DEG = 1.0
#: Part of the time that the first try may take.
_FIRST_TRY = 0.4
#: Of what the tool says last so many characters are repeated.
_LAST_WORDS = 160
#: What it says where its own settings name no index file.
_NO_INDEX = "at least one index"
#: What reading a map raises that is none.
_UNREADABLE = (
    OSError, LookupError, TypeError, ValueError, ArithmeticError, AttributeError, AssertionError,
    fits.VerifyError, WcsError,
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class BlindSolver:
    """The tool as it is configured.

    Attributes
    ----------
    program : str
        Name or path of solve-field.
    index : Path or None
        Folder of index files; without one, an index of the catalogue's stars is built, and where
        there is no catalogue the tool's own settings tell.
    deadline_s : float
        For everything that is tried on one image.
    """

    program: str
    index: Path | None = None
    deadline_s: float = 60.0

    @property
    def path(self) -> str | None:
        """Where the program is; None where it is not installed."""
        return shutil.which(self.program) if self.program else None


@dataclass(frozen=True, slots=True, kw_only=True)
class BlindAnswer:
    """Where the tool puts the image, or why it does not."""

    sky_map: SkyMap | None = None
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlindQuestion:
    """What the tool is told of an image.

    Attributes
    ----------
    shape : tuple of int
        Rows and columns.
    near_deg : tuple of float or None
        Right ascension and declination by the header, if it tells them.
    """

    detections: Detections
    shape: tuple[int, int]
    scale_arcsec: float
    near_deg: tuple[float, float] | None = None


def solve_blind(
    question: BlindQuestion, references: References, solver: BlindSolver
) -> BlindAnswer:
    """Return where the tool puts an image: first near the header's position, then anywhere."""
    program = solver.path
    if program is None:
        return BlindAnswer(why=f"{solver.program} is not installed.")
    until = time.monotonic() + solver.deadline_s
    try:
        with tempfile.TemporaryDirectory(prefix="alfoscd-blind-") as name:
            folder = Path(name)
            _write_sources(question.detections, folder / "sources.fits")
            command = [program, *_what_is_known(question), *_only_the_map(folder)]
            run = partial(run_within, folder=folder)
            index = solver.index or build_index(references, folder, run, until)
            if index is not None:
                command += ["--config", str(_write_settings(folder, index))]
            return _ask(question, command, folder, until)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return BlindAnswer(why=f"{solver.program} could not be run: {error}")


def _ask(
    question: BlindQuestion, command: Sequence[str], folder: Path, until: float
) -> BlindAnswer:
    """Return the answer of the first try that has one."""
    tries: list[tuple[list[str], float]] = [([], 1.0)]
    if question.near_deg is not None:
        ra, dec = question.near_deg
        near = ["--ra", f"{ra:.6f}", "--dec", f"{dec:.6f}", "--radius", f"{_NEAR_DEG:g}"]
        tries.insert(0, (near, _FIRST_TRY))
    why = "the time was up before it began."
    for more, share in tries:
        left = until - time.monotonic()
        if left <= 0:
            break
        why = run_within([*command, *more, str(folder / "sources.fits")], left * share, folder)
        found = folder / "found.wcs"
        if found.is_file():
            answer = _read_map(found)
            if answer.sky_map is not None:
                return answer
            why = answer.why
            found.unlink()
    return BlindAnswer(why=why or "no place in its index files fits these stars.")


def run_within(command: Sequence[str], limit_s: float, folder: Path) -> str:
    """Run a program for so long and no longer, with all that it starts; return what went wrong.

    Raises
    ------
    OSError, subprocess.SubprocessError
        If it cannot be started.
    """
    said = folder / "said.txt"
    with said.open("wb") as words:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=words, stderr=subprocess.STDOUT, cwd=folder,
            process_group=0, preexec_fn=partial(_confine, os.getpid(), limit_s),
        )  # fmt: skip
        try:
            code = process.wait(max(limit_s, 0.1))
        except subprocess.TimeoutExpired:
            return f"it was stopped after {limit_s:.0f} s."
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return f"it ended with {code}: {_last_words(said)}" if code else ""


def _confine(parent_pid: int, limit_s: float) -> None:
    """Let a program outlive neither the worker nor its time, and fill no disk."""
    die_with_parent(parent_pid)
    seconds = int(limit_s) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000_000, 200_000_000))


def _last_words(said: Path) -> str:
    with said.open("rb") as words:
        words.seek(max(0, said.stat().st_size - 10 * _LAST_WORDS))
        text = words.read().decode("ascii", "replace")
    if _NO_INDEX in text:
        return "it has no index files; name their folder as [image] blind_index."
    return " ".join(text.split())[-_LAST_WORDS:] or "it said nothing."


def _write_sources(detections: Detections, path: Path) -> None:
    """Write the brightest sources; FITS counts pixels from 1."""
    order = np.argsort(-np.nan_to_num(detections.flux))[:_SOURCES]
    Table(
        {
            "X": detections.x[order] + 1,
            "Y": detections.y[order] + 1,
            "FLUX": detections.flux[order],
        }
    ).write(path, format="fits")


def _what_is_known(question: BlindQuestion) -> list[str]:
    low, high = (question.scale_arcsec * (1 + sign * _SCALE_TOLERANCE) for sign in (-1, 1))
    return [
        "--width", str(question.shape[1]), "--height", str(question.shape[0]),
        "--x-column", "X", "--y-column", "Y", "--sort-column", "FLUX",
        "--scale-units", "arcsecperpix", "--scale-low", f"{low:.5f}", "--scale-high", f"{high:.5f}",
    ]  # fmt: skip


def _only_the_map(folder: Path) -> list[str]:
    """Ask for the linear map alone: no plots, no steps that need more of its own software."""
    unwanted = ("new-fits", "match", "rdls", "corr", "index-xyls", "solved")
    return [
        "--overwrite", "--no-plots", "--no-tweak", "--no-remove-lines", "--uniformize", "0",
        "--dir", str(folder), "--temp-dir", str(folder), "--wcs", str(folder / "found.wcs"),
        *(word for name in unwanted for word in (f"--{name}", "none")),
    ]  # fmt: skip


def _write_settings(folder: Path, index: Path) -> Path:
    path = folder / "settings.cfg"
    path.write_text(f"add_path {index}\nautoindex\n", "utf-8")
    return path


def _read_map(path: Path) -> BlindAnswer:
    """Return the map in a file, if it is one."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            wcs = WCS(fits.getheader(path))
            middle = wcs.all_pix2world(0.0, 0.0, 0)
    except _UNREADABLE as error:
        return BlindAnswer(why=f"its map cannot be read: {type(error).__name__}.")
    if not wcs.has_celestial or not np.all(np.isfinite(middle)):
        return BlindAnswer(why="its map holds no place on the sky.")
    return BlindAnswer(sky_map=SkyMap(wcs=wcs))
