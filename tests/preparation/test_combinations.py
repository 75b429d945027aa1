"""Statistics of combinations all the way: asked for by settings, trained on, saved, and the same for new rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

import fieldwise as fw
from fieldwise import Batch, FieldLayout, Layout
from fieldwise.encoding.combination_fitting import fit_combinations
from fieldwise.encoding.encoder import Encoder
from fieldwise.errors import PredictorFormatError, SettingsError
from fieldwise.metrics import auc
from fieldwise.models import build, export_program
from fieldwise.models.with_statistics import WithStatistics
from fieldwise.schema import Schema
from fieldwise.training.step import Step

SETTINGS: dict[str, Any] = {"epochs": 2, "combinations": "auto", "embedding_dim": 4}


def crossed(n: int, *, seed: int = 0, noise: float = 0.05) -> pa.Table:
    """Clicks where site and device agree, which neither tells alone, among fields that tell nothing."""
    rng = np.random.default_rng(seed)
    site, device = rng.integers(0, 12, n), rng.integers(0, 12, n)
    click = ((site + device) % 3 == 0) ^ (rng.random(n) < noise)
    return pa.table(
        {
            "site": [f"s{i}" for i in site],
            "device": [f"d{i}" for i in device],
            "colour": [f"c{i}" for i in rng.integers(0, 5, n)],
            "day": pa.array(np.datetime64("2026-01-01") + (np.arange(n) * 60 // n)),
            "spent": np.where(click, 30.0, 10.0) + rng.normal(0, 1, n),
            "click": click.astype(int),
        }
    )


FIELDS = {"spent": "ignore", "day": "ignore"}


def test_a_model_learns_what_single_fields_do_not_tell() -> None:
    table = crossed(3000)
    found = {
        wanted: fw.train(
            table,
            label="click",
            fields=FIELDS,
            model="lr",
            settings={"epochs": 5, "combinations": wanted},
            progress=False,
        ).card.metrics["test"]["auc"]
        for wanted in ("off", "auto")
    }
    assert found["off"] < 0.6
    assert found["auto"] > 0.85


@pytest.mark.parametrize(
    "arguments",
    [
        {"label": "click", "fields": FIELDS},
        {"label": "click", "fields": {"spent": "ignore"}, "time": "day"},
        {"label": "spent", "fields": {"click": "ignore", "day": "ignore"}, "objective": "regression"},
    ],
)
def test_saved_it_predicts_the_same_from_tables_and_dicts(tmp_path: Path, arguments: dict[str, Any]) -> None:
    table = crossed(1500)
    predictor = fw.train(table, model="deepfm", settings=SETTINGS, out=tmp_path / "m", progress=False, **arguments)
    names = predictor.model.encoder.layout.statistics  # type: ignore[attr-defined]
    what = "mean" if arguments.get("objective") else "rate"
    assert f"{what}(site, device)" in names
    assert "count(site, device)" in names
    new = crossed(80, seed=1)
    again = fw.load(tmp_path / "m")
    expected = predictor.predict(new)
    np.testing.assert_array_equal(again.predict(new), expected)
    np.testing.assert_allclose(again.predict_rows(new.to_pylist()), expected, rtol=1e-4)
    odd = {**new.slice(0, 1).to_pylist()[0], "site": "never seen", "device": None}
    assert np.isfinite(again.predict_rows([odd])).all()
    assert any("statistics of" in note and f"{what}(site, device)" in note for note in predictor.card.notes)


def test_a_run_that_was_interrupted_ends_with_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = crossed(1500)
    arguments: dict[str, Any] = {"label": "click", "fields": FIELDS, "model": "fm", "progress": False}
    whole = fw.train(table, settings={**SETTINGS, "batch_size": 128}, **arguments)
    step, steps = Step.__call__, []

    def interrupted(self: Step, batch: Any, rate: float) -> Any:
        steps.append(rate)
        if len(steps) == 12:
            raise RuntimeError("no more")
        return step(self, batch, rate)

    with monkeypatch.context() as patch:
        patch.setattr(Step, "__call__", interrupted)
        with pytest.raises(RuntimeError):
            fw.train(table, settings={**SETTINGS, "batch_size": 128}, out=tmp_path / "m", **arguments)
    resumed = fw.train(table, settings={**SETTINGS, "batch_size": 128}, out=tmp_path / "m", resume=True, **arguments)
    np.testing.assert_array_equal(resumed.predict(table), whole.predict(table))


def test_combinations_that_are_named(tmp_path: Path) -> None:
    table = crossed(400)
    arguments: dict[str, Any] = {"label": "click", "fields": FIELDS, "model": "lr", "progress": False}
    predictor = fw.train(table, settings={"epochs": 1, "combinations": [["device", "site"], ["site"]]}, **arguments)
    names = predictor.model.encoder.layout.statistics  # type: ignore[attr-defined]
    assert names == ("rate(site, device)", "rate(site)", "count(site, device)", "count(site)")
    for wrong, message in (
        ([["sight", "device"]], "no field 'sight'; did you mean 'site'"),
        ([["site", "site"]], "names a field twice"),
        ([["site", "device"], ["device", "site"]], "is named twice"),
        ([["site", "device", "colour", "site"]], "one to 3 names of fields"),
        ([["site", 3]], "one to 3 names of fields"),
        ([[]], "one to 3 names of fields"),
        ("all", "auto, off or a list of combinations"),
        (["site"], "auto, off or a list of combinations"),
    ):
        with pytest.raises(SettingsError, match=message):
            fw.train(table, settings={"combinations": wrong}, **arguments)


def test_random_labels_stay_random() -> None:
    """With a leak of a row's own label, training would find it and the test rows would not have it."""
    found = []
    for seed in range(20):
        table = crossed(600, seed=seed).drop_columns(["click"])
        table = table.append_column("click", pa.array(np.random.default_rng(100 + seed).integers(0, 2, 600)))
        settings = {"epochs": 3, "combinations": "auto", "test_fraction": 0.3, "seed": seed}
        predictor = fw.train(table, label="click", fields=FIELDS, model="lr", settings=settings, progress=False)
        found.append(predictor.card.metrics["test"]["auc"])
    assert np.mean(found) == pytest.approx(0.5, abs=0.03)


def test_statistics_do_not_tell_the_labels_of_training_rows() -> None:
    found = []
    for seed in range(20):
        table = crossed(600, seed=seed)
        schema = Schema(label="click", fields=dict.fromkeys(("site", "device", "colour"), "categorical"))
        encoder = Encoder.fit(table, schema)
        y = np.random.default_rng(100 + seed).integers(0, 2, 600).astype(float)
        train = fit_combinations(encoder.encode(table), encoder.layout, y, scale="logit").train
        found.append([auc(y, column) for column in train.T])
    # What other rows have says by chance a little less than nothing about one's own label, never more.
    assert np.mean(found) < 0.505


@pytest.mark.parametrize("name", ["lightgbm", "catboost"])
def test_trees_read_them(tmp_path: Path, name: str) -> None:
    pytest.importorskip(name)
    table, new = crossed(1500), crossed(80, seed=1)
    predictor = fw.train(
        table,
        label="click",
        fields=FIELDS,
        model=name,
        settings={"max_rounds": 20, "combinations": "auto"},
        out=tmp_path / "m",
        progress=False,
    )
    again = fw.load(tmp_path / "m")
    np.testing.assert_array_equal(again.predict(new), predictor.predict(new))
    np.testing.assert_allclose(again.predict_rows(new.to_pylist()), predictor.predict(new), rtol=1e-6)
    (tmp_path / "m" / "combinations.arrow").unlink()
    with pytest.raises(PredictorFormatError, match=r"combinations\.arrow"):
        fw.load(tmp_path / "m")


def test_exported_it_computes_the_same() -> None:
    layout = Layout((FieldLayout("user", "categorical", 9),), statistics=("rate(user)", "count(user)"))
    torch.manual_seed(0)
    model = build("fm", layout).eval()
    assert isinstance(model, WithStatistics)
    ids, nothing, statistics = torch.tensor([[2], [3], [8]]), torch.empty(3, 0), torch.randn(3, 2)
    plain = model.model(Batch(ids, nothing))
    torch.testing.assert_close(model(Batch(ids, nothing, statistics=statistics)), plain)  # nothing is learned yet
    torch.nn.init.normal_(model.of_statistics.head.weight)  # type: ignore[union-attr]
    expected = model(Batch(ids, nothing, statistics=statistics))
    assert not torch.equal(expected, plain)
    program = export_program(model).module()
    for rows in (slice(0, 3), slice(1, 2), slice(0, 0)):
        torch.testing.assert_close(program(ids[rows], nothing[rows], (), statistics[rows]), expected[rows])
