"""Settings: one grammar for Python, files and the command line; unknown names are refused with a hint."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import Field

from fieldwise.architecture import Architecture
from fieldwise.errors import SettingsError
from fieldwise.layout import FieldLayout, Layout
from fieldwise.models import registry
from fieldwise.models.logistic_regression import LogisticRegression
from fieldwise.settings import Settings, parse_override, resolve_settings, trees
from fieldwise.settings.catalogue import describe_settings, value_text


def test_defaults() -> None:
    settings = resolve_settings()
    assert settings.model == "autoint"
    assert settings.model_settings["attention_dim"] == 64
    assert (settings.training.batch_size, settings.data.min_count, settings.seed) == ("auto", 2, 0)
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


def test_a_byte_order_mark_is_no_part_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text("seed = 3\n", encoding="utf-8-sig")
    assert resolve_settings(config=path).seed == 3


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


class Impatient(LogisticRegression):
    """A model with a setting that training has too."""

    def __init__(self, layout: Layout, *, patience: int = 1) -> None:
        super().__init__(layout)


def test_a_name_of_two_sections_is_ambiguous() -> None:
    with registry.temporary():
        registry.register("impatient", summary="a model with a setting that training has too")(Impatient)
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


OLD = {"passes": 2, "share_positions": True, "position_threshold": 0.7, "position_mu": 0.5, "position_c": 0.1}
NEW = {"epochs": 2, "share_dimensions": True, "dimension_threshold": 0.7, "dimension_mu": 0.5, "dimension_c": 0.1}


def test_old_names_are_understood(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = resolve_settings(model="aim", overrides={f"search.{name}": value for name, value in NEW.items()})
    assert not caplog.records
    path = tmp_path / "run.toml"
    path.write_text(
        "[search]\npasses = 2\nshare_positions = true\nposition_threshold = 0.7\nposition_mu = 0.5\nposition_c = 0.1\n"
    )
    assert resolve_settings(model="aim", config=path) == settings
    old_rate = resolve_settings(model="aim", overrides={"search.position_gate_learning_rate": 1.0})
    assert old_rate.search.dimension_gate_learning_rate == 1.0  # type: ignore[union-attr]
    assert resolve_settings(model="aim", overrides={f"search.{name}": value for name, value in OLD.items()}) == settings
    assert resolve_settings(model="aim", overrides=OLD) == settings
    assert "the setting search.passes is now called search.epochs" in caplog.messages
    assert resolve_settings(model="aim", config=path, overrides={"search.epochs": 3}).search.epochs == 3  # type: ignore[union-attr]


def test_a_setting_under_both_names_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    for text in ("passes = 2\nepochs = 3\n", "epochs = 3\npasses = 2\n"):
        path.write_text(f"[search]\n{text}")
        with pytest.raises(
            SettingsError, match=r"'search\.passes' is the old name of 'search\.epochs'; say one of them"
        ):
            resolve_settings(model="aim", config=path)
    with pytest.raises(SettingsError, match="unknown setting 'passes'"):
        resolve_settings(model="fm", overrides={"passes": 2})


def test_saved_settings_are_read_in_today_s_words() -> None:
    architecture = {
        "format": "fieldwise architecture",
        "version": 1,
        "embedding_dim": 4,
        "fields": {"user": {"kind": "categorical", "size": 9}},
        "positions": None,
    }
    settings = resolve_settings(model="aim", overrides={**NEW, "epochs": 7, "search.epochs": 2})
    saved = settings.model_dump(mode="json")
    saved["search"] = {**{n: v for n, v in saved["search"].items() if n not in NEW}, **OLD}
    assert Settings.model_validate(saved) == settings
    saved["model_settings"]["architecture"] = architecture
    read = Settings.model_validate(saved).model_settings["architecture"]
    assert read == {**{n: v for n, v in architecture.items() if n != "positions"}, "version": 2, "dimensions": None}
    saved["search"]["epochs"] = 2
    with pytest.raises(SettingsError, match="passes"):
        Settings.model_validate(saved)


def test_a_path_in_a_file_is_looked_for_beside_it_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = Layout((FieldLayout("user", "categorical", 9), FieldLayout("movie", "categorical", 7)))
    for folder, dim in (("there", 3), ("here", 5)):
        architecture = Architecture.everything(layout, functions=["inner"], embedding_dim=dim)
        architecture.save(tmp_path / folder / "found" / "architecture.json")
    path = tmp_path / "there" / "run.toml"
    path.write_text('[model]\nname = "aim"\narchitecture = "found"\n')
    monkeypatch.chdir(tmp_path / "here")

    def size(**arguments: Any) -> int:
        dim: int = resolve_settings(**arguments).model_settings["architecture"]["embedding_dim"]
        return dim

    assert size(config=path) == size(config="../there/run.toml") == 3
    assert size(config=path, overrides={"architecture": "found"}) == 5
    assert size(model="aim", overrides={"model.architecture": Path("found")}) == 5
    path.write_text(f'[model]\nname = "aim"\narchitecture = "{tmp_path / "here" / "found"}"\n')
    assert size(config=path) == 5
    shutil.rmtree(tmp_path / "there" / "found")
    path.write_text('[model]\nname = "aim"\narchitecture = "found"\n')
    assert size(config=path) == 5  # not beside the file, so from where the command runs
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    Architecture.everything(layout, functions=["inner"], embedding_dim=7).save("~/found/architecture.json")
    assert size(model="aim", overrides={"model.architecture": "~/found"}) == 7
    (tmp_path / "home" / "run.toml").write_text('[model]\nname = "aim"\narchitecture = "~/found"\n')
    assert size(config="~/run.toml") == 7
    shutil.rmtree(tmp_path / "here" / "found")
    with pytest.raises(SettingsError, match=r"there is no architecture .*there.found"):
        resolve_settings(config=path)


class TestCatalogue:
    """`describe_settings`: nothing that may be set lacks a meaning, and what is said is so."""

    @pytest.mark.parametrize("model", [*registry.names(), *trees.NAMES])
    def test_every_setting_has_a_meaning(self, model: str) -> None:
        for setting in describe_settings(model):
            assert len(setting.meaning.split()) > 2, f"{setting.name}: its class's docstring does not say what it means"
            assert not re.search(r"^See `|; see `|\. ;", setting.meaning), setting
            assert setting.values

    @pytest.mark.parametrize("model", [*registry.names(), *trees.NAMES])
    def test_names_and_defaults_are_those_of_a_run(self, model: str) -> None:
        settings = resolve_settings(model=model)
        found = {setting.name: setting.default for setting in describe_settings(model)}
        expected = settings.by_name()
        del expected["model.name"]
        if settings.search is None:
            del expected["search"]
        if model in trees.NAMES:  # which have no use for these
            expected = {n: v for n, v in expected.items() if n != "model.preset" and not n.startswith("training.")}
        assert found == expected

    @pytest.mark.parametrize("model", registry.names())
    def test_every_choice_and_default_is_accepted(self, model: str) -> None:
        described = describe_settings(model)
        assert any(setting.choices for setting in described)
        for setting in described:
            for value in {value_text(v) for v in (*setting.choices, setting.default)}:
                resolve_settings(model=model, overrides=dict([parse_override(f"{setting.name}={value}")]))

    def test_a_layer_explains_what_a_model_hands_to_it(self) -> None:
        found = {setting.name: setting.meaning for setting in describe_settings("autoint")}
        assert found["model.residual"] == "Adds the residual branch."
        assert found["model.dnn_dropout"].startswith("The feed-forward network beside the attention. Share of hidden")

    def test_what_a_value_may_be(self) -> None:
        found = {setting.name: setting for setting in describe_settings("aim")}
        assert found["training.micro_batch"].values == "auto or whole number >= 1"
        assert found["data.valid_fraction"].values == "number >= 0 and < 1"
        assert found["search.orders"].values == "whole numbers with commas between"
        assert found["search.orders"].default == [2]
        assert found["model.architecture"].values == "file or none"
        assert found["model.embedding_dim"].values == "whole number from 1 to 65,536"
        assert found["training.clip_norm"].values == "number > 0 or none"
        assert found["model.gates"].choices == (True, False)
        assert found["model.preset"].choices == ("aim-avazu", "aim-criteo", None)

    def test_defaults_are_the_models_own(self) -> None:
        assert {s.name: s.default for s in describe_settings("autofis")}["search.threshold"] == 0.65
        assert {s.name: s.default for s in describe_settings("autoint+")}["model.dnn_hidden"] == [400, 400]

    def test_a_model_of_ones_own(self) -> None:
        with registry.temporary():

            @registry.register("mine", summary="of a test")
            class Mine(LogisticRegression):
                """A model.

                Args:
                    layout: The fields of the data.
                    power: what the logit is
                        multiplied by
                """

                def __init__(
                    self,
                    layout: Layout,
                    *,
                    power: float = 1.0,
                    told: Annotated[int, Field(ge=1, description="How often it is told.")] = 2,
                    untold: int = 3,
                ) -> None:
                    super().__init__(layout)

            found = {setting.name: setting.meaning for setting in describe_settings("mine")}
        assert found["model.power"] == "What the logit is multiplied by."
        assert found["model.told"] == "How often it is told."
        assert found["model.untold"] == ""

    def test_an_unknown_model(self) -> None:
        with pytest.raises(SettingsError, match=r"unknown model 'light_gbm'; did you mean 'lightgbm'\?"):
            describe_settings("light_gbm")
        with pytest.raises(SettingsError, match=r"unknown model 'cat_boost'; did you mean 'catboost'\?"):
            resolve_settings(model="cat_boost")


@pytest.mark.parametrize(
    ("model", "name"),
    [("lightgbm", "training.epochs"), ("lightgbm", "batch_size"), ("catboost", "search.top"), ("lr", "max_tuples")],
)
def test_a_setting_that_other_models_have_is_not_called_unknown(model: str, name: str) -> None:
    with pytest.raises(
        SettingsError, match=f"^model '{model}' has no setting '{name}'; those of \\[model\\] are "
    ) as error:
        resolve_settings(model=model, overrides={name: 3})
    assert ("num_leaves" in str(error.value)) == (model == "lightgbm")
