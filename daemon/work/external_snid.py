"""Ask the program SNID, where it is installed, what a spectrum is, beside our own answer."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from daemon.work.blind_solver import run_within
from reducers.classification.snid_output import SnidAnswer, read_snid_output
from reducers.errors import BadTemplate
from reducers.spectroscopy.lines import vacuum_to_air

if TYPE_CHECKING:
    from reducers.spectrum import Spectrum

#: Nothing of it is drawn or asked.
_QUIET = ("inter=0", "plot=0", "iquery=0", "verbose=0")
_MOST_BYTES = 4_000_000


def ask_snid(
    spectrum: Spectrum, program: str, templates: Path, deadline_s: float
) -> SnidAnswer | None:
    """Return what SNID says of a spectrum; None where it is not installed.

    Parameters
    ----------
    templates
        Folder of templates; where it holds SNID's own list (`templist`), SNID takes them, and
        otherwise those that it was installed with.
    """
    path = shutil.which(program) if program else None
    if path is None:
        return None
    try:
        with tempfile.TemporaryDirectory(prefix="alfoscd-snid-") as name:
            folder = Path(name)
            _write(spectrum, folder / "target.dat")
            command = [path, *_QUIET, *_their_templates(templates, folder), "target.dat"]
            why = run_within(command, deadline_s, folder)
            output = folder / "target_snid.output"
            if not output.is_file():
                return SnidAnswer(why=why or "it wrote no answer")
            with output.open(encoding="ascii", errors="replace") as text:
                return read_snid_output(text.read(_MOST_BYTES))
    except BadTemplate as error:
        return SnidAnswer(why=str(error))
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return SnidAnswer(why=f"{program} could not be run: {error}")


def _write(spectrum: Spectrum, path: Path) -> None:
    """Write air wavelength and flux of the good pixels: SNID's templates are in air."""
    good = spectrum.good
    flux = spectrum.flux[good]
    # Fluxes near 1e-16 are below what single precision keeps apart.
    flux = flux / (float(np.median(np.abs(flux))) or 1.0) if flux.size else flux
    np.savetxt(path, np.column_stack([vacuum_to_air(spectrum.wavelength[good]), flux]), "%.3f %.6e")


def _their_templates(templates: Path, folder: Path) -> list[str]:
    """Return the option that names the folder; through a link, as SNID keeps few characters."""
    if not (templates / "templist").is_file():
        return []
    (folder / "templates").symlink_to(templates.resolve())
    return ["tempdir=templates/"]
