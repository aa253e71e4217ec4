"""The report as one HTML page: no script, no remote picture, every text of a header escaped."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from daemon.outbox.harmless import visible
from daemon.publish.words import clean
from daemon.report.sections import sections_of
from daemon.report.verdict import AMBER, GREEN, RED, actions_of, findings_of, subject_of, verdict_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from daemon.report.night_report import NightReport
    from daemon.report.sections import Section
    from daemon.status_lines import ProductSummary

#: Of a page on disc, and of one in a mail; base64 included.
PAGE_BYTES, MAIL_BYTES = 2_000_000, 500_000
#: What a page has beside its pictures.
TEXT_BYTES = 300_000
_COLOURS = {GREEN: "#1b7f3b", AMBER: "#a86400", RED: "#b3261e"}
_STYLE = """
body{font:14px/1.45 system-ui,sans-serif;color:#1d1d1f;margin:0 auto;max-width:76rem;padding:1rem}
h1{font-size:1.35rem;margin:.2rem 0}h2{font-size:1rem;margin:1.6rem 0 .3rem;letter-spacing:.04em}
.v{color:#fff;padding:.15rem .6rem;border-radius:.3rem}.m{color:#666}
pre{font:12.5px/1.4 ui-monospace,Menlo,Consolas,monospace;overflow-x:auto;margin:.2rem 0}
ol li,p{overflow-wrap:anywhere}
ol li{margin:.35rem 0}code{background:#f1f1f3;padding:.05rem .3rem;border-radius:.2rem}
figure{display:inline-block;vertical-align:top;margin:.4rem .8rem .4rem 0;max-width:32.5rem}
figure img{max-width:100%;height:auto;border:1px solid #ccc}
figcaption{font-size:12px}p{margin:.15rem 0}
"""


def render_page(report: NightReport, thumbnails: Mapping[str, str]) -> str:
    """Return the page.

    Parameters
    ----------
    thumbnails
        Stem -> data URI; what has none is named by its file.
    """
    colour, rule = verdict_of(report)
    body = [
        f'<h1>ALFOSC night {_safe(report.night)} <span class="v" '
        f'style="background:{_COLOURS[colour]}">{colour}</span></h1>',
        f"<p>{_safe(rule)}</p>",
        *(
            f'<p class="m">also: {_safe(f"{each.rule}: {each.sentence}")}</p>'
            for each in findings_of(report)[1:]
        ),
        f'<p class="m">written {report.at:%Y-%m-%d %H:%M} UT · report v{report.version} · '
        f"{_safe(report.software)}</p>",
        f"<p>{_safe(clean(report.comment, 2000))}</p>" if report.comment else "",
        *_actions(report),
    ]
    for section in sections_of(report):
        body += _section(section)
        if section.title == "SCIENCE":
            body += _pictures(report.spectra, thumbnails)
        if section.title == "IMAGES":
            body += _pictures(report.images, thumbnails)
    return "\n".join(
        [
            '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width,initial-scale=1">',
            f"<title>{_safe(subject_of(report))}</title><style>{_STYLE}</style></head><body>",
            *(line for line in body if line),
            "</body></html>\n",
        ]
    )


def _actions(report: NightReport) -> list[str]:
    wanted = actions_of(report)
    if not wanted:
        return ["<h2>ACTIONS NEEDED: none</h2>"]
    items = [f"<li>{_safe(each.what)}<br><code>{_safe(each.command)}</code></li>"
             for each in wanted]  # fmt: skip
    return [f"<h2>ACTIONS NEEDED ({len(wanted)})</h2>", "<ol>", *items, "</ol>"]


def _section(section: Section) -> list[str]:
    title = f"<h2>{_safe(section.title)}</h2>"
    if section.is_table:
        return [title, f"<pre>{_safe(chr(10).join(section.lines))}</pre>"]
    return [title, *(f"<p>{_safe(line)}</p>" for line in section.lines)]


def _pictures(products: tuple[ProductSummary, ...], thumbnails: Mapping[str, str]) -> list[str]:
    shown = [line for line in products if line.stem in thumbnails]
    named = [line for line in products if line.stem not in thumbnails and line.paths.get("plot")]
    lines = [
        f'<figure><img alt="{_safe(line.stem)}" src="{thumbnails[line.stem]}"><figcaption>'
        f"{_safe(f'{line.stem} {clean(line.target, 40)}, quality {line.quality}')}"
        "</figcaption></figure>"
        for line in shown
    ]
    if named:
        files = ", ".join(clean(line.paths["plot"].rpartition("/")[2], 120) for line in named)
        lines.append(f'<p class="m">plots beside these: {_safe(files)}</p>')
    return lines


def _safe(text: str) -> str:
    """Return text that a browser shows and never obeys."""
    return escape(visible(text), quote=True)
