"""Contenders and the plan of a comparison, from names and from a settings file."""

from __future__ import annotations

from pathlib import Path

import pytest

from fieldwise.architecture import Architecture
from fieldwise.comparison.contenders import plan
from fieldwise.errors import SettingsError
from fieldwise.layout import FieldLayout, Layout

FILE = """
base = "plain"
[training]
epochs = 3
[data]
min_count = 5
[models.plain]
name = "lr"
[models."one layer"]
name = "autoint"
preset = "paper"
num_layers = 1
training = { patience = 7, epochs = 4 }
tune = { dropout = [0.0, 0.2], "training.learning_rate" = { low = 1e-4, high = 1e-2, log = true } }
[models.lightgbm]
num_leaves = 15
"""


@pytest.fixture(params=["utf-8", "utf-8-sig"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "compare.toml"
    path.write_text(FILE, encoding=request.param)
    return path


def test_sections_become_contenders(file: Path) -> None:
    found = plan(config=file)
    plain, one, trees = found.contenders
    assert (found.base, found.ours, found.data.min_count) == ("plain", ["one layer"], 5)
    assert plain.resolve(seed=3).training.epochs == 3
    settings = one.resolve(seed=3)
    assert (settings.model, settings.preset, settings.seed) == ("autoint", "paper", 3)
    assert (settings.model_settings["num_layers"], settings.model_settings["scale"]) == (1, False)
    assert (settings.training.epochs, settings.training.patience) == (4, 7)
    assert set(one.ranges) == {"model.dropout", "training.learning_rate"}
    assert one.resolve(seed=0, tuned={"model.dropout": 0.2}).model_settings["dropout"] == 0.2
    assert trees.is_external
    assert trees.resolve(seed=0).model_settings["num_leaves"] == 15


def test_names_alone_take_defaults_and_overrides_are_for_all() -> None:
    found = plan(["autoint", "lr", "autoint"], overrides={"epochs": 2, "data.min_count": 1, "batch_size": 64})
    assert [contender.name for contender in found.contenders] == ["autoint", "lr"]
    assert (found.base, found.ours, found.data.min_count) == ("lr", ["autoint"], 1)
    assert all(c.resolve(0).training.epochs == 2 and c.resolve(0).training.batch_size == 64 for c in found.contenders)


def test_named_models_choose_among_the_sections(file: Path) -> None:
    found = plan(["one layer", "autoint"], config=file, base="autoint", overrides={"training.epochs": 9})
    assert [c.name for c in found.contenders] == ["one layer", "autoint"]
    assert found.base == "autoint"
    # A section's own word is nearer than the one for all.
    assert [c.resolve(0).training.epochs for c in found.contenders] == [4, 9]


def test_tuning_gives_the_usual_ranges_to_those_that_have_none(file: Path) -> None:
    one, other = plan(["one layer", "autoint"], config=file, base="autoint", tune=True).contenders
    assert set(one.ranges) == {"model.dropout", "training.learning_rate"}
    assert "training.learning_rate" in other.ranges
    assert "model.dropout" in other.ranges


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("num_layers = 1", "num_layer = 1"), r"one layer.*num_layer.*num_layers"),
        (('name = "autoint"', 'name = "autoimt"'), r"unknown model 'autoimt'.*autoint"),
        (("min_count = 5", "min_cuont = 5"), r"min_cuont.*min_count"),
        (("epochs = 3", "epoch = 3"), r"epoch.*epochs"),
        (('base = "plain"', 'base = "plian"'), r"base 'plian'.*plain"),
        (("num_leaves = 15", "num_leafs = 15"), r"lightgbm.*num_leafs.*num_leaves"),
        (("num_leaves = 15", "training = { epochs = 2 }"), r"lightgbm.*no section training"),
        (("[data]", "[dada]"), r"unknown entry 'dada'.*data"),
        (('base = "plain"', "base = plain"), "not valid TOML"),
        (("dropout = [0.0, 0.2]", "dropout = 0.2"), "dropout"),
    ],
)
def test_what_is_wrong_is_named(file: Path, change: tuple[str, str], message: str) -> None:
    assert change[0] in FILE
    file.write_text(FILE.replace(*change), encoding="utf-8")
    with pytest.raises(SettingsError, match=message):
        plan(config=file)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"models": []}, "name the models"),
        ({"models": ["lr", "fn"]}, "unknown model 'fn'"),
        ({"models": ["lr"], "base": "fm"}, "base 'fm' does not take part"),
        ({"models": ["lr"], "overrides": {"model.num_layers": 2}}, "would be for every model"),
        ({"models": ["lr"], "overrides": {"data.min_cuont": 2}}, "min_cuont.*min_count"),
        ({"models": ["lr"], "overrides": {"data.min_count": 0}}, "setting 'data.min_count' cannot be 0"),
        ({"models": ["lr"], "overrides": {"epoch": 2}}, "epoch.*epochs"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        plan(**arguments)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot read the settings file"):
        plan(config=tmp_path / "none.toml")


def test_a_path_in_a_file_is_looked_for_beside_it_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = Layout((FieldLayout("user", "categorical", 9), FieldLayout("movie", "categorical", 7)))
    for folder, dim in (("there", 3), ("here", 5)):
        architecture = Architecture.everything(layout, functions=["inner"], embedding_dim=dim)
        architecture.save(tmp_path / folder / "found" / "architecture.json")
    path = tmp_path / "there" / "compare.toml"
    path.write_text('[models.lr]\n[models.aim]\narchitecture = "found"\n')
    monkeypatch.chdir(tmp_path / "here")
    for config in (path, "../there/compare.toml"):
        contender = plan(config=config).contenders[1]
        assert contender.resolve(seed=0).model_settings["architecture"]["embedding_dim"] == 3


def test_old_names_of_settings_are_understood(tmp_path: Path) -> None:
    path = tmp_path / "compare.toml"
    path.write_text(
        '[models.aim]\nsearch = { passes = 3 }\ntune = { "search.position_threshold" = [0.6, 0.7] }\n[models.lr]\n'
    )
    contender = plan(config=path).contenders[0]
    assert contender.settings == {"search.epochs": 3}
    assert list(contender.ranges) == ["search.dimension_threshold"]
