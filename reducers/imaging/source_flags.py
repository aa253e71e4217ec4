"""Reasons why the flux of one source is not to be trusted."""

from __future__ import annotations

from enum import IntFlag


class SourceFlag(IntFlag):
    """Bits of the column FLAGS; 0 is good."""

    GOOD = 0
    MASKED = 1
    SATURATED = 2
    EDGE = 4
    BLENDED = 8
    CROWDED = 16
    MOVED = 32
    KRON_CUT = 64
    EXTENDED = 128
    SHARP = 256
    NOT_MEASURED = 512
    TRAIL = 1024


#: One sentence for each bit, as the header of the table gives it.
SENTENCES = {
    SourceFlag.MASKED: "bad or cosmic-ray pixels within one FWHM",
    SourceFlag.SATURATED: "saturated pixels within one FWHM",
    SourceFlag.EDGE: "the aperture of 1.5 FWHM reaches beyond the image",
    SourceFlag.BLENDED: "fitted together with a neighbour",
    SourceFlag.CROWDED: "neighbours give 3 % of the light within one FWHM, or more",
    SourceFlag.MOVED: "the fit ran away from where the source was seen",
    SourceFlag.KRON_CUT: "the Kron ellipse was cut to fit",
    SourceFlag.EXTENDED: "wider than a star: a galaxy or an unresolved blend",
    SourceFlag.SHARP: "narrower than a star: a cosmic ray or a hot pixel",
    SourceFlag.NOT_MEASURED: "no usable pixels",
    SourceFlag.TRAIL: "a satellite trail within one FWHM",
}

#: A star with one of these does not calibrate anything.
NOT_FOR_CALIBRATION = (
    SourceFlag.MASKED
    | SourceFlag.SATURATED
    | SourceFlag.EDGE
    | SourceFlag.CROWDED
    | SourceFlag.MOVED
    | SourceFlag.EXTENDED
    | SourceFlag.SHARP
    | SourceFlag.NOT_MEASURED
    | SourceFlag.TRAIL
)
