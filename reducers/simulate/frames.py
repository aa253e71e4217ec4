"""One planned exposure to the bytes of its raw file."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from reducers.simulate import pointing as sky
from reducers.simulate.camera import READ_NOISE_ADU, Window, dark_current, read_out
from reducers.simulate.field import expose_field
from reducers.simulate.header import BLOCK, header_bytes
from reducers.simulate.image_truth import image_facts
from reducers.simulate.records import HiddenPlanes, SimulatedFrame, Truth
from reducers.simulate.sources import GAIN_E_PER_ADU
from reducers.simulate.spectrograph import expose_slit

if TYPE_CHECKING:
    from reducers.instrument import Instrument
    from reducers.simulate.pointing import Pointing
    from reducers.simulate.records import PlannedExposure


def simulate(planned: PlannedExposure, instrument: Instrument) -> SimulatedFrame:
    """Return the raw file of one exposure and its truth; the same plan gives the same bytes."""
    return simulate_with_planes(planned, instrument)[0]


def simulate_with_planes(
    planned: PlannedExposure, instrument: Instrument
) -> tuple[SimulatedFrame, HiddenPlanes]:
    """Return the raw file, its truth, and the planes that show pixel by pixel what happened."""
    window = window_of(planned)
    pointing = pointing_of(planned)
    expected, full, facts = _expose(planned, pointing, window, instrument)
    rng = np.random.default_rng([planned.night_seed, planned.number])
    rate = 1.0 if planned.scene is None else planned.scene.hit_rate
    out = read_out(expected, window, planned.bias_level_adu, planned.exposure_s, rng, hit_rate=rate)
    truth = Truth(
        stem=planned.stem,
        kind=str(planned.kind),
        gain_e_per_adu=GAIN_E_PER_ADU,
        read_noise_adu=READ_NOISE_ADU,
        bias_level_adu=planned.bias_level_adu,
        airmass=pointing.airmass,
        seeing_arcsec=planned.seeing_arcsec,
        cosmic_rays=out.hits,
        cosmic_ray_pixels=out.struck_pixels,
        **facts,
    )
    content = header_bytes(planned, pointing, out.raw) + data_bytes(out.raw)
    frame = SimulatedFrame(name=f"{planned.stem}.fits", content=content, truth=truth)
    return frame, HiddenPlanes(cosmic_ray_e=out.charge, full=full, expected_e=expected)


def truth_as_json(truth: Truth) -> str:
    """Return the truth as JSON text."""
    return json.dumps(asdict(truth), indent=1)


def data_bytes(raw: Any) -> bytes:
    """Return counts as unsigned 32-bit FITS data; what is below zero wraps."""
    stored = bytes((raw % 2**32 - 2**31).astype(">i4").tobytes())
    return stored + bytes(-len(stored) % BLOCK)


def window_of(planned: PlannedExposure) -> Window:
    """Return the window of an exposure, 0-based and half-open."""
    x1, x2, y1, y2 = planned.window
    return Window(
        x0=x1 - 1,
        x1=x2,
        y0=y1 - 1,
        y1=y2,
        x_binning=planned.x_binning,
        y_binning=planned.y_binning,
    )


def pointing_of(planned: PlannedExposure) -> Pointing:
    """Return where the telescope stands when the shutter opens."""
    if planned.ra_deg is None or planned.dec_deg is None:
        return sky.parked(planned.start)
    return sky.point(planned.ra_deg, planned.dec_deg, planned.start)


def _expose(
    planned: PlannedExposure, pointing: Pointing, window: Window, instrument: Instrument
) -> tuple[Any, Any, dict[str, Any]]:
    nowhere = np.zeros(window.shape, dtype=bool)
    if planned.kind == "BIAS":
        return np.zeros(window.shape), nowhere, {}
    if planned.kind == "DARK":
        return dark_current(window, planned.exposure_s), nowhere, {}
    if not planned.is_dispersed:
        seen = expose_field(planned, pointing, window, instrument)
        return seen.expected, seen.full, image_facts(planned, seen, window, instrument)
    expected, objects, optics, level = expose_slit(planned, pointing, window, instrument)
    return (
        expected,
        nowhere,
        {
            "objects": objects,
            "sky_electrons": level,
            "dispersion": optics.dispersion,
            "shift_px": optics.shift_px,
            "bend_px": optics.bend_px,
            "line_fwhm_px": optics.line_fwhm_px,
        },
    )
