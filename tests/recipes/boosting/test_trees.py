"""Trees: that both libraries get what they need, and that all kinds of columns and labels come through."""

from __future__ import annotations

import importlib.util
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from fieldwise.encoding.encoded import EncodingReport
from fieldwise.errors import DataError, SettingsError, TrainingError
from fieldwise.metrics import log_loss
from fieldwise.objectives import Binary, Regression
from fieldwise.recipes import boosting
from fieldwise.recipes.boosting import NAMES, FittedTrees
from fieldwise.schema import Schema

SCHEMA = Schema.model_validate(
    {
        "fields": {"user": "categorical", "price": "numeric", "tags": {"kind": "multi_valued", "separator": "|"}},
        "label": "click",
    }
)
FEW: dict[str, Any] = {"max_rounds": 60, "early_stopping_rounds": 10, "fixed_rounds": 20, "learning_rate": 0.3}


def installed(name: str) -> Any:
    reason = f"{name} is not installed"
    return pytest.param(name, marks=pytest.mark.skipif(importlib.util.find_spec(name) is None, reason=reason))


both = pytest.mark.parametrize("name", [installed(name) for name in NAMES])


def table(num_rows: int = 1500, *, seed: int = 0) -> pa.Table:
    """A log in which one token of `user`, a `price` above 10 and the tag `hot` each bring clicks, others none."""
    rng = np.random.default_rng(seed)
    user = rng.choice(["ann", "bob", "cyd", "dee"], num_rows)
    price = rng.uniform(0, 20, num_rows)
    hot = rng.random(num_rows) < 0.3
    known = rng.random(num_rows) < 0.9
    logit = -4 + 5.0 * (user == "bob") + 4.0 * ((price > 10) & known) + 4.0 * hot
    return pa.table(
        {
            "click": (rng.random(num_rows) < 1 / (1 + np.exp(-logit))).astype(int),
            "user": user,
            "price": pa.array(price, mask=~known),
            "tags": ["hot|cold" if h else "mild|cold" for h in hot],
            "unused": rng.normal(size=num_rows),
        }
    )


def rows(**columns: list[Any]) -> pa.Table:
    """Rows of which only some columns matter."""
    num_rows = len(next(iter(columns.values())))
    plain = {"user": ["ann"], "price": [5.0], "tags": ["mild|cold"]}
    return pa.table({**{name: values * num_rows for name, values in plain.items()}, **columns})


def fit(name: str, *, schema: Schema = SCHEMA, train: Any = None, valid: Any = None, **arguments: Any) -> FittedTrees:
    arguments = {"objective": Binary(), "settings": FEW, "threads": 1, **arguments}
    train = table() if train is None else train
    return boosting.fit(name, train, table(seed=1) if valid is None else valid, schema, **arguments)


@both
def test_the_planted_effects_of_a_token_a_threshold_and_a_list_member_are_learned(name: str) -> None:
    model = fit(name)
    plain = "mild|cold"
    cheap, bob, dear, hot = model.predict(
        rows(user=["ann", "bob", "ann", "ann"], price=[5.0, 5.0, 15.0, 5.0], tags=[plain, plain, plain, "hot|cold"])
    )
    assert cheap < 0.15
    assert min(bob, dear, hot) > 0.35
    assert model.predict(rows(price=[9.0])) < 0.15 < model.predict(rows(price=[11.0]))


@both
def test_predictions_are_better_than_the_base_rate_on_rows_never_seen(name: str) -> None:
    fresh = table(seed=2)
    label = fresh["click"].to_numpy()
    predicted = fit(name).predict(fresh)
    assert predicted.dtype == np.float64
    assert log_loss(label, predicted) < 0.75 * log_loss(label, np.full(len(label), label.mean()))


@both
def test_unseen_and_missing_values_are_predicted(name: str) -> None:
    model = fit(name)
    unseen = rows(user=["zoe", None, ""], price=[float("nan"), None, float("inf")], tags=["new|newer", None, ""])
    predicted = model.predict(unseen)
    assert ((predicted > 0) & (predicted < 1)).all()
    assert predicted[1] == predicted[2]
    # A number that is infinite counts as missing, as it does for networks.
    assert model.predict(rows(price=[float("inf")])) == model.predict(rows(price=[None]))


@both
def test_a_missing_token_has_an_effect_of_its_own(name: str) -> None:
    def without(part: pa.Table) -> pa.Table:
        user = pa.array([None if u == "bob" else u for u in part["user"].to_pylist()])
        return part.set_column(part.column_names.index("user"), "user", user)

    model = fit(name, train=without(table()), valid=without(table(seed=1)))
    ann, missing = model.predict(rows(user=["ann", None]))
    assert ann < 0.15 < 0.35 < missing


@both
def test_a_number_that_is_missing_has_an_effect_of_its_own(name: str) -> None:
    def flipped(part: pa.Table) -> pa.Table:
        return part.set_column(0, "click", pa.array(part["price"].is_null().to_numpy().astype(int)))

    model = fit(name, train=flipped(table()), valid=flipped(table(seed=1)))
    known, missing = model.predict(rows(price=[5.0, None]))
    assert known < 0.2 < 0.8 < missing


@both
def test_list_columns_are_read_as_text_with_a_separator_is(name: str) -> None:
    def lists(part: pa.Table) -> pa.Table:
        tags = pa.array([text.split("|") for text in part["tags"].to_pylist()])
        return part.set_column(part.column_names.index("tags"), "tags", tags)

    fields = {"user": "categorical", "price": "numeric", "tags": "multi_valued"}
    schema = Schema.model_validate({"fields": fields, "label": "click"})
    model = fit(name, schema=schema, train=lists(table()), valid=lists(table(seed=1)))
    fresh = table(seed=2)
    np.testing.assert_array_equal(model.predict(lists(fresh)), fit(name).predict(fresh))


@both
@pytest.mark.parametrize("kind", ["categorical", "numeric", "multi_valued"])
def test_one_kind_of_field_alone_is_enough(name: str, kind: str) -> None:
    field = {"categorical": "user", "numeric": "price", "multi_valued": "tags"}[kind]
    schema = Schema.model_validate({"fields": {field: SCHEMA.fields[field].model_dump()}, "label": "click"})
    predicted = fit(name, schema=schema).predict(table(seed=2))
    assert predicted.max() - predicted.min() > 0.2


@both
def test_columns_that_no_field_reads_change_nothing(name: str) -> None:
    first, second = (fit(name, train=t).predict(table(seed=2)) for t in (table(), table().drop_columns(["unused"])))
    np.testing.assert_array_equal(first, second)


@both
def test_the_same_seed_gives_the_same_predictions(name: str) -> None:
    fresh = table(seed=2)
    random = FEW | ({"bagging_fraction": 0.5, "feature_fraction": 0.7} if name == "lightgbm" else {})
    first, again, other = (fit(name, settings=random, seed=seed).predict(fresh) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@both
def test_large_seeds_are_seeds_too(name: str) -> None:
    assert fit(name, settings=FEW | {"max_rounds": 2}, seed=2**40 + 1).rounds >= 1


@pytest.mark.parametrize("name", [installed("catboost")])
def test_what_the_library_refuses_is_told_in_its_own_words(name: str) -> None:
    schema = Schema.model_validate({"fields": {"price": "numeric"}, "label": "click"})
    constant = table().set_column(2, "price", pa.array(np.ones(1500)))
    with pytest.raises(TrainingError, match=r"catboost gave up: .*constant"):
        fit(name, schema=schema, train=constant)


@both
def test_early_stopping_keeps_the_best_round(name: str) -> None:
    # No validation row is like the training rows, so that more rounds soon do harm.
    train, valid = table(200), table(400, seed=1)
    valid = valid.set_column(0, "click", pa.array(np.random.default_rng(0).permutation(valid["click"].to_numpy())))
    model = fit(name, train=train, valid=valid)
    assert 1 <= model.rounds < FEW["max_rounds"]
    label = valid["click"].to_numpy()
    losses = {
        n: log_loss(
            label, fit(name, train=train, valid=valid.slice(0, 0), settings=FEW | {"fixed_rounds": n}).predict(valid)
        )
        for n in range(1, model.rounds + FEW["early_stopping_rounds"])
    }
    assert min(losses, key=losses.__getitem__) == model.rounds
    assert log_loss(label, model.predict(valid)) == pytest.approx(losses[model.rounds], abs=1e-9)


@both
def test_without_validation_rows_a_fixed_number_of_rounds_is_trained(name: str) -> None:
    assert fit(name, valid=table().slice(0, 0)).rounds == FEW["fixed_rounds"]


@both
def test_nothing_is_printed_or_written(name: str, tmp_path: Path, monkeypatch: Any, capfd: Any) -> None:
    monkeypatch.chdir(tmp_path)
    fit(name).predict(table(seed=2))
    assert capfd.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []


@both
def test_weights_count_rows(name: str) -> None:
    heavy = pa.array(np.where(np.array(table()["user"]) == "bob", 0.0, 1.0))
    schema = SCHEMA.model_copy(update={"weight": "weight"})
    weighted = fit(
        name,
        schema=schema,
        train=table().append_column("weight", heavy),
        valid=table(seed=1).append_column("weight", pa.array(np.ones(1500))),
    )
    # Rows without weight teach nothing: neither that bob clicks nor that anybody else does not.
    assert weighted.predict(rows(user=["bob"])) < 0.2 < fit(name).predict(rows(user=["bob"]))


@both
def test_weights_of_validation_rows_decide_on_the_best_round(name: str) -> None:
    part = table(400, seed=1)
    noise = part.set_column(0, "click", pa.array(np.random.default_rng(0).permutation(part["click"].to_numpy())))
    schema = SCHEMA.model_copy(update={"weight": "weight"})
    weights = [np.r_[np.full(400, a), np.full(400, b)] for a, b in ((1.0, 0.0), (0.0, 1.0))]
    true, false = (
        fit(
            name,
            schema=schema,
            train=table(200).append_column("weight", pa.array(np.ones(200))),
            valid=pa.concat_tables([part, noise]).append_column("weight", pa.array(weight)),
        ).rounds
        for weight in weights
    )
    assert false < true


@both
def test_the_label_is_read_as_the_schema_says(name: str) -> None:
    def words(part: pa.Table) -> pa.Table:
        label = np.where(part["click"].to_numpy() == 1, "yes", "no")
        return part.set_column(0, "click", pa.array(label))

    schema = SCHEMA.model_copy(update={"positive": "yes"})
    model = fit(name, schema=schema, train=words(table()), valid=words(table(seed=1)))
    np.testing.assert_array_equal(model.predict(table(seed=2)), fit(name).predict(table(seed=2)))


@both
def test_a_missing_column_is_named(name: str) -> None:
    with pytest.raises(DataError, match="column 'price' is missing"):
        fit(name, train=table().drop_columns(["price"]))
    with pytest.raises(DataError, match="column 'tags' is missing"):
        fit(name, valid=table().drop_columns(["tags"]))
    with pytest.raises(DataError, match="column 'user' is missing"):
        fit(name).predict(table().drop_columns(["user"]))
    with pytest.raises(DataError, match="the label column 'click' is missing"):
        fit(name, train=table().drop_columns(["click"]))


@both
def test_a_value_of_the_wrong_kind_is_named(name: str) -> None:
    with pytest.raises(DataError, match=r"column 'price': row 2: expected a number, got 'dear'"):
        fit(name).predict(rows(price=["1", "dear"]))


@both
def test_labels_of_one_kind_are_refused(name: str) -> None:
    train = table()
    train = train.filter(pc.equal(train["click"], 0))
    with pytest.raises(DataError, match="training rows: every row has the label 0"):
        fit(name, train=train)
    with pytest.raises(DataError, match="there are no training rows"):
        fit(name, train=train.slice(0, 0))


@both
def test_no_rows_have_no_predictions(name: str) -> None:
    assert fit(name).predict(table().slice(0, 0)).shape == (0,)


@both
def test_rows_are_predicted_one_at_a_time_as_together(name: str) -> None:
    model, fresh = fit(name), table(20, seed=2)
    alone = np.concatenate([model.predict(fresh.slice(row, 1)) for row in range(20)])
    np.testing.assert_allclose(alone, model.predict(fresh), rtol=1e-12)


@both
def test_many_tokens_do_no_harm(name: str) -> None:
    def with_id(part: pa.Table, start: int) -> pa.Table:
        return part.append_column("id", pa.array([f"id {start + i}" for i in range(part.num_rows)]))

    fields = {**{n: s.model_dump() for n, s in SCHEMA.fields.items()}, "id": "categorical"}
    schema = Schema.model_validate({"fields": fields, "label": "click"})
    fresh = with_id(table(seed=2), 10_000)
    label = fresh["click"].to_numpy()
    predicted = fit(name, schema=schema, train=with_id(table(), 0), valid=with_id(table(seed=1), 5_000)).predict(fresh)
    assert log_loss(label, predicted) < 0.8 * log_loss(label, np.full(len(label), label.mean()))


@both
def test_parameters_are_counted_over_the_kept_rounds(name: str) -> None:
    depth = {"num_leaves": 2} if name == "lightgbm" else {"depth": 1}
    schema = Schema.model_validate({"fields": {"price": "numeric"}, "label": "click"})
    settings = FEW | depth | {"fixed_rounds": 7}
    model = fit(name, schema=schema, valid=table().slice(0, 0), settings=settings)
    # Each tree of one question has a threshold and two leaves.
    assert (model.rounds, model.parameters) == (7, {"all": 7 * 3})


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_library_names_the_command(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(SettingsError, match=rf"{name} is not installed: pip install 'fieldwise\[gbdt\]'"):
        fit(name)


# ---- numbers instead of clicks


def priced(num_rows: int = 1500, *, seed: int = 0) -> pa.Table:
    """The log with a number as its label: 100, 50 more of `bob`, 20 more above a price of 10, and some noise."""
    part = table(num_rows, seed=seed)
    dear = part["price"].fill_null(0).to_numpy() > 10
    bob = np.array(part["user"].to_pylist()) == "bob"
    noise = np.random.default_rng(seed).normal(size=num_rows)
    return part.set_column(0, "click", pa.array(100 + 50.0 * bob + 20.0 * dear + noise))


@both
def test_numbers_are_predicted_in_their_own_unit(name: str) -> None:
    objective = Regression.fit(priced()["click"].to_numpy().astype(np.float32))
    model = fit(name, train=priced(), valid=priced(seed=1), objective=objective)
    plain, bob, dear = model.predict(rows(user=["ann", "bob", "ann"], price=[5.0, 5.0, 15.0]))
    assert (plain, bob, dear) == pytest.approx((100, 150, 120), abs=3)
    measured = model.evaluate(priced(seed=2)).to_dict()
    assert measured["rmse"] < 2.5
    assert measured["mae"] < 2


@both
def test_early_stopping_of_numbers_goes_by_their_squared_error(name: str) -> None:
    train, valid = priced(200), priced(400, seed=1)
    valid = valid.set_column(0, "click", pa.array(np.random.default_rng(0).permutation(valid["click"].to_numpy())))

    def error(model: FittedTrees) -> Any:
        return model.evaluate(valid).to_dict()["rmse"]

    model = fit(name, train=train, valid=valid, objective=Regression())
    errors = {
        n: error(
            fit(
                name,
                train=train,
                valid=valid.slice(0, 0),
                settings=FEW | {"fixed_rounds": n},
                objective=Regression(),
            )
        )
        for n in range(1, model.rounds + FEW["early_stopping_rounds"])
    }
    assert min(errors, key=errors.__getitem__) == model.rounds
    assert error(model) == pytest.approx(errors[model.rounds], abs=1e-6)


@both
def test_labels_that_are_no_numbers_are_refused_for_regression(name: str) -> None:
    with pytest.raises(DataError, match="label column 'click'"):
        fit(name, train=priced().set_column(0, "click", pa.array(["high"] * 1500)), objective=Regression())


@both
def test_an_objective_that_trees_do_not_know_is_refused(name: str) -> None:
    ranking = Binary().model_copy(update={"name": "ranking"})
    with pytest.raises(SettingsError, match=f"model '{name}' cannot be .* ranking; it knows binary, regression"):
        fit(name, objective=ranking)


# ---- as any fitted model


@both
def test_predicting_takes_account_of_unseen_and_missing_values(name: str) -> None:
    report = EncodingReport()
    fit(name).predict(rows(user=["zoe", None], price=[float("inf"), 1.0], tags=["hot|new", ""]), report=report)
    assert report.unseen == {"user": 1, "tags": 1}
    assert report.examples == {"user": ["zoe"], "tags": ["new"]}
    assert report.missing == {"user": 1, "price": 1, "tags": 1}
    assert (report.rows, report.infinite) == (2, {"price": 1})


@both
def test_large_tables_are_predicted_in_pieces(name: str) -> None:
    class Rows:
        done: ClassVar[list[float]] = []

        def update(self, n: float = 1) -> None:
            self.done.append(n)

    model, few = fit(name), table(1000, seed=2)
    many = pa.concat_tables([few] * 70)
    progress = Rows()
    np.testing.assert_array_equal(model.predict(many, progress=progress), np.tile(model.predict(few), 70))
    assert len(progress.done) > 1
    assert sum(progress.done) == 70_000


@both
def test_rows_given_as_dicts_are_predicted_as_a_table_is(name: str) -> None:
    model, few = fit(name), table(30, seed=2)
    np.testing.assert_array_equal(model.predict_rows(few.to_pylist()), model.predict(few))
    assert model.predict_rows([]).shape == (0,)


@both
def test_two_threads_that_predict_at_once_get_right_answers(name: str) -> None:
    model = fit(name)
    parts = [table(300, seed=seed) for seed in range(8)]
    expected = [model.predict(part) for part in parts]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            for got, right in zip(pool.map(model.predict, parts), expected, strict=True):
                np.testing.assert_array_equal(got, right)
