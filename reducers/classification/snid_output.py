"""What the program SNID said of a spectrum, read from its .output file."""

from __future__ import annotations

from dataclasses import dataclass

from reducers.errors import BadTemplate

_LISTING = "### rlap-ordered template listings ###"
_FRACTIONS = "### type fraction/redshift/age ###"
_CUTOFF = "#--- rlap cutoff"
#: A match below this is chance (Blondin & Tonry 2007, sect. 3.3).
_LEAST_RLAP = 5.0
_MAIN = ("Ia", "Ib", "Ic", "II", "NotSN")


@dataclass(frozen=True, slots=True, kw_only=True)
class SnidAnswer:
    """The best match of SNID, or why there is none.

    Attributes
    ----------
    subtype, template
        '' without a match.
    phase_days
        From maximum light, rest frame.
    fraction
        Of the good templates that share the main type; NaN where it is not said.
    """

    subtype: str = ""
    template: str = ""
    rlap: float = float("nan")
    redshift: float = float("nan")
    redshift_error: float = float("nan")
    phase_days: float = float("nan")
    fraction: float = float("nan")
    why: str = ""

    @property
    def words(self) -> str:
        """For people."""
        if not self.subtype:
            return f"no type: {self.why}"
        of = f", {self.fraction:.0%} of its templates" if self.fraction == self.fraction else ""
        return (
            f"{self.subtype} like {self.template} at {self.phase_days:+.0f} d, "
            f"z {self.redshift:.4f} +- {self.redshift_error:.4f}, rlap {self.rlap:.1f}{of}"
        )


def read_snid_output(text: str) -> SnidAnswer:
    """Return the best match in the text of a `_snid.output` file.

    Raises
    ------
    BadTemplate
        If it is not such a file.

    Notes
    -----
    The columns are those of SNID 5.0: number, supernova, type, lap, rlap, z, its error, age, its
    flag and a grade, the best first, down to a line that marks the cut-off.
    """
    _, mark, listing = text.partition(_LISTING)
    if not mark:
        raise BadTemplate("its output has no list of templates")
    fractions = _fractions(text)
    for line in listing.splitlines():
        if line.startswith(_CUTOFF):
            break
        words = line.split()
        if len(words) < 10 or line.startswith("#") or words[9] != "good":
            continue
        try:
            rlap, redshift, error, phase = (float(words[n]) for n in (4, 5, 6, 7))
        except ValueError:
            raise BadTemplate(f"'{line.strip()[:60]}' is not a match") from None
        if rlap < _LEAST_RLAP:
            break
        main = next((name for name in _MAIN if words[2].startswith(name)), "")
        return SnidAnswer(
            subtype=words[2], template=words[1], rlap=rlap, redshift=redshift,
            redshift_error=error, phase_days=phase, fraction=fractions.get(main, float("nan")),
        )  # fmt: skip
    return SnidAnswer(why=f"no good match above rlap {_LEAST_RLAP:g}")


def _fractions(text: str) -> dict[str, float]:
    """Return the share of templates by type."""
    found = {}
    for line in text.partition(_FRACTIONS)[2].partition(_LISTING)[0].splitlines():
        words = line.split()
        if len(words) >= 3 and not line.startswith("#"):
            try:
                found[words[0]] = float(words[2])
            except ValueError:
                continue
    return found
