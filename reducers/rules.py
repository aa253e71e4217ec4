"""First-match rules over the facts of a header."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Fact = str | float | tuple[str, ...]
Facts = Mapping[str, Fact]


def holds(where: Mapping[str, Mapping[str, Any]], facts: Facts) -> bool:
    """Tell whether every condition holds; a missing fact satisfies only `missing` and `unless`."""
    return all(
        satisfies(facts.get(name), test, argument)
        for name, tests in where.items()
        for test, argument in tests.items()
    )


def satisfies(fact: Fact | None, test: str, argument: Any) -> bool:
    """Tell whether one fact passes one test."""
    if test == "missing":
        return (fact is None) is bool(argument)
    if test == "unless" and fact is None:
        return True
    return fact is not None and bool(TESTS[test](fact, argument))


def _options(argument: Any) -> list[Any]:
    return list(argument) if isinstance(argument, list | tuple) else [argument]


def _same(fact: Fact, option: Any) -> bool:
    if isinstance(fact, str):
        return fact.casefold() == str(option).casefold()
    return bool(fact == option)


def _holds_text(fact: Fact, option: Any) -> bool:
    if isinstance(fact, tuple):
        return str(option) in fact
    return str(option).casefold() in str(fact).casefold()


def _number(fact: Fact) -> float:
    return float(fact) if isinstance(fact, int | float) else float("nan")


def _is(fact: Fact, argument: Any) -> bool:
    return any(_same(fact, option) for option in _options(argument))


def _contains(fact: Fact, argument: Any) -> bool:
    return any(_holds_text(fact, option) for option in _options(argument))


TESTS: Mapping[str, Callable[[Fact, Any], bool]] = {
    "is": _is,
    "is_not": lambda fact, argument: not _is(fact, argument),
    "unless": lambda fact, argument: not _is(fact, argument),
    "contains": _contains,
    "lacks": lambda fact, argument: not _contains(fact, argument),
    "at_most": lambda fact, argument: _number(fact) <= argument,
    "at_least": lambda fact, argument: _number(fact) >= argument,
    "present": lambda fact, argument: bool(fact) is bool(argument),
    "missing": lambda fact, argument: (fact is None) is bool(argument),
}
