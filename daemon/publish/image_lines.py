"""Images as lines of a table: seeing, zero point, depth and how clear the sky was."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daemon.publish.words import clean, clock, number

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from daemon.status_lines import ProductSummary

IMAGE_KINDS = ("IMG_OBJECT", "ACQUISITION")
HEAD = ("frame", "target", "filter", "Q", "state", "seeing", "stars", "zero pt", "5 sigma",
        "placed", "sky")  # fmt: skip
#: So much of the light of a clear night or more, and the sky is called so.
_SKIES = ((0.9, "clear"), (0.75, "thin cloud"), (0.25, "cloud"), (0.0, "thick cloud"))


def images_of(products: Iterable[ProductSummary]) -> list[ProductSummary]:
    """Return the images among the products."""
    return [line for line in products if line.kind in IMAGE_KINDS]


def spectra_of(products: Iterable[ProductSummary]) -> list[ProductSummary]:
    """Return the products that are no images."""
    return [line for line in products if line.kind not in IMAGE_KINDS]


def image_row(line: ProductSummary) -> tuple[str, ...]:
    """Return one image as cells of `HEAD`."""
    found = line.measurements
    return (
        line.stem,
        clean(line.target, 16),
        filter_of(line),
        f"{line.quality}",
        state_of(line) + (f", {line.verdict}" if line.verdict else ""),
        _with_unit(found.get("seeing_arcsec"), ".2f", '"'),
        number(found.get("stars"), ".0f"),
        number(found.get("zero_point_mag"), ".2f"),
        number(found.get("limit_5_sigma_mag"), ".1f"),
        place_in_words(found),
        sky_in_words(found),
    )


#: The same for the narrower report.
REPORT_HEAD = ("target", "frame", "UT", "filter", "Q", "seeing", "ZP", "depth", "placed", "state",
               "sky")  # fmt: skip


def report_row(line: ProductSummary) -> tuple[str, ...]:
    """Return one image as cells of `REPORT_HEAD`."""
    found = line.measurements
    return (
        clean(line.target, 12),
        clean(line.stem, 12),
        clock(line.observed_at)[:5],
        filter_of(line),
        f"{line.quality}",
        _with_unit(found.get("seeing_arcsec"), ".2f", '"'),
        number(found.get("zero_point_mag"), ".2f"),
        number(found.get("limit_5_sigma_mag"), ".1f"),
        place_in_words(found),
        judged_state_of(line),
        sky_in_words(found),
    )


def state_of(line: ProductSummary) -> str:
    """Return the state of a product and its version, short enough for a column: 'prov.', 'v2'."""
    short = "prov." if line.state == "provisional" else line.state
    return short + (f" v{line.version}" if line.version > 1 else "")


def judged_state_of(line: ProductSummary) -> str:
    """Return the same with a person's verdict as a mark: ✓ accepted, ✗ rejected."""
    if not line.verdict:
        return state_of(line)
    return f"{state_of(line)} {'✓' if line.verdict.startswith('accepted') else '✗'}"


def new_source_line(products: Iterable[ProductSummary]) -> str:
    """Return what the searches for new sources came to, one line; '' where none was made."""
    searched = [line for line in products if "new_sources" in line.measurements]
    if not searched:
        return ""
    said = [
        f"{_with_sources(searched, name)} {word}"
        for name, word in (("new_sources", "new"), ("unvetted_sources", "unvetted"))
        if any(line.measurements.get(name) for line in searched)
    ]
    doubted = [line.stem for line in searched if line.measurements.get("search_suspicious")]
    if doubted:
        said.append(f"doubted because too much is in no catalogue: {', '.join(doubted[:4])}")
    blind = sum(bool(line.measurements.get("search_impossible")) for line in searched)
    if blind:
        said.append(f"{blind} without a place on the sky")
    return f"new sources, {len(searched)} images searched: {'; '.join(said) or 'none'}"


def _with_sources(products: Iterable[ProductSummary], name: str) -> str:
    """Return how many sources were found, and on which images."""
    found = [(line.stem, int(line.measurements.get(name) or 0)) for line in products]
    some = [stem for stem, count in found if count]
    more = f" and {len(some) - 4} more images" if len(some) > 4 else ""
    return f"{sum(count for _, count in found)} (on {', '.join(some[:4])}{more})"


def filter_of(line: ProductSummary) -> str:
    """Return the filter of a set-up in words, its binning left out."""
    parts = line.setup.split()
    return " ".join(parts[:-1]).replace("_SDSS", "'") or "none"


def sky_in_words(found: Mapping[str, float]) -> str:
    """Return how clear the sky was; '' where no star tells."""
    through = found.get("transparency")
    if through is None:
        return ""
    word = next((name for least, name in _SKIES if through >= least), "thick cloud")
    return word if through >= _SKIES[0][0] else f"{word}, {100 * through:.0f} %"


def place_in_words(found: Mapping[str, float]) -> str:
    """Return how well the stars place an image: their scatter, or the error of the map if larger.

    Two or three stars scatter little about whatever is drawn through them.
    """
    if found.get("astrometry_unchecked"):
        return "no catalogue"
    if found.get("astrometry_failed"):
        return "not found"
    scatter = found.get("astrometry_rms_mas")
    if scatter is None:
        return ""
    return f"{max(scatter, found.get('astrometry_systematic_mas', 0.0)):.0f} mas"


def _with_unit(value: float | None, form: str, unit: str) -> str:
    return number(value, form) + (unit if value is not None else "")
