"""Write what GCN's Kafka service sends into the spool; needs the package gcn-kafka."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Protocol

from daemon.triggers.spool import drop

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

log = logging.getLogger(__name__)

_WAIT_S = 1.0


class Consumer(Protocol):
    """What is used of a Kafka consumer."""

    def subscribe(self, topics: list[str]) -> None:
        """Ask for the messages of these topics."""
        ...

    def consume(self, num_messages: int, timeout: float) -> Sequence[Any]:
        """Return what has come."""
        ...


def listen(
    consumer: Consumer, topics: Sequence[str], spool: Path, go_on: Callable[[], bool]
) -> int:
    """Write each message into the spool until told to stop; return how many there were."""
    consumer.subscribe(list(topics))
    written = 0
    while go_on():
        for message in consumer.consume(num_messages=10, timeout=_WAIT_S):
            if message.error():
                log.warning("GCN: %s", message.error())
                continue
            content = message.value()
            if content:
                drop(spool, str(message.topic()), bytes(content))
                written += 1
    return written


def open_consumer(client_id: str, client_secret: str) -> Consumer:
    """Return a connection to GCN.

    Raises
    ------
    ImportError
        If gcn-kafka is not installed.
    """
    from importlib import import_module

    made: Consumer = import_module("gcn_kafka").Consumer(
        client_id=client_id, client_secret=client_secret
    )
    return made
