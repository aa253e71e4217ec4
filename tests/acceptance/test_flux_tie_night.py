"""A night's images give the flux of a spectrum what the slit lost: through the daemon's batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from calibration_store.catalogues.sky import Cone
from daemon.clock import SystemClock
from daemon.config import Catalogues, Config, Paths, Work
from daemon.memory.archive import Archive
from daemon.memory.database import open_database
from daemon.work.batch import reduce_directory
from daemon.work.sky_catalogues import open_catalogues
from reducers.combined_products import read_spectrum
from reducers.profiles import load_instrument
from reducers.simulate.catalogue import SURVEYS, cones_of, survey_catalogue
from reducers.simulate.frames import simulate
from reducers.simulate.night import plan_night

if TYPE_CHECKING:
    from pathlib import Path

    from daemon.memory.records import ProductRecord
    from reducers.simulate.records import ObjectTruth

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(900)]
TARGET = "AT2026xyz"


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> tuple[ProductRecord, ObjectTruth]:
    """Return the product of the target's spectrum and the truth of the target."""
    folder: Path = tmp_path_factory.mktemp("tied")
    raw, truth = folder / "raw", {}
    raw.mkdir()
    alfosc, plan = load_instrument("alfosc"), plan_night(seed=6, scale="tied")
    for planned in plan:
        frame = simulate(planned, alfosc)
        (raw / frame.name).write_bytes(frame.content)
        truth[planned.stem] = frame.truth
    config = Config(
        paths=Paths(raw=(raw,), root=folder / "out"),
        catalogues=Catalogues(online=False),
        work=Work(workers=1),
    )
    catalogues = open_catalogues(config)
    for sky, ra, dec, radius in cones_of(plan):
        for name in SURVEYS:
            columns = survey_catalogue(name, sky, ra, dec, radius)
            catalogues.write_cone(name, columns, Cone(ra, dec, radius))
    outcome = reduce_directory(config, raw, limit_s=600)
    assert outcome.finished
    assert outcome.failed == 0
    engine = open_database(config.database)
    products = Archive(engine, SystemClock()).products()
    engine.dispose()
    (own,) = [p for p in products if p.recipe == "spectrum" and p.target == TARGET]
    return own, truth[own.stem].objects[0]


def test_the_flux_of_a_target_beside_the_slit_is_that_of_its_images(
    night: tuple[ProductRecord, ObjectTruth],
) -> None:
    product, truth = night
    assert product.measurements["flux_tied"] == 1.0
    assert product.measurements["tie_off_arcsec"] < 0.5
    # What the slit lost beyond what it takes from the standard.
    assert product.measurements["tie_factor"] > 1.15
    stored = read_spectrum(product.paths["spectrum"])
    spectrum = stored.spectrum
    assert spectrum is not None
    true = np.interp(spectrum.wavelength, truth.wavelength_angstrom, truth.flux)
    for low, high in ((4200, 5000), (5000, 6000), (6000, 7000)):
        use = spectrum.good & (spectrum.wavelength > low) & (spectrum.wavelength < high)
        ratio = float(np.median(spectrum.flux[use] / true[use]))
        assert ratio == pytest.approx(1.0, abs=0.03), (low, high)
