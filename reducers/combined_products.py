"""The files that a combination of spectra becomes, and the member spectra read back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.io import fits

from reducers.errors import UnreadableFile
from reducers.products import add_card, base_header, printable, provenance_hdu, span_cards
from reducers.spectral_axis import VACUUM, SpectralAxis, axis_named
from reducers.spectroscopy.flux import FLUX_UNIT
from reducers.spectrum import Spectrum

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from reducers.classification.verdict import Classification
    from reducers.products import Provenance
    from reducers.quality import Flag
    from reducers.spectroscopy.combine import CombinedSpectrum, Share

#: Raised when the numbers of a combination change.
COMBINATION_VERSION = "1"
#: Cards that all members share.
_COMMON = ("TELESCOP", "INSTRUME", "OBJECT", "GRISM", "SLIT", "FILTER", "SPECSYS")
#: What SPECSYS says, in words.
_SYSTEMS = {"BARYCENT": "barycentric", "TOPOCENT": "topocentric", "": "topocentric"}


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSpectrum:
    """A spectrum as its product holds it; `spectrum` is None without a flux calibration."""

    spectrum: Spectrum | None
    counts: Spectrum
    header: Mapping[str, Any]


def read_spectrum(path: Path) -> StoredSpectrum:
    """Read the target's spectrum from its product.

    Raises
    ------
    UnreadableFile
        If the file is not such a product.
    """
    try:
        with fits.open(path, memmap=False) as hdus:
            header, table = dict(hdus[0].header), hdus[1].data
            columns = {name: np.array(table[name], np.float64) for name in table.names}
    except (OSError, KeyError, IndexError, TypeError) as error:
        raise UnreadableFile(f"{path.name} is not a spectrum: {error}") from error
    mask = columns["DQ"].astype(np.uint16)
    wavelength = axis_named(header.get("WAVETYPE", "")).in_vacuum(columns["WAVE"])
    counts = Spectrum(
        wavelength=wavelength,
        flux=columns["COUNTS"],
        error=columns["COUNTS_ERR"],
        sky=np.zeros(mask.size),
        mask=mask,
    )
    calibrated = header.get("FLUXCAL") == "ABSOLUTE"
    flux = Spectrum(
        wavelength=wavelength,
        flux=columns["FLUX"],
        error=columns["ERR"],
        sky=columns["SKY"],
        mask=mask,
        unit=FLUX_UNIT,
    )
    return StoredSpectrum(spectrum=flux if calibrated else None, counts=counts, header=header)


def combined_products(
    combined: CombinedSpectrum,
    headers: Sequence[Mapping[str, Any]],
    provenance: Sequence[Provenance],
    *,
    quality: int,
    flags: Sequence[Flag] = (),
    excluded: Mapping[str, str],
    velocities_km_s: Sequence[float] = (),
    classification: Classification | None = None,
) -> dict[str, fits.HDUList | str]:
    """Return the files of a combination by role: 'combined' and 'combined_ascii'.

    Parameters
    ----------
    headers
        Of the members' products.
    quality, flags
        The worst of the members and of the combination's own flags, and those.
    excluded
        Stem of an exposure that takes no part -> why.
    velocities_km_s
        Of the telescope towards the target, by member, where wavelengths are at the barycentre.
    classification
        What the target is; None where nobody asked.
    """
    header = _header(combined, headers, provenance, quality=quality, flags=flags, excluded=excluded)
    axis = _common_axis(headers)
    for keyword, value, comment in axis.cards:
        add_card(header, keyword, value, comment)
    if velocities_km_s:
        header["SPECSYS"] = ("BARYCENT", "the observer's motion is taken out")
    for keyword, value, comment in classification.cards if classification is not None else ():
        add_card(header, keyword, value, comment)
    for number, velocity in enumerate(velocities_km_s, start=1):
        add_card(header, f"VBARY{number}", round(velocity, 3), "[km/s] added to velocities")
    hdus = fits.HDUList(
        [
            fits.PrimaryHDU(header=header),
            _spectrum_table(combined, axis),
            _members_table(combined.shares),
            provenance_hdu(provenance),
        ]
    )
    return {"combined": hdus, "combined_ascii": _ascii(combined, header, axis, classification)}


def _common_axis(headers: Sequence[Mapping[str, Any]]) -> SpectralAxis:
    """Return in what all members tell wavelengths; vacuum where they differ."""
    said = {str(header.get("WAVETYPE", "")) for header in headers}
    return axis_named(said.pop()) if len(said) == 1 else VACUUM


def _header(
    combined: CombinedSpectrum,
    headers: Sequence[Mapping[str, Any]],
    provenance: Sequence[Provenance],
    *,
    quality: int,
    flags: Sequence[Flag],
    excluded: Mapping[str, str],
) -> fits.Header:
    header = base_header(provenance, combined.spectrum.history[-1:])
    for keyword in _COMMON:
        add_card(header, keyword, headers[0].get(keyword, ""))
    calibrated = combined.spectrum.unit == FLUX_UNIT
    cards: list[tuple[str, Any, str]] = [
        ("FLUXCAL", "ABSOLUTE" if calibrated else "UNCALIBRATED", ""),
        ("PRODCATG", "SCIENCE.SPECTRUM", "combination of exposures"),
        ("RECIPE", "combine_spectra", "recipe"),
        ("RECIPVER", COMBINATION_VERSION, "version of the recipe"),
        ("NCOMBINE", len(combined.shares), "exposures combined"),
        ("EXPTIME", combined.exposure_s, "[s] sum of the exposures"),
        ("EFFTIME", _effective_s(combined.shares), "[s] the same in the best one's light"),
        ("QUALITY", quality, "worst of the members and of QREASON"),
        ("QREASON", " ".join(flag.name for flag in flags), "what the exposures say of each other"),
        ("CHI2", combined.chi2, "members about their mean, reduced"),
        ("NOISFAC", combined.noise_factor, "error of broad bins over uncorrelated"),
    ]
    lost_mag = round(combined.measurements["cloud_mag"], 3)
    cards.append(("CLOUDMAG", lost_mag, "[mag] light lost by the dimmest member"))
    cards += _times(headers)
    for number, share in enumerate(combined.shares, start=1):
        cards += [
            (f"MEMBER{number}", share.name, ""),
            (f"FACTOR{number}", round(share.factor, 4), "its flux over the best ones'"),
            (f"WEIGHT{number}", round(share.weight, 4), "mean share"),
            (f"REMARK{number}", share.remark, ""),
        ]
    cards.append(("NEXCLUD", len(excluded), "exposures that take no part"))
    for number, (stem, reason) in enumerate(sorted(excluded.items()), start=1):
        cards.append((f"EXCLUD{number}", f"{stem}: {reason}", ""))
    for keyword, value, comment in cards:
        add_card(header, keyword, value, comment)
    return header


def _effective_s(shares: Sequence[Share]) -> float:
    return round(sum(share.exposure_s * share.factor for share in shares), 3)


def _times(headers: Sequence[Mapping[str, Any]]) -> list[tuple[str, Any, str]]:
    """Return the first start, the last end and the mean airmass."""
    found = span_cards(headers)
    airmass = [float(h["AIRMASS"]) for h in headers if h.get("AIRMASS") is not None]
    if airmass:
        found.append(("AIRMASS", round(float(np.mean(airmass)), 4), "mean of the starts"))
    return found


def _spectrum_table(combined: CombinedSpectrum, axis: SpectralAxis) -> fits.BinTableHDU:
    """Return WAVE FLUX ERR MASK SKY NEXP CORR DQ."""
    spectrum = combined.spectrum
    unit = "count" if spectrum.unit == "electron" else spectrum.unit
    columns = [
        fits.Column("WAVE", "D", unit=axis.unit, array=axis.published(spectrum.wavelength)),
        fits.Column("FLUX", "D", unit=unit, array=spectrum.flux),
        fits.Column("ERR", "D", unit=unit, array=spectrum.error),
        fits.Column("MASK", "J", array=(~spectrum.good).astype(np.int32)),
        fits.Column("SKY", "D", unit=unit, array=spectrum.sky),
        fits.Column("NEXP", "J", array=combined.exposures.astype(np.int32)),
        fits.Column("CORR", "D", array=combined.correlation),
        fits.Column("DQ", "J", array=spectrum.mask.astype(np.int32)),
    ]
    table = fits.BinTableHDU.from_columns(columns, name="SPECTRUM")
    for keyword, value, comment in (
        *axis.cards,
        ("TUCD1", axis.ucd, "at pixel centres"),
        ("COUNTED", "electron", "what a count is"),
        ("CORRTYPE", "next pixel", "column CORR: correlation of errors"),
    ):
        add_card(table.header, keyword, value, comment)
    return table


def _members_table(shares: Sequence[Share]) -> fits.BinTableHDU:
    def text(values: Sequence[str]) -> tuple[str, list[str]]:
        clean = [printable(value, 200) for value in values]
        return f"{max(map(len, clean), default=1) or 1}A", clean

    names, remarks = text([s.name for s in shares]), text([s.remark for s in shares])
    columns = [
        fits.Column("NAME", names[0], array=names[1]),
        fits.Column("EXPTIME", "D", unit="s", array=[s.exposure_s for s in shares]),
        fits.Column("FACTOR", "D", array=[s.factor for s in shares]),
        fits.Column("FACTOR_ERR", "D", array=[s.factor_error for s in shares]),
        fits.Column("CLOUD_MAG", "D", unit="mag", array=[s.cloud_mag for s in shares]),
        fits.Column("COLOUR", "D", array=[s.colour for s in shares]),
        fits.Column("WEIGHT", "D", array=[s.weight for s in shares]),
        fits.Column("REJECTED", "J", array=[s.rejected for s in shares]),
        fits.Column("CHI2", "D", array=[s.chi2 for s in shares]),
        fits.Column("REMARK", remarks[0], array=remarks[1]),
    ]
    return fits.BinTableHDU.from_columns(columns, name="MEMBERS")


def _ascii(
    combined: CombinedSpectrum,
    header: fits.Header,
    axis: SpectralAxis,
    classification: Classification | None,
) -> str:
    """Return wavelength, flux and error of the good pixels as text."""
    spectrum = combined.spectrum
    lines = [
        f"# OBJECT {header['OBJECT']}",
        f"# FRAMES {' '.join(printable(share.name) for share in combined.shares)}",
        f"# EXPTIME {combined.exposure_s:g} s",
        f"# QUALITY {header['QUALITY']}",
        f"# WAVELENGTH {axis.words}, {_SYSTEMS[header['SPECSYS']]}",
        f"# FLUX and ERROR {spectrum.unit}",
        "# COLUMNS wavelength flux error; masked pixels are left out",
    ]
    if classification is not None:
        said = classification.sentences
        lines[-1:-1] = [f"# CLASSIFICATION {printable(sentence, 300)}" for sentence in said]
    good = spectrum.good
    along = axis.published(spectrum.wavelength)[good]
    rows = zip(along, spectrum.flux[good], spectrum.error[good], strict=True)
    lines += [f"{w:.3f} {f:.6e} {e:.6e}" for w, f, e in rows]
    return "\n".join(lines) + "\n"
