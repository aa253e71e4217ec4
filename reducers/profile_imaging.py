"""The `[imaging]` table of a profile: how the detector lies on the sky."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from reducers.errors import ProfileError


@dataclass(frozen=True, slots=True, kw_only=True)
class Distortion:
    """What is known of the camera's distortion, and how far it may be off.

    Attributes
    ----------
    x_terms, y_terms : mapping of str to float
        SIP coefficients: "30" multiplies u^3 v^0, with u, v in detector pixels (unbinned) from
        the optical centre. Empty where no frame has measured them.
    radial_px : float
        How far (one sigma) an unknown cubic radial term may move a star at the detector's corner.
    other_px : float
        The same for every other quadratic or cubic term.
    """

    x_terms: Mapping[str, float] = field(default_factory=dict)
    y_terms: Mapping[str, float] = field(default_factory=dict)
    radial_px: float = 5.0
    other_px: float = 0.3

    def __post_init__(self) -> None:
        for name in (*self.x_terms, *self.y_terms):
            if len(name) != 2 or not name.isdigit() or not 2 <= int(name[0]) + int(name[1]) <= 5:
                raise ProfileError(
                    f"imaging distortion has no term {name!r}; '30' stands for u^3 v^0"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class Imaging:
    """How images lie on the sky where the header has no usable map of its own.

    Attributes
    ----------
    centre_px : tuple of float
        Where the pointing falls, and the optical axis; detector x, y (unbinned, 0-based).
    field_direction_deg : float
        Direction on the detector, counter-clockwise from +x, that has the position angle which
        the header calls `field`.
    parity : int
        1 where position angles grow counter-clockwise (north up, east left), -1 where mirrored,
        0 where nobody measured it: then both are tried.
    pointing_arcsec : float
        How far the telescope usually points from where the header says: half of all images lie
        within 1.7 times that.
    """

    centre_px: tuple[float, float]
    field_direction_deg: float
    parity: int
    pointing_arcsec: float = 20.0
    distortion: Distortion = field(default_factory=Distortion)

    def __post_init__(self) -> None:
        if self.parity not in (-1, 0, 1):
            raise ProfileError(f"imaging parity is {self.parity}, not -1, 0 or 1")
        if not self.pointing_arcsec > 0:
            raise ProfileError(f"imaging pointing_arcsec is {self.pointing_arcsec}, not above 0")
