"""Every way a reduction can fail, as one small tree.

ReductionError
├── UnreadableFile
│   ├── NotFits
│   ├── IncompleteFile
│   ├── AbsurdHeader
│   └── NotRaw
├── UnknownInstrument
├── ProfileError
├── NotEnoughFrames
├── SetupMismatch
├── NoOverscan
├── PoorWavelengthFit
├── NoTraceFound
├── PoorResponse
├── BadStackList
├── BadTemplate
└── BadNotice
"""

from __future__ import annotations


class ReductionError(Exception):
    """The reduction cannot go on."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())


class UnreadableFile(ReductionError):
    """The file cannot be read as a raw frame."""


class NotFits(UnreadableFile):
    """The file does not begin as a FITS file does."""


class IncompleteFile(UnreadableFile):
    """The file is shorter than its headers declare."""


class AbsurdHeader(UnreadableFile):
    """The header declares something that no camera writes."""


class NotRaw(UnreadableFile):
    """The file is a product of this pipeline, not a raw frame."""


class UnknownInstrument(ReductionError):
    """No instrument profile recognises the header."""


class ProfileError(ReductionError):
    """The instrument profile has an unknown, missing or contradictory entry."""


class NotEnoughFrames(ReductionError):
    """Too few frames to build a master."""


class SetupMismatch(ReductionError):
    """Two frames that must share binning and window do not."""


class NoOverscan(ReductionError):
    """The window holds no overscan pixels."""


class PoorWavelengthFit(ReductionError):
    """The arc could not be identified well enough to trust."""


class NoTraceFound(ReductionError):
    """No object was found on the slit."""


class PoorResponse(ReductionError):
    """The standard star gave no usable response."""


class BadStackList(ReductionError):
    """The list of a stack's images cannot be understood."""


class BadTemplate(ReductionError):
    """A template of a supernova, or a folder of them, cannot be read."""


class BadNotice(ReductionError):
    """A notice of an event cannot be understood, or is of a stream that is not used."""
