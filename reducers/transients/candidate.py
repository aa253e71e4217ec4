"""A source on an image that may be new."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from reducers.quality import Flag
from reducers.transients.localisation import Colour


class Standing(StrEnum):
    """What a candidate may be called."""

    #: No catalogue that reaches deep enough knows it, and no veto holds.
    NEW = "new"
    #: Nothing speaks against it, but no catalogue here is deep enough to say that it is new.
    UNVETTED = "unvetted"
    #: A star, galaxy, variable or minor planet that is known.
    KNOWN = "known"
    #: An artefact, or a source that moves or that a veto holds back.
    VETOED = "vetoed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One source that no catalogue entry lies on.

    Attributes
    ----------
    number : int
        Its row in the photometry of the image (PHOT), or in the list of a difference image.
    x_px, y_px : float
        0-based image pixels.
    ra_deg, dec_deg : float
        ICRS.
    position_error_arcsec : float
        Per axis: centroid, astrometric solution and catalogue frame.
    magnitude, magnitude_error : float
        AUTO (Kron) magnitude in `band`; NaN without a zero point.
    a_px, b_px, theta_deg : float
        Shape, theta counter-clockwise from x.
    flux_auto, flux_auto_error : float
        Electrons.
    snr : float
    colour : Colour
        Agreement with the localisations; ORANGE where there is none.
    standing : Standing
    vetoes : tuple of Flag
        Why it may not be what it seems, by the names of `quality_transients.toml`.
    score : float
        Rank, 0 (certainly nothing) to 1.
    name : str
        What it is known as ('(4) Vesta', 'RR Lyr', a catalogue's own name); '' where new.
    method : str
        'catalogue' or 'difference'.
    reasons : tuple of str
        Why it has its standing, one sentence each.
    measurements : mapping of str to float
    """

    number: int
    x_px: float
    y_px: float
    ra_deg: float
    dec_deg: float
    position_error_arcsec: float
    magnitude: float
    magnitude_error: float
    band: str
    a_px: float
    b_px: float
    theta_deg: float
    flux_auto: float
    flux_auto_error: float
    snr: float
    colour: Colour = Colour.ORANGE
    standing: Standing = Standing.UNVETTED
    vetoes: tuple[Flag, ...] = ()
    score: float = float("nan")
    name: str = ""
    method: str = "catalogue"
    reasons: tuple[str, ...] = ()
    measurements: Mapping[str, float] = field(default_factory=dict)
