"""Hold candidates against everything that speaks against them."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from reducers.quality import judge, load_limits
from reducers.transients.agreement import colour_of
from reducers.transients.candidate import Candidate, Standing
from reducers.transients.evidence import evidence_for
from reducers.transients.ranking import VETO_QUALITY, score_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reducers.transients.catalogue_depth import CatalogueDepth
    from reducers.transients.localisation import Localisation
    from reducers.transients.search_image import SearchImage
    from reducers.transients.witness import Witness

#: Measurement: a catalogue reaches as deep as the candidate.
_REACHED = "catalogues_reach"


def heard(
    candidates: Sequence[Candidate], image: SearchImage, witnesses: Sequence[Witness]
) -> list[Candidate]:
    """Return the candidates with what every witness knows of them: names and measurements."""
    told = list(candidates)
    for witness in witnesses:
        for index, said in enumerate(witness(tuple(told), image)):
            own = told[index]
            told[index] = replace(
                own,
                name=own.name or said.name,
                measurements={**own.measurements, **said.measurements},
            )
    return told


def vetted(
    candidate: Candidate,
    depths: Sequence[CatalogueDepth],
    localisations: Sequence[Localisation],
) -> Candidate:
    """Return a candidate with its class, its standing and why, and its score."""
    flags, quality = judge(candidate.measurements, load_limits("transients"))
    colour = colour_of(
        candidate.ra_deg, candidate.dec_deg, candidate.position_error_arcsec, localisations
    )
    shallow = not_deep_enough(candidate.magnitude, depths)
    told = {**candidate.measurements, _REACHED: float(not shallow)}
    coloured = replace(candidate, vetoes=flags, colour=colour, measurements=told)
    standing, reasons = _standing(coloured, quality, shallow, localisations)
    judged = replace(coloured, standing=standing, reasons=reasons)
    return replace(judged, score=score_of(judged, circles=bool(localisations)))


def held_against(candidate: Candidate, localisations: Sequence[Localisation]) -> Candidate:
    """Return a candidate that was vetted before with what circles of later make of it."""
    colour = colour_of(
        candidate.ra_deg, candidate.dec_deg, candidate.position_error_arcsec, localisations
    )
    seen = replace(candidate, colour=colour)
    if seen.standing is Standing.UNVETTED and seen.measurements.get(_REACHED, 0.0) > 0:
        standing, reasons = _standing(seen, 0, (), localisations)
        seen = replace(seen, standing=standing, reasons=reasons)
    return replace(seen, score=score_of(seen, circles=bool(localisations)))


def _standing(
    candidate: Candidate,
    quality: int,
    shallow: tuple[str, ...],
    localisations: Sequence[Localisation],
) -> tuple[Standing, tuple[str, ...]]:
    """Return what a candidate may be called, and the sentences that say why."""
    if candidate.name:
        return Standing.KNOWN, (f"It is {candidate.name}.",)
    if quality >= VETO_QUALITY:
        grave = (flag.sentence for flag in candidate.vetoes if flag.quality >= VETO_QUALITY)
        return Standing.VETOED, tuple(grave)
    found = evidence_for(candidate, shallow, localisations)
    if found.proof:
        return Standing.NEW, (found.proof,)
    return Standing.UNVETTED, found.lacking


def not_deep_enough(magnitude: float, depths: Sequence[CatalogueDepth]) -> tuple[str, ...]:
    """Return why catalogues cannot say that a source of a magnitude is new; empty if one can."""
    if not math.isfinite(magnitude):
        return ("Without a zero point nobody knows whether the catalogues reach so deep.",)
    if any(one.limit_mag >= magnitude for one in depths):
        return ()
    if not depths:
        return ("There is no catalogue of this field.",)
    said = [
        f"{one.why}." if one.why else
        f"{one.name} is complete here to {one.band} = {one.limit_mag:.1f} only, the source has "
        f"{magnitude:.1f}."
        for one in depths
    ]  # fmt: skip
    return tuple(text[:1].upper() + text[1:] for text in said)
