"""The log of one reduced object: every step, every calibration, every warning, as text."""

from __future__ import annotations

import textwrap
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

from reducers.products import printable
from reducers.reduced import SpectrumSettings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reducers.products import Provenance
    from reducers.quality import Flag
    from reducers.reduced import Exposure, ExtractedObject, ReducedSpectrum

WIDTH = 90


def chosen_settings(settings: Any, usual: Any) -> dict[str, Any]:
    """Return the settings that differ from the usual ones, by name."""
    names = [field.name for field in fields(usual)]
    return {
        name: getattr(settings, name)
        for name in names
        if getattr(settings, name) != getattr(usual, name)
    }


def reduction_log(
    reduced: ReducedSpectrum,
    exposure: Exposure,
    object_index: int = 0,
    *,
    provenance: Sequence[Provenance] = (),
    missing: Mapping[str, str] | None = None,
    settings: SpectrumSettings | None = None,
    versions: Mapping[str, str] | None = None,
) -> str:
    """Return how one object came about, for people: no more than 90 columns where it can be.

    Parameters
    ----------
    missing
        Role of a master that there was not -> why.
    versions
        What made it -> its version.
    """
    item = reduced.objects[object_index]
    lines = [
        *_heading(reduced, exposure, item, settings or SpectrumSettings()),
        "",
        "WARNINGS",
        *warning_lines(reduced.flags),
        "",
        "CALIBRATIONS",
        *calibration_lines(provenance, missing or {}),
        "",
        "STEPS",
        *step_lines(item.spectrum.history),
        "",
        "OBJECT",
        *fact_lines(_about(item)),
        *_classification_lines(reduced, object_index),
        "",
        "MEASUREMENTS (of the frame, and of OBJ1)",
        *fact_lines({name: number(value) for name, value in sorted(reduced.measurements.items())}),
        "",
        "SETTINGS OTHER THAN THE DEFAULTS",
        *fact_lines(chosen_settings(settings or SpectrumSettings(), SpectrumSettings())),
        "",
        "MADE WITH",
        *fact_lines(dict(versions or {})),
        "",
        "RAW FRAMES",
        *raw_lines(provenance),
    ]
    return "\n".join(folded for line in lines for folded in fold(line)) + "\n"


def _heading(
    reduced: ReducedSpectrum,
    exposure: Exposure,
    item: ExtractedObject,
    settings: SpectrumSettings,
) -> list[str]:
    identity, setup = exposure.identity, exposure.identity.setup
    when = identity.observed_at
    airmass = "unknown" if identity.airmass is None else f"{identity.airmass:.2f}"
    optics = ", ".join(part for part in (setup.grism, setup.slit, setup.filter) if part)
    x1, x2, y1, y2 = setup.window
    said = {
        "target": f"{identity.target or identity.object_name or 'no name'}, {item.name} of "
        f"{len(reduced.objects)}",
        "frame": exposure.stem,
        "taken": f"{f'{when:%Y-%m-%d %H:%M:%S} UT' if when else 'time unknown'}, "
        f"{identity.exposure_s:g} s, airmass {airmass}",
        "set-up": f"{optics or 'nothing in the beam'}, binning "
        f"{setup.x_binning}x{setup.y_binning}, window [{x1}:{x2}, {y1}:{y2}]",
        "kind": "; ".join((str(identity.kind), *identity.reasons)),
        "header": f"lacks {', '.join(identity.missing)}" if identity.missing else "complete",
        "quality": f"{reduced.quality} "
        f"({', '.join(flag.name for flag in reduced.flags) or 'all checks passed'})",
        "wavelength": "none: the axis is the detector's pixels"
        if reduced.in_pixels
        else f"{settings.wavelengths} Angstrom, topocentric",
        "flux": item.spectrum.unit,
    }
    return ["alfoscd: how this spectrum came about", "", *fact_lines(said, indent="")]


def warning_lines(flags: Sequence[Flag]) -> list[str]:
    """Return every flag with its number, its limit and what to do."""
    lines = []
    for flag in flags:
        lines += [
            f"  {flag.name} (quality {flag.quality}): {flag.sentence}",
            f"      measured {number(flag.value)}, the limit is {number(flag.threshold)}",
            f"      -> {flag.advice}",
        ]
    return lines or ["  none"]


def calibration_lines(provenance: Sequence[Provenance], missing: Mapping[str, str]) -> list[str]:
    """Return every master that was used, and every one that was not there."""
    lines = []
    for item in provenance:
        if item.role == "RAW":
            continue
        age = f"{item.age_h:.1f} h away" if np.isfinite(item.age_h) else ""
        reason = item.reason if age in item.reason else f"{item.reason}, {age}".strip(", ")
        lines.append(f"  {item.role:<9} {item.file}")
        if reason:
            lines.append(f"            {reason}")
    lines += [f"  {role:<9} none: {why or 'there is no such master'}"
              for role, why in missing.items()]  # fmt: skip
    return lines or ["  none"]


def _classification_lines(reduced: ReducedSpectrum, object_index: int) -> list[str]:
    """Return what the target was found to be; nothing for its neighbours."""
    if reduced.classification is None or object_index:
        return []
    return ["", "CLASSIFICATION", *fact_lines(reduced.classification.facts)]


def _about(item: ExtractedObject) -> dict[str, str]:
    trace = item.trace
    column = np.asarray(trace.columns, dtype=float)
    column = column[np.isfinite(column)]
    return {
        "image column": number(float(np.median(column)) if column.size else np.nan),
        "position": "assumed, nothing was found there" if trace.forced else "found and traced",
        "trace rms": f"{number(trace.rms_px)} px",
        "FWHM": f"{number(item.fwhm_px)} px along the slit",
        "S/N": f"{number(item.snr)} per pixel (median)",
        "usable pixels": f"{int(item.spectrum.good.sum())} of {item.spectrum.flux.size}",
    }


def step_lines(history: Sequence[str]) -> list[str]:
    """Return the steps, numbered."""
    return [f"  {number:2d}. {step}" for number, step in enumerate(history, start=1)]


def raw_lines(provenance: Sequence[Provenance]) -> list[str]:
    """Return the raw frames and their content."""
    raw = [item for item in provenance if item.role == "RAW"]
    return fact_lines({item.file: f"sha256 {item.sha256}" for item in raw})


def fact_lines(said: Mapping[str, Any], indent: str = "  ") -> list[str]:
    """Return names and values in two columns."""
    wide = max((len(name) for name in said), default=0)
    return [f"{indent}{name:<{wide}}  {value}" for name, value in said.items()] or ["  none"]


def number(value: float) -> str:
    """Return a number in six digits, or 'unknown'."""
    return f"{value:.6g}" if np.isfinite(value) else "unknown"


def fold(line: str) -> list[str]:
    """Return the line made printable, continued on further ones where it is too wide."""
    line = printable(line, limit=2000)
    if len(line) <= WIDTH:
        return [line]
    indent = " " * (len(line) - len(line.lstrip()) + 6)
    return textwrap.wrap(
        line, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
