"""The numbers behind the search, from `search.toml`, and what a person may choose."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSettings:
    """What a person may choose.

    Attributes
    ----------
    limit_mag : float
        Fainter sources are left out; NaN takes `search.toml`'s limit, or the magnitude to which
        catalogues are complete in this field where that is brighter.
    zero_point_mag : float
        In place of the image's own (`-z`); NaN takes that.
    """

    limit_mag: float = float("nan")
    zero_point_mag: float = float("nan")


@cache
def search_numbers() -> Mapping[str, Any]:
    """Return the tables of `search.toml`."""
    text = resources.files("reducers.transients").joinpath("search.toml").read_text("utf8")
    return tomllib.loads(text)
