"""What the noise of the sky model does to a spectrum.

An error of the sky is common to every pixel under the object, so that it counts with the number
of pixels that the extraction adds up, where the noise of pixels counts with its root.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from reducers.spectroscopy.extract import Extraction
    from reducers.spectroscopy.shape import Profile
    from reducers.spectroscopy.sky import SkyFit
    from reducers.spectroscopy.trace import Trace

#: The plain sum reaches to this share of the profile's peak unless a width was chosen.
_BOX_REACH = 0.1


def with_sky_error(
    found: Extraction,
    trace: Trace,
    profile: Profile,
    fit: SkyFit,
    aperture_px: float | None = None,
) -> Extraction:
    """Return an extraction whose variances include that of the sky under the object.

    Notes
    -----
    For weights p^2 / V with V alike across the profile, a sky too high by one electron per pixel
    lowers the flux by sum(p) / sum(p^2) electrons.
    """
    variance = fit.variance_along(trace.columns)
    index, line = profile.along(trace)
    optimal = 1 / np.maximum((line**2).sum(axis=1), 1e-9)
    if aperture_px is None:
        inside = line > _BOX_REACH * line.max(axis=1, keepdims=True)
    else:
        inside = np.abs(index - trace.columns[:, None]) <= aperture_px
    box = inside.sum(axis=1) / np.maximum((line * inside).sum(axis=1), 1e-9)
    return replace(
        found,
        variance=found.variance + optimal**2 * variance,
        box_variance=found.box_variance + box**2 * variance,
    )
