"""The command line as a user meets it: commands, figures as JSON, and one-line errors that leave nothing behind."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

import fieldwise as fw
from fieldwise import cli

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


def test_inspect_a_model(run: Any, folder: Path) -> None:
    assert "table rows" in run("inspect", folder / "model").out
    shown = json.loads(run("inspect", folder / "model", "--json").out)
    assert shown["model"] == "lr"
    assert [field["name"] for field in shown["fields"]] == ["user", "device", "price", "tags"]


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
        (["train", "{f}/clicks.csv", "--out", "{t}/m"], "which column holds the clicks?"),
        (["train", "{f}/clicks.csv", "--label", "clik", "--out", "{t}/m"], "did you mean 'click'?"),
        (["train", "{f}/clicks.csv", "--label", "click", "--out", "{t}/m", "--set", "epoch=1"], "'epochs'"),
        (["train", "{f}/clicks.csv", "--label", "click", "--out", "{t}/m", "--set", "epochs"], "NAME=VALUE"),
        (["train", "{f}/clicks.csv", "--label", "click", "--out", "{t}/m", "--field", "user"], "COLUMN=KIND"),
        (["train", "{f}/clicks.csv", "--label", "click", "--out", "{t}/m", "--model", "autoimt"], "autoint"),
        (["train", "{f}/clicks.csv", "--label", "click", "--out", "{f}/model"], "--overwrite"),
        (["train", "{f}/clicks.csv", "--label", "click", "--out", "{t}/m", "--schema", "{f}/no.json"], "no.json"),
        (["predict", "{f}/model", "{f}/new.csv", "--keep", "usr", "--out", "{t}/p.csv"], "did you mean 'user'?"),
        (["predict", "{f}/model", "{t}/short.csv", "--out", "{t}/p.csv"], "column 'device' is missing"),
        (["predict", "{f}/none", "{f}/new.csv"], "there is no such directory"),
        (["predict", "{f}/model", "{f}/new.csv", "--json"], "--out"),
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
    from fieldwise.training.trainer import Trainer

    train_epoch = Trainer._train_epoch

    def interrupted(self: Trainer, *arguments: Any) -> None:
        if self.state.epoch == 2:
            raise KeyboardInterrupt
        train_epoch(self, *arguments)

    monkeypatch.setattr(Trainer, "_train_epoch", interrupted)
    done = run("train", folder / "clicks.csv", "--label", "click", "--out", tmp_path / "m", "--model", "lr")
    assert done.code == 130
    assert "interrupted: the best weights so far are kept" in done.err
    assert fw.load(tmp_path / "m").history.best_epoch == 1


def test_download(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fieldwise.datasets import movielens

    def fetch(base: Path, **options: Any) -> Path:
        folder = base / "ml-1m"
        folder.mkdir(parents=True)
        (folder / "users.dat").write_text("1::F::1::10::48067\n2::M::56::16::70072\n")
        (folder / "movies.dat").write_text("1::Toy Story (1995)::Animation|Comedy\n2::Jumanji (1995)::Adventure\n")
        (folder / "ratings.dat").write_text("1::1::5\n1::2::1\n2::1::4\n2::2::2\n" * 5)
        return folder

    monkeypatch.setattr(movielens, "fetch", fetch)
    monkeypatch.delenv("FIELDWISE_DATA", raising=False)
    assert "give one (--to DIR)" in run("download", "movielens-1m").err
    done = run("download", "movielens-1m", "--to", tmp_path / "data")
    assert done.out == f"movielens-1m: 20 rows, 6 fields; use it with FIELDWISE_DATA={tmp_path / 'data'}\n"
    assert "has no option" in run("download", "synthetic").err


@pytest.mark.parametrize("command", ["download", "train", "evaluate", "predict", "inspect", "demo", "models"])
def test_help_teaches(run: Any, command: str) -> None:
    text = run(command, "--help").out
    assert "Usage: fieldwise" in text
    if command != "models":
        assert "Example: fieldwise" in text


def test_version(run: Any) -> None:
    assert run("--version").out == f"fieldwise {fw.__version__}\n"
