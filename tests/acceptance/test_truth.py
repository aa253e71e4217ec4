"""What went into a simulated night comes out again, with errors that are true."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from numpy.polynomial import polynomial

from reducers.fits import read_raw
from reducers.frame import UNUSABLE, Mask
from reducers.identify import identify
from reducers.identity import FrameKind
from reducers.profiles import load_instrument
from reducers.recipes import (
    Exposure,
    SpectrumCalibrations,
    build_arc,
    build_bias,
    build_flat,
    build_response,
    reduce_spectrum,
)
from reducers.simulate.frames import simulate, truth_as_json
from reducers.simulate.night import plan_night
from reducers.simulate.sources import telluric

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(600)]
ALFOSC = load_instrument("alfosc")


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    """Return (exposure, truth) of every frame of a small night, by kind."""
    folder = tmp_path_factory.mktemp("night")
    frames = {}
    for planned in plan_night(seed=11):
        simulated = simulate(planned, ALFOSC)
        path = folder / simulated.name
        path.write_bytes(simulated.content)
        raw = read_raw(path, ALFOSC.detector)
        identity = identify(raw.header, ALFOSC)
        exposure = Exposure(raw=raw, identity=identity, stem=path.stem)
        frames.setdefault(identity.kind, []).append((exposure, simulated.truth))
    return frames


@pytest.fixture(scope="module")
def reduced(night):
    """Return (reduced, exposure, truth) of every science spectrum, and what the masters say."""
    bias = build_bias([e for e, _ in night[FrameKind.BIAS]], ALFOSC)
    facts = {"bias_read_noise_adu": bias.measurements["read_noise_adu"]}
    given = SpectrumCalibrations(bias=bias.value, facts=facts)
    flat = build_flat([e for e, _ in night[FrameKind.SPEC_FLAT]], given, ALFOSC)
    facts |= {
        "flat_gain_e_per_adu": flat.measurements["gain_e_per_adu"],
        "flat_gain_error": flat.measurements["gain_error"],
    }
    arcs = [(e, build_arc([e], given, ALFOSC).value) for e, _ in night[FrameKind.ARC]]

    def given_for(exposure, response=None):
        nearest = min(
            arcs, key=lambda a: abs(a[0].identity.observed_at - exposure.identity.observed_at)
        )
        return SpectrumCalibrations(
            bias=bias.value,
            flat=flat.value,
            wavelengths=nearest[1],
            response=response,
            facts={**facts, "response_age_h": 2.0},
        )

    star, _ = night[FrameKind.SPEC_STD][0]
    response = build_response(star, given_for(star), ALFOSC)
    science = [
        (reduce_spectrum(e, given_for(e, response.value), ALFOSC), e, truth)
        for e, truth in night[FrameKind.SPEC_OBJECT]
    ]
    return science, flat, response


def true_object(found, truth):
    """Return the truth of the object nearest to a trace."""
    column = 850 + float(np.median(found.trace.columns))
    return min(truth.objects, key=lambda o: abs(np.median(o.detector_x) - column))


def true_wavelength(truth, detector_y, detector_x):
    t, u0 = (detector_x - 1050) / 100, (detector_y - 1050) / 1000
    a, b, c = truth.bend_px
    bend = (a * t + b * t**2) * (1 + c * u0)
    u = (detector_y - truth.shift_px - bend - 1000) / 1000
    return polynomial.polyval(u, np.array(truth.dispersion))


def test_the_gain_is_the_true_one_not_the_headers(reduced, night) -> None:
    _, flat, _ = reduced
    truth = night[FrameKind.SPEC_FLAT][0][1]
    assert flat.measurements["gain_e_per_adu"] == pytest.approx(truth.gain_e_per_adu, rel=0.02)


def test_wavelengths_are_true_within_a_tenth_of_a_pixel(reduced) -> None:
    for result, exposure, truth in reduced[0]:
        trace, geometry = result.objects[0].trace, result.image.geometry
        y, x = geometry.detector_y(trace.rows), geometry.detector_x(trace.columns)
        found = result.solution.wavelength(y, x)
        inside = ~result.solution.is_extrapolated(found)
        dispersion = np.abs(np.gradient(found)) / 2
        error_px = (found - true_wavelength(truth, y, x)) / dispersion
        rms = float(np.sqrt(np.mean(error_px[inside] ** 2)))
        print(f"{exposure.stem}: wavelength error {rms:.3f} px rms")
        assert rms < 0.1


def test_flux_is_true_within_three_per_cent(reduced) -> None:
    for result, exposure, truth in reduced[0]:
        if result.objects[0].snr < 15:
            continue
        found, real = result.objects[0].spectrum, true_object(result.objects[0], truth)
        expected = np.interp(found.wavelength, real.wavelength_angstrom, real.flux)
        ratios = []
        for low in range(4000, 8000, 500):
            inside = (found.wavelength > low) & (found.wavelength < low + 500) & found.good
            inside &= (found.mask & np.uint16(Mask.TELLURIC)) == 0
            ratios.append(float(np.sum(found.flux[inside]) / np.sum(expected[inside])))
        print(exposure.stem, "flux", np.round(ratios, 3))
        assert abs(np.median(ratios) - 1) < 0.03
        assert np.abs(np.array(ratios) - 1).max() < 0.04


def test_the_response_is_true_within_two_per_cent(reduced, night) -> None:
    response = reduced[2].value
    star, truth = night[FrameKind.SPEC_STD][0]
    source, identity = truth.objects[0], star.identity
    wavelength = np.array(source.wavelength_angstrom)
    extinction = np.interp(
        wavelength, ALFOSC.extinction_angstrom, ALFOSC.extinction_mag_per_airmass
    )
    rate = np.array(source.electrons_per_angstrom) / identity.exposure_s
    known = (wavelength > 3600) & (wavelength < 8900) & (rate > 0)
    known &= telluric(wavelength, identity.airmass) > 0.995
    wavelength, rate = (
        wavelength[known],
        rate[known] * 10 ** (0.4 * extinction[known] * identity.airmass),
    )
    flux = np.array(source.flux)[known] * wavelength**2 / 2.99792458e18
    expected = -2.5 * np.log10(flux) - 48.6 + 2.5 * np.log10(rate)
    off = 10 ** (0.4 * (response.zero_point_at(wavelength) - expected)) - 1
    print(f"response off by {np.std(off):.4f} rms, {np.abs(off).max():.3f} at most")
    assert np.std(off) < 0.015
    # The simulator's throughput has corners that no glass has.
    assert np.mean(np.abs(off) < 0.02) > 0.9


def test_telluric_bands_are_corrected_to_a_few_per_cent(reduced) -> None:
    for result, exposure, truth in reduced[0]:
        target = result.objects[0]
        found, real = target.spectrum, true_object(target, truth)
        expected = np.interp(found.wavelength, real.wavelength_angstrom, real.flux)
        for low, high in ((6868, 6950), (7160, 7340), (7590, 7705)):
            band = (found.wavelength > low) & (found.wavelength < high) & found.good
            off = found.flux[band] / expected[band] - 1
            noise = found.error[band] / expected[band]
            before = target.transmission[band] * (1 + off) - 1
            left = float(np.sqrt(max(np.mean(off**2) - np.mean(noise**2), 0)))
            print(f"{exposure.stem} {low}: {left:.3f} left")
            assert left < 0.03
            assert np.sqrt(np.mean(before**2)) > 0.05


def test_errors_are_true(reduced) -> None:
    every = []
    for result, exposure, truth in reduced[0]:
        counts = result.objects[0].counts
        real = true_object(result.objects[0], truth)
        width = np.abs(np.gradient(counts.wavelength))
        expected = width * np.interp(
            counts.wavelength, real.wavelength_angstrom, real.electrons_per_angstrom
        )
        use = (counts.wavelength > 4000) & (counts.wavelength < 8000) & counts.good
        use &= (counts.mask & np.uint16(UNUSABLE | Mask.TELLURIC)) == 0
        ratio = counts.flux[use] / expected[use]
        # Broad-band differences (slit, flat) are flux errors; the pull is about the noise.
        smooth = np.convolve(np.pad(ratio, 25, mode="edge"), np.ones(51) / 51, mode="valid")
        pulls = (counts.flux[use] - smooth * expected[use]) / counts.error[use]
        every.append(pulls)
        width_of_pulls = float(np.std(pulls[np.abs(pulls) < 4]))
        print(f"{exposure.stem}: pull {width_of_pulls:.3f}")
        # One spectrum has 500 pixels: its width is known to 3 %.
        assert 0.9 < width_of_pulls < 1.1
    pulls = np.concatenate(every)
    assert np.std(pulls[np.abs(pulls) < 4]) == pytest.approx(1.0, abs=0.05)
    assert np.mean(np.abs(pulls) > 4) < 0.002


def test_both_objects_of_the_slit_are_extracted(reduced) -> None:
    doubles = [(r, t) for r, _, t in reduced[0] if len(t.objects) > 1]
    assert doubles
    for result, truth in doubles:
        columns = sorted(850 + float(np.median(o.trace.columns)) for o in result.objects)
        for real in truth.objects:
            assert min(abs(np.median(real.detector_x) - c) for c in columns) < 2


def test_the_truth_is_readable_beside_the_frames(night) -> None:
    _, truth = night[FrameKind.SPEC_OBJECT][0]
    stored = json.load(io.StringIO(truth_as_json(truth)))
    assert stored["gain_e_per_adu"] == truth.gain_e_per_adu
