#!/usr/bin/env python3
"""Reduce the same real EFOSC2 frames with alfoscd and with PyNOT, in turns; print the figures."""

from __future__ import annotations

import argparse
import gzip
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import resource

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY))
TIMEOUT_S = 900


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Seconds of wall clock and processor, MB of the largest process."""

    wall_s: float
    cpu_s: float
    memory_mb: float


def main() -> int:
    """Run the bench; return 2 when something that it needs is missing."""
    args = _arguments()
    missing = _missing(args)
    if missing:
        print(f"bench: {missing}", file=sys.stderr)
        return 2
    work = args.into or Path(tempfile.mkdtemp(prefix="alfoscd-bench-"))
    work.mkdir(parents=True, exist_ok=True)
    frames = _unpacked(args.frames, work / "frames")
    programs = [name for name in ("ours", "pynot") if args.only in (None, name)]
    print(f"{len(list(frames.iterdir()))} frames, {args.runs} runs each, load {_load()}, {work}")
    if "pynot" in programs:
        _pynot(args, ["use", "efosc2"], work, "use.log")
    sets: dict[str, list[Run]] = {name: [] for name in programs}
    more: dict[str, list[Run]] = {name: [] for name in programs}
    for number in range(args.runs):
        for name in programs:
            folder = work / f"{name}-{number}"
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            run, again = (
                ours(args, frames, folder) if name == "ours" else peer(args, frames, folder)
            )
            sets[name].append(run)
            more[name].append(again)
            print(
                f"run {number + 1} {name:<6} set {_said(run)}   one more {_said(again)}", flush=True
            )
    print(f"load {_load()}\n")
    _report("set", sets)
    _report("one more spectrum", more)
    from figures import figures_of_ours, figures_of_pynot, warm_seconds

    last = args.runs - 1
    if "ours" in programs:
        figures_of_ours(work / f"ours-{last}")
        print(
            "  warm recipe: wall {:.1f} s, CPU {:.1f} s".format(
                *warm_seconds(work / f"ours-{last}", frames)
            )
        )
    if "pynot" in programs:
        figures_of_pynot(work / f"pynot-{last}")
    if args.into is None:
        shutil.rmtree(work)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("frames", type=Path, help="folder of the EFOSC2 frames (.fits or .fits.gz)")
    parser.add_argument("--pynot", type=Path, metavar="VENV", help="environment that holds PyNOT")
    parser.add_argument("--ours", type=Path, default=Path(sys.executable), metavar="PYTHON")
    parser.add_argument("--runs", type=int, default=3, metavar="N")
    parser.add_argument("--into", type=Path, metavar="DIR", help="keep the products here")
    parser.add_argument("--only", choices=("ours", "pynot"))
    return parser.parse_args()


def _missing(args: argparse.Namespace) -> str:
    """Return what is not there, and how to get it; '' when all is."""
    if not args.frames.is_dir() or not any(args.frames.glob("EFOSC*.fits*")):
        return f"no EFOSC2 frames (EFOSC*.fits or .fits.gz) in {args.frames}"
    if args.only == "ours":
        return ""
    if args.pynot is None:
        return "say where PyNOT is (--pynot VENV), or leave it out (--only ours)"
    if not (args.pynot / "bin" / "pynot").is_file():
        return (
            f"no PyNOT in {args.pynot}: python3.11 -m venv {args.pynot} && "
            f"{args.pynot}/bin/pip install PyNOT-redux==2.4.4"
        )
    if shutil.which("xvfb-run") is None:
        return "no xvfb-run, and PyNOT needs a display even unattended: apt-get install xvfb"
    return ""


def _unpacked(source: Path, target: Path) -> Path:
    """Copy the frames, unpacked: PyNOT reads no compressed ones, and both shall read the same."""
    target.mkdir(exist_ok=True)
    for path in sorted(source.glob("EFOSC*.fits*")):
        data = path.read_bytes()
        plain = gzip.decompress(data) if path.suffix == ".gz" else data
        (target / path.name.removesuffix(".gz")).write_bytes(plain)
    return target


def ours(args: argparse.Namespace, frames: Path, folder: Path) -> tuple[Run, Run]:
    """Reduce the set, then the science frame once more."""
    config = folder / "bench.toml"
    config.write_text('[instrument]\nprofiles = ["efosc2"]\n')
    call = [str(args.ours), "-m", "daemon.cli.main"]
    where = ["--root", str(folder / "night"), "--config", str(config)]
    whole = _measured([*call, "reduce", str(frames), *where], REPOSITORY, folder / "reduce.log")
    science = "EFOSC.2022-01-27T02:31:32.701"
    again = _measured(
        [*call, "redo", science, "--local", str(folder / "again"), *where],
        REPOSITORY,
        folder / "redo.log",
    )
    return whole, again


def peer(args: argparse.Namespace, frames: Path, folder: Path) -> tuple[Run, Run]:
    """Reduce the set with PyNOT, then the science frame once more with its calibrations."""
    first = _pynot(args, ["init", "spex", str(frames)], folder, "init.log")
    spex = ["spex", "options_spex.yml", "--no-int"]
    second = _pynot(args, spex, folder, "spex.log")
    for done in folder.glob("spectra/J0618*"):
        shutil.rmtree(done)
    (folder / "dataset.obd").unlink(missing_ok=True)
    again = _pynot(args, spex, folder, "again.log")
    both = Run(
        wall_s=first.wall_s + second.wall_s,
        cpu_s=first.cpu_s + second.cpu_s,
        memory_mb=max(first.memory_mb, second.memory_mb),
    )
    return both, again


def _pynot(args: argparse.Namespace, words: list[str], folder: Path, log: str) -> Run:
    return _measured(
        ["xvfb-run", "-a", str(args.pynot / "bin" / "pynot"), *words], folder, folder / log
    )


def _measured(command: list[str], folder: Path, log: Path) -> Run:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "QT_LOGGING_RULES": "*=false"}
    began = time.monotonic()
    with log.open("w") as out:
        process = subprocess.Popen(
            command, cwd=folder, stdout=out, stderr=subprocess.STDOUT, env=environment,
            stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        usage = _waited(process, began)
    wall = time.monotonic() - began
    if process.returncode not in (0, 1):
        print(
            f"bench: {' '.join(command)} ended with {process.returncode}: see {log}",
            file=sys.stderr,
        )
    return Run(wall_s=wall, cpu_s=usage.ru_utime + usage.ru_stime, memory_mb=usage.ru_maxrss / 1024)


def _waited(process: subprocess.Popen[bytes], began: float) -> resource.struct_rusage:
    """Wait for a process and those that it waited for; stop it when it asks a window for ever."""
    while True:
        number, status, usage = os.wait4(process.pid, os.WNOHANG)
        if number:
            process.returncode = os.waitstatus_to_exitcode(status)
            return usage
        if time.monotonic() - began > TIMEOUT_S:
            os.killpg(process.pid, 15)
        time.sleep(0.05)


def _load() -> str:
    return f"{os.getloadavg()[0]:.1f}"


def _said(run: Run) -> str:
    return f"wall {run.wall_s:6.1f} s  CPU {run.cpu_s:6.1f} s  {run.memory_mb:5.0f} MB"


def _report(title: str, runs: dict[str, list[Run]]) -> None:
    """Print the least of every figure, and the ratio where both programs ran."""
    least = {
        name: Run(
            wall_s=min(r.wall_s for r in several),
            cpu_s=min(r.cpu_s for r in several),
            memory_mb=min(r.memory_mb for r in several),
        )
        for name, several in runs.items()
    }
    print(title)
    for name, run in least.items():
        print(f"  {name:<6} {_said(run)}")
    if len(least) == 2:
        a, b = least["ours"], least["pynot"]
        print(
            f"  PyNOT / ours: wall {b.wall_s / a.wall_s:.2f}, CPU {b.cpu_s / a.cpu_s:.2f}, "
            f"memory {b.memory_mb / a.memory_mb:.2f}"
        )


if __name__ == "__main__":
    sys.exit(main())
