"""The files of a difference image."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.io import fits

from reducers.frame import UNUSABLE
from reducers.products import add_card, base_header, printable, provenance_hdu
from reducers.quality import flag_bits, load_limits
from reducers.transients.candidate import Candidate, Standing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reducers.products import Provenance
    from reducers.transients.difference.changes import Change
    from reducers.transients.difference.epoch import Epoch
    from reducers.transients.difference.subtraction import Difference

#: Raised when the numbers of a difference change.
DIFFERENCE_VERSION = "1"
#: What a difference image takes over from the header of its image.
_COMMON = (
    "TELESCOP", "INSTRUME", "OBJECT", "EXPTIME", "FILTER", "DATE-OBS", "DATE-END", "MJD-OBS",
    "MJD-END", "RA", "DEC", "AIRMASS", "FWHM", "ZPTMAG", "ZPTMUCER", "ZPTNSTAR",
)  # fmt: skip
#: Measurements that go into the header: name -> (keyword, comment).
_CARDS = {
    "difference_stars": ("DIFNSTAR", "stars that compare image and template"),
    "difference_flux_ratio": ("DIFRATIO", "light on the template over that on the image"),
    "difference_flux_ratio_error": ("DIFRATER", "its error"),
    "difference_place_px": ("DIFPLACE", "[pix] scatter of places beyond their errors"),
    "difference_light_error": ("DIFLIGHT", "part of a star's light that stays"),
    "difference_noise": ("DIFNOISE", "scatter of empty sky over its errors"),
    "difference_covered": ("DIFCOVER", "part of the image that can be compared"),
    "difference_limit_50_mag": ("M50FOUND", "[mag] half of new stars are found"),
    "difference_limit_90_mag": ("M90FOUND", "[mag] nine in ten are found"),
    "difference_limit_5_sigma_mag": ("M5SIGMA", "[mag] 5 sigma, median of the image"),
}


def difference_products(
    difference: Difference,
    science: Epoch,
    template: Epoch,
    changes: Sequence[Change],
    header: Mapping[str, Any],
    provenance: Sequence[Provenance],
    measurements: Mapping[str, float],
) -> dict[str, fits.HDUList | str]:
    """Return the files by role.

    Parameters
    ----------
    header
        Of the image.
    measurements
        Of the difference and of `limits`.

    Returns
    -------
    dict
        'difference': SCI (primary), UNCERT, MASK, DQ, SCORE, FLUX and FLUXERR (of a new star
        centred on each pixel, total light), TEMPLATE (on the same grid and scale), CHANGES,
        PROVENANCE; and 'changes', the list as text.
    """
    head = base_header(provenance, difference.frame.history[-1:])
    for keyword in _COMMON:
        if header.get(keyword) is not None:
            add_card(head, keyword, header[keyword])
    cards: list[tuple[str, Any, str]] = [
        ("PRODCATG", "SCIENCE.DIFFERENCE", "image less template"),
        ("RECIPE", "difference", "recipe"),
        ("RECIPVER", DIFFERENCE_VERSION, "version of the recipe"),
        ("LIMITVER", load_limits("transients").version, "version of the limits"),
        ("SCIENCE", science.name, "the image"),
        ("TEMPLATE", template.name, "what was taken off"),
        ("DIFHOW", difference.method, "zogy: matched; kernel: fitted kernel"),
        ("DIFWHY", difference.reason, ""),
        ("DIFTOTAL", difference.total, "total light of a star over that of the fit"),
    ]
    cards += [
        (keyword, measurements[name], comment)
        for name, (keyword, comment) in _CARDS.items()
        if math.isfinite(measurements.get(name, math.nan))
    ]
    for keyword, value, comment in cards:
        add_card(head, keyword, value, comment)
    hdus = _planes(difference, head)
    place = science.sky_map.wcs.to_header(relax=True)
    for plane in hdus:
        plane.header.update(place)
    hdus.append(_table(changes, science))
    hdus.append(provenance_hdu(provenance))
    return {"difference": fits.HDUList(hdus), "changes": changes_text(changes, science)}


def _planes(difference: Difference, header: fits.Header) -> list[Any]:
    frame = difference.frame
    total = np.float32(difference.total)
    lost = (frame.mask & np.uint16(UNUSABLE)) != 0
    planes = [fits.PrimaryHDU(np.asarray(frame.data), header=header)]
    for name, data in (
        ("UNCERT", np.sqrt(np.maximum(frame.variance, 0))),
        ("MASK", (lost | ~difference.valid).astype(np.uint8)),
        ("DQ", frame.mask.astype(np.int32)),
        ("SCORE", np.asarray(difference.score, np.float32)),
        ("FLUX", np.where(difference.valid, difference.flux * total, np.float32(np.nan))),
        ("FLUXERR", np.where(difference.valid, difference.sigma * total, np.float32(np.nan))),
        ("TEMPLATE", np.asarray(difference.template.data, np.float32)),
    ):
        planes.append(fits.ImageHDU(data, name=name))
    for plane in planes:
        if plane.name not in ("MASK", "DQ", "SCORE"):
            plane.header["BUNIT"] = frame.unit or "electron"
    return planes


def magnitude_of(flux: float, error: float, science: Epoch) -> tuple[float, float]:
    """Return magnitude and error in the zero point of the image; NaN where there is none."""
    if not flux > 0 or not science.exposure_s > 0:
        return math.nan, math.nan
    value = science.zero_point_mag - 2.5 * math.log10(flux / science.exposure_s)
    return value, 2.5 / math.log(10) * error / flux


def _table(changes: Sequence[Change], science: Epoch) -> fits.BinTableHDU:
    x = np.array([each.x_px for each in changes], float)
    y = np.array([each.y_px for each in changes], float)
    ra, dec = science.sky_map.sky(x, y) if len(changes) else (x, y)
    mags = np.array(
        [magnitude_of(each.flux, each.flux_error, science) for each in changes], float
    ).reshape(-1, 2)
    reasons = [printable(" ".join(flag.name for flag in each.vetoes), 200) for each in changes]
    width = max([len(text) for text in reasons] + [1])
    columns = [
        fits.Column("NUMBER", "J", array=np.arange(1, len(changes) + 1)),
        fits.Column("RA", "D", unit="deg", array=ra),
        fits.Column("DEC", "D", unit="deg", array=dec),
        fits.Column("X", "D", unit="pixel", array=x),
        fits.Column("Y", "D", unit="pixel", array=y),
        fits.Column("POS_ERR", "E", unit="pixel", array=[each.error_px for each in changes]),
        fits.Column("FLUX", "D", unit="count", array=[each.flux for each in changes]),
        fits.Column("FLUXERR", "E", unit="count", array=[each.flux_error for each in changes]),
        fits.Column("MAG", "E", unit="mag", array=mags[:, 0]),
        fits.Column("MAGERR", "E", unit="mag", array=mags[:, 1]),
        fits.Column("SCORE", "E", array=[each.snr for each in changes]),
        fits.Column("CHI2", "E", array=[e.measurements["difference_chi2"] for e in changes]),
        fits.Column("CLEAN", "L", array=[each.is_clean for each in changes]),
        fits.Column("FLAGS", "K", array=[flag_bits(each.vetoes) for each in changes]),
        fits.Column("REASONS", f"{width}A", array=reasons),
    ]
    return fits.BinTableHDU.from_columns(columns, name="CHANGES")


def changes_text(changes: Sequence[Change], science: Epoch) -> str:
    """Return the list of new light as text, one source a line."""
    lines = [
        f"# new light on {science.name}; magnitudes in {science.band or 'no zero point'}",
        "# number  ra_deg       dec_deg      x_px     y_px     mag     err    score  reasons",
    ]
    for number, each in enumerate(changes, start=1):
        ra, dec = (float(v) for v in science.sky_map.sky(each.x_px, each.y_px))
        mag, error = magnitude_of(each.flux, each.flux_error, science)
        reasons = " ".join(flag.name for flag in each.vetoes) or "-"
        lines.append(
            f"{number:6d} {ra:12.6f} {dec:+12.6f} {each.x_px:8.2f} {each.y_px:8.2f} "
            f"{mag:7.3f} {error:6.3f} {each.snr:8.1f}  {reasons}"
        )
    return "\n".join(lines) + "\n"


def candidates_of(
    changes: Sequence[Change], science: Epoch, *, place_error_arcsec: float = 0.1
) -> tuple[Candidate, ...]:
    """Return the changes as candidates, in the order and numbering of the list.

    Parameters
    ----------
    place_error_arcsec
        Of the image's place on the sky, per axis.
    """
    return tuple(
        _candidate(number, each, science, place_error_arcsec)
        for number, each in enumerate(changes, start=1)
    )


def _candidate(number: int, change: Change, science: Epoch, place_error: float) -> Candidate:
    ra, dec = (float(v) for v in science.sky_map.sky(change.x_px, change.y_px))
    magnitude, error = magnitude_of(change.flux, change.flux_error, science)
    scale = science.sky_map.pixel_scale_arcsec
    return Candidate(
        number=number,
        x_px=change.x_px,
        y_px=change.y_px,
        ra_deg=ra,
        dec_deg=dec,
        position_error_arcsec=math.hypot(change.error_px * scale, place_error),
        magnitude=magnitude,
        magnitude_error=error,
        band=science.band,
        a_px=change.a_px,
        b_px=change.b_px,
        theta_deg=change.theta_deg,
        flux_auto=change.flux,
        flux_auto_error=change.flux_error,
        snr=change.snr,
        vetoes=change.vetoes,
        standing=Standing.UNVETTED if change.is_clean else Standing.VETOED,
        method="difference",
        measurements=change.measurements,
    )
