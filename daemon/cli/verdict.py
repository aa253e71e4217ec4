"""Accept or reject a product from the terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from daemon.work.asked import Unusable
from daemon.work.verdicts import judge as note_verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from daemon.memory.archive import Archive
    from daemon.memory.records import FrameRecord


def judge(
    archive: Archive,
    frame: FrameRecord,
    *,
    accept: bool,
    version: int | None,
    user: str,
    answers: Mapping[str, str] | None = None,
    remark: str = "",
) -> int:
    """Note the verdict on one version and print what follows; return 0, or 2 where it cannot be."""
    try:
        said = note_verdict(
            archive,
            frame,
            accept=accept,
            version=version,
            user=user,
            answers=answers,
            remark=remark,
        )
    except Unusable as error:
        print(f"alfoscd: {error}", file=sys.stderr)
        return 2
    print(said)
    return 0
