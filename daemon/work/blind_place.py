"""The last rung of the ladder: what no catalogue star places is shown to astrometry.net."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from daemon.work.blind_solver import BlindQuestion, BlindSolver, solve_blind
from daemon.work.calibrations import read_image_calibrations
from daemon.work.references import MARGIN_ARCSEC, references_for
from reducers.imaging.recipe import image_scale_arcsec
from reducers.imaging.second_place import (
    place_as_proposed,
    placed_anew,
    unconfirmed,
    with_astrometry,
)
from reducers.imaging.tangent_plane import onto_plane

if TYPE_CHECKING:
    from collections.abc import Sequence

    from calibration_store.policy import Selection
    from daemon.memory.records import FrameRecord
    from daemon.work.bench import Bench
    from reducers.imaging.reduced_image import ReducedImage
    from reducers.imaging.references import References
    from reducers.imaging.sky_map import SkyMap
    from reducers.reduced import Exposure

log = logging.getLogger(__name__)

#: Fewer sources say nothing to a tool that knows no position.
FEWEST = 8


def placed_blind(
    bench: Bench,
    frame: FrameRecord,
    exposure: Exposure,
    image: ReducedImage,
    selections: Sequence[Selection],
    references: References,
) -> tuple[ReducedImage, References]:
    """Return the image with the place that the blind solver found, and the catalogues used there.

    Its answer is a first guess which the catalogue's stars have to confirm. Where there is no
    catalogue it stands, as method 'blind', unconfirmed. Otherwise all stays as it was, and one
    line of the log says why.
    """
    if image.detections is None or len(image.detections) < FEWEST or _is_placed(image):
        return image, references
    settings = bench.config.image
    if not settings.blind_solver:
        return image, references
    solver = BlindSolver(
        program=settings.blind_solver,
        index=settings.blind_index,
        deadline_s=settings.blind_deadline_s,
    )
    if solver.path is None:
        _say_once(f"{solver.program} is not installed: images that no star places stay so")
        return image, references
    own, instrument = frame.identity, bench.instrument(frame.identity.instrument)
    question = BlindQuestion(
        detections=image.detections,
        shape=image.image.shape,
        scale_arcsec=image_scale_arcsec(image.image, instrument),
        near_deg=None if own.ra_deg is None or own.dec_deg is None else (own.ra_deg, own.dec_deg),
    )
    answer = solve_blind(question, references, solver)
    if answer.sky_map is None:
        log.info("%s is not placed by %s: %s", frame.stem, solver.program, answer.why)
        return image, references
    place = place_as_proposed(answer.sky_map, image, exposure, instrument)
    if place is None:
        log.info("%s: the map of %s has another scale", frame.stem, solver.program)
        return image, references
    known = _references_at(bench, frame, place, image.image.shape, references)
    given = read_image_calibrations(bench, selections, frame.identity.setup)
    anew = placed_anew(image, exposure, place, given, known, instrument)
    if anew.astrometry is not None and anew.astrometry.solved:
        return anew, known
    ra, dec = _middle(place, image.image.shape)
    said = f"{solver.program} puts the image at {ra:.4f} {dec:+.4f}"
    if anew.measurements["astrometry_failed"]:
        log.info("%s: %s, where no star confirms it", frame.stem, said)
        return image, references
    why = f"{said} by its own index files; no catalogue was at hand to confirm it."
    found = unconfirmed(place, "blind", why)
    return with_astrometry(image, found, exposure, given, known, instrument), known


def _is_placed(image: ReducedImage) -> bool:
    return image.astrometry is not None and image.astrometry.solved


def _middle(place: SkyMap, shape: tuple[int, int]) -> tuple[float, float]:
    ra, dec = place.sky((shape[1] - 1) / 2, (shape[0] - 1) / 2)
    return float(ra), float(dec)


def _references_at(
    bench: Bench,
    frame: FrameRecord,
    place: SkyMap,
    shape: tuple[int, int],
    references: References,
) -> References:
    """Return what catalogues know of the place; what is at hand where it reaches so far."""
    own, middle = frame.identity, _middle(place, shape)
    if own.ra_deg is not None and own.dec_deg is not None and references.astrometric is not None:
        away = np.hypot(*onto_plane(*middle, (own.ra_deg, own.dec_deg)))
        if away < MARGIN_ARCSEC:
            return references
    moved = replace(own, ra_deg=middle[0], dec_deg=middle[1])
    return references_for(bench, replace(frame, identity=moved))


@cache
def _say_once(sentence: str) -> None:
    log.info("%s", sentence)
