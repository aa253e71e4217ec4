"""Compare the target of a reduced spectrum with the site's templates."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from reducers.classification.classify import classify
from reducers.classification.correlation import TemplateSet, template_set
from reducers.classification.lnw import load_templates
from reducers.classification.verdict import Classification, not_classified
from reducers.errors import BadTemplate
from reducers.identity import FrameKind

if TYPE_CHECKING:
    from pathlib import Path

    from daemon.work.bench import Bench
    from reducers.reduced import ReducedSpectrum

log = logging.getLogger(__name__)


def classified(bench: Bench, kind: FrameKind, reduced: ReducedSpectrum) -> ReducedSpectrum:
    """Return the reduction with what its target is; unchanged without templates.

    Only targets of science are asked about. Templates that cannot be read are a reason not to
    classify, never a failure of the reduction.
    """
    folder = bench.config.classification.templates
    if folder is None or kind is not FrameKind.SPEC_OBJECT:
        return reduced
    try:
        templates = _templates(folder, _stamp(folder))
    except (BadTemplate, OSError) as error:
        log.warning("nothing is classified: %s", error)
        return replace(reduced, classification=not_classified(str(error)))
    found = classify(reduced.objects[0].spectrum, templates, reduced.quality)
    measurements = {**reduced.measurements, **_measurements(found)}
    return replace(reduced, classification=found, measurements=measurements)


def _measurements(found: Classification) -> dict[str, float]:
    measured = {
        "class_redshift": found.redshift,
        "class_redshift_error": found.redshift_error,
        "class_phase_days": found.phase_days,
        "class_votes": found.fractions.get(found.kind, math.nan),
        "class_rlap": found.best.rlap if found.best is not None else math.nan,
        "class_sure": float(found.confident),
    }
    return {name: value for name, value in measured.items() if math.isfinite(value)}


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
