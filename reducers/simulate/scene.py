"""What an image shows and what goes wrong while it is taken."""

from __future__ import annotations

from dataclasses import dataclass, field

from reducers.simulate.sky import Sky


@dataclass(frozen=True, slots=True, kw_only=True)
class SatelliteTrail:
    """A straight trail across the image.

    Attributes
    ----------
    x_px, y_px, angle_deg
        A point of the line on the detector, and its direction from +x towards +y.
    sigma
        Peak surface brightness in units of the noise of the sky, per pixel.
    width_px
        FWHM across; 0 takes that of the stars.
    ends_px
        Where along the line it begins and ends, counted from the point.
    """

    x_px: float
    y_px: float
    angle_deg: float
    sigma: float
    width_px: float = 0.0
    ends_px: tuple[float, float] = (-1e4, 1e4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """A point source that no catalogue knows: a transient, an asteroid.

    Attributes
    ----------
    r_mag, bp_rp
        SDSS r (AB), and the Gaia colour that gives its other bands.
    motion_arcsec_h
        East and north, from the start of the exposure.
    model
        Name of a spectrum of `sources`, as a slit would show it: its light through the filter
        counts instead of the colour, and `r_mag` is its AB magnitude at 5500 A. '' for a star.
    """

    name: str
    ra_deg: float
    dec_deg: float
    r_mag: float
    bp_rp: float = 0.8
    motion_arcsec_h: tuple[float, float] = (0.0, 0.0)
    model: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """The sky behind an image, and how truly the telescope looks at it.

    Attributes
    ----------
    pointing_error_arcsec
        East and north: how far the telescope looks from where its header says.
    rotation_error_deg, scale_error
        The same for rotation, and for the scale as a part of it.
    field_angle_deg
        Rotation that was asked for: 0 is north up, east left.
    sky_gradient
        Change of the sky from the left edge to the right one, as a part of it.
    scattered_light
        Light of the sky that reflections bring to the middle of the detector, as a part of the
        sky there; in a flat of the twilight it is the twilight's.
    defocus_arcsec
        Outer radius of the ring that a star becomes; 0 in focus.
    drift_px
        Movement of the stars while the shutter is open, along detector x and y.
    turbulence_mas
        Scatter of the stars about their places by the air, correlated over some arcminutes.
    hit_rate
        Factor on the number of cosmic rays.
    stars
        Whether the sky's stars and galaxies shine at all.
    """

    sky: Sky = field(default_factory=Sky)
    pointing_error_arcsec: tuple[float, float] = (0.0, 0.0)
    rotation_error_deg: float = 0.0
    scale_error: float = 0.0
    field_angle_deg: float = 0.0
    sky_gradient: float = 0.01
    scattered_light: float = 0.0
    defocus_arcsec: float = 0.0
    drift_px: tuple[float, float] = (0.0, 0.0)
    turbulence_mas: float = 0.0
    hit_rate: float = 1.0
    stars: bool = True
    trails: tuple[SatelliteTrail, ...] = ()
    visitors: tuple[Visitor, ...] = ()
