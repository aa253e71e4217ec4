"""Pictures beside the files they verify: whatever goes wrong with one, the rest stands."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from daemon.layout import write_atomically
from daemon.publish.page import DRAWING_ERRORS
from daemon.work.roles import OPTIONAL

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from calibration_store.policy import Selection
    from daemon.publish.page import Picture

log = logging.getLogger(__name__)

#: From this attempt on no picture is drawn: it may be what kills the worker.
SAFE_MODE_ATTEMPT = 3


def notes_of(selections: Sequence[Selection]) -> list[str]:
    """Return one line per calibration for the plot; what is optional and absent has none."""
    notes = []
    for item in selections:
        if item.master is None and item.role in OPTIONAL:
            continue
        made_of = item.master.inputs[0][1] if item.master and item.master.inputs else "none"
        notes.append(f"{item.role} {made_of}, {item.reason}")
    return notes


def save_picture(path: Path, draw: Callable[[], Picture]) -> bool:
    """Write a picture as `path` and what it says as JSON beside it; return whether it was drawn.

    A full disk is raised, as it is for every other file.
    """
    try:
        picture = draw()
    except DRAWING_ERRORS as error:
        log.warning("%s is not drawn: %s", path.name, error)
        return False
    write_atomically(path, picture.png)
    write_atomically(path.with_suffix(".json"), picture.json)
    return True


def remove_picture(path: Path) -> None:
    """Remove a picture that is no longer true, and its JSON."""
    path.unlink(missing_ok=True)
    path.with_suffix(".json").unlink(missing_ok=True)
