"""The questions that schema inference asks: shapes of quantities, heavy tails, separators."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from fieldwise.columns.counting import profile_column
from fieldwise.schema.patterns import (
    elements,
    find_separator,
    heavy_tail,
    is_vector,
    shape_of_quantity,
    tally,
)

ROWS = 10_000


def draw(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


# ---- shapes: one condition at a time

COUNT_VALUES = [*range(15), 16, 20, 25, 40, 90]
COUNT_COUNTS = [*range(100, 0, -5)]


def shape(values: Sequence[int], counts: Sequence[int]) -> str | None:
    assert len(values) == len(counts)
    return shape_of_quantity(np.array(values, np.float64), np.array(counts, np.int64))


def test_a_textbook_count() -> None:
    reason = shape(COUNT_VALUES, COUNT_COUNTS)
    assert reason == (
        "20 different values from 0 to 90, most often 0 and rarer as they grow (rank correlation -1.00), as counts are"
    )


@pytest.mark.parametrize("shift", [-4, -3, 1, 2])
def test_counts_start_near_zero(shift: int) -> None:
    found = shape([value + shift for value in COUNT_VALUES], COUNT_COUNTS)
    assert (found is not None) == (-3 <= shift <= 1)


@pytest.mark.parametrize(
    ("values", "counts"),
    [
        (COUNT_VALUES[:-1], COUNT_COUNTS[:-1]),
        ([*range(5), *range(6, 16), 17, 20, 25, 40, 90], COUNT_COUNTS),
        ([*range(19), 39], COUNT_COUNTS),
        (COUNT_VALUES, [*COUNT_COUNTS[:5], 101, *COUNT_COUNTS[6:]]),
        (COUNT_VALUES, [100, *([9, 2, 8, 3, 7, 4, 6, 5] * 3)[:19]]),
        (COUNT_VALUES, [10] * 20),
    ],
    ids=["19 values", "a gap among the first ten", "no tail", "a late mode", "not falling", "even"],
)
def test_what_is_no_count(values: list[int], counts: list[int]) -> None:
    assert shape(values, counts) is None


def test_the_mode_of_a_count_is_among_its_first_five_values() -> None:
    assert shape(COUNT_VALUES, [*COUNT_COUNTS[:4], 101, *COUNT_COUNTS[5:]])


def test_counts_have_ten_rows_per_value() -> None:
    falling = [*range(14, 0, -1), *[1] * 5]
    assert shape(COUNT_VALUES, [200 - sum(falling), *falling])
    assert shape(COUNT_VALUES, [199 - sum(falling), *falling]) is None


def test_counts_have_no_more_values_than_ten_roots_of_the_rows() -> None:
    values = [*range(1_000), 5_000]
    falling = np.linspace(15, 1, 1_000).round().astype(int).tolist()
    assert shape(values, [10_030 - sum(falling), *falling])
    assert shape(values, [10_010 - sum(falling), *falling]) is None


def test_differences_have_ten_values_on_either_side() -> None:
    assert shape([*range(-10, 11)], [1] * 21) == ("10 different values below and 10 above zero, as differences have")
    assert shape([*range(-9, 200)], [1] * 209) is None
    assert shape([*range(-200, 10)], [1] * 210) is None
    assert shape([*range(-10, 10), 10**9], [1] * 21) is None
    assert shape([-(10**9), *range(-9, 11)], [1] * 21) is None


PRICES = [*range(5, 105, 5)]


def test_a_textbook_price() -> None:
    assert shape(PRICES, [5] * 20) == (
        "20 different values from 5 to 100, 100% of the rows with a multiple of 5 or a last digit 9, as prices have"
    )
    assert shape([value * 10 - 1 for value in PRICES], [5] * 20)


@pytest.mark.parametrize(
    ("values", "counts"),
    [
        (PRICES[:-1], [5] * 19),
        (PRICES, [*[5] * 19, 4]),
        ([0, *PRICES[1:]], [5] * 20),
        ([*range(50, 150, 5)], [5] * 20),
        ([*range(5, 60, 5), *range(61, 106, 5)], [90, *[5] * 19]),
        ([*range(5, 65, 5), *range(66, 106, 5)], [*[5] * 12, *[50] * 8]),
    ],
    ids=["19 values", "under five rows per value", "zero", "no spread", "one frequent value", "few rows"],
)
def test_what_is_no_price(values: list[int], counts: list[int]) -> None:
    assert shape(values, counts) is None


# ---- shapes: what columns really look like


def shape_of(column: npt.NDArray[np.int64] | npt.NDArray[np.float64]) -> str | None:
    values, counts = np.unique(column, return_counts=True)
    return shape_of_quantity(values.astype(np.float64), counts)


def dense_zipf(rows: int, vocabulary: int, exponent: float) -> npt.NDArray[np.int64]:
    """Ids 0 to `vocabulary` - 1 in order of frequency, as a vocabulary file numbers them."""
    chance = 1 / np.arange(1, vocabulary + 1) ** exponent
    return draw().choice(vocabulary, rows, p=chance / chance.sum())


@pytest.mark.parametrize("exponent", [0.6, 1.0, 1.2])
@pytest.mark.parametrize("vocabulary", [50, 1_000, 5_000, 100_000])
@pytest.mark.parametrize("rows", [2_000, 100_000])
def test_a_vocabulary_in_order_of_frequency_is_no_count(rows: int, vocabulary: int, exponent: float) -> None:
    assert shape_of(dense_zipf(rows, vocabulary, exponent)) is None


IDENTITIES = {
    "uniform": draw(1).integers(1, 1_000, ROWS),
    "uniform, sparse": draw(1).integers(1, 10**7, ROWS),
    "zipf, arbitrary numbers": draw(1).choice(10**7, 500, replace=False)[dense_zipf(ROWS, 500, 1.0)],
    "years": draw(1).integers(1950, 2026, ROWS),
    "hours": draw(1).integers(0, 24, ROWS),
    "hours, mostly early": np.minimum(draw(1).geometric(0.2, ROWS) - 1, 23),
    "zip codes": draw(1).choice(np.arange(10_001, 99_999, 37), ROWS),
    "signed 32-bit hashes": draw(1).integers(-(2**31), 2**31, 500)[draw(1).integers(0, 500, ROWS)],
    "ids with -1 for none": np.where(draw(1).random(ROWS) < 0.5, -1, draw(1).integers(100_000, 100_300, ROWS)),
    "ids from 0 with holes": draw(1).choice(np.arange(0, 3_000, 7), ROWS),
}


@pytest.mark.parametrize("name", IDENTITIES)
def test_identities_have_no_shape_of_a_quantity(name: str) -> None:
    assert shape_of(IDENTITIES[name]) is None


QUANTITIES = {
    "log-normal count": (np.floor(draw(2).lognormal(1, 1.5, ROWS)), "counts"),
    "power-law count": (draw(2).zipf(2.0, ROWS), "counts"),
    "count with -1 for none": (
        np.where(draw(2).random(ROWS) < 0.1, -1, np.floor(draw(2).lognormal(1, 1.5, ROWS))),
        "counts",
    ),
    "difference": (draw(2).normal(0, 30, ROWS).round(), "differences"),
    "price in cents": (draw(2).choice(np.arange(1, 60) * 100 - 1, ROWS), "prices"),
    "price in round units": (np.round(draw(2).lognormal(4, 1, ROWS) / 5) * 5 + 5, "prices"),
}


@pytest.mark.parametrize("name", QUANTITIES)
def test_quantities_have_their_shape(name: str) -> None:
    column, expected = QUANTITIES[name]
    assert f"as {expected} " in (shape_of(column) or "")


# ---- heavy tails


@pytest.mark.parametrize(
    ("values", "counts", "expected"),
    [
        ([10, 201], [1_000, 3], True),
        ([10, 200], [1_000, 3], False),
        ([-201, -10], [3, 1_000], True),
        ([0, 20], [1_000, 3], True),
        ([0, 19], [1_000, 3], False),
        ([1, 2, 900], [900, 10, 3], True),
        ([1, 2, 900], [10, 10, 30], False),
        ([0, 50], [60, 40], False),
        ([1, 1e307], [1, 2], False),
        ([1, 1e307], [9, 1], True),
    ],
)
def test_heavy_tail(values: list[float], counts: list[int], expected: bool) -> None:
    assert heavy_tail(np.array(values, np.float64), np.array(counts, np.int64)) == expected


def test_samples_with_and_without_a_heavy_tail() -> None:
    once = np.ones(ROWS, np.int64)
    assert heavy_tail(draw().lognormal(2, 2, ROWS), once)
    assert not heavy_tail(draw().normal(50, 10, ROWS), once)
    assert not heavy_tail(draw().lognormal(0, 2, ROWS) / 1e6, once)  # ln(1 + x) changes nothing near zero


# ---- separators


def separator_of(texts: Sequence[str]) -> str | None:
    found = tally(profile_column(pa.array(texts)))
    assert found is not None
    return find_separator(found)


def tag_lists(separator: str, tags: Sequence[str] = ("red", "blue", "sport", "sale", "new")) -> list[str]:
    rng = draw()
    return [separator.join(rng.permutation(tags)[: rng.integers(1, 4)]) for _ in range(1_000)]


@pytest.mark.parametrize(("joined", "separator"), [("|", "|"), (";", ";"), (",", ","), (", ", ","), (" | ", "|")])
def test_tags_are_split(joined: str, separator: str) -> None:
    assert separator_of(tag_lists(joined)) == separator
    assert separator_of([joined.join(sorted(text.split(joined))) for text in tag_lists(joined)]) == separator


def test_lists_of_ids_are_split() -> None:
    assert separator_of(tag_lists(",", [str(i) for i in range(7, 60)])) == ","


def test_the_bar_comes_before_the_comma() -> None:
    assert separator_of(tag_lists("|", ("Doe, J", "Roe, R", "Poe, E"))) == "|"


def test_the_separator_is_in_a_tenth_of_the_rows() -> None:
    lists = ["a|b", "b|a", "c|a", "a|c"]
    assert separator_of(lists + ["a"] * 36) == "|"
    assert separator_of(lists + ["a"] * 37) is None


@pytest.mark.parametrize(("words", "expected"), [(1_000, "|"), (1_001, None)])
def test_parts_that_stay_in_their_places_are_of_a_small_vocabulary(words: int, expected: str | None) -> None:
    half = words - words // 2
    texts = [f"left{i % half}x|right{(i * 7 + i // half) % (words // 2)}x" for i in range(2_000)]
    assert separator_of(texts) == expected


@pytest.mark.parametrize("separator", ["|", ";", ",", "^", "\x02", " "])
@pytest.mark.parametrize("items", [5_000, 10**7])
def test_histories_of_any_vocabulary_are_lists(separator: str, items: int) -> None:
    rng = draw()
    assert separator_of(
        [separator.join(map(str, rng.integers(0, items, rng.integers(1, 9)))) for _ in range(3_000)]
    ) == (separator)
    fixed = separator_of([separator.join(map(str, rng.integers(0, 5_000, 5))) for _ in range(3_000)])
    assert fixed == separator


@pytest.mark.parametrize("write", [str, json.dumps, lambda tags: str(np.array(tags))])
def test_lists_in_brackets_are_lists(write: Callable[[list[str]], str]) -> None:
    assert separator_of([write(text.split("|")) for text in tag_lists("|")]) == "[]"


@pytest.mark.parametrize(
    "write", [str, lambda vector: "|".join(map(str, vector)), lambda vector: " ".join(map(str, vector))]
)
def test_vectors_are_told_from_lists(write: Callable[[list[float]], str]) -> None:
    texts = [write(vector) for vector in draw().random((500, 3)).round(3).tolist()]
    column = tally(profile_column(pa.array(texts)))
    assert column is not None
    separator = find_separator(column) or "|"
    assert is_vector(elements(column, separator)) or separator_of(texts) is None


def test_parts_come_back_in_other_values() -> None:
    assert separator_of([f"{2 * i}|{2 * i + 1}" for i in range(100)] * 3) is None
    assert separator_of([f"{i}|{i + 1}" for i in range(100)] + ["0", "100"]) == "|"


@pytest.mark.parametrize(
    ("filler", "expected"), [("x" * 39, "|"), ("x" * 40, None), (" b c d", "|"), (" b c d e", None)]
)
def test_parts_are_short(filler: str, expected: str | None) -> None:
    assert separator_of(tag_lists("|", [f"{letter}{filler}" for letter in "abcde"])) == expected


def names_of_people() -> list[str]:
    rng = draw()
    return [f"Name{a}, First{b}" for a, b in zip(rng.integers(0, 200, 2_000), rng.integers(0, 50, 2_000), strict=True)]


def sentences() -> list[str]:
    rng = draw()
    words = [f"word{i}" for i in range(400)]
    return [", ".join(" ".join(rng.choice(words, 6)) for _ in range(2)) + "." for _ in range(90)]


NOT_LISTS = {
    "names": names_of_people(),
    "sentences": sentences(),
    "slogans": ["Buy now, pay later", "Yes, we can", "Less, but better", "Hello"],
    "json": ['{"a": 1, "b": 2}', '{"a": 2, "b": 1}', '{"b": 1, "a": 1}'],
    "brackets": [f"[{tags}]" for tags in tag_lists("|")],
    "empty parts": ["|||a", "|||b", "|b||a", "a|||", "b|||", "a|b", "b|a"],
    "thousands": [f"{n:,}" for n in draw().integers(0, 20_000, 5_000)],
    "decimal commas": [f"{a},{b}" for a, b in draw().integers(0, 99, (5_000, 2))],
}


@pytest.mark.parametrize("name", NOT_LISTS)
def test_text_with_separators_that_is_no_list(name: str) -> None:
    assert separator_of(NOT_LISTS[name]) is None
