"""The files that one reduced spectrum becomes."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.io import fits
from astropy.time import Time

from reducers.frame import UNUSABLE
from reducers.products import add_card, base_header, image_hdus, printable, provenance_hdu
from reducers.quality import flag_bits, load_limits
from reducers.recipes import RECIPE_VERSION
from reducers.reduced import SpectrumSettings
from reducers.reduction_log import chosen_settings, reduction_log
from reducers.spectroscopy.flux import FLUX_UNIT
from reducers.spectroscopy.rectify import linear_flux, linear_grid, rectify

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reducers.identity import Identity
    from reducers.products import Provenance
    from reducers.reduced import Exposure, ExtractedObject, ReducedSpectrum
    from reducers.spectroscopy.rectify import LinearGrid
    from reducers.spectrum import Spectrum

#: Measurements that go into the header: name -> (keyword, comment).
HEADER_MEASUREMENTS = {
    "snr": ("SNR", "median signal-to-noise per pixel"),
    "arc_rms_angstrom": ("WAVERMS", "[Angstrom] arc rms"),
    "arc_lines": ("WAVENLIN", "arc lines used"),
    "flexure_px": ("FLEXURE", "[pix] sky lines against arc"),
    "flexure_error_px": ("FLEXERR", "[pix] standard error of FLEXURE"),
    "stellar_shift_px": ("STARSHFT", "[pix] the standard's own lines against that"),
    "stellar_shift_error_px": ("STARERR", "[pix] standard error of STARSHFT"),
    "sky5577_angstrom": ("SKY5577", "[Angstrom] [O I] 5577"),
    "fwhm_arcsec": ("FWHM", "[arcsec] width along the slit"),
    "object_column": ("OBJCOL", "[pix] target, 0-based"),
    "sky_chi2": ("SKYCHI2", "chi2 of the sky"),
    "gain_e_per_adu": ("GAINUSED", "[electron/adu] gain used"),
    "read_noise_e": ("RONUSED", "[electron] read noise used"),
}


def spectrum_products(
    reduced: ReducedSpectrum,
    exposure: Exposure,
    provenance: Sequence[Provenance],
    *,
    telescope: str = "",
    settings: SpectrumSettings | None = None,
    missing: Mapping[str, str] | None = None,
) -> dict[str, fits.HDUList | str]:
    """Return every file of a reduction by role.

    Parameters
    ----------
    settings
        What a person chose about it.
    missing
        Role of a master that there was not -> why.

    Returns
    -------
    dict
        'spectrum' (the target), 'objects' (all objects in one file, OBJ1, OBJ2, ...),
        'image2d' and 'rectified' (the slit), 'iraf', 'ascii' and 'log'; of every other object
        'spectrum:OBJ2', 'ascii:OBJ2', 'log:OBJ2' and so on.
    """
    settings = settings or SpectrumSettings()
    header = product_header(
        reduced, exposure.identity, provenance, telescope=telescope, settings=settings
    )
    target = reduced.objects[0]
    files: dict[str, fits.HDUList | str] = {
        "objects": objects_hdus(reduced.objects, header, provenance),
        "image2d": _image2d(reduced, header, provenance),
        "rectified": rectified_hdus(reduced, header, provenance),
        "iraf": iraf_hdus(target.spectrum, header),
    }
    for number, item in enumerate(reduced.objects):
        which = f":{item.name}" if number else ""
        files[f"spectrum{which}"] = spectrum_hdus(item, header, provenance)
        files[f"ascii{which}"] = ascii_table(item, reduced, exposure)
        files[f"log{which}"] = reduction_log(
            reduced, exposure, number, provenance=provenance, missing=missing or {},
            settings=settings, versions={"recipe": RECIPE_VERSION, "limits": load_limits().version},
        )  # fmt: skip
    return files


def product_header(
    reduced: ReducedSpectrum,
    identity: Identity,
    provenance: Sequence[Provenance],
    *,
    telescope: str = "",
    settings: SpectrumSettings | None = None,
) -> fits.Header:
    """Return the cards of one reduction: what, when, how good, from what."""
    header = base_header(provenance, reduced.objects[0].spectrum.history)
    calibrated = reduced.objects[0].spectrum.unit == FLUX_UNIT
    cards: list[tuple[str, Any, str]] = [
        ("TELESCOP", telescope or "unknown", ""),
        ("INSTRUME", identity.instrument, ""),
        ("OBJECT", printable(identity.target or identity.object_name), "target"),
        ("EXPTIME", identity.exposure_s, "[s] exposure time"),
        ("GRISM", identity.setup.grism, ""),
        ("SLIT", identity.setup.slit, ""),
        ("FILTER", identity.setup.filter, ""),
        ("SPECSYS", "TOPOCENT", "no velocity correction applied"),
        ("WAVETYPE", "vacuum", "wavelengths are in vacuum"),
        ("FLUXCAL", "ABSOLUTE" if calibrated else "UNCALIBRATED", ""),
        ("PRODCATG", "SCIENCE.SPECTRUM", ""),
        ("RECIPE", "reduce_spectrum", "recipe"),
        ("RECIPVER", RECIPE_VERSION, "version of the recipe"),
        ("LIMITVER", load_limits().version, "version of the quality limits"),
        ("QUALITY", reduced.quality, "0 perfect .. 5 unusable; above 2 unpublished"),
        ("QFLAGS", flag_bits(reduced.flags), "reasons as bits"),
        ("QREASON", " ".join(flag.name for flag in reduced.flags), "reasons by name"),
    ]
    cards += _time_cards(identity) + _position_cards(identity)
    for name, (keyword, comment) in HEADER_MEASUREMENTS.items():
        value = reduced.measurements.get(name, math.nan)
        if math.isfinite(value):
            cards.append((keyword, value, comment))
    chosen = chosen_settings(settings or SpectrumSettings())
    cards.append(("NCHOSEN", len(chosen), "settings other than the defaults"))
    cards += [
        (f"CHOSEN{number}", f"{name} = {value}", "")
        for number, (name, value) in enumerate(chosen.items(), start=1)
    ]
    for keyword, value, comment in cards:
        add_card(header, keyword, value, comment)
    return header


def _time_cards(identity: Identity) -> list[tuple[str, Any, str]]:
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


def _position_cards(identity: Identity) -> list[tuple[str, Any, str]]:
    known = [
        ("RA", identity.ra_deg, "[deg] pointing, J2000"),
        ("DEC", identity.dec_deg, "[deg] pointing, J2000"),
        ("AIRMASS", identity.airmass, "at start"),
    ]
    return [(key, value, comment) for key, value, comment in known if value is not None]


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
    if target.scale_error is not None and target.transmission is not None:
        columns += [
            fits.Column("SCALE_ERR", "D", array=target.scale_error),
            fits.Column("TELLURIC", "D", array=target.transmission),
        ]
    table = fits.BinTableHDU.from_columns(columns, name=name)
    for keyword, value, comment in (
        ("WAVETYPE", "vacuum", "column WAVE, at pixel centres"),
        ("COUNTED", "electron", "what a count is"),
        *_object_cards(target),
    ):
        add_card(table.header, keyword, value, comment)
    return table


def _object_cards(item: ExtractedObject) -> list[tuple[str, Any, str]]:
    """Return the cards that differ between the objects of one slit."""
    return [
        ("OBJNAME", item.name, "which object on the slit"),
        ("OBJCOL", float(np.median(item.trace.columns)), "[pix] column, 0-based"),
        ("OBJFWHM", float(item.fwhm_px), "[pix] width along the slit"),
        ("OBJFORCE", bool(item.trace.forced), "position was assumed, not found"),
        ("SNR", item.snr, "median signal-to-noise per pixel"),
    ]


def spectrum_hdus(
    target: ExtractedObject, header: fits.Header, provenance: Sequence[Provenance]
) -> fits.HDUList:
    """Return one object's spectrum: empty primary, table, provenance."""
    header = header.copy()
    for keyword, value, comment in _object_cards(target):
        add_card(header, keyword, value, comment)
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
    hdus = image_hdus(subtracted, _with_history(header, subtracted.history))
    hdus.append(fits.ImageHDU(reduced.sky.astype(np.float32), name="SKY"))
    hdus.append(fits.ImageHDU(reduced.wavelengths, name="WAVE"))
    hdus.append(provenance_hdu(provenance))
    return hdus


def _with_history(header: fits.Header, history: Sequence[str]) -> fits.Header:
    """Return a copy that tells the steps of an image instead of those of the spectrum."""
    cards = header.copy()
    cards.remove("HISTORY", remove_all=True, ignore_missing=True)
    for step in history:
        cards.add_history(printable(step, limit=1000))
    return cards


def rectified_hdus(
    reduced: ReducedSpectrum, header: fits.Header, provenance: Sequence[Provenance]
) -> fits.HDUList:
    """Return the sky-subtracted slit on a linear wavelength grid: + UNCERT, MASK, DQ and SKY.

    Wavelength runs along the first FITS axis, the image columns along the second; the grid is
    that of the target's linear spectrum.
    """
    grid = linear_grid(reduced.objects[0].spectrum.wavelength)
    made = rectify(reduced.image, reduced.sky, reduced.wavelengths, grid)
    steps = (
        *reduced.image.history,
        "sky: subtracted",
        "rectify: neighbouring bins share pixels, their noise correlates",
    )
    primary = fits.PrimaryHDU(made.data, header=_with_history(header, steps))
    cards = (
        *_wavelength_cards(grid),
        ("CRPIX2", 1.0, ""), ("CRVAL2", 0.0, "image column, 0-based"), ("CDELT2", 1.0, ""),
        ("CTYPE2", "SLITCOL", ""), ("BUNIT", reduced.image.unit, "per bin; flux is conserved"),
    )  # fmt: skip
    for keyword, value, comment in cards:
        add_card(primary.header, keyword, value, comment)
    sigma = fits.ImageHDU(made.error, name="UNCERT")
    sigma.header["UTYPE"] = "StdDevUncertainty"
    sigma.header["BUNIT"] = reduced.image.unit
    unusable = (made.mask & np.uint16(UNUSABLE)) != 0
    return fits.HDUList(
        [
            primary,
            sigma,
            fits.ImageHDU(unusable.astype(np.uint8), name="MASK"),
            fits.ImageHDU(made.mask.astype(np.int32), name="DQ"),
            fits.ImageHDU(made.sky, name="SKY"),
            provenance_hdu(provenance),
        ]
    )


def _wavelength_cards(grid: LinearGrid) -> list[tuple[str, Any, str]]:
    """Return the cards of a linear first axis; WAVE is FITS for vacuum (Greisen+ 2006)."""
    return [
        ("CRPIX1", 1.0, ""), ("CRVAL1", grid.start, "first wavelength"),
        ("CDELT1", grid.step, ""), ("CTYPE1", "WAVE", "vacuum"), ("CUNIT1", "Angstrom", ""),
    ]  # fmt: skip


def iraf_hdus(spectrum: Spectrum, header: fits.Header) -> fits.HDUList:
    """Return a linear one-dimensional image for IRAF and PyNOT, with ERR and MASK (1: bad).

    Neighbours share noise after the interpolation: it is not for measuring.
    """
    density = spectrum.unit == FLUX_UNIT
    grid, flux = linear_flux(spectrum.wavelength, spectrum.flux, density=density)
    cards = header.copy()
    for keyword, value, comment in (
        *_wavelength_cards(grid), ("CD1_1", grid.step, ""), ("DC-FLAG", 0, "linear"),
        ("BUNIT", spectrum.unit, ""),
    ):  # fmt: skip
        add_card(cards, keyword, value, comment)
    primary = fits.PrimaryHDU(flux, header=cards)
    primary.name = "FLUX"  # PyNOT asks for these three names; IRAF takes the primary image
    good = spectrum.good if spectrum.good.any() else np.ones(spectrum.flux.size, bool)
    # A bin that holds more than one pixel has more counts, or a better mean density.
    pixels = np.sqrt(grid.step / np.abs(np.gradient(spectrum.wavelength)))
    noise = spectrum.error / pixels if density else spectrum.error * pixels
    error = np.interp(grid.centres, spectrum.wavelength[good], noise[good])
    bad = np.interp(grid.centres, spectrum.wavelength, (~spectrum.good).astype(np.float64)) > 0
    return fits.HDUList(
        [
            primary,
            fits.ImageHDU(error.astype(np.float32), name="ERR"),
            fits.ImageHDU(bad.astype(np.uint8), name="MASK"),
        ]
    )


def ascii_table(item: ExtractedObject, reduced: ReducedSpectrum, exposure: Exposure) -> str:
    """Return three columns, wavelength (vacuum Angstrom), flux and error, good pixels only."""
    identity, spectrum = exposure.identity, item.spectrum
    when = identity.observed_at
    lines = [
        "# wavelength flux error",  # first: astropy and PyNOT take the columns' names from here
        f"# OBJECT {printable(identity.target or identity.object_name)} {item.name}",
        f"# FRAME {printable(exposure.stem)}",
        f"# DATE-OBS {when.replace(tzinfo=None).isoformat() if when else 'unknown'} UTC",
        f"# EXPTIME {identity.exposure_s:g} s",
        f"# INSTRUMENT {printable(' '.join((identity.instrument, identity.setup.grism)))}",
        f"# QUALITY {reduced.quality} {' '.join(flag.name for flag in reduced.flags)}".rstrip(),
        "# WAVELENGTH vacuum Angstrom, topocentric",
        f"# FLUX and ERROR {spectrum.unit}",
        "# Masked pixels are left out.",
    ]
    good = spectrum.good
    rows = zip(spectrum.wavelength[good], spectrum.flux[good], spectrum.error[good], strict=True)
    lines += [f"{w:.3f} {f:.6e} {e:.6e}" for w, f, e in rows]
    return "\n".join(lines) + "\n"
