"""Imaging in a simulated night: flats in twilight, a target in dithers, a standard field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reducers.identity import FrameKind
from reducers.simulate.filters import PASSBANDS
from reducers.simulate.scene import Scene, Visitor
from reducers.simulate.sky import Sky

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reducers.simulate.observer import Observer
    from reducers.simulate.targets import Target

#: Steps between exposures of one field, arcsec east and north.
DITHERS = ((0.0, 0.0), (11.0, 5.0), (-6.0, 12.0), (-12.0, -8.0), (7.0, -13.0))
STANDARD_FIELD = ("PG0918+029", 140.3800, 2.7700)
TARGET = "AT2026img"
Setup = tuple[int, int, int, int]


def image_biases(observer: Observer, count: int, window: Setup, binning: int) -> None:
    """Take biases with the window and binning of the images."""
    observer.biases(count, window=window, x_binning=binning, y_binning=binning)


def sky_flats(
    observer: Observer, bands: Sequence[str], count: int, window: Setup, binning: int
) -> None:
    """Take flats of the evening twilight while it fades, the telescope moved between them."""
    for band in bands:
        place = observer.right_ascension(0.3)
        for n in range(count):
            observer.take(
                FrameKind.IMG_FLAT,
                round(2.0 * 1.25**n, 2),
                f"EasyFlat {band}",
                filter=PASSBANDS[band].header_name,
                image_type="FLAT,SKY",
                image_category="CALIB",
                window=window,
                x_binning=binning,
                y_binning=binning,
                ra_deg=place + 0.01 * n,
                dec_deg=25.0 + 0.005 * n,
                # Binned pixels gather more: the observer stays below the converter's limit.
                sky_brightness=1.25**-n * (1.0 + 0.1 * float(observer.rng.normal())) / binning**2,
                scene=_scene(observer, Sky()),
            )


def dithered(
    observer: Observer,
    name: str,
    bands: Sequence[str],
    exposure_s: float,
    place: tuple[float, float],
    *,
    window: Setup,
    binning: int,
    exposures: int = 3,
    sky: Sky | None = None,
    **more: Any,
) -> None:
    """Take a field in several filters, moving a little between the exposures of each."""
    scene = _scene(observer, sky or Sky(), **more)
    for band in bands:
        for east, north in DITHERS[:exposures]:
            observer.take(
                FrameKind.IMG_OBJECT,
                exposure_s,
                name,
                target=name,
                filter=PASSBANDS[band].header_name,
                window=window,
                x_binning=binning,
                y_binning=binning,
                ra_deg=round(place[0] + east / 3600, 6),
                dec_deg=round(place[1] + north / 3600, 6),
                scene=scene,
            )


def target_field(observer: Observer, **how: Any) -> None:
    """Take the field of a transient that no catalogue knows, in dithers."""
    ra, dec = observer.right_ascension(-0.5), 31.25
    new = Visitor(name=TARGET, ra_deg=ra + 0.004, dec_deg=dec - 0.003, r_mag=18.4, bp_rp=0.5)
    dithered(observer, TARGET, place=(ra, dec), visitors=(new,), **how)


def field_of(observer: Observer, target: Target, **how: Any) -> None:
    """Take images of what a slit shows too: same coordinates, same spectrum."""
    if target.ra_deg is None:
        raise ValueError(f"{target.name} has no coordinates to be shared")
    source = target.sources[0]
    seen = Visitor(
        name=target.name, ra_deg=target.ra_deg, dec_deg=target.dec_deg,
        r_mag=source.ab_magnitude, model=source.model,
    )  # fmt: skip
    dithered(observer, target.name, place=(target.ra_deg, target.dec_deg), visitors=(seen,), **how)


def standard_field(observer: Observer, **how: Any) -> None:
    """Take a field of photometric standards, once in each filter."""
    name, ra, dec = STANDARD_FIELD
    dithered(observer, name, place=(ra, dec), exposures=1, **how)


def _scene(observer: Observer, sky: Sky, **more: Any) -> Scene:
    """Return a scene with the pointing of this telescope: a few arcseconds off, a little turned."""
    rng = observer.rng
    return Scene(
        sky=sky,
        pointing_error_arcsec=(float(rng.normal(6, 4)), float(rng.normal(-4, 4))),
        rotation_error_deg=float(rng.normal(0.15, 0.05)),
        scale_error=0.0012,
        **more,
    )
