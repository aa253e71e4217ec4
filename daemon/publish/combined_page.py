"""The page of a combination: what the exposures say together, and whether they agree."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from daemon.publish.evidence import LEFT
from daemon.publish.page import (
    BLUE,
    GREEN,
    LIGHT_BLUE,
    ORANGE,
    PALE,
    PURPLE,
    RED,
    WIDTH_PX,
    Page,
    Picture,
    frame,
    known,
    middle,
    note,
    percentiles,
    title,
)
from daemon.publish.panels import flux_range, shade
from daemon.publish.strip import Verdict, write_strip
from daemon.publish.view import WAVELENGTH, limits
from reducers.classification.verdict import Classification
from reducers.spectroscopy.combine import CombinedSpectrum
from reducers.spectrum import Spectrum

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDE = WIDTH_PX - LEFT - 24
_COLOURS = (BLUE, RED, GREEN, ORANGE, PURPLE, LIGHT_BLUE)
_MARKERS = ("o", "s", "^", "D", "v", "P")
_BINS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Combination:
    """A combined spectrum, its members in the order of its shares, and who was left out."""

    combined: CombinedSpectrum
    members: tuple[Spectrum, ...]
    target: str
    setup: str
    quality: int
    excluded: tuple[tuple[str, str], ...] = ()
    classification: Classification | None = None

    @property
    def scaled(self) -> list[Spectrum]:
        """The members on the scale of the combination."""
        shares = self.combined.shares
        return [
            each.after("scaled", flux=each.flux / share.factor, error=each.error / share.factor)
            for each, share in zip(self.members, shares, strict=True)
        ]


def combined_picture(case: Combination) -> Picture:
    """Return the page of a combination, and what it says as JSON."""
    return combined_page(case).finish()


def combined_page(case: Combination) -> Page:
    """Draw a combination over its members, and what each of them gave."""
    page = Page("combination")
    combined, verdict = case.combined, Verdict.of(case.quality)
    found = combined.measurements
    odd = [f"{share.name}: {share.remark}" for share in combined.shares if share.remark]
    told = [] if case.classification is None else case.classification.sentences
    odd += [f"{stem} left out: {reason}" for stem, reason in case.excluded]
    write_strip(
        page,
        name=case.target,
        badge=verdict.badge,
        colour=verdict.colour,
        about=[
            case.setup,
            f"{len(combined.shares)} exposures, {combined.exposure_s:.0f} s",
            f"S/N {known(found.get('snr'), '.1f')} per pixel",
            f"chi2 of the members {known(combined.chi2, '.2f')}",
            f"errors of means grow by {known(combined.noise_factor, '.2f')}",
        ],
        reasons=[*told, *odd] or ["every exposure takes part, none is odd"],
        right="combined",
    )
    page.facts |= {
        "target": case.target, "setup": case.setup, "quality": verdict.quality,
        "measurements": found, "classification": told,
        "members": [
            {"frame": share.name, "factor": share.factor, "weight": share.weight,
             "chi2": share.chi2, "rejected_pixels": share.rejected, "remark": share.remark}
            for share in combined.shares
        ],
        "left_out": [{"frame": stem, "reason": reason} for stem, reason in case.excluded],
    }  # fmt: skip
    page.panel("spectrum", (LEFT, 560, _WIDE, 295), _draw_spectrum, case)
    page.panel("agreement", (LEFT, 300, _WIDE, 190), _draw_agreement, case)
    page.panel("exposures", (LEFT, 180, _WIDE, 70), _draw_exposures, case)
    page.panel("snr", (LEFT, 48, _WIDE, 84), _draw_snr, case)
    return page


def _draw_spectrum(axes: Axes, case: Combination) -> dict[str, Any]:
    spectrum = case.combined.spectrum
    title(axes, "combined (blue), +-1 sigma (band); exposures on its scale (grey)")
    shares = shade(axes, spectrum)
    good = spectrum.good
    flux, error = (np.where(good, plane, np.nan) for plane in (spectrum.flux, spectrum.error))
    low, high = flux_range(flux, error)
    power = math.floor(math.log10(max(abs(low), abs(high)) or 1.0))
    power = power if not -2 <= power <= 3 else 0
    scale = 10.0**power
    for each in case.scaled:
        seen = np.where(each.good, each.flux, np.nan) / scale
        axes.plot(each.wavelength, seen, color="0.7", lw=0.6, drawstyle="steps-mid", zorder=1)
    at = spectrum.wavelength
    axes.fill_between(at, (flux - error) / scale, (flux + error) / scale, color=BLUE, alpha=0.28,
                      lw=0, step="mid")  # fmt: skip
    axes.plot(at, flux / scale, color=BLUE, lw=1.0, drawstyle="steps-mid")
    axes.axhline(0.0, color=PALE, lw=0.8)
    unit = spectrum.unit.replace("Angstrom", "A")
    frame(axes, limits(at), (low / scale, high / scale), x_label=WAVELENGTH, x_ticks=14,
          y_label=f"1e{power} {unit}" if power else unit, y_ticks=5)  # fmt: skip
    return {"unit": spectrum.unit, "range": (low, high), "masked": shares}


def _draw_agreement(axes: Axes, case: Combination) -> dict[str, Any]:
    title(axes, "each exposure, scaled, over the combination (medians of bins)")
    spectrum = case.combined.spectrum
    ends = limits(spectrum.wavelength)
    edges = np.linspace(*ends, _BINS + 1)
    whole = np.where(spectrum.good, spectrum.flux, np.nan)
    said: dict[str, Any] = {}
    seen = []
    for number, (share, each) in enumerate(zip(case.combined.shares, case.scaled, strict=True)):
        flux = np.where(each.good, each.flux, np.nan)
        pairs = [
            (middle(flux[(each.wavelength >= low) & (each.wavelength < high)]),
             middle(whole[(spectrum.wavelength >= low) & (spectrum.wavelength < high)]))
            for low, high in itertools.pairwise(edges)
        ]  # fmt: skip
        ratio = np.array([100 * one / both if both else math.nan for one, both in pairs])
        colour, marker = _COLOURS[number % 6], _MARKERS[number % 6]
        axes.plot(0.5 * (edges[1:] + edges[:-1]), ratio, marker + "-", ms=3.5, lw=0.6, color=colour)
        if number < 6:
            note(axes, f"{share.name}: factor {share.factor:.2f}, weight {share.weight:.2f}, "
                 f"chi2 {share.chi2:.2f}", x=0.005 + 0.33 * (number % 3),
                 y=0.97 - 0.11 * (number // 3), ha="left", color=colour)  # fmt: skip
        said[share.name] = middle(ratio)
        seen.append(ratio)
    reach = max(5.0, 1.5 * percentiles(np.abs(np.array(seen) - 100), (90,))[0])
    reach = reach if math.isfinite(reach) else 5.0
    axes.axhline(100.0, color=PALE, lw=0.8)
    frame(axes, ends, (100 - reach, 100 + 1.6 * reach), x_label=WAVELENGTH, x_ticks=14,
          y_label="per cent")  # fmt: skip
    return {"median_per_cent": said}


def _draw_exposures(axes: Axes, case: Combination) -> dict[str, Any]:
    title(axes, "exposures in every pixel")
    number = case.combined.exposures
    axes.plot(case.combined.spectrum.wavelength, number, color=GREEN, lw=1.0,
              drawstyle="steps-mid")  # fmt: skip
    frame(axes, limits(case.combined.spectrum.wavelength),
          (-0.2, max(len(case.members), 1) * 1.15), x_ticks=0, y_ticks=2)  # fmt: skip
    return {"median": middle(number),
            "rejected": {share.name: share.rejected for share in case.combined.shares}}  # fmt: skip


def _draw_snr(axes: Axes, case: Combination) -> dict[str, Any]:
    title(axes, "signal-to-noise per pixel: combined (blue), exposures (grey)")
    tops, medians = [], {}
    names = ["combined", *(share.name for share in case.combined.shares)]
    for name, each in zip(names, [case.combined.spectrum, *case.scaled], strict=True):
        ratio = np.where(each.good, each.flux / each.error, np.nan)
        axes.plot(each.wavelength, ratio, lw=0.8, color=BLUE if name == "combined" else "0.7",
                  zorder=2 if name == "combined" else 1)  # fmt: skip
        tops.append(percentiles(ratio, (99,))[0])
        medians[name] = middle(ratio)
    frame(axes, limits(case.combined.spectrum.wavelength), (0, 1.15 * percentiles(tops, (100,))[0]),
          x_label=WAVELENGTH, x_ticks=14, y_ticks=3)  # fmt: skip
    return {"median": medians}
