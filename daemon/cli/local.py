"""`alfoscd redo --local`: reduce one frame in the foreground, without the daemon's database."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from daemon.layout import Layout
from daemon.memory.database import open_read_only
from daemon.publish.image_page import image_picture
from daemon.publish.words import clean
from daemon.work.bench import file_sha256, open_bench
from daemon.work.images import MadeImage, image_settings
from daemon.work.reductions import MadeSpectrum
from daemon.work.references import references_for
from daemon.work.roles import product_of
from daemon.work.selecting import select_masters
from daemon.work.tasks import draw_plot
from reducers.errors import ReductionError
from reducers.imaging.references import References

if TYPE_CHECKING:
    from pathlib import Path

    from calibration_store.policy import Selection
    from daemon.config import Config
    from daemon.memory.records import FrameRecord
    from daemon.work.bench import Bench
    from daemon.work.redo import Redo
    from reducers.imaging.reduced_image import ReducedImage
    from reducers.reduced import ReducedSpectrum


def reduce_here(config: Config, frame: FrameRecord, redo: Redo, folder: Path, given: Path) -> int:
    """Reduce one frame into a folder and print what came of it.

    Parameters
    ----------
    given
        What the person called the frame; when that is a file with the same content, it is read.
    """
    if given.is_file() and file_sha256(given) == frame.sha256:
        frame = replace(frame, path=given.resolve())
    folder = folder.resolve()
    bench = open_bench(config, engine=open_read_only(config.database))
    bench = replace(bench, layout=Layout(folder))
    own = Layout(config.root)
    product = product_of(frame.identity)
    selections = tuple(_at_hand(item, own) for item in select_masters(bench, frame, product, redo))
    gone = [s.master.path for s in selections if s.master and not s.master.path.is_file()]
    if gone:
        return _refuse(f"the master {gone[0]} is not here: copy it, or --exclude {gone[0].stem}")
    made: MadeSpectrum | MadeImage = MadeSpectrum(bench, frame, 1)
    if product == "IMAGE":
        made = MadeImage(bench, frame, 1, references=_references(bench, frame, redo))
    while made.path_of("image" if product == "IMAGE" else "spectrum").exists():
        made.version += 1
    try:
        reduced: ReducedImage | ReducedSpectrum
        if isinstance(made, MadeImage):
            reduced = made.reduce(selections, redo, image_picture)
        else:
            reduced = made.reduce(selections, redo, draw_plot)
    except ReductionError as error:
        return _refuse(f"{frame.stem} could not be reduced: {error}")
    print(f"{frame.stem} ({clean(frame.identity.target, 40)}): {redo.in_words}")
    for item in selections:
        print(f"  {item.role:<9} {item.master.path.name if item.master else 'none'}: {item.reason}")
    print(f"  quality {reduced.quality}")
    for flag in reduced.flags:
        print(f"    {flag.name}: {clean(flag.sentence)}")
    for path in made.paths.values():
        print(f"  {path}")
    return 0


def _references(bench: Bench, frame: FrameRecord, redo: Redo) -> References:
    """Return what is on disc of the image's field, unless the person wants none of it."""
    wanted = image_settings(bench.config, redo).use_catalogues
    return references_for(bench, frame, at_hand=True) if wanted else References()


def _at_hand(item: Selection, layout: Layout) -> Selection:
    """Look for a master below the root of this machine when its database came from another."""
    if item.master is None or item.master.path.is_file():
        return item
    here = layout.calibrations(item.master.night) / item.master.path.name
    return replace(item, master=replace(item.master, path=here)) if here.is_file() else item


def _refuse(sentence: str) -> int:
    print(f"alfoscd: {sentence}", file=sys.stderr)
    return 2
