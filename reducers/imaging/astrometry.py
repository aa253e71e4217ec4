"""Place an image on the sky by the stars of a catalogue, or say why that cannot be done."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from reducers.imaging.few_stars import FEWEST_PAIRS, FewStars, place_by_few
from reducers.imaging.ladder import Rung, attempts, largest_turn_deg
from reducers.imaging.match_odds import chance_matches, log_chance, log_trials
from reducers.imaging.refine import FEWEST, Solution
from reducers.imaging.sip import as_tan_sip
from reducers.imaging.sky_map import Astrometry, SkyMap
from reducers.imaging.star_field import StarField, on_guess, star_field
from reducers.imaging.tangent_plane import onto_plane

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reducers.imaging.references import ReferenceCatalogue, References
    from reducers.imaging.sources import Detections
    from reducers.instrument import Instrument

#: A match is believed when chance would give it in fewer than one of e^14 (a million) images,
_LOG_ODDS = 14.0
#: one of a few stars when all other places together are less likely by this (ln),
_LOG_ODDS_FEW = 9.0
#: when scale and shear are within this of the first guess,
_SCALE_TOLERANCE, _SHEAR_TOLERANCE = 0.01, 0.01
#: and when stars left out of the fit are found where it says (median, arcsec).
_LEFT_OUT_ARCSEC = 0.4
#: With fewer sources than this the trouble is that there are few.
MANY = 12
#: The step that comes after the ladder's.
FEW = Rung("few", 95.0, 1.0, 1.0, 1.0, 0, 0, 0)
#: Points per axis at which the error of the map is taken.
_NODES = 11


def solve_astrometry(
    detections: Detections,
    place: SkyMap,
    references: References,
    instrument: Instrument,
    *,
    exposure_s: float = 60.0,
) -> Astrometry:
    """Return where the image lies on the sky.

    Parameters
    ----------
    detections
        Sources of the image, brightest first.
    place : SkyMap
        First guess for the same image, from `header_place`.
    references
        The astrometric catalogue is used, else the first photometric one that has enough stars;
        a few stars may also be placed by one of the others, which reach deeper.
    exposure_s : float
        Sets how far the air moves stars against each other.

    Returns
    -------
    Astrometry
        `solved` only where chance is excluded; otherwise the first guess and a sentence `why`.

    Notes
    -----
    Votes for the offset at a few rotations, then pairs and a fit with shrinking radius. Each
    further step of the ladder assumes less: offsets of 5 arcmin, any rotation and both parities,
    at last nothing but the scale (quadrilaterals). A match is accepted by the odds against chance
    (Poisson, times all the matches that the search can tell apart), by scale and shear, and by
    stars left out of the fit. Where fewer than six stars match, their places, brightness and the
    telescope's usual pointing are weighed together (`place_by_few`).
    """
    catalogues = _catalogues(references)
    if not catalogues:
        return _unsolved(place, _why_no_catalogue(references))
    if len(detections) < FEWEST_PAIRS:
        seen = f"{len(detections)} source{'s were' if len(detections) != 1 else ' was'}"
        return _unsolved(place, f"{seen} found on the image; {FEWEST_PAIRS} are needed.")
    first = star_field(detections, place, catalogues[0], instrument, exposure_s)
    if len(first.stars) < FEWEST_PAIRS:
        return _unsolved(
            place,
            f"The catalogue has {len(first.stars)} stars near the pointing; "
            f"{FEWEST_PAIRS} are needed.",
        )
    for rung, solution in attempts(first) if len(first.stars) >= FEWEST else ():
        odds = _log_odds(first, rung, solution)
        if odds >= _LOG_ODDS and _is_sound(solution):
            return replace(_solved(first, place, rung, solution, odds), catalogue=catalogues[0])
    likeliest: FewStars | None = None
    for one in catalogues:
        field = star_field(detections, place, one, instrument, exposure_s)
        few = place_by_few(field)
        if few is None:
            continue
        if few.log_odds >= _LOG_ODDS_FEW:  # scale and rotation are part of them
            found = _solved(field, place, FEW, few.solution, few.log_odds)
            return replace(found, catalogue=one)
        likeliest = few if likeliest is None or few.log_odds > likeliest.log_odds else likeliest
    return _unsolved(place, _why_unmatched(first, likeliest))


def _catalogues(references: References) -> list[ReferenceCatalogue]:
    """Return the catalogues to match, the one of positions first if it has enough stars."""
    known = [one for one in references.each if len(one) >= FEWEST_PAIRS]
    return sorted(known, key=lambda one: len(one) < FEWEST)


def _why_no_catalogue(references: References) -> str:
    first = references.astrometric
    if first is not None and first.covered > 0:
        return f"The catalogue {first.name} has {len(first)} stars here; {FEWEST_PAIRS} are needed."
    reason = f": {references.reasons[0]}" if references.reasons else "."
    return f"No catalogue of positions covers this field{reason}"


def _why_unmatched(field: StarField, few: FewStars | None) -> str:
    if few is not None and len(field.sources) < MANY and few.log_odds > 0:
        odds = f"{math.exp(min(few.log_odds, _LOG_ODDS_FEW)):.0f} to 1"
        return (
            f"{len(few.solution)} stars fit the catalogue at one place, but the odds that it is "
            f"the right one are only {odds}: too few were found."
        )
    return (
        f"{len(field.sources)} sources and {len(field.stars)} catalogue stars do not match, "
        "whatever offset up to 5 arcmin, rotation or parity is tried."
    )


def _log_odds(field: StarField, rung: Rung, solution: Solution) -> float:
    """Return ln of the odds that a rung would not find this match by chance."""
    stars = field.stars[_on_image(field, solution)]
    sources = solution.on_plane(field.sources)
    expected = chance_matches(stars, sources, len(solution), solution.radius, field.area)
    half, model = field.half_size, field.model
    turn = math.radians(min(180.0, largest_turn_deg(rung, field.tangent_deg[1])))
    shear, curved = 2 * _SHEAR_TOLERANCE * half, (half / model.radius) ** 2
    ranges = [2 * rung.reach, 2 * rung.reach, 2 * turn * half, 2 * _SCALE_TOLERANCE * half]
    ranges += [shear, shear, 4 * model.radial * curved, *(14 * [4 * model.other * curved])]
    return -log_chance(len(solution), expected) - log_trials(solution.radius, ranges, 2)


def _on_image(field: StarField, solution: Solution) -> NDArray[np.bool_]:
    """Tell which catalogue stars the solution puts on the image."""
    offset = solution.on_plane(np.zeros((1, 2)))
    linear = solution.plate.matrix @ solution.matrix
    return field.inside((field.stars - offset) @ np.linalg.inv(linear).T)


def _is_sound(solution: Solution) -> bool:
    """Tell whether scale, shear and stars left out of the fit agree with a real match."""
    scale, shear = _scale_and_shear(solution)
    return (
        abs(scale - 1) < _SCALE_TOLERANCE
        and shear < _SHEAR_TOLERANCE
        and _left_out_arcsec(solution) < _LEFT_OUT_ARCSEC
    )


def _scale_and_shear(solution: Solution) -> tuple[float, float]:
    m = solution.plate.matrix
    shear = math.hypot(m[0, 0] - m[1, 1], m[0, 1] + m[1, 0]) / 2
    return math.sqrt(abs(float(np.linalg.det(m)))), shear


def _left_out_arcsec(solution: Solution) -> float:
    """Return how far off (median) the fit puts a star that it did not know."""
    return float(np.median(np.hypot(*solution.left_out().T)))


def _solved(
    field: StarField, place: SkyMap, rung: Rung, solution: Solution, odds: float
) -> Astrometry:
    order = max(3, place.wcs.sip.a_order) if place.wcs.sip is not None else 3
    fitted = as_tan_sip(
        lambda x, y: solution.on_plane(on_guess(place, x, y)),
        field.tangent_deg,
        field.centre_px,
        field.shape,
        order,
    )
    error = solution.error_at(on_guess(place, *field.pixel_grid(_NODES)))
    rms = np.sqrt(np.mean(solution.residual**2, axis=0))
    return Astrometry(
        sky_map=fitted,
        solved=True,
        method=rung.method,
        matched=len(solution),
        ra_rms_mas=float(rms[0]) * 1000,
        dec_rms_mas=float(rms[1]) * 1000,
        systematic_mas=float(np.sqrt(np.mean(error**2))) * 1000,
        log_odds=odds,
        facts=_facts(field, place, solution, fitted, error),
    )


def _facts(
    field: StarField,
    place: SkyMap,
    solution: Solution,
    fitted: SkyMap,
    error: NDArray[np.float64],
) -> dict[str, float]:
    middle = (field.shape[1] - 1) / 2, (field.shape[0] - 1) / 2
    guess = [float(value) for value in place.sky(*middle)]
    away = np.hypot(*onto_plane(*fitted.sky(*middle), (guess[0], guess[1])))
    linear = solution.plate.matrix @ solution.matrix
    scale, shear = _scale_and_shear(solution)
    stars = int(np.count_nonzero(_on_image(field, solution)))
    return {
        "offset_arcsec": float(away),
        "rotation_deg": math.degrees(math.atan2(linear[1, 0], linear[0, 0])),
        "scale_ratio": scale,
        "shear": shear,
        "parity": -float(np.sign(np.linalg.det(fitted.wcs.pixel_scale_matrix))),
        "catalogue_stars": float(stars),
        "matched_fraction": len(solution) / max(1, min(stars, len(field.sources))),
        "left_out_mas": _left_out_arcsec(solution) * 1000,
        "error_excess": solution.excess,
        "worst_error_mas": float(error.max()) * 1000,
    }


def _unsolved(place: SkyMap, why: str) -> Astrometry:
    return Astrometry(sky_map=place, solved=False, method="header", why=why)
