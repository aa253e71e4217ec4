"""The observer: keeps the clock, the running number and the drifts while a night is planned."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from reducers.identity import FrameKind
from reducers.simulate.header import readout_s
from reducers.simulate.pointing import sidereal_time_h
from reducers.simulate.records import WINDOW, PlannedExposure, Source
from reducers.simulate.targets import StandardTarget, Target, star_field

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reducers.simulate.scene import Scene

IMAGE_WINDOW = (851, 1250, 851, 1250)
GRISM, SLIT = "Grism_#4", "Slit_1.0"
SDSS = {"g": "g'_SDSS  480_145", "r": "r'_SDSS  618_148", "i": "i'_SDSS  771_171"}


def stem_of(night: date, number: int) -> str:
    """Return the file name without '.fits' that ALFOSC gives in that night."""
    year = chr(ord("A") + night.year - 2017) if night.year >= 2017 else chr(night.year - 1894)
    return f"AL{year}{chr(ord('a') + night.month - 1)}{night.day:02d}{number:04d}"


class Observer:
    """Keeps the clock, the running number and the drifts while a night is planned."""

    def __init__(self, *, seed: int, night: date, steady: bool) -> None:
        self.seed, self.night, self.steady = seed, night, steady
        self.rng = np.random.default_rng([seed, 2026])
        self.now = datetime.combine(night, time(18, 5), UTC)
        self.window = WINDOW
        self.binning = (1, 2)
        self.taken: list[PlannedExposure] = []
        self.level = 11740 + float(self.rng.normal(0, 25))
        self.seeing = 0.8 if steady else 1.0
        self.aperture_y = round(1057.37 + float(self.rng.uniform(-12, 12)), 2)

    def at(self, hour: float) -> None:
        """Let the clock run to an hour after midnight UTC of the night (negative: evening)."""
        midnight = datetime.combine(self.night + timedelta(days=1), time(0), UTC)
        self.now = max(self.now, midnight + timedelta(hours=hour))

    def take(self, kind: FrameKind, exposure_s: float, object_name: str, **more: Any) -> None:
        """Plan one exposure and let the clock run past its readout."""
        number = len(self.taken) + 1
        if kind is not FrameKind.BIAS and "slit" not in more and "filter" not in more:
            more |= {"grism": GRISM, "slit": SLIT}
        start = self.now + timedelta(milliseconds=int(self.rng.integers(0, 999)))
        planned = PlannedExposure(
            stem=stem_of(self.night, number),
            number=number,
            kind=kind,
            start=start,
            exposure_s=exposure_s,
            object_name=object_name,
            night_seed=self.seed,
            aperture_y_px=self.aperture_y,
            bias_level_adu=round(self.level + float(self.rng.normal(0, 3)), 2),
            seeing_arcsec=self.seeing,
            x_binning=more.pop("x_binning", self.binning[0]),
            y_binning=more.pop("y_binning", self.binning[1]),
            window=more.pop("window", self.window),
            **more,
        )
        self.taken.append(planned)
        spent = exposure_s + readout_s(planned) + 1
        self.now += timedelta(seconds=spent)
        self.level += float(self.rng.normal(0, 2 + spent / 200)) - 0.3
        if not self.steady:
            self.seeing = float(np.clip(self.seeing * np.exp(self.rng.normal(0, 0.04)), 0.7, 2.2))

    def right_ascension(self, hour_angle_h: float) -> float:
        """Return the right ascension (degrees) that stands at an hour angle now."""
        return round(15 * ((sidereal_time_h(self.now) - hour_angle_h) % 24), 5)

    def place_of(self, target: Target) -> dict[str, float]:
        """Return where the telescope is told to look for a target."""
        ra_deg = target.ra_deg
        if ra_deg is None:
            ra_deg = self.right_ascension(target.hour_angle_h)
        return {"ra_deg": ra_deg, "dec_deg": target.dec_deg}

    # -- sequences ------------------------------------------------------------------------------

    def biases(self, count: int, **more: Any) -> None:
        """Take a run of biases, telescope parked."""
        for _ in range(count):
            self.take(
                FrameKind.BIAS, 0.002, "bias", image_type="BIAS", image_category="CALIB", **more
            )

    def flats(self, count: int, exposure_s: float = 5.0) -> None:
        """Take halogen flats by the calibration script."""
        for n in range(1, count + 1):
            self.take(
                FrameKind.SPEC_FLAT,
                exposure_s,
                f"Halogen {n} alfosc-calibs",
                image_type="FLAT,LAMP",
                image_category="CALIB",
                lamps=("Halogen",),
                scripted=True,
                flexure_px=float(self.rng.normal(0, 0.05)),
            )

    def arc(self, name: str = "", *, flexure_px: float = 0.0, **place: Any) -> None:
        """Take a He+Ne arc, at the telescope's place when there is one."""
        self.take(
            FrameKind.ARC,
            3.0,
            f"HeNe {name}" if name else "HeNe 1",
            target=name,
            image_type="WAVE,LAMP",
            image_category="CALIB_ON_OBJECT" if name else "CALIB",
            lamps=("He", "Ne"),
            flexure_px=flexure_px,
            **place,
        )

    def standard(self, standard: StandardTarget, *, exposures: int = 1) -> None:
        """Take a spectrophotometric standard and its arc."""
        flexure = float(self.rng.normal(0, 0.2))
        place = {"ra_deg": standard.ra_deg, "dec_deg": standard.dec_deg}
        for n in range(exposures):
            source = Source(
                name=standard.name,
                model=f"standard:{standard.name}",
                detector_x=958.3 + 180 * n + float(self.rng.uniform(-3, 3)),
            )
            self.take(
                FrameKind.SPEC_STD,
                standard.exposure_s,
                standard.target,
                target=standard.target,
                image_type=standard.image_type,
                image_category="SCIENCE" if standard.image_type == "OBJECT" else "CALIB",
                sources=(source,),
                flexure_px=flexure + float(self.rng.normal(0, 0.04)),
                **place,
            )
        self.arc(standard.target, flexure_px=flexure, **place)

    def science(self, target: Target, *, exposures: int = 1) -> None:
        """Acquire nothing, take spectra of a target, then an arc on it."""
        flexure = float(self.rng.normal(0, 0.25))
        place = self.place_of(target)
        for _ in range(exposures):
            self.take(
                FrameKind.SPEC_OBJECT,
                target.exposure_s,
                target.name,
                target=target.name,
                sources=target.sources,
                flexure_px=flexure + float(self.rng.normal(0, 0.05)),
                **place,
            )
        self.arc(target.name, flexure_px=flexure + float(self.rng.normal(0, 0.05)), **place)

    def images(
        self, name: str, bands: Sequence[str], exposure_s: float, window: Any, **more: Any
    ) -> None:
        """Take images of one star field."""
        place = {"ra_deg": self.right_ascension(-0.5), "dec_deg": 31.25}
        stars = star_field(self.rng, window)
        for band in bands:
            self.take(
                more.get("kind", FrameKind.IMG_OBJECT),
                exposure_s,
                more.get("object_name", name),
                target=name,
                filter=SDSS[band],
                window=window,
                sources=stars,
                x_binning=more.get("x_binning", 1),
                y_binning=more.get("y_binning", 1),
                **place,
            )

    def acquisition(
        self, target: Target, *, window: Any = IMAGE_WINDOW, scene: Scene | None = None
    ) -> None:
        """Take the image on which the target is put onto the slit; stars are those of the scene."""
        stars = star_field(self.rng, window) if scene is None else ()
        place = self.place_of(target)
        self.take(
            FrameKind.ACQUISITION,
            10.0,
            "ALFOSC target acquisition",
            target=target.name,
            filter=SDSS["r"],
            window=window,
            x_binning=1,
            y_binning=1,
            sources=(*stars, *target.sources),
            scene=scene,
            **place,
        )
