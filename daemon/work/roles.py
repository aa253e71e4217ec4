"""Which masters are made of which frames, and which of them a product asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reducers.identity import FrameKind
from reducers.instrument import SetRule, shows_fringes

if TYPE_CHECKING:
    from reducers.identity import Identity, Setup
    from reducers.instrument import Instrument

#: Which master is made of which frames.
ROLE_OF: dict[FrameKind, str] = {
    FrameKind.BIAS: "BIAS",
    FrameKind.SPEC_FLAT: "FLAT",
    FrameKind.ARC: "ARC",
    FrameKind.SPEC_STD: "RESPONSE",
    FrameKind.DARK: "DARK",
    FrameKind.IMG_FLAT: "SKY_FLAT",
    FrameKind.IMG_OBJECT: "FRINGE",
    FrameKind.SPEC_SKYFLAT: "ILLUMINATION",
}
#: A star flat is made of what calibrated images say of their stars: no frame alone asks for one.
KIND_OF: dict[str, FrameKind] = {role: kind for kind, role in ROLE_OF.items()} | {
    "STAR_FLAT": FrameKind.IMG_OBJECT
}
#: Which masters are applied to the frames of another.
NEEDS: dict[str, tuple[str, ...]] = {
    "BIAS": (),
    "FLAT": ("BIAS",),
    "ARC": ("BIAS",),
    "ILLUMINATION": ("BIAS", "FLAT"),
    "RESPONSE": ("BIAS", "FLAT", "ILLUMINATION", "ARC"),
    "SPECTRUM": ("BIAS", "FLAT", "ILLUMINATION", "ARC", "RESPONSE", "DARK"),
    "DARK": ("BIAS",),
    "SKY_FLAT": ("BIAS",),
    "FRINGE": ("BIAS", "SKY_FLAT"),
    "STAR_FLAT": ("SKY_FLAT",),
    "IMAGE": ("BIAS", "DARK", "SKY_FLAT", "STAR_FLAT", "FRINGE"),
}
#: Masters that most nights do without: nothing waits for one.
OPTIONAL = frozenset({"DARK", "ILLUMINATION", "STAR_FLAT"})
REDUCED = frozenset({FrameKind.SPEC_OBJECT, FrameKind.SPEC_STD})
#: Images that are calibrated, and those that are only shown at once.
IMAGED = frozenset({FrameKind.IMG_OBJECT, FrameKind.ACQUISITION})
SHOWN = IMAGED | {FrameKind.SLIT_IMAGE, FrameKind.FOCUS}
#: Every kind that has a product of its own.
MEASURED = REDUCED | IMAGED
#: For these calibrations are taken. An acquisition did its work at the telescope: nobody takes
#: biases of its window for it, and those of another window do not show its start-up columns.
PROVIDED_FOR = MEASURED - {FrameKind.ACQUISITION}
#: What their sets share where the profile does not say.
_SAME = {
    "DARK": ("detector",),
    "SKY_FLAT": ("detector", "filter"),
    "FRINGE": ("detector", "filter"),
}
#: The images of a filter may come all night: their stars are looked at when none did for a while.
STAR_FLAT_RULE = SetRule(
    kind=FrameKind.IMG_OBJECT,
    same=("detector", "filter"),
    at_least=3,
    closes_after_s=1800.0,
    within_days=30.0,
)
_DEFAULT_DAYS = {
    "BIAS": 30.0, "FLAT": 30.0, "ARC": 7.0, "RESPONSE": 90.0, "DARK": 90.0, "SKY_FLAT": 60.0,
    "FRINGE": 60.0, "ILLUMINATION": 30.0,
}  # fmt: skip


def role_of(identity: Identity, instrument: Instrument) -> str | None:
    """Return which master a frame helps to make; None where it makes none.

    Images show fringes only through some filters.
    """
    role = ROLE_OF.get(identity.kind)
    if role == "FRINGE" and not shows_fringes(identity.setup.filter, instrument):
        return None
    return role


def product_of(identity: Identity) -> str:
    """Return what is made of a frame on its own: 'SPECTRUM', 'IMAGE' or '' for nothing."""
    if identity.kind in REDUCED:
        return "SPECTRUM"
    return "IMAGE" if identity.kind in IMAGED else ""


def needs(product: str, setup: Setup, instrument: Instrument) -> tuple[str, ...]:
    """Return the roles of the masters that a product in this set-up asks for."""
    wanted = NEEDS[product]
    if shows_fringes(setup.filter, instrument):
        return wanted
    return tuple(role for role in wanted if role != "FRINGE")


def rule_of(role: str, instrument: Instrument) -> SetRule:
    """Return the set rule of a role; profiles may leave out those of single exposures."""
    kind = KIND_OF[role]
    if role == "STAR_FLAT":  # of the same frames as fringes, but through every filter
        return STAR_FLAT_RULE
    return instrument.sets.get(kind) or SetRule(
        kind=kind,
        same=_SAME.get(role, ("detector", "grism", "slit")),
        at_least=1,
        closes_after_s=0.0,
        within_days=_DEFAULT_DAYS[role],
    )
