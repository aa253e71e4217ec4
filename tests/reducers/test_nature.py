"""Stars, galaxies, quasars and nothing: told by their lines, and never called supernovae."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from reducers.classification.classify import classify
from reducers.classification.correlation import TemplateSet, template_set
from reducers.classification.flat_spectrum import flat_spectrum
from reducers.classification.lnw import load_templates
from reducers.classification.nature import absorption_redshift, broad_line_redshift
from tests.reducers.no_supernovae import (
    Vector,
    cataclysmic,
    featureless,
    galaxy,
    quasar,
    seen,
    star,
    white_dwarf,
)
from tests.reducers.supernovae import observed, write_templates

if TYPE_CHECKING:
    from collections.abc import Callable

    from reducers.classification.verdict import Classification
    from reducers.spectrum import Spectrum

    Make = Callable[[Vector, np.random.Generator], Vector]

RESOLUTION = 16.0


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> TemplateSet:
    found, _ = load_templates(write_templates(tmp_path_factory.mktemp("templates")))
    return template_set(found)


def spectrum(make: Make, snr: float = 25.0, redshift: float = 0.0, seed: int = 3) -> Spectrum:
    rng = np.random.default_rng(seed)
    return seen(lambda rest: make(rest, rng), rng, snr, redshift)


def claims(found: Classification) -> bool:
    return found.is_supernova and (found.confident or found.stripped)


NO_SUPERNOVAE: dict[str, tuple[Make, float]] = {
    "A0": (lambda w, rng: star(w, "A0", rng), 0.0),
    "G5": (lambda w, rng: star(w, "G5", rng), 0.0),
    "M3": (lambda w, rng: star(w, "M3", rng), 0.0),
    "DA": (lambda w, rng: white_dwarf(w, "DA", rng), 0.0),
    "CV": (cataclysmic, 0.0),
    "elliptical": (lambda w, rng: galaxy(w, "E", rng), 0.08),
    "star-forming": (lambda w, rng: galaxy(w, "H", rng), 0.05),
    "near quasar": (quasar, 0.3),
    "quasar": (quasar, 1.6),
    "far quasar": (quasar, 3.4),
    "blue": (featureless, 0.0),
}


@pytest.mark.parametrize("name", NO_SUPERNOVAE)
@pytest.mark.parametrize("snr", [8.0, 40.0])
def test_what_is_no_supernova_is_not_called_one(
    templates: TemplateSet, name: str, snr: float
) -> None:
    make, redshift = NO_SUPERNOVAE[name]
    assert not claims(classify(spectrum(make, snr, redshift), templates))


@pytest.mark.parametrize("subtype", ["Ia-norm", "Ib-norm", "IIP"])
def test_a_supernova_is_neither_star_nor_galaxy_nor_quasar(
    templates: TemplateSet, subtype: str
) -> None:
    for redshift in (0.005, 0.1):
        found = classify(observed(subtype, redshift, snr=15), templates)
        assert found.is_supernova, found.words
        assert not found.doubt


@pytest.mark.parametrize("kind", ["A0", "F5", "K0", "M3"])
def test_a_star_gets_its_class_to_about_one_class(kind: str) -> None:
    found = classify(spectrum(lambda w, rng: star(w, kind, rng), 40.0), None)
    assert found.kind == "star"
    assert found.star is not None
    letters = "OBAFGKM"
    said, true = (10 * letters.index(name[0]) + int(name[1]) for name in (found.star.name, kind))
    assert abs(said - true) <= 10
    assert abs(said - true) <= 4 * max(found.star.error, 2.0)
    assert ("TGTKIND", "star") in [card[:2] for card in found.cards]


@pytest.mark.parametrize("kind", ["DA", "DB"])
def test_a_white_dwarf_is_told_from_a_dwarf(kind: str) -> None:
    found = classify(spectrum(lambda w, rng: white_dwarf(w, kind, rng), 40.0), None)
    assert found.star is not None
    assert found.star.name == kind


@pytest.mark.parametrize("kind", ["E", "S"])
@pytest.mark.parametrize("redshift", [0.02, 0.11, 0.25])
def test_absorption_lines_give_a_galaxys_redshift(kind: str, redshift: float) -> None:
    calm = flat_spectrum(
        spectrum(lambda w, rng: galaxy(w, kind, rng), 15.0, redshift), RESOLUTION, cut_lines=True
    )
    assert calm is not None
    found = absorption_redshift(calm)
    assert found is not None
    # Wavelengths of air taken for vacuum would be off by 0.00028.
    assert found.redshift == pytest.approx(redshift, abs=0.0015)
    assert abs(found.redshift - redshift) < 4 * found.error
    assert "Ca K" in found.lines


@pytest.mark.parametrize("redshift", [0.3, 1.2, 2.5, 3.6])
def test_broad_lines_give_a_quasars_redshift(redshift: float) -> None:
    found = classify(spectrum(quasar, 20.0, redshift), None)
    assert found.kind == "quasar"
    assert found.redshift == pytest.approx(redshift, abs=0.02 * (1 + redshift))
    assert "quasar" in found.words


def test_noise_and_featureless_light_have_no_redshift() -> None:
    for seed in range(12):
        for snr in (1.5, 5.0, 50.0):
            for cut in (False, True):
                flat = flat_spectrum(
                    spectrum(featureless, snr, seed=seed), RESOLUTION, cut_lines=cut
                )
                assert flat is None or absorption_redshift(flat) is None
                assert flat is None or broad_line_redshift(flat) is None


def test_without_templates_lines_still_say_what_they_can() -> None:
    found = classify(spectrum(NO_SUPERNOVAE["elliptical"][0], 20.0, 0.08), None)
    assert found.words.startswith("no supernova: galaxy at z = 0.0")
    blank = classify(spectrum(featureless, 20.0), None)
    assert not blank.kind
    assert "no templates" in blank.words


def test_shallow_ripples_of_a_calibration_are_no_supernova(templates: TemplateSet) -> None:
    for seed in range(6):
        found = classify(spectrum(featureless, 60.0, seed=seed), templates)
        assert not claims(found)
