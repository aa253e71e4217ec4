"""The files that one reduced spectrum becomes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.io import fits

from reducers.products import (
    add_card,
    base_header,
    position_cards,
    printable,
    provenance_hdu,
    time_cards,
)
from reducers.quality import flag_bits, load_limits
from reducers.recipes import RECIPE_VERSION
from reducers.reduced import SpectrumSettings
from reducers.reduction_log import chosen_settings, reduction_log
from reducers.slit_products import image2d_hdus, iraf_hdus, rectified_hdus
from reducers.spectral_axis import PIXELS, VACUUM, SpectralAxis, axis_named
from reducers.spectroscopy.flux import FLUX_UNIT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reducers.identity import Identity
    from reducers.products import Provenance
    from reducers.reduced import Exposure, ExtractedObject, ReducedSpectrum

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
    "tie_factor": ("TIEFACT", "flux in the image over flux behind the slit"),
    "tie_error": ("TIEERR", "standard error of TIEFACT"),
    "tie_filter": ("TIEFILT", "number of the image's filter"),
    "flux_tied": ("FLUXTIED", "1: the flux was multiplied by TIEFACT"),
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
    target, axis = reduced.objects[0], axis_of(reduced, settings)
    own_header = _with_classification(header, reduced)
    files: dict[str, fits.HDUList | str] = {
        "objects": objects_hdus(reduced.objects, header, provenance, axis),
        "image2d": image2d_hdus(reduced, header, provenance, axis),
        "rectified": rectified_hdus(reduced, header, provenance, axis),
        "iraf": iraf_hdus(target.spectrum, own_header, axis),
    }
    for number, item in enumerate(reduced.objects):
        which = f":{item.name}" if number else ""
        cards = header if number else own_header
        files[f"spectrum{which}"] = spectrum_hdus(item, cards, provenance, axis)
        files[f"ascii{which}"] = ascii_table(item, reduced, exposure, axis)
        files[f"log{which}"] = reduction_log(
            reduced, exposure, number, provenance=provenance, missing=missing or {},
            settings=settings, versions={"recipe": RECIPE_VERSION, "limits": load_limits().version},
        )  # fmt: skip
    return files


def axis_of(reduced: ReducedSpectrum, settings: SpectrumSettings) -> SpectralAxis:
    """Return in what the wavelengths of a reduction are told."""
    return PIXELS if reduced.in_pixels else axis_named(settings.wavelengths)


def product_header(
    reduced: ReducedSpectrum,
    identity: Identity,
    provenance: Sequence[Provenance],
    *,
    telescope: str = "",
    settings: SpectrumSettings | None = None,
) -> fits.Header:
    """Return the cards of one reduction: what, when, how good, from what."""
    settings = settings or SpectrumSettings()
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
        *axis_of(reduced, settings).cards,
        ("FLUXCAL", "ABSOLUTE" if calibrated else "UNCALIBRATED", ""),
        ("PRODCATG", "SCIENCE.SPECTRUM", ""),
        ("RECIPE", "reduce_spectrum", "recipe"),
        ("RECIPVER", RECIPE_VERSION, "version of the recipe"),
        ("LIMITVER", load_limits().version, "version of the quality limits"),
        ("QUALITY", reduced.quality, "0 perfect .. 5 unusable; above 2 unpublished"),
        ("QFLAGS", flag_bits(reduced.flags), "reasons as bits"),
        ("QREASON", " ".join(flag.name for flag in reduced.flags), "reasons by name"),
    ]
    cards += time_cards(identity) + position_cards(identity)
    for name, (keyword, comment) in HEADER_MEASUREMENTS.items():
        value = reduced.measurements.get(name, math.nan)
        if math.isfinite(value):
            cards.append((keyword, value, comment))
    chosen = chosen_settings(settings, SpectrumSettings())
    cards.append(("NCHOSEN", len(chosen), "settings other than the defaults"))
    cards += [
        (f"CHOSEN{number}", f"{name} = {value}", "")
        for number, (name, value) in enumerate(chosen.items(), start=1)
    ]
    for keyword, value, comment in cards:
        add_card(header, keyword, value, comment)
    return header


def _with_classification(header: fits.Header, reduced: ReducedSpectrum) -> fits.Header:
    """Return the header of the target itself, with what it was found to be."""
    own = header.copy()
    if reduced.classification is not None:
        for keyword, value, comment in reduced.classification.cards:
            add_card(own, keyword, value, comment)
    return own


def _classification_of(item: ExtractedObject, reduced: ReducedSpectrum) -> list[str]:
    """Return what the target was found to be; nothing for its neighbours."""
    if reduced.classification is None or item is not reduced.objects[0]:
        return []
    said = reduced.classification.sentences
    return [f"# CLASSIFICATION {printable(sentence, 300)}" for sentence in said]


def spectrum_table(
    target: ExtractedObject, name: str, axis: SpectralAxis = VACUUM
) -> fits.BinTableHDU:
    """Return the table WAVE FLUX ERR MASK SKY COUNTS COUNTS_ERR BOXCAR DQ of one object.

    Without wavelengths WAVE is NaN, and a column PIXEL tells the place.
    """
    spectrum = target.spectrum
    bad = ~spectrum.good
    # FITS knows no unit "electron" for tables; the name in the header says what is counted.
    unit = "count" if spectrum.unit == "electron" else spectrum.unit
    along = axis.published(spectrum.wavelength)
    wave = np.full(along.size, np.nan) if spectrum.in_pixels else along
    columns = [
        fits.Column("WAVE", "D", unit="Angstrom", array=wave),
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
    if spectrum.in_pixels:
        columns.append(fits.Column("PIXEL", "D", unit=axis.unit, array=along))
    table = fits.BinTableHDU.from_columns(columns, name=name)
    number = 1 + table.columns.names.index("PIXEL" if spectrum.in_pixels else "WAVE")
    for keyword, value, comment in (
        *axis.cards,
        (f"TUCD{number}", axis.ucd, "at pixel centres"),
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
    target: ExtractedObject,
    header: fits.Header,
    provenance: Sequence[Provenance],
    axis: SpectralAxis = VACUUM,
) -> fits.HDUList:
    """Return one object's spectrum: empty primary, table, provenance."""
    header = header.copy()
    for keyword, value, comment in _object_cards(target):
        add_card(header, keyword, value, comment)
    return fits.HDUList(
        [
            fits.PrimaryHDU(header=header),
            spectrum_table(target, "SPECTRUM", axis),
            provenance_hdu(provenance),
        ]
    )


def objects_hdus(
    objects: Sequence[ExtractedObject],
    header: fits.Header,
    provenance: Sequence[Provenance],
    axis: SpectralAxis = VACUUM,
) -> fits.HDUList:
    """Return all objects of the slit in one file, extensions OBJ1, OBJ2, ..."""
    tables = [spectrum_table(item, item.name, axis) for item in objects]
    return fits.HDUList([fits.PrimaryHDU(header=header), *tables, provenance_hdu(provenance)])


def ascii_table(
    item: ExtractedObject,
    reduced: ReducedSpectrum,
    exposure: Exposure,
    axis: SpectralAxis = VACUUM,
) -> str:
    """Return three columns, wavelength (or pixel), flux and error, good pixels only."""
    identity, spectrum = exposure.identity, item.spectrum
    when = identity.observed_at
    columns = f"{'pixel' if spectrum.in_pixels else 'wavelength'} flux error"
    lines = [
        f"# {columns}",  # first: astropy and PyNOT take the columns' names from here
        f"# OBJECT {printable(identity.target or identity.object_name)} {item.name}",
        f"# FRAME {printable(exposure.stem)}",
        f"# DATE-OBS {when.replace(tzinfo=None).isoformat() if when else 'unknown'} UTC",
        f"# EXPTIME {identity.exposure_s:g} s",
        f"# INSTRUMENT {printable(' '.join((identity.instrument, identity.setup.grism)))}",
        f"# QUALITY {reduced.quality} {' '.join(flag.name for flag in reduced.flags)}".rstrip(),
        "# PIXEL " + axis.words + "; no wavelengths are known"
        if spectrum.in_pixels
        else f"# WAVELENGTH {axis.words}, topocentric",
        f"# FLUX and ERROR {spectrum.unit}",
        *_classification_of(item, reduced),
        "# Masked pixels are left out.",
    ]
    good = spectrum.good
    along = axis.published(spectrum.wavelength)[good]
    rows = zip(along, spectrum.flux[good], spectrum.error[good], strict=True)
    lines += [f"{w:.3f} {f:.6e} {e:.6e}" for w, f, e in rows]
    return "\n".join(lines) + "\n"
