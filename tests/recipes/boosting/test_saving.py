"""Trees on disk: what is loaded predicts as what was saved, to the last bit, and what does not fit is refused."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from fieldwise.errors import PredictorFormatError, SettingsError
from fieldwise.objectives import Binary, Objective, Regression
from fieldwise.recipes import boosting
from fieldwise.recipes.boosting import NAMES, FittedTrees, TreesState
from fieldwise.schema import Schema

SCHEMA = Schema.model_validate(
    {
        "fields": {
            "user": "categorical",
            "device": "categorical",
            "hour": {"kind": "categorical", "part": "hour", "column": "at"},
            "price": "numeric",
            "tags": {"kind": "multi_valued", "separator": "|"},
        },
        "label": "click",
    }
)
FEW = {"max_rounds": 40, "early_stopping_rounds": 10, "fixed_rounds": 15, "learning_rate": 0.3}


def installed(name: str) -> Any:
    reason = f"{name} is not installed"
    return pytest.param(name, marks=pytest.mark.skipif(importlib.util.find_spec(name) is None, reason=reason))


both = pytest.mark.parametrize("name", [installed(name) for name in NAMES])
objectives = pytest.mark.parametrize("objective", [Binary(), Regression(mean=0.3, deviation=0.5)], ids=lambda o: o.name)


@pytest.fixture(scope="module")
def log(clicks: pa.Table) -> pa.Table:
    """The clicks with a date, of which some are missing."""
    at = [None if i % 17 == 0 else f"2024-03-{1 + i % 28:02d} {i % 24:02d}:15:00" for i in range(clicks.num_rows)]
    return clicks.append_column("at", pa.array(at))


@pytest.fixture(scope="module")
def trained(log: pa.Table) -> Callable[..., FittedTrees]:
    """Trains once for each name and objective."""
    done: dict[tuple[str, str], FittedTrees] = {}

    def train(name: str, objective: Objective | None = None) -> FittedTrees:
        objective = objective or Binary()
        key = (name, objective.name)
        if key not in done:
            done[key] = boosting.fit(
                name,
                log.slice(0, 1200),
                log.slice(1200, 400),
                SCHEMA,
                objective=objective,
                settings=FEW,
                threads=1,
            )
        return done[key]

    return train


@pytest.fixture
def odd(log: pa.Table) -> pa.Table:
    """Rows never seen, without their label, with missing, unseen and infinite values."""
    part = log.slice(1600).drop_columns(["click"])
    columns = {name: part[name].to_pylist() for name in part.column_names}
    for i in range(0, 200, 5):
        columns["user"][i] = None if i % 2 else 7
        columns["device"][i] = "watch" if i % 2 else None
        columns["price"][i] = [float("inf"), None, -1e300, 1e-300][i % 4]
        columns["tags"][i] = [None, "new|red", "new", "red|red|blue"][i % 4]
        columns["at"][i] = None if i % 2 else "1999-12-31 23:59:59"
    return pa.table(columns)


def saved(model: FittedTrees) -> tuple[TreesState, pa.Table, bytes]:
    """What is written, after a way through JSON."""
    state, vocabularies, trees = model.state()
    return TreesState.model_validate_json(state.model_dump_json()), vocabularies, trees


def load(
    model: FittedTrees, *, schema: Schema = SCHEMA, objective: Objective | None = None, **parts: Any
) -> FittedTrees:
    state, vocabularies, trees = saved(model)
    state = state.model_copy(update=parts.pop("state", {}))
    return FittedTrees.from_state(
        schema, objective or model.objective, state, parts.get("vocabularies", vocabularies), parts.get("trees", trees)
    )


@both
@objectives
def test_loaded_trees_predict_as_before_to_the_last_bit(
    name: str, objective: Objective, trained: Callable[..., FittedTrees], log: pa.Table, odd: pa.Table
) -> None:
    model = trained(name, objective)
    again = load(model)
    for table in (log, odd, odd.slice(3, 1), odd.slice(0, 0)):
        np.testing.assert_array_equal(again.predict(table), model.predict(table))
    np.testing.assert_array_equal(load(model, trees=bytearray(model.state()[2])).predict(odd), model.predict(odd))
    assert again.evaluate(log) == model.evaluate(log)


@both
def test_trees_that_part_the_missing_from_all_others(name: str) -> None:
    rng = np.random.default_rng(0)
    click = rng.integers(0, 2, 600)
    price = np.where(click & (rng.random(600) < 0.8), np.nan, rng.random(600) - 0.5)
    log = pa.table({"click": click, "price": pa.array(price, from_pandas=True)})
    schema = Schema.model_validate({"fields": {"price": "numeric"}, "label": "click"})
    model = boosting.fit(name, log.slice(0, 400), log.slice(400), schema, objective=Binary(), settings=FEW, threads=1)
    if name == "lightgbm":
        assert b"inf" in next(line for line in model.state()[2].splitlines() if line.startswith(b"threshold="))
    np.testing.assert_array_equal(load(model, schema=schema).predict(log), model.predict(log))


@both
def test_loaded_trees_say_what_they_are(name: str, trained: Callable[..., FittedTrees]) -> None:
    model = trained(name)
    again = load(model)
    assert (again.name, again.settings, again.rounds, again.parameters, again.objective, again.schema) == (
        model.name,
        boosting.resolve(name, FEW),
        model.rounds,
        model.parameters,
        Binary(),
        SCHEMA,
    )


@both
def test_loaded_trees_can_be_saved_again(name: str, trained: Callable[..., FittedTrees], odd: pa.Table) -> None:
    model = trained(name)
    again = load(load(model))
    np.testing.assert_array_equal(again.predict(odd), model.predict(odd))


@both
@pytest.mark.parametrize("field", ["user", "price", "tags"])
def test_trees_of_one_kind_of_field_are_saved_too(name: str, field: str, log: pa.Table, odd: pa.Table) -> None:
    schema = Schema.model_validate({"fields": {field: SCHEMA.fields[field].model_dump()}, "label": "click"})
    model = boosting.fit(name, log, log.slice(0, 0), schema, objective=Binary(), settings=FEW, threads=1)
    np.testing.assert_array_equal(load(model, schema=schema).predict(odd), model.predict(odd))


@both
def test_trees_that_have_nothing_to_split_by_are_saved_too(name: str, log: pa.Table, odd: pa.Table) -> None:
    schema = Schema.model_validate({"fields": {"price": "numeric"}, "label": "click"})
    settings = FEW | ({"min_data_in_leaf": 5000} if name == "lightgbm" else {"l2_leaf_reg": 1e9})
    model = boosting.fit(name, log, log.slice(0, 0), schema, objective=Binary(), settings=settings, threads=1)
    np.testing.assert_array_equal(load(model, schema=schema).predict(odd), model.predict(odd))


@both
def test_nothing_of_the_training_machine_is_saved(name: str, trained: Callable[..., FittedTrees]) -> None:
    content = trained(name).state()[2]
    for word in ("/home", "/tmp", sys.prefix):
        assert word.encode() not in content


# ---- what does not fit


@both
def test_trees_of_other_columns_are_refused(name: str, trained: Callable[..., FittedTrees]) -> None:
    model = trained(name)
    fewer = SCHEMA.model_dump()
    del fewer["fields"]["price"]
    with pytest.raises(PredictorFormatError, match=r"columns|max_feature_idx"):
        load(model, schema=Schema.model_validate(fewer))


@both
def test_trees_of_another_objective_are_refused(name: str, trained: Callable[..., FittedTrees]) -> None:
    with pytest.raises(PredictorFormatError, match=r"Logloss, expected RMSE|objective=binary sigmoid:1, expected"):
        load(trained(name), objective=Regression())
    with pytest.raises(PredictorFormatError, match=r"RMSE, expected Logloss|objective=regression, expected"):
        load(trained(name, Regression()), objective=Binary())


@both
@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"rounds": 4_711}, r"the trees have \d+ rounds, 4,711 expected"),
        ({"parameters": 1}, r"the trees have [\d,]+ parameters, 1 expected"),
        ({"settings": {"learning_rate": 0}}, "setting 'learning_rate' cannot be 0"),
        ({"settings": {"deep": 3}}, "has no setting 'deep'"),
    ],
)
def test_a_state_that_says_something_else_is_refused(
    name: str, changed: dict[str, Any], complaint: str, trained: Callable[..., FittedTrees]
) -> None:
    with pytest.raises(PredictorFormatError, match=complaint):
        load(trained(name), state=changed)


def test_an_unknown_library_is_refused() -> None:
    with pytest.raises(ValueError, match="name"):
        TreesState.model_validate(
            {"name": "xgboost", "settings": {}, "rounds": 1, "parameters": 1, "columns": {"most_tokens": 64}}
        )


@both
def test_bytes_that_are_no_trees_are_refused(name: str, trained: Callable[..., FittedTrees]) -> None:
    model = trained(name)
    trees = model.state()[2]
    other = trained(next(n for n in NAMES if n != name)).state()[2]
    for content in (b"", b"tree\n", b"\x80\x04pickle.", bytes(1000), other, trees[: len(trees) // 2], trees[1:]):
        with pytest.raises(PredictorFormatError):
            load(model, trees=content)


@both
def test_loading_needs_the_library(
    name: str, trained: Callable[..., FittedTrees], monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = saved(trained(name))
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(SettingsError, match=rf"{name} is not installed: pip install 'fieldwise\[gbdt\]'"):
        FittedTrees.from_state(SCHEMA, Binary(), *parts)


@both
def test_damaged_trees_are_refused_or_predict_numbers(
    name: str, trained: Callable[..., FittedTrees], odd: pa.Table
) -> None:
    model = trained(name)
    trees = model.state()[2]
    refused = 0
    for seed in range(50):
        rng = np.random.default_rng(seed)
        content = bytearray(trees)
        for _ in range(rng.integers(1, 6)):
            place = rng.integers(0, len(content))
            content[place] = rng.choice(list(b"0123456789- =.\n")) if name == "lightgbm" else rng.integers(0, 256)
        try:
            predicted = load(model, trees=bytes(content)).predict(odd)
        except PredictorFormatError:
            refused += 1
        else:
            assert np.isfinite(predicted).all()
    assert refused > 5
