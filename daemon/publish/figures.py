"""The verification plot: one picture that shows whether a spectrum can be trusted."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from daemon.publish.calibration_panels import draw_arc, draw_response, draw_sky_line
from daemon.publish.panels import (
    draw_header,
    draw_image,
    draw_profile,
    draw_residual,
    draw_spectrum,
)
from daemon.publish.view import look

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reducers.reduced import Exposure, ReducedSpectrum

WIDTH_PX = 1600
HEIGHT_PX = 1000
_DPI = 100
_TOP, _LEFT, _WIDE = 0.865, 0.047, 0.728
_RIGHT, _NARROW = 0.83, 0.158


def draw_verification(
    reduced: ReducedSpectrum,
    exposure: Exposure,
    object_index: int = 0,
    *,
    notes: Sequence[str] = (),
) -> Figure:
    """Draw the whole way from slit image to spectrum of one object on one page.

    Parameters
    ----------
    reduced
        What the recipe returned.
    exposure
        The raw exposure it was made from.
    object_index
        Which of the objects on the slit.
    notes
        Short lines about the calibrations, e.g. 'ARC ALDc200208, 0.4 h'.
    """
    figure = Figure(figsize=(WIDTH_PX / _DPI, HEIGHT_PX / _DPI), dpi=_DPI, facecolor="white")
    seen = look(reduced, exposure, object_index, width_px=int(WIDTH_PX * _WIDE))
    image = figure.add_axes((_LEFT, 0.685, _WIDE, _TOP - 0.685))
    residual = figure.add_axes((_LEFT, 0.50, _WIDE, 0.175), sharex=image, sharey=image)
    spectrum = figure.add_axes((_LEFT, 0.225, _WIDE, 0.235), sharex=image)
    draw_header(figure, seen, notes)
    draw_image(image, seen)
    draw_residual(residual, seen)
    draw_profile(figure.add_axes((_RIGHT, 0.50, _NARROW, _TOP - 0.50)), seen)
    draw_spectrum(spectrum, seen)
    draw_arc(figure.add_axes((_LEFT, 0.05, 0.42, 0.125)), seen)
    draw_sky_line(figure.add_axes((0.535, 0.05, 0.24, 0.125)), seen)
    draw_response(figure.add_axes((_RIGHT, 0.05, _NARROW, 0.41)), seen)
    return figure


def as_png(figure: Figure) -> bytes:
    """Return the figure as the bytes of a PNG file."""
    out = BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(out, format="png", pil_kwargs={"compress_level": 3})
    return out.getvalue()


def verification_png(
    reduced: ReducedSpectrum,
    exposure: Exposure,
    object_index: int = 0,
    *,
    notes: Sequence[str] = (),
) -> bytes:
    """Return the verification plot of one object as the bytes of a PNG file."""
    return as_png(draw_verification(reduced, exposure, object_index, notes=notes))
