"""What a person sees of one product before the verdict, and how good the checks have been."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from daemon.layout import version_of
from daemon.publish.words import argument, clean, clock, number, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from daemon.account.check_statistics import CheckScore
    from daemon.memory.records import FrameRecord, ProductRecord

#: Recipe -> the questions of the check list, the same for everyone.
QUESTIONS = {
    "spectrum": (
        "is the extracted trace the target (cross on the slit, finder beside it)?",
        "is the residual of the profile free of structure?",
        "does the spectrum look like one object, without steps and sky lines?",
    ),
    "image": (
        "do the catalogue's circles lie on the stars?",
        "is the residual of the stars free of structure?",
        "is the sky flat, without trails or fringes left?",
    ),
}


def card(frame: FrameRecord, product: ProductRecord) -> list[str]:
    """Return one product in a few lines: what it is, what the checks say, where its plot is."""
    found = product.measurements
    own = frame.identity
    lines = [
        f"{frame.stem}  {clean(product.target, 40)}  {clock(own.observed_at)} UT  "
        f"{own.exposure_s:g} s  version {version_of(product.main_path)}  {product.state}  "
        f"quality {product.quality}",
        f"  S/N {number(found.get('snr'), '.1f')}  seeing "
        f'{number(found.get("seeing_arcsec", found.get("fwhm_arcsec")), ".2f")}"',
    ]
    lines += [f"  {flag.name}: {clean(flag.sentence, 160)}" for flag in product.flags]
    plot = product.paths.get("plot")
    lines.append(f"  plot: {plot}" if plot else "  plot: none was drawn; judge by the spectrum")
    return lines


def score_lines(scores: Sequence[CheckScore], judged: int) -> list[str]:
    """Return every check with its precision and recall, or why there is none."""
    if not judged:
        return ["nobody has judged a product yet: `alfoscd verify` walks through them"]
    fired = [s for s in scores if s.flagged_rejected + s.flagged_accepted]
    rows = [
        (
            item.name,
            str(item.flagged_rejected + item.flagged_accepted),
            f"{number(item.precision, '.2f')} ({item.precision_range[0]:.2f}"
            f"-{item.precision_range[1]:.2f})",
            number(item.recall, ".2f"),
            str(item.missed),
        )
        for item in fired
    ]
    head = ("check", "flagged", "precision (68 %)", "recall", "missed")
    silent = [item.name for item in scores if item not in fired]
    lines = [f"{judged} products were judged", *table(head, rows, 100)]
    return lines + ([f"never raised among them: {', '.join(silent)}"] if silent else [])


def verify_page(cards: Sequence[tuple[FrameRecord, ProductRecord]], night: str) -> str:
    """Return a page with every plot of a night and the commands that judge it."""
    parts = [
        "<!doctype html><meta charset='utf-8'><title>verify "
        f"{escape(night)}</title><style>body{{font:14px sans-serif;max-width:70em;margin:2em auto}}"
        "img{max-width:100%}pre{background:#f4f4f4;padding:.6em;overflow:auto}</style>"
        f"<h1>Night {escape(night)}: {len(cards)} products without a verdict</h1>"
    ]
    for frame, product in cards:
        text = escape("\n".join(card(frame, product)))
        commands = escape(_commands(frame))
        plot = product.paths.get("plot")
        picture = f"<img loading='lazy' src='{escape(plot.as_uri())}'>" if plot else ""
        questions = "".join(f"<li>{escape(q)}</li>" for q in QUESTIONS.get(product.recipe, ()))
        parts.append(
            f"<h2>{escape(frame.stem)} {escape(clean(product.target, 60))}</h2><pre>{text}</pre>"
            f"{picture}<ul>{questions}</ul><pre>{commands}</pre>"
        )
    return "\n".join(parts) + "\n"


def _commands(frame: FrameRecord) -> str:
    name = f"alfoscd redo {argument(frame.stem)} --night {frame.night}"
    return f"{name} --accept\n{name} --reject\n{name} --center PX"
