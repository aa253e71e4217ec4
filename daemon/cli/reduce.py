"""`alfoscd reduce`: reduce a directory once, with the daemon's own code."""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daemon.cli.image_options import add_image_options, image_settings_of
from daemon.cli.options import add_config, configuration, paint
from daemon.publish.image_lines import HEAD, image_row, images_of, spectra_of
from daemon.publish.words import clean, number, table
from daemon.selection import Only
from daemon.status import read_status

if TYPE_CHECKING:
    import argparse

    from daemon.config import Config
    from daemon.status_lines import ProductSummary
    from daemon.work.batch import Event

_ALL = 100_000
#: Kind of a job -> what it did; where a kind is about nothing by name, the whole of it.
VERBS = {
    "ingest_frame": "taken in",
    "build_master": "master",
    "reduce_frame": "reduced",
    "review_products": "reviewed   what other settings made",
    "combine_spectra": "combined",
    "reduce_image": "image",
    "show_image": "shown",
    "subtract_template": "difference",
    "stack_images": "stacked",
    "fetch_catalogues": "catalogues asked again",
    "read_triggers": "notices    read",
}


def add_parser(subparsers: Any) -> None:
    """Add the sub-command and its options."""
    parser = subparsers.add_parser(
        "reduce",
        help="reduce a directory once and stop",
        description="Reduce every raw frame below DIR, print the products, and stop. "
        "Exit code 0: every frame reduced, 1: something failed or was refused.",
    )
    parser.add_argument("directory", type=Path, metavar="DIR", help="raw frames; never changed")
    parser.add_argument(
        "--wavelengths", choices=("vacuum", "air"),
        help="in what the products tell wavelengths; by default what [spectrum] says",
    )  # fmt: skip
    _add_selection(parser)
    add_image_options(parser)
    parser.add_argument(
        "--keep-intermediate", action="store_true", help="keep the full sky model of images"
    )
    add_config(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Reduce the directory; return 1 when something failed."""
    folder: Path = args.directory
    if not folder.is_dir():
        return _refuse(f"{folder} is not a directory")
    try:
        config = _configured(args, folder)
    except OSError as error:
        return _refuse(f"--filelist {args.filelist}: {error.strerror or error}")
    from daemon.work.batch import nothing_raw, reduce_directory
    from daemon.work.supervisor import AlreadyRunning

    said = nothing_raw(config, folder)
    if said:
        return _refuse(said)
    print(f"reducing {folder.resolve()} into {config.root}", flush=True)
    began = datetime.now(UTC)
    progress = Progress()
    try:
        outcome = reduce_directory(config, folder, progress.show)
    except AlreadyRunning:
        return _refuse(f"a daemon works on {config.database}: stop it, or give another --root")
    progress.end()
    bad = print_products(config)
    took = (datetime.now(UTC) - began).total_seconds()
    print(f"\n{outcome.done} jobs done, {outcome.failed} failed, in {took:.0f} s")
    return 1 if outcome.failed or bad or not outcome.finished else 0


def _add_selection(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("which frames (their calibrations are taken all the same)")
    group.add_argument(
        "--target", default="", metavar="TEXT", help="only targets whose name holds this"
    )
    for option, which in (("--from", "first"), ("--to", "last")):
        group.add_argument(
            option, dest=which, type=int, metavar="N",
            help=f"{which} number at the end of the frame's name, inclusive: 200205 of ALDc200205",
        )  # fmt: skip
    group.add_argument(
        "--filelist", type=Path, metavar="F",
        help="take in only the raw files that F names, one a line; # begins a remark",
    )  # fmt: skip
    group.add_argument(
        "--include-quarantined", action="store_true",
        help="try files again that were quarantined, also those that end in zeros",
    )  # fmt: skip


def _configured(args: argparse.Namespace, folder: Path) -> Config:
    """Return the configuration with what the options change.

    Raises
    ------
    OSError
        If the list of files cannot be read.
    """
    config = configuration(args, folder)
    files = None if args.filelist is None else listed(args.filelist.read_text("utf-8"))
    only = Only(
        target=args.target,
        first=args.first,
        last=args.last,
        files=files,
        lenient=args.include_quarantined,
    )
    image = replace(config.image, **image_settings_of(args))
    if args.keep_intermediate:
        image = replace(image, keep_intermediate=True)
    spectrum = replace(config.spectrum, clean_cosmics=False) if args.skip_cr else config.spectrum
    if args.wavelengths:
        spectrum = replace(spectrum, wavelengths=args.wavelengths)
    return replace(config, only=only, image=image, spectrum=spectrum)


def listed(text: str) -> frozenset[str]:
    """Return the names of raw files in a list: the first word of every line, without its folder."""
    lines = (line.partition("#")[0].split() for line in text.splitlines())
    return frozenset(words[0].rsplit("/", 1)[-1] for words in lines if words)


class Progress:
    """Shows jobs as they end: one line that changes on a terminal, plain lines elsewhere."""

    def __init__(self) -> None:
        self._live = sys.stdout.isatty()

    def show(self, event: Event) -> None:
        """Show one job that has ended."""
        line = f"{event.job.state:<6} {describe(event)}"
        failed = bool(event.job.error) and event.job.state == "failed"
        if not self._live or failed:
            said = (
                f"{line}: {clean(event.job.error.strip().splitlines()[-1], 160)}"
                if failed
                else line
            )
            print(("\r\x1b[K" if self._live else "") + said, flush=True)
        else:
            print(f"\r\x1b[K{clean(line, 70)}  ({event.unfinished} left)", end="", flush=True)

    def end(self) -> None:
        """Leave the changing line."""
        if self._live:
            print("\r\x1b[K", end="")


def describe(event: Event) -> str:
    """Return what a job did in a few words."""
    kind, payload = event.job.kind, event.job.payload
    about = payload.get("role") or str(payload.get("path", "")).rsplit("/", 1)[-1] or event.stem
    if "target" in payload:
        about = f"{payload['target']} {payload.get('grism', '')} {payload.get('slit', '')}"
    elif "group" in payload:  # images:ALFOSC:2026-01-15:<target>:<filter>
        about = " ".join(str(payload["group"]).split(":")[3:])
    verb = VERBS.get(kind, kind.replace("_", " "))
    return f"{verb:<10} {clean(about, 60)}".rstrip()


def print_products(config: Config) -> int:
    """Print the products of every night, and what was refused; return how many are unusable."""
    now = datetime.now(UTC)
    shown = paint()
    latest = read_status(config.database, now=now, recent=_ALL)
    nights = [
        read_status(config.database, now=now, night=night, recent=_ALL) for night in latest.nights
    ]
    products = [line for night in nights for line in night.products[::-1]]
    rows = [_row(line) for line in spectra_of(products)]
    head = ("frame", "object", "S/N", "rms A", "5577 A", "Q", "sec", "spectrum")
    print(shown("SPECTRA", "bold"))
    print("\n".join(table(head, rows, 200)) or "  none")
    images = images_of(products)
    if images:
        print(shown("IMAGES", "bold"))
        cells = [(*image_row(line), line.paths.get("image", "none")) for line in images]
        print("\n".join(table((*HEAD, "image"), cells, 220)))
    for line in products:
        for name, said in line.flags:
            print(f"  {line.stem}  {name}: {clean(said)}")
    for frame in (line for night in nights for line in night.last_frames[::-1]):
        if frame.state.startswith("recorded"):
            print(f"  {frame.stem}  {frame.kind}, {clean(frame.state)}")
    refused = [line for line in latest.troubles]
    for trouble in refused:
        print(f"  {trouble.state}: {clean(trouble.path)}: {clean(trouble.reason)}")
    return len(refused)


def _row(line: ProductSummary) -> tuple[str, ...]:
    found = line.measurements
    return (
        line.stem,
        clean(line.target, 20),
        number(found.get("snr"), ".1f"),
        number(found.get("arc_rms_angstrom"), ".3f"),
        number(found.get("sky5577_angstrom"), ".2f"),
        str(line.quality),
        number(line.latency_s, ".0f"),
        line.paths.get("spectrum", "none"),
    )


def _refuse(sentence: str) -> int:
    print(f"alfoscd: {sentence}", file=sys.stderr)
    return 2
