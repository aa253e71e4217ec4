"""Header, slit image, residual, slit profile and spectrum of the verification plot."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np

from daemon.publish.view import middle
from reducers.frame import Mask

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from daemon.publish.view import View
    from reducers.spectrum import Spectrum

#: Colour of every quality, from good to unusable.
QUALITY_COLOURS = ("#1a7f37", "#2f8f2f", "#b07d00", "#c8501a", "#c01c28", "#8b1a8b")
QUALITY_WORDS = (
    "good",
    "good after recovery",
    "usable, with a warning",
    "target not in the data",
    "not usable",
    "identity not proven",
)
OBJECT, AID, SKY = "#1f5fa8", "#c01c28", "#2f8f2f"
_SMALL = 8

#: Mask bits shaded under the spectrum, with their colour.
_SHADED = (
    (Mask.TELLURIC, "#cfe3f5"),
    (Mask.WAVE_EXTRAPOLATED, "#e6e6e6"),
    (Mask.NO_FLUX_CALIBRATION, "#f3ead2"),
    (Mask.SECOND_ORDER, "#f5dccf"),
    (Mask.NO_FLAT, "#ece4f5"),
)


def plain(text: str, limit: int = 200) -> str:
    """Return text that any font can draw: printable, one line, no longer than the limit."""
    line = "".join(c if c.isprintable() and ord(c) < 0x250 else "?" for c in " ".join(text.split()))
    return line if len(line) <= limit else line[: limit - 1] + "…"


def known(value: float | None, form: str) -> str:
    """Return the number in this form, or 'unknown'."""
    return "unknown" if value is None or not np.isfinite(value) else format(value, form)


def label(axes: Axes, text: str) -> None:
    """Write the name of a panel into its upper left corner."""
    box = {"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 1.5}
    axes.text(
        0.006,
        0.965,
        text,
        transform=axes.transAxes,
        va="top",
        fontsize=9,
        bbox=box,
        parse_math=False,
    )
    axes.tick_params(labelsize=_SMALL)


def draw_header(figure: Figure, seen: View, notes: Sequence[str]) -> None:
    """Write target, quality with its reasons in words, and the circumstances."""
    reduced, identity = seen.reduced, seen.exposure.identity
    quality = int(np.clip(reduced.quality, 0, 5))
    target = plain(identity.target or identity.object_name or "no name", 40)
    name = "" if seen.shown is None else seen.shown.name
    figure.text(0.012, 0.978, target, fontsize=19, weight="bold", va="top", parse_math=False)
    figure.text(
        0.35, 0.975, f" quality {quality}: {QUALITY_WORDS[quality]} ", fontsize=14, va="top",
        color="white", weight="bold",
        bbox={"facecolor": QUALITY_COLOURS[quality], "edgecolor": "none"}, parse_math=False,
    )  # fmt: skip
    figure.text(0.012, 0.935, circumstances(seen), fontsize=9.5, va="top", parse_math=False)
    right = plain(f"{seen.exposure.stem}  {name}", 60)
    figure.text(0.988, 0.978, right, fontsize=13, va="top", ha="right", parse_math=False)
    aside = "\n".join(plain(note, 60) for note in notes[:5])
    figure.text(0.988, 0.947, aside, fontsize=_SMALL, va="top", ha="right", parse_math=False)
    said = [f"{flag.name}: {flag.sentence}" for flag in reduced.flags] or ["all checks passed"]
    lines = textwrap.wrap(plain(" · ".join(said), 600), 150)
    if len(lines) > 2:
        lines = [lines[0], textwrap.shorten(lines[1], 146, placeholder="") + " …"]
    figure.text(
        0.012, 0.914, "\n".join(lines), fontsize=9, va="top", parse_math=False,
        color=QUALITY_COLOURS[quality],
    )  # fmt: skip


def circumstances(seen: View) -> str:
    """Return one line: when, how long, through what."""
    identity, found = seen.exposure.identity, seen.reduced.measurements
    when = (
        "time unknown"
        if identity.observed_at is None
        else f"{identity.observed_at:%Y-%m-%d %H:%M:%S} UT"
    )
    snr = None if seen.shown is None else seen.shown.snr
    parts = (
        when,
        f"{identity.exposure_s:g} s",
        identity.setup.grism or "no grism",
        identity.setup.slit or "no slit",
        f"binning {identity.setup.x_binning}x{identity.setup.y_binning}",
        f"airmass {known(identity.airmass, '.2f')}",
        f'FWHM {known(found.get("fwhm_arcsec"), ".2f")}"',
        f"S/N {known(snr, '.1f')}",
    )
    return plain("  ·  ".join(parts))


def draw_image(axes: Axes, seen: View) -> None:
    """Draw the slit image with the trace and the aperture on it."""
    low, high = np.percentile(seen.image, (2.0, 99.0)) if seen.image.size else (0.0, 1.0)
    show(axes, seen, seen.image, (float(low), float(max(high, low + 1.0))), "gray_r")
    draw_trace(axes, seen)
    label(axes, "slit image (electrons), trace and aperture")
    axes.set_ylabel("slit (px)", fontsize=9)
    axes.tick_params(labelbottom=False)


def draw_residual(axes: Axes, seen: View) -> None:
    """Draw the image minus sky in units of its error."""
    show(axes, seen, seen.residual, (-5.0, 5.0), "RdBu_r")
    label(axes, "image minus sky, in sigma (-5 to 5)")
    axes.set_ylabel("slit (px)", fontsize=9)
    axes.tick_params(labelbottom=False)


def show(axes: Axes, seen: View, plane: Any, levels: tuple[float, float], colours: str) -> None:
    """Put a (slit, wavelength) plane on axes of Angstrom and slit pixel."""
    extent = (seen.low, seen.high, seen.first_column - 0.5, seen.last_column - 0.5)
    axes.imshow(
        plane, origin="lower", aspect="auto", extent=extent, vmin=levels[0], vmax=levels[1],
        cmap=colours, interpolation="nearest",
    )  # fmt: skip
    axes.set_xlim(seen.low, seen.high)
    axes.set_ylim(extent[2], extent[3])


def draw_trace(axes: Axes, seen: View) -> None:
    """Draw every object's trace, and the aperture of the one that is judged."""
    for other in seen.reduced.objects:
        if other is not seen.shown:
            axes.axhline(middle(other.trace.columns, -1), color=SKY, lw=0.8, ls=":")
    if seen.shown is None or not seen.trace_column.size:
        return
    half = 1.5 * float(seen.shown.trace.fwhm_px)
    style = "--" if seen.shown.trace.forced else "-"
    for offset, width in ((0.0, 1.0), (-half, 0.6), (half, 0.6)):
        axes.plot(
            seen.trace_wavelength,
            seen.trace_column + offset,
            style,
            color=AID,
            lw=width,
            alpha=0.85,
        )


def draw_profile(axes: Axes, seen: View) -> None:
    """Draw the mean signal along the slit, asinh scaled, with the objects found on it."""
    profile = np.asarray(seen.reduced.slit_profile, dtype=float)
    inside = profile[seen.first_column : seen.last_column]
    inside = inside[np.isfinite(inside)]
    low, high = (float(inside.min()), float(inside.max())) if inside.size else (-1.0, 1.0)
    scale = max(3 * middle(np.abs(inside), 1.0), high / 1e3, 1e-6)
    axes.plot(
        np.arcsinh(profile / scale), np.arange(profile.size), color=OBJECT, lw=1.0,
        drawstyle="steps-mid",
    )  # fmt: skip
    ticks = [
        v for v in (0.0, *(10.0**power for power in range(-3, 7))) if v == 0 or scale < v < high
    ]
    axes.set_xticks([float(np.arcsinh(v / scale)) for v in ticks], [f"{v:g}" for v in ticks])
    axes.axvline(0.0, color="0.6", lw=0.6)
    axes.set_xlim(np.arcsinh(low / scale) - 0.3, np.arcsinh(high / scale) * 1.25 + 0.3)
    axes.set_ylim(seen.first_column - 0.5, seen.last_column - 0.5)
    name_objects(axes, seen)
    label(axes, "profile along the slit (mean electrons)")
    if seen.shown is not None:
        trace = seen.shown.trace
        said = f"FWHM {known(trace.fwhm_px, '.1f')} px\ntrace rms {known(trace.rms_px, '.2f')} px"
        said += "\nforced" if trace.forced else ""
        axes.text(
            0.985, 0.015, said, transform=axes.transAxes, fontsize=_SMALL, ha="right",
            bbox={"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 1.5},
        )  # fmt: skip


def name_objects(axes: Axes, seen: View) -> None:
    """Mark the place of every object on the slit profile."""
    for found in seen.reduced.objects:
        place = middle(found.trace.columns, -1.0)
        if not seen.first_column <= place < seen.last_column:
            continue
        colour = AID if found is seen.shown else SKY
        axes.axhline(place, color=colour, lw=0.8, ls="--" if found.trace.forced else "-")
        axes.text(
            0.985, place + 3, found.name, transform=axes.get_yaxis_transform(), ha="right",
            fontsize=_SMALL, color=colour, parse_math=False,
        )  # fmt: skip


def draw_spectrum(axes: Axes, seen: View) -> None:
    """Draw the spectrum with its error band, its boxcar twin and what is masked."""
    label(axes, "spectrum (blue), +-1 sigma (band), boxcar (grey)")
    axes.set_xlabel("vacuum wavelength (Angstrom)", fontsize=9, labelpad=1)
    if seen.shown is None:
        axes.text(0.5, 0.5, "no object", transform=axes.transAxes, ha="center")
        return
    spectrum, boxcar = seen.shown.spectrum, seen.shown.boxcar
    shade(axes, spectrum)
    flux = np.where(spectrum.good, spectrum.flux, np.nan)
    error = np.where(spectrum.good, spectrum.error, np.nan)
    if boxcar.flux.shape == flux.shape and seen.shown.counts.flux.shape == flux.shape:
        with np.errstate(divide="ignore", invalid="ignore"):
            scale = flux / seen.shown.counts.flux
        twin = np.where(
            np.isfinite(scale) & (np.abs(scale) < 1e3 * abs(middle(scale, 1.0))),
            boxcar.flux * scale,
            np.nan,
        )
        axes.plot(boxcar.wavelength, twin, color="0.65", lw=0.7, drawstyle="steps-mid")
    axes.fill_between(
        spectrum.wavelength, flux - error, flux + error, color=OBJECT, alpha=0.25, lw=0, step="mid"
    )
    axes.plot(spectrum.wavelength, flux, color=OBJECT, lw=0.8, drawstyle="steps-mid")
    axes.axhline(0.0, color="0.6", lw=0.6)
    frame_flux(axes, flux, error)
    axes.set_ylabel(spectrum.unit.replace("Angstrom", "A"), fontsize=_SMALL, parse_math=False)
    axes.yaxis.get_offset_text().set_fontsize(_SMALL)


def frame_flux(axes: Axes, flux: Any, error: Any) -> None:
    """Choose the flux range: all of the well measured spectrum, little of its noisy ends."""
    with np.errstate(invalid="ignore"):
        measured = (
            np.isfinite(flux) & (error < 4 * np.nanmedian(error))
            if np.isfinite(error).any()
            else np.isfinite(flux)
        )
    if measured.sum() < 10:
        measured = np.isfinite(flux)
    if not measured.any():
        return
    low, high = np.percentile(flux[measured], (0.5, 99.7))
    room = 0.12 * (high - low) or 1e-20
    axes.set_ylim(min(float(low) - room, -room), float(high) + 2 * room)


def shade(axes: Axes, spectrum: Spectrum) -> None:
    """Shade the stretches of the spectrum that carry a mask bit, and name each once."""
    bottom = 0.0
    for bit, colour in _SHADED:
        marked = (spectrum.mask & np.uint16(bit)) != 0
        if not marked.any():
            continue
        axes.fill_between(
            spectrum.wavelength, 0, 1, where=marked, color=colour, lw=0, step="mid",
            transform=axes.get_xaxis_transform(), zorder=0,
        )  # fmt: skip
        axes.text(
            0.994, 0.93 - bottom, str(bit.name).lower().replace("_", " "), transform=axes.transAxes,
            ha="right", va="top", fontsize=_SMALL,
            bbox={"facecolor": colour, "edgecolor": "0.7", "pad": 1.2},
        )  # fmt: skip
        bottom += 0.13
