"""Tell systemd how the service is, with nothing but the standard library."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class SystemdNotifier:
    """Sends READY, STATUS, WATCHDOG and STOPPING; silent where no service manager listens."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        given = os.environ if environment is None else environment
        address = given.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self.watchdog_s = _watchdog_s(given)

    def ready(self, status: str) -> None:
        """Say that the service is up."""
        self._send(f"READY=1\nSTATUS={status}")

    def alive(self, status: str) -> None:
        """Say that work has gone on since the last call."""
        self._send(f"WATCHDOG=1\nSTATUS={status}")

    def stopping(self) -> None:
        """Say that the service is going down."""
        self._send("STOPPING=1")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.settimeout(0.0)
            try:
                sender.sendto(message.encode(), self._address)
            except OSError:
                return  # a deaf service manager must not stop the night


def _watchdog_s(environment: Mapping[str, str]) -> float | None:
    """Return the watchdog's limit in seconds, when it is meant for this process."""
    microseconds = environment.get("WATCHDOG_USEC", "")
    meant_for = environment.get("WATCHDOG_PID", "")
    if not microseconds.isdigit() or (meant_for and meant_for != str(os.getpid())):
        return None
    return int(microseconds) / 1e6
