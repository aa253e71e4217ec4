"""The truth of an image in the words of its JSON file."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from reducers.simulate.field_truth import true_fwhm_px

if TYPE_CHECKING:
    from reducers.instrument import Instrument
    from reducers.simulate.camera import Window
    from reducers.simulate.field import Exposed
    from reducers.simulate.field_truth import FieldTruth
    from reducers.simulate.records import PlannedExposure


def image_facts(
    planned: PlannedExposure, seen: Exposed, window: Window, instrument: Instrument
) -> dict[str, Any]:
    """Return the fields of `Truth` that belong to an image."""
    truth = seen.truth
    place = {name: float(value) for name, value in asdict(truth.place).items()}
    return {
        "sky_electrons": float(seen.sky_electrons),
        "stars": _stars(truth, window),
        "galaxies": _galaxies(truth, window),
        "trails": tuple(asdict(trail) for trail in truth.trails),
        "place": {
            **place,
            "epoch": truth.epoch,
            "fwhm_px": true_fwhm_px(planned, instrument),
            "zero_point": truth.zero_point,
            "extinction_mag": truth.extinction,
            "colour_term": truth.passband.colour_term,
        },
    }


def _inside(window: Window, x: Any, y: Any) -> Any:
    inside = (x > window.x0 - 1) & (x < window.x1) & (y > window.y0 - 1)
    return np.flatnonzero(inside & (y < window.y1))


def _stars(truth: FieldTruth, window: Window) -> tuple[dict[str, float], ...]:
    return tuple(
        {
            "number": int(truth.stars.number[n]),
            "ra_deg": round(float(truth.ra_deg[n]), 8),
            "dec_deg": round(float(truth.dec_deg[n]), 8),
            "detector_x": round(float(truth.x[n]), 4),
            "detector_y": round(float(truth.y[n]), 4),
            "ab_magnitude": round(float(truth.magnitude[n]), 4),
            "electrons": round(float(truth.electrons[n]), 2),
        }
        for n in _inside(window, truth.x, truth.y)
    )


def _galaxies(truth: FieldTruth, window: Window) -> tuple[dict[str, float], ...]:
    return tuple(
        {
            "number": int(truth.galaxies.number[n]),
            "ra_deg": round(float(truth.galaxies.ra_deg[n]), 8),
            "dec_deg": round(float(truth.galaxies.dec_deg[n]), 8),
            "detector_x": round(float(truth.galaxy_x[n]), 4),
            "detector_y": round(float(truth.galaxy_y[n]), 4),
            "radius_px": round(float(truth.galaxy_radius_px[n]), 3),
            "electrons": round(float(truth.galaxy_electrons[n]), 2),
        }
        for n in _inside(window, truth.galaxy_x, truth.galaxy_y)
    )
