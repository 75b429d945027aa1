"""Statistics of combinations against slow counting, and that no row learns from itself or from what comes later."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations as tuples_of
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldwise.encoding import combination_fitting
from fieldwise.encoding.combination_fitting import choose_combinations, fit_combinations
from fieldwise.encoding.combinations import (
    CELLS_SCHEMA,
    PRIOR_ROWS,
    Combination,
    Combinations,
    CombinationsState,
    Scale,
    field_hashes,
)
from fieldwise.encoding.encoded import EncodedRows
from fieldwise.encoding.encoder import Encoder
from fieldwise.encoding.other_rows import BLOCKS, FOLDS, Earlier, Others
from fieldwise.errors import PredictorFormatError
from fieldwise.schema import Schema

SCHEMA = Schema(
    label="y",
    fields={"site": "categorical", "price": "numeric", "device": "categorical", "tags": "multi_valued"},
)
ALL: list[Combination] = [fields for order in (1, 2, 3) for fields in tuples_of(range(4), order)]


def make_rows(n: int, seed: int = 0, sizes: tuple[int, int] = (5, 3)) -> tuple[Encoder, pa.Table]:
    rng = np.random.default_rng(seed)
    tags = [rng.choice(["a", "b", "c"], rng.integers(0, 3), replace=False).tolist() for _ in range(n)]
    table = pa.table(
        {
            "site": [f"s{i}" for i in rng.integers(0, sizes[0], n)],
            "price": pa.array([None if i % 7 == 0 else float(i % 4) for i in rng.integers(0, 40, n)], pa.float64()),
            "device": [f"d{i}" for i in rng.integers(0, sizes[1], n)],
            "tags": pa.array(tags, pa.list_(pa.string())),
        }
    )
    return Encoder.fit(table, SCHEMA), table


def values(rows: dict[str, Any], fields: Combination) -> tuple[Any, ...]:
    """What counts as the same: tokens, numbers (few here, so that each has an interval), lists whatever their order."""
    names = [list(SCHEMA.fields)[f] for f in fields]
    return tuple(tuple(sorted(rows[name])) if name == "tags" else rows[name] for name in names)


def expected(seen: Sequence[tuple[Any, float]], key: Any, m: float, scale: Scale, deviation: float) -> float:
    same = [label for other, label in seen if other == key]
    smooth = (sum(same) + PRIOR_ROWS * m) / (len(same) + PRIOR_ROWS)
    if scale == "identity":
        return max(-5.0, min(5.0, (smooth - m) / deviation))
    return max(-5.0, min(5.0, math.log(smooth / (1 - smooth)) - math.log(m / (1 - m))))


def mean_of(labels: Sequence[float], scale: Scale) -> float:
    return (sum(labels) + 1) / (len(labels) + 2) if scale == "logit" else sum(labels) / (len(labels) + 1)


@pytest.mark.parametrize("scale", ["logit", "identity"])
def test_new_rows_have_the_statistics_of_all_training_rows(scale: Scale) -> None:
    encoder, table = make_rows(150)
    rng = np.random.default_rng(1)
    y = rng.integers(0, 2, 150).astype(float) if scale == "logit" else rng.normal(7, 3, 150)
    fitted = fit_combinations(encoder.encode(table), encoder.layout, y, scale=scale)
    assert list(fitted.combinations.combinations) == ALL
    new = make_rows(60, seed=2, sizes=(7, 3))[1]
    found = fitted.combinations.encode(encoder.encode(new))
    m = (y.sum() + 1) / (len(y) + 2) if scale == "logit" else y.mean()
    training, unseen = table.to_pylist(), {"s5", "s6"}
    for i, row in enumerate(new.to_pylist()):
        for k, fields in enumerate(ALL):
            seen = [(values(other, fields), label) for other, label in zip(training, y, strict=True)]
            key = values(row, fields)
            count = sum(other == key for other, _ in seen)
            if count < 2 or (0 in fields and row["site"] in unseen):
                assert found[i, k] == 0  # what one row alone has is not kept
            else:
                assert found[i, k] == pytest.approx(expected(seen, key, m, scale, y.std()), abs=3e-3)
                if len(fields) <= 2:
                    place = len(ALL) + [c for c in ALL if len(c) <= 2].index(fields)
                    assert found[i, place] == pytest.approx(math.log1p(count) / math.log1p(150), abs=1e-3)


@pytest.mark.parametrize("scale", ["logit", "identity"])
@given(st.data())
@settings(max_examples=30, deadline=None)
def test_training_rows_have_those_of_earlier_rows(scale: Scale, data: st.DataObject) -> None:
    n = data.draw(st.integers(2, 25))
    codes = np.array(data.draw(st.lists(st.integers(0, 3), min_size=n, max_size=n)), np.int32)
    time = np.array(data.draw(st.lists(st.integers(0, 6), min_size=n, max_size=n)))
    y = np.array(data.draw(st.lists(st.sampled_from([0.0, 1.0]), min_size=n, max_size=n)))
    earlier = Earlier(y, time)
    rows, sums = earlier.sums(codes, 4, y)
    mean = earlier.mean(scale)
    # A block begins with the first time before which a further tenth of the rows lies.
    block = [BLOCKS * sum(time < time[i]) // n for i in range(n)]
    for i in range(n):
        before = [j for j in range(n) if block[j] < block[i]]
        assert all(time[j] < time[i] for j in before)
        assert (rows[i], sums[i]) == (
            sum(codes[j] == codes[i] for j in before),
            sum(y[j] for j in before if codes[j] == codes[i]),
        )
        assert mean[i] == pytest.approx(mean_of([y[j] for j in before], scale))
    np.testing.assert_array_equal(earlier.counts(codes, 4, rows), rows)


def test_training_rows_have_those_of_the_other_folds() -> None:
    rng = np.random.default_rng(0)
    codes, y = rng.integers(0, 4, 43).astype(np.int32), rng.integers(0, 2, 43).astype(float)
    others = Others(y, seed=3)
    fold = np.random.default_rng(3).permutation(43) % FOLDS
    rows, sums = others.sums(codes, 4, y)
    counts, mean = others.counts(codes, 4, rows), others.mean("logit")
    for i in range(43):
        same = [j for j in range(43) if fold[j] != fold[i] and codes[j] == codes[i]]
        assert (rows[i], sums[i]) == (len(same), sum(y[same]))
        assert counts[i] == np.sum(codes == codes[i]) - 1
        assert mean[i] == pytest.approx(mean_of(y[fold != fold[i]].tolist(), "logit"))


@given(st.integers(0, 10**6), st.integers(0, 59))
@settings(max_examples=25, deadline=None)
def test_no_row_knows_its_own_label(seed: int, row: int) -> None:
    encoder, table = make_rows(60, seed=seed)
    rows = encoder.encode(table)
    y = np.random.default_rng(seed).integers(0, 2, 60).astype(float)
    other = np.where(np.arange(60) == row, 1 - y, y)
    one, two = (fit_combinations(rows, encoder.layout, each, scale="logit", asked_for=ALL).train for each in (y, other))
    np.testing.assert_array_equal(one[row], two[row])
    assert (one != two).any()


@given(st.integers(0, 10**6), st.integers(0, 29))
@settings(max_examples=25, deadline=None)
def test_no_row_knows_of_later_ones(seed: int, when: int) -> None:
    encoder, table = make_rows(60, seed=seed)
    rows = encoder.encode(table)
    rng = np.random.default_rng(seed)
    y, time = rng.integers(0, 2, 60).astype(float), rng.integers(0, 30, 60)
    other = np.where(time >= when, 1 - y, y)
    one, two = (
        fit_combinations(rows, encoder.layout, each, scale="logit", asked_for=ALL, time=time).train
        for each in (y, other)
    )
    np.testing.assert_array_equal(one[time <= when], two[time <= when])


def test_a_value_that_no_other_row_has_tells_nothing() -> None:
    n = 300
    table = pa.table({"site": [f"s{i}" for i in range(n)], "device": [f"d{i % 3}" for i in range(n)]})
    encoder = Encoder.fit(table, Schema(label="y", fields={"site": "categorical", "device": "categorical"}))
    y = np.random.default_rng(0).integers(0, 2, n).astype(float)
    fitted = fit_combinations(encoder.encode(table), encoder.layout, y, scale="logit")
    names = fitted.combinations.names
    for name in ("rate(site)", "rate(site, device)"):
        assert (fitted.train[:, names.index(name)] == 0).all()
        assert (fitted.combinations.encode(encoder.encode(table))[:, names.index(name)] == 0).all()
    assert fitted.combinations.cells.num_rows == 3


def test_a_table_and_dicts_of_its_rows_have_the_same_statistics(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, table = make_rows(200)
    y = np.random.default_rng(1).integers(0, 2, 200).astype(float)
    encoder = encoder.with_combinations(
        fit_combinations(encoder.encode(table), encoder.layout, y, scale="logit").combinations
    )
    assert encoder.layout.statistics[:5] == (
        *("rate(site)", "rate(price)", "rate(device)", "rate(tags)", "rate(site, price)"),
    )
    whole = encoder.encode(table).statistics
    assert whole is not None
    np.testing.assert_array_equal(encoder.encode_rows(table.to_pylist()).statistics, whole)
    monkeypatch.setattr("fieldwise.encoding.combinations._PIECE", 100)
    np.testing.assert_array_equal(encoder.encode(table).statistics, whole)
    assert encoder.encode(table.slice(0, 0)).statistics is not None


def pairs_with_a_planted_one(fields: int, n: int, planted: Combination) -> tuple[Any, npt.NDArray[np.float64]]:
    rng = np.random.default_rng(0)
    table = pa.table({f"f{i}": [f"v{j}" for j in rng.integers(0, 6, n)] for i in range(fields)})
    encoder = Encoder.fit(table, Schema(label="y", fields=dict.fromkeys(table.column_names, "categorical")))
    parity = sum(encoder.encode(table).categorical[:, f] for f in planted) % 2
    return (encoder, table), (rng.random(n) < 0.1 + 0.5 * parity).astype(float)


@pytest.mark.parametrize("planted", [(3, 17), (2, 5)])
def test_the_best_pairs_are_chosen(planted: Combination) -> None:
    (encoder, table), y = pairs_with_a_planted_one(20, 4000, planted)
    hashes = field_hashes(encoder.encode(table), encoder.layout, [])
    chosen = choose_combinations(hashes, encoder.layout, Others(y, seed=0), "logit", most=60)
    assert chosen[:20] == [(f,) for f in range(20)]
    assert chosen[20] == planted
    assert len(chosen) <= 60
    assert choose_combinations(hashes, encoder.layout, Others(y, seed=0), "logit", most=8) == chosen[:8]


def test_what_there_is_no_room_for_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, table = make_rows(200)
    y = np.random.default_rng(1).integers(0, 2, 200).astype(float)
    monkeypatch.setattr(combination_fitting, "MOST_CELLS", 20)
    fitted = fit_combinations(encoder.encode(table), encoder.layout, y, scale="logit")
    assert fitted.combinations.cells.num_rows <= 20
    left_out = len(ALL) - len(fitted.combinations.combinations)
    assert fitted.note == f"{left_out} combinations of fields are left out: more than 20 cells would have to be kept"


def state_of(n: int = 100) -> tuple[Encoder, Combinations, EncodedRows]:
    encoder, table = make_rows(n)
    y = np.random.default_rng(1).integers(0, 2, n).astype(float)
    rows = encoder.encode(table)
    return encoder, fit_combinations(rows, encoder.layout, y, scale="logit").combinations, rows


def test_what_was_saved_is_the_same() -> None:
    encoder, combinations, rows = state_of()
    state = CombinationsState.model_validate_json(combinations.state().model_dump_json())
    again = Combinations.from_state(encoder.layout, state, combinations.cells)
    np.testing.assert_array_equal(again.encode(rows), combinations.encode(rows))
    assert again.names == combinations.names


def replaced(table: pa.Table, name: str, first: Any) -> pa.Table:
    cells = table[name].to_pylist()
    columns = {**table.to_pydict(), name: [first, *cells[1:]]}
    return pa.table(columns, schema=CELLS_SCHEMA)


@pytest.mark.parametrize(
    ("changes", "cell", "message"),
    [
        ({"fields": [[1, 0]]}, None, "must name fields of the schema, in its order"),
        ({"fields": [[4]]}, None, "must name fields of the schema, in its order"),
        ({"bounds": []}, None, "need increasing bounds for every numeric field"),
        ({"bounds": [[2.0, 1.0]]}, None, "need increasing bounds for every numeric field"),
        ({}, ("rows", 0), "impossible counts"),
        ({}, ("labels", -1.0), "impossible counts"),
        ({}, ("labels", 1e9), "impossible counts"),
        ({}, ("labels", math.nan), "impossible counts"),
        ({}, ("labels", None), "empty places"),
        ({}, ("combination", 2**64 - 1), "ascending order"),
    ],
)
def test_parts_that_do_not_fit_are_refused(changes: dict[str, Any], cell: tuple[str, Any] | None, message: str) -> None:
    encoder, combinations, _ = state_of()
    state = combinations.state().model_copy(update=changes)
    cells = combinations.cells if cell is None else replaced(combinations.cells, *cell)
    with pytest.raises(PredictorFormatError, match=message):
        Combinations.from_state(encoder.layout, state, cells)


def test_marks_that_are_not_spread_out_are_refused() -> None:
    encoder, combinations, _ = state_of()
    columns = [list(range(1000)), [2] * 1000, [1.0] * 1000]
    with pytest.raises(PredictorFormatError, match="not spread out"):
        Combinations.from_state(encoder.layout, combinations.state(), pa.table(columns, schema=CELLS_SCHEMA))
