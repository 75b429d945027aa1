"""Parameters at the papers' sizes: table 3 of the AutoInt paper, from the models themselves."""

from __future__ import annotations

import pytest

from fieldwise.comparison.sizes import layout_at, sizes_at
from fieldwise.errors import SettingsError


def test_a_layout_has_the_published_sizes() -> None:
    layout = layout_at("criteo")
    assert (len(layout.numeric), len(layout.categorical), len(layout)) == (13, 26, 39)
    # Every token, and what our tables have besides: 13 value vectors and 39 rows for missing, 26 for rare, one of none.
    assert layout.num_rows == 998_960 + 39 + 26 + 1


def test_table_3() -> None:
    counts = {size.model: size for size in sizes_at("criteo")}
    assert counts["autoint"].without_embeddings == 40_513
    assert counts["autoint"].printed == "3.9e4"
    assert counts["lr"].without_embeddings == 1


def test_an_unknown_data_set() -> None:
    with pytest.raises(SettingsError, match="criteo"):
        sizes_at("cirteo")
