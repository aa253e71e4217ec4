from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

import pytest

from daemon.config import Config, ConfigError, Spectrum, load_config, render_defaults
from reducers.reduced import SpectrumSettings

if TYPE_CHECKING:
    from pathlib import Path


def read(folder: Path, text: str) -> Config:
    path = folder / "alfoscd.toml"
    path.write_text(text, encoding="utf-8")
    return load_config(path)


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read(folder, text)
    return str(caught.value)


def test_the_documented_defaults_are_the_defaults(tmp_path: Path) -> None:
    read_back = read(tmp_path, render_defaults())
    plain = read(tmp_path, "")
    assert read_back == plain
    assert plain.watch.settle_s == 2.0


def test_every_setting_is_documented() -> None:
    lines = render_defaults().splitlines()
    settings = [number for number, line in enumerate(lines) if "=" in line]
    assert len(settings) > 15
    for number in settings:
        assert lines[number - 1].startswith("# ")


def test_a_misspelt_key_is_named_with_its_line_and_the_right_one(tmp_path: Path) -> None:
    message = refusal(tmp_path, "[work]\nworkers = 1\n\n[watch]\n# quiet\nsetle_s = 3\n")
    assert "alfoscd.toml, line 6" in message
    assert "[watch] has no setting 'setle_s'; did you mean 'settle_s'?" in message


def test_the_line_is_that_of_the_right_section(tmp_path: Path) -> None:
    message = refusal(tmp_path, '[paths]\nroot = "x"\n[work]\nroot = "y"\n')
    assert "line 4" in message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[wotch]\nsettle_s = 1", ["line 1", "no section [wotch]", "did you mean 'watch'"]),
        ('[watch]\nsettle_s = "2"', ["line 2", "must be a number", "'2'"]),
        ("[watch]\nsettle_s = -1", ["line 2", "at least 0"]),
        ("[watch]\nsettle_s = nan", ["line 2", "at least 0"]),
        ("[watch]\nsettle_s = inf", ["line 2", "at least 0"]),
        ("[work]\nworkers = 1.5", ["line 2", "whole number"]),
        ("[work]\nworkers = true", ["line 2", "whole number"]),
        ("[work]\nworkers = 0", ["line 2", "at least 1"]),
        ('[calibration]\nprovisional = "no"', ["line 2", "true or false"]),
        ('[watch]\npolling = "sometimes"', ["line 2", "auto, always, never"]),
        ('[paths]\nraw = "/data"', ["line 2", "list of texts"]),
        ("[paths]\nraw = [1]", ["line 2", "list of texts"]),
        ("paths = 3", ["line 1", "section"]),
        ("[webhook]\nurl = 3", ["line 1", "[webhook.NAME]"]),
        ("[webhook.tns]\nurl = 3", ["line 2", "[webhook.tns] url must be a text"]),
        ('[programmes."61-001"]\nopne = true', ["line 2", "did you mean 'open'"]),
        ('[slack]\ntopics = ["prodict"]', ["no 'prodict'", "product"]),
        ("[spectrum]\nregion_px = [300, 100]", ["line 2", "a range", "[300, 100]"]),
        ("[spectrum]\nmask_angstrom = [5570, 5585]", ["line 2", "must be ranges"]),
        ('[spectrum]\nmethod = "best"', ["line 2", "optimal, boxcar"]),
        ("[watch]\nsettle_s = \npoll_s = 5", ["not valid TOML", "line 2"]),
    ],
)
def test_what_is_wrong_is_said_in_one_message(tmp_path: Path, text: str, words: list[str]) -> None:
    message = refusal(tmp_path, text)
    assert "\n" not in message
    for word in words:
        assert word in message


def test_relative_paths_count_from_the_file(tmp_path: Path) -> None:
    config = read(tmp_path, '[paths]\nraw = ["raw"]\nroot = "out"\n')
    assert config.raw == (tmp_path / "raw",)
    assert config.root == tmp_path / "out"
    assert config.database == tmp_path / "out" / "alfoscd.sqlite"


def test_the_command_line_wins_over_the_file_and_none_leaves_it_alone(tmp_path: Path) -> None:
    path = tmp_path / "alfoscd.toml"
    path.write_text("[work]\nworkers = 4\n[watch]\nsettle_s = 9\n")
    config = load_config(
        path,
        overrides={"work.workers": 1, "watch.settle_s": None, "paths.raw": [tmp_path / "night"]},
    )
    assert config.work.workers == 1
    assert config.watch.settle_s == 9.0
    assert config.raw == (tmp_path / "night",)


@pytest.mark.parametrize("place", ["raw", "raw/out", "raw/../raw/x"])
def test_products_may_not_land_in_the_watched_directory(tmp_path: Path, place: str) -> None:
    message = refusal(tmp_path, f'[paths]\nraw = ["raw"]\nroot = "{place}"\n')
    assert "never written to" in message


def test_a_missing_file_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path / "absent.toml")


def test_settings_that_change_no_product_leave_the_digest_alone(tmp_path: Path) -> None:
    slow = read(tmp_path, "[watch]\nsettle_s = 30\n[work]\nworkers = 7\n")
    assert slow.settings_digest == load_config().settings_digest


def test_a_setting_of_the_recipe_changes_the_digest(tmp_path: Path) -> None:
    hot = read(tmp_path, "[spectrum]\ncosmic_sigma = 7\n")
    assert hot.spectrum.cosmic_sigma == 7.0
    assert hot.settings_digest != load_config().settings_digest


def test_ranges_are_read_as_numbers(tmp_path: Path) -> None:
    text = "[spectrum]\nregion_px = [100, 300]\nmask_angstrom = [[5570, 5585.5], [6295, 6305]]\n"
    spectrum = read(tmp_path, text).spectrum
    assert spectrum.region_px == (100.0, 300.0)
    assert spectrum.mask_angstrom == ((5570.0, 5585.5), (6295.0, 6305.0))


def test_every_setting_of_the_recipe_can_be_configured_but_the_place_of_one_object() -> None:
    recipe = {item.name: item.default for item in fields(SpectrumSettings)}
    section = {item.name: item.default for item in fields(Spectrum)}
    assert recipe.pop("centroid_px") is None
    assert section == recipe


def test_sections_that_come_once_for_each_name_are_kept_by_name(tmp_path: Path) -> None:
    config = read(tmp_path, '[programmes."61-001"]\nopen = true\n[webhook.tns]\nurl = "http://x"\n')
    assert config.programmes["61-001"].open
    assert config.webhook["tns"].url == "http://x"
