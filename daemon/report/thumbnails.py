"""Verification plots made small enough to stand inside a page or a mail."""

from __future__ import annotations

import base64
import io
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, UnidentifiedImageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from daemon.report.night_report import NightReport

log = logging.getLogger(__name__)

_WIDTH_PX = 520
_QUALITY = 60
#: Reading a plot takes a tenth of a second: a night of hundreds shows those that need a look.
_MOST = 60


def thumbnails_of(report: NightReport, limit_bytes: int) -> Mapping[str, str]:
    """Return stem -> data URI of its plot made small, the worst products first.

    Parameters
    ----------
    limit_bytes
        Of all of them together, as they stand in the page; what goes beyond is left out.
    """
    wanted = [line for line in (*report.spectra, *report.images) if line.paths.get("plot")]
    wanted.sort(key=lambda line: -line.quality)
    found: dict[str, str] = {}
    left = limit_bytes
    for line in wanted[:_MOST]:
        uri = _data_uri(Path(line.paths["plot"]))
        if uri and len(uri) <= left:
            found[line.stem] = uri
            left -= len(uri)
    return found


def _data_uri(path: Path) -> str:
    """Return a picture as a data URI; '' where it cannot be read."""
    try:
        with Image.open(path) as picture:
            small = picture.convert("RGB")
            small.thumbnail((_WIDTH_PX, 4 * _WIDTH_PX))
            stream = io.BytesIO()
            small.save(stream, "JPEG", quality=_QUALITY, optimize=True)
    except (OSError, ValueError, UnidentifiedImageError) as error:
        log.info("plot=%s not shown: %s", path.name, error)
        return ""
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()
