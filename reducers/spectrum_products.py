"""The files that one reduced spectrum becomes."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.io import fits
from astropy.time import Time

from reducers.frame import UNUSABLE
from reducers.products import base_header, image_hdus, provenance_hdu
from reducers.quality import flag_bits, load_limits
from reducers.recipes import RECIPE_VERSION
from reducers.spectroscopy.response import FLUX_UNIT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reducers.identity import Identity
    from reducers.products import Provenance
    from reducers.reduced import Exposure, ExtractedObject, ReducedSpectrum
    from reducers.spectrum import Spectrum

#: Measurements that go into the header: name -> (keyword, comment).
HEADER_MEASUREMENTS = {
    "snr": ("SNR", "median signal-to-noise per pixel"),
    "arc_rms_angstrom": ("WAVERMS", "[Angstrom] arc rms"),
    "arc_lines": ("WAVENLIN", "arc lines used"),
    "flexure_px": ("FLEXURE", "[pix] sky lines against arc"),
    "sky5577_angstrom": ("SKY5577", "[Angstrom] [O I] 5577"),
    "fwhm_arcsec": ("FWHM", "[arcsec] width along the slit"),
    "object_column": ("OBJCOL", "[pix] target, 0-based"),
    "sky_chi2": ("SKYCHI2", "chi2 of the sky"),
    "gain_e_per_adu": ("GAINUSED", "[electron/adu] gain used"),
    "read_noise_e": ("RONUSED", "[electron] read noise used"),
}


def spectrum_products(
    reduced: ReducedSpectrum, exposure: Exposure, provenance: Sequence[Provenance]
) -> dict[str, fits.HDUList | str]:
    """Return every file of a reduction by role.

    Returns
    -------
    dict
        'spectrum' (the target), 'spectrum:OBJ2' and so on, 'objects' (all objects in one
        file, OBJ1, OBJ2, ...), 'image2d', 'iraf' and 'ascii'.
    """
    header = product_header(reduced, exposure.identity, provenance)
    target = reduced.objects[0]
    files: dict[str, fits.HDUList | str] = {
        "spectrum": spectrum_hdus(target, header, provenance),
        "objects": objects_hdus(reduced.objects, header, provenance),
        "image2d": _image2d(reduced, header, provenance),
        "iraf": iraf_hdus(target.spectrum, header),
        "ascii": ascii_table(target.spectrum, reduced, exposure),
    }
    for other in reduced.objects[1:]:
        files[f"spectrum:{other.name}"] = spectrum_hdus(other, header, provenance)
    return files


def product_header(
    reduced: ReducedSpectrum, identity: Identity, provenance: Sequence[Provenance]
) -> fits.Header:
    """Return the cards of one reduction: what, when, how good, from what."""
    header = base_header(provenance, reduced.objects[0].spectrum.history)
    calibrated = reduced.objects[0].spectrum.unit == FLUX_UNIT
    cards: list[tuple[str, Any, str]] = [
        ("TELESCOP", "NOT" if identity.instrument == "ALFOSC" else identity.instrument, ""),
        ("INSTRUME", identity.instrument, ""),
        ("OBJECT", printable(identity.target or identity.object_name), "target"),
        ("EXPTIME", identity.exposure_s, "[s] exposure time"),
        ("GRISM", printable(identity.setup.grism), ""),
        ("SLIT", printable(identity.setup.slit), ""),
        ("FILTER", printable(identity.setup.filter), ""),
        ("SPECSYS", "TOPOCENT", "no velocity correction applied"),
        ("WAVETYPE", "vacuum", "wavelengths are in vacuum"),
        ("FLUXCAL", "ABSOLUTE" if calibrated else "UNCALIBRATED", ""),
        ("PRODCATG", "SCIENCE.SPECTRUM", ""),
        ("RECIPE", "reduce_spectrum", "recipe"),
        ("RECIPVER", RECIPE_VERSION, "version of the recipe"),
        ("LIMITVER", load_limits().version, "version of the quality limits"),
        ("QUALITY", reduced.quality, "0 perfect .. 5 unusable; above 2 not published"),
        ("QFLAGS", flag_bits(reduced.flags), "reasons as bits"),
        ("QREASON", " ".join(flag.name for flag in reduced.flags), "reasons by name"),
    ]
    cards += _time_cards(identity) + _position_cards(identity)
    for name, (keyword, comment) in HEADER_MEASUREMENTS.items():
        value = reduced.measurements.get(name, math.nan)
        if math.isfinite(value):
            cards.append((keyword, value, comment))
    for keyword, value, comment in cards:
        header[keyword] = (value, comment)
    return header


def _time_cards(identity: Identity) -> list[tuple[str, Any, str]]:
    if identity.observed_at is None:
        return []
    start = identity.observed_at
    end = start + timedelta(seconds=max(identity.exposure_s, 0.0))
    return [
        ("DATE-OBS", start.replace(tzinfo=None).isoformat(timespec="milliseconds"), "UTC start"),
        ("MJD-OBS", round(float(Time(start).mjd), 8), "[d] start"),
        ("MJD-END", round(float(Time(end).mjd), 8), "[d] end"),
    ]


def _position_cards(identity: Identity) -> list[tuple[str, Any, str]]:
    known = [
        ("RA", identity.ra_deg, "[deg] pointing, J2000"),
        ("DEC", identity.dec_deg, "[deg] pointing, J2000"),
        ("AIRMASS", identity.airmass, "at start"),
    ]
    return [(key, value, comment) for key, value, comment in known if value is not None]


def printable(text: str) -> str:
    """Return text that a FITS card can hold: ASCII, no control characters, 60 characters."""
    return "".join(c if 32 <= ord(c) < 127 else "?" for c in text)[:60]


def spectrum_table(target: ExtractedObject, name: str) -> fits.BinTableHDU:
    """Return the table WAVE FLUX ERR MASK SKY COUNTS COUNTS_ERR BOXCAR DQ of one object."""
    spectrum = target.spectrum
    bad = ~spectrum.good
    # FITS knows no unit "electron" for tables; the name in the header says what is counted.
    unit = "count" if spectrum.unit == "electron" else spectrum.unit
    columns = [
        fits.Column("WAVE", "D", unit="Angstrom", array=spectrum.wavelength),
        fits.Column("FLUX", "D", unit=unit, array=spectrum.flux),
        fits.Column("ERR", "D", unit=unit, array=spectrum.error),
        fits.Column("MASK", "J", array=bad.astype(np.int32)),
        fits.Column("SKY", "D", unit=unit, array=spectrum.sky),
        fits.Column("COUNTS", "D", unit="count", array=target.counts.flux),
        fits.Column("COUNTS_ERR", "D", unit="count", array=target.counts.error),
        fits.Column("BOXCAR", "D", unit="count", array=target.boxcar.flux),
        fits.Column("DQ", "J", array=spectrum.mask.astype(np.int32)),
    ]
    table = fits.BinTableHDU.from_columns(columns, name=name)
    table.header["COUNTED"] = ("electron", "what a count is")
    table.header["OBJCOL"] = (float(np.median(target.trace.columns)), "[pix] column")
    table.header["SNR"] = (target.snr, "median signal-to-noise per pixel")
    return table


def spectrum_hdus(
    target: ExtractedObject, header: fits.Header, provenance: Sequence[Provenance]
) -> fits.HDUList:
    """Return one object's spectrum: empty primary, table, provenance."""
    return fits.HDUList(
        [
            fits.PrimaryHDU(header=header),
            spectrum_table(target, "SPECTRUM"),
            provenance_hdu(provenance),
        ]
    )


def objects_hdus(
    objects: Sequence[ExtractedObject], header: fits.Header, provenance: Sequence[Provenance]
) -> fits.HDUList:
    """Return all objects of the slit in one file, extensions OBJ1, OBJ2, ..."""
    tables = [spectrum_table(item, item.name) for item in objects]
    return fits.HDUList([fits.PrimaryHDU(header=header), *tables, provenance_hdu(provenance)])


def _image2d(
    reduced: ReducedSpectrum, header: fits.Header, provenance: Sequence[Provenance]
) -> fits.HDUList:
    frame = reduced.image
    subtracted = frame.after("sky: subtracted", data=frame.data - reduced.sky.astype(np.float32))
    hdus = image_hdus(subtracted, header.copy())
    hdus.append(fits.ImageHDU(reduced.sky.astype(np.float32), name="SKY"))
    hdus.append(fits.ImageHDU(reduced.wavelengths, name="WAVE"))
    hdus.append(provenance_hdu(provenance))
    return hdus


def linear_copy(spectrum: Spectrum) -> tuple[float, float, np.ndarray[Any, np.dtype[np.float32]]]:
    """Return start, step (Angstrom) and the flux interpolated to even wavelengths."""
    step = float(np.median(np.diff(spectrum.wavelength)))
    start = float(spectrum.wavelength[0])
    count = int((spectrum.wavelength[-1] - start) / step) + 1
    grid = start + step * np.arange(count)
    finite = np.isfinite(spectrum.flux)
    if not finite.any():
        return start, step, np.zeros(count, np.float32)
    flux = np.interp(grid, spectrum.wavelength[finite], spectrum.flux[finite], left=0, right=0)
    return start, step, flux.astype(np.float32)


def iraf_hdus(spectrum: Spectrum, header: fits.Header) -> fits.HDUList:
    """Return a linear one-dimensional image for IRAF (no errors, not for measuring)."""
    start, step, flux = linear_copy(spectrum)
    cards = header.copy()
    for keyword, value in (
        ("CRPIX1", 1.0), ("CRVAL1", start), ("CDELT1", step), ("CD1_1", step),
        ("CTYPE1", "WAVE"), ("CUNIT1", "Angstrom"), ("DC-FLAG", 0), ("BUNIT", spectrum.unit),
    ):  # fmt: skip
        cards[keyword] = value
    return fits.HDUList([fits.PrimaryHDU(flux, header=cards)])


def ascii_table(spectrum: Spectrum, reduced: ReducedSpectrum, exposure: Exposure) -> str:
    """Return three columns, wavelength (vacuum Angstrom), flux and error, good pixels only."""
    identity = exposure.identity
    lines = [
        f"# OBJECT {printable(identity.target or identity.object_name)}",
        f"# FRAME {exposure.stem}",
        f"# DATE-OBS {identity.observed_at.isoformat() if identity.observed_at else 'unknown'}",
        f"# EXPTIME {identity.exposure_s:g} s",
        f"# QUALITY {reduced.quality} {' '.join(flag.name for flag in reduced.flags)}".rstrip(),
        "# WAVELENGTH vacuum Angstrom, topocentric",
        f"# FLUX and ERROR {spectrum.unit}",
    ]
    usable = spectrum.good & ((spectrum.mask & np.uint16(UNUSABLE)) == 0)
    rows = zip(
        spectrum.wavelength[usable], spectrum.flux[usable], spectrum.error[usable], strict=True
    )
    lines += [f"{w:.3f} {f:.6e} {e:.6e}" for w, f, e in rows]
    return "\n".join(lines) + "\n"
