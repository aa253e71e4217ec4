"""Which lamps really shone: an arc is identified with what burnt, not with what the header says."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

from reducers.errors import PoorWavelengthFit
from reducers.spectroscopy.arcs import IdentifiedArc, identify_arc
from reducers.spectroscopy.lines import LAMP_IONS, lines_of_lamps

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from reducers.instrument import ArcLine, Grism

#: Lines (and correlation) with which an arc is called that of another lamp.
SURE_LINES = 10
SURE_CORRELATION = 0.6
#: With fewer lamps than the header names, the rest must explain nearly every strong peak or fit
#: this well (px): lines of a lamp that is thought dark would pull them further.
ALL_EXPLAINED = 0.85
SHARP_RMS_PX = 0.05


def identify_lamps(
    counts: NDArray[np.float64],
    usable: NDArray[np.bool_],
    detector_y: NDArray[np.float64],
    grism: Grism,
    lines: Sequence[ArcLine],
    lamps: Sequence[str],
    *,
    slit_offset_px: float = 0.0,
) -> IdentifiedArc:
    """Return the identified arc of the lit `lamps`, or of those of them that gave light.

    A lamp may need a minute to warm up, so every smaller set of the header's lamps is tried too.

    Raises
    ------
    PoorWavelengthFit
        If none of them fits; when the lines of another lamp do, the sentence names it.
    """

    def identify(chosen: Sequence[str]) -> IdentifiedArc:
        listed = lines_of_lamps(lines, chosen)
        return identify_arc(
            counts, usable, detector_y, grism, listed, slit_offset_px=slit_offset_px
        )

    refusal: PoorWavelengthFit | None = None
    for chosen in _subsets(lamps):
        try:
            arc = identify(chosen)
        except PoorWavelengthFit as poor:
            refusal = refusal or poor
            continue
        if len(chosen) == len(lamps) or arc.explained >= ALL_EXPLAINED:
            return arc
        if arc.rms_px < SHARP_RMS_PX:
            return arc
    other = _other_lamp(identify, lamps)
    if other:
        raise PoorWavelengthFit(
            f"wrong lamp: the header says {'+'.join(lamps)}, the light is that of {other}. "
            "Take the arc again or correct the lamp in the header"
        )
    raise refusal or PoorWavelengthFit("no lamp is known to be lit")


def _subsets(lamps: Sequence[str]) -> list[tuple[str, ...]]:
    """Return `lamps` and every smaller set of them, the largest first."""
    if any(lamp not in LAMP_IONS for lamp in lamps):
        return [tuple(lamps)]
    sizes = range(len(lamps), 0, -1)
    return [chosen for size in sizes for chosen in combinations(lamps, size)] or [()]


def _other_lamp(identify: Any, lamps: Sequence[str]) -> str:
    """Return the lamp that the header does not name but the lines do, or ''."""
    lit = {ion for lamp in lamps for ion in LAMP_IONS.get(lamp, ())}
    for lamp, ions in LAMP_IONS.items():
        if not lamps or lit.issuperset(ions):
            continue
        try:
            arc = identify((lamp,))
        except PoorWavelengthFit:
            continue
        if arc.used.sum() >= SURE_LINES and arc.correlation >= SURE_CORRELATION:
            return lamp
    return ""
