"""One product of an exposure as it is made: its files, and what the archive remembers of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from daemon.memory.records import FrameRecord, ProductRecord
from daemon.work.bench import Bench, file_sha256
from daemon.work.pictures import save_picture
from daemon.work.product_files import flag_records, last_generation, target_of, write_files
from daemon.work.selecting import choices_of
from reducers.quality import flag_bits
from reducers.recipes import RECIPE_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from astropy.io.fits import HDUList

    from calibration_store.policy import Selection
    from daemon.memory.records import ProductState
    from daemon.publish.page import Picture
    from daemon.work.commission import Commission
    from reducers.imaging.reduced_image import ReducedImage
    from reducers.reduced import ReducedSpectrum

#: How files are called that are not `<role>.fits`.
_ENDINGS = {
    "spectrum": "1d.fits",
    "image2d": "2d.fits",
    "rectified": "2d_rect.fits",
    "iraf": "1d_iraf.fits",
    "ascii": "1d.ascii",
    "log": "log.txt",
}


@dataclass(slots=True)
class MadeProduct:
    """One product as it is made, and its files as they are written.

    Attributes
    ----------
    paths
        Written files by role.
    measurements
        What the daemon adds to those of the reduction.
    """

    bench: Bench
    frame: FrameRecord
    version: int
    paths: dict[str, Path] = field(default_factory=dict, kw_only=True)
    measurements: dict[str, float] = field(default_factory=dict, kw_only=True)

    def path_of(self, role: str) -> Path:
        """Return where the file of this role lands."""
        own = self.frame
        return self.bench.layout.product(
            own.night, target_of(own), own.stem, _ending(role), version=self.version
        )

    def write(self, files: Mapping[str, HDUList | str]) -> None:
        """Write every file, each whole or not at all."""
        self.paths |= {role: self.path_of(role) for role in files}
        write_files(files, self.paths)

    def show(self, name: str, draw: Callable[[], Picture], which: str = "") -> None:
        """Draw its page, or that of one of its objects; without it the product is as good.

        Parameters
        ----------
        name
            Of the target, as the file is called.
        which
            ':OBJ2' for the second object, and so on.
        """
        own = self.frame
        path = self.bench.layout.verify_plot(own.night, own.stem, name, version=self.version)
        if save_picture(path, draw):
            self.paths[f"plot{which}"] = path
            self.paths[f"plot_facts{which}"] = path.with_suffix(".json")
        else:
            self.measurements["plot_failed"] = 1.0

    def record(
        self,
        task: Commission,
        key: str,
        reduced: ReducedSpectrum | ReducedImage,
        selections: Sequence[Selection],
        *,
        state: ProductState,
        recipe_digest: str,
    ) -> ProductRecord:
        """Return the product as the archive remembers it."""
        own, now = self.frame, self.bench.clock.now()
        # How long the first product took; an upgrade is not late.
        first_s = (now - own.arrived_at).total_seconds()
        return ProductRecord(
            key=key,
            frame_id=own.id,
            frame_sha256=own.sha256,
            stem=own.stem,
            night=own.night,
            recipe=task.recipe,
            recipe_version=RECIPE_VERSION,
            generation=1 + last_generation(self.bench, own),
            state=state,
            quality=reduced.quality,
            flag_bits=flag_bits(reduced.flags),
            target=target_of(own),
            paths=self.paths,
            hashes={role: file_sha256(path) for role, path in self.paths.items()},
            measurements={**reduced.measurements, **self.measurements},
            flags=flag_records(reduced.flags),
            choices=choices_of(selections),
            created_at=now,
            latency_s=task.before.latency_s if task.before else first_s,
            recipe_digest=recipe_digest,
            redo=task.how.to_json(),
            verdict=task.rejection(self.bench),
        )


def _ending(role: str) -> str:
    """Return the end of a file name; all but the target's own carry the object's name."""
    name, _, which = role.partition(":")
    ending = _ENDINGS.get(name, f"{name}.fits")
    return f"{which.lower()}_{ending}" if which else ending
