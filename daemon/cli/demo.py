"""`alfoscd demo`: a small simulated night, reduced by the daemon while it arrives."""

from __future__ import annotations

import shutil
import sys
import threading
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daemon.cli.options import add_config, configuration, paint
from daemon.cli.reduce import Progress
from daemon.cli.report import text_of
from daemon.cli.simulate import write_night
from daemon.cli.simulated_sky import hold_catalogues
from daemon.layout import Layout, write_atomically
from daemon.publish.status_text import render
from daemon.status import read_status
from reducers.simulate.night import plan_night

if TYPE_CHECKING:
    import argparse

    from daemon.config import Config

#: Seconds between frames; a real night has minutes.
_PACE_S = 0.5
_LIMIT_S = 600.0
NIGHT, SCALE = date(2026, 1, 15), "demo"


def add_parser(subparsers: Any) -> None:
    """Add the sub-command and its options."""
    parser = subparsers.add_parser(
        "demo",
        help="show everything on a small simulated night",
        description="Simulate a small night and reduce it while it arrives.",
    )
    parser.add_argument(
        "--into", type=Path, default=Path("demo-night"), metavar="DIR",
        help="where the night goes (default: ./%(default)s)",
    )  # fmt: skip
    add_config(parser, root=False)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the demo; return 0 when every spectrum came out."""
    into: Path = args.into.absolute()
    raw = into / "raw"
    if raw.exists() and any(raw.iterdir()):
        print(f"alfoscd: {into} holds an earlier demo: remove it, or give --into", file=sys.stderr)
        return 2
    raw.mkdir(parents=True, exist_ok=True)
    args.root = into / "reduced"
    config = configuration(args, raw)
    # Twenty minutes of silence close a set in a real night; here frames come in seconds.
    calibration = replace(config.calibration, quiet_s=6.0)
    # The simulated sky is in no survey: its catalogues lie on disc before the night begins.
    catalogues = replace(config.catalogues, folder=None, online=False)
    config = replace(config, calibration=calibration, catalogues=catalogues)
    hold_catalogues(plan_night(scale=SCALE), config.catalogue_folder, retrieved=str(NIGHT))
    print(f"1. a simulated night arrives in {raw}, one frame every moment")
    print("2. the daemon takes it in, builds masters, reduces spectra and images\n", flush=True)
    return _watch_it(config, raw)


def _watch_it(config: Config, raw: Path) -> int:
    from daemon.work.batch import run_until_idle

    failures: list[BaseException] = []
    night = threading.Thread(target=_deliver, args=(raw, failures), daemon=True)
    night.start()
    progress = Progress()
    outcome = run_until_idle(config, progress.show, limit_s=_LIMIT_S, more_to_come=night.is_alive)
    progress.end()
    if failures:
        print(f"alfoscd: the simulated night stopped: {failures[0]}", file=sys.stderr)
    _show_end(config)
    print(f"\n{outcome.done} jobs done, {outcome.failed} failed, in {outcome.took_s:.0f} s")
    return 0 if outcome.finished and not outcome.failed and not failures else 1


def _deliver(raw: Path, failures: list[BaseException]) -> None:
    try:
        write_night(
            raw,
            night=NIGHT,
            scale=SCALE,
            pace_s=_PACE_S,
            say=lambda text: None,
            truth=raw.parent / "truth",
        )
    except (OSError, ValueError) as error:
        failures.append(error)


def _show_end(config: Config) -> None:
    status = read_status(config.database, now=datetime.now(UTC), raw=config.raw)
    # The demo's daemon has just left, as it should.
    shown = replace(status, verdict="ok", why=()) if not status.failed else status
    print(render(shown, paint=paint(), width=100))
    path = Layout(config.root).report(status.night) / "report.txt"
    write_atomically(path, text_of(config).encode())
    plots = [line.paths["plot"] for line in status.products if "plot" in line.paths]
    print(f"report of the night:   {path}")
    print(f"a verification plot:   {plots[0] if plots else 'none was drawn'}")
    command = "alfoscd" if shutil.which("alfoscd") else "./alfoscd"
    print(f"status at any time:    {command} status --root {config.root}")
