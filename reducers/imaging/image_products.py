"""The files that one reduced image becomes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.io import fits

from reducers.imaging.astrometry_cards import sky_cards
from reducers.imaging.image_log import image_log
from reducers.imaging.phot_products import phot_hdus
from reducers.imaging.reduced_image import ImageSettings
from reducers.imaging.references import References
from reducers.products import (
    Provenance,
    add_card,
    base_header,
    image_hdus,
    position_cards,
    printable,
    provenance_hdu,
    time_cards,
)
from reducers.quality import flag_bits, load_limits
from reducers.recipes import RECIPE_VERSION
from reducers.reduction_log import chosen_settings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from reducers.frame import Image
    from reducers.identity import Identity
    from reducers.imaging.reduced_image import ReducedImage
    from reducers.reduced import Exposure

#: Every so many pixels of the sky model are kept: it is smooth over many more.
BACKGROUND_STEP = 8
#: Measurements that go into the header: name -> (keyword, comment).
HEADER_MEASUREMENTS = {
    "seeing_arcsec": ("FWHM", "[arcsec] median of unsaturated stars"),
    "ellipticity": ("ELLIPTIC", "1 - b/a, median of stars"),
    "sky_e": ("SKYLEVEL", "[electron] median of the sky model"),
    "sky_sigma_e": ("SKYSIGMA", "[electron] noise of a sky pixel"),
    "sky_mag_arcsec2": ("SKYMAG", "[mag/arcsec2] sky brightness"),
    "zero_point_mag": ("ZPTMAG", "[mag] of 1 electron/s at the top of this air"),
    "zero_point_error_mag": ("ZPTMUCER", "[mag] its error"),
    "zero_point_stars": ("ZPTNSTAR", "stars in it"),
    "limit_3_sigma_mag": ("M3SIGMA", "[mag] 3 sigma, from empty apertures"),
    "limit_5_sigma_mag": ("M5SIGMA", "[mag] 5 sigma, from empty apertures"),
    "psf_limit_5_sigma_mag": ("M5PSF", "[mag] 5 sigma of the point-spread fit"),
    "limit_10_sigma_mag": ("M10SIGMA", "[mag] 10 sigma, from empty apertures"),
    "transparency": ("TRANSPAR", "of the light of a clear night"),
    "star_flat_rms_mag": ("STARFLAT", "[mag] rms of the star flat divided by"),
    "star_flat_error_mag": ("STARFLER", "[mag] its error"),
    "gain_e_per_adu": ("GAINUSED", "[electron/adu] gain used"),
    "read_noise_e": ("RONUSED", "[electron] read noise used"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Making:
    """What an image was made of and with, as its files tell it.

    Attributes
    ----------
    missing
        Role of a master that there was not -> why.
    """

    provenance: Sequence[Provenance]
    settings: ImageSettings = field(default_factory=ImageSettings)
    references: References = field(default_factory=References)
    missing: Mapping[str, str] = field(default_factory=dict)
    telescope: str = ""
    keep_intermediate: bool = False


def image_products(
    reduced: ReducedImage, exposure: Exposure, making: Making
) -> dict[str, fits.HDUList | str]:
    """Return every file of a reduced image by role.

    Returns
    -------
    dict
        'image' (sky-subtracted electrons with UNCERT, MASK, DQ and BACKGROUND), 'phot' where
        sources were measured, 'log', and with `keep_intermediate` 'background'.
    """
    header = image_header(reduced, exposure.identity, making)
    files: dict[str, fits.HDUList | str] = {"image": _image_hdus(reduced, header, making)}
    files["log"] = image_log(
        reduced, exposure, provenance=making.provenance, references=making.references,
        missing=making.missing, settings=making.settings,
        versions={"recipe": RECIPE_VERSION, "limits": load_limits("images").version},
    )  # fmt: skip
    if reduced.photometry is not None:
        files["phot"] = phot_hdus(
            reduced.photometry, reduced.astrometry, reduced.zero_point, header,
            making.provenance, exposure_s=exposure.identity.exposure_s,
        )  # fmt: skip
    if making.keep_intermediate:
        plane = fits.PrimaryHDU(np.asarray(reduced.background, np.float32), header=header)
        files["background"] = fits.HDUList([plane])
    return files


def image_header(reduced: ReducedImage, identity: Identity, making: Making) -> fits.Header:
    """Return the cards of one image: what, when, where, how good, from what."""
    header = base_header(making.provenance, reduced.image.history)
    cards: list[tuple[str, Any, str]] = [
        ("TELESCOP", making.telescope or "unknown", ""),
        ("INSTRUME", identity.instrument, ""),
        ("OBJECT", printable(identity.target or identity.object_name), "target"),
        ("EXPTIME", identity.exposure_s, "[s] exposure time"),
        ("FILTER", identity.setup.filter, ""),
        ("PRODCATG", "SCIENCE.IMAGE", ""),
        ("RECIPE", "reduce_image", "recipe"),
        ("RECIPVER", RECIPE_VERSION, "version of the recipe"),
        ("LIMITVER", load_limits("images").version, "version of the quality limits"),
        ("QUALITY", reduced.quality, "0 perfect .. 5 unusable; above 2 unpublished"),
        ("QFLAGS", flag_bits(reduced.flags), "reasons as bits, of images"),
        ("QREASON", " ".join(flag.name for flag in reduced.flags), "reasons by name"),
        *time_cards(identity),
        *position_cards(identity),
    ]
    for name, (keyword, comment) in HEADER_MEASUREMENTS.items():
        value = reduced.measurements.get(name, math.nan)
        if math.isfinite(value):
            cards.append((keyword, value, comment))
    chosen = chosen_settings(making.settings, ImageSettings())
    cards.append(("NCHOSEN", len(chosen), "settings other than the defaults"))
    cards += [
        (f"CHOSEN{number}", f"{name} = {value}", "")
        for number, (name, value) in enumerate(chosen.items(), start=1)
    ]
    if reduced.astrometry is not None:
        cards += sky_cards(reduced.astrometry, making.references)
    for keyword, value, comment in cards:
        add_card(header, keyword, value, comment)
    return header


def _image_hdus(reduced: ReducedImage, header: fits.Header, making: Making) -> fits.HDUList:
    frame, sky = reduced.image, np.asarray(reduced.background, np.float32)
    if making.settings.subtract_sky:
        frame = frame.after("sky: the model subtracted", data=frame.data - sky)
        header = header.copy()
        header.add_history("sky: the model subtracted")
    hdus = image_hdus(frame, header)
    for plane in hdus[1:]:
        # UNCERT and MASK lie where the image lies.
        _copy_place(header, plane.header)
    half = BACKGROUND_STEP // 2
    model = fits.ImageHDU(sky[half::BACKGROUND_STEP, half::BACKGROUND_STEP], name="BACKGROUND")
    model.header["BUNIT"] = frame.unit
    add_card(model.header, "BKGSTEP", BACKGROUND_STEP, "image pixels from one value to the next")
    add_card(model.header, "BKGFIRST", half, "0-based image pixel of the first value")
    hdus.append(model)
    hdus.append(provenance_hdu(making.provenance))
    return hdus


def blocks(plane: Image, usable: NDArray[np.bool_], longest_px: int) -> tuple[Image, int]:
    """Return the plane averaged in square blocks of its usable pixels, and their side in pixels.

    Parameters
    ----------
    longest_px
        No side of the result is much longer.
    """
    step = max(1, math.ceil(max(plane.shape) / longest_px))
    ny, nx = (side // step for side in plane.shape)

    def summed(values: Image) -> Image:
        # Whole rows first: sums over blocks at once would go through memory number by number.
        rows = values[: ny * step, : nx * step].reshape(ny, step, nx * step).sum(axis=1)
        total = rows[:, ::step].astype(np.float32)
        for column in range(1, step):
            total += rows[:, column::step]
        return np.asarray(total, np.float32)

    number = summed(usable.view(np.uint8))
    total = summed(np.where(usable, plane, np.float32(0)))
    return np.asarray(total / np.maximum(number, np.float32(1)), np.float32), int(step)


_PLACE_CARDS = ("WCSAXES", "CTYPE", "CRPIX", "CRVAL", "CD", "PC", "CDELT", "CUNIT", "RADESYS",
                "EQUINOX", "LONPOLE", "LATPOLE", "A_", "B_", "AP_", "BP_")  # fmt: skip


def _copy_place(source: fits.Header, into: fits.Header) -> None:
    if "CTYPE1" not in source:
        return
    for card in source.cards:
        if card.keyword.startswith(_PLACE_CARDS):
            into[card.keyword] = (card.value, card.comment)
