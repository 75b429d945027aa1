"""Trees as a recipe: from prepared rows to a result like that of a network."""

from __future__ import annotations

import importlib.util
import signal
import sys
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from fieldwise.objectives import Binary
from fieldwise.preparation import Prepared, Tables, prepare
from fieldwise.recipes import boosting
from fieldwise.recipes.boosting import NAMES, FittedTrees
from fieldwise.recipes.boosting.library import LabelledRows
from fieldwise.reporting import Reporter
from fieldwise.schema import Schema
from fieldwise.settings import DataSettings, Settings
from fieldwise.training.history import History

FIELDS = {
    "user": "categorical",
    "device": "categorical",
    "price": "numeric",
    "tags": {"kind": "multi_valued", "separator": "|"},
}
FEW: dict[str, Any] = {"max_rounds": 60, "early_stopping_rounds": 10, "fixed_rounds": 20, "learning_rate": 0.3}
QUIET = Reporter(enabled=False)


def installed(name: str) -> Any:
    reason = f"{name} is not installed"
    return pytest.param(name, marks=pytest.mark.skipif(importlib.util.find_spec(name) is None, reason=reason))


both = pytest.mark.parametrize("name", [installed(name) for name in NAMES])


def prepared(table: pa.Table, *, label: str = "click", objective: str = "binary", **data: Any) -> Prepared:
    schema = Schema.model_validate({"fields": {n: f for n, f in FIELDS.items() if n != label}, "label": label})
    return prepare(Tables("a log", table, None, None), schema, DataSettings(**data), seed=0, objective=objective)


def settings(name: str) -> Settings:
    return Settings(model=name, model_settings=boosting.resolve(name, FEW), seed=3)


@both
def test_training_gives_the_account_of_a_run(name: str, clicks: pa.Table) -> None:
    parts = prepared(clicks)
    result = boosting.train(parts, settings(name), reporter=QUIET, threads=1)
    model = result.model
    assert isinstance(model, FittedTrees)
    same = boosting.fit(
        name,
        parts.raw("train"),
        parts.raw("valid"),
        parts.schema,
        objective=Binary(),
        settings=FEW,
        seed=3,
        threads=1,
    )
    np.testing.assert_array_equal(model.predict(clicks), same.predict(clicks))
    assert result.epochs == result.best_epoch == model.rounds >= 1
    assert result.history == History()
    assert result.settings == settings(name)
    assert result.rows_per_s == pytest.approx(1600 * model.rounds / result.seconds)
    assert (result.device, result.notes) == ("cpu", [])
    assert result.metrics == {part: model.evaluate(parts.raw(part)) for part in ("valid", "test")}


@both
def test_parts_without_rows_are_not_measured(name: str, clicks: pa.Table, capsys: pytest.CaptureFixture[str]) -> None:
    parts = prepared(clicks, valid_fraction=0.0, test_fraction=0.0)
    result = boosting.train(parts, settings(name), reporter=Reporter(sys.stdout), threads=1)
    assert result.metrics == {}
    assert result.epochs == FEW["fixed_rounds"]
    assert result.notes == [f"{name}: no validation rows to stop by, so 20 rounds are trained"]
    said = capsys.readouterr().out
    assert result.notes[0] in said
    assert f"{result.model.parameters['all']:,} numbers in the trees" in said


@both
def test_numbers_are_measured_as_numbers(name: str, clicks: pa.Table) -> None:
    # The price follows the device, up to some noise.
    device = np.array(clicks["device"].to_pylist())
    price = np.where(device == "phone", 30.0, 10.0) + np.random.default_rng(0).normal(size=len(device))
    table = clicks.set_column(clicks.column_names.index("price"), "price", pa.array(price))
    result = boosting.train(
        prepared(table, label="price", objective="regression"), settings(name), reporter=QUIET, threads=1
    )
    for part in ("valid", "test"):
        measured = result.metrics[part].to_dict()
        assert measured["rmse"] == pytest.approx(1, abs=0.25)
        assert measured["mae"] == pytest.approx(0.8, abs=0.25)


@both
def test_test_rows_decide_nothing(name: str, clicks: pa.Table) -> None:
    parts = prepared(clicks)
    with_test, without = (
        boosting.train(p, settings(name), reporter=QUIET, threads=1) for p in (parts, parts.without_test())
    )
    np.testing.assert_array_equal(with_test.model.predict(clicks), without.model.predict(clicks))
    assert without.metrics.keys() == {"valid"}


@both
@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize("validated", [True, False])
def test_ctrl_c_keeps_the_best_round_so_far(
    name: str, validated: bool, clicks: pa.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = prepared(clicks) if validated else prepared(clicks, valid_fraction=0.0)
    ends = {"max_rounds": 2000, "early_stopping_rounds": 2000, "fixed_rounds": 2000, "learning_rate": 0.01}
    asked = Settings(model=name, model_settings=boosting.resolve(name, ends), seed=3)
    # A signal that comes while the library reads the rows waits for the end of the first round.
    read = FittedTrees.__module__ + ".LabelledRows"
    monkeypatch.setattr(read, lambda *values: signal.raise_signal(signal.SIGINT) or LabelledRows(*values))
    with pytest.raises(KeyboardInterrupt):  # of the training rows and of the validation rows: twice
        boosting.train(parts, asked, reporter=QUIET, threads=1)
    signals = iter([signal.SIGINT])

    def once(*values: Any) -> LabelledRows:
        for number in signals:
            signal.raise_signal(number)
        return LabelledRows(*values)

    monkeypatch.setattr(read, once)
    result = boosting.train(parts, asked, reporter=QUIET, threads=1)
    assert isinstance(result.model, FittedTrees)
    assert (result.history.ended, result.model.rounds) == ("interrupted", 1)
