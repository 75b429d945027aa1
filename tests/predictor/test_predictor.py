"""Predictor: no state between calls, the account of a call, and which rows an evaluation measures."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pytest

import fieldwise as fw
from fieldwise.encoding.encoded import EncodingReport
from fieldwise.errors import ArgumentError, DataError
from fieldwise.metrics import evaluate_binary
from fieldwise.predictor.predictor import FEW_ROWS
from fieldwise.preparation.records import fingerprint


@pytest.fixture(scope="module", params=["lr", "autoint", "lightgbm", "catboost"])
def predictor(request: pytest.FixtureRequest, clicks: pa.Table) -> fw.Predictor:
    settings = {"epochs": 1} if request.param in ("lr", "autoint") else {"max_rounds": 5}
    return fw.train(clicks, label="click", model=request.param, settings=settings, progress=False)


def test_threads_do_not_read_each_other_s_account(predictor: fw.Predictor, clicks: pa.Table) -> None:
    """Requests with an unseen user among clean ones: each is told its own, and predicts as if it were alone."""
    clean = clicks.slice(0, 20).drop_columns(["click"]).to_pylist()
    odd = [{**row, "user": 10**9} for row in clean]
    alone = {id(rows): predictor.predict_rows(rows) for rows in (clean, odd)}

    def ask(number: int) -> tuple[bool, bool]:
        rows, report = (clean, odd)[number % 2], EncodingReport()
        if number % 3:
            prediction = predictor.predict_rows(rows, report=report)
        else:
            prediction = predictor.predict(rows, report=report)
        unseen = report.unseen.get("user", 0)
        return bool(np.allclose(prediction, alone[id(rows)], atol=1e-6)), unseen == (20 if number % 2 else 0)

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(ask, range(60)))
    assert answers == [(True, True)] * 60


def test_a_report_takes_in_several_calls(predictor: fw.Predictor, clicks: pa.Table) -> None:
    rows = clicks.slice(0, 2).drop_columns(["click"]).to_pylist()
    report = EncodingReport()
    for _ in range(3):
        predictor.predict([{**rows[0], "user": 10**9}, rows[1]], report=report)
    assert (report.rows, report.unseen["user"]) == (6, 3)


def test_an_evaluation_says_which_rows_it_measured(predictor: fw.Predictor, clicks: pa.Table) -> None:
    test = predictor.evaluate(clicks)
    everything = predictor.evaluate(clicks, rows="all")
    other = predictor.evaluate(clicks.slice(0, 50))
    assert (test.part, test.rows) == ("test", round(len(clicks) / 10))
    assert str(test).startswith(f"{test.rows:,} test rows, ")
    assert (everything.part, everything.rows) == ("all", len(clicks))
    assert str(everything).startswith(f"{len(clicks):,} rows, ")
    assert (other.part, other.rows) == ("all", 50)
    with pytest.raises(ArgumentError, match=r"there are no rows 'tset'; did you mean 'test'\?"):
        predictor.evaluate(clicks, rows="tset")  # type: ignore[arg-type]


def test_a_table_that_was_trained_on_is_known_by_its_rows(
    predictor: fw.Predictor, clicks: pa.Table, caplog: pytest.LogCaptureFixture
) -> None:
    more = clicks.select(clicks.column_names[::-1]).add_column(0, "more", pa.array(range(len(clicks))))
    assert predictor.evaluate(more) == predictor.evaluate(clicks)
    earlier = predictor.card.data.model_copy(
        update={"fingerprint": fingerprint(clicks["click"].to_numpy(), clicks.column_names)}
    )
    assert earlier.is_of(clicks.column_names, clicks["click"].to_numpy())
    assert not earlier.is_of(more.column_names, clicks["click"].to_numpy())

    shuffled = clicks.take(np.random.default_rng(0).permutation(len(clicks)))
    for table, told in ((shuffled, True), (clicks.slice(1), False)):
        caplog.clear()
        with caplog.at_level("INFO", "fieldwise"):
            assert predictor.evaluate(table).part == "all"
        assert any("whether they are the same cannot be told" in message for message in caplog.messages) == told


@pytest.mark.parametrize("model", ["lr", "lightgbm"])
def test_rows_without_the_weight_column_count_the_same(
    model: str, clicks: pa.Table, caplog: pytest.LogCaptureFixture
) -> None:
    weighted = clicks.append_column("shown", pa.array(np.arange(len(clicks)) % 3 + 1))
    settings = {"epochs": 1} if model == "lr" else {"max_rounds": 5}
    predictor = fw.train(weighted, label="click", weight="shown", model=model, settings=settings, progress=False)
    with caplog.at_level("INFO", "fieldwise"):
        bare = predictor.evaluate(clicks, rows="all")
    assert "the weight column 'shown' is missing: every row counts the same" in caplog.messages
    probability = predictor.predict(clicks)
    assert bare.to_dict() == evaluate_binary(clicks["click"], probability).to_dict()
    caplog.clear()
    with caplog.at_level("INFO", "fieldwise"):
        assert predictor.evaluate(weighted, rows="all") != bare
    assert not [message for message in caplog.messages if "weight" in message]
    with pytest.raises(DataError, match="weight column"):
        fw.train(clicks, schema=predictor.schema, model=model, settings=settings, progress=False)


def test_few_rows_and_a_series_are_predicted_as_a_table_is(predictor: fw.Predictor, clicks: pa.Table) -> None:
    expected = predictor.predict(clicks.slice(0, 100))
    rows = clicks.slice(0, 100).to_pylist()
    for count in (1, FEW_ROWS, FEW_ROWS + 1, 100):
        np.testing.assert_allclose(predictor.predict(rows[:count]), expected[:count], rtol=1e-6)
    frame = clicks.slice(0, 3).to_pandas()
    np.testing.assert_allclose(predictor.predict(frame.iloc[1]), expected[1:2], rtol=1e-6)
    assert predictor.predict([]).shape == (0,)
    with pytest.raises(DataError, match="'price'"):
        predictor.predict([{"user": 1, "device": "phone", "tags": None}])


def test_few_rows_are_encoded_one_by_one(
    predictor: fw.Predictor, clicks: pa.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fieldwise.predictor.predictor.iter_tables", None)
    assert predictor.predict(clicks.slice(0, 1).to_pylist()).shape == (1,)
