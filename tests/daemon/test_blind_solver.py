"""Another program may say where an image lies; whatever it does, the image comes out."""

from __future__ import annotations

import shutil
import sys
import time
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from calibration_store.catalogues.sky import Cone
from daemon.config import Image
from daemon.work.blind_solver import BlindQuestion, BlindSolver, solve_blind
from daemon.work.sky_catalogues import open_catalogues
from reducers.imaging.references import References
from reducers.simulate.catalogue import cones_of, survey_catalogue
from tests.daemon.image_hall import IMAGES, ImageHall, planned, simulated_images
from tests.reducers.star_lists import SHAPE, Lists, Sky, make_lists

if TYPE_CHECKING:
    from daemon.memory.records import ProductRecord
    from daemon.work.blind_solver import BlindAnswer

FIRST = IMAGES[0]
MOVED_DEG = 2.0


@pytest.fixture(scope="module")
def lists() -> Lists:
    return make_lists(Sky(), np.random.default_rng(7))


def stand_in(folder: Path, body: str) -> str:
    """Return a small program that is called as solve-field is."""
    folder.mkdir(exist_ok=True)
    path = folder / "stand-in"
    path.write_text(
        f"#!{sys.executable} -S\nimport os, shutil, sys, time\nargs = sys.argv\n"
        f"wcs = args[args.index('--wcs') + 1]\n{body}\n"
    )
    path.chmod(0o755)
    return str(path)


def writes(cards: dict[str, object]) -> str:
    """Return what writes a file of these cards as the map."""
    text = fits.PrimaryHDU(header=fits.Header(cards)).header.tostring()
    return f"open(wcs, 'w').write({text!r})"


def ask(
    lists: Lists, program: str, *, references: References | None = None, deadline_s: float = 120.0
) -> BlindAnswer:
    question = BlindQuestion(
        detections=lists.detections, shape=SHAPE, scale_arcsec=0.2138, near_deg=(150.0, 30.0)
    )
    solver = BlindSolver(program=program, deadline_s=deadline_s)
    return solve_blind(question, references or References(), solver)


def test_the_brightest_sources_are_handed_over_and_the_answer_is_read(
    lists: Lists, tmp_path: Path
) -> None:
    lists.truth.wcs.to_fits(relax=True).writeto(tmp_path / "truth.fits")
    keep = f"shutil.copy(args[-1], {str(tmp_path / 'seen.fits')!r})"
    give = f"shutil.copy({str(tmp_path / 'truth.fits')!r}, wcs)"
    answer = ask(lists, stand_in(tmp_path, f"{keep}\n{give}"))
    assert answer.sky_map is not None
    assert np.allclose(answer.sky_map.sky(100, 200), lists.truth.sky(100, 200), atol=1e-9)
    seen = fits.getdata(tmp_path / "seen.fits")
    brightest = int(np.argmax(lists.detections.flux))
    assert seen["X"][0] == pytest.approx(lists.detections.x[brightest] + 1)
    assert (np.diff(seen["FLUX"]) <= 0).all()


def test_what_has_no_answer_near_the_header_is_asked_for_the_whole_sky(
    lists: Lists, tmp_path: Path
) -> None:
    lists.truth.wcs.to_fits(relax=True).writeto(tmp_path / "truth.fits")
    body = f"'--ra' in args or shutil.copy({str(tmp_path / 'truth.fits')!r}, wcs)"
    assert ask(lists, stand_in(tmp_path, body)).sky_map is not None


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("sys.exit('no memory')", "no memory"),
        ("sys.exit('You must list at least one index')", "[image] blind_index"),
        ("os.abort()", "ended with -6"),
        ("open(wcs, 'wb').write(os.urandom(10000))", "cannot be read"),
        ("open(wcs, 'wb')", "cannot be read"),
        (writes({"NAXIS": 0}), "no place"),
        (writes({"CTYPE1": "RA---TAN", "CTYPE2": "FREQ"}), "cannot be read"),
        ("sys.stdout.buffer.write(os.urandom(10**6))", "fits these stars"),
        ("", "fits these stars"),
    ],
    ids=["refuses", "no-index", "crashes", "garbage", "empty", "bare", "no-sky", "noise", "silent"],
)
def test_a_tool_that_fails_gives_a_reason_and_no_exception(
    lists: Lists, tmp_path: Path, body: str, why: str
) -> None:
    answer = ask(lists, stand_in(tmp_path, body))
    assert answer.sky_map is None
    assert why in answer.why


def test_a_tool_that_hangs_is_stopped_with_what_it_started(lists: Lists, tmp_path: Path) -> None:
    child = tmp_path / "child"
    body = (
        "pid = os.fork()\n"
        f"pid and open({str(child)!r}, 'w').write(str(pid))\n"
        "time.sleep(600)"
    )  # fmt: skip
    began = time.monotonic()
    answer = ask(lists, stand_in(tmp_path, body), deadline_s=4.0)
    assert time.monotonic() - began < 60
    assert "stopped" in answer.why
    state = Path("/proc", child.read_text(), "stat")
    assert not state.exists() or state.read_text().split()[2] == "Z", "the child still runs"


def test_a_tool_that_is_absent_or_no_program_is_a_reason(lists: Lists, tmp_path: Path) -> None:
    assert "not installed" in ask(lists, "no-such-solver").why
    broken = tmp_path / "broken"
    broken.write_text("#!/no/such/interpreter\n")
    broken.chmod(0o755)
    assert "could not be run" in ask(lists, str(broken)).why


@pytest.mark.skipif(
    not (shutil.which("solve-field") and shutil.which("build-astrometry-index")),
    reason="astrometry.net is not installed",
)
def test_astrometry_net_places_an_image_by_an_index_of_the_catalogues_stars(lists: Lists) -> None:
    answer = ask(lists, "solve-field", references=lists.references, deadline_s=60.0)
    assert answer.sky_map is not None, answer.why
    there, truth = answer.sky_map.sky(1000.0, 1032.0), lists.truth.sky(1000.0, 1032.0)
    assert np.allclose(there, truth, atol=2 / 3600)


# --- the whole way, with an image whose header points elsewhere


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> Right:
    """Return what comes of the image when its header is right."""
    folder = tmp_path_factory.mktemp("right")
    asked = folder / "asked"
    program = stand_in(folder, f"open({str(asked)!r}, 'w')")
    hall = ImageHall(folder, simulated_images(), image=Image(blind_solver=program))
    hall.fill_catalogues()
    product, header = made(hall)
    hall.bench.engine.dispose()
    return Right(product, header, asked.exists())


class Right(NamedTuple):
    """An image that stars placed, and whether another program was asked."""

    product: ProductRecord
    header: fits.Header
    asked: bool


def made(hall: ImageHall) -> tuple[ProductRecord, fits.Header]:
    hall.put(FIRST)
    hall.work()
    product = hall.product(FIRST)
    return product, fits.getheader(product.paths["image"])


def misplaced() -> bytes:
    """Return the image with a header that points elsewhere."""
    written = BytesIO()
    with fits.open(BytesIO(simulated_images()[FIRST])) as hdus:
        for header in (hdu.header for hdu in hdus):
            for name in ("DEC", "OBJDEC", "CRVAL2"):
                if name in header and not isinstance(header[name], str):
                    header[name] -= MOVED_DEG
        hdus.writeto(written, output_verify="silentfix")
    return written.getvalue()


def lost_hall(folder: Path, program: str) -> ImageHall:
    contents = {**simulated_images(), FIRST: misplaced()}
    return ImageHall(folder, contents, image=Image(blind_solver=program))


def middle(header: fits.Header) -> np.ndarray:
    return np.array(WCS(header).all_pix2world(300.0, 300.0, 0))


def proposing(folder: Path, header: fits.Header, off_arcsec: float) -> str:
    """Return a stand-in whose map is nearly that of a header."""
    card = WCS(header).to_header(relax=True)
    card["CRVAL2"] += off_arcsec / 3600
    path = folder / "map.fits"
    fits.PrimaryHDU(header=card).writeto(path)
    return stand_in(folder, f"shutil.copy({str(path)!r}, wcs)")


def test_a_pointing_wrong_by_degrees_is_placed_by_the_catalogue_and_not_by_the_guess(
    tmp_path: Path, right: Right
) -> None:
    hall = lost_hall(tmp_path, proposing(tmp_path, right.header, 20.0))
    hall.fill_catalogues()
    product, header = made(hall)
    assert (header["WCSERR"], header["WCSMETH"]) == (0, "prior")
    assert np.allclose(middle(header), middle(right.header), atol=0.1 / 3600)
    assert header["WCSOFF"] == pytest.approx(MOVED_DEG * 3600, rel=0.01)
    zero_point = right.product.measurements["zero_point_mag"]
    assert product.measurements["zero_point_mag"] == pytest.approx(zero_point, abs=0.01)
    hall.bench.engine.dispose()


def test_a_proposal_that_no_star_confirms_changes_nothing(tmp_path: Path, right: Right) -> None:
    hall = lost_hall(tmp_path, proposing(tmp_path, right.header, 0.0))
    catalogues = open_catalogues(hall.bench.config)
    for sky, ra, dec, radius in cones_of(planned()):
        other = survey_catalogue("gaia", replace(sky, seed=99), ra, dec, radius)
        catalogues.write_cone("gaia", other, Cone(ra, dec, radius))
    _, header = made(hall)
    assert (header["WCSERR"], header["WCSMETH"]) == (4, "header")
    assert middle(header)[1] == pytest.approx(middle(right.header)[1] - MOVED_DEG, abs=0.02)
    hall.bench.engine.dispose()


def test_without_a_catalogue_the_proposal_stands_and_is_called_unconfirmed(
    tmp_path: Path, right: Right
) -> None:
    hall = lost_hall(tmp_path, proposing(tmp_path, right.header, 0.0))
    product, header = made(hall)
    assert (header["WCSERR"], header["WCSMETH"]) == (4, "blind")
    assert "no catalogue" in header["WCSWHY"]
    assert product.measurements["astrometry_unchecked"] == 1
    assert np.allclose(middle(header), middle(right.header), atol=3 / 3600)
    hall.bench.engine.dispose()


def test_an_image_that_is_placed_asks_nobody(right: Right) -> None:
    assert right.header["WCSERR"] == 0
    assert not right.asked
