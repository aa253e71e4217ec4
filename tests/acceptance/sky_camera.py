"""A camera under the simulated sky: exposures as a recipe takes them, masters and catalogues."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from calibration_store.catalogues.references import Catalogues
from calibration_store.catalogues.sky import Cone
from reducers.fits import read_raw
from reducers.identify import identify
from reducers.identity import FrameKind
from reducers.imaging.masters import build_sky_flat
from reducers.imaging.recipe import reduce_image
from reducers.imaging.reduced_image import ImageCalibrations
from reducers.profiles import load_instrument
from reducers.recipes import Exposure, build_bias
from reducers.simulate.catalogue import CONE_DEG, SURVEYS, survey_catalogue
from reducers.simulate.field_truth import FieldTruth, field_truth
from reducers.simulate.filters import PASSBANDS
from reducers.simulate.frames import pointing_of, simulate_with_planes
from reducers.simulate.records import HiddenPlanes, PlannedExposure
from reducers.simulate.scene import Scene
from reducers.simulate.sky import Sky

if TYPE_CHECKING:
    from pathlib import Path

    from reducers.imaging.references import References

ALFOSC = load_instrument("alfosc")
#: 2.5 arcmin in the middle of the field.
SMALL = (701, 1400, 701, 1400)
FULL = (1, 2148, 1, 2102)
SKY = Sky(stars_per_deg2=200_000)
PLACE = (150.0, 32.0)
#: The telescope is a little off, as always.
SCENE = Scene(
    sky=SKY, pointing_error_arcsec=(7.0, -5.0), rotation_error_deg=0.15, scale_error=0.0012
)
START = datetime(2026, 1, 15, 22, 30, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """One exposure as a recipe takes it, and everything true of it."""

    exposure: Exposure
    truth: FieldTruth
    planes: HiddenPlanes
    planned: PlannedExposure


class SkyCamera:
    """Takes images with one window and binning, and keeps its masters.

    Parameters
    ----------
    folder
        Where raw files and catalogues lie.
    """

    def __init__(self, folder: Path, *, window: Any = SMALL, binning: int = 1) -> None:
        self.folder, self.window, self.binning = folder, window, binning
        self._number = 0
        self._bias: Any = None
        self._flats: dict[str, ImageCalibrations] = {}
        self.catalogues = Catalogues(folder / "catalogues")

    def copy(self) -> SkyCamera:
        """Return a camera with the same masters, which counts its exposures for itself."""
        copied = SkyCamera(self.folder, window=self.window, binning=self.binning)
        copied._number, copied._bias, copied._flats = self._number, self._bias, {**self._flats}
        return copied

    def plan(self, band: str = "r_SDSS", **changes: Any) -> PlannedExposure:
        """Return a sound image of the field, with what `changes` say."""
        self._number += 1
        plan = PlannedExposure(
            stem=f"ALJa15{self._number:04d}",
            number=self._number,
            kind=FrameKind.IMG_OBJECT,
            start=START + timedelta(minutes=5 * self._number),
            exposure_s=120.0,
            object_name="field",
            filter=PASSBANDS[band].header_name,
            window=self.window,
            x_binning=self.binning,
            y_binning=self.binning,
            ra_deg=PLACE[0],
            dec_deg=PLACE[1],
            seeing_arcsec=0.95,
            scene=SCENE,
            night_seed=77,
        )
        return replace(plan, **changes)

    def shoot(self, planned: PlannedExposure) -> Shot:
        """Return one exposure, read as the daemon reads it."""
        frame, planes = simulate_with_planes(planned, ALFOSC)
        path = self.folder / frame.name
        path.write_bytes(frame.content)
        raw = read_raw(path, ALFOSC.detector)
        path.unlink()
        exposure = Exposure(raw=raw, identity=identify(raw.header, ALFOSC), stem=path.stem)
        truth = field_truth(planned, pointing_of(planned), ALFOSC)
        return Shot(exposure=exposure, truth=truth, planes=planes, planned=planned)

    def image(self, band: str = "r_SDSS", **changes: Any) -> Shot:
        """Return one image of the field."""
        return self.shoot(self.plan(band, **changes))

    def flats(self, band: str, count: int = 5, **changes: Any) -> list[Shot]:
        """Return twilight flats, the telescope moved between them."""
        shots = []
        for n in range(count):
            how = {
                "kind": FrameKind.IMG_FLAT,
                "exposure_s": 3.0,
                "object_name": "EasyFlat",
                "image_type": "FLAT,SKY",
                "image_category": "CALIB",
                "start": START - timedelta(hours=3, minutes=-n),
                "ra_deg": 60.0 + 0.01 * n,
                "dec_deg": 25.0 + 0.01 * n,
                "sky_brightness": (1.0 - 0.06 * n) / self.binning**2,
            }
            shots.append(self.image(band, **(how | changes)))
        return shots

    def bias(self) -> Any:
        """Return the master bias of this window and binning."""
        if self._bias is None:
            how = {"kind": FrameKind.BIAS, "image_type": "BIAS", "exposure_s": 0.002}
            how |= {"ra_deg": None, "dec_deg": None, "filter": "", "scene": None}
            shots = [self.image(**how) for _ in range(7)]
            self._bias = build_bias([shot.exposure for shot in shots], ALFOSC)
        return self._bias

    def calibrations(self, band: str = "r_SDSS") -> ImageCalibrations:
        """Return bias and flat of one filter."""
        if band not in self._flats:
            bias = self.bias()
            facts = {
                "bias_read_noise_adu": bias.measurements["read_noise_adu"],
                "bias_age_h": 3.0,
            }
            given = ImageCalibrations(bias=bias.value, facts=facts)
            flat = build_sky_flat([shot.exposure for shot in self.flats(band)], given, ALFOSC)
            assert not flat.verdict, flat.verdict
            facts |= {
                "flat_gain_e_per_adu": flat.measurements["gain_e_per_adu"],
                "flat_gain_error": flat.measurements["gain_error"],
                "flat_age_h": 3.0,
            }
            self._flats[band] = ImageCalibrations(bias=bias.value, flat=flat.value, facts=facts)
        return self._flats[band]

    def references(
        self, planned: PlannedExposure, band: str = "r_SDSS", surveys: Any = tuple(SURVEYS)
    ) -> References:
        """Return what catalogues know of the field where the header says the image is."""
        assert planned.scene is not None
        ra, dec = float(planned.ra_deg or 0.0), float(planned.dec_deg or 0.0)
        name = f"{planned.scene.sky}{'-'.join(surveys)}"
        catalogues = Catalogues(self.folder / f"catalogues-{abs(hash(name))}")
        for survey in surveys:
            columns = survey_catalogue(survey, planned.scene.sky, ra, dec, CONE_DEG)
            columns.pop("number")
            catalogues.write_cone(
                survey, columns, Cone(ra, dec, CONE_DEG - 0.01), release="simulated"
            )
        return catalogues.references_for(ra, dec, 0.12, 2026.04, band)

    def reduce(self, shot: Shot, band: str = "r_SDSS", **given: Any) -> Any:
        """Return the reduced image, with all masters and catalogues unless others are given."""
        calibrations = given.pop("calibrations", None) or self.calibrations(band)
        references = (
            given.pop("references")
            if "references" in given
            else self.references(shot.planned, band)
        )
        return reduce_image(shot.exposure, calibrations, ALFOSC, references=references, **given)
