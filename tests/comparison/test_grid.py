"""Comparisons from end to end, on a small planted click log: the same rows for all, done stays done."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import fieldwise as fw
from fieldwise import recipes
from fieldwise.comparison import BINARY, read
from fieldwise.errors import SettingsError, TrainingError
from fieldwise.recipes.network import FittedNetwork
from fieldwise.training.trainer import Trainer

FAST = {"epochs": 2, "batch_size": 128, "device": "cpu", "learning_rate": 0.01}


@pytest.fixture(scope="module")
def clicks() -> dict[str, list]:
    generator = np.random.default_rng(0)
    user, item = generator.integers(0, 8, 1500), generator.integers(0, 8, 1500)
    price = generator.normal(size=1500)
    chance = 1 / (1 + np.exp(-(np.where(user < 4, 2.0, -2.0) + price)))
    return {
        "user": [f"u{i}" for i in user],
        "item": [f"i{i}" for i in item],
        "price": price.tolist(),
        "click": (generator.random(1500) < chance).astype(int).tolist(),
    }


def compare(clicks: dict[str, list], **changes):
    arguments = {"label": "click", "models": ["lr", "autoint"], "seeds": 2, "settings": FAST, "progress": False}
    return fw.compare(clicks, **{**arguments, **changes})


def test_every_contender_with_every_seed_on_the_same_rows(clicks: dict[str, list], tmp_path: Path) -> None:
    found = compare(clicks, out=tmp_path / "out")
    assert [(r.contender, r.seed) for r in found.runs] == [("lr", 0), ("autoint", 0), ("lr", 1), ("autoint", 1)]
    assert found.rows == {"train": 1200, "valid": 150, "test": 150}
    for run in found.runs:
        assert run.error is None
        assert run.metrics["test"]["rows"] == 150
        assert len({r.metrics["test"]["base_rate"] for r in found.runs}) == 1
        assert run.settings["training"]["precision"] in ("float32", "bfloat16")
        assert run.settings["seed"] == run.seed
        assert run.history is not None
        assert run.train_rows_per_s > 0
        assert run.predict_rows_per_s > 0
        assert run.environment.threads
    assert (found.metrics, found.monitor) == (BINARY, "log_loss")
    lr, autoint = found.summaries()
    assert lr.figures["auc"].mean > 0.75
    assert autoint.figures["auc"].values[0] != autoint.figures["auc"].values[1]
    assert read(tmp_path / "out") == found


def test_a_run_is_the_one_that_train_makes(clicks: dict[str, list]) -> None:
    found = compare(clicks, models=["autoint"], seeds=1)
    predictor = fw.train(clicks, label="click", model="autoint", settings=FAST, seed=0, progress=False)
    assert found.runs[0].metrics == predictor.card.metrics
    assert found.runs[0].parameters == predictor.card.parameters


def test_what_is_done_stays_done_and_the_grid_can_grow(
    clicks: dict[str, list], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = compare(clicks, models=["lr"], seeds=1, out=tmp_path)
    monkeypatch.setattr(recipes, "train", pytest.fail)
    assert compare(clicks, models=["lr"], seeds=1, out=tmp_path).runs == first.runs
    monkeypatch.undo()
    grown = compare(clicks, out=tmp_path)
    assert len(grown.runs) == 4
    assert grown.runs[0] == first.runs[0]


def test_parts_of_a_batch_are_held_against_those_that_were_used(
    clicks: dict[str, list], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def again(**changes):
        settings = {"epochs": 1, "device": "cpu", "micro_batch": 512, **changes}
        return compare(clicks, models=["lr"], seeds=1, settings=settings, out=tmp_path).runs

    first = again()
    assert first[0].settings["training"]["micro_batch"] == first[0].settings["training"]["batch_size"] == 128
    monkeypatch.setattr(recipes, "train", pytest.fail)
    assert again() == again(batch_size=128) == again(micro_batch=128) == first
    for batch_size in ("auto", 128):
        with pytest.raises(SettingsError, match=r"training\.micro_batch = 128, and now 64 is wanted"):
            again(batch_size=batch_size, micro_batch=64)


def test_models_that_search_take_part(clicks: dict[str, list], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "c.toml"
    file.write_text(
        """[models.lr]
        [models.aim]
        dnn_hidden = [8]
        search = { epochs = 2, threshold = 0.5, time_budget = 3600 }
        [models.pairs]
        name = "autofis"
        search = { epochs = 1, threshold = 0.5 }
        """
    )
    arguments = {"models": ["lr", "aim", "pairs"], "config": file, "out": tmp_path / "out"}
    found = compare(clicks, seeds=1, **arguments)
    aim, pairs = found.runs[1:]
    for run, functions in ((aim, {"inner", "vector_kernel", "scalar_kernel", "outer"}), (pairs, {"inner"})):
        assert run.error is None
        architecture = fw.Architecture.model_validate(run.settings["model_settings"]["architecture"])
        assert set(architecture.functions) <= functions
        assert run.history is not None
        searched = sum(stage["seconds"] for stage in architecture.settings["stages"])
        assert run.seconds == pytest.approx(searched + sum(record.seconds for record in run.history.records))
    assert not list((tmp_path / "out").rglob("*.unfinished"))
    # What a search has found, and the epochs that the time has left, are no settings that were asked for.
    monkeypatch.setattr(recipes, "train", pytest.fail)
    assert compare(clicks, seeds=1, **arguments).runs == found.runs
    # Neither are the words of an older version.
    for path in (tmp_path / "out" / "runs").glob("*.json"):
        record = json.loads(path.read_text())
        if record["settings"]["search"] is not None:
            record["settings"]["search"]["passes"] = record["settings"]["search"].pop("epochs")
            path.write_text(json.dumps(record))
    again = compare(clicks, seeds=1, **arguments)
    assert [run.metrics for run in again.runs] == [run.metrics for run in found.runs]
    file.write_text(file.read_text().replace("epochs = 1, threshold = 0.5", "epochs = 1, threshold = 0.9"))
    with pytest.raises(SettingsError, match=r"made with search\.threshold = 0\.5, and now 0\.9 is wanted"):
        compare(clicks, seeds=1, **arguments)


def test_contenders_of_similar_names_have_files_of_their_own(clicks: dict[str, list], tmp_path: Path) -> None:
    names = ["a b", "a_b", "a/b", "a%20b"]
    file = tmp_path / "c.toml"
    sections = [f'[models."{name}"]\nname = "lr"\n' for name in names]
    file.write_text("".join(sections), encoding="utf-8")
    found = compare(clicks, models=None, config=file, seeds=1, out=tmp_path / "out")
    assert [run.contender for run in found.runs] == names
    assert len(list((tmp_path / "out" / "runs").glob("*.json"))) == 4
    again = compare(clicks, models=None, config=file, seeds=1, out=tmp_path / "out")
    assert [run.contender for run in again.runs] == names


@pytest.mark.parametrize("stops_at", [3, 4, 5])
def test_a_comparison_that_was_stopped_ends_with_the_same_numbers(
    clicks: dict[str, list], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stops_at: int
) -> None:
    """Every run has two epochs, and a checkpoint after each: the second run is stopped in the middle, or at its end."""
    saved = []
    save = Trainer.save

    def stop(trainer: Trainer, path: Path) -> None:
        save(trainer, path)
        saved.append(path)
        if len(saved) == stops_at:
            raise KeyboardInterrupt

    monkeypatch.setattr(Trainer, "save", stop)
    with pytest.raises(KeyboardInterrupt):
        compare(clicks, out=tmp_path)
    assert len(read(tmp_path).runs) == (stops_at - 1) // 2
    assert len(list(tmp_path.glob("runs/*.unfinished"))) == 1
    monkeypatch.undo()
    resumed, whole = compare(clicks, out=tmp_path), compare(clicks)
    assert [r.metrics for r in resumed.runs] == [r.metrics for r in whole.runs]
    assert not list(tmp_path.glob("runs/*.unfinished"))


def test_what_changes_no_step_taken_may_change(
    clicks: dict[str, list], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More epochs, another patience, another interval of checkpoints: a run is made again only where it goes on."""
    first = compare(clicks, models=["lr"], seeds=1, out=tmp_path)
    assert first.runs[0].history.ended == "all epochs"
    longer = compare(clicks, models=["lr"], seeds=1, out=tmp_path, settings={**FAST, "epochs": 3})
    assert longer.runs[0].epochs == 3
    assert longer.runs[0].history.records[1].train_loss == first.runs[0].history.records[1].train_loss
    monkeypatch.setattr(recipes, "train", pytest.fail)
    again = compare(
        clicks, models=["lr"], seeds=1, out=tmp_path, settings={**FAST, "epochs": 3, "checkpoint_minutes": 1}
    )
    assert again.runs == longer.runs


def test_other_rows_other_settings_and_other_things_are_refused(clicks: dict[str, list], tmp_path: Path) -> None:
    compare(clicks, models=["lr"], seeds=1, out=tmp_path)
    with pytest.raises(SettingsError, match="on other rows"):
        compare({name: column[:1400] for name, column in clicks.items()}, models=["lr"], seeds=1, out=tmp_path)
    with pytest.raises(SettingsError, match="another seed for the split"):
        compare(clicks, models=["lr"], seeds=1, out=tmp_path, seed=1)
    with pytest.raises(SettingsError, match=r"training.learning_rate = 0.01, and now 0.02 is wanted"):
        compare(clicks, models=["lr"], seeds=1, out=tmp_path, settings={**FAST, "learning_rate": 0.02})
    anew = compare(
        clicks, models=["lr"], seeds=1, out=tmp_path, settings={**FAST, "learning_rate": 0.02}, overwrite=True
    )
    assert anew.runs[0].settings["training"]["learning_rate"] == 0.02
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("years of work", encoding="utf-8")
    with pytest.raises(SettingsError, match="no comparison"):
        compare(clicks, models=["lr"], seeds=1, out=other, overwrite=True)
    assert (other / "thesis.txt").exists()


def test_a_run_that_fails_is_recorded_and_the_others_go_on(
    clicks: dict[str, list], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = recipes.train

    def fails(prepared, settings, *more, **named):
        if settings.model == "lr" and settings.seed == 0:
            raise TrainingError("the loss is not a number")
        return train(prepared, settings, *more, **named)

    monkeypatch.setattr(recipes, "train", fails)
    found = compare(clicks, out=tmp_path)
    assert [run.error for run in found.runs] == ["the loss is not a number", None, None, None]
    assert found.summaries()[0].failed == 1
    monkeypatch.undo()
    # Failed runs are tried again.
    assert all(run.error is None for run in compare(clicks, out=tmp_path).runs)


def test_settings_that_contradict_each_other_are_found_before_any_training(
    clicks: dict[str, list], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "c.toml"
    file.write_text('[models.lr]\n[models.wrong]\nname = "autoint"\nnum_heads = 5\n', encoding="utf-8")
    monkeypatch.setattr(recipes, "train", pytest.fail)
    with pytest.raises(SettingsError, match=r"wrong: .*num_heads must divide"):
        compare(clicks, models=None, config=file)


def test_a_comparison_without_test_rows_is_refused(clicks: dict[str, list]) -> None:
    with pytest.raises(SettingsError, match="needs validation and test rows"):
        compare(clicks, settings={**FAST, "data.test_fraction": 0})


def test_tuning_chooses_by_validation_rows_alone(
    clicks: dict[str, list], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("optuna", reason="optuna is not installed")
    looked = []
    evaluate = FittedNetwork.evaluate_part
    monkeypatch.setattr(
        FittedNetwork, "evaluate_part", lambda model, rows, part: looked.append(part) or evaluate(model, rows, part)
    )
    file = tmp_path / "c.toml"
    file.write_text('[models.lr]\ntune = { "training.learning_rate" = [0.01, 1e-6] }\n', encoding="utf-8")
    found = compare(
        clicks, models=None, config=file, tune=3, out=tmp_path / "out", settings={"epochs": 2, "device": "cpu"}
    )
    assert looked == ["test"] * 2  # once per run, never per trial
    assert all(run.tuned == {"training.learning_rate": 0.01} for run in found.runs)
    assert all(run.settings["training"]["learning_rate"] == 0.01 for run in found.runs)
    trials = json.loads((tmp_path / "out" / "tuning" / "lr" / "trials.json").read_text(encoding="utf-8"))
    assert len(trials["trials"]) == 3


def test_trees_stand_beside_on_the_same_rows(clicks: dict[str, list], tmp_path: Path) -> None:
    pytest.importorskip("lightgbm", reason="lightgbm is not installed")
    found = compare(clicks, models=["lr", "lightgbm"], seeds=1, out=tmp_path)
    lr, trees = found.runs
    assert trees.metrics["test"]["base_rate"] == lr.metrics["test"]["base_rate"]
    assert trees.metrics["test"]["auc"] > 0.75
    assert trees.parameters["all"] > 0
    assert found.summaries()[1].parameters_without_embeddings is None
    assert compare(clicks, models=["lr", "lightgbm"], seeds=1, out=tmp_path).runs == found.runs


@pytest.mark.parametrize("name", ["lightgbm", "catboost"])
def test_trees_are_tuned_too(clicks: dict[str, list], tmp_path: Path, name: str) -> None:
    found = compare(clicks, models=[name], seeds=1, tune=3, out=tmp_path)
    trials = json.loads((tmp_path / "tuning" / name / "trials.json").read_text(encoding="utf-8"))["trials"]
    assert [trial["error"] for trial in trials] == [None] * 3
    assert trials[1]["settings"].keys() == trials[2]["settings"].keys() != {}
    best = min(trials, key=lambda trial: trial["loss"])
    assert found.runs[0].tuned == best["settings"]
    assert found.runs[0].metrics["valid"]["log_loss"] == pytest.approx(best["loss"])
