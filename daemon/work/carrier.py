"""The courier's process: started by the daemon, killed at any time without harm.

A fresh interpreter (`python -m daemon.work.carrier`), so that a hanging connection never holds
up the night, and no worker that opens files from outside ever holds a token.
"""

from __future__ import annotations

import argparse
import logging
import os
import pickle
import signal
import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from daemon.clock import SystemClock
from daemon.config import Config
from daemon.conversation.keeper import Ears
from daemon.memory.archive import Archive
from daemon.memory.database import open_database
from daemon.memory.errors import StorePaused
from daemon.outbox.courier import Courier
from daemon.outbox.sinks import open_sinks
from daemon.work.confine import die_with_parent, is_orphan
from daemon.work.courier_keeper import COURIER

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)

_IDLE_S = 0.5
_HEARTBEAT_S = 10.0


def carry(
    courier: Courier, archive: Archive, is_over: Callable[[], bool], wait: Callable[[float], object]
) -> None:
    """Deliver until it is over."""
    next_sign = -_HEARTBEAT_S
    begun = False
    while not is_over():
        try:
            if not begun:
                courier.begin()
                begun = True
            tried = courier.step()
            now = time.monotonic()
            if tried or now - next_sign >= _HEARTBEAT_S:
                next_sign = now
                archive.heartbeat(COURIER, os.getpid(), "delivering", progressed=tried)
        except StorePaused as error:
            log.warning("waiting for the database: %s", error)
        wait(_IDLE_S)


def main(arguments: list[str] | None = None) -> int:
    """Run the courier until its parent ends or tells it to leave."""
    parser = argparse.ArgumentParser(prog="python -m daemon.work.carrier")
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--log-level", default="WARNING")
    options = parser.parse_args(arguments)
    logging.basicConfig(
        stream=sys.stderr, level=options.log_level, format="%(levelname)s %(name)s %(message)s"
    )
    # Its library logs whole answers of the other side.
    logging.getLogger("slack_sdk").setLevel(logging.CRITICAL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with_parent(options.parent)
    config = pickle.load(sys.stdin.buffer)
    assert isinstance(config, Config)
    leaving = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: leaving.set())
    engine = open_database(config.database)
    archive = Archive(engine, SystemClock())
    courier = Courier(config, archive, open_sinks(config))
    ears = Ears(archive, config)
    ears.open()
    carry(courier, archive, lambda: leaving.is_set() or is_orphan(options.parent), leaving.wait)
    ears.close()
    with suppress(StorePaused):
        archive.forget_heartbeat(COURIER)
    engine.dispose()
    return 0


if __name__ == "__main__":
    sys.exit(main())
