"""The filters as the simulated camera sees through them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Passband:
    """One filter.

    Attributes
    ----------
    header_name : str
        As the wheel writes it, double blanks included.
    number : int
        In the filter list of the NOT.
    wheel : str
        'AL' or 'FA'.
    band : str
        Band of `star_colours` that is nearest.
    zero_point : float
        Magnitude of that band (AB; Vega for UBVRI) that gives 1 e/s above the atmosphere.
    sky_mag : float
        Dark sky in a square arcsecond, same magnitudes.
    colour_term : float
        What the camera sees is band + colour_term (g - r - 0.6), g - r in SDSS.
    fringes : float
        Amplitude of the fringes, rms, as a part of the sky.
    """

    header_name: str
    number: int
    wheel: str
    band: str
    wavelength_angstrom: float
    zero_point: float
    sky_mag: float
    colour_term: float = 0.0
    fringes: float = 0.0


#: By the short names of the profile.
PASSBANDS: Mapping[str, Passband] = {
    "u_SDSS": Passband(
        header_name="u'_SDSS  353_55", number=109, wheel="FA", band="u_SDSS",
        wavelength_angstrom=3550, zero_point=23.9, sky_mag=22.3, colour_term=0.03,
    ),
    "g_SDSS": Passband(
        header_name="g'_SDSS  480_145", number=120, wheel="FA", band="g_SDSS",
        wavelength_angstrom=4770, zero_point=25.9, sky_mag=22.2, colour_term=-0.02,
    ),
    "r_SDSS": Passband(
        header_name="r'_SDSS  618_148", number=110, wheel="FA", band="r_SDSS",
        wavelength_angstrom=6180, zero_point=25.8, sky_mag=21.1, colour_term=0.015,
    ),
    "i_SDSS": Passband(
        header_name="i'_SDSS  771_171", number=111, wheel="FA", band="i_SDSS",
        wavelength_angstrom=7640, zero_point=25.5, sky_mag=20.3, colour_term=0.01, fringes=0.006,
    ),
    "z_SDSS": Passband(
        header_name="z'_SDSS  832_LP", number=112, wheel="FA", band="z_SDSS",
        wavelength_angstrom=9100, zero_point=24.6, sky_mag=19.0, colour_term=-0.02, fringes=0.02,
    ),
    "U": Passband(
        header_name="U_Bes 362_60", number=7, wheel="AL", band="U",
        wavelength_angstrom=3650, zero_point=23.9, sky_mag=22.0, colour_term=0.05,
    ),
    "B": Passband(
        header_name="B_Bes 440_100", number=74, wheel="AL", band="B",
        wavelength_angstrom=4400, zero_point=25.4, sky_mag=22.7, colour_term=-0.03,
    ),
    "V": Passband(
        header_name="V_Bes 530_80", number=75, wheel="AL", band="V",
        wavelength_angstrom=5400, zero_point=25.4, sky_mag=21.9, colour_term=0.01,
    ),
    "R": Passband(
        header_name="R_Bes 650_130", number=76, wheel="AL", band="R",
        wavelength_angstrom=6500, zero_point=25.7, sky_mag=21.0, colour_term=0.02,
    ),
    "i": Passband(
        header_name="i_int 797_157", number=12, wheel="AL", band="i_SDSS",
        wavelength_angstrom=7970, zero_point=25.2, sky_mag=20.0, colour_term=-0.03, fringes=0.008,
    ),
}  # fmt: skip


def passband_of(header_name: str) -> Passband:
    """Return the passband that a header's filter name means; r' where it means none."""
    plain = " ".join(header_name.split())
    for passband in PASSBANDS.values():
        if " ".join(passband.header_name.split()) == plain:
            return passband
    return PASSBANDS["r_SDSS"]


def filter_cards(header_name: str) -> dict[str, str | int]:
    """Return the header cards of the wheel that holds a filter."""
    passband = passband_of(header_name)
    wheel, slot = passband.wheel, 2 if passband.wheel == "AL" else 3
    return {
        f"{wheel}FLTNM": header_name,
        f"{wheel}FLTID": passband.number,
        f"{wheel}FLTPOS": slot,
    }
