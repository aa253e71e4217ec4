"""Walk the blocks of a file and say whether it is a whole, believable raw FITS file."""

from __future__ import annotations

import gzip
import os
import stat
import zlib
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from reducers.errors import AbsurdHeader, IncompleteFile, NotFits, NotRaw, UnreadableFile

if TYPE_CHECKING:
    from pathlib import Path

BLOCK = 2880
CARD = 80
#: A night's largest frame is 18 MB; nothing a spectrograph writes comes near this.
SIZE_LIMIT_BYTES = 200_000_000
MOST_HDUS = 64
#: 288 kB of header: ESO headers, the longest about, have 30 kB.
MOST_HEADER_BLOCKS = 100
MOST_AXES = 4
LONGEST_AXIS = 65_536
BITPIX = (8, 16, 32, 64, -32, -64)
_GZIP = b"\x1f\x8b"
_PRODUCT = b"ALFOSCD "


@dataclass(frozen=True, slots=True)
class Structure:
    """What a whole file holds: bytes of its (uncompressed) stream, HDUs, and HDUs with an image."""

    size: int
    hdus: int
    images: int = 0


@dataclass(frozen=True, slots=True)
class _Hdu:
    data_bytes: int
    has_image: bool


def check_structure(path: Path, *, size_limit_bytes: int = SIZE_LIMIT_BYTES) -> Structure:
    """Return the structure of a whole raw file; raise `UnreadableFile` with the reason if not.

    Nothing is read but headers (and the compressed stream of a .gz), nothing is allocated
    on the word of a header, and a FIFO or device is never waited for.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size == 0:
            raise IncompleteFile("the file is empty")
        if size > size_limit_bytes:
            raise AbsurdHeader(f"the file has {size} bytes, more than {size_limit_bytes} allowed")
        magic = file.read(2)
        file.seek(0)
        if magic == _GZIP:
            return _walk(_Gunzipped(file, size_limit_bytes), size_limit_bytes)
        return _walk(_Plain(file, size), size_limit_bytes)


def open_regular(path: Path) -> IO[bytes]:
    """Open a regular file for reading; refuse FIFOs, devices, folders and endless links at once."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as cause:
        reason = getattr(cause, "strerror", None) or str(cause)
        raise UnreadableFile(f"cannot be opened: {reason}") from cause
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UnreadableFile("not a regular file")
    return os.fdopen(descriptor, "rb")


class _Plain:
    """A file read and skipped in blocks."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file, self._size, self.position = file, size, 0

    def read(self, count: int) -> bytes:
        data = self._file.read(count)
        self.position += len(data)
        return data

    def skip(self, count: int) -> bool:
        """Move on by `count` bytes; False when the file ends before."""
        self.position += count
        self._file.seek(self.position)
        return self.position <= self._size


class _Gunzipped:
    """The same over a gzip stream, which may not grow beyond a limit."""

    def __init__(self, file: IO[bytes], limit: int) -> None:
        self._file, self._limit, self.position = gzip.GzipFile(fileobj=file), limit, 0

    def read(self, count: int) -> bytes:
        try:
            data = self._file.read(count)
        except EOFError as cause:
            raise IncompleteFile("the compressed stream ends early") from cause
        except (OSError, zlib.error) as cause:
            raise UnreadableFile(f"the compressed stream is damaged: {cause}") from cause
        self.position += len(data)
        if self.position > self._limit:
            raise AbsurdHeader(f"the stream is longer than {self._limit} bytes")
        return data

    def skip(self, count: int) -> bool:
        end = self.position + count
        while self.position < end:
            if not self.read(min(1 << 20, end - self.position)):
                return False
        return True


_Stream = _Plain | _Gunzipped


def _walk(stream: _Stream, limit: int) -> Structure:
    hdus: list[_Hdu] = []
    while True:
        cards = _read_header(stream, len(hdus))
        if not cards:
            break
        if len(hdus) == MOST_HDUS:
            raise AbsurdHeader(f"more than {MOST_HDUS} HDUs")
        hdu = _measure(cards, len(hdus), limit)
        padded = -(-hdu.data_bytes // BLOCK) * BLOCK
        if stream.position + padded > limit:
            raise AbsurdHeader(f"HDU {len(hdus)} declares {hdu.data_bytes} bytes of data")
        if not stream.skip(padded):
            raise IncompleteFile(f"the data of HDU {len(hdus)} end early")
        hdus.append(hdu)
    images = sum(hdu.has_image for hdu in hdus)
    if images == 0:
        raise IncompleteFile("no HDU holds an image")
    return Structure(size=stream.position, hdus=len(hdus), images=images)


def _read_header(stream: _Stream, number: int) -> dict[bytes, bytes]:
    """Return keyword -> rest of card of the next header; empty at the end of the file."""
    begin = b"SIMPLE  =" if number == 0 else b"XTENSION="
    cards: dict[bytes, bytes] = {}
    for block_number in range(MOST_HEADER_BLOCKS):
        block = stream.read(BLOCK)
        if block_number == 0:
            if number and not block:
                return {}
            if not begin.startswith(block[: len(begin)]):
                _refuse_beginning(number)
        if len(block) < BLOCK:
            raise IncompleteFile(f"the header of HDU {number} ends early")
        if _add_cards(block, cards):
            return cards
    raise AbsurdHeader(f"the header of HDU {number} has no END in {MOST_HEADER_BLOCKS} blocks")


def _refuse_beginning(number: int) -> None:
    if number == 0:
        raise NotFits
    raise AbsurdHeader(f"what follows HDU {number - 1} is no extension")


def _add_cards(block: bytes, cards: dict[bytes, bytes]) -> bool:
    for start in range(0, BLOCK, CARD):
        card = block[start : start + CARD]
        if card[:8] == b"END     " and not card.strip(b"END "):
            return True
        cards.setdefault(card[:8], card[8:])
    return False


def _measure(cards: dict[bytes, bytes], number: int, limit: int) -> _Hdu:
    """Return the size of an HDU's data, having refused what no camera writes."""
    if number == 0 and _PRODUCT in cards:
        raise NotRaw
    bitpix = _integer(cards, b"BITPIX")
    if bitpix not in BITPIX:
        raise AbsurdHeader(f"BITPIX of HDU {number} is {bitpix}")
    axes = _axes(cards, b"NAXIS", number)
    extra, groups = _integer(cards, b"PCOUNT", 0), _integer(cards, b"GCOUNT", 1)
    if extra < 0 or groups != 1 or (axes and axes[0] == 0):
        raise AbsurdHeader(f"HDU {number} has groups or a negative heap")
    elements = 1 if axes else 0
    for axis in axes:
        elements *= axis
    data_bytes = abs(bitpix) // 8 * (extra + elements)
    if data_bytes > limit:
        raise AbsurdHeader(f"HDU {number} declares {data_bytes} bytes of data")
    table = b"TABLE" in cards.get(b"XTENSION", b"")
    compressed = table and b"ZNAXIS  " in cards
    if compressed:
        _check_compressed(cards, number, limit)
    return _Hdu(data_bytes, (len(axes) >= 2 and not table and elements > 0) or compressed)


def _check_compressed(cards: dict[bytes, bytes], number: int, limit: int) -> None:
    """Refuse a tile-compressed image that would unpack to more than the limit."""
    elements = 1
    for axis in _axes(cards, b"ZNAXIS", number):
        elements *= axis
    depth = abs(_integer(cards, b"ZBITPIX"))
    if elements * depth // 8 > limit:
        raise AbsurdHeader(f"the compressed image of HDU {number} unpacks to {elements} pixels")


def _axes(cards: dict[bytes, bytes], keyword: bytes, number: int) -> list[int]:
    count = _integer(cards, keyword)
    if not 0 <= count <= MOST_AXES:
        raise AbsurdHeader(f"{keyword.decode()} of HDU {number} is {count}")
    axes = [_integer(cards, keyword + str(index + 1).encode()) for index in range(count)]
    table = keyword == b"NAXIS" and b"TABLE" in cards.get(b"XTENSION", b"")
    longest = SIZE_LIMIT_BYTES if table else LONGEST_AXIS
    for index, axis in enumerate(axes):
        if not 0 <= axis <= longest:
            raise AbsurdHeader(f"{keyword.decode()}{index + 1} of HDU {number} is {axis}")
    return axes


def _integer(cards: dict[bytes, bytes], keyword: bytes, default: int | None = None) -> int:
    card = cards.get(keyword.ljust(8))
    if card is None:
        if default is None:
            raise AbsurdHeader(f"{keyword.decode()} is missing")
        return default
    text = card[2:].split(b"/")[0].strip()
    digits = text.removeprefix(b"-").removeprefix(b"+")
    if not digits.isdigit() or len(digits) > 18:
        shown = text[:30].decode("latin-1")
        raise AbsurdHeader(f"{keyword.decode()} is {shown!r}, not a whole number")
    return int(text)
