"""The Earth's rotation from the tables at hand, however old: no download, no refusal."""

from __future__ import annotations

import warnings
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from astropy.utils import iers
from astropy.utils.exceptions import AstropyWarning

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def tables_at_hand() -> Iterator[None]:
    """Let astropy neither ask the network for newer tables nor refuse to go without them.

    By default it refuses times beyond its tables once these are 30 days old, which would stop an
    observatory without a network. Extrapolated, UT1 is wrong by tenths of a second: arcseconds of
    hour angle, less than 1 m/s of velocity.
    """
    with ExitStack() as changed, warnings.catch_warnings():
        # That the tables end is known here; who cares for arcseconds brings newer ones.
        warnings.simplefilter("ignore", AstropyWarning)
        changed.enter_context(iers.conf.set_temp("auto_download", value=False))
        changed.enter_context(iers.conf.set_temp("auto_max_age", value=None))
        changed.enter_context(iers.conf.set_temp("iers_degraded_accuracy", "ignore"))
        yield
