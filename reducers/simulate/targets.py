"""What stands in the simulated sky."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reducers.simulate.records import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A name in the sky and what stands on the slit there.

    Attributes
    ----------
    hour_angle_h
        Where it stands when it is taken, unless `ra_deg` is given: then images and spectra of
        it share its coordinates.
    """

    name: str
    hour_angle_h: float
    dec_deg: float
    exposure_s: float
    sources: tuple[Source, ...]
    ra_deg: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StandardTarget:
    """A spectrophotometric standard: profile name, name at the telescope, place."""

    name: str
    target: str
    ra_deg: float
    dec_deg: float
    exposure_s: float
    image_type: str = "OBJECT"


STANDARDS = (
    StandardTarget(
        name="HD 84937", target="SP0946+139", ra_deg=147.23375, dec_deg=13.74425, exposure_s=6.0
    ),
    StandardTarget(
        name="Feige 34",
        target="SP1036+433",
        ra_deg=159.90310,
        dec_deg=43.10261,
        exposure_s=60.0,
        image_type="STD",
    ),
)


def star_field(rng: np.random.Generator, window: tuple[int, int, int, int]) -> tuple[Source, ...]:
    """Return random stars in a window, more faint than bright."""
    x1, x2, y1, y2 = window
    count = max(25, int((x2 - x1) * (y2 - y1) / 9000))
    x, y = rng.uniform(x1 - 5, x2 + 3, count), rng.uniform(y1 - 5, y2 + 3, count)
    magnitude = 22.5 + np.log10(rng.random(count)) * 2.6
    return tuple(
        Source(
            name=f"star {n + 1}",
            model="star",
            ab_magnitude=round(float(np.clip(magnitude[n], 15.5, 22.5)), 3),
            detector_x=round(float(x[n]), 3),
            detector_y=round(float(y[n]), 3),
        )
        for n in range(count)
    )


def science_targets(rng: np.random.Generator) -> tuple[Target, Target, Target]:
    """Return the three targets of a night; the first has a second object on the slit."""

    def x(near: float) -> float:
        return round(near + float(rng.uniform(-2, 2)), 2)

    return (
        Target(
            name="SN2026abc",
            hour_angle_h=0.6,
            dec_deg=41.3,
            exposure_s=900.0,
            sources=(
                Source(name="SN2026abc", model="supernova", ab_magnitude=17.9, detector_x=x(957)),
                Source(name="host", model="galaxy", ab_magnitude=18.7, detector_x=x(1035)),
            ),
        ),
        Target(
            name="GQ091530+284512",
            hour_angle_h=-1.1,
            dec_deg=28.7533,
            exposure_s=600.0,
            sources=(Source(name="quasar", model="quasar", ab_magnitude=17.0, detector_x=x(956)),),
        ),
        Target(
            name="AT2026xyz",
            hour_angle_h=1.4,
            dec_deg=12.02,
            exposure_s=600.0,
            sources=(
                Source(name="AT2026xyz", model="supernova", ab_magnitude=18.3, detector_x=x(960)),
            ),
        ),
    )
