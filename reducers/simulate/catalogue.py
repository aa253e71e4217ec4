"""What surveys made of the simulated sky: catalogues with errors, gaps and limits of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import ndtri

from reducers.simulate.sky import CATALOGUE_EPOCH, distance_deg, galaxies_near, stars_near

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reducers.simulate.records import PlannedExposure
    from reducers.simulate.sky import Sky


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """How one survey sees.

    Attributes
    ----------
    epoch_year
        Julian year of its positions.
    bands : mapping of str to (str, float)
        Its band -> band of the sky, and the magnitude where its error is 0.1.
    floor_mag
        Error of its brightest stars.
    position_floor_mas
        Error of the positions of bright stars, per axis.
    motions
        Whether it gives proper motions.
    galaxies
        Whether it lists extended sources.
    saturates_mag
        Brighter stars are missing.
    missing
        Part of the stars that it lost for no reason.
    salt
        Seeds its errors.
    """

    epoch_year: float
    bands: Mapping[str, tuple[str, float]]
    floor_mag: float
    position_floor_mas: float
    salt: int
    motions: bool = False
    galaxies: bool = False
    saturates_mag: float = 0.0
    missing: float = 0.015


SURVEYS: Mapping[str, Survey] = {
    "gaia": Survey(
        epoch_year=CATALOGUE_EPOCH,
        bands={"G": ("G", 22.5), "BP": ("BP", 20.5), "RP": ("RP", 20.3)},
        floor_mag=0.003,
        position_floor_mas=0.05,
        salt=1,
        motions=True,
        saturates_mag=3.0,
    ),
    "ps1": Survey(
        epoch_year=2012.5,
        bands={
            "g": ("g_PS1", 22.2), "r": ("r_PS1", 22.0), "i": ("i_PS1", 21.8),
            "z": ("z_PS1", 21.1), "y": ("y_PS1", 20.0),
        },
        floor_mag=0.005,
        position_floor_mas=5.0,
        salt=2,
        galaxies=True,
        saturates_mag=13.5,
    ),
    "sdss": Survey(
        epoch_year=2004.0,
        bands={
            "u": ("u_SDSS", 21.5), "g": ("g_SDSS", 22.2), "r": ("r_SDSS", 22.0),
            "i": ("i_SDSS", 21.5), "z": ("z_SDSS", 20.3),
        },
        floor_mag=0.010,
        position_floor_mas=20.0,
        salt=3,
        galaxies=True,
        saturates_mag=14.0,
    ),
}  # fmt: skip

#: Beyond this error of a magnitude a source is not seen in the band.
FAINTEST_ERROR_MAG = 0.2
GAIA_LIMIT_MAG = 20.9
#: Around a field: the half diagonal of a full frame is 0.09 degrees.
CONE_DEG = 0.24


def survey_catalogue(
    name: str, sky: Sky, ra_deg: float, dec_deg: float, radius_deg: float
) -> dict[str, Any]:
    """Return what a survey lists in a cone, as columns.

    Parameters
    ----------
    name
        'gaia', 'ps1' or 'sdss'.

    Returns
    -------
    dict of str to (n,) array
        'number' (that of the sky, for tests), 'ra_deg', 'dec_deg' at 'epoch_year',
        'position_error_mas', 'star', magnitudes by band and '<band>_error', NaN where not
        seen; Gaia also 'motion_ra_mas', 'motion_dec_mas' and 'motion_error_mas'. The same
        star has the same errors whatever the cone.
    """
    survey = SURVEYS[name]
    stars = stars_near(sky, ra_deg, dec_deg, radius_deg)
    ra, dec = stars.at(survey.epoch_year)
    table = {
        "number": stars.number,
        "ra_deg": ra,
        "dec_deg": dec,
        "star": np.ones(len(stars)),
        "_motion_ra": stars.motion_ra_mas,
        "_motion_dec": stars.motion_dec_mas,
    }
    true = dict(stars.magnitudes)
    if survey.galaxies:
        discs = galaxies_near(sky, ra_deg, dec_deg, radius_deg)
        more = {
            "number": discs.number,
            "ra_deg": discs.ra_deg,
            "dec_deg": discs.dec_deg,
            "star": np.zeros(len(discs)),
            "_motion_ra": np.zeros(len(discs)),
            "_motion_dec": np.zeros(len(discs)),
        }
        table = {key: np.append(value, more[key]) for key, value in table.items()}
        true = {band: np.append(true[band], discs.magnitudes[band]) for band in true}
    columns = _measured(survey, table, true)
    return {key: value[_listed(name, columns)] for key, value in columns.items()}


def cones_of(plan: Sequence[PlannedExposure]) -> tuple[tuple[Sky, float, float, float], ...]:
    """Return (sky, ra, dec, radius; degrees) of the fields that a plan looks at, each once.

    The radius reaches five arcminutes beyond a full frame, wherever the header points.
    """
    fields: list[tuple[Sky, float, float, float]] = []
    for planned in plan:
        scene = planned.scene
        if scene is None or planned.ra_deg is None or planned.dec_deg is None:
            continue
        if planned.kind == "IMG_FLAT":
            continue
        known = [distance_deg(ra, dec, planned.ra_deg, planned.dec_deg) for _, ra, dec, _ in fields]
        if not any(distance < CONE_DEG / 4 for distance in known):
            fields.append((scene.sky, planned.ra_deg, planned.dec_deg, CONE_DEG))
    return tuple(fields)


def _measured(survey: Survey, table: Mapping[str, Any], true: Mapping[str, Any]) -> dict[str, Any]:
    number = table["number"]
    mags: dict[str, Any] = {}
    for nth, (band, (of_sky, tenth)) in enumerate(survey.bands.items()):
        error = np.hypot(survey.floor_mag, 0.1 * 10 ** (0.4 * (true[of_sky] - tenth)))
        seen = true[of_sky] + error * _normal(number, 10 * survey.salt + nth)
        lost = (error > FAINTEST_ERROR_MAG) | (true[of_sky] < survey.saturates_mag)
        mags[band] = np.where(lost, np.nan, seen)
        mags[f"{band}_error"] = np.where(lost, np.nan, error)
    first, tenth = next(iter(survey.bands.values()))
    # Photon noise of a centroid grows as that of the flux.
    photon = 400.0 if not survey.motions else 25.0
    faint = 0.1 * 10 ** (0.4 * (true[first] - tenth))
    error_mas = np.hypot(survey.position_floor_mas, photon * faint)
    east = error_mas * _normal(number, 10 * survey.salt + 7) / 3.6e6
    north = error_mas * _normal(number, 10 * survey.salt + 8) / 3.6e6
    columns = {
        "number": number,
        "ra_deg": (table["ra_deg"] + east / np.cos(np.radians(table["dec_deg"]))) % 360,
        "dec_deg": table["dec_deg"] + north,
        "epoch_year": np.full(len(number), survey.epoch_year),
        "position_error_mas": error_mas,
        "star": table["star"],
    }
    if survey.motions:
        # Some entries have a position only.
        unknown = _uniform(number, 10 * survey.salt + 9) < 0.03
        noise = [error_mas * _normal(number, 100 * survey.salt + axis) for axis in (0, 1)]
        columns["motion_ra_mas"] = np.where(unknown, np.nan, table["_motion_ra"] + noise[0])
        columns["motion_dec_mas"] = np.where(unknown, np.nan, table["_motion_dec"] + noise[1])
        columns["motion_error_mas"] = np.where(unknown, np.nan, error_mas)
    return columns | mags


def _listed(name: str, columns: Mapping[str, Any]) -> Any:
    survey = SURVEYS[name]
    chance = _uniform(columns["number"], 1000 + survey.salt)
    seen = np.sum([np.isfinite(columns[band]) for band in survey.bands], axis=0) > 0
    if name != "gaia":
        return np.flatnonzero(seen & (chance >= survey.missing))
    lost = np.where(columns["G"] > 20, 0.10, survey.missing)
    return np.flatnonzero((columns["G"] < GAIA_LIMIT_MAG) & (chance >= lost))


def _uniform(number: Any, salt: int) -> Any:
    """Return a number in (0, 1) for each star: always the same one (splitmix64, Steele 2014)."""
    with np.errstate(over="ignore"):
        z = number.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = z + np.uint64(salt) * np.uint64(0xD1B54A32D192ED03)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return ((z >> np.uint64(11)).astype(float) + 0.5) / 2**53


def _normal(number: Any, salt: int) -> Any:
    return ndtri(_uniform(number, salt + 5000))
