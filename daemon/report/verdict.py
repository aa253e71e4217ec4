"""The verdict on a night: the worst of named rules, the subject line, and what to do."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from daemon.health.bands import BAD_SIGMA
from daemon.publish.words import argument, clean, last_line
from daemon.report.night_report import WORST_GOOD
from daemon.status_words import advice_on

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from daemon.report.night_report import Failure, Lost, NightReport
    from daemon.status_lines import ProductSummary

GREEN, AMBER, RED = "GREEN", "AMBER", "RED"
#: Exposures that share no pattern, and stars that show the flat to be right, are no failure.
_NOT_MISSED = ("FRINGE", "STAR_FLAT")
_CANARY = "the path from frame to product is not well: see `alfoscd status`"
#: So many names stand in a line; the others are counted.
_NAMED, _WITH_TARGET = 6, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A rule that a night broke."""

    colour: str
    rule: str
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """Something a person should do, with the command that mends it."""

    what: str
    command: str


def findings_of(report: NightReport) -> list[Finding]:
    """Return every rule that the night broke, the gravest first."""
    found = [*_red(report), *_amber(report)]
    return sorted(found, key=lambda each: each.colour != RED)


def verdict_of(report: NightReport) -> tuple[str, str]:
    """Return the colour of a night and the rule that made it."""
    found = findings_of(report)
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        return found[0].colour, f"{found[0].rule}: {found[0].sentence}{more}"
    if not report.frames:
        return GREEN, "nothing was taken"
    return GREEN, "every frame accounted for, no product worse than quality 2"


def subject_of(report: NightReport) -> str:
    """Return the subject line: `[ALFOSC 2026-11-20] AMBER 57/57 frames · ... · 2 actions`."""
    colour, _ = verdict_of(report)
    unexplained = report.unexplained
    frames = f"{report.frames}/{report.frames + unexplained} frames"
    if not report.frames and not unexplained:
        frames = "nothing taken"
    if report.account is None:
        frames = f"{report.frames} frames, account unknown"
    parts = [f"{colour} {frames}"]
    for name, products in (("spectra", report.spectra), ("images", report.images)):
        lost = [each for each in report.lost if _is_of(each, name)]
        if products or lost:
            parts.append(_counted(name, products, lost))
    actions = len(actions_of(report))
    parts.append(f"{actions} action{'s' * (actions != 1)}" if actions else "no action")
    return f"[ALFOSC {clean(report.night, 20)}] {' · '.join(parts)}"


def actions_of(report: NightReport) -> list[Action]:
    """Return what a person should do, what cost most first."""
    return [*_of_account(report), *_of_frames(report), *_of_calibrations(report), *_of_rest(report)]


def _is_of(lost: Lost, name: str) -> bool:
    return (name == "spectra") == lost.kind.startswith("SPEC")


def _counted(name: str, products: Sequence[ProductSummary], lost: Sequence[Lost]) -> str:
    kept = [line for line in products if not line.verdict.startswith("rejected")]
    good = sum(line.quality <= WORST_GOOD for line in kept)
    rejected = len(products) - len(kept)
    counts = Counter({"ok": good, "check": len(kept) - good, "rejected": rejected})
    counts.update({"waiting": "open"}.get(each.outcome, "failed") for each in lost)
    said = ", ".join(f"{n} {word}" for word, n in counts.items() if n)
    total = len(products) + len(lost)
    return f"{total} {name[:-1] if name == 'images' and total == 1 else name} ({said})"


def _red(report: NightReport) -> Iterator[Finding]:
    for said in report.broken:
        yield Finding(colour=RED, rule="broken identity", sentence=said)
    for part in ("COMPLETENESS", "SCIENCE", "FRAMES"):
        if part in report.unknown:
            yield Finding(colour=RED, rule="not provable", sentence=report.unknown[part])
            return
    gone = [each for each in report.lost if each.outcome != "waiting"]
    made = len(report.spectra) + len(report.images)
    if gone and len(gone) >= made:
        yield Finding(
            colour=RED,
            rule="science lost",
            sentence=f"{len(gone)} of {made + len(report.lost)} exposures gave no product",
        )


def _amber(report: NightReport) -> Iterator[Finding]:
    poor = sum(line.quality > WORST_GOOD for line in (*report.spectra, *report.images))
    far = sum(is_far(check.sigma) for each in report.masters for check in each.checks)
    counts = (
        ("no product", sum(each.outcome != "waiting" for each in report.lost),
         "{n} exposure{s} gave no product"),
        ("quality", poor, "{n} product{s} of quality 3 or worse"),
        ("failed jobs", len(_jobs(report)), "{n} job{s} given up"),
        ("files", len(report.troubles), "{n} file{s} held or quarantined"),
        ("work open", report.open_jobs, "{n} job{s} had not ended when this was written"),
        ("rejected master", sum(is_missed(each.role, each.state) for each in report.masters),
         "{n} master{s} rejected"),
        ("calibrations owed", len(report.debts), "{n} good calibration{s} lacking"),
        ("history", far, "{n} number{s} of masters more than 5 sigma off earlier nights"),
        ("instrument", sum(len(each.alarms) for each in report.trends),
         "{n} change{s} of the instrument"),
        ("canary", bool(report.machine.canary_problem), "the last canary did not come through"),
        ("running numbers", _never_arrived(report), "{n} frame{s} never arrived"),
        ("clocks", len(report.account.clocks.sentences) if report.account else 0,
         "{n} contradiction{s} between clocks"),
        ("outbox", report.deliveries.get("dead", 0), "{n} message{s} given up"),
    )  # fmt: skip
    for rule, count, sentence in counts:
        if count:
            said = sentence.format(n=count, s="s" * (count != 1))
            yield Finding(colour=AMBER, rule=rule, sentence=said)


def _never_arrived(report: NightReport) -> int:
    return sum(len(run.missing) for run in report.account.runs) if report.account else 0


def is_missed(role: str, state: str) -> bool:
    """Tell whether a master was rejected that somebody has to take again."""
    return state == "rejected" and role not in _NOT_MISSED


def is_far(sigma: float | None) -> bool:
    """Tell whether a number is outside the wide band of its history."""
    return sigma is not None and abs(sigma) > BAD_SIGMA


def _jobs(report: NightReport) -> list[Failure]:
    """Return the failed jobs that no frame without product stands for."""
    lost = {each.stem for each in report.lost}
    return [each for each in report.failures if each.about not in lost]


def _of_account(report: NightReport) -> Iterator[Action]:
    for said in report.broken:
        command = "alfoscd status"
        if said.startswith("products do"):
            command = "look whether the disc is well, then alfoscd redo of each that is named"
        yield Action(what=said, command=command)
    for part, why in report.unknown.items():
        yield Action(what=f"{part} unknown: {clean(why)}", command="alfoscd status")


def lost_together(report: NightReport) -> list[tuple[str, str, list[Lost]]]:
    """Return (outcome, reason, frames): what failed for one reason is told once."""
    groups: dict[tuple[str, str], list[Lost]] = {}
    for each in report.lost:
        groups.setdefault((each.outcome, clean(last_line(each.reason), 160)), []).append(each)
    return [(outcome, reason, frames) for (outcome, reason), frames in groups.items()]


def _of_frames(report: NightReport) -> Iterator[Action]:
    for outcome, reason, frames in lost_together(report):
        if outcome == "waiting":
            continue
        who = _who([(each.stem, each.target) for each in frames])
        stems = [each.stem for each in frames]
        again = f"quarantine retry {' '.join(map(argument, stems[:_NAMED]))}"
        if outcome != "failed":
            again = f"why {argument(stems[0])}"
        yield Action(what=f"{who}: {reason}", command=f"alfoscd {again}")
    groups: dict[str, list[ProductSummary]] = {}
    poor = [line for line in (*report.spectra, *report.images) if line.quality > WORST_GOOD]
    for line in sorted(poor, key=lambda item: -item.quality):
        groups.setdefault(line.flags[0][0] if line.flags else "", []).append(line)
    for name, lines in groups.items():
        who = _who([(line.stem, line.target) for line in lines])
        said = clean(lines[0].flags[0][1]) if lines[0].flags else "no reason recorded"
        todo = report.advice.get(name) or "Judge it by eye."
        each = f"alfoscd redo {argument(lines[0].stem)}" + (", and so on" if len(lines) > 1 else "")
        yield Action(what=f"{who}: {said}", command=f"{todo} ({each}){_plot_of(lines[0])}")


def _who(frames: Sequence[tuple[str, str]]) -> str:
    """Return stems with their targets; of many frames the stems alone."""
    few = len(frames) <= _WITH_TARGET
    return names_of([f"{s} {clean(t, 30)}".strip() if few else s for s, t in frames])


def names_of(names: Sequence[str]) -> str:
    """Return a few names, and how many more there are."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _of_calibrations(report: NightReport) -> Iterator[Action]:
    for each in report.masters:
        if is_missed(each.role, each.state):
            yield Action(
                what=f"{each.role} {clean(each.setup, 60)} ({each.first}-{each.last}): "
                f"{clean(each.reason)}",
                command="take this calibration again",
            )
    wanted: dict[str, list[str]] = {}
    for debt in report.debts:
        wanted.setdefault(debt.take, []).append(f"{debt.setup}: {debt.role} {debt.standing}")
    for take, whose in wanted.items():
        yield Action(what=clean("; ".join(whose), 200), command=f"tonight: take {clean(take)}")


def _of_rest(report: NightReport) -> Iterator[Action]:
    for job in _jobs(report):
        yield Action(
            what=f"{job.kind} {clean(job.about, 60)}: {clean(last_line(job.error), 160)}",
            command=f"alfoscd quarantine retry {argument(job.name)}",
        )
    for trend in report.trends:
        for said in trend.alarms:
            yield Action(what=said, command=clean(trend.advice))
    if report.machine.canary_problem:
        yield Action(what=f"canary: {clean(report.machine.canary_problem)}", command=_CANARY)
    for trouble in report.troubles:
        yield Action(
            what=f"{clean(trouble.path, 120)}: {clean(trouble.reason)}", command=advice_on(trouble)
        )
    if report.deliveries.get("dead"):
        yield Action(
            what=f"{report.deliveries['dead']} messages were given up by the outbox",
            command="alfoscd status names them and what to correct",
        )


def _plot_of(line: ProductSummary) -> str:
    """Return where its verification plot is, below the night's folder."""
    path = line.paths.get("plot", "")
    return f"; see plots/{clean(path.rpartition('/')[2], 120)}" if path else ""
