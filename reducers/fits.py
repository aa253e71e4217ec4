"""Read raw frames: the structure of the file, its header, its pixels."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.io import fits

from reducers.errors import AbsurdHeader, UnreadableFile
from reducers.fits_structure import Structure, check_structure, open_regular
from reducers.frame import Image, read_only
from reducers.header import is_readable

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from reducers.instrument import Detector

__all__ = ["RawExposure", "Structure", "check_structure", "read_header", "read_raw"]

#: Counts above this were negative before they were written modulo 2**32.
_WRAP_ABOVE = 2**31
_WRAP = 2**32


@dataclass(frozen=True, slots=True, kw_only=True)
class RawExposure:
    """One raw frame as it came from the camera.

    Attributes
    ----------
    header : astropy Header
        Primary and image extension merged; the extension wins.
    data : (ny, nx) float32
        Raw counts in ADU, wrapped pixels repaired.
    wrapped_pixels : int
        Pixels that had been written modulo 2**32.
    """

    header: fits.Header
    data: Image
    wrapped_pixels: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "data", read_only(self.data, np.float32))


def read_header(path: Path) -> fits.Header:
    """Return primary and first image extension merged, the extension winning; no pixel is read."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with open_regular(path) as file, _opened(file) as hdus:
            return _merged(hdus)


def read_raw(path: Path, detector: Detector) -> RawExposure:
    """Return the header and the pixels of a raw frame that `check_structure` has passed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with open_regular(path) as file, _opened(file) as hdus:
            header = _merged(hdus)
            try:
                pixels = _image_hdu(hdus).data
            except (OSError, ValueError, TypeError, MemoryError) as cause:
                raise UnreadableFile(f"the pixels cannot be read: {cause}") from cause
    while pixels.ndim > 2 and pixels.shape[0] == 1:
        pixels = pixels[0]
    if pixels.ndim != 2:
        raise AbsurdHeader(f"the image has {pixels.ndim} axes")
    data, wrapped = repair_wrapped(pixels) if detector.wraps_negative else (pixels, 0)
    return RawExposure(header=header, data=data.astype(np.float32), wrapped_pixels=wrapped)


def repair_wrapped(pixels: NDArray[Any]) -> tuple[NDArray[np.float64], int]:
    """Return counts with those written modulo 2**32 made negative again, and their number."""
    counts = pixels.astype(np.float64)
    wrapped = counts > _WRAP_ABOVE
    counts[wrapped] -= _WRAP
    return counts, int(np.count_nonzero(wrapped))


def _opened(file: Any) -> fits.HDUList:
    try:
        return fits.open(file, memmap=False, lazy_load_hdus=True)
    except (OSError, ValueError, TypeError, KeyError, IndexError, fits.VerifyError) as cause:
        raise UnreadableFile(f"astropy cannot open it: {cause}") from cause


def _image_hdu(hdus: fits.HDUList) -> Any:
    for hdu in hdus:
        if hdu.is_image and len(hdu.shape) >= 2:
            return hdu
    raise AbsurdHeader("no HDU holds an image")


def _merged(hdus: fits.HDUList) -> fits.Header:
    """Return the cards of the primary, replaced and followed by those of the image extension."""
    merged = _readable(hdus[0].header)
    image = _image_hdu(hdus)
    if image is not hdus[0]:
        extension = _readable(image.header)
        for key in list(merged):
            if key in ("BITPIX", "EXTEND") or key.startswith("NAXIS"):
                del merged[key]
        merged.update(extension)
    return merged


def _readable(header: fits.Header) -> fits.Header:
    return fits.Header([card for card in header.cards if is_readable(card)])
