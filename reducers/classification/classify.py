"""Say what a transient is: type, redshift and phase from the templates it is most like."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from reducers.classification.correlation import LEAST_OVERLAP, Matches, TemplateSet, correlate
from reducers.classification.gate import gated, no_supernova, see
from reducers.classification.grid import centres
from reducers.classification.host_lines import HostRedshift, host_redshift
from reducers.classification.preparation import Prepared, prepare
from reducers.classification.verdict import Classification, Likeness, not_classified

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reducers.frame import Vector
    from reducers.spectrum import Spectrum

#: Worst quality number that is classified.
WORST_QUALITY = 2
#: A match below this is chance (Blondin & Tonry 2007, sect. 3.3).
LEAST_RLAP = 5.0
#: A type is sure when it holds this share of the votes.
SURE_FRACTION = 0.97
#: Fall of likeness over which a vote loses a factor e.
_FALL = 0.03
#: Matches vote that agree in redshift this well, at most so many objects.
_SAME_REDSHIFT, _VOTERS = 0.015, 10
#: How far from its host's lines a supernova may be found.
_NEAR_HOST = 0.01
#: Least errors, of the redshift and of the phase (days): two supernovae of one type differ.
_LEAST_ERROR, _LEAST_PHASE_ERROR = 0.0037, 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What may be chosen about a classification.

    Attributes
    ----------
    redshifts
        Lowest and highest that are tried.
    resolution_angstrom
        Full width at half maximum of an unresolved line.
    """

    redshifts: tuple[float, float] = (-0.005, 0.3)
    resolution_angstrom: float = 16.0


@dataclass(slots=True)
class _Votes:
    """The votes of objects, by class and by subtype."""

    classes: dict[str, float] = field(default_factory=dict)
    subtypes: dict[str, float] = field(default_factory=dict)


def class_of(subtype: str) -> str:
    """Return 'Ia', 'Ibc', 'IIb' or 'II'; of what is no supernova the word before the hyphen."""
    for start, name in (("Ia", "Ia"), ("Ib", "Ibc"), ("Ic", "Ibc"), ("IIb", "IIb"), ("II", "II")):
        if subtype.startswith(start):
            return name
    return subtype.partition("-")[0]


def classify(
    spectrum: Spectrum,
    templates: TemplateSet | None,
    quality: int = 0,
    settings: Settings | None = None,
) -> Classification:
    """Return what a spectrum shows, or why that cannot be said.

    Parameters
    ----------
    spectrum
        Of the transient, vacuum Angstrom.
    templates
        None where only stars, galaxies and active nuclei are told.
    quality
        Of the product; above 2 nothing is said.

    Notes
    -----
    Every object votes once, with its most similar spectrum among those that agree in redshift
    with the best ones. Lines of a host, where there are any, settle the redshift first. What
    lines of stars, galaxies or active nuclei explain better is no supernova (`gate`).
    """
    settings = settings or Settings()
    if quality > WORST_QUALITY:
        return not_classified(f"the spectrum has quality {quality}; only 0 to 2 are classified")
    if spectrum.in_pixels:
        return not_classified("no wavelengths are known")
    host = host_redshift(spectrum, settings.resolution_angstrom)
    prepared = prepare(spectrum)
    if prepared.length < LEAST_OVERLAP:
        return not_classified(_too_short(prepared), host)
    seen = see(spectrum, host, settings.resolution_angstrom)
    if seen is None:
        return not_classified("too few usable pixels hold light", host)
    if templates is None:
        return no_supernova(not_classified("no templates of supernovae were given", host), seen)
    near = (host.redshift - _NEAR_HOST, host.redshift + _NEAR_HOST)
    matches = correlate(prepared, templates, near if host.known else settings.redshifts)
    believed = matches.of(matches.rlap >= LEAST_RLAP)
    if believed.template.size == 0:
        best = float(matches.rlap.max()) if matches.template.size else 0.0
        why = f"no template is like it: best rlap {best:.1f}, {LEAST_RLAP:g} is needed"
        return no_supernova(not_classified(why, host), seen)
    found, own = _verdict(believed, templates, host)
    return gated(found, seen, own, templates)


def _too_short(prepared: Prepared) -> str:
    if prepared.stop <= prepared.start:
        return "no light above the noise"
    wave = centres()[[prepared.start, prepared.stop - 1]]
    return f"light above the noise only from {wave[0]:.0f} to {wave[1]:.0f} A, too short a range"


def _verdict(
    believed: Matches, templates: TemplateSet, host: HostRedshift
) -> tuple[Classification, Matches]:
    """Return the classification that the votes of believed matches give, and those of its class."""
    weights = np.exp((believed.likeness - believed.likeness[0]) / _FALL)
    agreeing = _agreeing(believed, weights)
    matches, weights = believed.of(agreeing), weights[agreeing]
    subtypes = np.array(templates.subtypes)[matches.template]
    classes = np.array([class_of(each) for each in subtypes])
    votes = _votes(matches, weights, templates)
    kind = max(votes.classes, key=lambda name: votes.classes[name])
    own = classes == kind
    within = {name: vote for name, vote in votes.subtypes.items() if class_of(name) == kind}
    subtype = max(within, key=lambda name: within[name])
    redshift, error = _mean(matches.redshift[own], weights[own], _LEAST_ERROR)
    phases = templates.phases_days[matches.template]
    dated = (subtypes == subtype) & np.isfinite(phases)
    phase, phase_error = _mean(phases[dated], weights[dated], _LEAST_PHASE_ERROR)
    total = sum(votes.classes.values())
    others = np.flatnonzero(~own)
    found = Classification(
        kind=kind,
        subtype=subtype,
        fractions={name: votes.classes[name] / total for name in _falling(votes.classes)},
        subtype_fraction=within[subtype] / sum(within.values()),
        redshift=host.redshift if host.known else redshift,
        redshift_error=host.error if host.known else error,
        phase_days=phase,
        phase_error_days=phase_error,
        best=_likeness(matches, int(np.flatnonzero(own)[0]), templates),
        second=_likeness(matches, int(others[0]), templates) if others.size else None,
        confident=votes.classes[kind] / total >= SURE_FRACTION,
        stripped=(votes.classes.get("Ibc", 0.0) + votes.classes.get("IIb", 0.0)) / total
        >= SURE_FRACTION,
        host=host,
    )
    return found, matches.of(own)


def _agreeing(matches: Matches, weights: Vector) -> NDArray[np.bool_]:
    """Return which matches share the redshift that the weightiest share."""
    tried = matches.redshift[:20]
    close = np.abs(matches.redshift - tried[:, None]) < _SAME_REDSHIFT
    return np.asarray(close[int((close * weights).sum(axis=1).argmax())])


def _votes(matches: Matches, weights: Vector, templates: TemplateSet) -> _Votes:
    """Return one vote for each of the most similar objects."""
    votes, seen = _Votes(), set[str]()
    for template, weight in zip(matches.template, weights, strict=True):
        name, subtype = templates.names[template], templates.subtypes[template]
        if name in seen:
            continue
        seen.add(name)
        votes.subtypes[subtype] = votes.subtypes.get(subtype, 0.0) + float(weight)
        kind = class_of(subtype)
        votes.classes[kind] = votes.classes.get(kind, 0.0) + float(weight)
        if len(seen) == _VOTERS:
            break
    return votes


def _mean(values: Vector, weights: Vector, least_error: float) -> tuple[float, float]:
    """Return weighted mean and scatter; NaN without values."""
    if values.size == 0:
        return float("nan"), float("nan")
    mean = float(np.average(values, weights=weights))
    scatter = float(np.sqrt(np.average((values - mean) ** 2, weights=weights)))
    return mean, max(scatter, least_error)


def _falling(votes: dict[str, float]) -> list[str]:
    return sorted(votes, key=lambda name: -votes[name])


def _likeness(matches: Matches, number: int, templates: TemplateSet) -> Likeness:
    template: Any = matches.template[number]
    return Likeness(
        name=templates.names[template],
        subtype=templates.subtypes[template],
        phase_days=float(templates.phases_days[template]),
        redshift=float(matches.redshift[number]),
        rlap=float(matches.rlap[number]),
    )
