"""The sections of the configuration file; every setting has a documented default here."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from daemon.setting import doc

#: First and last value of a range.
Range = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Paths:
    """Where things are; a relative path counts from the folder of the configuration file."""

    raw: tuple[Path, ...] = field(
        default=(), metadata=doc("directories to watch; they are never written to")
    )
    root: Path = field(default=Path("reduced"), metadata=doc("products: one folder per night"))
    database: Path | None = field(
        default=None, metadata=doc("the memory; by default <root>/alfoscd.sqlite")
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """How files are taken in."""

    pattern: str = field(
        default="", metadata=doc("glob of raw file names; empty takes those of the profiles")
    )
    settle_s: float = field(
        default=2.0, metadata=doc("a file must be quiet for so long", at_least=0)
    )
    hold_limit_s: float = field(
        default=600.0,
        metadata=doc("a file still incomplete after so long is recorded as such", at_least=0),
    )
    rescan_s: float = field(
        default=60.0, metadata=doc("the whole tree is compared this often", at_least=0.1)
    )
    polling: Literal["auto", "always", "never"] = field(
        default="auto",
        metadata=doc("scan every few seconds instead of waiting for events: auto does so on NFS"),
    )
    poll_s: float = field(
        default=5.0, metadata=doc("time between scans when polling", at_least=0.1)
    )
    size_limit_mb: float = field(
        default=500.0, metadata=doc("larger files are not opened", at_least=1)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """How much of the machine may be used."""

    workers: int = field(default=2, metadata=doc("worker processes", at_least=1))
    memory_limit_mb: int = field(
        default=3000, metadata=doc("address space of one worker", at_least=200)
    )
    job_limit_s: float = field(
        default=300.0, metadata=doc("a job that takes longer is stopped", at_least=1)
    )
    jobs_per_worker: int = field(
        default=50, metadata=doc("a worker is replaced after so many jobs", at_least=1)
    )
    attempts: int = field(
        default=3, metadata=doc("a job that keeps dying is given up after so many", at_least=1)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """When calibrations are built and used."""

    quiet_s: float | None = field(
        default=None,
        metadata=doc(
            "a set is complete after so long without a new frame; by default the profile's",
            at_least=0,
        ),
    )
    provisional: bool = field(
        default=True,
        metadata=doc("reduce science at once, and again when its calibrations have come"),
    )
    most_upgrades: int = field(
        default=10,
        metadata=doc("a product is replaced by itself so often; then a hint says so", at_least=0),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogues:
    """What images are compared with: stars of reference catalogues."""

    folder: Path | None = field(
        default=None,
        metadata=doc("where catalogues are kept on disc; by default <root>/catalogues"),
    )
    online: bool = field(
        default=True,
        metadata=doc("ask the services for fields that are not on disc; what they give is kept"),
    )
    limit_s: float = field(
        default=10.0,
        metadata=doc("an image waits no longer than this for the services", at_least=0),
    )
    vizier_hosts: tuple[str, ...] = field(
        default=(), metadata=doc("VizieR mirrors, asked in this order; empty takes the known ones")
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruments:
    """Which instruments are at the telescope."""

    profiles: tuple[str, ...] = field(
        default=("alfosc",), metadata=doc("profiles, the first that fits wins")
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Spectrum:
    """How spectra are reduced; a changed value reduces again what it was not made with.

    The settings of `reducers.reduced.SpectrumSettings`, which is not imported here: `status` has
    to answer before numpy would have loaded.
    """

    cosmic_sigma: float = field(
        default=5.0, metadata=doc("threshold of the cosmic-ray search, sigma", at_least=0)
    )
    seeing_arcsec: float = field(
        default=1.2, metadata=doc("width that the object finder expects", at_least=0.1)
    )
    clean_cosmics: bool = field(default=True, metadata=doc("search cosmic rays at all"))
    method: Literal["optimal", "boxcar"] = field(
        default="optimal", metadata=doc("how the published spectrum is extracted: optimal, boxcar")
    )
    wavelengths: Literal["vacuum", "air"] = field(
        default="vacuum", metadata=doc("wavelengths of the products: vacuum, air")
    )
    tie_flux: bool = field(
        default=True,
        metadata=doc("bring the flux to the magnitude that the night's own image gives the target"),
    )
    aperture_px: float | None = field(
        default=None,
        metadata=doc(
            "half-width of the plain sum, columns; by default where the profile has fallen to 10 %",
            at_least=0.5,
        ),
    )
    region_px: Range | None = field(
        default=None,
        metadata=doc("first and last image column in which objects are looked for, [100, 300]"),
    )
    background_px: tuple[Range, ...] = field(
        default=(),
        metadata=doc("strips of columns that show the sky, [[90, 120], [180, 210]]; else all"),
    )
    mask_angstrom: tuple[Range, ...] = field(
        default=(), metadata=doc("vacuum wavelengths that are left out, [[5570, 5585]]")
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Classification:
    """What the spectra of transients are compared with."""

    templates: Path | None = field(
        default=None,
        metadata=doc("folder of SNID templates (*.lnw); without one nothing is classified"),
    )
    snid: str = field(
        default="snid",
        metadata=doc("the program SNID, name or path: where it is found, its answer is told too"),
    )
    snid_deadline_s: float = field(
        default=60.0, metadata=doc("it is stopped after so long", at_least=1)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """How images are reduced; a changed value reduces again what it was not made with.

    The settings of `reducers.imaging.reduced_image.ImageSettings`, whether the steps between are
    kept, and the tool that is asked last for a place on the sky.
    """

    subtract_sky: bool = field(default=True, metadata=doc("take the sky off the product"))
    divide_flat: bool = field(default=True, metadata=doc("divide by the sky flat"))
    find_cosmics: bool = field(default=True, metadata=doc("search cosmic rays at all"))
    find_trails: bool = field(default=True, metadata=doc("search trails of satellites"))
    use_catalogues: bool = field(
        default=True, metadata=doc("compare with catalogues: place on the sky and zero point")
    )
    cosmic_sigma: float = field(
        default=4.5, metadata=doc("threshold of the cosmic-ray search, sigma", at_least=0)
    )
    stop_after: Literal[
        "", "detector", "cosmics", "sky", "detect", "astrometry", "photometry", "zeropoint"
    ] = field(default="", metadata=doc("the last stage that is done; empty does all"))
    keep_intermediate: bool = field(
        default=False, metadata=doc("keep the full sky model beside the product")
    )
    blind_solver: str = field(
        default="solve-field",
        metadata=doc(
            "astrometry.net's solve-field, name or path: asked where no star places an image"
        ),
    )
    blind_index: Path | None = field(
        default=None,
        metadata=doc("its index files; by default one is built of the catalogue's stars"),
    )
    blind_deadline_s: float = field(
        default=60.0, metadata=doc("it is stopped after so long", at_least=1)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Differences:
    """What is taken off images, and which targets are watched."""

    enabled: bool = field(
        default=True, metadata=doc("take a template off every image that has one")
    )
    least_age_d: float = field(
        default=5.0,
        metadata=doc("own images are templates when they are so much older", at_least=0),
    )
    templates: Path | None = field(
        default=None,
        metadata=doc("folder of templates from elsewhere; by default <root>/templates"),
    )
    watch: tuple[str, ...] = field(
        default=(),
        metadata=doc("targets measured on every image, each as 'name ra dec' in degrees"),
    )
    watch_file: Path | None = field(
        default=None, metadata=doc("file with more of them, one a line; it is read every time")
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Hints:
    """What observers are told during the night."""

    snr_goal: float = field(
        default=0.0,
        metadata=doc("signal-to-noise wanted of a spectrum; 0 tells no exposures left", at_least=0),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Canary:
    """How the whole way is tried with a set whose answer is known (alfoscd canary)."""

    every_h: float = field(
        default=6.0,
        metadata=doc(
            "time between canaries, one more before sunset and after a start; 0 sends none",
            at_least=0,
        ),
    )
    limit_s: float = field(
        default=600.0,
        metadata=doc("one that has not ended so long after it was due has failed", at_least=1),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Disc:
    """When the room for products counts as short."""

    warn_h: float = field(
        default=24.0,
        metadata=doc(
            "room that lasts no longer at the present rate is told of, and a quarter of it again",
            at_least=0,
        ),
    )
    warn_gb: float = field(
        default=5.0, metadata=doc("and so is less room than this, whatever the rate", at_least=0)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadman:
    """What `daemon/deadman.py` looks at from outside (systemd/alfoscd-deadman.timer)."""

    push_url: str = field(
        default="", metadata=doc("asked at every look, with /fail behind it in trouble")
    )
    recipients: tuple[str, ...] = field(
        default=(), metadata=doc("who gets its mail; empty takes those of [mail]")
    )
    raw_limit_s: float = field(
        default=3600.0, metadata=doc("a raw frame is taken in by then", at_least=1)
    )
    report_by_h: float = field(
        default=12.0, metadata=doc("hour UT by which a night's report is there", at_least=0)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Triggers:
    """Which notices of events the new sources on an image are compared with."""

    spool: Path | None = field(
        default=None,
        metadata=doc(
            "folder in which notices (*.xml, *.json) are found; by default <root>/triggers"
        ),
    )
    before_h: float = field(
        default=1.0, metadata=doc("images taken so long before an event belong to it", at_least=0)
    )
    after_d: float = field(
        default=7.0, metadata=doc("and those taken so long after it", at_least=0.1)
    )
    largest_arcmin: float = field(
        default=30.0,
        metadata=doc("a larger error circle says nothing about a source on one image", at_least=0),
    )
    topics: tuple[str, ...] = field(
        default=(),
        metadata=doc("topics that `alfoscd trigger listen` takes from GCN's Kafka service"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Alerts:
    """What is told of new sources; where it goes is said under [slack], [mail], [programmes]."""

    most_per_frame: int = field(
        default=5,
        metadata=doc(
            "an image with more new sources is doubted: one warning, no alert", at_least=1
        ),
    )
    most_per_h: int = field(
        default=10, metadata=doc("beyond so many in an hour they go into the digest", at_least=1)
    )
    tns_url: str = field(
        default="https://sandbox.wis-tns.org/api",
        metadata=doc("Transient Name Server; by default the one for trying"),
    )
    tns_group: int = field(default=0, metadata=doc("id of the reporting group there", at_least=0))
    tns_instrument: int = field(default=0, metadata=doc("id of the instrument there", at_least=0))
    reporter: str = field(
        default="", metadata=doc("who reports: names and institutes, as they shall be printed")
    )
    skyportal_url: str = field(
        default="", metadata=doc("a SkyPortal, as https://fritz.science; empty has none")
    )
    skyportal_filters: tuple[str, ...] = field(
        default=(), metadata=doc("ids of the filters there that a candidate passes")
    )
    skyportal_instrument: int = field(
        default=0, metadata=doc("id of the instrument there", at_least=0)
    )
