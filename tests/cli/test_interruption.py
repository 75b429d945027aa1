"""Ctrl-C and SIGTERM at any moment of any command: one line on what was kept, and exit code 130 or 143."""

from __future__ import annotations

import importlib
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pytest

import fieldwise as fw
from fieldwise import cli
from fieldwise.cli.interruption import Interrupted, noticing, telling
from fieldwise.datasets import synthetic
from fieldwise.datasets.synthetic import make_click_log
from fieldwise.storage.places import unfinished
from fieldwise.training.step import Step

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def command(*words: object) -> tuple[int, str]:
        """Exit code and last line on standard error."""
        monkeypatch.setattr(sys, "argv", ["fieldwise", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        return int(stop.value.code or 0), capsys.readouterr().err.splitlines()[-1]

    return command


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, clicks: pa.Table) -> Path:
    """A folder with clicks.csv, a model of its rows and an empty folder for data sets."""
    folder = tmp_path_factory.mktemp("interruption")
    pa.csv.write_csv(clicks.slice(0, 300), folder / "clicks.csv")
    (folder / "data").mkdir()
    fw.train(folder / "clicks.csv", label="click", model="lr", settings={"epochs": 1}, out=folder / "m", progress=False)
    return folder


def interrupt(*arguments: object, **options: object) -> Any:
    raise KeyboardInterrupt


TRAIN = ["clicks.csv", "--label", "click", "--set", "epochs=2", "--set", "batch_size=64", "--out"]

MOMENTS: dict[str, tuple[list[str], str]] = {
    "train, while it reads": (["train", *TRAIN, "new"], "fieldwise.preparation.prepare:read_table"),
    "train, while it encodes": (["train", *TRAIN, "new"], "fieldwise.preparation.prepare:Encoder.from_profiles"),
    "search": (["search", *TRAIN, "new"], "fieldwise.preparation.prepare:read_table"),
    "compare": (["compare", *TRAIN, "new", "--models", "lr,fm"], "fieldwise.preparation.prepare:read_table"),
    "predict": (["predict", "m", "clicks.csv", "--out", "p.csv"], "fieldwise.predictor:Predictor.predict_tables"),
    "evaluate": (["evaluate", "m", "clicks.csv"], "fieldwise.predictor:Predictor.evaluate"),
    "inspect": (["inspect", "clicks.csv", "--label", "click"], "fieldwise.columns.tables:read_table"),
    "inspect a model": (["inspect", "m"], "fieldwise.api:load"),
    "download": (["download", "movielens-1m", "--to", "data"], "fieldwise.datasets.movielens:fetch"),
    "architecture": (["architecture", "show", "m"], "fieldwise.architecture:Architecture.load"),
    "models": (["models"], "fieldwise.models.registry:names"),
    "an import of one's own": (["--import", "gates", "models"], "importlib:import_module"),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_nothing_was_written(run: Run, files: Path, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    words, place = MOMENTS[moment]
    monkeypatch.chdir(files)
    before = sorted(files.iterdir())
    module, _, name = place.partition(":")
    *owner, name = name.split(".")
    home = importlib.import_module(module)
    monkeypatch.setattr(getattr(home, owner[0]) if owner else home, name, interrupt)
    assert run(*words) == (130, "interrupted; nothing was written")
    assert sorted(files.iterdir()) == before


@pytest.fixture
def in_the_second_epoch(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Every training is interrupted there; 240 training rows are 4 batches of 64."""
    step, steps = Step.__call__, []

    def interrupted(self: Step, batch: Any, rate: float) -> Any:
        steps.append(rate)
        return interrupt() if len(steps) == 6 else step(self, batch, rate)

    with monkeypatch.context() as patch:
        patch.setattr(Step, "__call__", interrupted)
        yield patch


def test_an_unfinished_run_is_named_with_what_goes_on(
    run: Run, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_the_second_epoch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(files)
    (tmp_path / "gates.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    place = tmp_path / "my model"
    code, line = run("--import", "gates", "train", *TRAIN, place, "--model", "lr", "--quiet")
    assert code == 130
    resume = f"fieldwise --import gates train --resume '{place}'"
    kept = f"the best model so far lies in {place}, the unfinished run lies in {place}.unfinished"
    assert line == f"interrupted; {kept}; to go on: {resume}"
    in_the_second_epoch.undo()
    assert run("train", "--resume", place)[0] == 0


@pytest.mark.usefixtures("ctrl_c")
def test_a_training_that_is_terminated_can_go_on(
    run: Run, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(files)
    place = tmp_path / "m"

    def terminated(self: Step, batch: Any, rate: float) -> Any:
        signal.raise_signal(signal.SIGTERM)
        return Step.backward(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(Step, "__call__", terminated)
        code, line = run("train", *TRAIN, place, "--model", "lr", "--quiet")
    assert code == 143
    resume = f"fieldwise train --resume {place}"
    kept = f"the best model so far lies in {place}, the unfinished run lies in {unfinished(place)}"
    assert line == f"terminated; {kept}; to go on: {resume}"
    assert run("train", "--resume", place)[0] == 0


def interrupted(
    command: list[str], options: dict[str, Any], write: Callable[[Path], object] = lambda place: None
) -> str:
    """What a command says that is interrupted once it has written."""
    try:
        with telling(command, options):
            write(options["out"])
            raise KeyboardInterrupt
    except Interrupted as said:
        return str(said)


def test_rows_of_standard_input_are_asked_for_again(tmp_path: Path) -> None:
    (tmp_path / "m.unfinished").mkdir()
    said = interrupted(["fieldwise", "train"], {"data": ["-"], "out": tmp_path / "m"})
    assert said.endswith(f"to go on: repeat the command, with the same rows, and --resume {tmp_path / 'm'} for --out")


def test_a_comparison_goes_on_with_the_same_command(
    run: Run, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_the_second_epoch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(files)
    words = ["compare", *TRAIN, tmp_path / "c", "--models", "lr", "--seeds", 1, "--overwrite"]
    again = "to go on, repeat the command without --overwrite"
    assert run(*words) == (130, f"interrupted; what is done lies in {tmp_path / 'c'}; {again}")


def test_a_demonstration_does_not_go_on_with_the_next_model(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_the_second_epoch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(synthetic, "make_click_log", lambda *, seed: make_click_log(300, seed=seed))
    assert run("demo", "--out", tmp_path / "d") == (130, f"interrupted; what is done lies in {tmp_path / 'd'}")
    assert not (tmp_path / "d" / "lr").exists()


def test_what_was_written_is_named(tmp_path: Path) -> None:
    for name, write, said in (
        ("p.csv", Path.touch, "written is"),
        ("bench", Path.mkdir, "what is done lies in"),
    ):
        assert interrupted(["fieldwise", "x"], {"out": tmp_path / name}, write) == f"{said} {tmp_path / name}"


@pytest.mark.usefixtures("ctrl_c")
def test_while_the_libraries_are_loaded() -> None:
    """A module that is imported by the command line sends the signal; what it then raises may be any error."""
    program = (
        "import os, signal, sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'torch':\n"
        "            try:\n"
        "                os.kill(os.getpid(), signal.SIGINT)\n"
        "            except KeyboardInterrupt:\n"
        "                raise ImportError('numpy failed to import')\n"
        "sys.meta_path.insert(0, Finder())\n"
        "sys.argv = ['fieldwise', 'models']\n"
        "from fieldwise.cli import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "interrupted; nothing was written\n")


def test_it_is_left_alone_where_it_is_ignored(run: Run) -> None:
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with noticing() as noted:
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGTERM)
        assert noted == [signal.SIGTERM]
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGINT, previous)
