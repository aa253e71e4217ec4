"""What truly stands in an image: stars, galaxies, trails, and where they fall."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from reducers.simulate.filters import PASSBANDS, Passband, passband_of
from reducers.simulate.place import Place
from reducers.simulate.sky import Galaxies, Sky, Stars, galaxies_near, stars_near
from reducers.simulate.star_colours import SCATTER_MAG, magnitudes
from reducers.simulate.through_filter import ab_through
from reducers.simulate.trails import TrailLight

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reducers.instrument import Instrument
    from reducers.simulate.pointing import Pointing
    from reducers.simulate.records import PlannedExposure
    from reducers.simulate.scene import Scene

READ_NOISE_E = 5.76
#: Stars this far outside the window (px) still send wings into it.
MARGIN_PX = 60
#: The number of a source that is in no sky: planned ones and visitors count down from -1.
FIRST_VISITOR = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldTruth:
    """The truth of one image; arrays of stars are (n,), those of galaxies (m,).

    Attributes
    ----------
    place : Place
        From the sky to the detector and back, without turbulence.
    stars : Stars
        All that send light into the window, sources planned by pixel and visitors last, those
        with negative numbers and positions as they were during the exposure.
    ra_deg, dec_deg
        ICRS at the epoch of the exposure.
    x, y
        Unbinned 0-based detector pixels.
    electrons
        Of the whole star in the whole exposure, before vignetting, dust and pixel response.
    magnitude
        As the camera sees the star: the filter's band with the camera's colour term.
    zero_point
        Magnitude that gives 1 e/s above the atmosphere.
    extinction
        What atmosphere and clouds took, magnitudes.
    """

    epoch: float
    place: Place
    passband: Passband
    stars: Stars
    ra_deg: Any
    dec_deg: Any
    x: Any
    y: Any
    electrons: Any
    magnitude: Any
    galaxies: Galaxies
    galaxy_x: Any
    galaxy_y: Any
    galaxy_electrons: Any
    galaxy_radius_px: Any
    galaxy_angle_rad: Any
    trails: tuple[TrailLight, ...]
    zero_point: float
    extinction: float


def julian_year(when: datetime) -> float:
    """Return a time as a Julian year."""
    return 2000.0 + (when - datetime(2000, 1, 1, 12, tzinfo=UTC)).total_seconds() / 31_557_600.0


def true_place(planned: PlannedExposure, instrument: Instrument) -> Place:
    """Return where the telescope truly looks; the header says something else."""
    scene = planned.scene
    scale = instrument.detector.pixel_scale_arcsec
    ra, dec = float(planned.ra_deg or 0.0), float(planned.dec_deg or 0.0)
    if scene is None:
        return Place(ra_deg=ra, dec_deg=dec, scale_arcsec=scale)
    east, north = scene.pointing_error_arcsec
    return Place(
        ra_deg=(ra + east / 3600 / np.cos(np.radians(dec))) % 360,
        dec_deg=dec + north / 3600,
        rotation_deg=scene.field_angle_deg + scene.rotation_error_deg,
        scale_arcsec=scale * (1 + scene.scale_error),
    )


def true_fwhm_px(planned: PlannedExposure, instrument: Instrument) -> float:
    """Return the FWHM of stars in the middle of the field, unbinned pixels."""
    wavelength = passband_of(planned.filter).wavelength_angstrom
    seeing = planned.seeing_arcsec
    if planned.scene is not None:
        seeing *= (wavelength / 5500) ** -0.2
    return float(seeing / instrument.detector.pixel_scale_arcsec)


def field_truth(planned: PlannedExposure, pointing: Pointing, instrument: Instrument) -> FieldTruth:
    """Return the truth of one planned image; the same plan gives the same truth."""
    passband = passband_of(planned.filter)
    place = true_place(planned, instrument)
    epoch = julian_year(planned.start)
    wavelengths = instrument.extinction_angstrom
    king = np.interp(
        passband.wavelength_angstrom, wavelengths, instrument.extinction_mag_per_airmass
    )
    extinction = float(king * pointing.airmass - 2.5 * np.log10(max(planned.transparency, 1e-9)))
    rate = planned.exposure_s * 10 ** (0.4 * (passband.zero_point - extinction))
    stars, galaxies = _contents(planned, place)
    ra, dec = stars.at(epoch)
    x, y = place.pixels(ra, dec)
    x, y = _shaken(planned, place, x, y)
    planned_stars, px, py = _planned_sources(planned, place, instrument)
    stars, ra, dec = (
        _joined(stars, planned_stars),
        np.append(ra, planned_stars.ra_deg),
        np.append(dec, planned_stars.dec_deg),
    )
    x, y = np.append(x, px), np.append(y, py)
    keep = _near_window(planned, x, y)
    stars = stars.where(keep)
    magnitude = seen_magnitude(passband, stars.magnitudes)
    gx, gy = place.pixels(galaxies.ra_deg, galaxies.dec_deg)
    turn = np.radians(place.rotation_deg)
    return FieldTruth(
        epoch=epoch,
        place=place,
        passband=passband,
        stars=stars,
        ra_deg=ra[keep],
        dec_deg=dec[keep],
        x=x[keep],
        y=y[keep],
        electrons=rate * 10 ** (-0.4 * magnitude),
        magnitude=magnitude,
        galaxies=galaxies,
        galaxy_x=gx,
        galaxy_y=gy,
        galaxy_electrons=rate * 10 ** (-0.4 * seen_magnitude(passband, galaxies.magnitudes)),
        galaxy_radius_px=galaxies.radius_arcsec / place.scale_arcsec,
        # North is at 90 degrees minus the rotation from +x; east of north is to its left.
        galaxy_angle_rad=np.pi / 2 - turn + np.radians(galaxies.angle_deg),
        trails=_trails(planned, instrument),
        zero_point=passband.zero_point,
        extinction=extinction,
    )


def seen_magnitude(passband: Passband, mags: Mapping[str, Any]) -> Any:
    """Return magnitudes in the camera's own band."""
    colour = mags["g_SDSS"] - mags["r_SDSS"] - 0.6
    return mags[passband.band] + passband.colour_term * colour


def _contents(planned: PlannedExposure, place: Place) -> tuple[Stars, Galaxies]:
    scene = planned.scene
    nothing = Sky(stars_per_deg2=0.0, galaxies_per_deg2=0.0)
    lit = scene is not None and scene.stars
    sky = scene.sky if scene is not None and lit else nothing
    x1, x2, y1, y2 = planned.window
    ra, dec = place.sky((x1 + x2) / 2 - 1, (y1 + y2) / 2 - 1)
    radius = (np.hypot(x2 - x1, y2 - y1) / 2 + MARGIN_PX + 5) * place.scale_arcsec / 3600
    return (
        stars_near(sky, float(ra), float(dec), float(radius)),
        galaxies_near(sky, float(ra), float(dec), float(radius)),
    )


def _near_window(planned: PlannedExposure, x: Any, y: Any) -> Any:
    x1, x2, y1, y2 = planned.window
    inside = (x > x1 - 1 - MARGIN_PX) & (x < x2 - 1 + MARGIN_PX)
    return np.flatnonzero(inside & (y > y1 - 1 - MARGIN_PX) & (y < y2 - 1 + MARGIN_PX))


def _shaken(planned: PlannedExposure, place: Place, x: Any, y: Any) -> tuple[Any, Any]:
    scene = planned.scene
    if scene is None or not scene.turbulence_mas:
        return x, y
    rng = np.random.default_rng([planned.night_seed, planned.number, 31])
    amplitude = scene.turbulence_mas / 1000 / place.scale_arcsec

    def wave() -> Any:
        total = np.zeros_like(x)
        for _ in range(6):
            kx, ky = rng.normal(0, 1 / 300, 2)
            total += rng.normal() * np.cos(kx * x + ky * y + rng.uniform(0, 2 * np.pi))
        return amplitude * total / np.sqrt(3)

    return x + wave(), y + wave()


def _planned_sources(
    planned: PlannedExposure, place: Place, instrument: Instrument
) -> tuple[Stars, Any, Any]:
    """Return what was planned by pixel (its magnitude holds in every band), and the visitors."""
    scene = planned.scene
    visitors = () if scene is None else scene.visitors
    sources = planned.sources
    flat = np.array([s.ab_magnitude for s in sources])
    x = np.array([s.detector_x for s in sources])
    y = np.array([s.detector_y for s in sources])
    ra, dec = place.sky(x, y)
    half_h = planned.exposure_s / 7200
    vra = np.array([_moved(v.ra_deg, v.motion_arcsec_h[0] * half_h, v.dec_deg) for v in visitors])
    vdec = np.array([v.dec_deg + v.motion_arcsec_h[1] * half_h / 3600 for v in visitors])
    vx, vy = place.pixels(vra, vdec)
    seen = magnitudes(
        np.array([v.r_mag for v in visitors]),
        np.array([v.bp_rp for v in visitors]),
        np.zeros((len(visitors), len(SCATTER_MAG))),
    )
    for n, visitor in enumerate(visitors):
        if visitor.model:  # a flat spectrum has the same magnitude in every band, and no colour
            own = ab_through(visitor.model, visitor.r_mag, passband_of(planned.filter), instrument)
            for band in seen:
                seen[band][n] = own
    # A source planned by pixel has the colour for which no camera has a colour term.
    level = {band: flat + (0.6 if band == "g_SDSS" else 0.0) for band in SCATTER_MAG}
    if passband_of(planned.filter) is PASSBANDS["g_SDSS"]:
        level = {band: flat - (0.6 if band == "r_SDSS" else 0.0) for band in SCATTER_MAG}
    count = len(sources) + len(visitors)
    stars = Stars(
        number=FIRST_VISITOR - np.arange(count),
        ra_deg=np.append(ra, vra),
        dec_deg=np.append(dec, vdec),
        motion_ra_mas=np.zeros(count),
        motion_dec_mas=np.zeros(count),
        magnitudes={band: np.append(level[band], seen[band]) for band in SCATTER_MAG},
    )
    return stars, np.append(x, vx), np.append(y, vy)


def _moved(ra_deg: float, east_arcsec: float, dec_deg: float) -> float:
    return float(ra_deg + east_arcsec / 3600 / np.cos(np.radians(dec_deg)))


def _joined(first: Stars, second: Stars) -> Stars:
    return Stars(
        number=np.append(first.number, second.number),
        ra_deg=np.append(first.ra_deg, second.ra_deg),
        dec_deg=np.append(first.dec_deg, second.dec_deg),
        motion_ra_mas=np.append(first.motion_ra_mas, second.motion_ra_mas),
        motion_dec_mas=np.append(first.motion_dec_mas, second.motion_dec_mas),
        magnitudes={
            band: np.append(first.magnitudes[band], second.magnitudes[band])
            for band in first.magnitudes
        },
    )


def _trails(planned: PlannedExposure, instrument: Instrument) -> tuple[TrailLight, ...]:
    scene: Scene | None = planned.scene
    if scene is None or not scene.trails:
        return ()
    passband = passband_of(planned.filter)
    rate = 10 ** (-0.4 * (passband.sky_mag - passband.zero_point))
    rate *= instrument.detector.pixel_scale_arcsec**2
    sky = rate * planned.exposure_s * planned.sky_brightness
    noise = float(np.sqrt(sky + READ_NOISE_E**2))
    fwhm = true_fwhm_px(planned, instrument)
    return tuple(
        TrailLight(
            x_px=trail.x_px,
            y_px=trail.y_px,
            angle_deg=trail.angle_deg,
            peak_e=trail.sigma * noise,
            fwhm_px=trail.width_px or fwhm,
            ends_px=trail.ends_px,
            sigma=trail.sigma,
        )
        for trail in scene.trails
    )
