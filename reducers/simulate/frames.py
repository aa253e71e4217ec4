"""One planned exposure to the bytes of its raw file."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from reducers.simulate import pointing as sky
from reducers.simulate.camera import READ_NOISE_ADU, Window, read_out
from reducers.simulate.field import expose_field
from reducers.simulate.header import BLOCK, header_bytes
from reducers.simulate.records import SimulatedFrame, Truth
from reducers.simulate.sources import GAIN_E_PER_ADU
from reducers.simulate.spectrograph import expose_slit

if TYPE_CHECKING:
    from reducers.instrument import Instrument
    from reducers.simulate.pointing import Pointing
    from reducers.simulate.records import PlannedExposure


def simulate(planned: PlannedExposure, instrument: Instrument) -> SimulatedFrame:
    """Return the raw file of one exposure and its truth; the same plan gives the same bytes."""
    x1, x2, y1, y2 = planned.window
    window = Window(
        x0=x1 - 1,
        x1=x2,
        y0=y1 - 1,
        y1=y2,
        x_binning=planned.x_binning,
        y_binning=planned.y_binning,
    )
    pointing = _pointing(planned)
    expected, facts = _expose(planned, pointing, window, instrument)
    rng = np.random.default_rng([planned.night_seed, planned.number])
    raw, hits, pixels = read_out(expected, window, planned.bias_level_adu, planned.exposure_s, rng)
    truth = Truth(
        stem=planned.stem,
        kind=str(planned.kind),
        gain_e_per_adu=GAIN_E_PER_ADU,
        read_noise_adu=READ_NOISE_ADU,
        bias_level_adu=planned.bias_level_adu,
        airmass=pointing.airmass,
        seeing_arcsec=planned.seeing_arcsec,
        cosmic_rays=hits,
        cosmic_ray_pixels=pixels,
        **facts,
    )
    content = header_bytes(planned, pointing, raw) + data_bytes(raw)
    return SimulatedFrame(name=f"{planned.stem}.fits", content=content, truth=truth)


def truth_as_json(truth: Truth) -> str:
    """Return the truth as JSON text."""
    return json.dumps(asdict(truth), indent=1)


def data_bytes(raw: Any) -> bytes:
    """Return counts as unsigned 32-bit FITS data; what is below zero wraps."""
    stored = bytes((raw % 2**32 - 2**31).astype(">i4").tobytes())
    return stored + bytes(-len(stored) % BLOCK)


def _pointing(planned: PlannedExposure) -> Pointing:
    if planned.ra_deg is None or planned.dec_deg is None:
        return sky.parked(planned.start)
    return sky.point(planned.ra_deg, planned.dec_deg, planned.start)


def _expose(
    planned: PlannedExposure, pointing: Pointing, window: Window, instrument: Instrument
) -> tuple[Any, dict[str, Any]]:
    if planned.kind in ("BIAS", "DARK"):
        return np.zeros(window.shape), {}
    if not planned.is_dispersed:
        expected, stars, level = expose_field(planned, pointing, window, instrument)
        return expected, {"stars": stars, "sky_electrons": level}
    expected, objects, optics, level = expose_slit(planned, pointing, window, instrument)
    return expected, {
        "objects": objects,
        "sky_electrons": level,
        "dispersion": optics.dispersion,
        "shift_px": optics.shift_px,
        "bend_px": optics.bend_px,
        "line_fwhm_px": optics.line_fwhm_px,
    }
