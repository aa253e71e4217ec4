#!/usr/bin/env python3
"""Play a long night at 60 times its pace to the daemon, and print what it came to."""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY))
os.environ["PYTHONPATH"] = str(REPOSITORY)
#: The Slack of this machine takes any.
os.environ["ALFOSCD_SLACK_TOKEN"] = "xoxb-bench"


def main() -> int:
    """Play the night; return 1 when something is unexplained or told twice."""
    args = _arguments()
    from daemon.clock import observing_night
    from deploy.bench.night_account import posts_of, proof_of, written
    from deploy.bench.night_plan import plan_long_night
    from deploy.bench.night_play import ALFOSC, play
    from tests.daemon.slack_server import serving

    # The last whole night: what it shows is past, as headers are when files arrive.
    now = datetime.now(UTC)
    night = plan_long_night(
        observing_night(now, ALFOSC.longitude_deg) - timedelta(days=1),
        targets=args.targets,
        fields=args.fields,
    )
    folder = args.into or Path(tempfile.mkdtemp(prefix="alfoscd-night-"))
    folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - began:5.0f} s] {text}", flush=True)

    with serving() as slack:
        played = play(
            night, folder, slack, pace=args.pace, workers=args.workers, say=say,
            canary_h=args.canary_h,
        )  # fmt: skip
        print(written(played, slack, (*night.without_arc[:1], night.late, played.redone)))
        wrong = posts_of(played, slack).wrong or proof_of(played).broken
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"CPU of workers and courier {used.ru_utime + used.ru_stime:.0f} s, load {_load()}")
    if args.into is None:
        shutil.rmtree(folder)
    return 1 if wrong or not played.finished else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pace", type=float, default=60.0, metavar="X")
    parser.add_argument("--targets", type=int, default=40, metavar="N")
    parser.add_argument("--fields", type=int, default=6, metavar="N")
    parser.add_argument("--workers", type=int, default=2, metavar="N")
    parser.add_argument("--canary-h", type=float, default=6.0, metavar="H")
    parser.add_argument("--into", type=Path, metavar="DIR", help="keep everything here")
    return parser.parse_args()


def _load() -> str:
    return f"{os.getloadavg()[0]:.1f}"


if __name__ == "__main__":
    sys.exit(main())
