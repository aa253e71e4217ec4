"""What to do about a database file that is damaged, and how to notice that it was exchanged."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def rescue(path: Path) -> str:
    """Return in words, with commands, how a person gets from a damaged database to a whole one."""
    folder = shlex.quote(str(path.parent))
    aside = f"cd {folder} && mkdir -p damaged && mv {path.name}* damaged/"
    copies = sorted((path.parent / "backup").glob(f"{path.stem}_*.sqlite"))
    if not copies:
        return (
            f"Stop the daemon, put it aside ({aside}) and start again: every raw frame is then "
            "taken in and reduced anew; what people redid, accepted or rejected is not known any "
            "more"
        )
    copy = shlex.quote(f"backup/{copies[-1].name}")
    return (
        f"Stop the daemon, take the newest copy ({aside} && cp {copy} {path.name}) and start "
        "again: what came since is taken in and reduced by itself"
    )


def identity(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from another that takes its name; None when there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
