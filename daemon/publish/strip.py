"""The strip at the top of a page: what it is, how good it is and why, in words."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from daemon.publish.page import HEIGHT_PX, WIDTH_PX, known, plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from daemon.publish.page import Page
    from reducers.identity import Identity
    from reducers.quality import Flag

#: Colour of every quality, from good to unusable; the number stands beside it.
QUALITY_COLOURS = ("#1a7f37", "#2f8f2f", "#a66f00", "#c8501a", "#c01c28", "#8b1a8b")
QUALITY_WORDS = (
    "good",
    "good after recovery",
    "usable, with a warning",
    "target not in the data",
    "not usable",
    "identity not proven",
)
_LETTERS, _LINES = 158, 3


def write_strip(
    page: Page,
    *,
    name: str,
    badge: str,
    colour: str,
    about: Sequence[str],
    reasons: Sequence[str],
    right: str,
    aside: Sequence[str] = (),
) -> None:
    """Write name, verdict, circumstances, reasons and, on the right, what it was made with.

    Parameters
    ----------
    badge, colour
        The verdict in a few words, on this colour.
    about
        Circumstances, joined by dots.
    reasons
        Sentences; as many as fit on three lines.
    right
        Name of the frame.
    aside
        At most six short lines.
    """
    name = plain(name, 48) or "no name"
    size = min(19.0, 19.0 * 28 / len(name))
    page.write(16, HEIGHT_PX - 14, name, fontsize=size, weight="bold")
    box = {"facecolor": colour, "edgecolor": "none", "pad": 4}
    badge = f" {plain(badge, 44)} "
    page.write(570, HEIGHT_PX - 17, badge, fontsize=14, color="white", weight="bold", bbox=box)
    page.write(WIDTH_PX - 16, HEIGHT_PX - 14, plain(right, 40), fontsize=13, ha="right")
    page.write(16, HEIGHT_PX - 52, plain("  ·  ".join(about), _LETTERS), fontsize=9.5)
    lines = textwrap.wrap(plain(" · ".join(reasons), 1000), _LETTERS)
    if len(lines) > _LINES:
        lines = [*lines[: _LINES - 1], plain(lines[_LINES - 1] + " ...", _LETTERS - 4) + " …"]
    page.write(16, HEIGHT_PX - 73, "\n".join(lines), color=colour)
    notes = "\n".join(plain(line, 72) for line in aside[:6])
    page.write(WIDTH_PX - 16, HEIGHT_PX - 42, notes, fontsize=8, ha="right")


@dataclass(frozen=True, slots=True)
class Verdict:
    """A quality as a strip shows it.

    Attributes
    ----------
    quality
        0 to 5, whatever was given.
    badge, colour
        In words, and on which colour.
    """

    quality: int
    badge: str
    colour: str

    @classmethod
    def of(cls, quality: int, whose: str = "") -> Verdict:
        """Return the words and the colour of a quality."""
        shown = min(max(int(quality), 0), 5)
        badge = f"quality {shown}{whose}: {QUALITY_WORDS[shown]}"
        return cls(shown, badge, QUALITY_COLOURS[shown])


def flag_facts(flags: Iterable[Flag]) -> list[dict[str, Any]]:
    """Return flags as the facts beside a page tell them."""
    names = ("name", "bit", "quality", "value", "threshold", "sentence", "advice")
    return [{name: getattr(flag, name) for name in names} for flag in flags]


def circumstances(identity: Identity) -> list[str]:
    """Return when, how long, through what."""
    when = identity.observed_at
    setup = identity.setup
    return [
        "time unknown" if when is None else f"{when:%Y-%m-%d %H:%M:%S} UT",
        f"{identity.exposure_s:g} s",
        setup.grism or "no grism",
        setup.slit or "no slit",
        f"binning {setup.x_binning}x{setup.y_binning}",
        f"airmass {known(identity.airmass, '.2f')}",
    ]
