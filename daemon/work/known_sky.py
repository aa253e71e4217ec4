"""What moves and varies in the sky of this configuration."""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from calibration_store.catalogues.tiles import TileStore
from calibration_store.minor_planets.collection import MinorPlanets
from calibration_store.variables.collection import VariableStars
from reducers.julian_date import mjd_of
from reducers.profiles import load_instrument
from reducers.transients.known_matches import FAST_MAS, FastStars
from reducers.transients.known_sky import KnownSky
from reducers.transients.solar_system import Observer

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from calibration_store.catalogues.sky import Cone
    from daemon.config import Config
    from reducers.instrument import Instrument


log = logging.getLogger(__name__)

#: Bodies fainter than any image of this telescope shows.
_FAINTEST = 24.5


def minor_planets(config: Config) -> MinorPlanets:
    """Return the orbits on disc; nothing is read yet."""
    return MinorPlanets(config.catalogue_folder / "minor_planets")


def variable_stars(config: Config) -> VariableStars:
    """Return the variables on disc; nothing is read yet."""
    return VariableStars(config.catalogue_folder / "variables")


def observer_of(instrument: Instrument) -> Observer:
    """Return where the telescope of an instrument stands."""
    return Observer(longitude_deg=instrument.longitude_deg, latitude_deg=instrument.latitude_deg)


def fast_stars(tiles: TileStore, name: str, cone: Cone, pad_deg: float = 1 / 60) -> FastStars:
    """Return the stars of a catalogue on disc that move fast, in a cone and around it."""
    rows = tiles.read(name, cone, pad_deg=pad_deg).rows
    motion = np.hypot(rows["motion_ra"], rows["motion_dec"])
    rows = rows[np.isfinite(motion) & (motion >= FAST_MAS)]
    holding = tiles.holding(name)
    band = holding.bands[0] if holding and holding.bands else ""
    return FastStars(
        ra_deg=rows["ra"],
        dec_deg=rows["dec"],
        epoch_year=rows["epoch"].astype(float),
        motion_ra_mas=rows["motion_ra"].astype(float),
        motion_dec_mas=rows["motion_dec"].astype(float),
        motion_error_mas=rows["motion_error"].astype(float),
        magnitude=rows[band].astype(float) if band else np.full(len(rows), np.nan),
    )


def known_sky(
    config: Config, field: Cone, middle: datetime, observer: Observer, name: str
) -> KnownSky:
    """Return what the lists on disc have of a field at a time; nothing where they are damaged.

    Parameters
    ----------
    name : str
        Of the image, for the log.
    """
    folder = config.catalogue_folder
    at = (field.ra_deg, field.dec_deg, field.radius_deg)
    planets, variables = _lists(folder)
    try:
        return KnownSky(
            planets=planets.in_field(*at, mjd_of(middle), observer, _FAINTEST),
            variables=variables.in_field(*at),
            fast=fast_stars(TileStore(folder), "gaia", field),
        )
    except (OSError, ValueError):
        log.exception("%s is searched without minor planets and variables", name)
        return KnownSky()


@lru_cache(maxsize=2)
def _lists(folder: Path) -> tuple[MinorPlanets, VariableStars]:
    """Return the lists on disc; a night of minor planets stays in the memory of a worker."""
    return MinorPlanets(folder / "minor_planets"), VariableStars(folder / "variables")


def observer_of_config(config: Config) -> Observer:
    """Return where the telescope of the first profile that is configured stands."""
    return observer_of(load_instrument(config.instrument.profiles[0]))


def known_in_field(config: Config, cone: Cone, when: datetime, faintest: float) -> list[str]:
    """Return lines that say what moves and varies in a field."""
    observer = observer_of_config(config)
    field = (cone.ra_deg, cone.dec_deg, cone.radius_deg)
    planets = minor_planets(config).in_field(*field, mjd_of(when), observer, faintest)
    variables = variable_stars(config).in_field(*field)
    lines = [f"{when:%Y-%m-%d %H:%M} UT, {cone.radius_deg:.3f} degrees about "
             f"{cone.ra_deg:.4f} {cone.dec_deg:+.4f}"]  # fmt: skip
    if planets is None:
        lines.append("no orbits are on disc: alfoscd catalogues minor-planets MPCORB.DAT")
    else:
        inside = np.flatnonzero(cone.margin_deg(planets.ra_deg, planets.dec_deg) >= 0)
        inside = inside[~(planets.magnitude[inside] > faintest)]
        lines.append(f"minor planets and comets to V = {faintest:.1f}: {len(inside)}")
        lines += [
            f"  {planets.orbits['name'][n].decode('ascii', 'replace'):<28} "
            f"{planets.ra_deg[n]:10.5f} {planets.dec_deg[n]:+10.5f}  "
            f"V {planets.magnitude[n]:5.1f}  {planets.motion_arcsec_h[n]:7.1f} arcsec/h  "
            f"+-{planets.sigma_along_arcsec[n]:.1f} arcsec"
            for n in inside[np.argsort(planets.magnitude[inside])]
        ]
    if variables is None:
        return [*lines, "no variables are on disc: alfoscd catalogues variables vsx.dat"]
    lines.append(f"known variables: {len(variables.name)}")
    lines += [
        f"  {variables.name[n].decode('ascii', 'replace'):<30} {variables.ra_deg[n]:10.5f} "
        f"{variables.dec_deg[n]:+10.5f}  {variables.brightest[n]:5.1f} to "
        f"{variables.faintest[n]:5.1f}  {variables.type[n].decode('ascii', 'replace')}"
        for n in range(len(variables.name))
    ]
    return lines
