"""Checkpoints and resuming: a run that was killed ends like one that was not, bit for bit, or says why it cannot."""

from __future__ import annotations

import io
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pytest
import torch

import fieldwise as fw
from fieldwise.errors import DataError, FieldwiseError, SettingsError, StorageError, TrainingError
from fieldwise.native import interacting as native
from fieldwise.recipes.run_directory import RunDirectory
from fieldwise.reporting import Reporter
from fieldwise.training import execution as plan
from fieldwise.training.checkpoints import BestWeights
from fieldwise.training.trainer import Trainer

SETTINGS: dict[str, Any] = {
    "epochs": 4,
    "patience": 4,
    "batch_size": 64,
    "num_layers": 1,
    "attention_dim": 8,
    "embedding_dim": 4,
    "dropout": 0.3,
    "schedule": "cosine",
    "checkpoint_minutes": 0,
}


@pytest.fixture
def csv(tmp_path: Path, clicks: pa.Table) -> Path:
    pa.csv.write_csv(clicks, tmp_path / "clicks.csv")
    return tmp_path / "clicks.csv"


class Killed(BaseException):
    """Ends a run at once, as SIGKILL would; nothing in the library catches it."""


def killing(monkeypatch: pytest.MonkeyPatch, *, after_steps: int) -> None:
    """Let the next run die right after so many steps."""
    steps = 0
    zero_grad = torch.optim.Adam.zero_grad

    def counted(self: Any, set_to_none: bool = True) -> None:
        nonlocal steps
        if steps == after_steps:
            raise Killed
        steps += 1
        zero_grad(self, set_to_none)

    monkeypatch.setattr(torch.optim.Adam, "zero_grad", counted)


def outcome(predictor: fw.Predictor) -> tuple[dict[str, torch.Tensor], list[dict[str, Any]]]:
    untimed = [r.model_dump(exclude={"seconds", "rows_per_s"}) for r in predictor.history.records]
    return predictor.model.network.state_dict(), untimed


def assert_same_outcome(left: fw.Predictor, right: fw.Predictor) -> None:
    (weights, records), (others, other_records) = outcome(left), outcome(right)
    assert records == other_records
    assert weights.keys() == others.keys()
    assert all(torch.equal(weights[name], others[name]) for name in weights)
    assert left.card.metrics == right.card.metrics
    assert left.history.best_epoch == right.history.best_epoch
    assert left.card.columns == right.card.columns


@pytest.mark.parametrize(
    ("minutes", "steps"), [(0, 0), (0, 1), (0, 25), (0, 26), (0, 60), (0, 99), (1000, 30), (1000, 60)]
)
def test_killed_anywhere_and_resumed_is_bit_equal(
    csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int, minutes: int
) -> None:
    settings = {**SETTINGS, "checkpoint_minutes": minutes}
    whole = fw.train(csv, label="click", settings=settings, out=tmp_path / "whole", progress=False)
    with monkeypatch.context() as context:
        killing(context, after_steps=steps)
        with pytest.raises(Killed):
            fw.train(csv, label="click", settings=settings, out=tmp_path / "m", progress=False)
    assert not (tmp_path / "m").exists()
    resumed = fw.resume(tmp_path / "m", progress=False)
    assert_same_outcome(whole, resumed)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clicks.csv", "m", "whole"]
    assert_same_outcome(fw.load(tmp_path / "m"), whole)


def test_a_run_without_a_checkpoint_is_nothing_to_lose(
    csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, run = {**SETTINGS, "checkpoint_minutes": 1000}, RunDirectory.beside(tmp_path / "m")
    with monkeypatch.context() as context:
        killing(context, after_steps=3)
        context.setattr(RunDirectory, "remove", lambda self: None)  # as where the whole process is killed
        with pytest.raises(Killed):
            fw.train(csv, label="click", settings=settings, out=tmp_path / "m", progress=False)
    assert (run.path / "run.json").exists()
    record = run.read()
    anew = fw.train(csv, label="click", settings=settings, out=tmp_path / "m", progress=False)
    run.path.mkdir()
    run.write(record)
    assert_same_outcome(fw.resume(tmp_path / "m", progress=False), anew)
    with monkeypatch.context() as context:
        killing(context, after_steps=3)
        with pytest.raises(Killed):
            fw.train(csv, label="click", settings=settings, out=tmp_path / "n", progress=False)
    assert not RunDirectory.beside(tmp_path / "n").path.exists()


@pytest.mark.parametrize("way", ["float32", "bfloat16", "fused"])
@pytest.mark.parametrize("optimizer", ["adam", "row_adam", "row_adagrad"])
def test_every_way_of_taking_a_step_resumes(
    csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, optimizer: str, way: str
) -> None:
    chosen = {"precision": "float32"} if way == "float32" else {"precision": "bfloat16", "kernels": "torch"}
    if way == "fused":
        if reason := native.why_not():
            pytest.skip(reason)
        chosen["kernels"] = "fused"
    more = {"embedding_optimizer": optimizer, "micro_batch": 20, "clip_norm": 1.0}
    settings = {**SETTINGS, **chosen, **more}
    whole = fw.train(csv, label="click", settings=settings, progress=False)
    with monkeypatch.context() as context:
        killing(context, after_steps=33)
        with pytest.raises(Killed):
            fw.train(csv, label="click", settings=settings, out=tmp_path / "m", progress=False)
    assert_same_outcome(whole, fw.resume(tmp_path / "m", progress=False))


def test_a_run_from_before_there_were_kernels_goes_on_without(
    csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {**SETTINGS, "precision": "bfloat16", "kernels": "torch"}
    whole = fw.train(csv, label="click", settings=settings, progress=False)
    with monkeypatch.context() as context:
        killing(context, after_steps=33)
        with pytest.raises(Killed):
            fw.train(csv, label="click", settings=settings, out=tmp_path / "m", progress=False)
    path = RunDirectory.beside(tmp_path / "m").path / "run.json"
    record = json.loads(path.read_bytes())
    assert record["settings"]["training"].pop("kernels") == "torch"
    path.write_text(json.dumps(record), encoding="utf-8")
    assert_same_outcome(whole, fw.resume(tmp_path / "m", progress=False))


def test_a_resumed_run_keeps_its_plan(csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `auto` came to is part of the run: another machine, or a later rule, does not change it."""
    with monkeypatch.context() as context:
        context.setattr(plan, "multiplies_bfloat16", lambda device: False)
        whole = fw.train(csv, label="click", settings=SETTINGS, progress=False)
        assert whole.settings.training.precision == "float32"
        killing(context, after_steps=33)
        with pytest.raises(Killed):
            fw.train(csv, label="click", settings=SETTINGS, out=tmp_path / "m", progress=False)
    monkeypatch.setattr(plan, "multiplies_bfloat16", lambda device: True)
    again = fw.train(csv, label="click", settings=SETTINGS, out=tmp_path / "m", resume=True, progress=False)
    assert again.settings == whole.settings
    assert_same_outcome(whole, again)


def test_several_files_are_read_again(
    csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clicks: pa.Table
) -> None:
    pa.csv.write_csv(clicks.slice(0, 300), tmp_path / "valid.csv")
    words: dict[str, Any] = {"label": "click", "settings": SETTINGS, "valid": str(tmp_path / "valid.csv")}
    monkeypatch.chdir(tmp_path)
    whole = fw.train([csv.name, csv], **words, progress=False)
    assert whole.card.data.source == "clicks.csv, clicks.csv"
    with monkeypatch.context() as context:
        killing(context, after_steps=30)
        with pytest.raises(Killed):
            fw.train([csv.name, csv], **words, out=tmp_path / "m", progress=False)
    monkeypatch.chdir(tmp_path.parent)
    assert_same_outcome(fw.resume(tmp_path / "m", progress=False), whole)


def test_killed_after_training_but_before_saving(csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as context:
        context.setattr(fw.Predictor, "save", lambda *a, **k: (_ for _ in ()).throw(Killed()))
        with pytest.raises(Killed):
            fw.train(csv, label="click", settings=SETTINGS, out=tmp_path / "m", progress=False)
    resumed = fw.resume(tmp_path / "m", progress=False)
    assert len(resumed.history.records) == 4
    assert_same_outcome(resumed, fw.train(csv, label="click", settings=SETTINGS, progress=False))


def test_rows_in_memory_are_said_again(clicks: pa.Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as context:
        killing(context, after_steps=30)
        with pytest.raises(Killed):
            fw.train(clicks, label="click", settings=SETTINGS, out=tmp_path / "m", progress=False)
    with pytest.raises(TrainingError, match="came from memory or standard input"):
        fw.resume(tmp_path / "m", progress=False)
    resumed = fw.train(clicks, label="click", settings=SETTINGS, out=tmp_path / "m", resume=True, progress=False)
    assert_same_outcome(resumed, fw.train(clicks, label="click", settings=SETTINGS, progress=False))


@pytest.fixture
def unfinished(csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    with monkeypatch.context() as context:
        killing(context, after_steps=30)
        with pytest.raises(Killed):
            fw.train(csv, label="click", settings=SETTINGS, out=tmp_path / "m", progress=False)
    return tmp_path / "m"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"settings": {**SETTINGS, "epochs": 9}}, "setting 'training.epochs' was 4 and is 9"),
        ({"settings": {**SETTINGS, "num_heads": 4}}, "setting 'model.num_heads' was 2 and is 4"),
        ({"seed": 3}, "setting 'seed' was 0 and is 3"),
        ({"objective": "regression"}, "the objective was binary and is regression"),
        ({"fields": {"price": "ignore"}}, "'field price' was {'kind': 'numeric', 'transform': 'log'} and is None"),
        ({"group": "user"}, "the schema's 'group' was None and is user"),
    ],
)
def test_other_words_are_refused_by_name(unfinished: Path, csv: Path, arguments: dict[str, Any], message: str) -> None:
    kept = {path: path.read_bytes() for path in RunDirectory.beside(unfinished).path.iterdir()}
    with pytest.raises(TrainingError, match="cannot resume") as error:
        fw.train(
            csv, **{"label": "click", "settings": SETTINGS, **arguments}, out=unfinished, resume=True, progress=False
        )
    assert message in str(error.value)
    assert {path: path.read_bytes() for path in kept} == kept


def test_other_rows_are_refused(unfinished: Path, csv: Path) -> None:
    text = csv.read_text().splitlines(keepends=True)
    csv.write_text("".join([text[0], *reversed(text[1:])]))
    with pytest.raises(TrainingError, match="the training rows are not those that the run began with"):
        fw.resume(unfinished, progress=False)
    csv.unlink()
    with pytest.raises(DataError, match="there is no such file"):
        fw.resume(unfinished, progress=False)


def test_an_unfinished_run_is_not_forgotten(unfinished: Path, csv: Path) -> None:
    with pytest.raises(TrainingError, match=r"go on with it \(fieldwise\.resume\(.*overwrite=True"):
        fw.train(csv, label="click", settings=SETTINGS, out=unfinished, progress=False)
    fw.train(csv, label="click", model="lr", settings={"epochs": 1}, out=unfinished, overwrite=True, progress=False)
    assert fw.load(unfinished).settings.model == "lr"
    assert not RunDirectory.beside(unfinished).path.exists()


def test_nothing_to_resume(tmp_path: Path, csv: Path) -> None:
    with pytest.raises(TrainingError, match="there is no unfinished run beside"):
        fw.resume(tmp_path / "m", progress=False)
    with pytest.raises(TrainingError, match="there is no unfinished run beside"):
        fw.train(csv, label="click", out=tmp_path / "m", resume=True, progress=False)
    with pytest.raises(SettingsError, match="resume needs out"):
        fw.train(csv, label="click", resume=True, progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["clicks.csv"]
    (tmp_path / "m.unfinished").mkdir()
    with pytest.raises(TrainingError, match=r"m\.unfinished holds none: it was stopped too early"):
        fw.resume(tmp_path / "m", progress=False)


def test_a_place_that_cannot_be_written(csv: Path) -> None:
    with pytest.raises(StorageError, match=r"cannot write .*clicks\.csv/m\.unfinished: Not a directory"):
        fw.train(csv, label="click", out=csv / "m", progress=False)


def test_a_wrong_input_leaves_no_unfinished_run(tmp_path: Path, csv: Path) -> None:
    with pytest.raises(FieldwiseError):
        fw.train(csv, label="clik", out=tmp_path / "m", progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["clicks.csv"]


@pytest.mark.parametrize("damage", ["cut", "flip", "json"])
def test_a_damaged_checkpoint_is_refused(unfinished: Path, damage: str) -> None:
    run = RunDirectory.beside(unfinished)
    path = run.path / "run.json" if damage == "json" else run.checkpoint
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] if damage != "flip" else b"\xff" * 8 + content[8:])
    with pytest.raises(TrainingError, match="cannot be read"):
        fw.resume(unfinished, progress=False)


def test_two_processes_do_not_write_the_same_model(csv: Path, tmp_path: Path) -> None:
    ready, done = tmp_path / "ready", tmp_path / "done"
    code = (
        "import sys, time, pathlib\n"
        "from fieldwise.recipes.run_directory import RunDirectory\n"
        "place, ready, done = map(pathlib.Path, sys.argv[1:])\n"
        "with RunDirectory.beside(place).held(resume=False, overwrite=False):\n"
        "    ready.touch()\n"
        "    while not done.exists(): time.sleep(0.01)\n"
    )
    words = [sys.executable, "-c", code, str(tmp_path / "m"), str(ready), str(done)]
    with subprocess.Popen(words) as other:
        while not ready.exists():
            assert other.poll() is None
            time.sleep(0.01)
        try:
            for overwrite in (False, True):
                with pytest.raises(StorageError, match="is being written by another process; wait for it or choose"):
                    fw.train(csv, label="click", out=tmp_path / "m", overwrite=overwrite, progress=False)
        finally:
            done.touch()
    assert other.returncode == 0
    fw.train(csv, label="click", model="lr", settings={"epochs": 1}, out=tmp_path / "m", progress=False)


def test_an_unfinished_run_that_is_going_on(unfinished: Path, csv: Path) -> None:
    record = (RunDirectory.beside(unfinished).path / "run.json").read_bytes()
    with RunDirectory.beside(unfinished).held(resume=True, overwrite=False):
        for options in ({}, {"overwrite": True}, {"resume": True}):
            with pytest.raises(StorageError, match="is being written by another process; wait for it or choose"):
                fw.train(csv, label="click", settings=SETTINGS, out=unfinished, progress=False, **options)
    assert (RunDirectory.beside(unfinished).path / "run.json").read_bytes() == record


def test_a_lock_that_cannot_be_taken(unfinished: Path, csv: Path) -> None:
    lock = RunDirectory.beside(unfinished).path / "lock"
    lock.unlink(missing_ok=True)
    lock.mkdir()  # as good as a file system without locks
    with pytest.raises(TrainingError, match="an unfinished run lies in"):
        fw.train(csv, label="click", settings=SETTINGS, out=unfinished, progress=False)
    with pytest.raises(StorageError, match=f"cannot write {unfinished}.unfinished/lock: "):
        fw.resume(unfinished, progress=False)


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_stops_between_steps_and_can_be_resumed(csv: Path, tmp_path: Path) -> None:
    whole = fw.train(csv, label="click", settings=SETTINGS, progress=False)

    class Interrupting(Reporter):
        """Presses Ctrl-C when the second epoch begins."""

        def rows(self, total: int | None, what: str, *, done: int = 0) -> Any:
            if what == "epoch 2":
                os.kill(os.getpid(), signal.SIGINT)
            return super().rows(total, what, done=done)

    stopped = fw.train(csv, label="click", settings=SETTINGS, out=tmp_path / "m", progress=Interrupting(enabled=False))
    assert stopped.history.ended == "interrupted"
    assert len(stopped.history.records) == 1
    assert len(fw.load(tmp_path / "m").history.records) == 1
    assert_same_outcome(fw.resume(tmp_path / "m", progress=False), whole)
    assert len(fw.load(tmp_path / "m").history.records) == 4
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_that_is_ignored_stays_ignored(csv: Path) -> None:
    class Interrupting(Reporter):
        def rows(self, total: int | None, what: str, *, done: int = 0) -> Any:
            os.kill(os.getpid(), signal.SIGINT)
            return super().rows(total, what, done=done)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    predictor = fw.train(csv, label="click", model="lr", settings={"epochs": 1}, progress=Interrupting(enabled=False))
    assert predictor.history.ended == "all epochs"


def test_another_number_of_threads_is_said(unfinished: Path) -> None:
    stream = io.StringIO()
    torch.set_num_threads(2)
    try:
        fw.resume(unfinished, progress=Reporter(stream))
    finally:
        torch.set_num_threads(1)
    assert "the run began with 1 threads and goes on with 2" in stream.getvalue()


def test_training_in_a_thread_sets_no_signal_handler(clicks: pa.Table) -> None:
    results: list[fw.Predictor] = []
    thread = threading.Thread(
        target=lambda: results.append(
            fw.train(clicks, label="click", model="lr", settings={"epochs": 1}, progress=False)
        )
    )
    thread.start()
    thread.join()
    assert results[0].history.ended == "all epochs"


def test_a_checkpoint_that_cannot_be_written(clicks: pa.Table, tmp_path: Path) -> None:
    predictor = fw.train(clicks, label="click", model="lr", settings={"epochs": 1}, progress=False)
    trainer = Trainer(predictor.model.network)
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"cannot write .*state\.safetensors: Not a directory; nothing was written"):
        trainer.save(tmp_path / "file" / "state.safetensors")
    with pytest.raises(TrainingError, match="there is no checkpoint"):
        trainer.restore(tmp_path / "state.safetensors")
    trainer.save(tmp_path / "state.safetensors")
    other = fw.train(clicks, label="click", settings={**SETTINGS, "epochs": 1}, progress=False)
    with pytest.raises(TrainingError, match="is a checkpoint of another model"):
        Trainer(other.model.network).restore(tmp_path / "state.safetensors")


def test_sigkill_at_random_moments(csv: Path, tmp_path: Path) -> None:
    """The short form of benchmarks/kill_and_resume.py: real processes, real SIGKILL."""
    command = [sys.executable, "-m", "fieldwise", "train"]
    options = [f"--set={name}={value}" for name, value in SETTINGS.items()]
    start = [*command, str(csv), "--label", "click", "--out", str(tmp_path / "m"), *options, "--quiet"]
    whole = fw.train(csv, label="click", settings=SETTINGS, progress=False)
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    rng = random.Random(0)
    for _ in range(2):
        checkpoint = RunDirectory.beside(tmp_path / "m").checkpoint
        with subprocess.Popen(start, stdout=subprocess.DEVNULL, env=environment) as process:
            while not checkpoint.exists() and process.poll() is None:
                time.sleep(0.005)
            time.sleep(rng.uniform(0, 0.3))
            process.send_signal(signal.SIGKILL)
        if not (tmp_path / "m").exists():
            resumed = subprocess.run(
                [*command, "--resume", str(tmp_path / "m"), "--json", "--quiet"],
                capture_output=True,
                text=True,
                check=True,
                env=environment,
            )
            assert json.loads(resumed.stdout)["epochs"] == 4
        assert_same_outcome(fw.load(tmp_path / "m"), whole)
        for path in (tmp_path / "m").iterdir():
            path.unlink()
        (tmp_path / "m").rmdir()


@pytest.mark.parametrize("damage", ["missing", "short"])
def test_the_best_weights_are_read_back_or_refused(csv: Path, tmp_path: Path, damage: str) -> None:
    predictor = fw.train(csv, label="click", settings={**SETTINGS, "epochs": 1}, progress=False)
    best = BestWeights(tmp_path / "state.safetensors")
    weights = predictor.model.network.state_dict()
    best.keep(3, weights)
    kept = {name: weight.clone() for name, weight in weights.items()}
    for weight in weights.values():
        weight.zero_()
    best.restore(3, weights)
    assert all(torch.equal(weights[name], kept[name]) for name in kept)
    best.keep(4, weights)
    best.remove_others(3)
    path = tmp_path / "best-3.safetensors"
    assert [p.name for p in tmp_path.glob("best-*")] == [path.name]
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(TrainingError, match=r"there is no checkpoint .*best-3|best-3\.safetensors cannot be read: it "):
        best.restore(3, weights)


def test_a_resumed_run_may_have_more_epochs_another_patience_and_interval(
    csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    constant = {**SETTINGS, "schedule": "constant"}
    longer = {**constant, "epochs": 7, "patience": 7, "checkpoint_minutes": 1.0, "allocator": "system"}
    whole = fw.train(csv, label="click", settings=longer, progress=False)
    with monkeypatch.context() as context:
        killing(context, after_steps=30)
        with pytest.raises(Killed):
            fw.train(csv, label="click", settings=constant, out=tmp_path / "m", progress=False)
    resumed = fw.train(csv, label="click", settings=longer, out=tmp_path / "m", resume=True, progress=False)
    assert len(resumed.history.records) == 7
    assert_same_outcome(resumed, whole)


def test_a_run_that_was_to_end_goes_on_with_more_epochs(
    csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between its last checkpoint and the saving of the model."""
    constant = {**SETTINGS, "schedule": "constant"}
    longer = {**constant, "epochs": 6, "patience": 9}
    whole = fw.train(csv, label="click", settings=longer, progress=False)
    with monkeypatch.context() as context:
        context.setattr(fw.Predictor, "save", lambda *a, **k: (_ for _ in ()).throw(Killed()))
        with pytest.raises(Killed):
            fw.train(csv, label="click", settings=constant, out=tmp_path / "m", progress=False)
    resumed = fw.train(csv, label="click", settings=longer, out=tmp_path / "m", resume=True, progress=False)
    assert_same_outcome(resumed, whole)


def test_epochs_bind_where_the_learning_rate_falls_over_all_of_them(
    csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as context:
        killing(context, after_steps=30)
        with pytest.raises(Killed):
            fw.train(csv, label="click", settings=SETTINGS, out=tmp_path / "m", progress=False)
    with pytest.raises(TrainingError, match=r"setting 'training.epochs' was 4 and is 9"):
        fw.train(
            csv, label="click", settings={**SETTINGS, "epochs": 9}, out=tmp_path / "m", resume=True, progress=False
        )
