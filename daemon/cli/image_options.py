"""Options about the steps of images, for `reduce` and `redo`."""

from __future__ import annotations

import argparse
from typing import Any

#: The stages of an image in order; `reducers.imaging.reduced_image.STAGES`, without numpy.
STAGES = ("detector", "cosmics", "sky", "detect", "astrometry", "photometry", "zeropoint")
_SKIPPED = {
    "skip_skysub": "subtract_sky",
    "skip_flatten": "divide_flat",
    "skip_cr": "find_cosmics",
    "skip_gaia": "use_catalogues",
}


def add_image_options(parser: argparse.ArgumentParser) -> None:
    """Add the steps that may be left out."""
    group = parser.add_argument_group("steps of images")
    for option, what in (
        ("--skip-skysub", "leave the sky in the product"),
        ("--skip-flatten", "do not divide by the sky flat"),
        ("--skip-cr", "do not search cosmic rays"),
        ("--skip-gaia", "do not compare with catalogues: no place on the sky, no zero point"),
    ):
        group.add_argument(option, action="store_true", help=what)
    group.add_argument(
        "--stages", type=_stages, metavar="LIST",
        help=f"do only these, separated by commas: {', '.join(STAGES)}",
    )  # fmt: skip
    group.add_argument("--stop-after", choices=STAGES, help="the last stage that is done")


def image_settings_of(args: argparse.Namespace) -> dict[str, Any]:
    """Return the settings of images that the options ask for."""
    found: dict[str, Any] = {
        setting: False for option, setting in _SKIPPED.items() if getattr(args, option)
    }
    if args.stages:
        found |= _settings_of_stages(args.stages)
    if args.stop_after:
        found["stop_after"] = args.stop_after
    return found


def _settings_of_stages(stages: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    last = stages[-1]
    if last != STAGES[-1]:
        found["stop_after"] = last
    for stage, setting in (
        ("cosmics", "find_cosmics"),
        ("sky", "subtract_sky"),
        ("astrometry", "use_catalogues"),
    ):
        if stage not in stages and STAGES.index(stage) < STAGES.index(last):
            found[setting] = False
    return found


def _stages(text: str) -> tuple[str, ...]:
    """Return the stages of a list in their order.

    Raises
    ------
    argparse.ArgumentTypeError
        If one is unknown, or one is left out that a later one stands on.
    """
    asked = {word.strip() for word in text.split(",") if word.strip()}
    unknown = sorted(asked - set(STAGES))
    if unknown or not asked:
        raise argparse.ArgumentTypeError(
            f"there is no stage '{unknown[0] if unknown else ''}'; there are {', '.join(STAGES)}"
        )
    last = max(STAGES.index(stage) for stage in asked)
    for needed in ("detector", "detect", "photometry"):
        place = STAGES.index(needed)
        if place < last and needed not in asked:
            raise argparse.ArgumentTypeError(f"{STAGES[last]} needs the stage {needed} as well")
    return tuple(stage for stage in STAGES if stage in asked)
