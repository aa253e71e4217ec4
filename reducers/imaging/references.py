"""What catalogues know of a piece of sky, as the recipes take it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from reducers.frame import Vector


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceCatalogue:
    """The entries of one catalogue inside a cone, moved to the epoch of an exposure.

    Attributes
    ----------
    name, release : str
        'gaia' and 'DR3', 'ps1', 'sdss', 'skymapper', 'refcat2', '2mass'.
    retrieved : str
        Date (ISO) at which the entries left the service; '' where unknown.
    epoch_year : float
        Julian year of the positions.
    ra_deg, dec_deg : (n,) float64
        ICRS.
    position_error_mas : (n,) float64
        Per axis, that of the proper motion included.
    motion_known : (n,) bool
        Whether a proper motion was applied.
    motion_mas : (n,) float64
        Total proper motion per year; NaN where not known.
    star : (n,) float64
        1 a star, 0 extended, NaN not known.
    magnitudes, magnitude_errors : mapping of str to (n,) float64
        By the catalogue's own band ('G', 'BP', 'RP'; 'g', 'r', 'i', 'z'; ...), NaN where missing.
    covered : float
        Fraction of the cone that the catalogue covers; 0 with no entry means "not known", 1 with
        no entry means "empty sky".
    truncated : bool
        More entries exist than were given.
    limits : mapping of str to float
        Magnitude down to which a band is nearly complete.
    """

    name: str
    release: str = ""
    retrieved: str = ""
    epoch_year: float
    ra_deg: Vector
    dec_deg: Vector
    position_error_mas: Vector
    motion_known: NDArray[np.bool_]
    motion_mas: Vector
    star: Vector
    magnitudes: Mapping[str, Vector]
    magnitude_errors: Mapping[str, Vector]
    covered: float = 1.0
    truncated: bool = False
    limits: Mapping[str, float] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ra_deg)


@dataclass(frozen=True, slots=True, kw_only=True)
class References:
    """The catalogues that one image is compared with.

    Attributes
    ----------
    astrometric : ReferenceCatalogue or None
        Positions (Gaia); None where none could be had.
    photometric : tuple of ReferenceCatalogue
        Magnitudes, the preferred catalogue first; that of positions last, if it has any.
    reasons : tuple of str
        Why a catalogue is missing, partial or late, one sentence each.
    awaited : bool
        More may come: a field is missing on disc, not in the catalogues themselves.
    """

    astrometric: ReferenceCatalogue | None = None
    photometric: tuple[ReferenceCatalogue, ...] = ()
    reasons: tuple[str, ...] = ()
    awaited: bool = False

    @property
    def each(self) -> tuple[ReferenceCatalogue, ...]:
        """Every catalogue once, that of positions first."""
        known = (*([self.astrometric] if self.astrometric is not None else []), *self.photometric)
        return tuple({catalogue.name: catalogue for catalogue in known}.values())
