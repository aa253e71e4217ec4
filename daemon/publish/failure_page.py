"""The page of calibration frames that gave no master: why, and what the frames look like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from daemon.publish.evidence import BAD_COLOUR, LEFT, shrunk
from daemon.publish.page import (
    BLUE,
    ORANGE,
    WIDTH_PX,
    Page,
    frame,
    percentiles,
    plain,
    span,
    title,
)
from daemon.publish.strip import circumstances, write_strip
from reducers.instrument import Instrument
from reducers.reduced import Exposure
from reducers.spectroscopy.dispersion import guess_row
from reducers.spectroscopy.lines import lines_of_lamps, reference_lines

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_FRAMES = 3
_WIDE = WIDTH_PX - LEFT - 20
#: Lines this strong, relative to the strongest of their ion, are marked where they should be.
_STRONG = 0.15


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Frames of one set, and the reason why no master came of them."""

    role: str
    exposures: tuple[Exposure, ...]
    instrument: Instrument
    reason: str
    notes: tuple[str, ...] = ()


def failure_page(case: Failure) -> Page:
    """Draw the first frames of the set as recorded, with the reason on top."""
    page = Page("failure")
    identity = case.exposures[0].identity
    stems = [exposure.stem for exposure in case.exposures]
    lamps = sorted({lamp for one in case.exposures for lamp in one.identity.lamps})
    write_strip(
        page,
        name=f"{case.role.capitalize()} {identity.setup.grism} {identity.setup.slit}",
        badge="no master",
        colour=BAD_COLOUR,
        about=[*circumstances(identity), f"lamps {', '.join(lamps) or 'not known'}"],
        reasons=[case.reason],
        right=stems[0] if len(stems) == 1 else f"{stems[0]} .. {stems[-1]}",
        aside=case.notes,
    )
    page.facts |= {"role": case.role, "frames": stems, "reason": case.reason, "lamps": lamps}
    for number, exposure in enumerate(case.exposures[:_MOST_FRAMES]):
        top = 860 - 280 * number
        page.panel(f"image {exposure.stem}", (LEFT, top - 90, _WIDE, 90), _draw_image, exposure)
        page.panel(
            f"rows {exposure.stem}", (LEFT, top - 220, _WIDE, 110), _draw_rows, exposure, case
        )
    return page


def _draw_image(axes: Axes, exposure: Exposure) -> dict[str, Any]:
    plane = exposure.raw.data
    low, high = percentiles(plane, (1, 99))
    axes.imshow(
        shrunk(plane, _WIDE, 100).T, origin="lower", aspect="auto", cmap="gray",
        interpolation="nearest", vmin=low, vmax=max(high, low + 1),
        extent=(-0.5, plane.shape[0] - 0.5, -0.5, plane.shape[1] - 0.5),
    )  # fmt: skip
    name = f"{plain(exposure.stem, 40)} as recorded, {exposure.identity.kind}"
    title(axes, f"{name}: black {low:.0f} adu, white {high:.0f} adu")
    frame(axes, (-0.5, plane.shape[0] - 0.5), (-0.5, plane.shape[1] - 0.5), x_ticks=0,
          y_label="column", y_ticks=2)  # fmt: skip
    return {"percentiles_1_99_adu": (low, high)}


def _draw_rows(axes: Axes, exposure: Exposure, case: Failure) -> dict[str, Any]:
    along = np.median(exposure.raw.data, axis=1).astype(float)
    low, high = percentiles(along, (0, 100))
    scale = max(0.01 * (high - low), 1e-6)
    shape = np.arcsinh((along - low) / scale)
    axes.plot(shape, color=BLUE, lw=0.8, drawstyle="steps-mid")
    top = float(np.nanmax(shape)) if np.isfinite(shape).any() else 1.0
    expected = _expected_rows(exposure, case) if case.role == "ARC" else []
    for row in expected:
        axes.plot([row, row], [1.05 * top, 1.2 * top], color=ORANGE, lw=1.2)
    frame(axes, (-0.5, along.size - 0.5), span(-0.03 * top, 1.25 * top), x_label="row (px): median "
          "of every row, asinh scale" + ("; ticks: where strong lines of these lamps should be"
                                         if expected else ""), y_ticks=0)  # fmt: skip
    return {"lowest_adu": low, "highest_adu": high, "expected_rows": expected}


def _expected_rows(exposure: Exposure, case: Failure) -> list[float]:
    """Return image rows of the strong lines of the lit lamps, by the grism's first guess."""
    identity, setup = exposure.identity, exposure.identity.setup
    grism = case.instrument.grisms.get(setup.grism)
    if grism is None or setup.dispersion_axis == "x":
        return []
    listed = lines_of_lamps(reference_lines(grism, case.instrument.lines), identity.lamps)
    strongest = {line.ion: 0.0 for line in listed}
    for line in listed:
        strongest[line.ion] = max(strongest[line.ion], line.strength)
    strong = [line for line in listed if line.strength >= _STRONG * strongest[line.ion] > 0]
    rows = guess_row(grism, np.array([line.wavelength_angstrom for line in strong]))
    offset = (identity.aperture_y_px or grism.slit_reference_px) - grism.slit_reference_px
    image = (rows + offset - (setup.window[2] - 1) - (setup.y_binning - 1) / 2) / setup.y_binning
    return [float(row) for row in image if 0 <= row < exposure.raw.data.shape[0]]
