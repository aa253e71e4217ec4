"""A master with the frames behind it, as its page wants it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from daemon.publish.page import RED, Page, frame, percentiles, span
from daemon.publish.strip import circumstances, write_strip
from reducers.frame import Frame
from reducers.imaging.reduced_image import ImageCalibrations
from reducers.imaging.star_flat import StarFlatMaterial
from reducers.instrument import Instrument
from reducers.preparation import direction_known, grism_of, slit_offset
from reducers.reduced import Built, Exposure, SpectrumCalibrations
from reducers.spectroscopy.dispersion import guess_wavelength
from reducers.spectroscopy.response import Response
from reducers.spectroscopy.wavelength import WavelengthSolution

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from reducers.frame import Vector

T = TypeVar("T")

#: Left edge and width of the wide panels, and of the narrow ones beside them.
LEFT, WIDE, RIGHT, NARROW = 76, 1076, 1236, 346
GOOD_COLOUR, BAD_COLOUR = "#1a7f37", "#c01c28"
APPROXIMATE = "approximate vacuum wavelength (Angstrom)"
ALONG_DISPERSION = "detector pixel along the dispersion"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A master, what it was made of and with, and what was made before.

    Attributes
    ----------
    verdict
        Why it is not used; '' when it is.
    notes
        Short lines about the masters that were applied to its frames.
    previous
        Earlier responses of this set-up, for comparison.
    stars
        What a star flat was made of.
    """

    built: Built
    exposures: tuple[Exposure, ...]
    given: SpectrumCalibrations | ImageCalibrations
    instrument: Instrument
    verdict: str = ""
    notes: tuple[str, ...] = ()
    previous: tuple[Response, ...] = ()
    stars: StarFlatMaterial | None = None

    @property
    def image(self) -> Frame:
        """The master of a bias or flat."""
        return _only(self.built.value, Frame)

    @property
    def solution(self) -> WavelengthSolution:
        """The master of an arc."""
        return _only(self.built.value, WavelengthSolution)

    @property
    def response(self) -> Response:
        """The master of a standard."""
        return _only(self.built.value, Response)


def _only(value: object, kind: type[T]) -> T:
    if not isinstance(value, kind):
        raise TypeError(f"this master is a {type(value).__name__}, no {kind.__name__}")
    return value


def open_page(case: Evidence, kind: str, about: Sequence[str]) -> Page:
    """Return a page with its header strip.

    Parameters
    ----------
    about
        What was measured, in words.
    """
    page = Page(kind)
    first = case.exposures[0]
    stems = [exposure.stem for exposure in case.exposures]
    names = stems[0] if len(stems) == 1 else f"{stems[0]} .. {stems[-1]}"
    write_strip(
        page,
        name=f"{kind[:1].upper()}{kind[1:]}  {first.identity.setup.grism} "
        f"{first.identity.setup.slit}",
        badge="not used" if case.verdict else "used",
        colour=BAD_COLOUR if case.verdict else GOOD_COLOUR,
        about=[
            said for said in circumstances(first.identity) if not said.startswith(("no ", "air"))
        ],
        reasons=[*([case.verdict] if case.verdict else []), *about],
        right=names,
        aside=case.notes,
    )
    page.facts |= {
        "frames": stems,
        "verdict": case.verdict,
        "calibrations": list(case.notes),
        "measurements": dict(case.built.measurements),
    }
    return page


def row_scale(case: Evidence, image: Frame) -> tuple[Vector, str]:
    """Return a number for every row, and what it is: the approximate vacuum wavelength.

    Behind a vertical slit whose direction the profile does not say it is the detector pixel:
    the guess might be mirrored.
    """
    identity = case.exposures[0].identity
    rows = image.geometry.detector_y(np.arange(image.shape[0]))
    if not direction_known(identity, case.instrument):
        return np.asarray(rows, dtype=np.float64), ALONG_DISPERSION
    grism = grism_of(identity, case.instrument)
    return np.asarray(guess_wavelength(grism, rows - slit_offset(identity, grism))), APPROXIMATE


def shrunk(plane: NDArray[Any], rows: int, columns: int) -> NDArray[np.float64]:
    """Return the plane averaged in blocks, not much larger than so many rows and columns."""
    down, across = (max(1, n // most) for n, most in zip(plane.shape, (rows, columns), strict=True))
    ny, nx = plane.shape[0] // down * down, plane.shape[1] // across * across
    blocks = plane[:ny, :nx].reshape(ny // down, down, nx // across, across)
    return np.asarray(blocks.mean(axis=(1, 3)), dtype=np.float64)


def draw_histogram(
    axes: Axes, values: NDArray[Any], sigma: float, *, x_label: str, centre: float = 0.0
) -> dict[str, float]:
    """Draw how often values occur, on a logarithmic scale, against a Gaussian of this width."""
    known = values[np.isfinite(values)]
    reach = 6 * (sigma if sigma > 0 else max(percentiles(np.abs(known), (99,))[0], 1e-9))
    if not known.size or not np.isfinite(reach):
        return {"pixels": 0.0}
    edges = np.linspace(centre - reach, centre + reach, 81)
    counts, _ = np.histogram(known, edges)
    middles = 0.5 * (edges[1:] + edges[:-1])
    axes.plot(middles, np.log10(np.maximum(counts, 0.5)), drawstyle="steps-mid", lw=1.2)
    if sigma > 0:
        height = known.size * (edges[1] - edges[0]) / sigma / np.sqrt(2 * np.pi)
        gauss = height * np.exp(-0.5 * ((middles - centre) / sigma) ** 2)
        axes.plot(middles, np.log10(np.maximum(gauss, 0.5)), color=RED, lw=1.0)
    top = float(np.log10(max(counts.max(), 10)))
    frame(axes, (edges[0], edges[-1]), span(-0.3, 1.15 * top), x_label=x_label,
          y_label="log10 (pixels)", x_ticks=5)  # fmt: skip
    outside = float(((known < edges[0]) | (known > edges[-1])).mean())
    return {"pixels": float(known.size), "sigma": sigma, "fraction_beyond_6_sigma": outside}
