"""What is said when a product replaces itself, may not any more, or waits for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from daemon.layout import version_of
from daemon.publish.words import argument, clean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from daemon.memory.records import ProductRecord

    #: (role, what it was made with, what would be taken now).
    Others = Sequence[tuple[str, str, str]]

#: Settings of a request, and the options of `alfoscd redo` that ask for them again.
_OPTIONS = {
    "centroid_px": "--center",
    "region_px": "--region",
    "aperture_px": "--aperture",
    "method": "--method",
    "wavelengths": "--wavelengths",
    "background_px": "--background",
    "mask_angstrom": "--mask",
    "seeing_arcsec": "--seeing",
    "cosmic_sigma": "--cosmic-sigma",
    "stop_after": "--stop-after",
}
_SWITCHES = {
    "clean_cosmics": "--keep-cosmics",
    "subtract_sky": "--skip-skysub",
    "divide_flat": "--skip-flatten",
    "find_cosmics": "--skip-cr",
    "use_catalogues": "--skip-gaia",
}


#: (measurement, what it is called, form) that an offer compares.
_COMPARED = (
    ("snr", "S/N", ".1f"),
    ("zero_point_mag", "zero point", ".3f"),
    ("limit_5_sigma_mag", "depth", ".2f"),
)
#: (difference of the pixels, in words).
_DIFFERENCES = (
    ("upgrade_shift_angstrom", "wavelengths {:+.2f} A"),
    ("upgrade_flux_ratio", "flux x {:.3f}"),
    ("upgrade_flux_gained", "flux absolute instead of counts"),
    ("upgrade_flux_lost", "flux in counts instead of absolute"),
    ("upgrade_place_arcsec", "place moved by {:.2f} arcsec"),
)


def change_text(product: ProductRecord, before: ProductRecord, news: Sequence[str]) -> str:
    """Return what an upgrade changed: what was told of the product before is no longer so."""
    was = {each.role: each.master_key for each in before.choices}
    other = [each.role for each in product.choices if each.master_key != was.get(each.role, "")]
    why = f"other {', '.join(other)}" if other else "reduced again"
    lines = [f"{_named(product)} changed ({why}):", *(f"• {each}" for each in news)]
    if before.quality != product.quality:
        lines.append(f"• quality {before.quality} became {product.quality}")
    return "\n".join(lines)


def held_text(product: ProductRecord, most: int, other: Others) -> str:
    """Return that a product has replaced itself too often and stays as it is."""
    return "\n".join(
        [
            f"{_named(product)} was replaced {most} times by itself and stays as it is, though "
            "it would be made otherwise now:",
            *_lines(other),
            f"To take them: {redo_command(product.stem, product.redo)}",
            "[calibration] most_upgrades sets how often.",
        ]
    )


def effect_text(
    before: ProductRecord,
    quality: int,
    measurements: Mapping[str, float],
    changed: Mapping[str, float],
) -> str:
    """Return what a reduction that was only tried would change in a product.

    Parameters
    ----------
    quality, measurements
        Of the one that was tried.
    changed
        How its pixels differ, as `reducers.product_change` measures it.
    """
    parts = []
    for name, label, form in _COMPARED:
        was, would = before.measurements.get(name), measurements.get(name)
        if was is not None and would is not None:
            parts.append(f"{label} {was:{form}} -> {would:{form}}")
    parts += [form.format(changed[name]) for name, form in _DIFFERENCES if name in changed]
    if quality != before.quality:
        parts.append(f"quality {before.quality} -> {quality}")
    return f"Tried out, that gives: {', '.join(parts)}" if parts else "Nothing could be compared."


def offer_text(product: ProductRecord, other: Others, effect: str) -> str:
    """Return what would change in a product that a person accepted, and how to have it."""
    who = clean(product.verdict.user, 40) if product.verdict is not None else "somebody"
    return "\n".join(
        [
            f"{_named(product)} was accepted by {who} and stays. It could be made with:",
            *_lines(other),
            clean(effect, 400),
            f"To see it beside the accepted one: {redo_command(product.stem, product.redo)}",
        ]
    )


def redo_command(stem: str, redo: Mapping[str, Any]) -> str:
    """Return the command that makes a frame's product again as a person once asked for it."""
    settings: Mapping[str, object] = redo.get("settings", {})
    words = [f"alfoscd redo {argument(stem)}"]
    for name, value in settings.items():
        if name in _OPTIONS:
            words.append(f"{_OPTIONS[name]} {_typed(value)}")
        elif value is False and name in _SWITCHES:
            words.append(_SWITCHES[name])
    return " ".join(words)


def _typed(value: object) -> str:
    """Return a setting as it is typed: 90:120,180:210 for ranges."""
    if not isinstance(value, list | tuple):
        return f"{value:g}" if isinstance(value, float) else clean(value, 20)
    if value and isinstance(value[0], list | tuple):
        return ",".join(_typed(each) for each in value)
    return ":".join(f"{each:g}" for each in value)


def _lines(other: Others) -> list[str]:
    return [f"• {role}: {clean(now, 80)}; so far {clean(was, 40)}" for role, was, now in other]


def _named(product: ProductRecord) -> str:
    version = version_of(product.main_path)
    return f"{clean(product.stem, 40)} v{version} of {clean(product.target, 60)}"
