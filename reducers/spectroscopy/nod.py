"""Subtract a partner: the same set-up with the target elsewhere on the slit (A - B).

What two exposures share (fringes, dust on the slit, errors of the flat, scattered light) is in
the partner's departure from its own smooth sky. That departure is subtracted; the smooth sky of
both is left to the one fit that follows, with the variances of both. Away from the partner's
objects this is A - B after a fit of the residual sky. At the partner's objects nothing is
subtracted, so that no negative spectrum can be taken for sky or eat into a neighbour; that
object's own spectrum is B - A, the same function with the roles exchanged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from reducers.errors import SetupMismatch
from reducers.frame import Frame
from reducers.spectroscopy.sky import free_columns

if TYPE_CHECKING:
    from reducers.spectroscopy.longslit import Slit

#: A partner's pixel farther than this from its sky (sigma) is a hit or an object, not structure.
STRUCTURE_LIMIT_SIGMA = 6.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Nod:
    """An exposure without the structure that its partner shows.

    Attributes
    ----------
    frame
        The exposure; its variance includes the partner's.
    variance : (ny, nx) electrons^2
        What the partner adds to the floor under every pixel, less what cancels.
    subtracted : (nx,) bool
        Columns where the partner shows nothing but sky.
    scale : float
        Factor on the partner: the exposure's sky over the partner's.
    """

    frame: Frame
    variance: NDArray[np.float64]
    subtracted: NDArray[np.bool_]
    scale: float


def subtract_partner(
    own: Slit, partner: Slit, *, read_noise_e: float, masters_variance: NDArray[np.float64]
) -> Nod:
    """Subtract from an exposure what its partner shows beside sky and objects.

    Parameters
    ----------
    own, partner
        Both as `measure_slit` gives them: frames with their cosmic rays masked, skies, objects.
    read_noise_e
        Of the partner.
    masters_variance : (ny, nx) electrons^2
        What the masters add to either exposure; being the same noise, it cancels in A - B.

    Raises
    ------
    SetupMismatch
        If the two differ in binning or window.
    """
    frame, other = own.frame, partner.frame
    if other.shape != frame.shape or other.geometry != frame.geometry:
        raise SetupMismatch(
            f"the partner has {other.shape} at {other.geometry}, the frame {frame.shape} at "
            f"{frame.geometry}: both must be taken in one window and binning"
        )
    light = np.clip(partner.sky, 0, None) + read_noise_e**2
    noise = light + masters_variance
    departure = other.data - partner.sky
    free = _free_of_objects(partner, noise)
    use = other.good & free[None, :] & (departure**2 < STRUCTURE_LIMIT_SIGMA**2 * noise)
    # Structure scales with the light that it is imprinted on.
    total = float(np.clip(partner.sky, 0, None).sum())
    scale = float(np.clip(own.sky, 0, None).sum()) / total if total > 0 else 1.0
    shared = scale * (scale - 2) * masters_variance
    variance = np.where(use, scale**2 * light + shared, 0.0)
    return Nod(
        frame=frame.after(
            f"partner: structure of its sky subtracted, scaled by {scale:.3f}",
            data=frame.data - np.where(use, scale * departure, 0.0),
            variance=frame.variance + variance,
        ),
        variance=variance,
        subtracted=free,
        scale=scale,
    )


def _free_of_objects(partner: Slit, noise: NDArray[np.float64]) -> NDArray[np.bool_]:
    objects = [
        (float(np.median(trace.columns)), float(width))
        for trace, width in zip(partner.traces, partner.widths_px, strict=True)
        if not trace.forced
    ]
    return free_columns(partner.profile, float(np.sqrt(np.median(noise))), objects)


def nod_measurements(nod: Nod, own: Slit, partner: Slit) -> dict[str, float]:
    """Return 'nod_scale', 'nod_px' (how far the target moved) and 'nod_overlap'.

    The overlap is the share of the target's aperture that the partner's own objects cover, where
    nothing could be subtracted.
    """
    column = float(np.median(own.traces[0].columns))
    width = max(own.widths_px[0], 1.0)
    columns = np.arange(nod.subtracted.size)
    aperture = np.abs(columns - column) <= width
    covered = float((~nod.subtracted[aperture]).mean()) if aperture.any() else 1.0
    return {
        "nod_scale": nod.scale,
        "nod_px": column - float(np.median(partner.traces[0].columns)),
        "nod_overlap": covered,
    }
