"""Settings of trees: their names, their defaults, and what is said of wrong ones."""

from __future__ import annotations

import pytest

from fieldwise.errors import SettingsError
from fieldwise.recipes import boosting
from fieldwise.recipes.boosting import NAMES


@pytest.mark.parametrize("name", NAMES)
def test_wrong_settings_are_named(name: str) -> None:
    with pytest.raises(
        SettingsError, match=f"model '{name}' has no setting 'learning_rat'; did you mean 'learning_rate'"
    ):
        boosting.resolve(name, {"learning_rat": 0.1})
    with pytest.raises(SettingsError, match=f"model '{name}': setting 'learning_rate' cannot be 0"):
        boosting.resolve(name, {"learning_rate": 0})


@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_said_stands_at_its_default(name: str) -> None:
    settings = boosting.resolve(name, {"max_rounds": 7})
    assert (settings["max_rounds"], settings["early_stopping_rounds"]) == (7, 100)
    assert settings.keys() == boosting.settings_model(name).model_fields.keys()


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(SettingsError, match="unknown model 'lightgmb'; did you mean 'lightgbm'"):
        boosting.resolve("lightgmb")
    with pytest.raises(SettingsError, match="did you mean 'catboost'"):
        boosting.settings_model("catbost")
    with pytest.raises(SettingsError, match="did you mean 'catboost'"):
        boosting.require("catbost")
