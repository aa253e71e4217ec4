"""Products as FITS: what is written, and how masters are read back.

Layouts that other tools open unchanged: 2-D images as PRIMARY + UNCERT + MASK + DQ
(CCDData, PyNOT, DS9), spectra as a table WAVE FLUX ERR MASK SKY in HDU 1 (specutils,
PyNOT, TOPCAT), and a linear image for IRAF.
"""

from __future__ import annotations

import math
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.io import fits
from astropy.time import Time
from astropy.utils.exceptions import AstropyUserWarning

from reducers.errors import UnreadableFile
from reducers.frame import UNUSABLE, Frame, Geometry
from reducers.profiles import PRODUCT_KEY
from reducers.spectroscopy.response import Response
from reducers.spectroscopy.wavelength import WavelengthSolution

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from reducers.identity import Identity
    from reducers.reduced import Built

#: Layout version of the products, in the card that marks a file as ours.
LAYOUT_VERSION = "1"
_LONGEST_TEXT = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """One input of a product.

    Attributes
    ----------
    file, sha256, role : str
        File name, digest of its content, and 'RAW', 'BIAS', 'FLAT', 'ARC' or 'RESPONSE'.
    reason : str
        Why this one was chosen.
    age_h : float
        Hours between it and the exposure; NaN for the exposure itself.
    """

    file: str
    sha256: str
    role: str
    reason: str = ""
    age_h: float = math.nan


def printable(text: str, limit: int = 60) -> str:
    """Return text that a FITS card can hold: ASCII, no control characters, cut to the limit."""
    return "".join(c if 32 <= ord(c) < 127 else "?" for c in text)[:limit]


def add_card(header: fits.Header, keyword: str, value: Any, comment: str = "") -> None:
    """Set a card of any value: text made printable, NaN left undefined.

    A comment that does not fit beside its value is left out, so that nothing is ever cut.
    """
    if isinstance(value, str):
        value = printable(value, _LONGEST_TEXT)
        room = 65 - max(len(value) + value.count("'"), 8)
    else:
        room = 47
        if isinstance(value, float) and not math.isfinite(value):
            value = None
    header[keyword] = (value, comment) if len(comment) <= room else value


def base_header(provenance: Sequence[Provenance], history: Sequence[str]) -> fits.Header:
    """Return the cards that every product carries."""
    header = fits.Header()
    header[PRODUCT_KEY] = (LAYOUT_VERSION, "product of alfoscd; never taken as raw")
    for number, item in enumerate(provenance, start=1):
        add_card(header, f"PROV{number}", item.file)
    for step in history:
        header.add_history(printable(step, _LONGEST_TEXT))
    return header


def time_cards(identity: Identity) -> list[tuple[str, Any, str]]:
    """Return when an exposure began and ended, as cards; none where that is not known."""
    if identity.observed_at is None:
        return []
    start = identity.observed_at
    end = start + timedelta(seconds=max(identity.exposure_s, 0.0))
    return [
        ("DATE-OBS", start.replace(tzinfo=None).isoformat(timespec="milliseconds"), "UTC start"),
        ("DATE-END", end.replace(tzinfo=None).isoformat(timespec="milliseconds"), "UTC end"),
        ("MJD-OBS", round(float(Time(start).mjd), 8), "[d] start"),
        ("MJD-END", round(float(Time(end).mjd), 8), "[d] end"),
    ]


def position_cards(identity: Identity) -> list[tuple[str, Any, str]]:
    """Return where the telescope pointed, as cards."""
    known = [
        ("RA", identity.ra_deg, "[deg] pointing, J2000"),
        ("DEC", identity.dec_deg, "[deg] pointing, J2000"),
        ("AIRMASS", identity.airmass, "at start"),
    ]
    return [(key, value, comment) for key, value, comment in known if value is not None]


def provenance_hdu(provenance: Sequence[Provenance]) -> fits.BinTableHDU:
    """Return the table of inputs: FILE, SHA256, ROLE, REASON, AGE (hours)."""
    columns = [
        _text_column("FILE", [item.file for item in provenance]),
        _text_column("SHA256", [item.sha256 for item in provenance]),
        _text_column("ROLE", [item.role for item in provenance]),
        _text_column("REASON", [item.reason for item in provenance]),
        fits.Column("AGE", "D", unit="h", array=[item.age_h for item in provenance]),
    ]
    return fits.BinTableHDU.from_columns(columns, name="PROVENANCE")


def _text_column(name: str, texts: Sequence[str]) -> fits.Column:
    """Return a column wide enough for the longest of the texts."""
    clean = [printable(text, _LONGEST_TEXT) for text in texts]
    return fits.Column(name, f"{max([len(text) for text in clean] + [1])}A", array=clean)


def image_hdus(frame: Frame, header: fits.Header) -> fits.HDUList:
    """Return PRIMARY + UNCERT + MASK + DQ of a frame."""
    primary = fits.PrimaryHDU(np.asarray(frame.data), header=header)
    primary.header["BUNIT"] = frame.unit or "dimensionless"
    place = frame.geometry
    for key, value in (
        ("DETX0", place.x0), ("DETY0", place.y0),
        ("DETXBIN", place.x_binning), ("DETYBIN", place.y_binning),
    ):  # fmt: skip
        primary.header[key] = value
    primary.header["DETTURN"] = (place.turned, "rows follow detector x; DETX0.. as turned")
    sigma = fits.ImageHDU(np.sqrt(np.maximum(frame.variance, 0)), name="UNCERT")
    sigma.header["UTYPE"] = "StdDevUncertainty"
    sigma.header["BUNIT"] = primary.header["BUNIT"]
    unusable = (frame.mask & np.uint16(UNUSABLE)) != 0
    mask = fits.ImageHDU(unusable.astype(np.uint8), name="MASK")
    reasons = fits.ImageHDU(frame.mask.astype(np.int32), name="DQ")
    return fits.HDUList([primary, sigma, mask, reasons])


def master_hdus(built: Built, provenance: Sequence[Provenance]) -> fits.HDUList:
    """Return a master as FITS: an image for bias and flat, a table for arc and response."""
    value = built.value
    history = value.history if isinstance(value, Frame) else ()
    header = base_header(provenance, history)
    add_card(header, "ROLE", built.role, "what this master is applied as")
    add_card(header, "VERDICT", built.verdict or "good", "why it is not used, or good")
    for number, (name, measured) in enumerate(sorted(built.measurements.items()), start=1):
        add_card(header, f"MNAME{number}", name)
        add_card(header, f"MVAL{number}", measured if np.isfinite(measured) else "nan")
    if isinstance(value, Frame):
        hdus = image_hdus(value, header)
    elif isinstance(value, Response):
        hdus = _response_hdus(value, header)
    else:
        hdus = _arrays_hdus(value.to_arrays(), header)
    hdus.append(provenance_hdu(provenance))
    return hdus


def _arrays_hdus(arrays: dict[str, Any], header: fits.Header) -> fits.HDUList:
    """Store a dictionary of arrays and scalars as one table row, a column each."""
    columns = [_cell(name, np.asarray(value)) for name, value in arrays.items()]
    table = fits.BinTableHDU.from_columns(columns, name="SOLUTION")
    return fits.HDUList([fits.PrimaryHDU(header=header), table])


def _cell(name: str, value: NDArray[Any]) -> fits.Column:
    """Return one table cell: numbers without a TDIM, so that they come back as numbers."""
    if value.dtype.kind == "U":
        letters = max(value.dtype.itemsize // 4, 1)
        if value.ndim == 0:
            return fits.Column(name, f"{letters}A", array=[str(value)])
        dim = f"({letters},{value.size})"
        return fits.Column(name, f"{letters * value.size}A", dim=dim, array=value[None])
    code = {"f": "D", "i": "K", "u": "K", "b": "L"}[value.dtype.kind]
    if value.ndim == 0:
        return fits.Column(name, code, array=value[None])
    dim = "(" + ",".join(str(n) for n in reversed(value.shape)) + ")"
    return fits.Column(name, f"{value.size}{code}", dim=dim, array=value[None])


def _response_hdus(response: Response, header: fits.Header) -> fits.HDUList:
    curve = fits.BinTableHDU.from_columns(
        [
            fits.Column("WAVE", "D", unit="Angstrom", array=response.wavelength),
            fits.Column("ABZP", "D", unit="mag", array=response.ab_zero_point),
            fits.Column("ERR", "D", unit="mag", array=response.error),
        ],
        name="RESPONSE",
    )
    points = fits.BinTableHDU.from_columns(
        [
            fits.Column("WAVE", "D", unit="Angstrom", array=response.points_wavelength),
            fits.Column("ABZP", "D", unit="mag", array=response.points_zero_point),
        ],
        name="POINTS",
    )
    for key, value in (
        ("STANDARD", response.standard), ("RMSMAG", response.rms_mag),
        ("AIRMASS", response.airmass), ("SLIT", response.slit), ("GRISM", response.grism),
        ("FILTER", response.filter), ("CVMAG", response.cross_validation_mag),
        ("COVERAGE", response.coverage), ("SEEING", response.seeing_arcsec),
    ):  # fmt: skip
        if not (isinstance(value, float) and np.isnan(value)):
            add_card(curve.header, key, value)
    bands = fits.BinTableHDU.from_columns(
        [
            fits.Column("WAVE", "D", unit="Angstrom", array=response.telluric_wavelength),
            fits.Column("TRANS", "D", array=response.telluric_transmission),
        ],
        name="TELLURIC",
    )
    return fits.HDUList([fits.PrimaryHDU(header=header), curve, points, bands])


def read_master_frame(path: Path) -> Frame:
    """Return a master bias or flat.

    Raises
    ------
    UnreadableFile
        If the file is not one of ours.
    """
    with _opened(path) as hdus:
        header = hdus[0].header
        unit = header["BUNIT"]
        return Frame(
            data=np.asarray(hdus[0].data, np.float32),
            variance=np.asarray(hdus["UNCERT"].data, np.float32) ** 2,
            mask=np.asarray(hdus["DQ"].data).astype(np.uint16),
            unit="" if unit == "dimensionless" else unit,
            geometry=Geometry(
                x0=header["DETX0"], y0=header["DETY0"],
                x_binning=header["DETXBIN"], y_binning=header["DETYBIN"],
                turned=header.get("DETTURN", False),
            ),
            history=tuple(header.get("HISTORY", ())),
        )  # fmt: skip


def read_wavelengths(path: Path) -> WavelengthSolution:
    """Return an arc's wavelength solution.

    Raises
    ------
    UnreadableFile
        If the file is not one of ours, or not of this version.
    """
    with _opened(path) as hdus:
        row = hdus["SOLUTION"].data[0]
        arrays = {name: _native(row[name]) for name in hdus["SOLUTION"].columns.names}
        return WavelengthSolution.from_arrays(arrays)


def _native(value: Any) -> Any:
    array = np.asarray(value)
    if array.dtype.kind in "SU":
        return array.astype(str) if array.ndim else str(array)
    return array.astype(array.dtype.newbyteorder("="))


def read_response(path: Path) -> Response:
    """Return a response.

    Raises
    ------
    UnreadableFile
        If the file is not one of ours, or not of this version.
    """
    with _opened(path) as hdus:
        curve, points = hdus["RESPONSE"], hdus["POINTS"]
        bands = hdus["TELLURIC"].data
        return Response(
            wavelength=_native(curve.data["WAVE"]),
            ab_zero_point=_native(curve.data["ABZP"]),
            error=_native(curve.data["ERR"]),
            standard=curve.header["STANDARD"],
            rms_mag=curve.header["RMSMAG"],
            airmass=curve.header["AIRMASS"],
            slit=curve.header["SLIT"],
            grism=curve.header["GRISM"],
            points_wavelength=_native(points.data["WAVE"]),
            points_zero_point=_native(points.data["ABZP"]),
            filter=curve.header["FILTER"],
            cross_validation_mag=curve.header.get("CVMAG", math.nan),
            coverage=curve.header["COVERAGE"],
            seeing_arcsec=curve.header.get("SEEING", math.nan),
            telluric_wavelength=_native(bands["WAVE"]),
            telluric_transmission=_native(bands["TRANS"]),
        )


@contextmanager
def _opened(path: Path) -> Iterator[fits.HDUList]:
    try:
        with warnings.catch_warnings(record=True) as said:
            # astropy only warns of a truncated file.
            warnings.simplefilter("always", AstropyUserWarning)
            opened = fits.open(path, memmap=False, lazy_load_hdus=False)
        with opened as hdus:
            if said:
                raise UnreadableFile(f"{path.name} is damaged: {said[0].message}")
            if PRODUCT_KEY not in hdus[0].header:
                raise UnreadableFile(f"{path.name} is not a master written by alfoscd")
            yield hdus
    except (OSError, LookupError, TypeError, ValueError) as error:
        # What astropy and a missing or misshapen table raise.
        raise UnreadableFile(f"{path.name} is damaged or of another version: {error}") from error


def span_cards(headers: Sequence[Mapping[str, Any]]) -> list[tuple[str, Any, str]]:
    """Return the cards of the first start and the last end of several exposures."""
    found = []
    for keyword, choose, comment in (
        ("DATE-OBS", min, "UTC start of the first"), ("DATE-END", max, "UTC end of the last"),
        ("MJD-OBS", min, "[d] start of the first"), ("MJD-END", max, "[d] end of the last"),
    ):  # fmt: skip
        values = [header[keyword] for header in headers if header.get(keyword) is not None]
        if values:
            found.append((keyword, choose(values), comment))
    return found
