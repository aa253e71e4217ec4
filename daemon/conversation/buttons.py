"""The buttons below a product in Slack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from daemon.conversation.command import VERBS
from daemon.outbox.harmless import slack_text

if TYPE_CHECKING:
    from daemon.memory.records import ProductRecord

#: How the ids of our buttons begin.
ACTION = "alfoscd."
_LONGEST_TEXT = 2900
_STYLES = {"accept": {"style": "primary"}, "reject": {"style": "danger"}, "redo": {}}


def product_blocks(text: str, product: ProductRecord) -> tuple[dict[str, Any], ...]:
    """Return a product's text, harmless, with a button for every verdict on this very version."""
    mark = product_mark(product)
    buttons = [
        {
            "type": "button",
            "text": {"type": "plain_text", "text": verb},
            "action_id": f"{ACTION}{verb}",
            "value": mark,
            **_STYLES[verb],
        }
        for verb in VERBS
    ]
    shown = {"type": "mrkdwn", "text": slack_text(text, _LONGEST_TEXT), "verbatim": True}
    return (
        {"type": "section", "text": shown},
        {"type": "actions", "elements": buttons},
    )


def product_mark(product: ProductRecord) -> str:
    """Return what a button carries: the exposure, the product and its version."""
    return f"{product.frame_id} {product.key} {product.generation}"
