#!/usr/bin/env python3
"""Reduce simulated full frames of three kinds of field and print every figure against the truth."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

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

from reducers.imaging.quick_look import quick_look  # noqa: E402
from tests.acceptance.sky_camera import ALFOSC, FULL, SCENE, SKY, SkyCamera  # noqa: E402

#: Stars to r = 24.5 in a square degree, seeing (arcsec), exposure (s).
FIELDS = {"sparse": (18e3, 1.0, 120), "medium": (92e3, 0.8, 120), "dense": (490e3, 1.2, 300)}
BANDS = ("g_SDSS", "r_SDSS", "i_SDSS", "z_SDSS", "B", "V", "R", "i")


def main() -> int:
    """Run the parts that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fields", type=int, default=2, help="images of each kind of field")
    parser.add_argument("--only", choices=("fields", "bands", "trails", "speed"))
    args = parser.parse_args()
    parts = {
        "fields": lambda camera: measure_fields(camera, args.fields),
        "bands": measure_bands,
        "trails": measure_trails,
        "speed": measure_speed,
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


def measure_bands(camera: SkyCamera) -> None:
    """Print the zero point of every filter against the truth."""
    for band in BANDS:
        shot = camera.image(band, scene=replace(SCENE, sky=replace(SKY, stars_per_deg2=92e3)))
        for line in zero_point_figures([(shot, camera.reduce(shot, band))]):
            print(f"  {band:<7} {line}", flush=True)


def measure_trails(camera: SkyCamera) -> None:
    """Print how many trails of each brightness are found."""
    for line in trail_figures(camera):
        print(f"  {line}", flush=True)


def measure_speed(camera: SkyCamera) -> None:
    """Print the seconds of a warm quick look and of a whole image, and the memory."""
    shot = camera.image(scene=replace(SCENE, sky=replace(SKY, stars_per_deg2=92e3)))
    given, references = camera.calibrations(), camera.references(shot.planned)
    work: dict[str, Any] = {
        "quick look": lambda: quick_look(shot.exposure, given, ALFOSC, references),
        "whole image": lambda: camera.reduce(shot, references=references),
    }
    for what, run in work.items():
        run()
        wall, cpu = time.perf_counter(), time.process_time()
        run()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        print(f"  {what:<12} wall {wall:.2f} s, CPU {cpu:.2f} s", flush=True)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"  largest resident memory of this process {peak:.0f} MB (simulator included)")


if __name__ == "__main__":
    raise SystemExit(main())
