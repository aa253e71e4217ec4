"""Say what the target of a spectrum is: by the site's templates, by lines, and by SNID."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from daemon.work.external_snid import ask_snid
from reducers.classification.classify import WORST_QUALITY, classify
from reducers.classification.correlation import TemplateSet, template_set
from reducers.classification.lnw import load_templates
from reducers.classification.verdict import Classification, not_classified
from reducers.errors import BadTemplate
from reducers.identity import FrameKind

if TYPE_CHECKING:
    from pathlib import Path

    from daemon.work.bench import Bench
    from reducers.reduced import ReducedSpectrum
    from reducers.spectrum import Spectrum

log = logging.getLogger(__name__)


def classified(bench: Bench, kind: FrameKind, reduced: ReducedSpectrum) -> ReducedSpectrum:
    """Return the reduction with what its target is; unchanged without templates.

    Targets of science are compared with everything; of a standard only a star's class is told.
    """
    target = reduced.objects[0].spectrum
    if kind is FrameKind.SPEC_OBJECT:
        found = classification_of(bench, target, reduced.quality)
    elif kind is FrameKind.SPEC_STD and bench.config.classification.templates is not None:
        found = _of_standard(target, reduced.quality)
    else:
        found = None
    if found is None:
        return reduced
    measurements = {**reduced.measurements, **class_measurements(found)}
    return replace(reduced, classification=found, measurements=measurements)


def classification_of(bench: Bench, spectrum: Spectrum, quality: int) -> Classification | None:
    """Return what a spectrum of a target shows; None where no templates are configured.

    Templates that cannot be read are a reason to tell no supernova, never a failure.
    """
    chosen = bench.config.classification
    if chosen.templates is None:
        return None
    try:
        templates = _templates(chosen.templates, _stamp(chosen.templates))
    except (BadTemplate, OSError) as error:
        log.warning("no supernova is classified: %s", error)
        return not_classified(str(error))
    found = classify(spectrum, templates, quality)
    if quality > WORST_QUALITY or spectrum.in_pixels:
        return found
    external = ask_snid(spectrum, chosen.snid, chosen.templates, chosen.snid_deadline_s)
    return replace(found, external=external)


def class_measurements(found: Classification) -> dict[str, float]:
    """Return the numbers of a classification by name; what is unknown is left out."""
    measured = {
        "class_redshift": found.redshift,
        "class_redshift_error": found.redshift_error,
        "class_phase_days": found.phase_days,
        "class_votes": found.fractions.get(found.kind, math.nan),
        "class_rlap": found.best.rlap if found.best is not None else math.nan,
        "class_share": found.share,
        "class_sure": float(found.confident and found.is_supernova),
    }
    return {name: value for name, value in measured.items() if math.isfinite(value)}


def _of_standard(spectrum: Spectrum, quality: int) -> Classification:
    found = classify(spectrum, None, quality)
    if found.kind == "star" or not found.reason.startswith("no templates"):
        return found
    return not_classified("no star's lines are seen in the standard")


def _stamp(folder: Path) -> tuple[int, int]:
    """Return what changes when a template is added or replaced."""
    times = [path.stat().st_mtime_ns for path in folder.glob("*.lnw")]
    return len(times), max(times, default=0)


@lru_cache(maxsize=1)
def _templates(folder: Path, stamp: tuple[int, int]) -> TemplateSet:
    """Return the templates of a folder, read once while `stamp` stays the same."""
    found, refused = load_templates(folder)
    for sentence in refused:
        log.warning("left out of %d templates: %s", stamp[0], sentence)
    return template_set(found)
