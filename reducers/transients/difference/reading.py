"""Images as their products hold them, read back for difference imaging."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.io import fits

from reducers.errors import UnreadableFile
from reducers.frame import Frame
from reducers.imaging.moffat import moffat
from reducers.imaging.point_spread import (
    SHAPE_TERMS,
    WIDTH_TERMS,
    PointSpread,
    shape_terms,
    width_terms,
)
from reducers.imaging.source_flags import NOT_FOR_CALIBRATION
from reducers.imaging.stack_products import read_image, sky_map_of
from reducers.transients.difference.epoch import Epoch, StarList

if TYPE_CHECKING:
    from pathlib import Path

#: A source less likely than this to be a star compares nothing.
LEAST_STAR = 0.3


def read_epoch(image: Path, phot: Path) -> Epoch:
    """Read a reduced image and its photometry.

    Raises
    ------
    UnreadableFile
        If a file is no such product, or says nothing of the image's place.
    """
    if _category(image) == "SCIENCE.IMAGE.STACK":
        return _read_stack(image, phot)
    stored = read_image(image)
    if stored.sky_map is None or not stored.member.placed:
        raise UnreadableFile(f"{image.name}: no stars confirm its place on the sky")
    frame = stored.pixels.rows(0, stored.pixels.shape[0])
    psf, stars, header = read_photometry(phot, frame.shape)
    return Epoch(
        name=stored.member.name,
        frame=frame,
        sky_map=stored.sky_map,
        psf=psf,
        stars=stars,
        band=str(header.get("ZPTBAND", "")),
        zero_point_mag=_number(header, "ZPTMAG"),
        zero_point_error_mag=_number(header, "ZPTMUCER"),
        exposure_s=stored.member.exposure_s,
    )


def _category(path: Path) -> str:
    try:
        return str(fits.getheader(path).get("PRODCATG", ""))
    except (OSError, ValueError, TypeError) as error:
        raise UnreadableFile(f"{path.name} is not a reduced image: {error}") from error


def _read_stack(image: Path, phot: Path) -> Epoch:
    """Read a stack in the electrons in which it was measured, errors as of independent pixels."""
    try:
        with fits.open(image, memmap=False) as hdus:
            header = hdus[0].header.copy()
            planes = [np.array(hdus[name].data) for name in (0, "UNCERT", "DQ")]
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise UnreadableFile(f"{image.name} is not a stack: {error}") from error
    gain, factor = _number(header, "GAIN"), _number(header, "NOISFAC")
    sky_map = sky_map_of(header)
    if sky_map is None or header.get("WCSERR", 1) != 0 or not gain > 0:
        raise UnreadableFile(f"{image.name}: no stars confirm its place on the sky")
    data, sigma, mask = planes
    factor = factor if math.isfinite(factor) else 1.0
    frame = Frame(
        data=np.asarray(data * gain, np.float32),
        variance=np.asarray((sigma * gain * factor) ** 2, np.float32),
        mask=mask.astype(np.uint16),
        unit="electron",
    )
    psf, stars, told = read_photometry(phot, frame.shape)
    return Epoch(
        name=image.stem,
        frame=frame,
        sky_map=sky_map,
        psf=psf,
        stars=stars,
        band=str(told.get("ZPTBAND", "")),
        zero_point_mag=_number(told, "ZPTMAG"),
        zero_point_error_mag=_number(told, "ZPTMUCER"),
        exposure_s=gain,
    )


def read_photometry(
    path: Path, shape: tuple[int, int]
) -> tuple[PointSpread, StarList, fits.Header]:
    """Read point spread, sources and the header of their table.

    Raises
    ------
    UnreadableFile
        If the file is no photometry of an image.
    """
    try:
        with fits.open(path, memmap=False) as hdus:
            table, header = hdus["PSFPHOT"].data, hdus["PSFPHOT"].header.copy()
            psf = _point_spread(hdus["PSF"], hdus["PSFSTARS"].data, shape)
            column = {
                name: np.array(table[name], float)
                for name in ("X", "Y", "X_ERR", "Y_ERR", "FLUX", "FLUXERR", "STAR")
            }
            flags = np.array(table["FLAGS"], np.int64)
    except (OSError, KeyError, ValueError, IndexError, TypeError) as damaged:
        raise UnreadableFile(f"{path.name} is no photometry of an image: {damaged}") from damaged
    good = (flags & int(NOT_FOR_CALIBRATION)) == 0
    good &= np.isfinite(column["X"] + column["Y"] + column["FLUX"] + column["FLUXERR"])
    stars = StarList(
        x=column["X"],
        y=column["Y"],
        error_px=np.hypot(column["X_ERR"], column["Y_ERR"]) / math.sqrt(2),
        flux=column["FLUX"],
        flux_error=column["FLUXERR"],
        usable=good & (column["STAR"] > LEAST_STAR),
    )
    return psf, stars, header


def _point_spread(hdu: Any, stars: Any, shape: tuple[int, int]) -> PointSpread:
    """Return the point spread whose picture and stars were stored."""
    picture, steps = np.array(hdu.data, float), int(hdu.header["OVERSAMP"])
    beta, fwhm = float(hdu.header["BETA"]), float(hdu.header["FWHM"])
    x, y = np.array(stars["X"], float), np.array(stars["Y"], float)
    number = len(x)
    widths, shapes = (
        [terms for least, terms in table if number >= least][-1]
        for table in (WIDTH_TERMS, SHAPE_TERMS)
    )
    if number:
        first, second = shape_terms(x, y, shape)
        ln_fwhm = _coefficients(
            width_terms(x, y, shape)[:, :widths], np.log(np.array(stars["FWHM"], float))
        )
        e1 = _coefficients(first[:, :shapes], np.array(stars["E1"], float))
        e2 = _coefficients(second[:, :shapes], np.array(stars["E2"], float))
    else:
        ln_fwhm, e1, e2 = (math.log(fwhm),), (0.0,), (0.0,)
    bare = PointSpread(
        shape=shape, beta=beta, ln_fwhm=ln_fwhm, e1=e1, e2=e2, stars=number,
        model_error=_number(hdu.header, "MODELERR"), oversampling=steps,
    )  # fmt: skip
    half = picture.shape[0] // 2
    step = np.arange(-half, half + 1) / steps
    middle = shape[1] / 2, shape[0] / 2
    own = (float(each) for each in bare.parameters(*middle))
    width, along, across = own
    profile = moffat(step[None, :], step[:, None], width, beta, along, across)
    return PointSpread(
        shape=shape, beta=beta, ln_fwhm=ln_fwhm, e1=e1, e2=e2, stars=number,
        model_error=bare.model_error, oversampling=steps, residual=picture - profile,
    )  # fmt: skip


def _coefficients(terms: Any, values: Any) -> tuple[float, ...]:
    return tuple(float(each) for each in np.linalg.lstsq(terms, values, rcond=None)[0])


def _number(header: fits.Header, keyword: str) -> float:
    value = header.get(keyword)
    return float(value) if isinstance(value, int | float) else math.nan
