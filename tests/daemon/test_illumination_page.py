"""The page of a slit's illumination shows what it divides by."""

from __future__ import annotations

import json

import numpy as np

from daemon.publish.evidence import Evidence
from daemon.publish.master_pages import master_page
from reducers.frame import Frame
from reducers.identity import FrameKind, Identity, Setup
from reducers.profiles import load_instrument
from reducers.reduced import Built, Exposure, SpectrumCalibrations

ALFOSC = load_instrument("alfosc")


def test_the_page_tells_how_uneven_the_slit_is() -> None:
    setup = Setup(
        x_binning=1, y_binning=2, window=(851, 1250, 1, 2102), readout="D-8-200",
        grism="Grism_#4", slit="Slit_1.0", filter="",
    )  # fmt: skip
    identity = Identity(
        instrument="ALFOSC",
        kind=FrameKind.SPEC_SKYFLAT,
        setup=setup,
        exposure_s=20.0,
        observed_at=None,
    )
    plane = np.broadcast_to(np.linspace(0.95, 1.05, 300, dtype=np.float32), (400, 300))
    master = Frame(
        data=plane, variance=np.full_like(plane, 1e-6), mask=np.zeros(plane.shape, np.uint16)
    )
    measured = {"frames": 2.0, "illumination_rms": 0.029, "residual_rms": 0.001, "slit_degree": 1.0}
    built = Built(role="ILLUMINATION", value=master, measurements=measured)
    exposures = tuple(Exposure(raw=None, identity=identity, stem=f"AL{k}") for k in range(2))
    case = Evidence(
        built=built, exposures=exposures, given=SpectrumCalibrations(), instrument=ALFOSC
    )
    page = master_page(case)
    shown = page.facts["panels"]["along_slit"]
    assert np.isclose(shown["lowest"], 0.95)
    assert np.isclose(shown["highest"], 1.05)
    picture = page.finish()
    assert picture.png.startswith(b"\x89PNG")
    assert json.loads(picture.json)["measurements"]["illumination_rms"] == 0.029
