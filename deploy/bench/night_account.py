"""What a played night came to: the proof, the posts, the report as sent, the latencies."""

from __future__ import annotations

import email
import email.policy
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from daemon.account.night import account_of_night
from daemon.layout import Layout
from daemon.memory.messages import DeliveryState, Topic
from daemon.work.jobs import JobQueue
from deploy.bench.night_play import ALFOSC, command, opened

if TYPE_CHECKING:
    from collections.abc import Sequence

    from daemon.account.night import NightAccount
    from deploy.bench.night_play import Played
    from tests.daemon.slack_server import SlackServer


@dataclass(frozen=True, slots=True, kw_only=True)
class Posts:
    """Messages about products against what stands in the channel.

    Attributes
    ----------
    singly, together, overtaken
        Messages that stand there by themselves, as a line of a digest, and those that a newer
        version replaced before they were sent.
    wrong
        (title, how often it stands there) of all others: there should be none.
    """

    posts: int
    singly: int
    together: int
    overtaken: int
    wrong: tuple[tuple[str, int], ...]


def posts_of(played: Played, slack: SlackServer) -> Posts:
    """Count how often every message about a product stands in the channel."""
    texts = slack.texts()
    with opened(played.config) as archive:
        queued = archive.notices(Topic.PRODUCT, limit=100_000)
        state = {
            each.message.key: each.state
            for each in archive.last_deliveries(100_000, sink="slack", settled=True)
        }
    # A digest is no product: its lines are counted.
    lines = [line for text in texts for line in text.splitlines() if line.startswith("• ")]
    products = [
        (notice.message, state.get(notice.message.key, DeliveryState.OVERTAKEN))
        for notice in queued
        if notice.message.key.startswith("product:")
    ]
    states = Counter(how for _, how in products)
    # A product that was made twice alike during an outage has two lines.
    together = Counter(each.title for each, how in products if how is DeliveryState.GATHERED)
    wrong = []
    for message, how in products:
        whole = sum(text.startswith(message.text) for text in texts)
        told = sum(message.title in line for line in lines)
        if (whole, told) != (how is DeliveryState.SENT, together[message.title]):
            wrong.append((message.title, whole + told))
    return Posts(
        posts=len(texts),
        singly=states[DeliveryState.SENT],
        together=states[DeliveryState.GATHERED],
        overtaken=states[DeliveryState.OVERTAKEN],
        wrong=tuple(wrong),
    )


def proof_of(played: Played) -> NightAccount:
    """Return the account of the night, every product's hash verified."""
    with opened(played.config) as archive:
        queue = JobQueue(archive.engine, archive.clock)
        return account_of_night(
            archive, queue, played.night, raw=played.config.raw, instruments=(ALFOSC,)
        )


def reports_of(played: Played) -> list[str]:
    """Return the reports of the night as they were sent, head and plain text."""
    folder = Layout(played.config.root).report(played.night)
    found = []
    for path in sorted(folder.glob("*.eml")):
        mail = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
        body = mail.get_body(("plain",))
        if "report" in path.name:
            text = body.get_content() if body is not None else "(no plain text)"
            found.append(f"Subject: {mail['Subject']}\n\n{text}")
    return found


def written(played: Played, slack: SlackServer, why: Sequence[str]) -> str:
    """Return everything that is shown of a night, as text."""
    proof, posts = proof_of(played), posts_of(played, slack)
    parts = [
        f"NIGHT {played.night}: {played.frames} frames, {played.took_s:.0f} s; "
        f"{'all done' if played.finished else 'NOT finished in time'}",
        *proof.sentences,
        f"broken identities: {'; '.join(proof.broken) or 'none'}",
        f"posts in Slack {posts.posts}; of products {posts.singly} singly, {posts.together} in "
        f"digests, {posts.overtaken} replaced by a newer version before they were sent; "
        f"told not exactly once: {list(posts.wrong) or 'none'}",
        f"redone {played.redone}, rejected {played.rejected}",
        f"arrival to product: {proof.service.arrival_to_product}",
    ]
    for stem in why:
        parts += [f"\n$ alfoscd why {stem}", command(played, "why", stem)]
    parts += ["\n$ alfoscd status", command(played, "status")]
    for text in reports_of(played):
        parts += ["\n===== report as sent =====", text]
    return "\n".join(parts) + "\n"
