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


@pytest.mark.parametrize(
    "name",
    [
        *("itemid", "uid", "adid", "sku", "ItemID", "deviceId", "userid", "user_sku", "asin"),
        *(
            "sales_channel",
            "sales_region",
            "tax_status",
            "price_tier",
            "age_bracket",
            "age_cat",
            "rate_plan",
            "cost_center",
        ),
        *("bid_strategy", "min_sdk", "max_os", "number_plate", "income_source", "orders_status", "orders_country"),
        *("payment_count_method", "salesChannel", "type_of_price", "revenue_currency"),
    ],
)
def test_identities_and_things_by_name(name: str) -> None:
    meaning = meaning_of(name)
    assert meaning is not None
    assert meaning[0] == "identity"


@pytest.mark.parametrize(
    "name",
    [
        *("amount_paid", "max_bid", "channel_sales", "region_price", "price_per_item", "clicks_by_user", "num_users"),
        *(
            "total_items",
            "max_price",
            "min_age",
            "number_of_plates",
            "count_of_devices",
            "clicks_last_week",
            "spend_on_ads",
        ),
        *("days_since_order", "minutes_on_site", "user_age"),
    ],
)
def test_quantities_by_name(name: str) -> None:
    meaning = meaning_of(name)
    assert meaning is not None
    assert meaning[0] == "quantity"


@pytest.mark.parametrize("name", ["paid", "grid", "valid", "humid", "void", "mid"])
def test_ordinary_words_that_end_in_id_say_nothing(name: str) -> None:
    assert meaning_of(name) is None
