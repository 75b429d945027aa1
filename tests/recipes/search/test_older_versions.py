"""What an older version has left is read: an architecture's file of version 1, a predictor, a search half done.

tests/fixtures/predictor-v5/searched and tests/fixtures/search-v1 were written by a fieldwise that said "positions" and
"passes", from the same rows and settings.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import fieldwise as fw
from fieldwise.architecture import Architecture
from fieldwise.datasets import SyntheticClickLog, make_search_log
from fieldwise.predictor import Predictor
from fieldwise.preparation import Tables, prepare
from fieldwise.recipes.search import search
from fieldwise.reporting import Reporter
from fieldwise.settings import DataSettings, SearchSettings, resolve_settings

FIXTURES = Path(__file__).parents[2] / "fixtures"
PREDICTOR = FIXTURES / "predictor-v5" / "searched"


@pytest.fixture(scope="module")
def log() -> SyntheticClickLog:
    sizes = {"num_fields": 4, "num_noise": 1, "num_pairs": 1, "num_triples": 1}
    return make_search_log(600, seed=3, cardinality=(3, 5), triple_strength=1.0, **sizes)


@pytest.fixture
def predictor() -> Predictor:
    return fw.load(PREDICTOR)


def test_an_architecture_file() -> None:
    architecture = Architecture.load(PREDICTOR)
    assert architecture.version == 2
    assert architecture.kept_dimensions(2, "outer", "field_02") == (0, 1)
    stages = architecture.settings["stages"]
    assert [(stage["stage"], stage["epochs"]) for stage in stages] == [("order 2", 2), ("dimensions", 2)]


def test_a_predictor_predicts_as_it_did(predictor: Predictor, log: SyntheticClickLog) -> None:
    expected = [0.49291861, 0.49392797, 0.49272253, 0.49941573, 0.49990913]
    assert np.allclose(predictor.predict(log.table.slice(0, 5)), expected, rtol=1e-6)
    assert predictor.architecture == Architecture.load(PREDICTOR)
    search_settings = predictor.settings.search
    assert search_settings == SearchSettings(
        functions=("inner", "outer"), epochs=2, threshold=0.6, dimension_threshold=0.6, share_dimensions=True
    )


def test_a_predictor_is_saved_in_today_s_words(predictor: Predictor, tmp_path: Path) -> None:
    predictor.save(tmp_path / "again")
    again = fw.load(tmp_path / "again")
    assert again.settings == predictor.settings
    assert again.settings.model_settings["architecture"]["version"] == 2
    text = (tmp_path / "again" / "settings.json").read_text()
    assert '"epochs": 2' in text
    assert '"share_dimensions": true' in text


def test_a_search_half_done_goes_on(predictor: Predictor, log: SyntheticClickLog, tmp_path: Path) -> None:
    """Its checkpoint was written within the stage of dimensions, under that stage's old name."""
    place = tmp_path / "search"
    shutil.copytree(FIXTURES / "search-v1", place)
    schema = predictor.schema
    parts = prepare(Tables("rows.csv", log.table, None, None), schema, DataSettings(), seed=0).parts
    settings = predictor.settings.model_copy(
        update={"model_settings": {**predictor.settings.model_settings, "architecture": None}}
    )
    said: list[str] = []

    class Said(Reporter):
        def say(self, text: str = "") -> None:
            said.append(text)

    after = search(parts, settings, place=place, reporter=Said(enabled=False))
    assert "search 1/2, order 2: done before" in said
    assert "search 2/2, dimensions: going on after 4 steps" in said
    assert sorted(path.name for path in place.iterdir()) == ["architecture.json", "dimensions.json", "order-2.json"]
    architecture = Architecture.model_validate(after.model_settings["architecture"])
    assert predictor.architecture is not None
    assert architecture.interactions == predictor.architecture.interactions
    assert architecture.dimensions == predictor.architecture.dimensions


def test_old_names_on_the_command_line() -> None:
    settings = resolve_settings(model="aim", overrides={"passes": 3, "search.position_threshold": 0.7})
    assert settings.search is not None
    assert (settings.search.epochs, settings.search.dimension_threshold) == (3, 0.7)
