"""The search: which ranges there are, and that nothing but the trials so far decides what is tried next."""

from __future__ import annotations

import importlib.util
import json
import logging
import sys
from pathlib import Path
from typing import Any

import pytest

from fieldwise.errors import DataError, SettingsError, StorageError, TrainingError
from fieldwise.layout import FieldLayout, Layout
from fieldwise.models import registry
from fieldwise.recipes import boosting
from fieldwise.settings import TrainingSettings, resolve_settings
from fieldwise.tuning import Choice, Range, Tuned, default_ranges, parse_range, tune

needs_optuna = pytest.mark.skipif(importlib.util.find_spec("optuna") is None, reason="optuna is not installed")

RANGES: dict[str, Choice | Range] = {
    "training.learning_rate": Range(low=1e-4, high=1.0, log=True),
    "model.num_layers": Range(low=1, high=6),
    "model.dnn_hidden": Choice(choices=[[100], [200, 200], None]),
}


def bowl(settings: dict[str, Any], number: int) -> float:
    """A loss that is least, 0, at 0.01, 3 and [200, 200]; 5 at the defaults."""
    if not settings:
        return 5.0
    hidden = settings["model.dnn_hidden"]
    rate = settings["training.learning_rate"]
    return float((rate - 0.01) ** 2 * 100 + (settings["model.num_layers"] - 3) ** 2 + (hidden != [200, 200]))


def search(place: Path, *, trials: int, ranges: Any = RANGES, evaluate: Any = bowl, seed: int = 0) -> Tuned:
    return tune(ranges, trials=trials, evaluate=evaluate, place=place, seed=seed)


def told(tuned: Tuned) -> list[Any]:
    return [(t.number, t.settings, t.loss, t.error) for t in tuned.trials]


# ---- ranges


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([8, 16], Choice(choices=[8, 16])),
        (((200, 200), None), Choice(choices=[[200, 200], None])),
        ({"low": 1, "high": 4}, Range(low=1, high=4)),
        ({"low": 1e-4, "high": 1e-2, "log": True}, Range(low=1e-4, high=1e-2, log=True)),
        (Range(low=0.5, high=2), Range(low=0.5, high=2)),
    ],
)
def test_a_range_is_read_as_it_is_written_in_toml(value: Any, expected: Choice | Range) -> None:
    read = parse_range("model.x", value)
    assert read.model_dump_json() == expected.model_dump_json()
    assert parse_range("model.x", json.loads(read.model_dump_json()).get("choices") or read) == read


def test_whole_ends_stay_whole() -> None:
    assert Range(low=1, high=4).whole
    assert not Range(low=1, high=4.0).whole
    assert isinstance(Range.model_validate_json('{"low": 1, "high": 4}').low, int)
    assert isinstance(Range.model_validate_json('{"low": 1.0, "high": 4}').low, float)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "at least one value"),
        ([8, 16, 8], "got 8 twice"),
        ([object()], "numbers, texts, booleans, null or lists"),
        ([float("nan")], "numbers, texts, booleans, null or lists"),
        ({"low": 1}, "'high' is missing"),
        ({"low": 1, "high": 2, "lg": True}, "unknown entry 'lg'; did you mean 'log'?"),
        ({"low": 1, "high": "2"}, "'high' cannot be '2': it must be a valid integer or a valid number"),
        ({"low": False, "high": True}, "'low' cannot be False"),
        ({"low": 1, "high": float("inf")}, "'high' cannot be inf"),
        ({"low": 2, "high": 1}, "low must be below high, got low = 2 and high = 1"),
        ({"low": 0, "high": 1, "log": True}, "with log, low must be above 0"),
        (3, "got 3; expected a list of choices or {low = ..., high = ...}"),
    ],
)
def test_a_wrong_range_names_its_setting(value: Any, message: str) -> None:
    with pytest.raises(SettingsError) as error:
        parse_range("model.embedding_dim", value)
    assert str(error.value).startswith("range of 'model.embedding_dim': ")
    assert message in str(error.value)


def endpoints(chosen: Choice | Range) -> list[Any]:
    return chosen.choices if isinstance(chosen, Choice) else [chosen.low, chosen.high]


@pytest.mark.parametrize("model", registry.names())
def test_every_model_has_ranges_whose_every_end_it_accepts(model: str) -> None:
    ranges = default_ranges(model)
    layout = Layout(tuple(FieldLayout(f"f{i}", "categorical", 5) for i in range(3)))
    assert "training.learning_rate" in ranges
    if "embedding_dim" in registry.settings_model(model).model_fields:
        assert "model.embedding_dim" in ranges
    for name, chosen in ranges.items():
        for value in endpoints(chosen):
            settings = resolve_settings(model=model, overrides={name: value})
            section, _, setting = name.partition(".")
            if section == "model":
                registry.build(model, layout, {setting: value})
                assert settings.model_settings[setting] == value
            else:
                assert getattr(settings.training, setting) == value


@pytest.mark.parametrize("model", registry.names())
def test_the_least_and_the_largest_of_everything_can_be_built_together(model: str) -> None:
    layout = Layout(tuple(FieldLayout(f"f{i}", "categorical", 5) for i in range(3)))
    own = {n.removeprefix("model."): c for n, c in default_ranges(model).items() if n.startswith("model.")}
    for end in (0, -1):
        registry.build(model, layout, {name: endpoints(chosen)[end] for name, chosen in own.items()})


@pytest.mark.parametrize("name", boosting.NAMES)
def test_trees_have_ranges_whose_every_end_they_accept(name: str) -> None:
    ranges = default_ranges(name)
    assert "model.learning_rate" in ranges
    for setting, chosen in ranges.items():
        for value in endpoints(chosen):
            assert boosting.resolve(name, {setting.removeprefix("model."): value})


def test_sizes_are_searched_around_a_models_own_default() -> None:
    assert default_ranges("autoint")["model.embedding_dim"] == Choice(choices=[8, 16, 32, 64])
    assert default_ranges("autoint")["model.attention_dim"] == Choice(choices=[32, 64, 128, 256])


def test_a_network_beside_the_attention_is_searched_only_where_there_is_one() -> None:
    assert "model.dnn_hidden" in default_ranges("autoint+")
    assert not [name for name in default_ranges("autoint") if name.startswith("model.dnn_")]


def test_all_networks_share_the_ranges_of_training() -> None:
    shared = {n: c for n, c in default_ranges("lr").items() if n.startswith("training.")}
    assert set(shared) <= {f"training.{name}" for name in TrainingSettings.model_fields}
    for model in registry.names():
        assert shared.items() <= default_ranges(model).items()


def test_an_unknown_model_has_no_ranges() -> None:
    with pytest.raises(SettingsError, match="did you mean 'autoint'"):
        default_ranges("autoimt")


# ---- the search


@needs_optuna
def test_the_search_finds_the_bottom_of_a_bowl(tmp_path: Path) -> None:
    tuned = search(tmp_path, trials=60)
    assert tuned.best["model.num_layers"] == 3
    assert tuned.best["model.dnn_hidden"] == [200, 200]
    assert bowl(tuned.best, 0) < 0.1
    assert isinstance(tuned.best["model.num_layers"], int)
    assert [t.number for t in tuned.trials] == list(range(60))


@needs_optuna
def test_the_first_trial_is_the_defaults(tmp_path: Path) -> None:
    seen = []

    def evaluate(settings: dict[str, Any], number: int) -> float:
        seen.append((number, settings))
        return float(number)

    tuned = search(tmp_path, trials=3, evaluate=evaluate)
    assert seen[0] == (0, {})
    assert tuned.best == {}
    assert [settings.keys() for _, settings in seen[1:]] == [RANGES.keys()] * 2


@needs_optuna
def test_every_draw_lies_within_its_range(tmp_path: Path) -> None:
    for trial in search(tmp_path, trials=30).trials[1:]:
        assert 1e-4 <= trial.settings["training.learning_rate"] <= 1
        assert trial.settings["model.num_layers"] in range(1, 7)
        assert trial.settings["model.dnn_hidden"] in [[100], [200, 200], None]


@needs_optuna
def test_an_interrupted_search_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    whole = search(tmp_path / "whole", trials=16)

    def interrupted(settings: dict[str, Any], number: int) -> float:
        if number == 13:
            raise KeyboardInterrupt
        return bowl(settings, number)

    search(tmp_path / "parts", trials=5)
    with pytest.raises(KeyboardInterrupt):
        search(tmp_path / "parts", trials=16, evaluate=interrupted)
    assert len(json.loads((tmp_path / "parts" / "trials.json").read_text())["trials"]) == 13
    # The order in which the ranges are named decides nothing.
    resumed = search(tmp_path / "parts", trials=16, ranges=dict(reversed(RANGES.items())))
    assert told(resumed) == told(whole)
    assert resumed.best == whole.best


@needs_optuna
def test_a_finished_search_is_not_repeated(tmp_path: Path) -> None:
    first = search(tmp_path, trials=4)

    def never(settings: dict[str, Any], number: int) -> float:
        raise AssertionError("a trial was repeated")

    assert search(tmp_path, trials=4, evaluate=never) == first
    assert search(tmp_path, trials=2, evaluate=never) == first


@needs_optuna
def test_another_seed_tries_other_settings(tmp_path: Path) -> None:
    first, second = (search(tmp_path / str(seed), trials=3, seed=seed) for seed in (1, 2))
    assert first.trials[1].settings != second.trials[1].settings
    with pytest.raises(SettingsError, match=r"from seed 1, not 2"):
        search(tmp_path / "1", trials=3, seed=2)


@needs_optuna
def test_nothing_is_tried_twice_and_the_search_ends_when_all_was_tried(tmp_path: Path) -> None:
    tuned = search(tmp_path, trials=50, ranges={"a": Choice(choices=[1, 2, 3])}, evaluate=lambda s, n: 1.0)
    assert tuned.trials[0].settings == {}
    assert sorted(t.settings["a"] for t in tuned.trials[1:]) == [1, 2, 3]


@needs_optuna
def test_a_failed_trial_is_recorded_and_the_search_goes_on(tmp_path: Path) -> None:
    def evaluate(settings: dict[str, Any], number: int) -> float:
        if number == 1:
            raise TrainingError("the loss of batch 7 is not a number")
        return float("nan") if number == 2 else bowl(settings, number)

    tuned = search(tmp_path, trials=20, evaluate=evaluate)
    assert [t.loss for t in tuned.trials[1:3]] == [None, None]
    assert tuned.trials[1].error == "the loss of batch 7 is not a number"
    assert tuned.trials[2].error == "the validation log loss is nan"
    assert len(tuned.trials) == 20
    assert told(search(tmp_path, trials=20, evaluate=evaluate)) == told(tuned)


@needs_optuna
def test_the_search_keeps_away_from_where_trials_fail(tmp_path: Path) -> None:
    def evaluate(settings: dict[str, Any], number: int) -> float:
        if settings and settings["x"] > 0.5:
            raise TrainingError("it diverged")
        return 1.0

    tuned = search(tmp_path, trials=60, ranges={"x": Range(low=0.0, high=1.0)}, evaluate=evaluate)
    assert sum(t.loss is None for t in tuned.trials[30:]) < 12


@needs_optuna
def test_a_search_in_which_all_fails_says_so(tmp_path: Path) -> None:
    def evaluate(settings: dict[str, Any], number: int) -> float:
        raise DataError("column 'user' is missing")

    with pytest.raises(TrainingError, match="all 3 trials failed, the first one with: column 'user' is missing"):
        search(tmp_path, trials=3, evaluate=evaluate)


@needs_optuna
def test_a_programming_error_is_not_taken_for_a_failed_trial(tmp_path: Path) -> None:
    def evaluate(settings: dict[str, Any], number: int) -> float:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        search(tmp_path, trials=3, evaluate=evaluate)


@needs_optuna
@pytest.mark.parametrize(
    ("ranges", "message"),
    [
        ({**RANGES, "model.num_layers": Range(low=1, high=7)}, "'model.num_layers' was .*6.* and is .*7"),
        ({**RANGES, "model.dropout": Choice(choices=[0.0])}, "'model.dropout' was not there"),
        ({"model.num_layers": RANGES["model.num_layers"]}, "and is not there"),
        ({**RANGES, "model.num_layers": Range(low=1, high=6.0)}, "'model.num_layers'"),
    ],
)
def test_other_ranges_than_before_are_refused(tmp_path: Path, ranges: Any, message: str) -> None:
    search(tmp_path, trials=2)
    with pytest.raises(SettingsError, match="holds a search over other ranges") as error:
        search(tmp_path, trials=2, ranges=ranges)
    assert error.match(message)


@needs_optuna
def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    (tmp_path / "trials.json").write_text('{"format": 1, "trials": ')
    with pytest.raises(SettingsError, match=r"trials\.json cannot be read as a record of trials"):
        search(tmp_path, trials=2)


@needs_optuna
def test_a_place_is_searched_by_one_at_a_time(tmp_path: Path) -> None:
    def evaluate(settings: dict[str, Any], number: int) -> float:
        search(tmp_path, trials=1)
        return 1.0

    with pytest.raises(StorageError, match="another process searches in"):
        search(tmp_path, trials=1, evaluate=evaluate)


@pytest.mark.parametrize(("ranges", "trials"), [({}, 3), (RANGES, 0)])
def test_a_search_for_nothing_is_refused(tmp_path: Path, ranges: Any, trials: int) -> None:
    with pytest.raises(SettingsError, match="at least one"):
        search(tmp_path, trials=trials, ranges=ranges)


def test_a_missing_optuna_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(SettingsError, match=r"pip install 'fieldwise\[tune\]'"):
        search(tmp_path, trials=2)


@needs_optuna
def test_optuna_says_nothing_and_is_left_as_it_was(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    import optuna

    before = logging.getLogger("optuna").level
    search(tmp_path, trials=12)
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger("optuna").level == before == optuna.logging.get_verbosity()
