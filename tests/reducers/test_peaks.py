"""Peaks are those of scipy.signal, which is not imported at work."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from scipy import signal, special, stats

from reducers.spectroscopy.peaks import find_peaks, half_widths


@pytest.mark.parametrize("seed", range(20))
def test_peaks_and_widths_are_those_of_scipy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    curve = np.convolve(rng.normal(size=400), np.ones(rng.integers(1, 8)), mode="same")
    curve = np.round(curve, 1) if seed % 2 else curve  # plateaus
    least = np.abs(rng.normal(1.0, 0.5, curve.size))
    for how in (
        {},
        {"height": 0.5},
        {"prominence": 1.5},
        {"height": 0.1, "prominence": least},
        {"height": 0.5, "distance": 6.3},
    ):
        if seed % 2 and "distance" in how:
            continue  # which of two equally high ones counts is nobody's promise
        wanted, _ = signal.find_peaks(curve, **how)
        assert find_peaks(curve, **how).tolist() == wanted.tolist()
    clear = find_peaks(curve, prominence=1.5)
    assert np.allclose(half_widths(curve, clear), signal.peak_widths(curve, clear)[0])


def test_a_curve_without_peaks_has_none() -> None:
    for curve in (np.zeros(5), np.arange(5.0), np.array([1.0])):
        assert find_peaks(curve, prominence=0.1).size == 0


def test_the_probabilities_are_those_of_scipy_stats() -> None:
    t = np.linspace(-5, 5, 11)
    assert np.allclose(special.stdtr(5.0, t), stats.t.cdf(t, 5.0), rtol=1e-12)
    assert special.chdtri(9, 1e-6) == pytest.approx(stats.chi2.isf(1e-6, 9), rel=1e-9)


def test_no_process_loads_the_statistics_it_does_not_use() -> None:
    program = (
        "import daemon.work.tasks, daemon.work.reductions, daemon.publish.figures, sys;"
        "print([name for name in ('scipy.stats', 'scipy.signal') if name in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert told.stdout.strip() == "[]", told.stderr
