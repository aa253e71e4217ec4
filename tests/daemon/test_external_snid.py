"""The program SNID may be asked too; whatever it does, our own answer stands."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

from daemon.work.external_snid import ask_snid
from reducers.spectroscopy.lines import vacuum_to_air
from tests.reducers.supernovae import observed

if TYPE_CHECKING:
    from pathlib import Path

ANSWER = """### median redshift/age and error ###
zmed        0.0312    0.0030

### type fraction/redshift/age ###
#type ntemp fraction slope redshift redshift_error age age_error
Ia             28      0.90    0.0000    0.0312    0.0030     3.100     2.000
Ia-norm        25      0.80    0.0000    0.0312    0.0030     3.100     2.000
###
Ib              3      0.10    0.0000    0.0300    0.0040     1.000     2.000

### rlap-ordered template listings ###
#no. sn type lap rlap z zerr age age_flag grade
    1 sn2005hf   Ia-norm      1.20  14.1  0.5000  0.0040   2.0   0   bad
    2 sn1994D    Ia-norm      1.24  12.3  0.0310  0.0036   4.2   0   good
    3 sn1999ex   Ib           1.00   6.1  0.0290  0.0050   1.2   0   good
#--- rlap cutoff
    4 sn1998bw   Ic-broad     1.00   3.1  0.0290  0.0050   1.2   0   good
"""


def stand_in(folder: Path, body: str) -> str:
    """Return a small program that is called as SNID is."""
    path = folder / "snid"
    path.write_text(f"#!{sys.executable} -S\nimport os, shutil, sys, time\n{body}\n")
    path.chmod(0o755)
    return str(path)


def writes(text: str) -> str:
    return f"open(sys.argv[-1][:-4] + '_snid.output', 'w').write({text!r})"


def test_snid_gets_the_spectrum_in_air_and_its_best_good_match_is_told(tmp_path: Path) -> None:
    keep = f"shutil.copy(sys.argv[-1], {str(tmp_path / 'seen')!r})"
    said = f"open({str(tmp_path / 'said')!r}, 'w').write(' '.join(sys.argv[1:]))"
    program = stand_in(tmp_path, "\n".join([keep, said, writes(ANSWER)]))
    (tmp_path / "templist").write_text("sn1994D\n")
    spectrum = observed("Ia-norm", 0.03)
    answer = ask_snid(spectrum, program, tmp_path, 120.0)
    assert answer is not None
    assert (answer.subtype, answer.template, answer.rlap) == ("Ia-norm", "sn1994D", 12.3)
    assert (answer.redshift, answer.phase_days, answer.fraction) == (0.0310, 4.2, 0.9)
    seen = np.loadtxt(tmp_path / "seen")
    assert seen[0, 0] == pytest.approx(float(vacuum_to_air(spectrum.wavelength[0])), abs=1e-3)
    assert np.corrcoef(seen[:, 1], spectrum.flux)[0, 1] == pytest.approx(1)
    words = (tmp_path / "said").read_text()
    assert "plot=0" in words
    assert "tempdir=templates/" in words


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("sys.exit('no templates found')", "no templates found"),
        ("os.abort()", "ended with -6"),
        ("", "wrote no answer"),
        (writes("nothing"), "no list of templates"),
        (writes(ANSWER.replace("12.3", "****")), "is not a match"),
        (writes(ANSWER[: ANSWER.index("    2 sn")]), "no good match"),
    ],
    ids=["refuses", "crashes", "silent", "garbage", "stars", "nothing-good"],
)
def test_a_snid_that_fails_gives_a_reason_and_no_exception(
    tmp_path: Path, body: str, why: str
) -> None:
    answer = ask_snid(observed("Ia-norm", 0.03), stand_in(tmp_path, body), tmp_path, 120.0)
    assert answer is not None
    assert not answer.subtype
    assert why in answer.words


def test_a_snid_that_hangs_is_stopped(tmp_path: Path) -> None:
    began = time.monotonic()
    program = stand_in(tmp_path, "time.sleep(600)")
    answer = ask_snid(observed("Ia-norm", 0.03), program, tmp_path, 1.0)
    assert time.monotonic() - began < 60
    assert answer is not None
    assert "stopped" in answer.words


def test_a_snid_that_is_not_installed_is_not_asked(tmp_path: Path) -> None:
    assert ask_snid(observed("Ia-norm", 0.03), "no-such-snid", tmp_path, 1.0) is None
    assert ask_snid(observed("Ia-norm", 0.03), "", tmp_path, 1.0) is None
