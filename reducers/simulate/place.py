"""Where the sky falls on the detector: gnomonic projection and the camera's distortion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The true place of one exposure on the sky.

    Attributes
    ----------
    ra_deg, dec_deg
        ICRS of the detector's middle, `x_px`, `y_px` (unbinned, 0-based).
    rotation_deg
        North stands so far clockwise from detector +y; east is to the left of north.
    cubic, quadratic
        Distortion: 2 px in the corners of the frame.
    """

    ra_deg: float
    dec_deg: float
    rotation_deg: float = 0.0
    scale_arcsec: float = 0.2138
    x_px: float = 1049.0
    y_px: float = 1049.0
    cubic: float = 2 / 1450**3
    quadratic: float = 2e-8

    def pixels(self, ra_deg: Any, dec_deg: Any) -> tuple[Any, Any]:
        """Return unbinned 0-based detector x, y of sky positions."""
        ra, dec = np.radians(np.asarray(ra_deg, float) - self.ra_deg), np.radians(dec_deg)
        dec0, scale = np.radians(self.dec_deg), np.radians(self.scale_arcsec / 3600)
        depth = np.sin(dec0) * np.sin(dec) + np.cos(dec0) * np.cos(dec) * np.cos(ra)
        east = np.cos(dec) * np.sin(ra) / depth / scale
        north = np.cos(dec0) * np.sin(dec) - np.sin(dec0) * np.cos(dec) * np.cos(ra)
        north = north / depth / scale
        turn = np.radians(self.rotation_deg)
        flat_x = -np.cos(turn) * east + np.sin(turn) * north
        flat_y = np.sin(turn) * east + np.cos(turn) * north
        x, y = flat_x, flat_y
        for _ in range(6):
            bent_x, bent_y = self._bent(x, y)
            x, y = x - (bent_x - flat_x), y - (bent_y - flat_y)
        return x + self.x_px, y + self.y_px

    def sky(self, x: Any, y: Any) -> tuple[Any, Any]:
        """Return right ascension and declination (deg) of unbinned 0-based detector pixels."""
        flat_x, flat_y = self._bent(
            np.asarray(x, float) - self.x_px, np.asarray(y, float) - self.y_px
        )
        turn, scale = np.radians(self.rotation_deg), np.radians(self.scale_arcsec / 3600)
        east = (-np.cos(turn) * flat_x + np.sin(turn) * flat_y) * scale
        north = (np.sin(turn) * flat_x + np.cos(turn) * flat_y) * scale
        dec0 = np.radians(self.dec_deg)
        depth = np.cos(dec0) - north * np.sin(dec0)
        ra = np.arctan2(east, depth)
        dec = np.arctan2(np.sin(dec0) + north * np.cos(dec0), np.hypot(east, depth))
        return (self.ra_deg + np.degrees(ra)) % 360, np.degrees(dec)

    def _bent(self, x: Any, y: Any) -> tuple[Any, Any]:
        # The same form as SIP: from pixels to the undistorted plane.
        swell = self.cubic * (x**2 + y**2) + self.quadratic * x
        return x * (1 + swell), y * (1 + swell)
