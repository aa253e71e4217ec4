"""Read supernova templates as SNID keeps them: `.lnw` files, one for each object.

The layout is that of SNID 5.0 (Blondin & Tonry 2007, ApJ 666, 1024): a head line; the knots of
the continua that were divided out; the phases; and the spectra over the continuum less one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from reducers.classification.grid import BINS, centres
from reducers.errors import BadTemplate
from reducers.frame import Vector, read_only

if TYPE_CHECKING:
    from pathlib import Path

#: Columns of a number in the lines of phases and of spectra, after the first column.
_LEAD, _WIDE = 8, 9
#: Phases count from maximum light where the line of phases begins with this.
_FROM_MAXIMUM = 0
_MOST = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """The spectra of one object.

    Attributes
    ----------
    subtype
        As the file names it: 'Ia-91bg', 'IIP', 'Ic-broad'.
    phases_days : (n,)
        Days from maximum light, rest frame; NaN where only counted from another day.
    spectra : (n, BINS)
        Flux over its continuum less one, on the bins of `grid`; 0 where nothing was observed.
    """

    name: str
    subtype: str
    phases_days: Vector
    spectra: NDArray[np.float32]


def read_template(text: str, name: str = "") -> Template:
    """Return the template that the text of a `.lnw` file holds.

    Raises
    ------
    BadTemplate
        With the name and what is wrong: no head line, too few lines, a number that is none.
    """
    lines = text.splitlines()
    count, bins, knots, label, subtype = _head(lines[0] if lines else "", name)
    first = 2 + knots
    if len(lines) < first + 1 + bins:
        raise BadTemplate(
            f"{name}: ends after {len(lines)} of {first + 1 + bins} lines; copy the file again"
        )
    flag, *phases = _numbers(lines[first], count, name)
    table = np.array([_numbers(line, count, name) for line in lines[first + 1 : first + 1 + bins]])
    if not np.all(np.isfinite(table)) or not np.all(np.diff(table[:, 0]) > 0):
        raise BadTemplate(f"{name}: its wavelengths do not rise, or a value is not finite")
    known = int(flag) == _FROM_MAXIMUM
    return Template(
        name=label or name,
        subtype=subtype,
        phases_days=read_only(np.array(phases) if known else np.full(count, np.nan), np.float64),
        spectra=read_only(_on_grid(table), np.float32),
    )


def load_templates(folder: Path) -> tuple[tuple[Template, ...], tuple[str, ...]]:
    """Return every template of a folder, and a sentence for each file that is none.

    Raises
    ------
    BadTemplate
        The folder does not exist, or holds no template that can be read.
    """
    if not folder.is_dir():
        raise BadTemplate(f"no folder of templates at {folder}")
    found: list[Template] = []
    refused: list[str] = []
    for path in sorted(folder.glob("*.lnw")):
        try:
            found.append(read_template(path.read_text(encoding="latin-1"), path.name))
        except BadTemplate as error:
            refused.append(str(error))
        except OSError as error:
            refused.append(f"{path.name}: {error.strerror or error}")
    if not found:
        why = f": {refused[0]}" if refused else ""
        raise BadTemplate(f"no SNID template (*.lnw) could be read in {folder}{why}")
    return tuple(found), tuple(refused)


def _head(line: str, name: str) -> tuple[int, int, int, str, str]:
    """Return the numbers of spectra, bins and knots, the object and its subtype."""
    try:
        count, bins, knots = int(line[0:5]), int(line[5:10]), int(line[30:37])
    except ValueError:
        raise BadTemplate(f"{name}: does not begin as a SNID template (.lnw) does") from None
    label, subtype = line[42:54].strip(), line[63:73].strip()
    if not (0 < count < _MOST and 0 < bins < _MOST and 0 <= knots < _MOST and subtype):
        raise BadTemplate(f"{name}: its first line names no spectra, no bins or no type")
    return count, bins, knots, label, subtype


def _numbers(line: str, count: int, name: str) -> list[float]:
    """Return a leading number and `count` more; neighbours may touch."""
    words = line.split()
    if len(words) != count + 1:
        starts = range(_LEAD, _LEAD + count * _WIDE, _WIDE)
        words = [line[:_LEAD], *(line[at : at + _WIDE] for at in starts)]
    try:
        return [float(word) for word in words]
    except ValueError:
        raise BadTemplate(f"{name}: '{line[:40].strip()} ...' is not a line of numbers") from None


def _on_grid(table: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the spectra on our bins; those of other bins are interpolated."""
    wanted = centres()
    own, spectra = table[:, 0], table[:, 1:].T
    if own.size == BINS and np.allclose(own, wanted, rtol=1e-5):
        return np.asarray(spectra, dtype=np.float32)
    logs = np.log(own)
    return np.array(
        [np.interp(np.log(wanted), logs, line, left=0, right=0) for line in spectra], np.float32
    )
