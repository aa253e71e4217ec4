"""Join bright pixels to objects, whatever the image holds: a flood of light is no error."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import sep
from numpy.typing import NDArray

if TYPE_CHECKING:
    from reducers.frame import Image

#: Pixels of unfinished objects that are held at first; bright fields need a fifth of them.
HELD_PX = 500_000
#: Objects within one isophote.
SUB_OBJECTS = 8192
#: An object of more pixels is no source; telling apart what it holds would take gigabytes.
FLOOD_PX = 200_000


class _TooMuch(Exception):
    """sep ran out of the room it was given."""


@dataclass(frozen=True, slots=True)
class Extraction:
    """What stands above the threshold.

    Attributes
    ----------
    objects
        sep's table.
    segments : (ny, nx) int32
        0 for sky, 1 + index into the objects.
    flooded : (ny, nx) bool or None
        Light of more area than any source, which was left out; None where there is none.
    """

    objects: Any
    segments: NDArray[np.int32]
    flooded: NDArray[np.bool_] | None = None

    @property
    def flooded_fraction(self) -> float:
        """Part of the image that was left out."""
        return 0.0 if self.flooded is None else float(self.flooded.mean())


def extract(light: Image, threshold: float, **options: Any) -> Extraction:
    """Return the objects of an image, with sep's options.

    Where more pixels than any sky holds stand above the threshold (a saturated half, the moon, a
    sky that was not subtracted), what is too large for a source is left out and the rest searched
    again.
    """
    with suppress(_TooMuch):
        return Extraction(*_searched(light, threshold, HELD_PX, options))
    everything = light.size + 1000
    whole = {**options, "deblend_nthresh": 1}
    objects, segments = _searched(light, threshold, everything, whole)
    flooded = np.concatenate(([False], objects["npix"] > FLOOD_PX))[segments]
    # Not by sep's mask, which forgets the first rows when it filters.
    light = np.where(flooded, np.float32(0), light)
    with suppress(_TooMuch):
        return Extraction(*_searched(light, threshold, everything, options), flooded)
    options["deblend_nthresh"] = 1
    return Extraction(*_searched(light, threshold, everything, options), flooded)


def _searched(
    light: Image, threshold: float, held_px: int, options: dict[str, Any]
) -> tuple[Any, NDArray[np.int32]]:
    sep.set_sub_object_limit(SUB_OBJECTS)
    sep.set_extract_pixstack(held_px)
    try:
        objects, segments = sep.extract(light, threshold, segmentation_map=True, **options)
    except Exception as problem:
        # sep turns every error code into a bare Exception (sep.pyx, _assert_ok): its words are all
        # that tells two of them from the rest, which are not ours to catch.
        if "pixel buffer full" in str(problem) or "deblending overflow" in str(problem):
            raise _TooMuch(str(problem)) from problem
        raise
    return objects, segments
