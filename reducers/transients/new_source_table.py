"""The list of new sources as text: the columns of PyNOT's `new_sources_*.txt`, and why."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from reducers.transients.candidate import Standing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reducers.transients.candidate import Candidate
    from reducers.transients.new_sources import NewSources
    from reducers.transients.search_image import SearchImage

#: Name, unit and form of every column; the first nine are PyNOT's, in its order.
_COLUMNS = (
    ("ra", "(deg)", "10.6f"),
    ("dec", "(deg)", "+10.6f"),
    ("mag_auto", "", "8.3f"),
    ("a", "(pix)", "6.2f"),
    ("b", "(pix)", "6.2f"),
    ("theta", "(rad)", "6.2f"),
    ("flux_auto", "(e-/s)", "10.4e"),
    ("flux_err_auto", "(e-/s)", "13.3e"),
    ("class", "", "5d"),
    ("standing", "", "8s"),
    ("score", "", "5.2f"),
    ("mag_err", "", "7.3f"),
    ("snr", "", "7.1f"),
    ("number", "", "6d"),
    ("reasons", "", "s"),
)


def new_sources_text(found: NewSources, image: SearchImage) -> str:
    """Return the text file of one search.

    Two lines of head, one line for each source with at least its first nine columns as PyNOT
    writes them, and behind `#` what else a person should know. `class` is 0 outside every
    circle, 1 in one of arcminutes (or where no circle was given), 2 in one of arcseconds.
    """
    exposure_s = image.exposure_s if image.exposure_s > 0 else 1.0
    units = {"mag_auto": f"({image.system or 'mag'})"}
    lines = [
        "  ".join(name.center(_width(form)) for name, _, form in _COLUMNS).rstrip(),
        "  ".join(
            units.get(name, unit).center(_width(form)) for name, unit, form in _COLUMNS
        ).rstrip(),
        *(_line(one, exposure_s) for one in told(found)),
    ]
    return "\n".join([*lines, *(f"# {text}" for text in in_words(found, image))]) + "\n"


def told(found: NewSources) -> tuple[Candidate, ...]:
    """Return the candidates that a list names: all but those of a suspicious frame."""
    return () if found.suspicious else found.candidates


def in_words(found: NewSources, image: SearchImage) -> list[str]:
    """Return what was looked for, how far, and what is to be known of it, as sentences."""
    if found.why:
        return [found.why, *found.warnings]
    limit = f"to {image.band} = {found.limit_mag:.1f}" if math.isfinite(found.limit_mag) else ""
    said = [
        f"{found.searched} sources {limit} looked up, {found.matched} of them known; "
        f"{counted(found.candidates)}.".replace("  ", " ")
    ]
    for depth in found.depths:
        if math.isfinite(depth.limit_mag):
            said.append(f"{depth.name} is complete here to {depth.band} = {depth.limit_mag:.1f}.")
        else:
            said.append(f"{depth.why[:1].upper()}{depth.why[1:]}.")
    return [*said, *found.warnings]


def counted(candidates: Sequence[Candidate]) -> str:
    """Return how many candidates have which standing, in words."""
    number = {each: sum(one.standing is each for one in candidates) for each in Standing}
    words = {
        Standing.NEW: "new",
        Standing.UNVETTED: "unvetted",
        Standing.KNOWN: "known otherwise",
        Standing.VETOED: "held back",
    }
    parts = [f"{number[each]} {words[each]}" for each in Standing if number[each]]
    return ", ".join(parts) or "none is new"


def _width(form: str) -> int:
    digits = form.strip("+sdfe").split(".")[0]
    return int(digits) if digits else 1


def _line(one: Candidate, exposure_s: float) -> str:
    values = {
        "ra": one.ra_deg,
        "dec": one.dec_deg,
        "mag_auto": one.magnitude,
        "a": one.a_px,
        "b": one.b_px,
        "theta": math.radians(one.theta_deg),
        "flux_auto": one.flux_auto / exposure_s,
        "flux_err_auto": one.flux_auto_error / exposure_s,
        "class": int(one.colour),
        "standing": one.standing.value,
        "score": one.score,
        "mag_err": one.magnitude_error,
        "snr": one.snr,
        "number": one.number,
        "reasons": reasons_of(one),
    }
    return "  ".join(format(values[name], form) for name, _, form in _COLUMNS)


def reasons_of(one: Candidate) -> str:
    """Return why a candidate has its standing: names of reasons, or what it is."""
    flags = ",".join(flag.name for flag in one.vetoes)
    name = one.name.replace(" ", "_")
    return ",".join(part for part in (name, flags) if part) or "-"
