"""Which recipe builds the master of a role, from what, and what its file is called."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daemon.work.calibrations import read_calibrations, read_image_calibrations
from daemon.work.star_flats import star_flat_material
from reducers.imaging.masters import build_dark, build_fringe, build_sky_flat
from reducers.imaging.reduced_image import ImageCalibrations
from reducers.imaging.star_flat import StarFlatMaterial, build_star_flat
from reducers.recipes import build_arc, build_bias, build_flat, build_response
from reducers.twilight_recipe import build_illumination

if TYPE_CHECKING:
    from collections.abc import Sequence

    from calibration_store.policy import Selection
    from daemon.memory.records import FrameRecord
    from daemon.work.bench import Bench
    from reducers.instrument import Instrument
    from reducers.reduced import Built, Exposure, SpectrumCalibrations

    Given = SpectrumCalibrations | ImageCalibrations | StarFlatMaterial

_OF_IMAGES = {"DARK": build_dark, "SKY_FLAT": build_sky_flat, "FRINGE": build_fringe}


def given_for(
    role: str, bench: Bench, selections: Sequence[Selection], group: Sequence[FrameRecord]
) -> Given:
    """Read the masters that are applied to the frames of another, and what else it is made of."""
    setup = group[0].identity.setup
    if role == "STAR_FLAT":
        return star_flat_material(bench, selections, group)
    if role in _OF_IMAGES:
        return read_image_calibrations(bench, selections, setup)
    return read_calibrations(bench, selections)


def applied(given: Given) -> SpectrumCalibrations | ImageCalibrations:
    """Return the masters among what another is made of."""
    return ImageCalibrations(flat=given.flat) if isinstance(given, StarFlatMaterial) else given


def run_recipe(
    role: str, exposures: Sequence[Exposure], given: Given, instrument: Instrument
) -> Built:
    """Build a master.

    Raises
    ------
    ReductionError
        If the frames do not give one.
    """
    if isinstance(given, StarFlatMaterial):
        return build_star_flat(given)
    if isinstance(given, ImageCalibrations):
        return _OF_IMAGES[role](exposures, given, instrument)
    if role == "BIAS":
        return build_bias(exposures, instrument)
    if role == "FLAT":
        return build_flat(exposures, given, instrument)
    if role == "ARC":
        return build_arc(exposures, given, instrument)
    if role == "ILLUMINATION":
        return build_illumination(exposures, given, instrument)
    return build_response(exposures[0], given, instrument)


def where_taken(frame: FrameRecord) -> dict[str, float]:
    """Return where the telescope was: an arc on the object is worth more."""
    own = frame.identity
    facts = {
        "ra_deg": own.ra_deg,
        "dec_deg": own.dec_deg,
        "rotator_deg": own.rotator_deg,
        "altitude_deg": own.altitude_deg,
    }
    return {name: value for name, value in facts.items() if value is not None}


def label_of(role: str, first: FrameRecord, key: str) -> str:
    """Name a master readably, and by its key: other content never takes the same name."""
    setup = first.identity.setup
    binning = f"{setup.x_binning}x{setup.y_binning}"
    light: tuple[str, ...] = (setup.grism, setup.slit)
    if role in ("BIAS", "DARK"):
        light = ()
    elif role in ("SKY_FLAT", "FRINGE", "STAR_FLAT"):
        light = (setup.filter,)
    return "_".join(part for part in (binning, *light, first.stem, key[:8]) if part)
