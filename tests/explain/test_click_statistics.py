"""statistics_AUC, against figures worked out by hand and a slow reference that loops over rows."""

import math
import time

import numpy as np
import pytest

from fieldwise.data.dataset import Dataset
from fieldwise.datasets.synthetic import make_click_log
from fieldwise.encoding.encoded import EncodedRows, EncodingReport, Ragged
from fieldwise.encoding.encoder import Encoder
from fieldwise.errors import DataError, SettingsError
from fieldwise.explain.click_statistics import MOST_BUCKETS, ClickStatistics, statistics_auc
from fieldwise.layout import FieldLayout, Layout
from fieldwise.preparation import encode_table


def dataset(label, *, weight=None, sizes=None, **fields) -> Dataset:
    """Rows of named fields: whole numbers are categorical, fractions numeric, lists multi-valued."""
    layout, categorical, numeric, lists = [], [], [], []
    for name, values in fields.items():
        if isinstance(values[0], list):
            layout.append(FieldLayout(name, "multi_valued", (sizes or {}).get(name, 30)))
            lists.append(Ragged.from_lists(values))
        elif isinstance(values[0], float):
            layout.append(FieldLayout(name, "numeric", 2))
            numeric.append(values)
        else:
            layout.append(FieldLayout(name, "categorical", (sizes or {}).get(name, 30)))
            categorical.append(values)
    rows = len(next(iter(fields.values())))
    return Dataset(
        Layout(tuple(layout)),
        EncodedRows(
            np.array(categorical, np.int32).reshape(-1, rows).T,
            np.array(numeric, np.float32).reshape(-1, rows).T,
            tuple(lists),
            EncodingReport(rows),
        ),
        label=None if label is None else np.array(label, np.float32),
        weight=None if weight is None else np.array(weight, np.float32),
    )


TRAIN = dataset([1, 1, 0, 0, 1, 0], a=[2, 2, 2, 3, 3, 4])
"""Click rates: 2/3 of value 2, 1/2 of value 3, 0 of value 4, and 1/2 of all."""


def test_by_hand():
    # Scores 2/3 and 1/2 of the clicks against 0 and, unseen, 1/2 of the others: three pairs are right, one is a tie.
    assert statistics_auc(TRAIN, dataset([1, 1, 0, 0], a=[2, 3, 4, 5]), ["a"]) == 3.5 / 4
    assert statistics_auc(TRAIN, dataset([1, 0, 1, 0], a=[2, 3, 4, 5]), [0]) == 2 / 4


def test_two_fields_are_one_value():
    # Neither field alone tells anything; together they decide.
    xor = {"a": [1, 1, 2, 2], "b": [1, 2, 1, 2]}
    rows = dataset([1, 0, 0, 1], **xor)
    statistics = ClickStatistics(rows, rows)
    assert statistics.auc(["a"]) == statistics.auc(["b"]) == 0.5
    assert statistics.auc(["a", "b"]) == statistics.auc([1, 0]) == 1.0


def test_smoothing_draws_rare_values_to_the_average():
    # Value 1: one row, a click. Value 2: 8 of 10 rows. Value 3: none of 9. All: 9 of 20.
    train = dataset([1] + [1] * 8 + [0] * 2 + [0] * 9, a=[1] + [2] * 10 + [3] * 9)
    other = dataset([0, 1, 0], a=[1, 2, 3])
    assert statistics_auc(train, other, ["a"]) == 1 / 2
    # With two pseudo rows: (1 + 0.9) / 3 = 0.633 of value 1 and (8 + 0.9) / 12 = 0.742 of value 2.
    assert statistics_auc(train, other, ["a"], smoothing=2) == 1.0


def test_an_unseen_combination_scores_the_average_whatever_its_parts():
    train = dataset([1, 1, 1, 0, 0], a=[1, 1, 2, 2, 2], b=[1, 1, 2, 2, 2])
    # (1, 2) was never met and scores 3/5, between (1, 1) with 1 and (2, 2) with 1/3.
    other = dataset([1, 0, 0], a=[1, 1, 2], b=[2, 1, 2])
    assert statistics_auc(train, other, ["a", "b"]) == 1 / 2


def test_weights_count_as_so_many_rows():
    train = dataset([1, 0, 0, 1], a=[1, 1, 2, 2], weight=[3, 1, 1, 1])
    other = dataset([1, 0, 0], a=[1, 2, 3], weight=[2, 1, 0])
    # Value 1 clicks 3/4, value 2 1/2, and of the other rows the third does not count.
    assert statistics_auc(train, other, ["a"]) == 1.0
    # A value that no weight stands behind is as good as unseen: the average, 4/6.
    train = dataset([1, 0, 0, 1, 1], a=[1, 1, 2, 2, 3], weight=[3, 1, 1, 1, 0])
    assert statistics_auc(train, dataset([1, 0, 0], a=[1, 2, 3]), ["a"]) == 1.0
    assert statistics_auc(train, dataset([0, 1, 0], a=[1, 2, 3]), ["a"]) == 0.0


def test_few_numbers_are_values_of_their_own_and_so_is_missing():
    nan = math.nan
    train = dataset([0, 1, 0, 1, 1, 1], x=[0.5, 1.5, 2.5, nan, nan, nan])
    assert statistics_auc(train, dataset([0, 1, 0, 1], x=[0.5, 1.5, 2.5, nan]), ["x"]) == 1.0
    # A number between two known ones goes with the smaller, one below all with the smallest.
    assert statistics_auc(train, dataset([1, 0], x=[1.7, -9.0]), ["x"]) == 1.0
    never = dataset([0, 1], x=[nan, nan])
    assert statistics_auc(never, dataset([1, 0], x=[1.0, nan]), ["x"]) == 0.5
    none_missing = dataset([1, 0], x=[1.0, 2.0])
    assert statistics_auc(none_missing, dataset([1, 0], x=[nan, 2.0]), ["x"]) == 1.0


def test_many_numbers_are_cut_into_quantile_buckets_of_the_training_rows():
    numbers = [float(i) for i in range(1000)]
    train = dataset([i % 20 == 0 for i in range(1000)], x=numbers)
    # Twenty numbers to a bucket, each bucket with one click: nothing is left to tell.
    alike = ClickStatistics(train, train)
    assert alike.auc(["x"]) == pytest.approx(0.5, abs=0.01)
    assert alike._values(0).size <= MOST_BUCKETS + 2
    rising = dataset([i >= 500 for i in range(1000)], x=numbers)
    assert 0.999 < statistics_auc(rising, rising, ["x"]) <= 1.0


def test_a_number_that_is_nearly_all_there_is_has_a_bucket_of_its_own():
    few = [float(i) for i in range(1, 101)]
    for values in ([0.0] * 9900 + few, few + [200.0] * 9900):
        label = [value not in (0.0, 200.0) for value in values]
        rows = dataset(label, x=values)
        statistics = ClickStatistics(rows, rows)
        assert statistics.auc(["x"]) == 1.0
        assert statistics._values(0).size <= MOST_BUCKETS + 2


def test_a_list_counts_as_a_whole_and_without_its_order():
    train = dataset([1, 1, 0, 0, 1, 0], m=[[2, 3], [3, 2], [2], [3], [4, 2, 3], [0]])
    other = dataset([1, 1, 0, 0, 0], m=[[3, 2], [3, 4, 2], [3], [2], [0]])
    assert statistics_auc(train, other, ["m"]) == 1.0
    # [2, 2] and [2, 3, 5] were never met: they score the average, above lists without clicks, below those with.
    assert statistics_auc(train, dataset([0, 1, 0], m=[[2, 2], [2, 3], [2, 3, 5]]), ["m"]) == 1.0
    assert statistics_auc(train, dataset([1, 0, 1], m=[[2, 2], [2], [2, 3, 5]]), ["m"]) == 1.0


def slow(train: Dataset, other: Dataset, fields, smoothing: float = 0.0) -> float:
    """The same by dictionaries; numbers count as they are, so at most 50 different ones."""

    def values(rows: Dataset) -> list[tuple]:
        columns = []
        for field in fields:
            layout = rows.layout
            if field in layout.categorical:
                columns.append(rows.rows.categorical[:, layout.categorical.index(field)].tolist())
            elif field in layout.numeric:
                column = rows.rows.numeric[:, layout.numeric.index(field)]
                columns.append([None if math.isnan(x) else x for x in column.tolist()])
            else:
                ragged = rows.rows.multi_valued[layout.multi_valued.index(field)]
                bounds = ragged.offsets
                columns.append(
                    [tuple(sorted(ragged.values[bounds[i] : bounds[i + 1]].tolist())) for i in range(len(rows))]
                )
        return list(zip(*columns, strict=True))

    def weights(rows: Dataset) -> list[float]:
        return [1.0] * len(rows) if rows.weight is None else rows.weight.tolist()

    shown: dict[tuple, float] = {}
    clicks: dict[tuple, float] = {}
    for value, label, weight in zip(values(train), train.label.tolist(), weights(train), strict=True):
        shown[value] = shown.get(value, 0.0) + weight
        clicks[value] = clicks.get(value, 0.0) + weight * label
    average = sum(clicks.values()) / sum(shown.values())
    rates = {v: (clicks[v] + smoothing * average) / (shown[v] + smoothing) for v in shown if shown[v]}
    rated = list(zip([rates.get(v, average) for v in values(other)], other.label.tolist(), weights(other), strict=True))
    won = total = 0.0
    for score, label, weight in rated:
        for against, other_label, other_weight in rated:
            if label and not other_label:
                total += weight * other_weight
                gap = score - against
                won += weight * other_weight * (0.5 if abs(gap) < 1e-12 else float(gap > 0))
    return won / total


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_against_the_slow_reference(seed, weighted):
    rng = np.random.default_rng(seed)

    def rows(number: int) -> Dataset:
        x = rng.choice([0.0, 1.5, 3.0, math.nan], number).tolist()
        return dataset(
            rng.random(number) < 0.4,
            weight=rng.integers(0, 3, number) if weighted else None,
            a=rng.integers(0, 5, number).tolist(),
            b=rng.integers(0, 30, number).tolist(),
            x=x,
            m=[rng.integers(1, 4, rng.integers(1, 4)).tolist() for _ in range(number)],
        )

    train, other = rows(150), rows(60)
    other = dataset_with_known_numbers(train, other)
    for smoothing in (0.0, 3.5):
        statistics = ClickStatistics(train, other, smoothing=smoothing)
        for fields in ((0,), (1,), (2,), (3,), (0, 1), (2, 3), (3, 1), (0, 1, 2), (0, 1, 2, 3)):
            assert statistics.auc(fields) == pytest.approx(slow(train, other, fields, smoothing), abs=1e-12), fields


def dataset_with_known_numbers(train: Dataset, other: Dataset) -> Dataset:
    """The slow reference knows no number that training has not met; with 150 rows of 4 numbers there is none."""
    known = {x for x in train.rows.numeric.ravel().tolist() if not math.isnan(x)}
    assert {x for x in other.rows.numeric.ravel().tolist() if not math.isnan(x)} <= known
    return other


def test_codes_beyond_64_bits_are_numbered_anew():
    rng = np.random.default_rng(0)
    sizes = dict.fromkeys("abc", 2**31 - 1)

    def rows(number: int) -> Dataset:
        columns = {name: (rng.integers(0, 3, number) * 10**9).tolist() for name in "abc"}
        return dataset(rng.random(number) < 0.4, sizes=sizes, **columns)

    train, other = rows(200), rows(80)
    for fields in ((0, 1), (0, 1, 2), (2, 0, 1)):
        assert statistics_auc(train, other, fields) == pytest.approx(slow(train, other, fields), abs=1e-12)


def test_many_tuples_the_best_first():
    rng = np.random.default_rng(1)
    columns = {name: rng.integers(0, 4, 400) for name in "abc"}
    label = (columns["a"] + columns["c"]) % 2 == 0
    rows = dataset(label, **{name: values.tolist() for name, values in columns.items()})
    statistics = ClickStatistics(rows, rows)
    pairs = statistics.best(2)
    assert next(iter(pairs)) == ("a", "c")
    assert pairs["a", "c"] == 1.0
    assert set(pairs) == {("a", "b"), ("a", "c"), ("b", "c")}
    assert list(pairs.values()) == sorted(pairs.values(), reverse=True)
    assert all(value == statistics.auc(fields) for fields, value in pairs.items())
    assert statistics.best(2, most=1) == {("a", "c"): 1.0}
    assert list(statistics.best(1)) == sorted(statistics.best(1), key=lambda f: -statistics.auc(f))
    some = statistics.best(2, [("c", "b"), (2, 0)])
    assert some == {fields: pairs[fields] for fields in (("a", "c"), ("b", "c"))}


def test_planted_interactions_come_first():
    log = make_click_log(30_000, seed=0)
    encoder = Encoder.fit(log.table.slice(0, 25_000), log.schema)
    train, other = (encode_table(log.table.slice(*part), encoder) for part in ((0, 25_000), (25_000,)))
    best = ClickStatistics(train, other, smoothing=20.0).best(2, most=3)
    assert {frozenset(fields) for fields in best} == {frozenset(fields) for fields in log.planted_pairs}


def test_a_field_is_read_once():
    rows = dataset([1, 0, 1, 0], a=[1, 2, 1, 2], x=[1.0, 2.0, 1.0, 2.0], m=[[1], [2], [1], [2]])
    statistics = ClickStatistics(rows, rows)
    first = statistics.best(1)
    assert first[("x",)] == first[("m",)] == 1.0
    rows.rows.numeric[:] = 1.0
    rows.rows.multi_valued[0].values[:] = 1
    assert statistics.best(1) == first


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (["b"], "there is no field 'b'; known: a"),
        ([1], "there is no field 1; expected 0 to 0"),
        ([-1], "there is no field -1"),
        ([], "one field or several different ones, got ()"),
        (["a", 0], "different ones"),
    ],
)
def test_fields_that_are_not_there(fields, message):
    with pytest.raises(SettingsError, match=message.replace("(", r"\(").replace(")", r"\)")):
        statistics_auc(TRAIN, dataset([1, 0], a=[2, 3]), fields)


def test_a_single_name_is_a_field():
    other = dataset([1, 0], a=[2, 3])
    assert statistics_auc(TRAIN, other, "a") == statistics_auc(TRAIN, other, ["a"])


def test_orders_out_of_range_and_tuples_of_another_order():
    statistics = ClickStatistics(TRAIN, dataset([1, 0], a=[2, 3]))
    for order in (0, 2):
        with pytest.raises(SettingsError, match=f"order: expected 1 to 1, the number of fields; got {order}"):
            statistics.best(order)
    rows = dataset([1, 0], a=[1, 2], b=[1, 2])
    with pytest.raises(SettingsError, match="has 1 fields; expected 2"):
        ClickStatistics(rows, rows).best(2, [("a",)])


@pytest.mark.parametrize("smoothing", [-1.0, math.nan, math.inf])
def test_smoothing_out_of_range(smoothing):
    with pytest.raises(SettingsError, match="smoothing: expected a number of pseudo rows, 0 or more"):
        statistics_auc(TRAIN, TRAIN, ["a"], smoothing=smoothing)


@pytest.mark.parametrize(
    ("train", "other", "message"),
    [
        (dataset(None, a=[1, 2]), TRAIN, "the training rows have no labels"),
        (TRAIN, dataset(None, a=[1, 2]), "the other rows have no labels"),
        (TRAIN, dataset([1, 1], a=[2, 3]), "clicks only or none at all"),
        (TRAIN, dataset([0, 0], a=[2, 3]), "clicks only or none at all"),
        (TRAIN, dataset([1, 0], b=[2, 3]), "different fields; encode both with one encoder"),
        (TRAIN.take(np.arange(0)), TRAIN, "no rows"),
        (TRAIN, TRAIN.take(np.arange(0)), "no rows"),
        (dataset([1, 2], a=[1, 2]), TRAIN, "must be 0 or 1"),
    ],
)
def test_rows_that_have_no_statistics(train, other, message):
    with pytest.raises(DataError, match=message):
        statistics_auc(train, other, ["a"])


def test_many_rows_take_no_loop():
    rng = np.random.default_rng(0)
    number = 200_000
    layout = Layout((FieldLayout("a", "categorical", 1_000_000), FieldLayout("b", "categorical", 1_000_000)))
    ids = (rng.random((number, 2)) ** 3 * 1_000_000).astype(np.int32)
    rows = Dataset(
        layout,
        EncodedRows(ids, np.empty((number, 0), np.float32), (), EncodingReport(number)),
        label=(rng.random(number) < 0.3).astype(np.float32),
    )
    statistics = ClickStatistics(rows, rows)
    statistics.auc([0])
    started = time.process_time()
    statistics.auc([0, 1])
    # A loop over rows takes several times as long; the bound is loose, for machines are busy.
    assert time.process_time() - started < 1.0
