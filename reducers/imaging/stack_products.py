"""The files of a stack, and the images it is made of read back."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning
from astropy.wcs import WCS, FITSFixedWarning

from reducers.errors import UnreadableFile
from reducers.frame import Frame
from reducers.imaging.phot_products import phot_hdus
from reducers.imaging.sky_map import SkyMap
from reducers.imaging.stack_list import format_list
from reducers.imaging.stack_members import Choice, Member
from reducers.products import (
    Provenance,
    add_card,
    base_header,
    image_hdus,
    printable,
    provenance_hdu,
    span_cards,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reducers.imaging.stack import Stacked
    from reducers.imaging.stack_photometry import StackStars

#: Raised when the numbers of a stack change.
STACK_VERSION = "1"
#: Cards that all members share.
_COMMON = ("TELESCOP", "INSTRUME", "OBJECT", "FILTER")
#: Cards that say where an image lies on the detector; a stack lies on none.
_ON_DETECTOR = ("DETX0", "DETY0", "DETXBIN", "DETYBIN", "DETTURN")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredImage:
    """A reduced image as its product holds it; pixels are read when they are asked for.

    `sky_map` is None where the file says nothing of its place.
    """

    member: Member
    sky_map: SkyMap | None
    pixels: ProductPixels
    header: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ProductPixels:
    """The pixels of a reduced image on disc: rows of it at a time are in memory."""

    path: Path
    shape: tuple[int, int]

    def rows(self, start: int, stop: int) -> Frame:
        """Return the rows from start to stop.

        Raises
        ------
        UnreadableFile
            If the file is not what it was.
        """
        try:
            with fits.open(self.path, memmap=True) as hdus:
                planes = [hdus[name].section[start:stop] for name in (0, "UNCERT", "DQ")]
                unit = str(hdus[0].header.get("BUNIT", ""))
        except (OSError, KeyError, IndexError, TypeError, ValueError) as error:
            raise UnreadableFile(f"{self.path.name} is no longer readable: {error}") from error
        data, sigma, mask = planes
        return Frame(
            data=np.asarray(data, np.float32),
            variance=np.asarray(sigma, np.float32) ** 2,
            mask=np.asarray(mask).astype(np.uint16),
            unit=unit,
        )


def read_image(path: Path) -> StoredImage:
    """Read what a stack wants to know of a reduced image.

    Raises
    ------
    UnreadableFile
        If the file is not such a product.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AstropyUserWarning)
            with fits.open(path, memmap=True) as hdus:
                header = hdus[0].header.copy()
                shape = hdus[0].shape
                whole = all(hdus[name].shape == shape for name in ("UNCERT", "DQ"))
    except (OSError, KeyError, IndexError, TypeError, ValueError) as error:
        raise UnreadableFile(f"{path.name} is not a reduced image: {error}") from error
    if len(shape) != 2 or not whole or header.get("PRODCATG") != "SCIENCE.IMAGE":
        raise UnreadableFile(f"{path.name} is not a reduced image")
    sky_map = sky_map_of(header)
    return StoredImage(
        member=_member(header, path.stem, sky_map),
        sky_map=sky_map,
        pixels=ProductPixels(path, (shape[0], shape[1])),
        header=dict(header),
    )


def _member(header: fits.Header, name: str, sky_map: SkyMap | None) -> Member:
    def number(keyword: str) -> float:
        value = header.get(keyword)
        return float(value) if isinstance(value, int | float) else math.nan

    why_not = ""
    if sky_map is None:
        why_not = "its header holds no place on the sky"
    elif _chosen(header, "subtract_sky = False"):
        why_not = "it was reduced without subtracting the sky"
    exposure_s = number("EXPTIME")
    return Member(
        name=name,
        exposure_s=exposure_s if math.isfinite(exposure_s) else 0.0,
        filter=str(header.get("FILTER", "")),
        seeing_arcsec=number("FWHM"),
        ellipticity=number("ELLIPTIC"),
        airmass=number("AIRMASS"),
        zero_point_mag=number("ZPTMAG"),
        zero_point_error_mag=number("ZPTMUCER"),
        sky_e=number("SKYLEVEL"),
        sky_sigma_e=number("SKYSIGMA"),
        read_noise_e=number("RONUSED"),
        placed=header.get("WCSERR", 1) == 0,
        position_rms_arcsec=max(number("RADISP"), number("DEDISP")),
        quality=int(header.get("QUALITY", 0)),
        why_not=why_not,
    )


def _chosen(header: fits.Header, setting: str) -> bool:
    return any(header.get(f"CHOSEN{n}") == setting for n in range(1, header.get("NCHOSEN", 0) + 1))


def sky_map_of(header: fits.Header) -> SkyMap | None:
    """Return the place that a header tells; None where it tells none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FITSFixedWarning)
        try:
            wcs = WCS(header)
        except (ValueError, KeyError, MemoryError):
            return None
    return SkyMap(wcs=wcs) if wcs.has_celestial else None


def stack_products(
    stacked: Stacked,
    choices: Sequence[Choice],
    headers: Sequence[Mapping[str, Any]],
    provenance: Sequence[Provenance],
    *,
    again: str = "TARGET",
    stars: StackStars | None = None,
) -> dict[str, fits.HDUList | str]:
    """Return the files of a stack by role: 'combined' and 'combined_list'.

    Parameters
    ----------
    choices
        Of every image that was looked at, left out or not.
    headers
        Of the products of the images that take part.
    again
        What `alfoscd stack` was asked for, for the list.
    stars
        What was measured on the stack itself.

    Returns
    -------
    dict
        'combined' (electrons per second, with UNCERT, MASK, DQ, COVERAGE and MEMBERS), the list
        as text, to be edited and stacked again, and with `stars` 'combined_phot'.
    """
    header = _header(stacked, choices, headers, provenance)
    if stars is not None:
        _add_stars(header, stars)
    place = stacked.grid.sky_map.wcs.to_header(relax=True)
    hdus = image_hdus(stacked.image, header)
    for keyword in _ON_DETECTOR:
        del hdus[0].header[keyword]
    coverage = fits.ImageHDU(stacked.coverage, name="COVERAGE")
    add_card(coverage.header, "BUNIT", "", "images in each pixel")
    hdus.append(coverage)
    for plane in hdus:
        plane.header.update(place)
    hdus.append(_members_table(stacked, choices))
    hdus.append(provenance_hdu(provenance))
    files: dict[str, fits.HDUList | str] = {"combined": hdus}
    files["combined_list"] = format_list(choices, again)
    if stars is not None:
        header.update(place)
        files["combined_phot"] = phot_hdus(
            stars.photometry, stars.astrometry, stars.zero_point, header, provenance,
            exposure_s=stacked.gain_s,
        )  # fmt: skip
    return files


def _add_stars(header: fits.Header, stars: StackStars) -> None:
    """Say how wide the stack's stars are, and what its catalogue stars say; in place."""
    zero = stars.zero_point
    cards: list[tuple[str, Any, str]] = [
        ("FWHM", stars.measurements["seeing_arcsec"], "[arcsec] of the stack's stars"),
        ("NSOURCE", int(stars.measurements["sources"]), "sources measured, see the phot file"),
    ]
    if zero.known:
        cards += [
            ("ZPTMAG", zero.magnitude, "[mag] of 1 electron/s, by stars of the stack"),
            ("ZPTMUCER", zero.error, "[mag] its error"),
            ("ZPTNSTAR", zero.stars, "stars in it"),
        ]
    for sigma in (3, 5, 10):
        limit = stars.measurements.get(f"limit_{sigma}_sigma_mag", math.nan)
        if math.isfinite(limit):
            cards.append((f"M{sigma}SIGMA", limit, f"[mag] {sigma} sigma, from empty apertures"))
    for keyword, value, comment in cards:
        add_card(header, keyword, value, comment)


def _header(
    stacked: Stacked,
    choices: Sequence[Choice],
    headers: Sequence[Mapping[str, Any]],
    provenance: Sequence[Provenance],
) -> fits.Header:
    header = base_header(provenance, stacked.image.history)
    for keyword in _COMMON:
        add_card(header, keyword, headers[0].get(keyword, "") if headers else "")
    used = [share.choice.member for share in stacked.shares]
    how = stacked.settings
    cards: list[tuple[str, Any, str]] = [
        ("PRODCATG", "SCIENCE.IMAGE.STACK", "images added"),
        ("RECIPE", "stack", "recipe"),
        ("RECIPVER", STACK_VERSION, "version of the recipe"),
        ("NCOMBINE", len(used), "images added"),
        ("EXPTIME", stacked.exposure_s, "[s] sum of the exposures"),
        ("METHOD", how.method, "how pixels are added"),
        ("WEIGHTS", how.weights, "what weights follow"),
        ("CLIPSIG", how.clip_sigma, "[sigma] beyond which pixels are left out"),
        ("QUALITY", max((member.quality for member in used), default=0), "worst of the members"),
        ("GAIN", stacked.gain_s, "[s] electrons of a unit: photon noise"),
        ("RDNOISE", stacked.read_noise, "[electron/s] read noise of a pixel"),
        ("NOISFAC", 1 / math.sqrt(stacked.noise_gain), "error of sums over that of pixels added"),
        ("ZPTMAG", stacked.zero_point_mag, "[mag] of 1 electron/s"),
        ("FWHM", _weighted(stacked, "seeing_arcsec"), "[arcsec] mean of the members"),
        ("ELLIPTIC", _weighted(stacked, "ellipticity"), "mean of the members"),
        ("AIRMASS", _weighted(stacked, "airmass"), "mean of the members"),
        ("WCSERR", _best_place(headers), "0 catalogue stars confirm the place"),
        *span_cards(headers),
    ]
    left_out = [choice for choice in choices if not choice.use]
    cards.append(("NEXCLUD", len(left_out), "images that take no part"))
    for number, choice in enumerate(left_out, start=1):
        cards.append((f"EXCLUD{number}", f"{choice.member.name}: {choice.reason}", ""))
    for keyword, value, comment in cards:
        add_card(header, keyword, value, comment)
    return header


def _best_place(headers: Sequence[Mapping[str, Any]]) -> int:
    """Return how the place of the best placed member was found: the others hang on it."""
    return min((int(header.get("WCSERR", 1)) for header in headers), default=1)


def _weighted(stacked: Stacked, name: str) -> float:
    """Return the weighted mean of what is known of the members, NaN where nothing is."""
    pairs = [(getattr(s.choice.member, name), s.choice.weight) for s in stacked.shares]
    known = [(value, weight) for value, weight in pairs if math.isfinite(value)]
    total = sum(weight for _, weight in known)
    return sum(value * weight for value, weight in known) / total if total > 0 else math.nan


def _members_table(stacked: Stacked, choices: Sequence[Choice]) -> fits.BinTableHDU:
    """Return a row for each image that was looked at."""
    shares = {share.choice.member.name: share for share in stacked.shares}
    given = [shares.get(choice.member.name) for choice in choices]

    def text(values: Sequence[str]) -> tuple[str, list[str]]:
        clean = [printable(value, 200) for value in values]
        return f"{max(map(len, clean), default=1) or 1}A", clean

    names = text([choice.member.name for choice in choices])
    reasons = text([choice.reason for choice in choices])
    numbers = [
        fits.Column(name, "D", unit=unit, array=[getattr(c.member, field) for c in choices])
        for name, unit, field in (
            ("EXPTIME", "s", "exposure_s"), ("FWHM", "arcsec", "seeing_arcsec"),
            ("ELLIPTIC", None, "ellipticity"), ("AIRMASS", None, "airmass"),
            ("ZPTMAG", "mag", "zero_point_mag"), ("SKYLEVEL", "electron", "sky_e"),
            ("SKYSIGMA", "electron", "sky_sigma_e"), ("WCSRMS", "arcsec", "position_rms_arcsec"),
        )
    ]  # fmt: skip
    columns = [
        fits.Column("NAME", names[0], array=names[1]),
        fits.Column("USED", "L", array=[share is not None for share in given]),
        fits.Column("WEIGHT", "D", array=[choice.weight for choice in choices]),
        fits.Column("SCALE", "D", unit="1/s", array=[choice.scale for choice in choices]),
        *numbers,
        fits.Column("REJECTED", "D", array=[s.rejected if s else math.nan for s in given]),
        fits.Column("COVERED", "D", array=[s.covered if s else math.nan for s in given]),
        fits.Column("REASON", reasons[0], array=reasons[1]),
    ]
    return fits.BinTableHDU.from_columns(columns, name="MEMBERS")
