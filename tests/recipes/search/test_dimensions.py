"""Searching the embedding dimensions of a given architecture: the last stage of AIM's search on its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fieldwise.architecture import Architecture
from fieldwise.data.dataset import Dataset
from fieldwise.datasets.synthetic import make_search_log
from fieldwise.errors import SettingsError
from fieldwise.preparation import Tables, prepare
from fieldwise.recipes.network import settle_training
from fieldwise.recipes.search import search, search_dimensions
from fieldwise.reporting import Reporter
from fieldwise.settings import Settings, resolve_settings

QUIET = Reporter(enabled=False)


@pytest.fixture(scope="module")
def parts() -> dict[str, Dataset]:
    log = make_search_log(1_500, num_fields=4, num_noise=1, num_pairs=2, num_triples=1)
    settings = resolve_settings(model="aim")
    return prepare(Tables("log", log.table, None, None), log.schema, settings.data, seed=0).parts


def settings_for(parts: dict[str, Dataset], **overrides: Any) -> Settings:
    chosen = {"embedding_dim": 4, "search.epochs": 2, "batch_size": 256, **overrides}
    return settle_training(parts["train"].layout, resolve_settings(model="aim", overrides=chosen))


def every_pair(parts: dict[str, Dataset]) -> Architecture:
    return Architecture.everything(parts["train"].layout, functions=["inner", "outer"], embedding_dim=4)


def test_a_low_threshold_keeps_all_and_one_that_would_leave_nothing_is_not_followed(parts: dict[str, Dataset]) -> None:
    everything = every_pair(parts)
    settings = settings_for(parts, **{"search.dimension_threshold": 0.0})
    kept = search_dimensions(parts, settings, everything, reporter=QUIET)
    assert kept.interactions == everything.interactions
    assert kept.dimensions == {
        2: {function: dict.fromkeys(everything.fields, (0, 1, 2, 3)) for function in ("inner", "outer")}
    }
    assert [stage["stage"] for stage in kept.settings["stages"]] == ["dimensions"]
    settings = settings_for(parts, **{"search.dimension_threshold": 5.0})
    whole = search_dimensions(parts, settings, everything, reporter=QUIET)
    assert (whole.interactions, whole.dimensions) == (everything.interactions, None)


def test_it_is_the_last_stage_of_a_search(parts: dict[str, Dataset]) -> None:
    how = {"search.threshold": 0.3, "search.dimension_threshold": 0.6}
    whole = search(parts, settings_for(parts, **how), reporter=QUIET).model_settings["architecture"]
    without = settings_for(parts, **how, **{"search.embedding_sizes": False})
    found = Architecture.model_validate(search(parts, without, reporter=QUIET).model_settings["architecture"])
    assert found.dimensions is None
    kept = search_dimensions(parts, settings_for(parts, **how), found, reporter=QUIET)
    assert kept.dimensions == Architecture.model_validate(whole).dimensions
    assert kept.interactions == Architecture.model_validate(whole).interactions
    assert [stage["stage"] for stage in kept.settings["stages"]] == ["order 2", "dimensions"]


def test_removed_positions_are_searched_again(parts: dict[str, Dataset]) -> None:
    everything = every_pair(parts)
    name = next(iter(everything.fields))
    narrow = everything.model_copy(update={"dimensions": {2: {"inner": {name: (1,)}}}})
    settings = settings_for(parts, **{"search.dimension_threshold": 0.0})
    kept = search_dimensions(parts, settings, narrow, reporter=QUIET)
    assert kept.kept_dimensions(2, "inner", name) == (0, 1, 2, 3)


def test_what_is_done_in_its_place_is_not_done_again(parts: dict[str, Dataset], tmp_path: Path) -> None:
    settings = settings_for(parts)
    first = search_dimensions(parts, settings, every_pair(parts), place=tmp_path, reporter=QUIET)
    assert [path.name for path in tmp_path.iterdir()] == ["dimensions.json"]
    assert search_dimensions(parts, settings, every_pair(parts), place=tmp_path, reporter=QUIET) == first


def test_fields_that_the_data_lack(parts: dict[str, Dataset]) -> None:
    text = every_pair(parts).to_json().replace('"field_00"', '"field_x"')
    with pytest.raises(SettingsError, match="field_x"):
        search_dimensions(parts, settings_for(parts), Architecture.parse(text), reporter=QUIET)
