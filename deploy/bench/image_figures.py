"""Figures of reduced images against the truth of the simulator, as lines of text."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.ndimage import label, maximum_filter

from reducers.frame import Mask
from reducers.imaging.reduced_image import ImageSettings
from reducers.simulate.scene import SatelliteTrail
from tests.acceptance.sky_camera import SCENE, SKY
from tests.acceptance.sky_truth import (
    calibrated,
    false_detections,
    five_sigma_mag,
    flux_errors,
    lit,
    lonely,
    pairs,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.acceptance.sky_camera import SkyCamera

#: Exposures and what was made of them.
Done = list[tuple[Any, Any]]
MAGNITUDE_BINS = ((15, 18), (18, 20), (20, 21), (21, 22), (22, 23))


def astrometry_figures(done: Done) -> list[str]:
    """Return how many images are placed, and the error of their maps on a grid."""
    rms, worst, matched = [], [], []
    for shot, result in done:
        if result.astrometry is None or not result.astrometry.solved:
            continue
        rows, columns = np.meshgrid(*(np.linspace(0, n - 1, 21) for n in result.image.shape))
        rows, columns = rows.ravel(), columns.ravel()
        x, y = result.image.geometry.on_detector(rows, columns)
        ra0, dec0 = shot.truth.place.sky(x, y)
        ra, dec = result.astrometry.sky_map.sky(columns, rows)
        east = ((ra - ra0 + 180) % 360 - 180) * np.cos(np.radians(dec0))
        error = np.hypot(east, dec - dec0)[lit(x, y)] * 3.6e6
        rms.append(np.sqrt(np.mean(error**2)))
        worst.append(error.max())
        matched.append(result.astrometry.matched)
    if not rms:
        return [f"placed 0 of {len(done)}"]
    return [
        f"placed {len(rms)} of {len(done)}; map error rms {np.median(rms):.1f} mas "
        f"(worst {max(rms):.1f}, anywhere {max(worst):.1f}); {np.median(matched):.0f} stars"
    ]


def completeness_figures(done: Done) -> list[str]:
    """Return the part of the stars found by magnitude, the depth, and what is no source."""
    edges = np.array([-2.0, -1.0, -0.6, -0.4, -0.2, 0.0, 0.2, 0.4])
    seen, all_stars = np.zeros(len(edges) - 1), np.zeros(len(edges) - 1)
    false = 0
    for shot, result in done:
        truth = shot.truth
        stars = np.flatnonzero(lit(truth.x, truth.y))
        stars = stars[lonely(shot, stars)]
        above = truth.magnitude[stars] - five_sigma_mag(shot)
        found = np.isin(stars, pairs(shot, result)[1])
        all_stars += np.histogram(above, edges)[0]
        seen += np.histogram(above[found], edges)[0]
        false += false_detections(shot, result)
    part = seen / np.maximum(all_stars, 1)
    middles = (edges[1:] + edges[:-1]) / 2
    falls = np.flatnonzero(part < 0.5)
    half = "deeper than 0.3 mag beyond"
    if len(falls) and falls[0] > 0:
        k = falls[0]
        slope = (part[k - 1] - 0.5) / max(part[k - 1] - part[k], 1e-9)
        half = f"{middles[k - 1] + slope * (middles[k] - middles[k - 1]):+.2f} mag from"
    limit = five_sigma_mag(done[0][0])
    by_bin = " ".join(f"{m:+.1f}:{p:.2f}" for m, p in zip(middles, part, strict=True))
    return [
        f"5 sigma of the photons at {limit:.2f}; half are found {half} it; found {by_bin}",
        f"detections without a star or galaxy within 4 px: {false / len(done):.1f} an image",
    ]


def photometry_figures(done: Done) -> list[str]:
    """Return bias, scatter over the photon limit and pulls of fluxes, by magnitude."""
    lines = []
    for name, flux_of, error_of in (
        ("PSF", "flux", "flux_error"),
        ("aperture", "aperture_flux", "aperture_error"),
    ):
        rows = []
        for shot, result in done:
            if getattr(result, "photometry", None) is None:
                return ["no photometry"]
            rows.append(flux_errors(shot, result, flux_of, error_of))
        mags, error, limit, pull = (np.concatenate(c) for c in zip(*rows, strict=True))
        for low, high in MAGNITUDE_BINS:
            inside = (mags >= low) & (mags < high)
            if inside.sum() < 5:
                continue
            scatter = 1.4826 * np.median(np.abs(error[inside] - np.median(error[inside])))
            pulls = 1.4826 * np.median(np.abs(pull[inside] - np.median(pull[inside])))
            lines.append(
                f"{name:<8} {low}-{high}: bias {np.median(error[inside]):+6.1f} mmag, scatter "
                f"{scatter:6.1f}, photons {np.median(limit[inside]):5.1f}, pulls {pulls:.2f} "
                f"(n {inside.sum()})"
            )
    return lines


def zero_point_figures(done: Done) -> list[str]:
    """Return the error of calibrated magnitudes: all stars of an image together, and one."""
    lines = []
    for shot, result in done:
        zero = result.zero_point
        if zero is None or not zero.known:
            lines.append(f"no zero point: {zero.why if zero else 'not fitted'}")
            continue
        off, _ = calibrated(shot, result)
        scatter = 1.4826 * np.median(np.abs(off - np.median(off)))
        depth = result.depth.psf[1] - five_sigma_mag(shot) if result.depth else np.nan
        lines.append(
            f"magnitudes off by {1000 * np.median(off):+5.1f} mmag, stars scatter "
            f"{1000 * scatter:.1f} (n {len(off)}); stated {1000 * zero.error:.1f} and "
            f"{1000 * zero.systematic:.0f} from {zero.stars} stars of {zero.catalogue}; "
            f"colour term {zero.colour_term:+.3f} (true "
            f"{-shot.truth.passband.colour_term:+.3f}); depth {depth:+.2f} mag"
        )
    return lines


def cosmic_figures(done: Done) -> list[str]:
    """Return the part of struck pixels and of hits found, wrong pixels, and cores marked."""
    sums = np.zeros(7)
    for shot, result in done:
        frame = result.image
        rows, columns = frame.shape
        charge = shot.planes.cosmic_ray_e[:rows, 50 : 50 + columns]
        light = shot.planes.expected_e[:rows, 50 : 50 + columns]
        marked = (frame.mask & np.uint16(Mask.COSMIC)) != 0
        usable = (frame.mask & np.uint16(Mask.SATURATED | Mask.VIGNETTED)) == 0
        noise = np.sqrt(frame.variance)
        over = (charge > 5 * noise) & usable
        beside = over & (light - np.median(light[usable]) < 2 * noise)
        pieces, _ = label(charge > 0.5, np.ones((3, 3)))
        hits = np.unique(pieces[over])
        sums += (
            over.sum(), (over & marked).sum(), beside.sum(), (beside & marked).sum(),
            len(hits), len(np.intersect1d(hits, pieces[marked])),
            (marked & ~maximum_filter(charge > 0.5, 3)).sum(),
        )  # fmt: skip
    over, found, beside, beside_found, hits, hit, wrong = sums
    return [
        f"cosmic rays: {found / over:.3f} of {over:.0f} pixels over 5 sigma "
        f"({beside_found / beside:.3f} beside stars), {hit / hits:.3f} of {hits:.0f} hits; "
        f"wrong pixels {wrong / len(done):.0f} an image"
    ]


def trail_figures(camera: SkyCamera) -> Iterator[str]:
    """Give how many of six trails of each brightness are found, and trails that are none."""
    rng, how = np.random.default_rng(3), ImageSettings(stop_after="sky")
    sky = replace(SKY, stars_per_deg2=92e3)
    for sigma in (0.0, 0.25, 0.4, 0.7, 1.5, 5.0):
        found = 0
        for _ in range(6):
            trail = SatelliteTrail(
                x_px=float(rng.uniform(800, 1300)),
                y_px=float(rng.uniform(800, 1300)),
                angle_deg=float(rng.uniform(0, 180)),
                sigma=sigma,
            )
            trails = (trail,) if sigma else ()
            shot = camera.image(scene=replace(SCENE, sky=sky, trails=trails))
            found += int(camera.reduce(shot, settings=how).measurements["trails"] > 0)
        yield f"{sigma:4.2f} sigma: {found} of 6"
