"""The page of a combination shows what each exposure gave, and who took no part."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from daemon.publish.combined_page import Combination, combined_page, combined_picture
from reducers.spectroscopy.combine import Contribution, combine_spectra
from reducers.spectrum import Spectrum

FACTORS = (1.0, 0.7, 0.9)


def case() -> Combination:
    rng = np.random.default_rng(3)
    wavelength = np.linspace(4000.0, 9000.0, 900)
    members = []
    for factor in FACTORS:
        flux = factor * (1e-16 + 0 * wavelength) + rng.normal(0, 5e-18, 900)
        members.append(
            Spectrum(
                wavelength=wavelength,
                flux=flux,
                error=np.full(900, 5e-18),
                sky=0 * wavelength,
                mask=np.zeros(900, np.uint16),
                unit="erg / (s cm2 Angstrom)",
            )
        )
    combined = combine_spectra(
        [
            Contribution(name=f"ALDc20020{n}", spectrum=one, exposure_s=600.0)
            for n, one in enumerate(members)
        ]
    )
    return Combination(
        combined=combined, members=tuple(members), target="AT2026abc",
        setup="Grism_#4 Slit_1.0", quality=0, excluded=(("ALDc200209", "quality 4"),),
    )  # fmt: skip


def test_the_page_says_factors_weights_and_who_was_left_out() -> None:
    said = json.loads(combined_picture(case()).json)
    factors = [member["factor"] for member in said["members"]]
    assert np.array(factors) / max(factors) == pytest.approx(FACTORS, abs=0.02)
    assert said["left_out"] == [{"frame": "ALDc200209", "reason": "quality 4"}]
    agreement = said["panels"]["agreement"]["median_per_cent"]
    assert list(agreement.values()) == pytest.approx([100.0] * 3, abs=1.5)
    snr = said["panels"]["snr"]["median"]
    assert snr["combined"] > max(snr[name] for name in agreement)


def test_the_page_is_drawn_without_text_upon_text() -> None:
    page = combined_page(case())
    assert not [name for name, panel in page.facts["panels"].items() if "failed" in panel]
    FigureCanvasAgg(page.figure).draw()
    texts = [*page.figure.texts, *(t for axes in page.figure.axes for t in axes.texts)]
    boxes = [(t.get_text(), t.get_window_extent()) for t in texts if t.get_text().strip()]
    assert not [
        (one, other)
        for (one, a), (other, b) in itertools.combinations(boxes, 2)
        if min(a.x1, b.x1) - max(a.x0, b.x0) > 1 and min(a.y1, b.y1) - max(a.y0, b.y0) > 1
    ]
