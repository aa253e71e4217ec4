"""Raw headers card by card, as the camera and the sequencer write them."""

from __future__ import annotations

from datetime import timedelta
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np

from reducers.simulate.filters import filter_cards
from reducers.simulate.pointing import precessed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from reducers.simulate.pointing import Pointing
    from reducers.simulate.records import PlannedExposure

BLOCK = 2880
PRIMARY_BYTES, EXTENSION_BYTES = 14400, 5760
LAMP_NUMBER = {"He": 1, "Ne": 2, "Halogen": 3, "ThAr": 4}
GRISM_ID = {"3": 401, "4": 402, "5": 403, "7": 405, "8": 406, "18": 418, "19": 419, "20": 420}
SLIT_CARDS = {
    "Slit_0.5": (512, 2, 79300),
    "Slit_1.0": (514, 4, 158640),
    "Slit_1.3": (516, 5, 198622),
    "Slit_1.8": (517, 6, 238900),
}
#: Cards that count detector pixels where there are no coordinates of the sky.
PIXEL_COORDINATES = ("CRVAL1", "CRVAL2", "CRPIX1", "CRPIX2", "CDELT1", "CDELT2")
#: Digits after the point, as the control system prints them.
DECIMALS = {
    "UT": 6,
    "TELALT": 10,
    "AZIMUTH": 10,
    "OBJRA": 10,
    "OBJDEC": 10,
    "FIELD": 4,
    "ROTPOS": 4,
}
SIGNIFICANT = {"ST": 14, "RA": 14, "DEC": 14, "AIRMASS": 14}


@cache
def _template() -> tuple[tuple[str, ...], tuple[str, ...]]:
    text = (files("reducers.simulate") / "tables" / "header.txt").read_text(encoding="ascii")
    lines = text.splitlines()
    end = lines.index("END")
    return tuple(lines[:end]), tuple(lines[end + 1 : -1])


def header_bytes(
    planned: PlannedExposure, pointing: Pointing, raw: Any, gain: float = 0.16
) -> bytes:
    """Return both headers, 20160 bytes, for raw counts `raw` (ny, nx) int64."""
    primary, extension = _template()
    values = {**_time_values(planned), **_wheel_values(planned), **_lamp_values(planned)}
    values |= _telescope_values(planned, pointing) | _data_values(planned, raw)
    comments = _comments(planned, pointing)
    if planned.scripted:
        primary, extension = _scripted_order(primary, extension)
    shape = {**_window_values(planned, raw.shape), "GAIN": gain}
    if not planned.is_dispersed and planned.kind.startswith(("IMG", "ACQ")):
        extension = _with_sky_coordinates(extension, planned, pointing)
        shape = {key: value for key, value in shape.items() if key not in PIXEL_COORDINATES}
    head = _fill(primary, values, comments, PRIMARY_BYTES)
    return head + _fill(extension, shape, {}, EXTENSION_BYTES)


def _fill(
    cards: tuple[str, ...], values: Mapping[str, Any], comments: Mapping[str, str], size: int
) -> bytes:
    lines = [_card(card, values, comments) for card in cards] + ["END"]
    return "".join(f"{line[:80]:<80}" for line in lines).ljust(size).encode("ascii")


def _card(card: str, values: Mapping[str, Any], comments: Mapping[str, str]) -> str:
    key = card[:8].rstrip()
    if key not in values:
        return card
    comment = comments.get(key)
    if comment is None:
        comment = _comment_of(card)
    return format_card(key, values[key], comment)


def _comment_of(card: str) -> str | None:
    body = card[10:]
    start = body.index("'", 1) + 1 if body.startswith("'") else 0
    at = body.find("/", start)
    return None if at < 0 else body[at + 1 :].strip()


def format_card(key: str, value: Any, comment: str | None = None) -> str:
    """Return a card as the control system formats it: '30.' for a round float, no exponent."""
    if isinstance(value, bool):
        text = f"{'T' if value else 'F':>20}"
    elif isinstance(value, str):
        text = f"'{value.replace(chr(39), chr(39) * 2):<8}'"
    elif isinstance(value, float):
        text = f"{_number(key, value):>20}"
    else:
        text = f"{value:>20d}"
    card = f"{key:<8}= {text:<20}"
    return card.rstrip() if comment is None else f"{card} / {comment}"


def _number(key: str, value: float) -> str:
    if key == "P_DEWAR":
        return f"{value:.2E}"
    if key in SIGNIFICANT:
        whole = len(str(int(abs(value))))
        return _trim(f"{value:.{SIGNIFICANT[key] - whole}f}")
    return _trim(f"{value:.{DECIMALS.get(key, 9)}f}")


def _trim(text: str) -> str:
    return text.rstrip("0") or "0."


def _stamp(when: datetime, digits: int = 3) -> str:
    if not digits:
        return when.strftime("%Y-%m-%dT%H:%M:%S")
    return when.strftime("%Y-%m-%dT%H:%M:%S.") + f"{when.microsecond // 1000:03d}"


def readout_s(planned: PlannedExposure) -> float:
    """Return the time from the end of exposure until the file is written."""
    x1, x2, y1, y2 = planned.window
    pixels = (x2 - x1 + 1) // planned.x_binning * ((y2 - y1 + 1) // planned.y_binning)
    return 1.0 + pixels / 112_000


def _time_values(planned: PlannedExposure) -> dict[str, Any]:
    middle = planned.start + timedelta(seconds=max(planned.exposure_s / 2 - 0.02, 0.001))
    written = planned.start + timedelta(seconds=planned.exposure_s + readout_s(planned))
    return {
        "DATE-OBS": _stamp(planned.start),
        "DATE_OBS": _stamp(planned.start),
        "DATE-AVG": _stamp(middle),
        "DATE": _stamp(planned.start if planned.scripted else written, 0),
        "FILENAME": f"{planned.stem}.fits",
        "EXPTIME": float(planned.exposure_s),
    }


def _wheel_values(planned: PlannedExposure) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if planned.slit:
        number, slot, step = SLIT_CARDS[planned.slit]
        values |= {"ALAPRTNM": planned.slit, "ALAPRTID": number, "ALAPRPOS": slot}
        values |= {"ALAPRSTP": step, "ALAPRORI": "Horizontal", "ALAPRALG": "Y"}
        values |= {"ALAPRSLX": 1050.0, "ALAPRSLY": round(planned.aperture_y_px, 2)}
    else:
        values |= {"ALAPRTNM": "Open", "ALAPRTID": 1003, "ALAPRPOS": 7, "ALAPRSTP": 278970}
        values |= {"ALAPRORI": "Any", "ALAPRALG": "N", "ALAPRSLX": 0.0, "ALAPRSLY": 0.0}
    if planned.grism:
        number = GRISM_ID.get(planned.grism.rpartition("#")[2], 402)
        values |= {"ALGRNM": planned.grism, "ALGRID": number, "ALGRORI": "Ver90", "ALGRALG": "Y"}
    else:
        values |= {"ALGRNM": "Open_(Lyot)", "ALGRID": 1004, "ALGRPOS": 7, "ALGRSTP": 280100}
        values |= {"ALGRORI": "Any", "ALGRALG": "N"}
    if not planned.grism:
        values |= {"FBFLTNM": "Open", "FBFLTID": 1002, "FBFLTPOS": 0}
    if planned.filter:
        values |= filter_cards(planned.filter)
    return values


def _lamp_values(planned: PlannedExposure) -> dict[str, Any]:
    values: dict[str, Any] = {
        f"CLAMP{number}": int(lamp in planned.lamps) for lamp, number in LAMP_NUMBER.items()
    }
    return values | {"CMIRROR": int(bool(planned.lamps))}


def _telescope_values(planned: PlannedExposure, pointing: Pointing) -> dict[str, Any]:
    at_rest = planned.ra_deg is None
    hours = planned.start.hour + planned.start.minute / 60 + planned.start.second / 3600
    values: dict[str, Any] = {
        "UT": hours,
        "ST": int(pointing.sidereal_h * 3600) / 3600,
        "RA": pointing.ra_deg,
        "DEC": pointing.dec_deg,
        "TELALT": pointing.altitude_deg,
        "AZIMUTH": pointing.azimuth_deg,
        "AIRMASS": pointing.airmass,
        "FIELD": _field_angle_deg(planned, pointing),
        "TCSTGT": planned.target,
        "OBJECT": planned.object_name,
        "IMAGETYP": planned.image_type,
        "IMAGECAT": planned.image_category,
        "OBS_MODE": "SPECTROSCOPY" if planned.is_dispersed else "IMAGING",
        "SHSTAT": "CLOSED" if planned.kind in ("BIAS", "DARK") else "OPEN",
    }
    if planned.scene is not None:
        values["ROTPOS"] = _field_angle_deg(planned, pointing) - pointing.parallactic_deg
    if "DOME" in planned.image_type:
        values["BFLMP1"] = 1
    if at_rest:
        values |= {"ROTPOS": -90.0, "TRACKMOD": "poweroff", "AUSTATUS": 0, "AUFLTNM": "closed"}
        values |= {"AUFLTID": 0, "AUXPOS": 1198, "AUYPOS": 4998, "AUFOCUS": 473}
    else:
        values |= _catalogue_position(planned)
    if planned.scripted:
        values |= {"PROPID": "72-199", "PROPTITL": "alfosc-calibs", "PINAME": "NOT"}
    else:
        values |= {"PROPID": "72-010"}
    return values


def _field_angle_deg(planned: PlannedExposure, pointing: Pointing) -> float:
    # Spectra are taken along the parallactic angle, images with the angle that was asked for.
    return pointing.parallactic_deg if planned.scene is None else planned.scene.field_angle_deg


def _catalogue_position(planned: PlannedExposure) -> dict[str, Any]:
    ra_deg, dec_deg = float(planned.ra_deg or 0), float(planned.dec_deg or 0)
    if planned.target.startswith("SP") and planned.target[2:6].isdigit():
        # The telescope's own catalogue holds B1950, whatever OBJEQUIN says.
        ra_deg, dec_deg = precessed(ra_deg, dec_deg, -50.0)
    # Hours, unlike RA.
    return {"OBJRA": ra_deg / 15, "OBJDEC": dec_deg}


def _data_values(planned: PlannedExposure, raw: Any) -> dict[str, Any]:
    x1, x2, y1, y2 = planned.window
    rng = np.random.default_rng([planned.night_seed, planned.number, 7])
    return {
        "DETWIN1": f"[{x1}:{x2}, {y1}:{y2}]",
        "DATAMIN": int((raw % 2**32).min()) if raw.min() >= 0 else int(raw.min()) % 2**32,
        "DATAMAX": int(raw.max()),
        "DETXBIN": planned.x_binning,
        "DETYBIN": planned.y_binning,
        "CCDTEMP": round(-120.0 + float(rng.normal(0, 0.02)), 2),
        "LN2TEMP": round(-178.1 + float(rng.normal(0, 0.2)), 2),
        "P_DEWAR": 6.4e-7 + float(rng.uniform(0, 2e-7)),
    }


def _window_values(planned: PlannedExposure, shape: tuple[int, int]) -> dict[str, Any]:
    return {
        "NAXIS1": shape[1],
        "NAXIS2": shape[0],
        "CRVAL1": float(planned.window[0]),
        "CRVAL2": float(planned.window[2]),
        "CRPIX1": float(planned.x_binning),
        "CRPIX2": float(planned.y_binning),
        "CDELT1": planned.x_binning,
        "CDELT2": planned.y_binning,
        "CCDSUM": f"{planned.x_binning} {planned.y_binning}",
    }


def _comments(planned: PlannedExposure, pointing: Pointing) -> dict[str, str]:
    start = planned.start
    comments = {
        "UT": f"TCS UTC at start ({start:%Y-%m-%d %H:%M:%S})",
        "ST": f"Sidereal time at start ({_clock(pointing.sidereal_h)})",
        "RA": f"Right ascention at start ({_sexagesimal(pointing.ra_deg / 15, 'h')})",
        "DEC": f"Declination at start ({_sexagesimal(pointing.dec_deg, 'd')})",
        "CMIRROR": f"FASU calibration mirror is {'in' if planned.lamps else 'out'}",
    }
    for lamp, number in LAMP_NUMBER.items():
        state = "on" if lamp in planned.lamps else "off"
        comments[f"CLAMP{number}"] = f"FASU calibration lamp {number} is {state}"
    if not planned.slit:
        comments["ALAPRTNM"] = "ALFOSC aperture wheel. Name"
    else:
        comments["ALAPRTNM"] = ""
    return comments


def _clock(hours: float) -> str:
    seconds = int(hours * 3600)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def _sexagesimal(value: float, unit: str) -> str:
    tenths = int(abs(value) * 36000)
    sign = "-" if value < 0 else ""
    minutes, rest = tenths // 600 % 60, tenths % 600 / 10
    return f"{sign}{tenths // 36000:02d}{unit}:{minutes:02d}m:{rest:04.1f}s"


def _scripted_order(
    primary: tuple[str, ...], extension: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return (
        _moved(primary, ("DATE", "FILENAME"), "DATE_OBS"),
        _moved(extension, ("EXTNAME", "IMAGEID", "INHERIT"), "BSCALE"),
    )


def _moved(cards: tuple[str, ...], keys: tuple[str, ...], after: str) -> tuple[str, ...]:
    moving = [card for card in cards if card[:8].rstrip() in keys]
    rest = [card for card in cards if card[:8].rstrip() not in keys]
    place = next(i for i, card in enumerate(rest) if card[:8].rstrip() == after) + 1
    return (*rest[:place], *moving, *rest[place:])


def _with_sky_coordinates(
    extension: tuple[str, ...], planned: PlannedExposure, pointing: Pointing
) -> tuple[str, ...]:
    x1, _, y1, _ = planned.window
    scale = 0.2138 / 3600
    angle = np.radians(_field_angle_deg(planned, pointing))
    sky: dict[str, tuple[Any, str]] = {
        "CTYPE1": ("RA---TAN", "Coordinate type of 1st axis"),
        "CTYPE2": ("DEC--TAN", "Coordinate type of 2nd axis"),
        "CRVAL1": (pointing.ra_deg, "RA at reference point"),
        "CRVAL2": (pointing.dec_deg, "DEC at reference point"),
        "CUNIT1": ("deg", "Unit of 1st axis"),
        "CUNIT2": ("deg", "Unit of 2nd axis"),
        "CRPIX1": ((1050.5 - x1) / planned.x_binning + 0.5, "Reference pixel on 1st axis"),
        "CRPIX2": ((1050.5 - y1) / planned.y_binning + 0.5, "Reference pixel on 2nd axis"),
        "CD1_1": (-scale * planned.x_binning * float(np.cos(angle)), "Coordinate matrix"),
        "CD1_2": (scale * planned.y_binning * float(np.sin(angle)), "Coordinate matrix"),
        "CD2_1": (scale * planned.x_binning * float(np.sin(angle)), "Coordinate matrix"),
        "CD2_2": (scale * planned.y_binning * float(np.cos(angle)), "Coordinate matrix"),
    }
    drop = {*sky, *PIXEL_COORDINATES}
    kept = [card for card in extension if card[:8].rstrip() not in drop]
    place = next(i for i, card in enumerate(kept) if card.startswith("CCDNAME")) + 1
    cards = [format_card(key, value, comment) for key, (value, comment) in sky.items()]
    return (*kept[:place], *cards, *kept[place:])
