"""Stack the images of one target and filter, when a person asks for it.

Each image has been calibrated with its own night's calibrations by then.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from daemon.layout import slug
from daemon.memory.records import Decision, FrameRecord
from daemon.publish.words import argument
from daemon.work.bench import file_sha256
from daemon.work.product_files import target_of, write_files
from daemon.work.references import references_for
from daemon.work.roles import IMAGED
from reducers.errors import ReductionError, UnreadableFile
from reducers.imaging.background import estimate_background
from reducers.imaging.common_light import StarLight, common_light
from reducers.imaging.detection import detect
from reducers.imaging.register import common_grid, place_by_stars
from reducers.imaging.stack import Stacked, StackImage, stack
from reducers.imaging.stack_list import Listed
from reducers.imaging.stack_members import Choice, Member, StackSettings, choose
from reducers.imaging.stack_photometry import StackStars, measure_stack
from reducers.imaging.stack_products import ProductPixels, StoredImage, read_image, stack_products
from reducers.products import Provenance

if TYPE_CHECKING:
    from daemon.work.bench import Bench
    from reducers.imaging.resample_image import Grid
    from reducers.imaging.sources import Detections

log = logging.getLogger(__name__)

#: How the files of a stack end, by role.
ENDINGS = {"combined": ".fits", "combined_list": ".list", "combined_phot": "_phot.fits"}


class NothingToStack(Exception):
    """What a person asked for cannot be stacked; the message says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedStack:
    """What a person wants stacked; '' or () or None leaves it open.

    Attributes
    ----------
    listed
        The person's list; images that are not on it take no part.
    grid
        Arguments of `common_grid`: centre_deg, size_px, scale_arcsec, north_up.
    """

    target: str
    filter: str = ""
    nights: tuple[str, ...] = ()
    listed: tuple[Listed, ...] = ()
    settings: StackSettings = field(default_factory=StackSettings)
    grid: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StackMade:
    """A stack and its files."""

    target: str
    filter: str
    nights: tuple[str, ...]
    stacked: Stacked
    choices: tuple[Choice, ...]
    paths: Mapping[str, Path]
    stars: StackStars | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    frame: FrameRecord
    path: Path
    sha256: str
    image: StoredImage


def stack_target(bench: Bench, wanted: WantedStack, into: Path | None = None) -> StackMade:
    """Stack what is wanted and write it below the newest night, or into a folder.

    Raises
    ------
    NothingToStack
        If no image fits, several filters do, or none may take part.
    """
    candidates = [_candidate(bench, frame) for frame in _frames(bench, wanted)]
    candidates, light = _placed(candidates)
    choices = _choices(candidates, wanted, light)
    if not any(choice.use for choice in choices):
        left = "; ".join(f"{c.member.name}: {c.reason}" for c in choices[:6])
        raise NothingToStack(f"no image may take part. {left}")
    images = [
        StackImage(choice=choice, sky_map=one.image.sky_map, pixels=one.image.pixels)
        for one, choice in zip(candidates, choices, strict=True)
        if choice.use and one.image.sky_map is not None
    ]
    used = [one for one, choice in zip(candidates, choices, strict=True) if choice.use]
    try:
        stacked = stack(images, _grid(images, wanted), wanted.settings)
    except (ReductionError, ValueError) as error:
        raise NothingToStack(str(error)) from error
    nights = tuple(sorted({one.frame.night for one in used}))
    paths = _paths(bench, used[-1].frame, nights, into)
    provenance = [
        Provenance(file=one.path.name, sha256=one.sha256, role="IMAGE", reason="stacked")
        for one in used
    ]
    optics = used[0].frame.identity.setup.filter
    again = f"{argument(wanted.target)} --filter {argument(optics)}"
    headers = [one.image.header for one in used]
    stars = _stars(bench, stacked, used)
    files = stack_products(stacked, choices, headers, provenance, again=again, stars=stars)
    paths = {role: path for role, path in paths.items() if role in files}
    write_files(files, paths)
    return StackMade(
        target=target_of(used[0].frame),
        filter=used[0].frame.identity.setup.filter,
        nights=nights,
        stacked=stacked,
        choices=choices,
        paths=paths,
        stars=stars,
    )


def _stars(bench: Bench, stacked: Stacked, used: Sequence[_Candidate]) -> StackStars | None:
    """Return the sources of a stack with the catalogues that lie on disc; None without any."""
    frame = used[-1].frame
    solved = any(one.image.header.get("WCSERR") == 0 for one in used)
    known = references_for(bench, frame, at_hand=True)
    instrument = bench.instrument(frame.identity.instrument)
    try:
        return measure_stack(stacked, frame.identity, known, instrument, solved=solved)
    except (ReductionError, ValueError, np.linalg.LinAlgError) as error:
        log.warning("the stack of %s is not measured: %s", target_of(frame), error)
        return None


def _frames(bench: Bench, wanted: WantedStack) -> list[FrameRecord]:
    """Return the images of the one filter that is wanted."""
    found: dict[tuple[str, str], list[FrameRecord]] = {}
    for frame in _images(bench, sorted(set(wanted.nights)) or [None]):
        band = frame.identity.setup.filter
        same_target = _plain(wanted.target) == _plain(target_of(frame))
        if same_target and _same_filter(wanted.filter, band):
            found.setdefault((frame.identity.instrument, band), []).append(frame)
    if not found:
        known = {target_of(frame) for frame in _images(bench, (None,))}
        said = ", ".join(sorted(known)[:8]) or "none yet"
        raise NothingToStack(f"no image fits; targets with images: {said}")
    if len(found) > 1:
        said = ", ".join(sorted(f"{band} ({instrument})" for instrument, band in found))
        raise NothingToStack(f"images in several filters fit: {said}. Add --filter")
    (frames,) = found.values()
    return sorted(frames, key=lambda frame: (frame.night, frame.stem))


def _images(bench: Bench, nights: Sequence[str | None]) -> list[FrameRecord]:
    """Return the images of some nights; None stands for every night."""
    return [
        frame
        for kind in sorted(IMAGED)
        for night in nights
        for frame in bench.archive.current_frames(kind, night)
    ]


def _same_filter(asked: str, own: str) -> bool:
    """Tell whether a filter is meant: 'r' means r_SDSS, but i means no int_..."""
    return not asked or _plain(asked) in (_plain(own), _plain(own.split("_")[0]))


def _plain(text: str) -> str:
    return "".join(text.split()).casefold().replace("'", "").replace("#", "")


def _candidate(bench: Bench, frame: FrameRecord) -> _Candidate:
    """Return an image with what is known of it; where it cannot be read, with the reason."""
    product = bench.archive.current_product(frame.id)
    path = product.paths.get("image") if product is not None else None
    if product is None or path is None:
        return _unreadable(frame, Path(), "it has no reduced image yet")
    try:
        image, sha256 = read_image(path), file_sha256(path)
    except (UnreadableFile, OSError) as error:
        return _unreadable(frame, path, f"its reduced image cannot be read: {error}")
    why_not = image.member.why_not
    if product.verdict is not None and product.verdict.decision is Decision.REJECTED:
        why_not = "a person rejected it"
    elif sha256 != product.hashes.get("image"):
        why_not = f"{path.name} is not the file that alfoscd wrote"
    member = replace(image.member, name=frame.stem, quality=product.quality, why_not=why_not)
    return _Candidate(frame=frame, path=path, sha256=sha256, image=replace(image, member=member))


def _unreadable(frame: FrameRecord, path: Path, why: str) -> _Candidate:
    member = Member(name=frame.stem, exposure_s=frame.identity.exposure_s, why_not=why)
    pixels = ProductPixels(path, (0, 0))
    image = StoredImage(member=member, sky_map=None, pixels=pixels, header={})
    return _Candidate(frame=frame, path=path, sha256="", image=image)


def _placed(candidates: list[_Candidate]) -> tuple[list[_Candidate], dict[str, float]]:
    """Return the images with places by common stars where needed, and their light by those.

    Stars are looked for only where an image has no place or no zero point of its own. Where no
    image has a place, that of the first header serves all: relative to each other they are right.
    """
    able = [one for one in candidates if not one.image.member.why_not]
    members = [one.image.member for one in able]
    measured = all(np.isfinite(member.zero_point_mag) for member in members)
    if not able or (measured and all(member.placed for member in members)):
        return candidates, {}
    stars = {one.frame.stem: _sources(one.image) for one in able}
    first = next((one for one in able if one.image.member.placed), None) or _with_place(able[0])
    placed = {
        one.frame.stem: first
        if one.frame.stem == first.frame.stem
        else _by_stars(one, first, stars)
        for one in able
    }
    lights = {stem: _light(one.image, stars[stem]) for stem, one in placed.items()}
    found = [placed.get(one.frame.stem, one) for one in candidates]
    known = {stem: light for stem, light in lights.items() if light is not None}
    return found, {} if measured else common_light(known)


def _sources(image: StoredImage) -> Detections:
    frame = image.pixels.rows(0, image.pixels.shape[0])
    sky = estimate_background(frame)
    return detect(frame, sky.level, sky.rms)[0]


def _with_place(one: _Candidate) -> _Candidate:
    return replace(one, image=replace(one.image, member=replace(one.image.member, placed=True)))


def _by_stars(one: _Candidate, first: _Candidate, stars: Mapping[str, Detections]) -> _Candidate:
    """Return an image with the place that the stars of the first give it, if it has none."""
    if one.frame.stem == first.frame.stem:
        return first
    image, reference = one.image, first.image.sky_map
    if image.member.placed or reference is None:
        return one
    own, others = stars[one.frame.stem], stars[first.frame.stem]
    found = place_by_stars(own, image.pixels.shape, others, reference)
    if found is None:
        return one
    sky_map, _, scatter = found
    member = replace(image.member, placed=True, position_rms_arcsec=scatter)
    return replace(one, image=replace(image, sky_map=sky_map, member=member))


def _light(image: StoredImage, stars: Detections) -> StarLight | None:
    """Return the light of an image's stars on the sky; None where it has no place."""
    if not image.member.placed or image.sky_map is None or not image.member.exposure_s > 0:
        return None
    ra, dec = image.sky_map.sky(stars.x, stars.y)
    return StarLight(
        ra_deg=ra,
        dec_deg=dec,
        rate=stars.flux / image.member.exposure_s,
        rate_error=stars.flux_error / image.member.exposure_s,
    )


def _choices(
    candidates: Sequence[_Candidate], wanted: WantedStack, light: Mapping[str, float]
) -> tuple[Choice, ...]:
    """Decide, obeying the person's list."""
    listed = {one.name: one for one in wanted.listed}
    names = [one.image.member.name for one in candidates]
    unknown = sorted(set(listed) - set(names))
    if unknown:
        raise NothingToStack(f"the list names images that are not there: {', '.join(unknown[:6])}")
    use = {name: name in listed and listed[name].use for name in names} if listed else {}
    weights = {name: one.weight for name, one in listed.items() if one.weight is not None}
    members = [one.image.member for one in candidates]
    return choose(members, wanted.settings, transparency=light, wanted=use, weights=weights)


def _grid(images: Sequence[StackImage], wanted: WantedStack) -> Grid:
    maps = [one.sky_map for one in images]
    return common_grid(maps, [one.pixels.shape for one in images], **wanted.grid)


def _paths(
    bench: Bench, newest: FrameRecord, nights: Sequence[str], into: Path | None
) -> dict[str, Path]:
    """Return where the files of a stack land: 'combined_<filter>.fits' beside its images."""
    folder = into or bench.layout.target_folder(newest.night, target_of(newest))
    name = f"combined_{slug(newest.identity.setup.filter)}"
    if len(nights) > 1:
        name += f"_{nights[0]}_{nights[-1]}"
    return {role: folder / f"{name}{ending}" for role, ending in ENDINGS.items()}
