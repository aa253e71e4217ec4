"""The log of one reduced image: every step, every calibration, every warning, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reducers.imaging.reduced_image import ImageSettings
from reducers.reduction_log import (
    calibration_lines,
    chosen_settings,
    fact_lines,
    fold,
    number,
    raw_lines,
    step_lines,
    warning_lines,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reducers.imaging.reduced_image import ReducedImage
    from reducers.imaging.references import References
    from reducers.products import Provenance
    from reducers.reduced import Exposure


def image_log(
    reduced: ReducedImage,
    exposure: Exposure,
    *,
    provenance: Sequence[Provenance],
    references: References,
    missing: Mapping[str, str],
    settings: ImageSettings,
    versions: Mapping[str, str],
) -> str:
    """Return how one image came about, for people: no more than 90 columns where it can be.

    Parameters
    ----------
    missing
        Role of a master that there was not -> why.
    versions
        What made it -> its version.
    """
    lines = [
        *_heading(reduced, exposure),
        "",
        "WARNINGS",
        *warning_lines(reduced.flags),
        "",
        "CALIBRATIONS",
        *calibration_lines(provenance, missing),
        "",
        "CATALOGUES",
        *_catalogues(references),
        "",
        "STEPS",
        *step_lines(reduced.image.history),
        "",
        "MEASUREMENTS",
        *fact_lines({name: number(value) for name, value in sorted(reduced.measurements.items())}),
        "",
        "SETTINGS OTHER THAN THE DEFAULTS",
        *fact_lines(chosen_settings(settings, ImageSettings())),
        "",
        "MADE WITH",
        *fact_lines(versions),
        "",
        "RAW FRAMES",
        *raw_lines(provenance),
    ]
    return "\n".join(folded for line in lines for folded in fold(line)) + "\n"


def _heading(reduced: ReducedImage, exposure: Exposure) -> list[str]:
    identity, setup = exposure.identity, exposure.identity.setup
    when = identity.observed_at
    airmass = "unknown" if identity.airmass is None else f"{identity.airmass:.2f}"
    x1, x2, y1, y2 = setup.window
    said = {
        "target": identity.target or identity.object_name or "no name",
        "frame": exposure.stem,
        "taken": f"{f'{when:%Y-%m-%d %H:%M:%S} UT' if when else 'time unknown'}, "
        f"{identity.exposure_s:g} s, airmass {airmass}",
        "set-up": f"filter {setup.filter or 'none'}, binning "
        f"{setup.x_binning}x{setup.y_binning}, window [{x1}:{x2}, {y1}:{y2}]",
        "kind": "; ".join((str(identity.kind), *identity.reasons)),
        "header": f"lacks {', '.join(identity.missing)}" if identity.missing else "complete",
        "quality": f"{reduced.quality} "
        f"({', '.join(flag.name for flag in reduced.flags) or 'all checks passed'})",
        "place": _place(reduced),
    }
    return ["alfoscd: how this image came about", "", *fact_lines(said, indent="")]


def _place(reduced: ReducedImage) -> str:
    found = reduced.astrometry
    if found is None:
        return "unknown: the stars were not compared with a catalogue"
    if not found.solved:
        return found.why if found.method == "blind" else f"as the header has it: {found.why}"
    return (
        f"from {found.matched} stars ({found.method}), scatter {found.ra_rms_mas:.0f} x "
        f"{found.dec_rms_mas:.0f} mas, the map good to {found.systematic_mas:.0f} mas"
    )


def _catalogues(references: References) -> list[str]:
    lines = [
        f"  {item.name} {item.release}: {len(item)} entries at epoch {item.epoch_year:.2f}"
        f"{f', of {item.retrieved}' if item.retrieved else ''}"
        for item in references.each
    ]
    return [*lines, *(f"  {said}" for said in references.reasons)] or ["  none was asked"]
