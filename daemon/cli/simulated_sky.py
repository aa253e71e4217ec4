"""Reference catalogues of the simulated sky: as files, and in the tiles on local disc."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reducers.simulate.catalogue import SURVEYS, cones_of, survey_catalogue

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from reducers.simulate.records import PlannedExposure

RELEASE = "simulated"
#: Tiles keep whole pixels of 26 arcsec: what they may claim is this much narrower than the file.
MARGIN_DEG = 0.01


def catalogue_files(plan: Sequence[PlannedExposure], folder: Path) -> tuple[Path, ...]:
    """Write one FITS table for each survey and field of a plan; return the files.

    The header says which survey (CATALOG), and which circle the table covers: RA_CEN, DEC_CEN and
    RADIUS, degrees.
    """
    from astropy.table import Table

    written = []
    for name, (ra, dec, radius), columns in _catalogues(plan):
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{name}_{ra:.3f}{dec:+.3f}.fits"
        about = {
            "CATALOG": name,
            "RELEASE": RELEASE,
            "RA_CEN": ra,
            "DEC_CEN": dec,
            "RADIUS": radius,
        }
        Table(columns, meta=about).write(path, overwrite=True)
        written.append(path)
    return tuple(written)


def fetch_command(path: Path) -> str:
    """Return the command that takes one of these files into the catalogues on disc."""
    from astropy.io import fits

    about = fits.getheader(path, 1)
    region = f"{about['RA_CEN']:.5f},{about['DEC_CEN']:.5f},{about['RADIUS'] - MARGIN_DEG:.3f}"
    return (
        f"alfoscd catalogues fetch --from {path} --catalogue {about['CATALOG']} "
        f"--region {region} --release {RELEASE}"
    )


def hold_catalogues(plan: Sequence[PlannedExposure], folder: Path, *, retrieved: str) -> int:
    """Put the catalogues of a plan's fields on local disc, where images look; return entries."""
    from calibration_store.catalogues.references import Catalogues
    from calibration_store.catalogues.sky import Cone

    held = Catalogues(folder)
    return sum(
        held.write_cone(
            name, columns, Cone(ra, dec, radius - MARGIN_DEG), release=RELEASE, retrieved=retrieved
        )
        for name, (ra, dec, radius), columns in _catalogues(plan)
    )


def _catalogues(
    plan: Sequence[PlannedExposure],
) -> Iterator[tuple[str, tuple[float, float, float], dict[str, Any]]]:
    for sky, *cone in cones_of(plan):
        ra, dec, radius = cone
        for name in SURVEYS:
            columns = survey_catalogue(name, sky, ra, dec, radius)
            columns.pop("number")
            yield name, (ra, dec, radius), columns
