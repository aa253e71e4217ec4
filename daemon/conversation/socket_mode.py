"""Slack's Socket Mode: buttons and replies come in over a connection that we open."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from slack_sdk import WebClient
from slack_sdk.socket_mode.builtin import SocketModeClient
from slack_sdk.socket_mode.response import SocketModeResponse

from daemon.conversation.buttons import ACTION
from daemon.conversation.hearing import Said, hear
from daemon.conversation.poll import said_in
from daemon.memory.errors import StorePaused
from daemon.outbox.defects import guarded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from slack_sdk.socket_mode.client import BaseSocketModeClient
    from slack_sdk.socket_mode.request import SocketModeRequest

    from daemon.config import Config
    from daemon.memory.archive import Archive

log = logging.getLogger(__name__)


def said_with(kind: str, payload: Mapping[str, Any]) -> list[Said]:
    """Return what a payload of Socket Mode tells of: presses of our buttons, or a reply.

    Parameters
    ----------
    kind
        'interactive' or 'events_api'; others tell nothing.
    """
    if kind == "events_api":
        event = payload.get("event") or {}
        found = said_in(event, str(event.get("channel", "")))
        return [found] if event.get("type") == "message" and found is not None else []
    if kind != "interactive" or payload.get("type") != "block_actions":
        return []
    where = payload.get("container") or {}
    return [
        Said(
            user=str((payload.get("user") or {}).get("id", "")),
            channel=str(where.get("channel_id", "")),
            thread=str(where.get("thread_ts", "")),
            mark=str(action.get("action_ts", "")),
            verb=str(action.get("action_id", "")).removeprefix(ACTION),
            product=str(action.get("value", "")),
        )
        for action in payload.get("actions") or ()
        if str(action.get("action_id", "")).startswith(ACTION)
    ]


class Listener:
    """Hears what comes in while the connection lasts; who holds it connects again.

    Parameters
    ----------
    token
        App-level token (xapp-...).
    """

    def __init__(self, archive: Archive, config: Config, token: str) -> None:
        self._archive, self._config = archive, config
        web = WebClient(
            base_url=config.slack.api_url, timeout=max(1, round(config.slack.timeout_s))
        )
        self._client = SocketModeClient(
            app_token=token, web_client=web, concurrency=1, auto_reconnect_enabled=False
        )
        self._client.socket_mode_request_listeners.append(self._on_request)

    @property
    def is_connected(self) -> bool:
        """Whether it hears anything now."""
        return self._client.is_connected()

    def connect(self) -> None:
        """Open the connection.

        Raises
        ------
        slack_sdk.errors.SlackApiError
            If Slack refuses the token.
        """
        self._client.connect_to_new_endpoint()

    def close(self) -> None:
        """Hang up."""
        self._client.close()

    def _on_request(self, client: BaseSocketModeClient, request: SocketModeRequest) -> None:
        """Hear one thing; only what is written down is acknowledged, the rest comes again.

        A defect of ours is acknowledged too: that Slack repeats it would not mend it.
        """
        if guarded("the ear at Slack's socket", lambda: self._heard(request)):
            response = SocketModeResponse(envelope_id=request.envelope_id)
            client.send_socket_mode_response(response)

    def _heard(self, request: SocketModeRequest) -> bool:
        """Do what is asked for; False where it could not be written down."""
        try:
            for said in said_with(request.type, request.payload):
                hear(self._archive, self._config, said)
        except StorePaused as error:
            log.warning("waiting for the database: %s", error)
            return False
        return True
