"""A reduced image as the search takes it, read from its files: ours, or an image and a table."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS, FITSFixedWarning
from numpy.typing import NDArray

from reducers.errors import UnreadableFile
from reducers.imaging.sky_map import SkyMap
from reducers.transients.search_image import SearchImage, SourceTable, concentration

if TYPE_CHECKING:
    from pathlib import Path

    from reducers.frame import Vector

#: Error of a place on the sky of which a header says nothing, per axis.
UNKNOWN_ERROR_ARCSEC = 0.3
#: A source of a table without errors is taken for bright.
_UNKNOWN_SNR = 100.0
#: Our name -> names of the column in our tables, and in those of PyNOT and SExtractor.
_COLUMNS = {
    "number": ("NUMBER",),
    "x_px": ("X", "X_IMAGE"),
    "y_px": ("Y", "Y_IMAGE"),
    "x_error": ("X_ERR",),
    "y_error": ("Y_ERR",),
    "ra_deg": ("RA", "ALPHA_J2000"),
    "dec_deg": ("DEC", "DELTA_J2000"),
    "flux": ("FLUX_KRON", "FLUX_AUTO"),
    "flux_error": ("FLUXERR_KRON", "FLUX_ERR_AUTO", "FLUXERR_AUTO"),
    "magnitude": ("MAG_KRON", "MAG_AUTO"),
    "magnitude_error": ("MAGERR_KRON", "MAG_ERR_AUTO", "MAGERR_AUTO"),
    "crowding": ("CROWDING",),
    "semimajor_px": ("KRON_A", "A", "A_IMAGE"),
    "semiminor_px": ("B", "B_IMAGE"),
    "axis_ratio": ("KRON_BA",),
    "theta_rad": ("KRON_PA", "THETA"),
    "flags": ("FLAGS", "FLAG"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What the table of sources gives: columns by our names, and its header."""

    columns: dict[str, Any]
    psf: dict[str, Any]
    header: fits.Header
    residual: NDArray[np.float32] | None


def read_search_image(image: Path, catalogue: Path) -> SearchImage:
    """Return an image and its sources as the search takes them.

    Parameters
    ----------
    image : Path
        `..._image.fits` of this pipeline, or any image with a place on the sky in its header.
    catalogue : Path
        `..._phot.fits` of this pipeline, or a table with x, y, mag_auto, flux_auto, ... (PyNOT).

    Raises
    ------
    UnreadableFile
        If one of them cannot be read, or the table has no positions.
    """
    light, mask, header = _image(image)
    opened = _catalogue(catalogue)
    sky_map, error = _place(header)
    zero = _number(opened.header, "ZPTMAG", _number(opened.header, "MAG_ZP"))
    sources = _sources(opened, sky_map, zero)
    scale = sky_map.pixel_scale_arcsec if sky_map is not None else math.nan
    exposure_s = _number(header, "EXPTIME", 1.0)
    begun = _begun(header)
    return SearchImage(
        name=image.name.removesuffix(".fits").removesuffix("_image"),
        light=light,
        residual=opened.residual,
        mask=mask,
        sources=sources,
        sky_map=sky_map,
        position_error_arcsec=error,
        pixel_scale_arcsec=scale,
        fwhm_px=_number(opened.header, "FWHM", _fwhm(header, scale)),
        zero_point_mag=zero,
        exposure_s=exposure_s,
        band=str(opened.header.get("ZPTBAND", "")) or _letter(header),
        system=str(opened.header.get("MAGSYS", "")),
        filter=str(header.get("FILTER", "")),
        target=str(header.get("OBJECT", "")),
        middle=begun + timedelta(seconds=exposure_s / 2) if begun else None,
        optical_centre_px=((light.shape[1] - 1) / 2, (light.shape[0] - 1) / 2),
    )


def catalogue_beside(image: Path) -> Path | None:
    """Return the photometry that lies beside an image; None where there is none."""
    name = image.name
    tries = [name.replace("_image", "_phot"), name.replace("_wcs", "_phot")]
    tries.append(f"{name.removesuffix('.fits')}_phot.fits")
    found = (image.with_name(one) for one in tries if one != name)
    return next((path for path in found if path.is_file()), None)


def _image(path: Path) -> tuple[NDArray[np.float32], NDArray[np.uint16], fits.Header]:
    try:
        with fits.open(path) as hdus:
            planes = [hdu for hdu in hdus if hdu.data is not None and np.ndim(hdu.data) == 2]
            if not planes:
                raise UnreadableFile(f"{path.name} holds no image")
            light = np.array(planes[0].data, np.float32)
            header = planes[0].header.copy()
            mask = np.zeros(light.shape, np.uint16)
            if "DQ" in hdus:
                mask = np.asarray(hdus["DQ"].data).astype(np.uint16)
    except (OSError, ValueError, TypeError, KeyError) as damaged:
        raise UnreadableFile(f"{path.name} cannot be read as an image: {damaged}") from damaged
    if mask.shape != light.shape:
        raise UnreadableFile(f"{path.name}: image and DQ differ in size")
    return light, mask, header


def _catalogue(path: Path) -> Opened:
    try:
        with fits.open(path) as hdus:
            tables = [hdu for hdu in hdus if isinstance(hdu, fits.BinTableHDU)]
            if not tables:
                raise UnreadableFile(f"{path.name} holds no table")
            table = hdus["APPPHOT"] if "APPPHOT" in hdus else tables[0]
            columns = {name.upper(): value for name, value in _columns(table).items()}
            psf = _columns(hdus["PSFPHOT"]) if "PSFPHOT" in hdus else {}
            header = hdus[0].header.copy()
            header.update(table.header)
            residual = np.array(hdus["RESIDUAL"].data) if "RESIDUAL" in hdus else None
    except (OSError, ValueError, TypeError, KeyError) as damaged:
        raise UnreadableFile(f"{path.name} cannot be read as a table: {damaged}") from damaged
    known = {
        own: columns[name]
        for own, names in _COLUMNS.items()
        for name in names[::-1]
        if name in columns
    }
    if not {"x_px", "y_px", "flux"} <= known.keys():
        raise UnreadableFile(f"{path.name} has no columns x, y and flux_auto")
    known |= {name: value for name, value in columns.items() if name.startswith("FLUX")}
    return Opened(columns=known, psf=psf, header=header, residual=residual)


def _columns(table: fits.BinTableHDU) -> dict[str, Any]:
    return {name: np.array(table.data[name]) for name in table.columns.names}


def _sources(opened: Opened, sky_map: SkyMap | None, zero_point_mag: float) -> SourceTable:
    known = opened.columns
    count = len(known["x_px"])
    unknown = np.full(count, np.nan)

    def column(name: str) -> Vector:
        return np.asarray(known.get(name, unknown), float)

    # PyNOT's pixels count from 0 as ours do; its places on the sky need not be the header's.
    x, y = column("x_px"), column("y_px")
    ra, dec = sky_map.sky(x, y) if sky_map is not None else (unknown, unknown)
    share, share_error = _concentration(known, count)
    calibrated = math.isfinite(zero_point_mag)
    return SourceTable(
        number=np.asarray(known.get("number", np.arange(1, count + 1)), np.int64),
        x_px=x,
        y_px=y,
        error_px=np.hypot(column("x_error"), column("y_error")) / np.sqrt(2),
        ra_deg=ra,
        dec_deg=dec,
        magnitude=column("magnitude") if calibrated else unknown,
        magnitude_error=column("magnitude_error") if calibrated else unknown,
        flux=column("flux"),
        flux_error=column("flux_error"),
        snr=_signal_to_noise(opened),
        concentration=share,
        concentration_error=share_error,
        chi2=np.asarray(opened.psf.get("CHI2", unknown), float),
        crowding=column("crowding"),
        semimajor_px=column("semimajor_px"),
        axis_ratio=_axis_ratio(known, unknown),
        theta_rad=column("theta_rad"),
        flags=np.asarray(known.get("flags", np.zeros(count)), np.int64),
    )


def _signal_to_noise(opened: Opened) -> Vector:
    """Return signal to noise of the fit; a table without errors (PyNOT's are 0) hides nothing."""
    flux = np.asarray(opened.psf.get("FLUX", opened.columns["flux"]), float)
    error = opened.psf.get("FLUXERR", opened.columns.get("flux_error", np.zeros(len(flux))))
    error = np.asarray(error, float)
    return np.where(error > 0, flux / np.where(error > 0, error, 1), _UNKNOWN_SNR)


def _axis_ratio(known: dict[str, Any], unknown: Vector) -> Vector:
    if "axis_ratio" in known:
        return np.asarray(known["axis_ratio"], float)
    wide, narrow = (
        np.asarray(known.get(f"semi{n}_px", unknown), float) for n in ("major", "minor")
    )
    return narrow / np.where(wide > 0, wide, np.nan)


def _concentration(known: dict[str, Any], count: int) -> tuple[Vector, Vector]:
    if not {"FLUX_R1", "FLUX_R3", "FLUXERR_R1", "FLUXERR_R3"} <= known.keys():
        return np.full(count, np.nan), np.full(count, np.nan)
    flux = np.stack([known[f"FLUX_R{n}"] for n in (1, 2, 3)], axis=1).astype(float)
    error = np.stack([known[f"FLUXERR_R{n}"] for n in (1, 2, 3)], axis=1).astype(float)
    return concentration(np.empty(0), flux, error)


def _place(header: fits.Header) -> tuple[SkyMap | None, float]:
    """Return the map of a header and its error; None where stars did not confirm it."""
    if int(_number(header, "WCSERR", 0)) != 0 or "CTYPE1" not in header:
        return None, math.nan
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FITSFixedWarning)
            wcs = WCS(header)
    except (ValueError, TypeError, KeyError, ArithmeticError):
        return None, math.nan
    if not wcs.has_celestial:
        return None, math.nan
    told = [_number(header, key) for key in ("WCSSYS", "RADISP", "DEDISP")]
    if not np.isfinite(told).any():
        return SkyMap(wcs=wcs.celestial), UNKNOWN_ERROR_ARCSEC
    system, *scatter = np.nan_to_num(told)
    return SkyMap(wcs=wcs.celestial), float(np.hypot(system, max(scatter)))


def _number(header: fits.Header, key: str, default: float = math.nan) -> float:
    try:
        return float(header.get(key, default))
    except (TypeError, ValueError):
        return default


def _fwhm(header: fits.Header, scale: float) -> float:
    return _number(header, "FWHM") / scale if scale > 0 else math.nan


def _letter(header: fits.Header) -> str:
    """Return the letter of the filter, as in 'r_SDSS'; '' where the header names none."""
    return str(header.get("FILTER", "")).split("_")[0].split(" ")[0]


def _begun(header: fits.Header) -> datetime | None:
    try:
        told = datetime.fromisoformat(str(header["DATE-OBS"]))
    except (KeyError, ValueError):
        return None
    return told if told.tzinfo else told.replace(tzinfo=UTC)
