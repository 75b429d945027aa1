"""The command line as a user meets it: commands, figures as JSON, and one-line errors that leave nothing behind."""

from __future__ import annotations

import csv
import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

import fieldwise as fw
from fieldwise import cli
from fieldwise.columns.tables import read_table
from fieldwise.datasets import synthetic
from fieldwise.datasets.synthetic import make_click_log

pytestmark = pytest.mark.usefixtures("wide")

QUICK = [f"--set={s}" for s in ("epochs=2", "batch_size=128", "num_layers=1", "attention_dim=8", "embedding_dim=4")]


class Result:
    """What a command printed and how it ended."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    def command(*words: object) -> Result:
        monkeypatch.setattr(sys, "argv", ["fieldwise", *map(str, words)])
        code = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return command


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, clicks: pa.Table) -> Path:
    folder = tmp_path_factory.mktemp("cli")
    pa.csv.write_csv(clicks, folder / "clicks.csv")
    new = clicks.slice(0, 50).drop_columns(["click"])
    users = [999_000 + i if i % 5 == 0 else user for i, user in enumerate(new["user"].to_pylist())]
    pa.csv.write_csv(new.set_column(0, "user", pa.array(users)), folder / "new.csv")
    fw.train(
        folder / "clicks.csv",
        label="click",
        model="lr",
        settings={"epochs": 2},
        out=folder / "model",
        progress=False,
    )
    return folder


def test_train_and_predict_in_two_commands(run: Any, folder: Path, tmp_path: Path) -> None:
    trained = run("train", folder / "clicks.csv", "--label", "click", "--out", tmp_path / "m", *QUICK, "--json")
    assert trained.code == 0, trained.err
    figures = json.loads(trained.out)
    assert figures["auc"] == figures["metrics"]["test"]["auc"]
    assert {"log_loss", "rows_per_s", "epochs", "settings"} <= set(figures)
    assert "user" in trained.err
    assert "tells" in trained.err or "whole numbers" in trained.err
    done = run("predict", tmp_path / "m", folder / "new.csv", "--out", tmp_path / "p.csv", "--keep", "user,device")
    assert done.code == 0, done.err
    assert "user: 10 of 50 values are not in the vocabulary" in done.err
    written = pa.csv.read_csv(tmp_path / "p.csv")
    assert written.column_names == ["user", "device", "probability"]
    np.testing.assert_allclose(written["probability"], fw.load(tmp_path / "m").predict(folder / "new.csv"))


def test_predictions_as_parquet_and_on_standard_output(run: Any, folder: Path, tmp_path: Path) -> None:
    done = run("predict", folder / "model", folder / "new.csv", "--out", tmp_path / "p.parquet", "--json")
    assert json.loads(done.out)["unseen"] == {"user": 10}
    expected = fw.load(folder / "model").predict(folder / "new.csv")
    np.testing.assert_array_equal(pa.parquet.read_table(tmp_path / "p.parquet")["probability"], expected)
    command = [sys.executable, "-m", "fieldwise", "predict", str(folder / "model"), "-", "--quiet"]
    piped = subprocess.run(command, input=(folder / "new.csv").read_bytes(), capture_output=True, check=True)
    lines = piped.stdout.decode().splitlines()
    assert lines[0] == '"probability"'
    np.testing.assert_allclose([float(line) for line in lines[1:]], expected)
    assert piped.stderr == b""


def test_several_files_are_one_prediction(run: Any, folder: Path, tmp_path: Path) -> None:
    new = pa.csv.read_csv(folder / "new.csv").append_column("shop", pa.array(range(50)))
    for name, piece in (("a.csv", new.slice(0, 20)), ("b.csv", new.slice(20))):
        pa.csv.write_csv(piece, tmp_path / name)
    expected = fw.load(folder / "model").predict(folder / "new.csv")
    for out, read in (("p.csv", pa.csv.read_csv), ("p.parquet", pa.parquet.read_table)):
        done = run("predict", folder / "model", tmp_path / "a.csv", tmp_path / "b.csv", "--out", tmp_path / out)
        assert done.code == 0, done.err
        np.testing.assert_allclose(read(tmp_path / out)["probability"], expected)
        assert done.err.count("columns that the model does not read: shop") == 1
        assert "user: 10 of 50 values are not in the vocabulary" in done.err


@pytest.mark.parametrize("name", ["p.csv", "p.CSV.gz", "p.tsv", "p.Parquet", "p.pq", "p.feather", "p.arrow"])
def test_the_form_of_predictions_follows_the_name(run: Any, folder: Path, tmp_path: Path, name: str) -> None:
    done = run("predict", folder / "model", folder / "new.csv", "--keep", "device", "--out", tmp_path / name)
    assert done.code == 0, done.err
    written = read_table(tmp_path / name)
    assert written.column_names == ["device", "probability"]
    expected = fw.load(folder / "model").predict(folder / "new.csv")
    np.testing.assert_allclose([float(value) for value in written["probability"].to_pylist()], expected)


def test_what_is_read_is_not_written_over(
    run: Any, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, model = tmp_path / "n.csv", folder / "model"
    shutil.copy(folder / "clicks.csv", data)
    (tmp_path / "link.csv").symlink_to(data)
    (tmp_path / "hard.csv").hardlink_to(data)
    monkeypatch.chdir(tmp_path)
    for out in (data, "n.csv", "./link.csv", "hard.csv"):
        for command in (("predict", model, data), ("predict", model, folder / "new.csv", "link.csv"),
                        ("inspect", data, "--label", "click")):  # fmt: skip
            done = run(*command, "--out", out, "--overwrite")
            assert (done.code, done.out) == (1, "")
            assert "is the file that is read" in done.err
            assert run(*command, "--out", out).code == 1
    assert data.read_bytes() == (folder / "clicks.csv").read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"n.csv", "link.csv", "hard.csv"}


def test_a_file_that_is_there_is_written_over_when_asked_to(run: Any, folder: Path, tmp_path: Path) -> None:
    commands = {
        "p.csv": ("predict", folder / "model", folder / "new.csv"),
        "schema.json": ("inspect", folder / "clicks.csv", "--label", "click"),
    }
    for name, command in commands.items():
        (tmp_path / name).write_text("precious")
        refused = run(*command, "--out", tmp_path / name)
        assert refused.code == 1
        assert f"{tmp_path / name} exists already; choose another name, or replace it with --overwrite" in refused.err
        assert (tmp_path / name).read_text() == "precious"
        assert run(*command, "--out", tmp_path / name, "--overwrite").code == 0
        assert (tmp_path / name).read_text() != "precious"


NOT_EVEN_ROOT = pytest.param(
    "/proc/nowhere/p.csv",
    marks=pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a Linux kernel's /proc"),
)
COMMANDS = {
    "train": ["train", "nowhere.csv", "--label", "click"],
    "search": ["search", "nowhere.csv", "--label", "click"],
    "compare": ["compare", "nowhere.csv", "--label", "click", "--models", "lr,fm"],
    "predict": ["predict", "{f}/model", "nowhere.csv"],
    "inspect": ["inspect", "nowhere.csv", "--label", "click"],
    "bench": ["bench"],
    "demo": ["demo"],
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("out", ["", "precious/deep/p.csv", NOT_EVEN_ROOT, "n" * 300 + ".csv"])
def test_a_place_that_cannot_be_written_is_found_before_any_work(
    run: Any, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, out: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "precious").write_text("years of work")
    done = run(*[word.replace("{f}", str(folder)) for word in COMMANDS[command]], "--out", out)
    assert done.code == 1
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1
    assert "nowhere.csv" not in done.err  # the rows, which are not there, were not looked for yet
    assert [path.name for path in tmp_path.iterdir()] == ["precious"]


@pytest.mark.parametrize("name", ["clicks.csv", "new.csv"])
def test_a_demonstration_leaves_what_is_not_its_own(run: Any, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("precious\n")
    done = run("demo", "--out", tmp_path)
    assert done.code == 1
    assert f"{name} exists already and is not of a demonstration" in done.err
    assert [path.read_text() for path in tmp_path.iterdir()] == ["precious\n"]


@pytest.mark.parametrize("command", ["predict", "inspect"])
def test_a_directory_is_no_file(run: Any, folder: Path, tmp_path: Path, command: str) -> None:
    place = tmp_path / "d.csv"
    place.mkdir()
    done = run(*[word.replace("{f}", str(folder)) for word in COMMANDS[command]], "--out", place)
    assert done.err == f"error: cannot write {place}: it is a directory; name a file in it\n"


def test_a_tilde_is_the_home(run: Any, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, here = tmp_path / "home", tmp_path / "here"
    home.mkdir()
    here.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(here)
    for name in ("clicks.csv", "new.csv"):
        shutil.copy(folder / name, home)
    (home / "settings.toml").write_text("[training]\nepochs = 1\n")
    for words in (
        ("inspect", "~/clicks.csv", "--label", "click", "--out=~/schema.json"),
        ("train", "~/clicks.csv", "--schema=~/schema.json", "--config=~/settings.toml", "--model=lr", "--out=~/m"),
        ("predict", "~/m", "~/new.csv", "--out=~/p.csv"),
        ("evaluate", "~/m", "~/clicks.csv"),
        ("inspect", "~/m"),
        ("compare", "~/clicks.csv", "--schema=~/schema.json", "--models=lr", "--seeds=1", "--set=epochs=1",
         "--out=~/compare"),
        ("results", "~/compare"),
    ):  # fmt: skip
        done = run(*words)
        assert done.code == 0, done.err
    # Libraries may keep caches of their own in the home directory.
    names = {path.name for path in home.iterdir() if not path.name.startswith(".")}
    assert names == {"clicks.csv", "new.csv", "settings.toml", "schema.json", "m", "p.csv", "compare"}
    assert list(here.iterdir()) == []


def test_kept_lists_are_written_as_text(run: Any, folder: Path, tmp_path: Path) -> None:
    rows = pa.csv.read_csv(folder / "new.csv").slice(0, 3).append_column("seen", pa.array([["a", "b"], [], None]))
    pa.parquet.write_table(rows, tmp_path / "new.parquet")
    done = run("predict", folder / "model", tmp_path / "new.parquet", "--keep", "seen", "--out", tmp_path / "p.csv")
    assert done.code == 0, done.err
    with (tmp_path / "p.csv").open(newline="") as file:
        written = [row[0] for row in csv.reader(file)]
    assert written == ["seen", '["a", "b"]', "[]", ""]


def test_evaluate(run: Any, folder: Path) -> None:
    done = run("evaluate", folder / "model", folder / "clicks.csv", "--json")
    figures = json.loads(done.out)
    assert figures["rows"] == 200
    assert {"auc", "log_loss", "rows_per_s", "calibration", "unseen"} <= set(figures)
    assert "its 200 test rows only" in done.err
    assert "AUC" in run("evaluate", folder / "model", folder / "clicks.csv").out


def test_inspect_a_table_and_use_its_schema(run: Any, folder: Path, tmp_path: Path) -> None:
    done = run("inspect", folder / "clicks.csv", "--label", "click", "--out", tmp_path / "schema.json")
    assert done.code == 0, done.err
    assert "multi_valued" in done.out
    schema = fw.Schema.load(tmp_path / "schema.json")
    assert schema.fields["tags"].kind == "multi_valued"
    trained = run(
        "train", folder / "clicks.csv", "--schema", tmp_path / "schema.json", "--out", tmp_path / "m", "--model", "lr",
        "--set", "epochs=1", "--quiet",
    )  # fmt: skip
    assert trained.code == 0, trained.err
    assert trained.err == ""
    as_json = run("inspect", folder / "clicks.csv", "--label", "click", "--field", "user=ignore", "--json")
    assert "user" not in json.loads(as_json.out)["schema"]["fields"]


def test_a_built_in_data_set_brings_its_own_label(run: Any, movielens: Path, tmp_path: Path) -> None:
    shown = json.loads(run("inspect", "movielens-1m", "--json").out)
    assert (shown["rows"], shown["schema"]["label"]) == (400, "liked")
    done = run("train", "movielens-1m", "--out", tmp_path / "m", "--model", "lr", "--set", "epochs=1", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["metrics"]["test"]["rows"] == 40
    evaluated = run("evaluate", tmp_path / "m", "movielens-1m", "--json")
    assert json.loads(evaluated.out)["rows"] == 40
    assert "its 40 test rows only" in evaluated.err


def test_inspect_a_model(run: Any, folder: Path) -> None:
    assert "table rows" in run("inspect", folder / "model").out
    shown = json.loads(run("inspect", folder / "model", "--json").out)
    assert shown["model"] == "lr"
    assert [field["name"] for field in shown["fields"]] == ["user", "device", "price", "tags"]


def test_a_directory_of_data_is_no_model(run: Any, folder: Path, tmp_path: Path) -> None:
    for part in ("a.csv", "b.csv"):
        shutil.copy(folder / "clicks.csv", tmp_path / part)
    done = run("inspect", tmp_path, "--label", "click", "--json")
    assert json.loads(done.out)["rows"] == 4000
    assert "is no saved model; name a directory" in run("evaluate", tmp_path, folder / "clicks.csv").err
    assert "this is a saved model, where rows are expected" in run("predict", folder / "model", folder / "model").err


def test_models(run: Any) -> None:
    assert "AutoInt" in run("models").out or "self-attention" in run("models").out
    assert {"lr", "autoint", "autoint+"} <= {entry["name"] for entry in json.loads(run("models", "--json").out)}


def test_no_header(run: Any, folder: Path, tmp_path: Path) -> None:
    lines = (folder / "clicks.csv").read_text().splitlines()[1:]
    (tmp_path / "bare.csv").write_text("\n".join(lines) + "\n")
    names = ("--names", "click,user,device,price,tags")
    options = ("--label", "click", "--out", tmp_path / "m", "--model", "lr", "--set", "epochs=1", "--quiet")
    done = run("train", tmp_path / "bare.csv", *names, *options)
    assert done.code == 0, done.err
    assert run("evaluate", tmp_path / "m", tmp_path / "bare.csv", *names, "--json").code == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "{f}/none.csv", "--label", "click", "--out", "{t}/m"], "none.csv: there is no such file"),
        (["train", "{f}/clicks.csv", "--out", "{t}/m"], "which column holds the label?"),
        (["train", "{f}/clicks.csv", "--label", "clik", "--out", "{t}/m"], "did you mean 'click'?"),
        (["train", "{f}/clicks.csv", "--label", "click", "--out", "{t}/m", "--set", "epoch=1"], "'epochs'"),
        (["train", "{f}/clicks.csv", "--label", "click", "--out", "{t}/m", "--set", "epochs"], "NAME=VALUE"),
        (["train", "{f}/clicks.csv", "--label", "click", "--out", "{t}/m", "--field", "user"], "COLUMN=KIND"),
        (["train", "{f}/clicks.csv", "--label", "click", "--out", "{t}/m", "--model", "autoimt"], "autoint"),
        (["train", "{f}/clicks.csv", "--label", "click", "--out", "{f}/model"], "--overwrite"),
        (["train", "{f}/clicks.csv", "--label", "click", "--out", "{t}/m", "--schema", "{f}/no.json"], "no.json"),
        (["train", "--label", "click", "--out", "{t}/m"], "name the DATA to train on, for example: fieldwise train"),
        (["train", "{f}/clicks.csv", "--label", "click"], "name the place to save the model in: --out MODEL"),
        (["train", "--resume", "{t}/m"], "there is no unfinished run beside"),
        (["train", "--resume", "{t}/m", "--out", "{t}/n"], "goes on in its own place; leave --out away"),
        (["train", "--resume", "{t}/m", "--set", "epochs=3"], "--resume needs nothing else"),
        (["train", "{f}/clicks.csv", "--label", "click", "--out", "{f}/clicks.csv/m"], "Not a directory"),
        (["predict", "{f}/model", "{f}/new.csv", "--keep", "usr", "--out", "{t}/p.csv"], "did you mean 'user'?"),
        (["predict", "{f}/model", "{t}/short.csv", "--out", "{t}/p.csv"], "column 'device' is missing"),
        (["predict", "{f}/none", "{f}/new.csv"], "there is no such directory"),
        (["predict", "{f}/model", "{f}/new.csv", "--json"], "--out"),
        (["predict", "{f}/model", "{f}/new.csv", "--out", "{t}/p.xlsx"], "expected one of .csv, .csv.gz, .tsv, .parq"),
        (["inspect", "{f}/clicks.csv", "--out", "{t}/schema.toml"], "a schema is written as JSON"),
        (["predict", "{f}/new.csv", "{f}/model"], "the model comes first, then the data, as in fieldwise predict "),
        (["evaluate", "{f}/new.csv", "{f}/clicks.csv", "{f}/model"], "the model comes first, then the data, as in"),
        (["evaluate", "{f}/model", "{f}/new.csv"], "the label column 'click' is missing"),
        (["inspect", "{f}/clicks.csv"], "--label"),
        (["demo", "--dataset", "movielens-2m", "--out", "{t}/m"], "movielens-1m"),
    ],
)
def test_wrong_input_is_one_line_and_leaves_nothing(
    run: Any, folder: Path, tmp_path: Path, words: list[str], message: str
) -> None:
    short = tmp_path / "short.csv"
    short.write_text("user,price,tags\n1,2,a\n")
    result = run(*(word.format(f=folder, t=tmp_path) for word in words))
    assert result.code == 1
    assert result.err.splitlines()[-1].startswith("error: ")
    assert message in result.err.splitlines()[-1]
    assert "Traceback" not in result.err
    assert list(tmp_path.iterdir()) == [short]


def test_ctrl_c_saves_the_best_so_far(run: Any, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fieldwise.training.step import Step

    step, done_steps = Step.__call__, []

    def interrupted(self: Step, batch: Any, rate: float) -> Any:
        if len(done_steps) == 13:  # an epoch of 1,600 rows in batches of 128
            raise KeyboardInterrupt
        done_steps.append(rate)
        return step(self, batch, rate)

    monkeypatch.setattr(Step, "__call__", interrupted)
    done = run("train", folder / "clicks.csv", "--label", "click", "--out", tmp_path / "m", "--model", "lr")
    assert done.code == 130
    assert "interrupted: the best weights so far are kept" in done.err
    assert fw.load(tmp_path / "m").history.best_epoch == 1
    assert f"to go on: fieldwise train --resume {tmp_path / 'm'}" in done.err

    monkeypatch.setattr(Step, "__call__", step)
    again = ("train", folder / "clicks.csv", "--label", "click", "--out", tmp_path / "m", "--model", "lr")
    assert "setting 'seed' was 0 and is 1" in run(*again, "--resume", tmp_path / "m", "--seed", 1).err
    resumed = run(*again, "--resume", tmp_path / "m")
    assert resumed.code == 0, resumed.err
    assert "resuming in epoch 2" in resumed.err
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_while_predicting_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "p.csv")
    command = [sys.executable, "-m", "fieldwise", "predict", str(folder / "model"), "-", "--out", out]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **pipes) as process:
        while not any(
            path.is_file() for path in tmp_path.iterdir()
        ):  # the one that it writes to until the rows are all there
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        printed = process.communicate()
    assert (process.returncode, *printed) == (130, b"", b"interrupted; nothing was written\n")
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_has_seen_enough(folder: Path) -> None:
    rows = [str(folder / "clicks.csv")] * 10  # more than a pipe holds
    command = [sys.executable, "-m", "fieldwise", "predict", str(folder / "model"), *rows, "--quiet"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b'"probability"\n'
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


@pytest.fixture
def small_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthetic, "make_click_log", lambda *, seed: make_click_log(2000, seed=seed))


def commands_of(text: str) -> list[list[str]]:
    """The commands that a text shows, without `fieldwise` in front."""
    return [shlex.split(line)[1:] for line in text.splitlines() if line.startswith("  fieldwise ")]


@pytest.mark.usefixtures("small_demo")
def test_demo(run: Any, tmp_path: Path) -> None:
    done = run("demo", "--epochs", 1, "--out", tmp_path / "demo")
    assert done.code == 0, done.err
    assert "a click log of 2,000 rows with planted interactions" in done.out
    for row in ("lr", "autoint", "best possible"):
        assert re.search(rf"^\s*{row} +0\.\d{{4}} +0\.\d{{4}}", done.out, re.MULTILINE), done.out
    assert "predicted 1,000 new rows" in done.out
    assert re.search(r"^  user: \d+ of 1,000 values are not in the vocabulary", done.out, re.MULTILINE)
    assert {path.name for path in (tmp_path / "demo").iterdir()} == {"autoint", "lr", "clicks.csv", "new.csv"}
    inspect, predict, train = commands_of(done.out)
    assert "table rows" in run(*inspect).out
    assert len(run(*predict).out.splitlines()) == 1 + 1000
    assert train == ["train", "YOUR.csv", "--label", "YOUR_LABEL", "--out", "model"]


@pytest.mark.usefixtures("small_demo")
def test_the_figures_of_the_demo(run: Any, tmp_path: Path) -> None:
    done = run("demo", "--epochs", 1, "--seed", 3, "--out", tmp_path / "demo", "--json")
    figures = json.loads(done.out)
    assert figures["autoint"] == fw.load(tmp_path / "demo" / "autoint").card.metrics["test"]
    assert figures["lr"]["auc"] < figures["bayes_auc"]
    assert figures["bayes_auc"] == pytest.approx(make_click_log(2000, seed=3).bayes_auc)
    assert "done in" in done.err


@pytest.mark.usefixtures("movielens")
def test_demo_on_a_built_in_data_set(run: Any, tmp_path: Path) -> None:
    done = run("demo", "--dataset", "movielens-1m", "--epochs", 1, "--out", tmp_path / "demo")
    assert done.code == 0, done.err
    assert "best possible" not in done.out
    _, evaluate = commands_of(done.out)
    assert "AUC" in run(*evaluate).out


def test_download(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write_movielens: Callable[[Path], Path]
) -> None:
    from fieldwise.datasets import movielens

    monkeypatch.setattr(movielens, "fetch", lambda base, **options: write_movielens(base / "ml-1m"))
    monkeypatch.delenv("FIELDWISE_DATA", raising=False)
    assert "give --to DIR, or set FIELDWISE_DATA" in run("download", "movielens-1m").err
    done = run("download", "movielens-1m", "--to", tmp_path / "data")
    assert done.out == f"movielens-1m: 400 rows, 6 fields; use it with FIELDWISE_DATA={tmp_path / 'data'}\n"
    assert "has no option" in run("download", "synthetic").err


@pytest.mark.parametrize("command", ["download", "train", "evaluate", "predict", "inspect", "demo", "models"])
def test_help_teaches(run: Any, command: str) -> None:
    text = run(command, "--help").out
    assert "Usage: fieldwise" in text
    if command != "models":
        assert "Example: fieldwise" in text


@pytest.mark.parametrize("command", [[], ["train"], ["predict"], ["architecture"], ["architecture", "trim"]])
def test_help_has_a_short_name(run: Any, command: list[str]) -> None:
    short = run(*command, "-h")
    assert short.code == 0
    assert short.out == run(*command, "--help").out
    assert "Usage: fieldwise" in short.out


def test_paragraphs_of_help_flow(run: Any) -> None:
    lines = run("train", "--help").out.splitlines()
    assert any("test rows; the epoch with the best" in line for line in lines)


def test_options_before_the_command_are_told_as_such(run: Any) -> None:
    assert run("--threads", 1, "models").code == 0
    refused = run("models", "--threads", 1)
    assert refused.code == 2
    assert "--threads stands before the command: fieldwise --threads ... models ..." in refused.err


def test_version(run: Any) -> None:
    assert run("--version").out == f"fieldwise {fw.__version__}\n"
