"""`alfoscd findnew`: the sources of an image that no catalogue lists, as PyNOT's users know it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daemon.cli.options import add_config, configuration, paint
from daemon.cli.redo import refuse
from daemon.publish.words import clean

if TYPE_CHECKING:
    import argparse

    from calibration_store.catalogues.sky import Cone
    from daemon.config import Config
    from reducers.imaging.references import References
    from reducers.transients.localisation import Localisation
    from reducers.transients.search_image import SearchImage
    from reducers.transients.witness import Witness


def add_parser(subparsers: Any) -> None:
    """Add the sub-command and its options."""
    parser = subparsers.add_parser(
        "findnew",
        help="sources of an image that no catalogue lists",
        description="Compare the sources of a reduced image with the catalogues at its epoch and "
        "list those that have no entry, with what speaks for and against each. Writes "
        "new_sources_<image>.txt and .png beside the image. The daemon does the same for every "
        "image by itself.",
    )
    parser.add_argument("image", type=Path, metavar="IMAGE.fits", help="image with a solution")
    parser.add_argument(
        "catalogue", type=Path, nargs="?", metavar="CATALOGUE",
        help="its photometry (default: the ..._phot.fits beside it)",
    )  # fmt: skip
    parser.add_argument(
        "--bat", type=float, nargs=3, metavar=("RA", "DEC", "RADIUS"),
        help="circle of 90 %%: degrees, degrees, arcmin; what lies in it is orange (1)",
    )  # fmt: skip
    parser.add_argument(
        "--xrt", type=float, nargs=3, metavar=("RA", "DEC", "RADIUS"),
        help="circle of 90 %%: degrees, degrees, arcsec; what lies in it is green (2)",
    )  # fmt: skip
    parser.add_argument(
        "--limit", type=float, default=math.nan, metavar="MAG",
        help="list nothing fainter (default: 20.1, or where the catalogues end if that is "
        "brighter)",
    )  # fmt: skip
    parser.add_argument(
        "-z", "--zp", type=float, default=math.nan, metavar="ZP",
        help="magnitude of 1 electron/s, where the photometry has no zero point",
    )  # fmt: skip
    parser.add_argument(
        "--into", type=Path, metavar="DIR", help="write here (default: beside the image)"
    )
    add_config(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Search, print the table, write the list and the figure."""
    from daemon.layout import write_atomically
    from daemon.publish.new_sources_page import new_sources_picture
    from daemon.publish.new_sources_text import new_sources_lines
    from daemon.work.pictures import save_picture
    from reducers.errors import ReductionError
    from reducers.transients.from_files import catalogue_beside, read_search_image
    from reducers.transients.new_source_table import new_sources_text
    from reducers.transients.new_sources import find_new_sources
    from reducers.transients.settings import SearchSettings

    try:
        circles = _circles(args)
    except ValueError as error:
        return refuse(str(error))
    config = configuration(args)
    catalogue = args.catalogue or catalogue_beside(args.image)
    if catalogue is None:
        return refuse(f"no photometry beside {clean(args.image.name)}: name it after the image")
    try:
        image = read_search_image(args.image, catalogue)
    except ReductionError as error:
        return refuse(clean(str(error), 300))
    references = _references(config, image)
    found = find_new_sources(
        image,
        references,
        localisations=circles,
        settings=SearchSettings(limit_mag=args.limit, zero_point_mag=args.zp),
        witnesses=_known(config, image),
    )
    print(f"{clean(args.image.name, 80)}: {clean(image.target, 40)} {clean(image.filter, 20)}")
    print("\n".join([*new_sources_lines(found, image, paint()), *_missing(references)]))
    folder = args.into or args.image.parent
    path = folder / f"new_sources_{args.image.name.removesuffix('.fits')}.txt"
    picture = path.with_suffix(".png")
    try:
        write_atomically(path, new_sources_text(found, image).encode())
        drawn = save_picture(picture, lambda: new_sources_picture(found, image, references))
    except OSError as error:
        return refuse(f"the list cannot be written to {folder}: {error.strerror or error}")
    print(f"  {path}")
    if drawn:
        print(f"  {picture}")
    return 1 if found.why else 0


def _circles(args: argparse.Namespace) -> tuple[Localisation, ...]:
    """Return the circles that a person gave.

    Raises
    ------
    ValueError
        If a number is no position or no radius.
    """
    from reducers.transients.localisation import Localisation

    made = []
    for kind, given, arcsec in (("BAT", args.bat, 60.0), ("XRT", args.xrt, 1.0)):
        if given is None:
            continue
        ra, dec, radius = given
        if not (math.isfinite(ra) and abs(dec) <= 90 and 0 < radius < math.inf):
            raise ValueError(
                f"--{kind.lower()} takes right ascension and declination in degrees and a radius "
                f"in {'arcmin' if kind == 'BAT' else 'arcsec'} above 0"
            )
        made.append(
            Localisation(kind=kind, ra_deg=ra % 360, dec_deg=dec, r90_arcsec=radius * arcsec)
        )
    return tuple(made)


def _field(image: SearchImage) -> Cone | None:
    """Return a circle about the image; None without its place on the sky."""
    from calibration_store.catalogues.sky import Cone

    if image.sky_map is None:
        return None
    rows, columns = image.shape
    ra, dec = image.sky_map.sky((columns - 1) / 2, (rows - 1) / 2)
    radius = (math.hypot(rows, columns) / 2 + 50) * image.pixel_scale_arcsec / 3600
    return Cone(float(ra), float(dec), radius)


def _known(config: Config, image: SearchImage) -> tuple[Witness, ...]:
    """Return what the lists of minor planets and variables on disc know of the field."""
    from daemon.work.known_sky import known_sky, observer_of_config

    field = _field(image)
    if field is None or image.middle is None:
        return ()
    return (known_sky(config, field, image.middle, observer_of_config(config), image.name),)


def _references(config: Config, image: SearchImage) -> References:
    """Return what catalogues know of the image's field at its epoch."""
    from daemon.work.references import julian_year
    from daemon.work.sky_catalogues import open_catalogues
    from reducers.imaging.references import References

    field = _field(image)
    if field is None:
        return References()
    if image.middle is None:
        reason = "the image tells no time: no star can be moved to where it stood"
        return References(reasons=(reason,))
    return open_catalogues(config).references_for(
        field.ra_deg, field.dec_deg, field.radius_deg, julian_year(image.middle), image.filter
    )


def _missing(references: References) -> list[str]:
    return [f"  {clean(reason, 300)}" for reason in references.reasons]
