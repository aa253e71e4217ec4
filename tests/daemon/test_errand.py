"""A call to a storage: answered, refused, or never answered."""

from __future__ import annotations

import threading

import pytest

from daemon.arrival.errand import Errand


def test_an_answer_is_handed_over() -> None:
    errand = Errand(lambda: 7, "a question")
    assert errand.is_back(60)
    assert errand.result() == 7


def test_what_the_storage_refuses_is_raised_where_it_was_asked_for() -> None:
    def refuse() -> None:
        raise PermissionError("no")

    errand = Errand(refuse, "a question")
    assert errand.is_back(60)
    with pytest.raises(PermissionError):
        errand.result()


def test_an_errand_that_hangs_holds_nobody_up() -> None:
    answer = threading.Event()
    errand = Errand(lambda: answer.wait(60), "a question")
    assert not errand.is_back(0.01)
    assert errand.age_s >= 0.01
    answer.set()
    assert errand.is_back(60)
    assert errand.result()
