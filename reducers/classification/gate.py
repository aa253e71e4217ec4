"""Weigh a supernova against what else the spectrum may show."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from reducers.classification.flat_spectrum import Flat, flat_spectrum, share_of_template
from reducers.classification.grid import lag_of
from reducers.classification.nature import Nature, nature_of
from reducers.classification.stars import StarClass, star_class
from reducers.classification.verdict import Classification, not_classified

if TYPE_CHECKING:
    from reducers.classification.correlation import Matches, TemplateSet
    from reducers.classification.host_lines import HostRedshift
    from reducers.spectrum import Spectrum

# Chosen on every second object of a set of templates (S/N 6 to 40, 0 to 60 % of a host's light):
#: a supernova that is told explains at least this share of the structure,
LEAST_SHARE = 0.3
#: its features are at least this deep, of the template's own,
LEAST_DEPTH = 0.12
#: and nothing else explains more by this; as much is a doubt where it explains this share.
MARGIN, DOUBT_MARGIN, DOUBT_SHARE = 0.15, 0.1, 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A spectrum over its continuum, whole and without narrow lines, and what lines make of it."""

    calm: Flat
    nature: Nature
    star: StarClass | None


def see(spectrum: Spectrum, host: HostRedshift, resolution_angstrom: float) -> Seen | None:
    """Return what lines alone make of a spectrum; None where too little of it holds light."""
    flat = flat_spectrum(spectrum, resolution_angstrom)
    calm = flat_spectrum(spectrum, resolution_angstrom, cut_lines=True)
    if flat is None or calm is None:
        return None
    nature = nature_of(flat, calm, host)
    star = None
    if nature.kind == "star":
        star = star_class(flat, dict(nature.strengths), dict(nature.snr))
    return Seen(calm=calm, nature=nature, star=star)


def gated(
    found: Classification, seen: Seen, matches: Matches, templates: TemplateSet
) -> Classification:
    """Return a classification less what the lines speak against.

    Parameters
    ----------
    matches
        Those of the class that was found, the most alike first.

    Notes
    -----
    A star, galaxy or active nucleus that explains more of the structure takes the supernova's
    place. Where the supernova itself explains little, or its features are shallow, it stays a
    guess; where both are so, nothing is told.
    """
    number = int(matches.template[0])
    depth, share = share_of_template(
        seen.calm, templates.spectra[number].astype(float), lag_of(float(matches.redshift[0]))
    )
    nature = seen.nature
    if nature.kind and nature.share > share + MARGIN:
        return no_supernova(replace(found, share=share, depth=depth), seen)
    if depth < LEAST_DEPTH and (share < LEAST_SHARE or nature.featureless):
        why = "nothing stands out of the noise" if nature.featureless else _shallow(depth)
        return replace(not_classified(why, found.host), nature=nature, share=share, depth=depth)
    doubt = ""
    if nature.featureless:
        doubt = "nothing stands out of the noise"
    elif depth < LEAST_DEPTH:
        doubt = _shallow(depth)
    elif share < LEAST_SHARE:
        doubt = f"it explains only {share:.0%} of the structure"
    elif nature.kind and nature.share > max(share - DOUBT_MARGIN, DOUBT_SHARE):
        doubt = f"as well {nature.words}"
    return replace(
        found, nature=nature, star=seen.star, share=share, depth=depth, doubt=doubt,
        confident=found.confident and not doubt, stripped=found.stripped and not doubt,
    )  # fmt: skip


def _shallow(depth: float) -> str:
    return f"features are only {max(depth, 0):.0%} as deep as those of the likest template"


def no_supernova(found: Classification, seen: Seen) -> Classification:
    """Return what the lines alone say, with the supernova it would have been as a remark."""
    nature = seen.nature
    return replace(
        found, kind=nature.kind, subtype="", fractions={}, nature=nature, star=seen.star,
        redshift=nature.redshift, redshift_error=nature.redshift_error,
        phase_days=float("nan"), phase_error_days=float("nan"), confident=bool(nature.kind),
        stripped=False, reason="" if nature.kind else found.reason,
    )  # fmt: skip
