"""`alfoscd simulate`: write a simulated night into a directory."""

from __future__ import annotations

import argparse
import time
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from daemon.cli.simulated_sky import catalogue_files, fetch_command
from daemon.delivery import FAITHFUL, Style, deliver
from reducers.profiles import load_instrument
from reducers.simulate.frames import simulate, truth_as_json
from reducers.simulate.night import SCALES, plan_night

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from reducers.simulate.records import PlannedExposure

MIXED = "mixed"
ORDERS = ("taken", "reversed", "shuffled")


def add_parser(subparsers: Any) -> None:
    """Add the sub-command and its options."""
    parser = subparsers.add_parser(
        "simulate",
        help="write a simulated ALFOSC night, with the truth beside it",
        description="Write a simulated ALFOSC night into a directory, at once or paced.",
    )
    parser.add_argument("--into", type=Path, required=True, metavar="DIR", help="where to write")
    parser.add_argument(
        "--night",
        type=date.fromisoformat,
        default=date(2026, 1, 15),
        help="date on which the night begins (default: %(default)s)",
    )
    parser.add_argument(
        "--scale",
        choices=SCALES,
        default="small",
        help="about 25 spectra, 125 frames of all kinds, 28 full images, the demo's 35 frames, or "
        "one target whose spectrum is tied to its images",
    )
    parser.add_argument(
        "--pace", type=float, default=0.0, metavar="S", help="seconds between frames (0: at once)"
    )
    parser.add_argument(
        "--style",
        choices=(*(style.value for style in Style), MIXED),
        default=Style.WHOLE.value,
        help="how files come to be in the directory (default: %(default)s)",
    )
    parser.add_argument(
        "--order", choices=ORDERS, default="taken", help="order of arrival (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=1, help="another seed, another night")
    parser.add_argument(
        "--windowed",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="read only the columns around the slit centre in spectra",
    )
    parser.add_argument(
        "--truth",
        type=Path,
        metavar="DIR",
        help="where the truth is written (default: DIR-truth beside --into)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the night the arguments ask for."""
    into: Path = args.into
    count = write_night(
        into,
        night=args.night,
        scale=args.scale,
        seed=args.seed,
        windowed=args.windowed,
        style=args.style,
        order=args.order,
        pace_s=args.pace,
        truth=args.truth,
        sleep=time.sleep,
        say=lambda text: print(text, flush=True),
    )
    beside = truth_folder(into, args.truth)
    print(f"{count} frames in {into}; their truth in {beside}")
    tables = sorted((beside / "catalogues").glob("*.fits"))
    if tables:
        print("No survey knows this sky. To have its stars at hand before images are reduced,")
        print("with the same --root or --config as the daemon's:")
    for table in tables:
        print(f"  {fetch_command(table)}")
    return 0


def truth_folder(into: Path, truth: Path | None = None) -> Path:
    """Return where the truth goes: never into the directory that is watched."""
    return truth or into.absolute().parent / f"{into.absolute().name}-truth"


def write_night(
    into: Path,
    *,
    night: date = date(2026, 1, 15),
    scale: str = "small",
    seed: int = 1,
    windowed: bool = True,
    style: str = Style.WHOLE.value,
    order: str = "taken",
    pace_s: float = 0.0,
    truth: Path | None = None,
    sleep: Callable[[float], None] = time.sleep,
    say: Callable[[str], None] = lambda _: None,
) -> int:
    """Write a simulated night into `into`, the truth beside it; return the number of frames.

    Where there are images, reference catalogues of their fields lie in `catalogues` of the truth.
    """
    plan = plan_night(seed, scale, night=night, windowed=windowed)
    beside = truth_folder(into, truth)
    beside.mkdir(parents=True, exist_ok=True)
    catalogue_files(plan, beside / "catalogues")
    kinds = {f"{planned.stem}.fits": planned for planned in plan}
    rng = np.random.default_rng([seed, 77])

    def style_of(_: str) -> Style:
        return FAITHFUL[int(rng.integers(len(FAITHFUL)))] if style == MIXED else Style(style)

    def report(name: str, how: Style) -> None:
        planned = kinds[name]
        say(f"{name}  {planned.kind:<12} {planned.object_name:<28} {how}")

    return deliver(
        _frames(_ordered(plan, order, seed), beside),
        into,
        style_of=style_of,
        staging=beside / "staging",
        pace_s=pace_s,
        sleep=sleep,
        report=report,
    )


def _frames(plan: Sequence[PlannedExposure], beside: Path) -> Iterator[tuple[str, bytes]]:
    instrument = load_instrument("alfosc")
    for planned in plan:
        frame = simulate(planned, instrument)
        (beside / f"{planned.stem}.json").write_text(truth_as_json(frame.truth), encoding="utf-8")
        yield frame.name, frame.content


def _ordered(
    plan: tuple[PlannedExposure, ...], order: str, seed: int
) -> tuple[PlannedExposure, ...]:
    if order == "reversed":
        return plan[::-1]
    if order == "shuffled":
        places = np.random.default_rng([seed, 78]).permutation(len(plan))
        return tuple(plan[place] for place in places)
    return plan
