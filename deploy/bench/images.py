#!/usr/bin/env python3
"""Reduce simulated full frames of three kinds of field and print every figure against the truth.

The speed is that of a worker that is warm: its tasks with files, pages and archive.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY))
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import numpy as np  # noqa: E402 - after the threads are set
from image_figures import (  # noqa: E402
    astrometry_figures,
    completeness_figures,
    cosmic_figures,
    photometry_figures,
    trail_figures,
    zero_point_figures,
)
from image_tasks import measure_tasks  # noqa: E402

from tests.acceptance.sky_camera import FULL, SCENE, SKY, SkyCamera  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Stars to r = 24.5 in a square degree, seeing (arcsec), exposure (s).
FIELDS = {"sparse": (18e3, 1.0, 120), "medium": (92e3, 0.8, 120), "dense": (490e3, 1.2, 300)}
BANDS = ("g_SDSS", "r_SDSS", "i_SDSS", "z_SDSS", "B", "V", "R", "i")


def main() -> int:
    """Run the parts that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fields", type=int, default=2, help="images of each kind of field")
    parser.add_argument("--images", type=int, default=20, help="images whose time is taken")
    parser.add_argument("--bands", nargs="+", choices=BANDS, default=BANDS, metavar="BAND")
    parser.add_argument("--only", choices=("fields", "bands", "trails", "speed"))
    args = parser.parse_args()
    parts = {
        "fields": lambda camera: measure_fields(camera, args.fields),
        "bands": lambda camera: measure_bands(camera, args.bands),
        "trails": measure_trails,
        "speed": lambda camera: measure_speed(camera, args.images),
    }
    with tempfile.TemporaryDirectory() as folder:
        camera = SkyCamera(Path(folder), window=FULL)
        for part, measure in parts.items():
            if args.only in (None, part):
                print(f"\n{part}  (load {os.getloadavg()[0]:.1f})", flush=True)
                measure(camera)
    return 0


def measure_fields(camera: SkyCamera, number: int) -> None:
    """Print places, depths, magnitudes and cosmic rays of three kinds of field."""
    rng = np.random.default_rng(8)
    for kind, (density, seeing, exposure_s) in FIELDS.items():
        done = []
        for n in range(number):
            scene = replace(
                SCENE,
                sky=replace(SKY, stars_per_deg2=density),
                pointing_error_arcsec=tuple(rng.uniform(-60, 60, 2)),
                rotation_error_deg=float(rng.uniform(-1, 1)),
            )
            shot = camera.image(
                scene=scene, seeing_arcsec=seeing, exposure_s=exposure_s, ra_deg=140.0 + 3 * n
            )
            done.append((shot, camera.reduce(shot)))
        print(f"\n{kind}: {number} images, {density:g} stars/deg2, {seeing} arcsec, {exposure_s} s")
        for figures in (
            astrometry_figures, completeness_figures, photometry_figures, zero_point_figures,
            cosmic_figures,
        ):  # fmt: skip
            for line in figures(done):
                print(f"  {line}", flush=True)


def measure_bands(camera: SkyCamera, bands: Sequence[str]) -> None:
    """Print the zero point of every filter against the truth."""
    for band in bands:
        shot = camera.image(band, scene=replace(SCENE, sky=replace(SKY, stars_per_deg2=92e3)))
        for line in zero_point_figures([(shot, camera.reduce(shot, band))]):
            print(f"  {band:<7} {line}", flush=True)


def measure_trails(camera: SkyCamera) -> None:
    """Print how many trails of each brightness are found."""
    for line in trail_figures(camera):
        print(f"  {line}", flush=True)


def measure_speed(camera: SkyCamera, images: int) -> None:
    """Print the seconds of quick looks and of whole images in a warm worker, and its memory."""
    folder = camera.folder / "tasks"
    folder.mkdir()
    for line in measure_tasks(folder, images + 1, stars_per_deg2=FIELDS["medium"][0]):
        print(f"  {line}", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
