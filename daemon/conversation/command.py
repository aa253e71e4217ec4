"""From what a person wrote below a product to a command, strictly, or a sentence why not."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from daemon.publish.words import clean

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

Verb = Literal["accept", "reject", "redo"]
VERBS: tuple[Verb, ...] = ("accept", "reject", "redo")
_LONGEST = 500
_NUMBER = re.compile(r"[0-9]{1,5}(\.[0-9]{1,4})?")
_SIGNED = re.compile(r"[+-][0-9]{1,5}(\.[0-9]{1,4})?")
_MOST_RANGES = 8


class NotUnderstood(Exception):
    """The words are no command; the message says what would be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What a person wants done with a product.

    Attributes
    ----------
    stem
        Exposure that is meant; '' when none was named.
    settings
        Settings of the reduction, by the names of `SpectrumSettings` or `ImageSettings`.
    centre_moves_px
        By how much the place of extraction moves from where it is; None to leave it.
    remark
        Why it is rejected, in the person's words.
    """

    verb: Verb
    stem: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    centre_moves_px: float | None = None
    remark: str = ""


def command_in(text: str, stems: Collection[str]) -> Command | None:
    """Return the command that a reply is; None for what people say to each other.

    Parameters
    ----------
    stems
        Exposures that the conversation is about.

    Raises
    ------
    NotUnderstood
        If it begins like a command and is none.
    """
    words = text.strip().split()
    first = words[0].casefold().rstrip(":,.!") if words else ""
    if first not in VERBS:
        return None
    if len(text) > _LONGEST:
        raise NotUnderstood(f"a command has at most {_LONGEST} characters")
    verb, rest = first, words[1:]
    stem = ""
    if rest and (named := _stem(rest[0], stems)):
        stem, rest = named, rest[1:]
    if verb == "reject":
        return Command(verb="reject", stem=stem, remark=clean(" ".join(rest), 200))
    if verb == "accept":
        if rest:
            raise NotUnderstood(
                f"'{clean(rest[0], 40)}' is no exposure of this thread: write `accept`, or "
                f"`accept {_example(stems)}`"
            )
        return Command(verb="accept", stem=stem)
    settings, moves_px = _settings(rest, stems)
    return Command(verb="redo", stem=stem, settings=settings, centre_moves_px=moves_px)


def _stem(word: str, stems: Collection[str]) -> str:
    same = [stem for stem in stems if stem.casefold() == word.casefold().rstrip(":,")]
    return same[0] if same else ""


def _settings(
    words: Collection[str], stems: Collection[str]
) -> tuple[dict[str, Any], float | None]:
    found: dict[str, Any] = {}
    moves_px: float | None = None
    wanted: Any
    for word in words:
        name, equals, value = word.partition("=")
        name = name.casefold()
        if not equals and name in _SWITCHES:
            setting, wanted = _SWITCHES[name]
        elif equals and name == "center" and _SIGNED.fullmatch(value):
            setting, wanted = "centroid_px", float(value)
            moves_px = wanted
        elif equals and name in _VALUES:
            setting, read = _VALUES[name]
            wanted = read(value)
            if wanted is None:
                raise NotUnderstood(f"{name}={clean(value, 40)}: write {_EXAMPLES[name]}")
        else:
            raise NotUnderstood(
                f"'{clean(word, 40)}' is not understood: `redo {_example(stems)}` takes "
                f"{', '.join(_EXAMPLES.values())}, {', '.join(_SWITCHES)}; "
                "the rest only `alfoscd redo` can do"
            )
        if setting in found:
            raise NotUnderstood(f"{name} is given twice")
        found[setting] = wanted
    if moves_px is not None:
        del found["centroid_px"]
    return found, moves_px


def _example(stems: Collection[str]) -> str:
    return next(iter(sorted(stems)), "STEM")


def _positive(text: str) -> float | None:
    value = float(text) if _NUMBER.fullmatch(text) else 0.0
    return value if value > 0 else None


def _column(text: str) -> float | None:
    return float(text) if _NUMBER.fullmatch(text) else None


def _range(text: str) -> tuple[float, float] | None:
    low, _, high = text.partition(":")
    if not (_NUMBER.fullmatch(low) and _NUMBER.fullmatch(high)):
        return None
    return (float(low), float(high)) if float(low) < float(high) else None


def _ranges(text: str) -> tuple[tuple[float, float], ...] | None:
    parts = text.split(",")
    found = tuple(each for part in parts if (each := _range(part)) is not None)
    return found if len(found) == len(parts) <= _MOST_RANGES else None


def _method(text: str) -> str | None:
    return text if text in ("optimal", "boxcar") else None


#: Word -> (setting, what reads its value; None for what it does not take).
_VALUES: dict[str, tuple[str, Callable[[str], Any]]] = {
    "center": ("centroid_px", _column),
    "aperture": ("aperture_px", _positive),
    "region": ("region_px", _range),
    "background": ("background_px", _ranges),
    "mask": ("mask_angstrom", _ranges),
    "method": ("method", _method),
    "seeing": ("seeing_arcsec", _positive),
    "cosmic-sigma": ("cosmic_sigma", _positive),
}
_SWITCHES: dict[str, tuple[str, bool]] = {
    "keep-cosmics": ("clean_cosmics", False),
    "skip-skysub": ("subtract_sky", False),
    "skip-flatten": ("divide_flat", False),
    "skip-cr": ("find_cosmics", False),
    "skip-gaia": ("use_catalogues", False),
}
_EXAMPLES = {
    "center": "center=145 or center=+12",
    "aperture": "aperture=8",
    "region": "region=90:120",
    "background": "background=90:120,180:210",
    "mask": "mask=5570:5585",
    "method": "method=boxcar",
    "seeing": "seeing=1.2",
    "cosmic-sigma": "cosmic-sigma=6",
}
