"""The night sky of many images together: how uneven it looks after the flat."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from reducers.frame import Image

#: A sky of fewer electrons tells less than its own noise.
LEAST_ELECTRONS = 20.0


def super_sky(skies: Sequence[tuple[Image, int]]) -> tuple[Image, int] | None:
    """Return the median of the skies, each over its own level, and the pixels between its values.

    The models were made beside the sources; moved exposures rid them of what is left of these.
    None where there is none.

    Parameters
    ----------
    skies
        (model, pixels from one value to the next), all of one shape.
    """
    bright = [(sky, step) for sky, step in skies if np.median(sky) > LEAST_ELECTRONS]
    alike = [(sky, step) for sky, step in bright if sky.shape == bright[0][0].shape]
    if not alike:
        return None
    mean = np.median([sky / np.median(sky) for sky, _ in alike], axis=0)
    return np.asarray(mean, np.float32), alike[0][1]


def additive_light(
    sky: tuple[Image, int], response: Image, lit: NDArray[np.bool_]
) -> dict[str, float]:
    """Return 'sky_range', how uneven the sky is, and 'additive_range', what stars do not share.

    The remainder is light that was added to the sky, not taken from the stars: it leaves with the
    sky of each image and nothing is divided by it. Both are 1st to 99th percentiles, relative.
    """
    plane, step = sky
    half = step // 2
    seen = lit[half::step, half::step]
    factor = response[half::step, half::step]
    if seen.shape != plane.shape or not seen.any():
        return {}
    found = {}
    for name, values in (("sky_range", plane[seen]), ("additive_range", (plane / factor)[seen])):
        low, high = np.percentile(values, (1, 99))
        found[name] = float(high - low) / float(np.median(values))
    return found
