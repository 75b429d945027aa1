"""Trees as yardsticks: that both libraries get what they need, and that all kinds of columns come through."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from fieldwise.errors import DataError, SettingsError, TrainingError
from fieldwise.metrics import log_loss
from fieldwise.recipes.boosting import NAMES, Boosted, boosting
from fieldwise.recipes.boosting.raw_columns import MOST_TOKENS, RawColumns
from fieldwise.reporting import Reporter
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


def fit(name: str, *, schema: Schema = SCHEMA, train: Any = None, valid: Any = None, **arguments: Any) -> Boosted:
    arguments = {"settings": FEW, "threads": 1, **arguments}
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
def test_without_validation_rows_a_fixed_number_of_rounds_is_trained(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    model = fit(name, valid=table().slice(0, 0), reporter=Reporter(sys.stdout))
    assert model.rounds == FEW["fixed_rounds"]
    said = capsys.readouterr().out
    assert "no validation rows to stop by, so 20 rounds are trained" in said
    assert f"{model.parameters:,} numbers in the trees" in said


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
    train = train.filter(pa.compute.equal(train["click"], 0))
    with pytest.raises(DataError, match="every training row has the label 0"):
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


def test_lightgbm_counts_thresholds_listed_tokens_and_leaves() -> None:
    tree = ["num_leaves=3", "num_cat=1", "threshold=0.5 0", "leaf_value=0.1 0.2 0.3", "cat_boundaries=0 2"]
    text = "\n".join(["Tree=0", *tree, "cat_threshold=5 1", ""])
    # One threshold, the three tokens of the set {0, 2, 32}, three leaves.
    assert boosting._count_lightgbm(text) == 1 + 3 + 3


@both
def test_parameters_are_counted_over_the_kept_rounds(name: str) -> None:
    depth = {"num_leaves": 2} if name == "lightgbm" else {"depth": 1}
    schema = Schema.model_validate({"fields": {"price": "numeric"}, "label": "click"})
    settings = FEW | depth | {"fixed_rounds": 7}
    model = fit(name, schema=schema, valid=table().slice(0, 0), settings=settings)
    # Each tree of one question has a threshold and two leaves.
    assert (model.rounds, model.parameters) == (7, 7 * 3)


@pytest.mark.parametrize("name", NAMES)
def test_wrong_settings_are_named(name: str) -> None:
    with pytest.raises(
        SettingsError, match=f"model '{name}' has no setting 'learning_rat'; did you mean 'learning_rate'"
    ):
        fit(name, settings={"learning_rat": 0.1})
    with pytest.raises(SettingsError, match=f"model '{name}': setting 'learning_rate' cannot be 0"):
        fit(name, settings={"learning_rate": 0})
    assert boosting.resolve(name)["early_stopping_rounds"] == 100


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(SettingsError, match="unknown model 'lightgmb'; did you mean 'lightgbm'"):
        fit("lightgmb")
    with pytest.raises(SettingsError, match="did you mean 'catboost'"):
        boosting.settings_model("catbost")


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_library_names_the_command(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(SettingsError, match=rf"{name} is not installed: pip install 'fieldwise\[gbdt\]'"):
        fit(name)


# ---- the columns themselves


def test_lists_become_a_column_per_frequent_token_and_their_number() -> None:
    schema = Schema.model_validate({"fields": {"tags": {"kind": "multi_valued", "separator": "|"}}, "label": "click"})
    columns = RawColumns.fit(pa.table({"tags": ["b|a|b", "a", "a", None]}), schema)
    read = columns.rows(pa.table({"tags": ["b|new", "a|a", "", None]}))
    # By falling count: a (3), b (2).
    np.testing.assert_array_equal(read.numbers, [[0, 1, 2], [1, 0, 2], [0, 0, 0], [0, 0, 0]])


def test_the_set_of_a_list_is_a_token_whatever_its_order() -> None:
    schema = Schema.model_validate({"fields": {"tags": {"kind": "multi_valued", "separator": "|"}}, "label": "click"})
    columns = RawColumns.fit(pa.table({"tags": ["b|a|b", "a|b", "a", None]}), schema)
    read = columns.rows(pa.table({"tags": ["a|b", "b|a|a", "a", "", "b", "new", "a|new"]})).categorical[:, 0]
    seen = read[:4]
    assert seen[0] == seen[1] == 2
    assert len(set(seen.tolist())) == 3
    assert read[4:].tolist() == [1, 1, 1]
    assert len(columns.tokens()[0]) == 3


def test_only_the_most_frequent_tokens_of_lists_get_columns() -> None:
    schema = Schema.model_validate({"fields": {"tags": "multi_valued"}, "label": "click"})
    lists = [[f"t{j}" for j in range(i + 1)] for i in range(MOST_TOKENS + 10)]
    read = RawColumns.fit(pa.table({"tags": lists}), schema).rows(pa.table({"tags": [lists[-1]]}))
    np.testing.assert_array_equal(read.numbers, [[1.0] * MOST_TOKENS + [MOST_TOKENS + 10]])


def test_numbers_are_neither_scaled_nor_cut_and_keep_all_digits() -> None:
    fields = {"at": {"kind": "numeric", "buckets": 2}, "price": {"kind": "numeric", "transform": "log_squared"}}
    schema = Schema.model_validate({"fields": fields, "label": "click"})
    raw = pa.table({"at": [978300761, 978300762], "price": ["12.5", "-"]})
    np.testing.assert_array_equal(
        RawColumns.fit(raw, schema).rows(raw).numbers, [[978300761, 12.5], [978300762, float("nan")]]
    )


def test_rare_tokens_keep_their_codes() -> None:
    schema = Schema.model_validate({"fields": {"user": {"kind": "categorical", "min_count": 5}}, "label": "click"})
    raw = pa.table({"user": ["a", "b", "a", None]})
    columns = RawColumns.fit(raw, schema)
    np.testing.assert_array_equal(columns.rows(raw).categorical[:, 0], [2, 3, 2, 0])
    assert columns.rows(pa.table({"user": ["new"]})).categorical.tolist() == [[1]]
    assert [tokens.to_pylist() for tokens in columns.tokens()] == [["a", "b"]]
