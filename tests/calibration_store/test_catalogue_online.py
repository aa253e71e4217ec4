"""Whether the real services still answer as `services.toml` says; run by hand, with a link."""

from __future__ import annotations

import os

import numpy as np
import pytest

from calibration_store.catalogues.adapters import ask
from calibration_store.catalogues.services import known_catalogues
from calibration_store.catalogues.sky import Cone, separation_deg

pytestmark = [
    pytest.mark.online,
    pytest.mark.skipif(
        not os.environ.get("ALFOSCD_ONLINE"), reason="set ALFOSCD_ONLINE=1 to ask real services"
    ),
]

#: High galactic latitude, on the equator: every survey has looked at it.
FIELD = Cone(150.1, 2.2, 0.05)
WAYS = [
    (facts.name, service, host)
    for facts in known_catalogues().by_name.values()
    for service in facts.services
    for host in service.hosts
]


@pytest.mark.parametrize(("name", "service", "host"), WAYS)
@pytest.mark.filterwarnings("ignore")
def test_a_service_gives_what_its_facts_say(name, service, host) -> None:
    answered = ask(service, host, FIELD, row_limit=5000, limit_s=120.0)
    columns = answered.columns
    assert len(answered) > 10
    assert not answered.truncated
    away = separation_deg(FIELD.ra_deg, FIELD.dec_deg, columns["ra_deg"], columns["dec_deg"])
    assert away.max() < FIELD.radius_deg + 0.001
    for band in service.bands:
        assert np.isfinite(columns[band]).any(), band
        assert 5 < np.nanmedian(columns[band]) < 25, band
        assert 0 < np.nanmedian(columns[f"{band}_error"]) < 1, band
    if "position_error_mas" in columns:
        assert 0.01 < np.nanmedian(columns["position_error_mas"]) < 1000
    if "epoch_year" in columns:
        assert 1997 < np.nanmedian(columns["epoch_year"]) < 2026
