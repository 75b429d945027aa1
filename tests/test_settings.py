"""Settings: one grammar for Python, files and the command line; unknown names are refused with a hint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fieldwise.errors import SettingsError
from fieldwise.layout import Layout
from fieldwise.models import registry
from fieldwise.models.logistic_regression import LogisticRegression
from fieldwise.settings import Settings, parse_override, resolve_settings


def test_defaults() -> None:
    settings = resolve_settings()
    assert settings.model == "autoint"
    assert settings.model_settings["attention_dim"] == 64
    assert (settings.training.batch_size, settings.data.min_count, settings.seed) == (1024, 2, 0)
    assert Settings.model_validate_json(settings.model_dump_json()) == settings


def test_dotted_and_bare_names() -> None:
    settings = resolve_settings(
        overrides={"epochs": 3, "model.num_heads": 4, "min_count": 5, "preset": "paper", "seed": 7}
    )
    assert settings.training.epochs == 3
    assert settings.model_settings["num_heads"] == 4
    assert settings.model_settings["scale"] is False
    assert (settings.data.min_count, settings.preset, settings.seed) == (5, "paper", 7)


def test_later_ones_win(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text('seed = 3\n[model]\nname = "lr"\n[training]\nepochs = 5\nbatch_size = 64\n')
    settings = resolve_settings(config=path, overrides={"epochs": 9})
    assert (settings.model, settings.seed) == ("lr", 3)
    assert (settings.training.epochs, settings.training.batch_size) == (9, 64)
    assert resolve_settings(config=path, model="autoint", seed=4).model == "autoint"
    assert resolve_settings(config=path, seed=4).seed == 4
    assert resolve_settings(overrides={"model": "lr"}).model == "lr"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("epochs=3", ("epochs", 3)),
        ("learning_rate=1e-3", ("learning_rate", 1e-3)),
        ("dnn_hidden=400,400", ("dnn_hidden", [400, 400])),
        ("dnn_hidden=[400]", ("dnn_hidden", [400])),
        ("clip_norm=none", ("clip_norm", None)),
        ("layer_norm=False", ("layer_norm", False)),
        ("preset=paper", ("preset", "paper")),
    ],
)
def test_what_is_typed(text: str, expected: tuple[str, Any]) -> None:
    assert parse_override(text) == expected


@pytest.mark.parametrize("text", ["epochs", "=3", ""])
def test_an_override_needs_a_value(text: str) -> None:
    with pytest.raises(SettingsError, match="expected NAME=VALUE"):
        parse_override(text)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"overrides": {"epoch": 3}}, "unknown setting 'epoch'; did you mean 'epochs'?"),
        ({"overrides": {"training.epoch": 3}}, "unknown setting 'training.epoch'; did you mean 'epochs'?"),
        ({"overrides": {"trainin.epochs": 3}}, "did you mean 'training'?"),
        ({"overrides": {"epochs": 0}}, "setting 'training.epochs' cannot be 0: it must be greater than or equal to 1"),
        (
            {"overrides": {"learning_rate": "fast"}},
            "setting 'training.learning_rate' cannot be 'fast': it must be",
        ),
        ({"overrides": {"num_heads": 0}}, "num_heads"),
        ({"overrides": {"preset": "refrence"}}, "reference"),
        ({"model": "autoimt"}, "autoint"),
        ({"model": "lr", "overrides": {"num_heads": 2}}, "unknown setting 'num_heads'"),
    ],
)
def test_wrong_settings_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError) as error:
        resolve_settings(**arguments)
    assert message in str(error.value)


def test_a_name_of_two_sections_is_ambiguous(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))

    @registry.register("impatient", summary="a model with a setting that training has too")
    class Impatient(LogisticRegression):
        def __init__(self, layout: Layout, *, patience: int = 1) -> None:
            super().__init__(layout)

    with pytest.raises(SettingsError, match=r"'patience' is ambiguous; say (\w+)\.patience or (\w+)\.patience"):
        resolve_settings(model="impatient", overrides={"patience": 3})
    settings = resolve_settings(model="impatient", overrides={"training.patience": 3})
    assert (settings.training.patience, settings.model_settings["patience"]) == (3, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[trainig]\nepochs = 3\n", "unknown entry 'trainig'; did you mean 'training'?"),
        ("[training]\nepoch = 3\n", "unknown setting 'training.epoch'; did you mean 'epochs'?"),
        ("epochs = ", "is not valid TOML"),
    ],
)
def test_wrong_files_are_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "run.toml"
    path.write_text(text)
    with pytest.raises(SettingsError) as error:
        resolve_settings(config=path)
    assert message in str(error.value)
    with pytest.raises(SettingsError, match="cannot read the settings file"):
        resolve_settings(config=tmp_path / "none.toml")
