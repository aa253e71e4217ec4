"""How fast the telescope moved towards a target: astropy, without asking the network."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from astropy import units as u
from astropy.coordinates import EarthLocation, SkyCoord
from astropy.time import Time

from reducers.earth_rotation import tables_at_hand

if TYPE_CHECKING:
    from reducers.identity import Identity
    from reducers.instrument import Instrument


def velocity_km_s(identity: Identity, instrument: Instrument) -> float | None:
    """Return the barycentric velocity towards the pointing at mid-exposure, km/s.

    It is what has to be added to a measured radial velocity; None where the header tells no
    position or time. Without newer tables of the Earth's rotation it is wrong by less than 1 m/s.
    """
    if identity.observed_at is None or identity.ra_deg is None or identity.dec_deg is None:
        return None
    middle = identity.observed_at + timedelta(seconds=identity.exposure_s / 2)
    place = EarthLocation.from_geodetic(
        instrument.longitude_deg * u.deg, instrument.latitude_deg * u.deg
    )
    target = SkyCoord(identity.ra_deg * u.deg, identity.dec_deg * u.deg)
    with tables_at_hand():
        found = target.radial_velocity_correction(
            "barycentric", obstime=Time(middle), location=place
        )
    return float(found.to_value(u.km / u.s))
