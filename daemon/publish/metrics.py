"""The state as a Prometheus text file, for a node exporter to pick up."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from daemon.status_lines import Status

    Sample = tuple[Mapping[str, str], float]

_VERDICTS = {"ok": 0, "degraded": 1, "down": 2}


def metrics_text(status: Status) -> str:
    """Return the metrics in Prometheus' text format (version 0.0.4)."""
    beats = [worker.age_s for worker in status.workers if worker.who == "supervisor"]
    canaries = [status.canary] if status.canary is not None else []
    parts = [
        _metric("verdict", "0 ok, 1 something wants attention, 2 the daemon is down",
                [({}, _VERDICTS[status.verdict])]),
        _metric("files", "Raw files by how they ended", _by("state", status.files)),
        _metric("frames", "Frames of the night by kind", _by("kind", status.frames)),
        _metric("jobs", "Jobs by state", _by("state", status.jobs)),
        _metric("products", "Current products of the night by state and quality",
                _products(status.product_counts)),
        _metric("latency_seconds", "From arrival to first product, this night",
                _by("quantile", status.latency_s)),
        _metric("shutter_latency_seconds", "From shutter to first product, this night",
                _by("quantile", status.shutter_latency_s)),
        _metric("untouched_nights", "Nights in a row that nobody had to touch",
                [({}, status.untouched_nights)]),
        _metric("verdicts", "Products by what people said", _by("verdict", status.verdicts)),
        _metric("supervisor_age_seconds", "Since the supervisor's last sign of life",
                [({}, age) for age in beats[:1]]),
        _metric("workers", "Processes at work",
                [({}, sum(worker.who != "supervisor" for worker in status.workers))]),
        _metric("canary_ok", "1 when the last synthetic set came out as it should, else 0",
                [({}, float(not last.problems)) for last in canaries]),
        _metric("canary_age_seconds", "Since the last synthetic set ended",
                [({}, (status.at - last.ended_at).total_seconds()) for last in canaries]),
        _metric("canary_latency_seconds", "From when it was due to its end",
                [({}, last.latency_s) for last in canaries]),
        _metric("written_seconds", "When this was written, seconds since 1970",
                [({}, status.at.timestamp())]),
    ]  # fmt: skip
    return "".join(parts)


def _by(label: str, values: Mapping[str, float]) -> list[Sample]:
    return [({label: name}, value) for name, value in sorted(values.items())]


def _products(counts: Mapping[str, int]) -> list[Sample]:
    found: list[Sample] = []
    for name, count in sorted(counts.items()):
        state, _, quality = name.partition(" ")
        found.append(({"state": state, "quality": quality}, count))
    return found


def _metric(name: str, sentence: str, samples: Iterable[Sample]) -> str:
    full = f"alfoscd_{name}"
    lines = [f"# HELP {full} {sentence}", f"# TYPE {full} gauge"]
    for labels, value in samples:
        inside = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
        lines.append(f"{full}{{{inside}}} {value:g}" if inside else f"{full} {value:.15g}")
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
