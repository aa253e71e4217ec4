"""Templates from elsewhere: survey cut-outs with a place on the sky, measured when they are used.

Pan-STARRS1 stacks are stored with an asinh stretch where BSOFTEN and BOFFSET are in the header
(Waters et al. 2020, ApJS 251, 4, section 3.4.1), and have the zero point 25 + 2.5 log10(EXPTIME).
"""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning

from reducers.errors import UnreadableFile
from reducers.frame import Frame, Mask
from reducers.imaging.background import estimate_background
from reducers.imaging.detection import detect, measure_seeing
from reducers.imaging.photometry import measure_sources
from reducers.imaging.source_flags import NOT_FOR_CALIBRATION
from reducers.imaging.stack_products import sky_map_of
from reducers.transients.difference.association import Offer
from reducers.transients.difference.epoch import Epoch, StarList

if TYPE_CHECKING:
    from pathlib import Path

#: Cards that name a filter, and what begins the name of a band: Pan-STARRS writes 'r.00000'.
_FILTER_CARDS = ("FILTER", "HIERARCH FPA.FILTERID", "FPA.FILTERID", "FPA.FILTER")
#: Magnitudes per e-fold of the asinh stretch.
_POGSON = 2.5 / math.log(10)


def read_cutout_facts(path: Path) -> Offer:
    """Return what a file offers as a template.

    Raises
    ------
    UnreadableFile
        If it is no image with a place on the sky and a filter.
    """
    header, shape = _header(path)
    sky_map = sky_map_of(header)
    if sky_map is None:
        raise UnreadableFile(f"{path.name}: its header holds no place on the sky")
    band = _filter(header)
    if not band:
        raise UnreadableFile(f"{path.name}: its header names no filter (card FILTER)")
    ra, dec = (float(v) for v in sky_map.sky((shape[1] - 1) / 2, (shape[0] - 1) / 2))
    scale = sky_map.pixel_scale_arcsec
    return Offer(
        name=path.name,
        kind="survey",
        image=path,
        phot=None,
        instrument=str(header.get("INSTRUME", "")),
        filter=band,
        ra_deg=ra,
        dec_deg=dec,
        observed_at=None,
        pixel_arcsec=scale,
        reach_arcsec=min(shape) / 2 * scale,
        has_zero_point=math.isfinite(zero_point_of(header)),
    )


def zero_point_of(header: fits.Header) -> float:
    """Return the magnitude of one count per second; NaN where the header tells none."""
    for keyword in ("ZPTMAG", "MAGZPT", "ZPT_OBS", "HIERARCH FPA.ZP", "FPA.ZP"):
        value = header.get(keyword)
        if isinstance(value, int | float):
            return float(value)
    return math.nan


def read_cutout(path: Path) -> Epoch:
    """Read and measure a template from elsewhere.

    Raises
    ------
    UnreadableFile
        If it is no such image, or shows no star.
    """
    offer = read_cutout_facts(path)
    header, _ = _header(path)
    sky_map = sky_map_of(header)
    if sky_map is None:
        raise UnreadableFile(f"{path.name}: its header holds no place on the sky")
    frame = _frame(path, header)
    sky = estimate_background(frame)
    noise = np.where(np.isfinite(sky.rms) & (sky.rms > 0), sky.rms, np.nanmedian(sky.rms))
    gain = float(header.get("GAIN") or header.get("HIERARCH CELL.GAIN") or 1.0)
    light = frame.data - sky.level
    photons = np.maximum(light, 0) / (gain if gain > 0 else 1.0)
    frame = frame.after("noise from its scatter", variance=(noise**2 + photons).astype(np.float32))
    found, segmentation = detect(frame, sky.level, sky.rms)
    seeing = measure_seeing(frame, sky.level, sky.rms, found)
    if not len(found) or not seeing.fwhm_px > 0:
        raise UnreadableFile(f"{path.name}: no star was found on it")
    phot = measure_sources(frame, sky.level, found, segmentation, seeing)
    usable = (phot.flags & int(NOT_FOR_CALIBRATION)) == 0
    return Epoch(
        name=path.name,
        frame=frame.after("sky: the model subtracted", data=light.astype(np.float32)),
        sky_map=sky_map,
        psf=phot.psf,
        stars=StarList(
            x=phot.x, y=phot.y, error_px=np.hypot(phot.x_error, phot.y_error) / math.sqrt(2),
            flux=phot.flux, flux_error=phot.flux_error, usable=usable & np.isfinite(phot.flux),
        ),
        band=offer.filter,
        zero_point_mag=zero_point_of(header),
        exposure_s=float(header.get("EXPTIME") or 1.0),
    )  # fmt: skip


def _header(path: Path) -> tuple[fits.Header, tuple[int, int]]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AstropyWarning)
            with fits.open(path, memmap=False) as hdus:
                hdu = _image_hdu(hdus)
                return hdu.header.copy(), (int(hdu.shape[0]), int(hdu.shape[1]))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UnreadableFile(f"{path.name} is no FITS image: {error}") from error


def _image_hdu(hdus: fits.HDUList) -> Any:
    for hdu in hdus:
        if hdu.is_image and len(hdu.shape) == 2:
            return hdu
    raise ValueError("it holds no plane of pixels")


def _frame(path: Path, header: fits.Header) -> Frame:
    try:
        with fits.open(path, memmap=False) as hdus:
            data = np.array(_image_hdu(hdus).data, np.float64)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UnreadableFile(f"{path.name} is no FITS image: {error}") from error
    if "BSOFTEN" in header and "BOFFSET" in header:
        soft = float(header["BSOFTEN"])
        data = float(header["BOFFSET"]) + soft * 2 * np.sinh(data / _POGSON)
    known = np.isfinite(data)
    if not known.any():
        raise UnreadableFile(f"{path.name}: none of its pixels holds a number")
    full = float(header.get("SATURATE") or header.get("HIERARCH CELL.SATURATION") or math.inf)
    mask = np.where(known, np.uint16(0), np.uint16(Mask.EDGE))
    mask |= np.where(known & (data >= full), np.uint16(Mask.SATURATED), np.uint16(0))
    clean = np.where(known, data, np.median(data[known])).astype(np.float32)
    return Frame(data=clean, variance=np.ones_like(clean), mask=mask, unit="count")


def _filter(header: fits.Header) -> str:
    for keyword in _FILTER_CARDS:
        value = str(header.get(keyword) or "").strip()
        if value:
            return value.split(".")[0]
    return ""
