"""What is said of a product where its verification plot is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daemon.layout import version_of
from daemon.publish.words import argument, clean, number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from daemon.memory.records import CombinationRecord, FrameRecord, ProductRecord

_QUALITIES = {0: "good", 1: "good", 2: "usable", 3: "check it", 4: "bad", 5: "failed"}
_MOST_FLAGS = 6
_MOST_NAMES = 12


def product_text(
    product: ProductRecord, frame: FrameRecord, before: ProductRecord | None = None
) -> str:
    """Return a product in a few lines: what, how good, why not better, what to do.

    Parameters
    ----------
    before
        The product that it replaces.
    """
    own = frame.identity
    lines = [
        f"{clean(product.stem, 40)}  {clean(product.target, 60)}  {_setup(frame)}  "
        f"{own.exposure_s or 0:g} s  {_quality(product)}{_figures(product)}"
    ]
    if before is not None:
        lines.append(_change(product, before))
    if product.verdict is not None and not product.is_accepted:
        lines.append(
            f"rejected by {clean(product.verdict.user, 40)} as the version before; if it is good "
            f"now: alfoscd redo {argument(product.stem)} --accept"
        )
    for flag in product.flags[:_MOST_FLAGS]:
        lines.append(f"• {flag.name}: {clean(flag.sentence, 200)}")
    if len(product.flags) > _MOST_FLAGS:
        lines.append(f"• and {len(product.flags) - _MOST_FLAGS} more flags: see the log beside it")
    if product.quality >= 3:
        lines.append(f"to mend it: alfoscd redo {argument(product.stem)} --help")
    return "\n".join(lines)


def combination_text(made: CombinationRecord, before: CombinationRecord | None = None) -> str:
    """Return a combination or a stack in a few lines.

    Parameters
    ----------
    before
        What was made of the same group earlier.
    """
    said = _QUALITIES.get(made.quality, "")
    quality = f"quality {made.quality}{f' ({said})' if said else ''}, {made.state}"
    lines = [
        f"{clean(made.target, 60)}  {clean(made.setup, 60)}  "
        f"{len(made.members)} exposures combined  {number(made.exposure_s, 'g')} s  "
        f"{quality}{_figures(made)}",
        f"made of {_names([each.stem for each in made.members])}",
    ]
    if before is not None:
        was = {each.stem for each in before.members}
        new = [each.stem for each in made.members if each.stem not in was]
        now = f"new in it: {_names(new)}" if new else "made again of better ones"
        lines.append(f"replaces the one of {len(before.members)} exposures; {now}")
    lines += [
        f"• without {clean(stem, 40)}: {clean(why, 200)}"
        for stem, why in made.excluded[:_MOST_FLAGS]
    ]
    return "\n".join(lines)


def _names(stems: Sequence[str]) -> str:
    shown = ", ".join(clean(stem, 40) for stem in stems[:_MOST_NAMES])
    return f"{shown} and {len(stems) - _MOST_NAMES} more" if len(stems) > _MOST_NAMES else shown


def _quality(product: ProductRecord) -> str:
    said = _QUALITIES.get(product.quality, "")
    state = f"{product.state} v{version_of(product.main_path)}"
    return f"quality {product.quality}{f' ({said})' if said else ''}, {state}"


def _figures(product: ProductRecord | CombinationRecord) -> str:
    found = product.measurements
    said = []
    if "snr" in found:
        said.append(f"S/N {number(found['snr'], '.1f')}")
    if "seeing_arcsec" in found:
        said.append(f'seeing {number(found["seeing_arcsec"], ".2f")}"')
    if "zero_point_mag" in found:
        said.append(f"zero point {number(found['zero_point_mag'], '.2f')}")
    if "limit_5_sigma_mag" in found:
        said.append(f"5 sigma {number(found['limit_5_sigma_mag'], '.1f')}")
    return "".join(f", {each}" for each in said)


def _setup(frame: FrameRecord) -> str:
    setup = frame.identity.setup
    parts = [setup.grism, setup.slit] if setup.grism else [setup.filter]
    return clean(" ".join(part for part in parts if part), 60)


def _change(product: ProductRecord, before: ProductRecord) -> str:
    """Return what replaced what, and why as far as the products tell."""
    old = f"v{version_of(before.main_path)} ({before.state}, quality {before.quality})"
    user = str(product.redo.get("user", "")) if product.generation > before.generation else ""
    if user and product.redo != before.redo:
        return f"replaces {old}, asked for by {clean(user, 40)}"
    was = {each.role: each.master_key for each in before.choices}
    changed = [each.role for each in product.choices if each.master_key != was.get(each.role, "")]
    why = f"other {', '.join(changed)}" if changed else "reduced again"
    return f"replaces {old}: {why}"
