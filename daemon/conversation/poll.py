"""Read the replies below the products now and then, where no socket may be kept open."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackRequestError

from daemon.conversation.hearing import SINK, Said, hear
from daemon.outbox.connection import CONNECTION_ERRORS
from daemon.outbox.gathering import OPENING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from daemon.config import Config
    from daemon.memory.archive import Archive
    from daemon.memory.archive_interactions import Thread

log = logging.getLogger(__name__)

#: Slack lets a bot ask fifty times a minute.
_MOST_THREADS = 40
_PAGE = 200
_PAGES = 10


class ReplyReader:
    """Reads what came into the threads of these days; what it has heard before does nothing.

    Parameters
    ----------
    token
        Bot token.
    """

    def __init__(self, archive: Archive, config: Config, token: str) -> None:
        self._archive, self._config = archive, config
        self._client = WebClient(
            token=token or None,
            base_url=config.slack.api_url,
            timeout=max(1, round(config.slack.timeout_s)),
            retry_handlers=[],
        )
        #: Thread -> time stamp of the last reply that was read.
        self._read: dict[tuple[str, str], str] = {}

    def step(self) -> int:
        """Read every thread once; return how many replies were commands."""
        fresh = timedelta(hours=self._config.outbox.fresh_h)
        since = self._archive.clock.now() - fresh
        threads = self._archive.threads(SINK, OPENING, since)
        heard = 0
        for thread in threads[:_MOST_THREADS]:
            try:
                heard += self._hear(thread)
            except (SlackApiError, SlackRequestError, *CONNECTION_ERRORS) as error:
                # The courier tells of a Slack that is out of reach; the replies wait over there.
                log.warning("replies cannot be read: %s", type(error).__name__)
                return heard
        return heard

    def _hear(self, thread: Thread) -> int:
        place, heard = (thread.channel, thread.mark), 0
        for message in self._replies(thread):
            mark = str(message.get("ts", ""))
            said = said_in(message, thread.channel)
            if said is not None and hear(self._archive, self._config, said):
                heard += 1
            self._read[place] = max(mark, self._read.get(place, ""), key=_order)
        return heard

    def _replies(self, thread: Thread) -> list[Mapping[str, Any]]:
        """Return the replies that have not been read, oldest first."""
        oldest = self._read.get((thread.channel, thread.mark), thread.mark)
        found: list[Mapping[str, Any]] = []
        cursor: str | None = None
        for _ in range(_PAGES):
            page = self._client.conversations_replies(
                channel=thread.channel, ts=thread.mark, oldest=oldest, limit=_PAGE, cursor=cursor
            )
            found += page["messages"]
            cursor = (page.get("response_metadata") or {}).get("next_cursor") or None
            if cursor is None:
                break
        return sorted(found, key=lambda message: _order(str(message.get("ts", ""))))


def said_in(message: Mapping[str, Any], channel: str) -> Said | None:
    """Return what a person replied; None for what bots post, edits and posts outside threads."""
    thread, mark = str(message.get("thread_ts", "")), str(message.get("ts", ""))
    if (
        not message.get("user")
        or message.get("bot_id")
        or message.get("subtype")
        or thread in ("", mark)
    ):
        return None
    return Said(
        user=str(message.get("user", "")),
        channel=channel,
        thread=thread,
        mark=mark,
        text=str(message.get("text", "")),
    )


def _order(mark: str) -> tuple[int, int]:
    whole, _, part = mark.partition(".")
    return (int(whole), int(part)) if whole.isdecimal() and part.isdecimal() else (0, 0)
