"""What the name of a column tells: the last telling word decides."""

from __future__ import annotations

import pytest

from fieldwise.schema.names import is_clock, is_version, meaning_of, split_name


@pytest.mark.parametrize(
    ("name", "meaning"),
    [
        ("user_age", "quantity"),
        ("userAge", "quantity"),
        ("price-usd", "quantity"),
        ("clicks7d", "quantity"),
        ("num_items", "quantity"),
        ("numberOfUsers", "quantity"),
        ("number", "quantity"),
        ("count_of_ads", "quantity"),
        ("clicks per hour", "quantity"),
        ("days.since.visit", "quantity"),
        ("category_count", "quantity"),
        ("banner_size", "scale"),
        ("price_id", "identity"),
        ("max_item_id", "identity"),
        ("ageGroup", "identity"),
        ("weight_class", "identity"),
        ("hour", "identity"),
        ("birth_year", "identity"),
        ("item", "identity"),
        ("order_no", "identity"),
        ("zip", "identity"),
        ("n", None),
        ("n1", None),
        ("I1", None),
        ("account_number", "identity"),
        ("phone_number", "identity"),
        ("discounted", None),
        ("pricey", None),
        ("", None),
        ("größe", None),
    ],
)
def test_the_last_telling_word_of_a_name_decides(name: str, meaning: str | None) -> None:
    found = meaning_of(name)
    assert (found[0] if found else None) == meaning


def test_names_are_split_into_whole_words() -> None:
    assert split_name("userAge_v2.XMLCount-by day") == ["user", "age", "v", "2", "xml", "count", "by", "day"]
    assert meaning_of("accounts") is None


def test_clocks_and_versions() -> None:
    assert is_clock("event_ts")
    assert is_clock("unixTime")
    assert not is_clock("timeout")
    assert is_version("os_version")
    assert not is_version("conversions")
