"""What a transient is: templates, correlation, votes, and the lines of its host."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from reducers.classification.classify import class_of, classify
from reducers.classification.correlation import TemplateSet, correlate, template_set
from reducers.classification.grid import BINS, centres
from reducers.classification.host_lines import host_redshift
from reducers.classification.lnw import load_templates, read_template
from reducers.classification.preparation import prepare
from reducers.errors import BadTemplate
from reducers.frame import Mask
from tests.reducers.supernovae import observed, shape, template_text, write_templates

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from reducers.spectrum import Spectrum


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> TemplateSet:
    found, refused = load_templates(write_templates(tmp_path_factory.mktemp("templates")))
    assert not refused
    return template_set(found)


def test_a_template_is_read_as_it_was_written() -> None:
    found = read_template(template_text("sn2030a", "Ia-norm", [-3.0, 12.5]))
    assert (found.name, found.subtype) == ("sn2030a", "Ia-norm")
    assert found.phases_days.tolist() == [-3.0, 12.5]
    at = int(np.searchsorted(centres(), 6150))
    assert found.spectra.shape == (2, BINS)
    assert found.spectra[0, at] == pytest.approx(shape("Ia-norm", centres(), -3.0)[at], abs=6e-4)
    assert found.spectra[0, 0] == 0


def test_phases_from_another_day_than_maximum_are_unknown() -> None:
    found = read_template(template_text("sn2030b", "IIP", [3.0], flag=2))
    assert np.isnan(found.phases_days).all()


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda text: "", "does not begin"),
        (lambda text: "SIMPLE  =  T", "does not begin"),
        (lambda text: text[: len(text) // 2], "copy the file again"),
        (lambda text: text.replace("    0.000", "*********"), "not a line of numbers"),
        (lambda text: text.replace("    0.000", "      NaN"), "not finite"),
    ],
)
def test_a_damaged_template_is_named_with_its_fault(
    damage: Callable[[str], str], says: str
) -> None:
    with pytest.raises(BadTemplate, match=says) as caught:
        read_template(damage(template_text("sn2030c", "Ia-norm", [0.0])), "sn2030c.lnw")
    assert "sn2030c.lnw" in str(caught.value)


def test_one_damaged_file_does_not_lose_the_others(tmp_path: Path) -> None:
    folder = write_templates(tmp_path / "templates")
    (folder / "broken.lnw").write_text("nothing")
    found, refused = load_templates(folder)
    assert len(found) == 6
    assert len(refused) == 1
    assert "broken.lnw" in refused[0]


def test_a_folder_without_templates_says_so(tmp_path: Path) -> None:
    with pytest.raises(BadTemplate, match="no SNID template"):
        load_templates(tmp_path)
    with pytest.raises(BadTemplate, match="no folder"):
        load_templates(tmp_path / "absent")


@pytest.mark.parametrize("slope", [-2.0, 0.0, 3.0])
def test_the_slope_of_the_continuum_does_not_matter(templates: TemplateSet, slope: float) -> None:
    plain = observed("Ia-norm", 0.03, snr=50)
    tilted = replace(
        plain,
        flux=plain.flux * (plain.wavelength / 6000) ** slope,
        error=plain.error * (plain.wavelength / 6000) ** slope,
    )
    found = classify(tilted, templates)
    assert found.kind == "Ia"
    assert found.redshift == pytest.approx(0.03, abs=0.005)


@pytest.mark.parametrize("subtype", ["Ia-norm", "Ib-norm", "IIP"])
@pytest.mark.parametrize("redshift", [0.0, 0.06, 0.15])
def test_type_redshift_and_phase_of_a_supernova_are_found(
    templates: TemplateSet, subtype: str, redshift: float
) -> None:
    found = classify(observed(subtype, redshift, snr=10, phase_days=3.0), templates)
    assert found.subtype == subtype
    assert found.confident
    assert found.redshift == pytest.approx(redshift, abs=0.005)
    assert abs(found.redshift - redshift) < 3 * found.redshift_error
    assert found.phase_days == pytest.approx(3.0, abs=8)
    assert found.words.startswith(class_of(subtype))
    assert dict((k, v) for k, v, _ in found.cards)["SNTYPE"] == subtype


def test_the_redshift_is_right_although_templates_are_in_air(templates: TemplateSet) -> None:
    # A vacuum wavelength taken for one in air would shift this by 0.00028.
    lags = []
    for seed in range(6):
        prepared = prepare(observed("Ia-norm", 0.05, snr=200, phase_days=5.0, seed=seed))
        matches = correlate(prepared, templates, (0.0, 0.1))
        lags.append(matches.redshift[0])
    assert (1 + np.mean(lags)) / (1 + 0.05) - 1 == pytest.approx(-0.00028, abs=0.00015)


def test_noise_is_not_classified(templates: TemplateSet) -> None:
    spectrum = observed("Ia-norm", 0.03)
    rng = np.random.default_rng(3)
    featureless = replace(spectrum, flux=1e-16 * (1 + 0.2 * rng.normal(size=spectrum.flux.size)))
    found = classify(featureless, templates)
    assert not found.confident


def test_what_cannot_be_classified_says_why(templates: TemplateSet) -> None:
    spectrum = observed("Ia-norm", 0.03)
    assert "quality 3" in classify(spectrum, templates, quality=3).words
    assert "wavelengths" in classify(replace(spectrum, in_pixels=True), templates).words
    dark = replace(spectrum, flux=0 * spectrum.flux)
    assert "no light" in classify(dark, templates).words
    short = np.where(spectrum.wavelength > 4500, Mask.BAD, 0).astype(np.uint16)
    found = classify(replace(spectrum, mask=short), templates)
    assert "too short" in found.words
    assert found.kind == ""
    assert dict((k, v) for k, v, _ in found.cards)["SNTYPE"] == "none"


def test_masked_pixels_change_nothing(templates: TemplateSet) -> None:
    spectrum = observed("Ib-norm", 0.04)
    flux, mask = spectrum.flux.copy(), spectrum.mask.copy()
    flux[300:306], mask[300:306] = 1e-13, Mask.COSMIC
    found = classify(replace(spectrum, flux=flux, mask=mask), templates)
    assert found.subtype == "Ib-norm"
    assert found.redshift == pytest.approx(0.04, abs=0.005)


def test_lines_of_the_host_give_the_redshift(templates: TemplateSet) -> None:
    found = classify(observed("IIP", 0.0312, snr=15, host_lines=1.0), templates)
    assert found.host.known
    assert found.redshift == pytest.approx(0.0312, abs=0.0005)
    assert abs(found.redshift - 0.0312) < 4 * found.redshift_error
    assert {"H-alpha", "[O III] 5007"} <= set(found.host.lines)
    assert found.kind == "II"


def test_a_single_line_gives_no_redshift() -> None:
    spectrum = observed("Ia-norm", 0.03, snr=30)
    line = 1e-16 * np.exp(-0.5 * ((spectrum.wavelength - 7000) / 6.8) ** 2)
    assert not host_redshift(replace(spectrum, flux=spectrum.flux + line), 16.0).known


def far_galaxy(redshift: float, **heights: float) -> Spectrum:
    """Return a blue continuum of signal-to-noise 10 with narrow lines, heights over their noise."""
    at = {"oii": 3728.48, "neiii": 3869.86, "hbeta": 4862.68, "oiii_a": 4960.30, "oiii_b": 5008.24}
    spectrum = observed("Ia-norm", 0.03, seed=9)
    wave, error = spectrum.wavelength, np.full(spectrum.wavelength.size, 1e-17)
    rng = np.random.default_rng(17)
    flux = 1e-16 + error * rng.normal(size=wave.size)
    for name, height in heights.items():
        place = at[name] * (1 + redshift)
        flux += 1e-17 * height * np.exp(-0.5 * ((wave - place) / 6.8) ** 2)
    return replace(spectrum, flux=flux, error=error)


@pytest.mark.parametrize("redshift", [0.56, 0.7, 0.78])
def test_lines_of_a_far_galaxy_give_its_redshift(redshift: float) -> None:
    found = host_redshift(far_galaxy(redshift, oii=8, hbeta=5, oiii_a=5, oiii_b=15), 16.0)
    assert found.redshift == pytest.approx(redshift, abs=0.001)
    assert {"[O II] 3727", "[O III] 5007"} <= set(found.lines)


def test_two_lines_are_not_enough_for_a_far_galaxy() -> None:
    assert not host_redshift(far_galaxy(0.7, oii=8, oiii_b=9), 16.0).known
    assert not host_redshift(far_galaxy(1.2, oii=20, neiii=6), 16.0).known


def test_lines_that_oxygen_cannot_give_are_no_far_galaxy() -> None:
    assert host_redshift(far_galaxy(0.7, oii=8, hbeta=6, oiii_a=4, oiii_b=12), 16.0).known
    assert not host_redshift(far_galaxy(0.7, oii=8, hbeta=6, oiii_a=12, oiii_b=4), 16.0).known


def test_noise_gives_no_host_redshift() -> None:
    known = [
        host_redshift(observed("Ia-norm", 0.03, snr=5, seed=seed), 16.0).known for seed in range(50)
    ]
    assert not any(known)


def test_what_is_no_supernova_keeps_its_own_class() -> None:
    assert [class_of(name) for name in ("Ia-91bg", "Ic-broad", "IIb", "IIn", "Gal-E", "AGN")] == [
        "Ia", "Ibc", "IIb", "II", "Gal", "AGN",
    ]  # fmt: skip


def test_a_spectrum_that_barely_reaches_the_templates_is_safe(templates: TemplateSet) -> None:
    spectrum = observed("Ia-norm", 0.03)
    far = replace(spectrum, wavelength=spectrum.wavelength + 5500)
    assert not classify(far, templates).confident
    assert math.isnan(classify(far, templates).redshift) or classify(far, templates).kind
