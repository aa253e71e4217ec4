"""`alfoscd templates`: what may be taken off images besides earlier images."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daemon.cli.options import add_config, configuration
from daemon.work.templates import stored_templates
from reducers.errors import UnreadableFile
from reducers.transients.difference.cutout import read_cutout_facts

if TYPE_CHECKING:
    import argparse


def add_parser(subparsers: Any) -> None:
    """Add the sub-command and its options."""
    parser = subparsers.add_parser(
        "templates",
        help="list the templates of differences, or add one",
        description="List the images from elsewhere that may be taken off new ones, or add one: "
        "a FITS image with a place on the sky and a filter, such as a Pan-STARRS cut-out. Earlier "
        "images of the archive need not be added.",
    )
    parser.add_argument("--add", type=Path, nargs="+", metavar="F", help="files to be copied in")
    add_config(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Add files, then list what is there."""
    folder = configuration(args).template_folder
    refused = 0
    for path in args.add or ():
        try:
            read_cutout_facts(path)
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, folder / path.name)
        except (UnreadableFile, OSError) as error:
            print(f"{path} is not added: {error}", file=sys.stderr)
            refused += 1
    offers = stored_templates(folder)
    if not offers:
        print(f"There is no template in {folder}.")
    for offer in offers:
        said = offer.why_not or (
            f"{offer.filter:<10} {offer.ra_deg:10.5f} {offer.dec_deg:+10.5f}  "
            f"{2 * offer.reach_arcsec / 60:5.1f}'  {offer.pixel_arcsec:.3f}\"/px"
        )
        print(f"{offer.name:<40} {said}")
    return 1 if refused else 0
