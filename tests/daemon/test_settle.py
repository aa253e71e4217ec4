from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from daemon.arrival.settle import SettleTracker
from daemon.arrival.sighting import Sighting


def seen(size: int = 2880, mtime_ns: int = 1, name: str = "ALa.fits") -> Sighting:
    return Sighting(path=Path("/raw") / name, size=size, mtime_ns=mtime_ns)


def tracker() -> SettleTracker:
    return SettleTracker(settle_s=2.0, limit_s=600.0)


def test_one_look_never_settles_a_file() -> None:
    held = tracker()
    held.observe(seen(), 0.0)
    assert held.settled(100.0) == []


def test_two_equal_looks_settle_s_apart_settle_a_file() -> None:
    held = tracker()
    held.observe(seen(), 0.0)
    held.observe(seen(), 2.0)
    assert held.settled(2.0) == [seen()]
    assert held.settled(3.0) == []
    assert len(held) == 0


def test_looks_too_close_together_do_not() -> None:
    held = tracker()
    held.observe(seen(), 0.0)
    held.observe(seen(), 1.9)
    assert held.settled(50.0) == []


def test_growth_starts_the_wait_anew() -> None:
    held = tracker()
    held.observe(seen(size=1), 0.0)
    held.observe(seen(size=2), 1.9)
    held.observe(seen(size=2), 2.1)
    assert held.settled(2.1) == []
    held.observe(seen(size=2), 3.9)
    assert held.settled(3.9) == [seen(size=2)]


def test_a_rewrite_of_the_same_size_starts_the_wait_anew() -> None:
    held = tracker()
    held.observe(seen(mtime_ns=1), 0.0)
    held.observe(seen(mtime_ns=2), 2.0)
    assert held.settled(2.0) == []


def test_a_file_that_never_rests_is_handed_over_at_the_limit() -> None:
    held = tracker()
    for second in range(600):
        held.observe(seen(size=second), float(second))
        assert held.settled(float(second)) == []
    held.observe(seen(size=600), 600.0)
    assert held.settled(600.0) == [seen(size=600)]


def test_a_forgotten_file_is_not_handed_over() -> None:
    held = tracker()
    held.observe(seen(), 0.0)
    held.forget(seen().path)
    assert held.next_due() is None
    assert held.settled(1000.0) == []


def test_it_says_when_to_look_again() -> None:
    held = tracker()
    held.observe(seen(), 10.0)
    assert held.next_due() == 12.0
    assert held.due(11.9) == []
    assert held.due(12.0) == [seen().path]


def test_the_first_come_are_handed_over_first() -> None:
    held = tracker()
    for number, name in enumerate(["ALc.fits", "ALa.fits", "ALb.fits"]):
        held.observe(seen(name=name), number * 0.1)
    for name in ("ALa.fits", "ALb.fits", "ALc.fits"):
        held.observe(seen(name=name), 5.0)
    assert [item.path.name for item in held.settled(5.0)] == ["ALc.fits", "ALa.fits", "ALb.fits"]


@given(st.lists(st.tuples(st.floats(0.01, 5), st.integers(0, 2)), max_size=40))
def test_what_is_handed_over_was_quiet_long_enough(looks: list[tuple[float, int]]) -> None:
    held, now, since, size_before = tracker(), 0.0, 0.0, -1
    for pause_s, size in looks:
        now += pause_s
        held.observe(seen(size=size), now)
        if size != size_before:
            since, size_before = now, size
        for item in held.settled(now):
            assert item.size == size
            assert now - since >= 2.0
            size_before = -1
