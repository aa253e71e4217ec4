"""Slack: one visible act for each message, and a mark by which it is found again."""

from __future__ import annotations

import re
import urllib.request
from functools import partial
from typing import TYPE_CHECKING, Any

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackRequestError

from daemon.memory.messages import Topic
from daemon.outbox.connection import CONNECTION_ERRORS, meaning_of_break
from daemon.outbox.harmless import one_line, slack_text
from daemon.outbox.sink import Absent, Prepared, Refused, Sent, TryAgain, Unclear
from daemon.outbox.slack_errors import meaning_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from slack_sdk.web import SlackResponse

    from daemon.config import Slack
    from daemon.outbox.sink import Letter, Outcome

#: Replies of these are shown in the channel too.
_BROADCAST = (Topic.REPORT, Topic.ALERT, Topic.TROUBLE)
_EVENT = "alfoscd_message"
#: The clocks of the two sides may differ by so much.
_CLOCKS_DIFFER_S = 600.0
_PAGE = 200
_PAGES = 25
_MOST_FILES = 10


class SlackSink:
    """Posts messages; pictures are uploaded first and shown by the one act that posts them.

    Parameters
    ----------
    settings
        Where it posts, and how long it waits.
    token
        Bot token; without one everything is refused in words.
    """

    has_threads = True

    def __init__(self, settings: Slack, token: str) -> None:
        self.pace_s = settings.pace_s
        self._timeout_s = settings.timeout_s
        # Without its own repeats: only the courier knows when a repeat is safe.
        self._client = WebClient(
            token=token or None,
            base_url=settings.api_url,
            timeout=max(1, round(settings.timeout_s)),
            retry_handlers=[],
        )
        self._client.timeout = settings.timeout_s  # type: ignore[assignment]
        self._has_token = bool(token)

    def prepare(self, letter: Letter) -> Prepared | TryAgain | Refused:
        """Upload the pictures; nobody sees them before they are posted."""
        if not self._has_token:
            refused = meaning_of(200, "not_authed")
            assert isinstance(refused, Refused)
            return refused
        files: list[dict[str, str]] = []
        for path in _there(letter):
            uploaded = self._ask(partial(self._upload, path))
            if isinstance(uploaded, Unclear):
                return TryAgain(reason=uploaded.reason)  # uploading again shows nothing twice
            if not isinstance(uploaded, Sent):
                return uploaded
            files.append({"id": uploaded.remote, "title": one_line(path.name, 100)})
        return Prepared({"files": files})

    def send(self, letter: Letter) -> Outcome:
        """Post the message, or its pictures with the message as their comment."""
        answer = self._ask(lambda: self._post(letter, letter.thread))
        if isinstance(answer, Refused) and letter.thread and "thread_not_found" in answer.reason:
            # Somebody deleted the post that the conversation hung on.
            return self._ask(lambda: self._post(letter, ""))
        return answer

    def find(self, letter: Letter) -> Sent | Absent | TryAgain | Refused:
        """Look through the conversation for the mark, or for the uploaded pictures."""
        found: list[str] = []

        def look() -> str:
            found.extend(ts for ts in self._marked(letter))
            return found[0] if found else ""

        answer = self._ask(look)
        if isinstance(answer, Unclear):
            return TryAgain(reason=answer.reason)
        if isinstance(answer, Sent):
            return answer if answer.remote else Absent()
        return answer

    def _upload(self, path: Path) -> str:
        content = path.read_bytes()
        place = self._client.files_getUploadURLExternal(
            filename=one_line(path.name, 100), length=len(content)
        )
        url = str(place["upload_url"])
        if not re.match(r"https?://", url):
            raise SlackRequestError("the upload address is not HTTP")
        request = urllib.request.Request(
            url, data=content, headers={"Content-Type": "application/octet-stream"}
        )
        with urllib.request.urlopen(request, timeout=self._timeout_s):
            pass
        return str(place["file_id"])

    def _post(self, letter: Letter, thread: str) -> str:
        message = letter.message
        text = slack_text(message.text + _lost(letter))
        files = list(letter.prepared.get("files", ()))
        if files:
            answer = self._client.files_completeUploadExternal(
                files=files,
                channel_id=letter.address,
                initial_comment=text,
                thread_ts=thread or None,
            )
            return _ts_of_files(answer, letter.address)
        answer = self._client.chat_postMessage(
            channel=letter.address,
            text=text,
            blocks=[dict(block) for block in message.blocks] or None,
            thread_ts=thread or None,
            reply_broadcast=(message.topic in _BROADCAST or None) if thread else None,
            metadata={"event_type": _EVENT, "event_payload": {"key": letter.marker}},
            mrkdwn=False,
            parse="none",
            link_names=False,
            unfurl_links=False,
            unfurl_media=False,
        )
        return str(answer["ts"])

    def _marked(self, letter: Letter) -> Iterator[str]:
        ids = {each["id"] for each in letter.prepared.get("files", ())}
        for message in self._messages(letter):
            event = message.get("metadata", {}).get("event_payload", {})
            shown = {each.get("id") for each in message.get("files", ())}
            if event.get("key") == letter.marker or (ids and ids <= shown):
                yield str(message["ts"])

    def _messages(self, letter: Letter) -> Iterator[Mapping[str, Any]]:
        oldest = f"{letter.since.timestamp() - _CLOCKS_DIFFER_S:.6f}"
        cursor = ""
        for _ in range(_PAGES):
            options: dict[str, Any] = {
                "channel": letter.address,
                "oldest": oldest,
                "limit": _PAGE,
                "include_all_metadata": True,
                **({"cursor": cursor} if cursor else {}),
            }
            if letter.thread:
                page = self._client.conversations_replies(ts=letter.thread, **options)
            else:
                page = self._client.conversations_history(**options)
            yield from page["messages"]
            cursor = (page.get("response_metadata") or {}).get("next_cursor", "")
            if not cursor:
                return

    def _ask(self, call: Callable[[], str]) -> Outcome:
        try:
            return Sent(call())
        except SlackApiError as error:
            return _meaning(error)
        except SlackRequestError as error:
            return Refused(reason=f"Slack: {error}", advice="check [slack] api_url", closed=True)
        except CONNECTION_ERRORS as error:
            return meaning_of_break(error, "Slack")
        except KeyError as error:
            return Unclear(f"Slack's answer lacks {error}")


def _meaning(error: SlackApiError) -> Outcome:
    answer = error.response
    name = str(answer.get("error", "") or "") if answer.data else ""
    known = name if re.fullmatch(r"[a-z_]+", name) else ""
    if answer.status_code == 200 and not known:
        return Unclear("Slack's answer cannot be read")
    headers = {key.lower(): value for key, value in answer.headers.items()}
    return meaning_of(answer.status_code, known, str(headers.get("retry-after", "")))


def _ts_of_files(answer: SlackResponse, channel: str) -> str:
    """Return the time stamp of the post that shows the files, as far as Slack tells it yet."""
    for file in answer.get("files") or ():
        for shares in (file.get("shares") or {}).values():
            for share in shares.get(channel, ()):
                return str(share.get("ts", ""))
    return ""


def _there(letter: Letter) -> list[Path]:
    if letter.message.blocks:
        return []  # Slack drops blocks beside an upload: their pictures are a message of their own
    return [path for path in letter.message.attachments if path.is_file()][:_MOST_FILES]


def _lost(letter: Letter) -> str:
    there = _there(letter)
    if letter.message.blocks:
        return ""
    left = [path for path in letter.message.attachments if path not in there]
    return "".join(f"\nnot attached: {path}" for path in left)
