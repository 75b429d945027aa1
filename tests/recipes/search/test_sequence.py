"""The search: what it finds, what it leaves where nothing is to be found, and how it is stopped and goes on."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import fieldwise as fw
from fieldwise import cli
from fieldwise.architecture import Architecture
from fieldwise.data.dataset import Dataset
from fieldwise.datasets import SyntheticClickLog, make_search_log
from fieldwise.errors import SettingsError
from fieldwise.models import registry
from fieldwise.preparation import Tables, prepare
from fieldwise.recipes.search import budget, search
from fieldwise.recipes.search.stages import strongest_functions
from fieldwise.reporting import Reporter
from fieldwise.settings import DataSettings, Settings, resolve_settings
from fieldwise.training.step import Step

SILENT = Reporter(enabled=False)


@pytest.fixture(scope="module")
def log() -> SyntheticClickLog:
    return make_search_log(
        20_000, seed=3, num_fields=6, num_noise=2, num_pairs=1, num_triples=1, cardinality=(4, 8), triple_strength=1.2
    )


@pytest.fixture(scope="module")
def parts(log: SyntheticClickLog) -> dict[str, Dataset]:
    return prepare(Tables("log", log.table, None, None), log.schema, DataSettings(), seed=0).parts


def settings_for(model: str = "aim", **overrides: Any) -> Settings:
    names = {name.replace("__", "."): value for name, value in overrides.items()}
    quick = {"training.precision": "float32", "model.embedding_dim": 8, "training.batch_size": 256}
    return resolve_settings(model=model, overrides={**quick, **names})


def architecture_of(settings: Settings) -> Architecture:
    return Architecture.model_validate(settings.model_settings["architecture"])


def test_planted_interactions_are_found(log, parts):
    architecture = architecture_of(search(parts, settings_for(search__orders=(2, 3)), source="log", reporter=SILENT))
    pairs, triples = (list(architecture.strengths(order)) for order in (2, 3))
    assert pairs[0] == tuple(sorted(log.planted_pairs[0]))
    assert triples[0] == tuple(sorted(log.planted_triples[0]))
    noise = set(log.noise_fields)
    assert not any(noise & set(fields) for fields in pairs)
    assert architecture.dimensions is not None
    read = {name for by_function in architecture.dimensions[2].values() for name in by_function}
    assert read <= {name for fields in pairs for name in fields}
    assert [stage["stage"] for stage in architecture.settings["stages"]] == ["order 2", "order 3", "dimensions"]
    assert architecture.data.rows == len(parts["train"])
    assert architecture.data.source == "log"
    assert all(
        stage["threshold"] == pytest.approx(limit)
        for stage, limit in zip(architecture.settings["stages"], (0.8, 0.8, 0.61), strict=True)
    )


def test_noise_keeps_no_positions_where_all_pairs_are_open(log, parts):
    settings = settings_for(search__threshold=0.0)
    architecture = architecture_of(search(parts, settings, reporter=SILENT))
    assert len(architecture.settings["stages"]) == 2
    assert architecture.settings["stages"][0]["kept"] == 15 * 4
    sizes = {
        name: sum(len(kept.get(name, ())) for kept in (architecture.dimensions or {})[2].values())
        for name in architecture.fields
    }
    noise = [size for name, size in sizes.items() if name in log.noise_fields]
    planted = [sizes[name] for name in log.planted_pairs[0]]
    assert max(noise) <= 0.1 * min(planted)


def test_autofis_keeps_its_network_and_takes_inner_products(parts):
    architecture = architecture_of(
        search(parts, settings_for("autofis", model__base="deepfm", search__threshold=0.6), reporter=SILENT)
    )
    assert architecture.functions == ("inner",)
    assert architecture.dimensions is None
    assert architecture.model == "autofis"


def test_options_of_the_search(parts):
    one = architecture_of(
        search(parts, settings_for(search__max_interactions=1, search__share_dimensions=True), reporter=SILENT)
    )
    assert len(one.interactions) == 1
    shared = architecture_of(
        search(
            parts, settings_for(search__shared_embedding=True, search__functions=("inner", "outer")), reporter=SILENT
        )
    )
    assert shared.shared_embedding
    assert set(shared.functions) <= {"inner", "outer"}
    assert list((shared.dimensions or {})[2]) == ["shared"]


class Said(Reporter):
    """Keeps what is said."""

    def __init__(self) -> None:
        super().__init__(enabled=False)
        self.lines: list[str] = []

    def say(self, text: str = "") -> None:
        self.lines.append(text)

    def __str__(self) -> str:
        return "\n".join(self.lines)


def test_where_every_gate_closes_the_linear_part_is_left(parts):
    said = Said()
    settings = search(
        parts, settings_for(search__threshold=50.0, search__orders=(2, 3), search__max_tuples=0), reporter=said
    )
    assert architecture_of(settings).interactions == ()
    assert "every gate is closed" in str(said)
    assert "search.threshold" in str(said)
    assert "there is no candidate" in str(said)  # of order 3: no pair to extend
    assert "no embedding is needed" in str(said)
    network = registry.build("aim", parts["train"].layout, settings.model_settings)
    linear = registry.build("lr", parts["train"].layout)
    assert sum(p.numel() for p in network.parameters()) == sum(p.numel() for p in linear.parameters())


def test_embeddings_are_left_whole_where_none_of_their_positions_would_be_left(parts):
    said = Said()
    architecture = architecture_of(search(parts, settings_for(search__dimension_threshold=50.0), reporter=said))
    assert architecture.interactions
    assert architecture.dimensions is None
    assert "search.dimension_threshold" in str(said)


def test_one_field_has_nothing_to_interact_with(log, tmp_path):
    table = log.table.select(["field_00", "click"])
    said = Said()
    predictor = fw.search(
        table, label="click", out=tmp_path / "one", settings={"epochs": 1, "precision": "float32"}, progress=said
    )
    assert "there is no candidate (1 fields)" in str(said)
    assert predictor.architecture is not None
    assert predictor.architecture.interactions == ()
    assert len(predictor.predict(table.slice(0, 5))) == 5


def test_fewer_rows_than_a_batch(log):
    few = prepare(Tables("few", log.table.slice(0, 60), None, None), log.schema, DataSettings(), seed=0).parts
    architecture = architecture_of(search(few, settings_for(training__batch_size=100_000), reporter=SILENT))
    assert architecture.settings["stages"][0]["batch_size"] == len(few["train"])


def test_unknown_functions_and_orders_out_of_line_are_refused(parts):
    with pytest.raises(SettingsError, match="unknown interaction function 'iner'; did you mean 'inner'"):
        search(parts, settings_for(search__functions=("iner",)), reporter=SILENT)
    with pytest.raises(SettingsError, match="orders build on one another"):
        settings_for(search__orders=(2, 4))
    with pytest.raises(SettingsError, match=r"setting 'search\.orders'"):
        settings_for(search__orders=(3,))
    with pytest.raises(SettingsError, match=r"model 'fm' has no setting 'search\.orders'"):
        resolve_settings(model="fm", overrides={"search.orders": (2,)})


def test_the_settings_of_search_and_training_share_names():
    settings = resolve_settings(model="aim", overrides={"batch_size": 64, "search.batch_size": 32, "top": 3})
    assert settings.training.batch_size == 64
    assert settings.search is not None
    assert settings.search.batch_size == 32
    assert settings.search.top == 3
    assert resolve_settings(model="fm").search is None


class Stopped(BaseException):
    """In place of a kill."""


@pytest.mark.parametrize("steps", [30, 90, 150])
def test_a_search_that_was_killed_goes_on_and_finds_the_same(parts, tmp_path, monkeypatch, steps):
    settings = settings_for(search__orders=(2, 3), search__epochs=1, training__checkpoint_minutes=0)
    whole = architecture_of(search(parts, settings, reporter=SILENT))
    original, taken = Step.__call__, 0

    def step(self: Step, *words: Any) -> Any:
        nonlocal taken
        taken += 1
        if taken > steps:
            raise Stopped
        return original(self, *words)

    monkeypatch.setattr(Step, "__call__", step)
    with pytest.raises(Stopped):
        search(parts, settings, place=tmp_path, reporter=SILENT)
    monkeypatch.setattr(Step, "__call__", original)
    said = Said()
    again = architecture_of(search(parts, settings, place=tmp_path, reporter=said))
    assert "going on after" in str(said)
    assert again.interactions == whole.interactions
    assert again.dimensions == whole.dimensions
    said = Said()
    assert architecture_of(search(parts, settings, place=tmp_path, reporter=said)) == again
    assert str(said) == "the search is done"


def test_a_time_budget_takes_a_sample_of_the_rows(parts, tmp_path, monkeypatch):
    monkeypatch.setattr(budget, "seconds_per_row", lambda trainer, train, most: 0.001)
    said = Said()
    settings = search(
        parts,
        settings_for(search__time_budget=20.0, search__epochs=1, search__threshold=0.5),
        place=tmp_path,
        reporter=said,
    )
    stages = architecture_of(settings).settings["stages"]
    # Half of it in two shares of about five seconds, at a thousand rows a second.
    assert all(4_000 < stage["rows"] <= 5_001 for stage in stages[:1])
    assert stages[1]["rows"] <= 10_001
    assert settings.training.epochs == 1
    assert "epochs at most: 1, of" in str(said)
    assert (
        search(
            parts,
            settings_for(search__time_budget=20.0, search__epochs=1, search__threshold=0.5),
            place=tmp_path,
            reporter=SILENT,
        )
        == settings
    )
    monkeypatch.undo()
    everything = search(parts, settings_for(search__time_budget=3600.0, search__epochs=1), reporter=SILENT)
    assert architecture_of(everything).settings["stages"][0]["rows"] == len(parts["train"])
    assert everything.training.epochs == 20


def test_one_function_per_tuple(parts):
    everything = {"search__threshold": 0.0, "search__embedding_sizes": False}
    whole = architecture_of(search(parts, settings_for(**everything), reporter=SILENT))
    one = architecture_of(search(parts, settings_for(search__functions_per_tuple=1, **everything), reporter=SILENT))
    assert one.interactions == tuple(sorted(strongest_functions(whole.interactions, 1), key=whole.interactions.index))
    assert len(one.interactions) == len(whole.strengths(2)) < len(whole.interactions)


def test_a_model_that_does_not_search_is_refused(log, monkeypatch, capsys):
    with pytest.raises(SettingsError, match=r"model 'fm' does not search .*: aim, autofis"):
        fw.search(log.table, schema=log.schema, model="fm", progress=False)
    monkeypatch.setattr(sys, "argv", ["fieldwise", "search", "nothing.csv", "--model", "fm", "--out", "model"])
    with pytest.raises(SystemExit):
        cli.main()
    assert "does not search" in capsys.readouterr().err


def test_search_trains_saves_and_is_used_again(log, tmp_path):
    out = tmp_path / "aim"
    quick = {
        "epochs": 2,
        "precision": "float32",
        "embedding_dim": 4,
        "dnn_hidden": (8,),
        "search.epochs": 1,
        "threshold": 0.5,
    }
    predictor = fw.search(log.table, schema=log.schema, orders=(2,), settings=quick, out=out, progress=False)
    architecture = Architecture.load(out)
    assert architecture == predictor.architecture
    assert not (tmp_path / "aim.unfinished").exists()
    loaded = fw.load(out)
    assert np.array_equal(loaded.predict(log.table.slice(0, 50)), predictor.predict(log.table.slice(0, 50)))
    assert loaded.settings.search is not None
    assert loaded.settings.search.epochs == 1
    again = fw.train(
        log.new_rows(2_000, seed=9).table,
        schema=log.schema,
        model="aim",
        settings={"architecture": str(out), "epochs": 1, "precision": "float32", "dnn_hidden": (8,)},
        progress=False,
    )
    assert again.architecture == architecture
    with pytest.raises(SettingsError, match="needs the field 'field_"):
        fw.train(
            log.table.drop_columns([architecture.interactions[0].fields[0]]),
            label="click",
            model="aim",
            settings={"architecture": str(out), "epochs": 1},
            progress=False,
        )


def test_a_search_that_was_interrupted_is_resumed_by_its_place(log, tmp_path, monkeypatch):
    source = tmp_path / "log.parquet"
    import pyarrow.parquet as pq

    pq.write_table(log.table, source)
    quick = {
        "epochs": 1,
        "precision": "float32",
        "embedding_dim": 4,
        "dnn_hidden": (8,),
        "search.epochs": 1,
        "checkpoint_minutes": 0,
        "batch_size": 128,
    }
    whole = fw.search(source, schema=log.schema, settings=quick, out=tmp_path / "whole", progress=False)
    original, taken = Step.__call__, 0

    def step(self: Step, *words: Any) -> Any:
        nonlocal taken
        taken += 1
        if taken == 20:
            raise KeyboardInterrupt
        return original(self, *words)

    monkeypatch.setattr(Step, "__call__", step)
    with pytest.raises(KeyboardInterrupt):
        fw.search(source, schema=log.schema, settings=quick, out=tmp_path / "aim", progress=False)
    monkeypatch.setattr(Step, "__call__", original)
    assert not (tmp_path / "aim").exists()
    assert json.loads((tmp_path / "aim.unfinished" / "run.json").read_text())["settings"]["model"] == "aim"
    predictor = fw.resume(tmp_path / "aim", progress=False)
    assert predictor.architecture is not None
    assert whole.architecture is not None
    assert predictor.architecture.interactions == whole.architecture.interactions
    assert predictor.architecture.dimensions == whole.architecture.dimensions
    for name, weight in whole.model.network.state_dict().items():
        assert torch.equal(weight, predictor.model.network.state_dict()[name])
    assert Path(tmp_path / "aim" / "architecture.json").exists()
