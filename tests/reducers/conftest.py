"""Headers as the camera writes them, as facts; only the cards that identification reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

Header = dict[str, Any]

_SCIENCE: Header = {
    "NAXIS1": 400,
    "NAXIS2": 1051,
    "DATE-OBS": "2020-03-21T04:29:55.159",
    "DATE_OBS": "2020-03-21T04:29:55.159",
    "DATE": "2020-03-21T04:47:10",
    "INSTRUME": "ALFOSC_FASU",
    "XOVERSC": "50",
    "YOVERSC": "50",
    "BIASSEC": "[3:52,1:2102]",
    "ALAPRTNM": "Slit_1.0",
    "ALGRNM": "Grism_#4",
    "ALFLTNM": "Open",
    "FAFLTNM": "Open",
    "FBFLTNM": "WG345 356_LP",
    "CLAMP1": 0,
    "CLAMP2": 0,
    "CLAMP3": 0,
    "CLAMP4": 0,
    "CMIRROR": 0,
    "BFLMP1": 0,
    "FARETARD": "OUT",
    "FARETANG": "-9999",
    "ALAPRSLX": 1050.0,
    "ALAPRSLY": 1057.37,
    "RA": 192.51324074587,
    "DEC": 28.009349923025,
    "AIRMASS": 1.1720315699649,
    "TELALT": 58.5635681152,
    "FIELD": 80.0484,
    "ROTPOS": 0.3633,
    "TRACKMOD": "normal",
    "AUSTATUS": 3,
    "TCSTGT": "GQ125005+280041",
    "OBJRA": 12.8347777778,
    "OBJDEC": 28.0116388882,
    "OBJEQUIN": 2000.0,
    "OBJECT": "GQ125005+280041",
    "IMAGETYP": "OBJECT",
    "OBS_MODE": "SPECTROSCOPY",
    "IMAGECAT": "SCIENCE",
    "PROPID": "60-003",
    "BLOCKID": "N/A",
    "EXPTIME": 1030.0,
    "AMPLMODE": "D",
    "DETMODE0": 8,
    "FPIX": 200,
    "DETWIN1": "[851:1250, 1:2102]",
    "DETXBIN": 1,
    "DETYBIN": 2,
    "NWINDOWS": 1,
    "CCDTEMP": -120.04,
    "SHSTAT": "OPEN",
    "GAIN": 0.16,
    "RDNOISE": 4.3,
}

_CHANGES: dict[str, Header] = {
    "science": {},
    "bias": {
        "ALAPRTNM": "Open",
        "ALGRNM": "Open_(Lyot)",
        "FBFLTNM": "Open",
        "ALAPRSLY": 0.0,
        "TCSTGT": "",
        "OBJECT": "bias",
        "IMAGETYP": "BIAS",
        "OBS_MODE": "IMAGING",
        "IMAGECAT": "CALIB",
        "EXPTIME": 0.002,
        "SHSTAT": "CLOSED",
        "TRACKMOD": "poweroff",
        "AUSTATUS": 0,
    },
    "arc": {
        "CLAMP1": 1,
        "CLAMP2": 1,
        "CMIRROR": 1,
        "OBJECT": "HeNe GQ125005+280041",
        "IMAGETYP": "WAVE,LAMP",
        "IMAGECAT": "CALIB_ON_OBJECT",
        "EXPTIME": 3.0,
    },
    "flat": {
        "CLAMP3": 1,
        "CMIRROR": 1,
        "TCSTGT": "",
        "OBJECT": "Halogen 3 alfosc-calibs",
        "IMAGETYP": "FLAT,LAMP",
        "IMAGECAT": "CALIB",
        "EXPTIME": 5.0,
        "AUSTATUS": 0,
    },
    "standard": {  # visitor mode: typed as an object
        "RA": 147.24259645356,
        "DEC": 13.737370638006,
        "TCSTGT": "SP0946+139",
        "OBJECT": "SP0946+139",
        "OBJRA": 9.77,
        "OBJDEC": 13.9880555552,
        "EXPTIME": 18.0,
    },
    "image": {
        "NAXIS1": 2148,
        "NAXIS2": 2102,
        "DETWIN1": "[1:2148, 1:2102]",
        "DETYBIN": 1,
        "ALAPRTNM": "Open",
        "ALGRNM": "Open_(Lyot)",
        "FAFLTNM": "r'_SDSS  618_148",
        "FBFLTNM": "Open",
        "ALAPRSLY": 0.0,
        "OBS_MODE": "IMAGING",
        "EXPTIME": 300.0,
    },
}


@pytest.fixture(scope="session")
def alfosc_header() -> Callable[..., Header]:
    """Return a builder: alfosc_header('arc', EXPTIME=6.0, CMIRROR=None) (None drops the card)."""

    def build(what: str = "science", /, **cards: Any) -> Header:
        header = _SCIENCE | _CHANGES[what] | cards
        return {key: value for key, value in header.items() if value is not None}

    return build
