"""Real supernovae, each left out of the templates in turn, as ALFOSC's grism 4 would see them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from reducers.classification.classify import Classification, class_of, classify
from reducers.classification.correlation import TemplateSet, template_set
from reducers.classification.grid import STEP, centres
from reducers.classification.lnw import load_templates
from reducers.spectroscopy.lines import air_to_vacuum
from reducers.spectrum import Spectrum
from tests.reducers.no_supernovae import STARS, featureless, galaxy, quasar, seen, star

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

pytestmark = pytest.mark.realdata

_PIXEL, _RESOLUTION = 3.35, 16.0


@pytest.fixture(scope="module")
def templates(realdata: Path) -> TemplateSet:
    folder = realdata / "snid_templates"
    if not folder.is_dir():
        pytest.skip(f"no SNID templates at {folder}")
    found, refused = load_templates(folder)
    assert not refused
    assert len(found) == len(list(folder.glob("*.lnw")))
    return template_set(found)


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One spectrum of a left-out object, what it truly is, and what was said of it."""

    kind: str
    redshift: float
    said: Classification


def seen_by_grism_4(
    values: NDArray[np.float32], redshift: float, snr: float, host: float, rng: np.random.Generator
) -> Spectrum:
    """Return a template on a random continuum and an old galaxy, blurred and with noise."""
    air = np.arange(3500.0, 9100.0, _PIXEL)
    rest, seen = air / (1 + redshift), values != 0
    own = np.interp(rest, centres()[seen], values[seen], left=np.nan, right=np.nan)
    inside = np.isfinite(own)
    air, rest = air[inside], rest[inside]
    light = np.maximum(1 + own[inside], 0.02) * (rest / 5500) ** rng.uniform(-1.5, 1.0)
    galaxy = np.where(rest < 4000, 0.6, 1.0) * rest / 5500
    for at, depth, width in ((3934, 0.4, 12), (3969, 0.35, 12), (4304, 0.2, 15), (5175, 0.2, 25)):
        galaxy *= 1 - depth * np.exp(-0.5 * ((rest - at) / width) ** 2)
    flux = (1 - host) * light / np.median(light) + host * galaxy / np.median(galaxy)
    flux = gaussian_filter1d(flux, _RESOLUTION / 2.355 / _PIXEL)
    throughput = np.interp(air, [3500, 3900, 4500, 6000, 7500, 9100], [0.15, 0.5, 0.9, 1, 0.8, 0.4])
    error = np.sqrt(np.maximum(flux, 0.05) / throughput + 0.5 / throughput**2)
    error *= np.median(flux / error) / snr
    return Spectrum(
        wavelength=air_to_vacuum(air),
        flux=1e-16 * (flux + error * rng.normal(size=flux.size)),
        error=1e-16 * error,
        sky=np.zeros(flux.size),
        mask=np.zeros(flux.size, np.uint16),
        unit="erg / (s cm2 Angstrom)",
    )


def leave_one_out(templates: TemplateSet, count: int, snr: float, host: float) -> list[Trial]:
    """Return `count` trials of every class."""
    rng = np.random.default_rng(int(100 * snr + 10 * host))
    kinds = np.array([class_of(name) for name in templates.subtypes])
    names, long = np.array(templates.names), (templates.stops - templates.starts) * STEP > 0.65
    trials = []
    for kind in ("Ia", "Ibc", "IIb", "II"):
        objects = sorted(set(names[(kinds == kind) & long]))
        for _ in range(count):
            name = str(rng.choice(objects))
            number = int(rng.choice(np.flatnonzero((names == name) & long)))
            redshift = float(rng.uniform(0.002, 0.12))
            seen = seen_by_grism_4(templates.spectra[number], redshift, snr, host, rng)
            said = classify(seen, templates.without(name))
            trials.append(Trial(kind=kind, redshift=redshift, said=said))
    return trials


def test_left_out_supernovae_are_mostly_recognised(templates: TemplateSet) -> None:
    trials = leave_one_out(templates, 4, 20.0, 0.0)
    sure = [trial for trial in trials if trial.said.confident]
    assert len(sure) >= 6
    assert sum(trial.said.kind == trial.kind for trial in sure) >= len(sure) - 1
    assert all(trial.said.kind == "Ia" for trial in trials if trial.kind == "Ia")


@pytest.mark.slow
def test_sure_types_are_right_and_hardly_any_ia_is_missed(templates: TemplateSet) -> None:
    trials = [
        trial
        for snr in (5.0, 10.0, 20.0)
        for host in (0.0, 0.3, 0.5)
        for trial in leave_one_out(templates, 20, snr, host)
    ]
    sure = [trial for trial in trials if trial.said.confident]
    ia = [trial for trial in trials if trial.kind == "Ia"]
    off = np.array([trial.said.redshift - trial.redshift for trial in sure])
    assert len(sure) > 0.4 * len(trials)
    assert np.mean([trial.said.kind == trial.kind for trial in sure]) >= 0.93
    assert np.mean([trial.said.kind == "Ia" for trial in ia]) >= 0.97
    assert 1.4826 * np.median(np.abs(off)) <= 0.006


def test_what_is_no_supernova_is_hardly_ever_called_one(templates: TemplateSet) -> None:
    rng = np.random.default_rng(21)
    made: list[tuple[str, Spectrum]] = []
    for snr in (8.0, 30.0):
        made += [(k, seen(partial(star, kind=k, rng=rng), rng, snr)) for k in STARS]
        for kind in "ESH":
            light = partial(galaxy, kind=kind, rng=rng)
            made.append((kind, seen(light, rng, snr, rng.uniform(0.01, 0.3))))
        for redshift in rng.uniform(0.05, 4.0, 8):
            made.append(("quasar", seen(partial(quasar, rng=rng), rng, snr, redshift)))
        made += [("blue", seen(partial(featureless, rng=rng), rng, snr)) for _ in range(3)]
    told = [(name, classify(each, templates)) for name, each in made]
    claims = [name for name, said in told if said.is_supernova and said.confident]
    assert len(claims) <= 0.05 * len(told), claims
