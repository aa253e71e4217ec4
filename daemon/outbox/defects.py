"""Where whatever goes wrong in a sink or an ear is caught: it stops nothing else of the courier.

They hear from programs of others what nobody can foresee.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    Answer = TypeVar("Answer")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Defect:
    """What ended a call that was guarded, in words."""

    reason: str


def guarded(who: str, call: Callable[[], Answer]) -> Answer | Defect:
    """Return the answer of a call, or its defect; the log holds where it was.

    Parameters
    ----------
    who
        Does what is called, as the log names it.
    """
    try:
        return call()
    except Exception as error:
        log.exception("%s failed", who)
        return Defect(f"{type(error).__name__}: {error}")
