"""The main job in Python: train, predict, evaluate, save, load, on every form of source."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pytest

import fieldwise as fw
from fieldwise import datasets
from fieldwise.encoding.encoded import EncodingReport
from fieldwise.errors import DataError, FieldwiseError, PredictorFormatError, SchemaError, SettingsError

QUICK: dict[str, Any] = {"epochs": 2, "batch_size": 128, "num_layers": 1, "attention_dim": 8, "embedding_dim": 4}


SCHEMA = fw.Schema(label="click", fields={"user": fw.Categorical(), "price": fw.Numeric()})


@pytest.fixture(scope="module")
def predictor(clicks: pa.Table) -> fw.Predictor:
    return fw.train(clicks, label="click", settings=QUICK, progress=False)


def test_it_decides_learns_and_tells(predictor: fw.Predictor) -> None:
    assert {name: spec.kind for name, spec in predictor.schema.fields.items()} == {
        "user": "categorical",
        "device": "categorical",
        "price": "numeric",
        "tags": "multi_valued",
    }
    card = predictor.card
    assert (card.data.split.train_rows, card.data.split.valid_rows, card.data.split.test_rows) == (1600, 200, 200)
    assert set(card.metrics) == {"valid", "test"}
    assert card.history.best_epoch is not None
    assert [column.column for column in card.columns] == ["click", "user", "device", "price", "tags"]
    assert "user" in repr(predictor._repr_html_())
    assert "test" in repr(predictor)


def test_every_form_of_source_gives_the_same(predictor: fw.Predictor, clicks: pa.Table, tmp_path: Path) -> None:
    expected = predictor.predict(clicks)
    assert expected.shape == (2000,)
    assert expected.dtype == np.float64
    pa.csv.write_csv(clicks, tmp_path / "a.csv")
    frames = [pd.DataFrame(clicks.to_pydict()), pl.DataFrame(clicks.to_pydict()), clicks.to_pydict()]
    for source in (tmp_path / "a.csv", str(tmp_path / "a.csv"), clicks.to_pylist(), *frames):
        np.testing.assert_array_equal(predictor.predict(source), expected)
    few = clicks.slice(0, 5).to_pylist()
    np.testing.assert_allclose(predictor.predict_rows(few), expected[:5], rtol=1e-6)


def test_saving_and_loading_is_bit_equal(predictor: fw.Predictor, clicks: pa.Table, tmp_path: Path) -> None:
    path = predictor.save(tmp_path / "model")
    loaded = fw.load(path)
    np.testing.assert_array_equal(loaded.predict(clicks), predictor.predict(clicks))
    assert loaded.card == predictor.card
    assert loaded.settings == predictor.settings
    assert loaded.schema == predictor.schema
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_another_process_needs_only_the_directory(predictor: fw.Predictor, clicks: pa.Table, tmp_path: Path) -> None:
    predictor.save(tmp_path / "model")
    rows = clicks.slice(0, 3).drop_columns(["click"]).to_pylist()
    code = (
        "import sys, json, fieldwise as fw\n"
        "p = fw.load(sys.argv[1])\n"
        "print(json.dumps(p.predict(json.loads(sys.argv[2])).tolist()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "model"), json.dumps(rows)],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert json.loads(done.stdout) == predictor.predict(rows).tolist()


def test_unseen_and_missing_values_are_predicted_and_counted(predictor: fw.Predictor) -> None:
    rows = [
        {"user": 999, "device": "watch", "price": None, "tags": "pink|red"},
        {"user": 1_000_001, "device": "phone", "price": "", "tags": None},
    ]
    report = EncodingReport()
    assert np.isfinite(predictor.predict(rows, report=report)).all()
    assert report.unseen == {"user": 1, "device": 1, "tags": 1}
    assert report.missing == {"price": 2, "tags": 1}


def test_unseen_users_are_predicted_near_the_average(clicks: pa.Table) -> None:
    # Even users click, odd ones do not; an unknown user must lie in between, not at either end.
    settings = {"epochs": 10, "learning_rate": 0.05, "batch_size": 128, "min_count": 1}
    predictor = fw.train(clicks, label="click", model="lr", settings=settings, progress=False)
    row = {"device": "phone", "price": 20.0, "tags": "red"}
    users = [1_000_000, 1_000_001, 123]
    even, odd, unknown = predictor.predict_rows([{"user": user, **row} for user in users])
    assert odd + 0.15 < unknown < even - 0.05
    assert any("average token" in note and "user" in note for note in predictor.card.notes)


def test_evaluating_the_training_table_means_its_test_rows(predictor: fw.Predictor, clicks: pa.Table) -> None:
    metrics = predictor.evaluate(clicks)
    assert metrics.to_dict() == predictor.card.metrics["test"]
    assert predictor.evaluate(clicks.slice(0, 500)).rows == 500


def test_no_rows_have_no_predictions(predictor: fw.Predictor, clicks: pa.Table) -> None:
    for source in ([], clicks.slice(0, 0), [{"user": 1, "device": "a", "price": 1, "tags": "b"}][:0]):
        assert predictor.predict(source).shape == (0,)
    assert predictor.predict_rows([]).shape == (0,)


def test_a_time_split_and_groups(clicks: pa.Table) -> None:
    table = clicks.append_column("when", pa.array(np.arange(2000)[::-1].copy()))
    predictor = fw.train(
        table, label="click", model="lr", time="when", group="user", fields={"when": "ignore"}, progress=False
    )
    assert predictor.card.data.split.method == "time"
    assert predictor.card.metrics["test"]["gauc"] is not None
    assert "when" not in predictor.schema.fields
    # The latest rows are the first ones of this table.
    fresh = predictor.evaluate(table)
    assert fresh.rows == 200
    # With other times it is another table, whose test rows nobody knows.
    assert predictor.evaluate(table.set_column(5, "when", pa.array(np.arange(2000)))).rows == 2000
    assert fresh.base_rate == pytest.approx(np.mean(table["click"].to_numpy()[:200]))


def test_given_validation_and_test_rows(clicks: pa.Table) -> None:
    predictor = fw.train(
        clicks.slice(0, 1500),
        label="click",
        model="lr",
        valid=clicks.slice(1500, 300),
        test=clicks.slice(1800),
        progress=False,
    )
    split = predictor.card.data.split
    assert (split.train_rows, split.valid_rows, split.test_rows) == (1500, 0, 0)
    assert predictor.card.metrics["valid"]["rows"] == 300
    assert predictor.card.metrics["test"]["rows"] == 200


@pytest.mark.usefixtures("movielens")
def test_a_built_in_data_set_with_rows_of_ones_own(tmp_path: Path) -> None:
    plain = fw.train("movielens-1m", model="lr", settings={"epochs": 1}, progress=False)
    split = plain.card.data.split
    assert (split.method, split.train_rows, split.valid_rows, split.test_rows) == (None, 320, 40, 40)
    table = datasets.load_dataset("movielens-1m").table
    assert plain.evaluate("movielens-1m").rows == 40
    assert plain.evaluate(table).rows == 400  # which rows were for testing is known to the data set alone
    own = {"valid": table.slice(0, 30), "test": table.slice(30, 50)}
    for given in (own, {"valid": own["valid"]}, {"test": own["test"]}):
        predictor = fw.train("movielens-1m", model="lr", settings={"epochs": 1}, progress=False, **given)
        split = predictor.card.data.split
        assert split.train_rows == 320
        assert split.valid_rows == (0 if "valid" in given else 40)
        assert split.test_rows == (0 if "test" in given else 40)
        assert predictor.card.metrics["valid"]["rows"] == (30 if "valid" in given else 40)
        assert predictor.card.metrics["test"]["rows"] == (50 if "test" in given else 40)


def test_a_file_that_is_called_like_a_built_in_data_set(
    clicks: pa.Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pa.csv.write_csv(clicks, tmp_path / "synthetic")
    monkeypatch.chdir(tmp_path)
    predictor = fw.train("synthetic", label="click", model="lr", settings={"epochs": 1}, progress=False)
    assert predictor.evaluate("synthetic").to_dict() == predictor.card.metrics["test"]


def test_weights_and_positive_labels(clicks: pa.Table) -> None:
    answer = pa.array(["yes" if click else "no" for click in clicks["click"].to_pylist()])
    table = clicks.set_column(0, "bought", answer).append_column("w", pa.array(np.ones(2000)))
    plain = fw.train(clicks, label="click", model="lr", settings={"epochs": 2}, progress=False)
    weighted = fw.train(
        table, label="bought", positive="yes", weight="w", model="lr", settings={"epochs": 2}, progress=False
    )
    assert "w" not in weighted.schema.fields
    np.testing.assert_allclose(weighted.predict(table), plain.predict(clicks), rtol=1e-4)


def test_a_schema_is_used_as_it_stands(clicks: pa.Table, tmp_path: Path) -> None:
    schema = fw.Schema(label="click", fields={"user": fw.Categorical(min_count=3), "price": fw.Numeric(buckets=4)})
    schema.save(tmp_path / "schema.json")
    predictor = fw.train(clicks, schema=tmp_path / "schema.json", model="lr", settings={"epochs": 1}, progress=False)
    assert predictor.schema == schema
    assert [f.size for f in predictor.model.encoder.layout][1] == 6


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({}, SchemaError, "which column holds the label"),
        ({"label": "clik"}, FieldwiseError, "did you mean 'click'"),
        ({"label": "click", "model": "autoimt"}, SettingsError, "autoint"),
        ({"label": "click", "settings": {"epoch": 1}}, SettingsError, "did you mean 'epochs'"),
        ({"label": "user"}, DataError, "expected 0 or 1"),
        ({"label": "click", "fields": {"usr": "numeric"}}, FieldwiseError, "did you mean 'user'"),
        ({"label": "click", "settings": {"split": "time"}}, SchemaError, "needs a time column"),
        ({"label": "click", "time": "whn"}, FieldwiseError, "'whn'"),
        ({"label": "click", "time": "device"}, DataError, "time column 'device': row 1: expected a date such as"),
        ({"label": "click", "time": "price"}, DataError, "has no time; a time-ordered split needs one in every row"),
        (
            {"schema": SCHEMA.model_copy(update={"time": "whn"})},
            DataError,
            "the time column 'whn' is missing; known: click",
        ),
    ],
)
def test_wrong_arguments_are_refused_before_training(
    clicks: pa.Table, arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as caught:
        fw.train(clicks, progress=False, **arguments)
    assert message in str(caught.value)


def test_one_class_only_is_refused(clicks: pa.Table) -> None:
    table = clicks.set_column(0, "click", pa.array([1] * 2000))
    with pytest.raises(DataError, match="every row has the label 1; a model needs rows with and without clicks"):
        fw.train(table, label="click", progress=False)


def test_no_rows_are_refused(clicks: pa.Table) -> None:
    with pytest.raises(DataError, match="no source was given"):
        fw.train([], label="click", progress=False)
    with pytest.raises(DataError, match="a Table in memory: there are no rows"):
        fw.train(clicks.slice(0, 0), schema=SCHEMA, progress=False)


def test_an_existing_directory_is_refused_before_training(clicks: pa.Table, tmp_path: Path) -> None:
    fw.train(clicks, label="click", model="lr", settings={"epochs": 1}, out=tmp_path / "m", progress=False)
    with pytest.raises(PredictorFormatError, match="exists already; choose another name, or replace it"):
        fw.train(clicks, label="click", out=tmp_path / "m", progress=False)
    fw.train(
        clicks, label="click", model="lr", settings={"epochs": 1}, out=tmp_path / "m", overwrite=True, progress=False
    )
    (tmp_path / "mine").mkdir()
    with pytest.raises(PredictorFormatError, match="is no predictor; it is not overwritten"):
        fw.train(clicks, label="click", out=tmp_path / "mine", overwrite=True, progress=False)


def test_importing_is_light() -> None:
    # What is there before is not ours: a coverage run, for one, brings modules into every process.
    code = "import sys; before = {*sys.modules}; import fieldwise; print(*{*sys.modules} - before)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    imported = set(done.stdout.split())
    assert "fieldwise" in imported
    assert not imported & {"torch", "numpy", "pyarrow", "sklearn", "pydantic", "typer", "socket"}
    assert set(fw.__all__) <= set(dir(fw))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        fw.nothing  # noqa: B018


@pytest.mark.parametrize("face", ["datasets", "layers", "metrics", "models", "objectives", "optim"])
def test_what_a_user_may_import_is_there_and_comes_with_the_package(face: str) -> None:
    package = getattr(fw, face)
    missing = [name for name in package.__all__ if not hasattr(package, name)]
    assert not missing
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        package.nothing  # noqa: B018
