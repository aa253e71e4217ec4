"""What notices say: every stream, its radii, and everything that a notice must not do."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reducers.errors import BadNotice
from reducers.transients.notices.notice import Role, TriggerNotice
from reducers.transients.notices.reading import LARGEST_BYTES, read_notice
from reducers.transients.notices.streams import load_streams, to_90
from tests.reducers.transients.notices_by_hand import (
    einstein_probe,
    fermi_gbm,
    svom,
    swift_bat,
    swift_json,
    swift_xrt,
    unified,
    voevent,
)

T0 = datetime(2026, 11, 21, 21, 0, 0, 180000, tzinfo=UTC)


def r90(notice: TriggerNotice) -> float:
    assert notice.circle is not None
    return notice.circle.r90_arcsec


@pytest.mark.parametrize(
    ("content", "instrument", "kind", "event", "r90_arcsec"),
    [
        (swift_bat(), "Swift BAT", "BAT", "1253910", math.hypot(180, 60)),
        (swift_xrt(), "Swift XRT", "XRT", "1253910", 5.004),
        (swift_json("BAT", ra_dec_error=0.05, systematic_included=False), "Swift BAT", "BAT",
         "1253910", math.hypot(180, 60)),
        (swift_json("XRT", ra_dec_error=0.0013667), "Swift XRT", "XRT", "1253910", 4.92),
        (swift_json("UVOT", ra_dec_error=0.0002), "Swift UVOT", "XRT", "1253910",
         math.hypot(0.72, 0.42)),
        (swift_json("BAT-GUANO", ra_dec_error=None, ra_uncertainty=[0.05],
                    systematic_included=True), "Swift BAT", "BAT", "1253910", 180.0),
        (fermi_gbm(112, error_deg=2.0), "Fermi GBM", "BAT", "791916611",
         math.hypot(7200 * to_90(0.68), 18940)),
        (fermi_gbm(128, error_deg=0.2), "Fermi LAT", "BAT", "791916611", math.hypot(720, 360)),
        (einstein_probe(), "Einstein Probe WXT", "BAT", "01708973486", math.hypot(72, 120)),
        (einstein_probe("FXT", ra_dec_error=0.004), "Einstein Probe FXT", "XRT", "01708973486",
         math.hypot(14.4, 10)),
        (svom("ECLAIRs", "eclairs-wakeup", 202), "SVOM ECLAIRs", "BAT", "sb26112101",
         math.hypot(706.32, 120)),
        (svom("MXT", "mxt-initial", 209, error_deg=0.0643), "SVOM MXT", "XRT", "sb26112101",
         math.hypot(231.48, 25)),
        (svom("VT", "vt", 212, error_deg=0.0003), "SVOM VT", "XRT", "sb26112101",
         math.hypot(1.08, 0.5)),
    ],
)  # fmt: skip
def test_every_stream_gives_its_circle_at_90_percent_systematics_included(
    content: bytes, instrument: str, kind: str, event: str, r90_arcsec: float
) -> None:
    notice = read_notice(content)
    here = notice.localisation
    assert here is not None
    assert (here.instrument, here.kind, notice.event) == (instrument, kind, event)
    assert (here.ra_deg, here.dec_deg) == (150.0, 2.2)
    assert here.r90_arcsec == pytest.approx(r90_arcsec, rel=1e-3)
    assert (notice.happened_at, notice.role, notice.retraction) == (T0, Role.OBSERVATION, False)


def test_a_radius_of_68_percent_becomes_one_that_holds_90_percent_of_a_gaussian() -> None:
    draws = np.random.default_rng(1).normal(size=(2, 400_000))
    apart = np.hypot(*draws)
    r68 = np.quantile(apart, 0.68)
    assert np.mean(apart < r68 * to_90(0.68)) == pytest.approx(0.90, abs=0.002)
    assert to_90(0.9) == pytest.approx(1.0)


def test_what_a_notice_says_of_its_radius_counts_before_the_fact_of_its_stream() -> None:
    told = einstein_probe(containment_probability=0.68, systematic_included=True)
    assert r90(read_notice(told)) == pytest.approx(72 * to_90(0.68))


def test_of_an_ellipse_the_longer_axis_counts() -> None:
    notice = read_notice(einstein_probe(ra_dec_error=[0.01, 0.03, 45], systematic_included=True))
    assert r90(notice) == pytest.approx(108)


@pytest.mark.parametrize(
    "content",
    [
        swift_bat(role="test"),
        swift_bat(params={"Test_Submission": "true"}),
        swift_json("BAT", ra_dec_error=0.05, alert_tense="injection"),
        swift_json("BAT", ra_dec_error=0.05, alert_type="test"),
        swift_json("BAT", ra_dec_error=0.05, alert_tense="mock"),
    ],
)
def test_a_drill_is_read_as_one(content: bytes) -> None:
    assert read_notice(content).role is Role.TEST


@pytest.mark.parametrize(
    "content",
    [
        swift_bat(params={"Def_NOT_a_GRB": "true"}),
        svom("", "retraction", 219),
        svom("", "something", 299,
             cites='<Citations><EventIVORN cite="retraction">ivo://x</EventIVORN></Citations>'),
        swift_json("BAT", alert_type="retraction", ra=None, dec=None),
    ],
)  # fmt: skip
def test_a_retraction_is_read_as_one(content: bytes) -> None:
    assert read_notice(content).retraction


@pytest.mark.parametrize(
    "content",
    [
        fermi_gbm(110, ra=0.0, dec=0.0, error_deg=0.0),
        swift_json("BAT"),
        swift_json("BAT", ra=None, dec=None, ra_dec_error=0.05),
        swift_json("BAT", ra_dec_error="wide"),
        swift_bat(error_deg=-1),
    ],
)
def test_without_a_place_or_a_radius_there_is_no_circle(content: bytes) -> None:
    assert read_notice(content).circle is None


BOMB = (
    b'<?xml version="1.0"?><!DOCTYPE v [<!ENTITY a "aaaaaaaaaa">'
    b'<!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><VOEvent ivorn="&b;"/>'
)
OUTSIDE = (
    b'<?xml version="1.0"?><!DOCTYPE v [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    b"<VOEvent>&x;</VOEvent>"
)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"GIF89a", "neither XML nor JSON"),
        (b"<" + b"x" * LARGEST_BYTES, "more than any notice"),
        (BOMB, "declares a DTD"),
        (OUTSIDE, "declares a DTD"),
        (b"<a>" * 60 + b"</a>" * 60, "nested deeper"),
        (b"<?xml version='1.0' encoding='no-such'?><VOEvent/>", "no well-formed XML"),
        (swift_bat()[:-40], "no well-formed XML"),
        (b"<html/>", "not a VOEvent"),
        (voevent("ivo://gwnet/LVC#S1", {"Packet_Type": 150}), "of no stream"),
        (swift_bat(packet=65), "not used"),
        (svom("GRM", "grm-trigger", 201), "not used"),
        (swift_bat(role="prediction"), "not an observation"),
        (swift_bat(frame="UTC-GAL-GEO"), "not ICRS or FK5"),
        (swift_bat(dec=91.0), "no place on the sky"),
        (swift_bat(when="yesterday"), "is no time"),
        (swift_bat(when="0001-01-01T00:00:00+14:00"), "is no time"),
        (voevent("ivo://nasa.gsfc.gcn/SWIFT#x", {"Packet_Type": 61}), "names its event"),
        (b"{" * 100_000, "no JSON"),
        (b'{"a":' * 100_000, "no JSON"),
        (b'{"a": NaN}', "NaN"),
        (b'{"id": ' + b"9" * 5000 + b"}", "no JSON"),
        (unified("icecube/lvk/alert", id="x"), "no stream"),
        (einstein_probe(id=None), "no id"),
        (einstein_probe(id=[{}]), "no id"),
        (einstein_probe(ra="far"), "missing or no number"),
        (einstein_probe(containment_probability=90), "no probability"),
        (einstein_probe(alert_tense="planned"), "planned"),
    ],
)
def test_what_is_no_notice_is_refused_in_words(content: bytes, reason: str) -> None:
    with pytest.raises(BadNotice, match=reason):
        read_notice(content)


@given(st.binary(max_size=400))
@settings(max_examples=150, deadline=None)
def test_no_bytes_raise_anything_else(content: bytes) -> None:
    for start in (b"", b"<", b"{", b"\xff\xfe", b"<?xml version='1.0' encoding='"):
        with pytest.raises(BadNotice):
            read_notice(start + content)


@given(st.integers(0, len(swift_bat()) - 1), st.binary(max_size=6), st.integers(0, 30))
@settings(max_examples=300, deadline=None)
def test_no_damage_to_a_voevent_raises_anything_else(at: int, junk: bytes, lost: int) -> None:
    whole = swift_bat()
    with suppress(BadNotice):
        assert isinstance(read_notice(whole[:at] + junk + whole[at + lost :]), TriggerNotice)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)
NAMES = (
    *json.loads(swift_json("XRT", ra_dec_error=1.0)),
    *("containment_probability", "systematic_included", "record_number"),
)


@given(st.dictionaries(st.sampled_from(NAMES), JSON, max_size=4))
@settings(max_examples=300, deadline=None)
def test_no_value_in_a_json_notice_raises_anything_else(odd: dict[str, object]) -> None:
    said = {**json.loads(swift_json("XRT", ra_dec_error=0.001)), **odd}
    with suppress(BadNotice):
        found = read_notice(json.dumps(said).encode())
        assert found.circle is None or 0 < found.circle.r90_arcsec < 2e6
        assert found.circle is None or -90 <= found.circle.dec_deg <= 90


def test_hostile_names_stay_on_one_printable_line() -> None:
    notice = read_notice(einstein_probe(id="<!channel>\r\nBcc: x@y\x1b[31m" + "z" * 500))
    assert notice.event.startswith("<!channel> Bcc: x@y?[31m")
    assert len(notice.event) == 80


def test_every_stream_says_where_its_facts_are_from_and_what_nobody_has_checked() -> None:
    for stream in load_streams():
        assert stream.kind in ("BAT", "XRT")
        assert stream.source
        assert stream.unverified or stream.mission == "person"
        assert 0 < stream.containment < 1
