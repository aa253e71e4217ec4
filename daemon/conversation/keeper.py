"""Keeps ears open beside the courier, as the settings want it; a failure holds nothing up."""

from __future__ import annotations

import logging
import threading
from functools import partial
from typing import TYPE_CHECKING

from slack_sdk.errors import SlackApiError, SlackClientError

from daemon.memory.errors import StorePaused
from daemon.memory.messages import Message, Topic
from daemon.outbox.connection import CONNECTION_ERRORS
from daemon.outbox.defects import guarded
from daemon.outbox.secrets import credential

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from daemon.config import Config
    from daemon.conversation.poll import ReplyReader
    from daemon.memory.archive import Archive

log = logging.getLogger(__name__)

TOKEN, APP_TOKEN = "slack-token", "slack-app-token"
_AGAIN_S = 30.0
_CHECK_S = 2.0


class Ears:
    """A thread that hears what people answer, until it is closed."""

    def __init__(
        self,
        archive: Archive,
        config: Config,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._archive, self._config, self._environment = archive, config, environment
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def open(self) -> None:
        """Begin, if the settings want it."""
        loops: dict[str, Callable[[], None]] = {"poll": self._poll, "socket": self._listen}
        loop = loops.get(self._config.slack.interaction)
        if loop is not None:
            self._thread = threading.Thread(target=loop, name="ears", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """End; what is being heard is heard to its end."""
        self._over.set()
        if self._thread is not None:
            self._thread.join(2.0)

    def _poll(self) -> None:
        from daemon.conversation.poll import ReplyReader

        reader = ReplyReader(self._archive, self._config, credential(TOKEN, self._environment))
        while not self._over.is_set():
            guarded("the reading of replies", partial(_read, reader))
            self._over.wait(self._config.slack.poll_s)

    def _listen(self) -> None:
        from daemon.conversation.socket_mode import Listener

        listener = Listener(self._archive, self._config, credential(APP_TOKEN, self._environment))
        try:
            while not self._over.is_set():
                wait_s = _CHECK_S
                if not listener.is_connected:
                    wait_s = self._connect(listener.connect)
                self._over.wait(wait_s)
        finally:
            listener.close()

    def _connect(self, connect: Callable[[], None]) -> float:
        """Try to connect; return how long to wait before looking again."""
        try:
            connect()
        except SlackApiError as error:
            self._tell(str(error.response.get("error", "") or "no reason"))
            return 10 * _AGAIN_S
        except (SlackClientError, *CONNECTION_ERRORS) as error:
            log.warning("no connection to Slack: %s", type(error).__name__)
            return _AGAIN_S
        return _CHECK_S

    def _tell(self, reason: str) -> None:
        """Say once a day that Slack refuses the token of the app."""
        log.error("Slack refuses the app's token: %s", reason)
        message = Message(
            key=f"deaf:{self._archive.clock.now():%Y-%m-%d}",
            topic=Topic.TROUBLE,
            subject="alfoscd hears no answers in Slack",
            text=(
                f"Slack refuses the token of Socket Mode ({reason}). Put an app-level token with "
                f"the scope connections:write into the credential `{APP_TOKEN}` and restart "
                'alfoscd, or set [slack] interaction = "poll".\nPosts go out as before.'
            ),
        )
        try:
            self._archive.queue_message(message)
        except StorePaused as error:
            log.warning("waiting for the database: %s", error)


def _read(reader: ReplyReader) -> None:
    try:
        reader.step()
    except StorePaused as error:
        log.warning("waiting for the database: %s", error)
