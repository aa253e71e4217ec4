"""An alert in words: a text complete in itself, the same for mail readers, and for Slack."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from daemon.outbox.harmless import slack_text
from daemon.publish.words import clean
from daemon.triggers.matching import separation_deg
from reducers.transients.alert import Change, Urgency

if TYPE_CHECKING:
    from collections.abc import Sequence

    from daemon.memory.candidate_records import CandidateRecord
    from reducers.transients.alert import Alert
    from reducers.transients.localisation import Localisation

_WORDS = {
    Urgency.PAGE: "GREEN",
    Urgency.AT_ONCE: "ORANGE",
    Urgency.DIGEST: "new source",
}
#: Lines of a digest for what may be forgotten stars: beyond, people stop reading.
_MOST_UNPROVED = 20
_CHANGES = {Change.UPGRADE: "better placed: ", Change.AGAIN: "still there: "}


def subject_of(alert: Alert) -> str:
    """Return the one line that a telephone shows."""
    found = alert.candidate
    event = f", {alert.localisations[0].event}" if alert.localisations else ""
    return clean(
        f"{_CHANGES.get(alert.change, '')}{_WORDS[alert.urgency]}: {magnitude_of(alert)} at "
        f"{sexagesimal(found.ra_deg, found.dec_deg)}{event}",
        160,
    )


def text_of(alert: Alert) -> str:
    """Return everything that a person needs to decide whether to look."""
    return "\n".join([subject_of(alert), *(f"{name}: {what}" for name, what in facts_of(alert))])


def html_of(alert: Alert) -> str:
    """Return the same for mail readers; whatever headers or notices said is only text."""
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td>{escape(what)}</td></tr>" for name, what in facts_of(alert)
    )
    links = " &middot; ".join(
        f'<a href="{escape(url)}">{escape(name)}</a>' for name, url in links_of(alert)
    )
    return f"<h3>{escape(subject_of(alert))}</h3><table>{rows}</table><p>{links}</p>"


def blocks_of(alert: Alert) -> tuple[dict[str, Any], ...]:
    """Return Slack blocks: a heading, the facts, the links; nothing in them rings for a channel."""
    facts = "\n".join(f"*{name}*  {slack_text(what)}" for name, what in facts_of(alert))
    links = "  ".join(f"<{url}|{name}>" for name, url in links_of(alert))
    heading = {"type": "plain_text", "text": subject_of(alert)[:150], "emoji": False}
    return (
        {"type": "header", "text": heading},
        {"type": "section", "text": {"type": "mrkdwn", "text": facts[:2900], "verbatim": True}},
        {"type": "context", "elements": [{"type": "mrkdwn", "text": links, "verbatim": True}]},
    )


def facts_of(alert: Alert) -> list[tuple[str, str]]:
    """Return (name, value) of everything that is told, as plain text."""
    found, image = alert.candidate, alert.image
    when = "time unknown" if image.observed_at is None else f"{image.observed_at:%Y-%m-%d %H:%M:%S}"
    depth = f", searched to {image.limit_mag:.1f}" if math.isfinite(image.limit_mag) else ""
    flags = "; ".join(flag.sentence for flag in found.vetoes)
    facts = [
        ("name", alert.name),
        ("place", f"{sexagesimal(found.ra_deg, found.dec_deg)} = {found.ra_deg:.6f} "
                  f"{found.dec_deg:+.6f}, {found.position_error_arcsec:.2f}\" per axis"),
        ("magnitude", magnitude_of(alert)),
        *(("trigger", trigger_words(alert, each)) for each in alert.localisations),
        ("image", f"{image.stem} of {image.target or 'no name'}, {image.exposure_s:g} s, "
                  f"{when} UT{depth}"),
        ("found by", f"{found.method}, S/N {found.snr:.0f}, score {found.score:.2f}"),
        ("but", flags),
    ]  # fmt: skip
    if not alert.localisations:
        facts.append(("trigger", "none: no satellite has told of anything here"))
    return [(name, clean(what, 400)) for name, what in facts if what]


def links_of(alert: Alert) -> list[tuple[str, str]]:
    """Return (name, address) of pages about the place, made of its coordinates alone."""
    ra, dec = f"{alert.candidate.ra_deg:.6f}", f"{alert.candidate.dec_deg:.6f}"
    tns = urlencode({"ra": ra, "decl": dec, "radius": 5, "coords_unit": "arcsec"})
    legacy = urlencode({"ra": ra, "dec": dec, "layer": "ls-dr10", "zoom": 15})
    simbad = urlencode({"Coord": f"{ra} {dec}", "Radius": 10, "Radius.unit": "arcsec"})
    return [
        ("TNS", f"https://www.wis-tns.org/search?{tns}"),
        ("Legacy Survey", f"https://www.legacysurvey.org/viewer?{legacy}"),
        ("Simbad", f"https://simbad.cds.unistra.fr/simbad/sim-coo?{simbad}"),
    ]


def magnitude_of(alert: Alert) -> str:
    """Return 'r = 19.12 +- 0.03 (AB)'."""
    found = alert.candidate
    return (
        f"{clean(found.band, 12)} = {found.magnitude:.2f} ± {found.magnitude_error:.2f} "
        f"({alert.image.system})"
    )


def trigger_words(alert: Alert, circle: Localisation) -> str:
    """Return where a candidate lies in a circle, and how long after the event it was seen."""
    found = alert.candidate
    away = 3600 * separation_deg((found.ra_deg, found.dec_deg), (circle.ra_deg, circle.dec_deg))
    r90, unit = (circle.r90_arcsec, '"') if circle.kind == "XRT" else (circle.r90_arcsec / 60, "'")
    away = away if circle.kind == "XRT" else away / 60
    after = ""
    if circle.happened_at is not None and alert.image.middle is not None:
        after = f", {_span((alert.image.middle - circle.happened_at).total_seconds())} the event"
    by = f" of {circle.instrument}" if circle.instrument else ""
    return (
        f"{away:.1f}{unit} from the middle of the circle{by} (r90 {r90:.1f}{unit}), "
        f"{circle.event or 'no name'}{after}"
    )


def headline_of(alert: Alert) -> str:
    """Return one line for a list of many."""
    found, image = alert.candidate, alert.image
    return clean(
        f"{alert.name}  {magnitude_of(alert)}  score {found.score:.2f}  {image.stem} of "
        f"{image.target or 'no name'}",
        200,
    )


def digest_of(headlines: Sequence[str], unproved: Sequence[str], night: str, moved: int = 0) -> str:
    """Return one text for the sources of a night that nobody was told of at once.

    Parameters
    ----------
    headlines
        Of the new sources that lie in no circle.
    unproved
        Of those that no catalogue lists and that nothing proves to be new.
    moved
        Number of those that seemed new and moved on a later exposure.
    """
    many = "s" * (len(headlines) != 1)
    lines = []
    if headlines:
        lines.append(f"{len(headlines)} new source{many} in the night {night} without a trigger")
        lines += [*headlines, "`alfoscd alert show NAME` tells all of one of them"]
    if unproved:
        they = "they are" if len(unproved) > 1 else "it is"
        what = "sources are" if len(unproved) > 1 else "source is"
        lines.append(
            f"{len(unproved)} {what} in no catalogue in the night {night}, "
            f"and nothing proves that {they} new"
        )
        lines += unproved[:_MOST_UNPROVED]
        if len(unproved) > _MOST_UNPROVED:
            lines.append(f"and {len(unproved) - _MOST_UNPROVED} more: see new_sources_*.txt")
    if moved:
        lines.append(f"{moved} that seemed new moved from one exposure to the next")
    return "\n".join(lines)


def unproved_line(kept: CandidateRecord) -> str:
    """Return one line for a source that is in no catalogue, and why it is not called new."""
    one = kept.candidate
    return clean(
        f"{sexagesimal(one.ra_deg, one.dec_deg)}  {one.band} = {one.magnitude:.2f} ± "
        f"{one.magnitude_error:.2f}  {kept.stem} of {kept.target or 'no name'}: "
        f"{' '.join(one.reasons)}",
        400,
    )


def sexagesimal(ra_deg: float, dec_deg: float) -> str:
    """Return '10:00:28.61 +02:12:21.2'."""
    hours = round(ra_deg % 360 / 15 * 360000) % (24 * 360000)
    degrees = round(abs(dec_deg) * 36000)
    return (
        f"{hours // 360000:02d}:{hours // 6000 % 60:02d}:{hours % 6000 / 100:05.2f} "
        f"{'-' if dec_deg < 0 else '+'}{degrees // 36000:02d}:{degrees // 600 % 60:02d}:"
        f"{degrees % 600 / 10:04.1f}"
    )


def _span(seconds: float) -> str:
    size, side = abs(seconds), "after" if seconds >= 0 else "before"
    if size < 7200:
        return f"{size / 60:.0f} min {side}"
    return f"{size / 3600:.1f} h {side}" if size < 172800 else f"{size / 86400:.1f} d {side}"
