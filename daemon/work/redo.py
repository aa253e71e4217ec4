"""What a person asks for when a frame is reduced again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from daemon.memory.records import Job, ProductRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Redo:
    """One request; empty when nobody asked.

    Attributes
    ----------
    user, at
        Who asked, and when (ISO 8601).
    settings
        Fields of `SpectrumSettings`, or of `ImageSettings`, that differ from the configuration.
    pins
        Role -> key of the master that must be used.
    exclude
        Keys of masters, and SHA-256 of raw frames, that must not be used.
    partner
        SHA-256 of the exposure, nodded along the slit, that is subtracted; '' for none.
    recover
        The person has looked: the quality becomes 1, the automatic one is kept beside it.
    """

    user: str = ""
    at: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    pins: Mapping[str, str] = field(default_factory=dict)
    exclude: tuple[str, ...] = ()
    partner: str = ""
    recover: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return what JSON can hold; nothing at all when nobody asked."""
        return {} if self == Redo() else {**asdict(self), "exclude": list(self.exclude)}

    @property
    def in_words(self) -> str:
        """What is asked for, in one line."""
        said = [f"{name} = {value}" for name, value in self.settings.items()]
        said += [f"{role} {key[:12]}" for role, key in self.pins.items()]
        said += [f"without {key[:12]}" for key in self.exclude]
        said += [f"minus {self.partner[:12]}"] * bool(self.partner)
        said += ["quality 1 because a person has looked"] * self.recover
        return ", ".join(said) or "the same settings"

    @property
    def choices(self) -> dict[str, Any]:
        """What changes the product, whoever asked and when; it enters the product key."""
        said = self.to_json()
        return {name: said[name] for name in said if name not in ("user", "at") and said[name]}


def asked_by(job: Job) -> Redo | None:
    """Return what the job's request says; None when no person asked."""
    return redo_from(job.payload["redo"]) if job.payload.get("redo") else None


def carried_over(product: ProductRecord | None) -> Redo:
    """Return what a person once asked for: an upgrade by better calibrations keeps to it."""
    return Redo() if product is None else redo_from(product.redo)


def redo_from(values: Mapping[str, Any]) -> Redo:
    """Return a request as `Redo.to_json` wrote it."""
    known = dict(values)
    known["exclude"] = tuple(known.get("exclude", ()))
    known["settings"] = {name: _tuples(value) for name, value in known.get("settings", {}).items()}
    return Redo(**known)


def _tuples(value: Any) -> Any:
    """Undo what JSON does to tuples, so that settings compare equal."""
    return tuple(_tuples(item) for item in value) if isinstance(value, list | tuple) else value
