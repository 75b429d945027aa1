"""Data sets that are examples: what is said to somebody who names them, and the commands in their files."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest

from fieldwise import cli
from fieldwise.datasets import is_built_in, load_dataset, names
from fieldwise.datasets.examples import EXAMPLES
from fieldwise.errors import DataError

FOLDER = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize("name", EXAMPLES)
def test_what_is_missing_and_where_to_put_it(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / EXAMPLES[name].path
    monkeypatch.delenv("FIELDWISE_DATA", raising=False)
    with pytest.raises(DataError, match=rf"\$FIELDWISE_DATA/{name}/.* is missing \(FIELDWISE_DATA, .*kaggle\.com"):
        load_dataset(name)
    monkeypatch.setenv("FIELDWISE_DATA", str(tmp_path))
    with pytest.raises(DataError, match=rf"{re.escape(str(path))} is missing; .* in examples/{name}\.toml$"):
        load_dataset(name)
    path.parent.mkdir()
    path.touch()
    with pytest.raises(DataError, match=r"its rows are there"):
        load_dataset(name)
    assert name not in names()


@pytest.mark.parametrize("words", [["train", "--out", "m"], ["inspect"], ["compare", "--models", "lr"], ["download"]])
def test_every_command_says_it(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["fieldwise", words[0], "criteo", *words[1:]])
    with pytest.raises(SystemExit):
        cli.main()
    assert "error: 'criteo' is no built-in data set but an example" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_file_or_folder_of_that_name_is_meant_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert is_built_in("avazu")
    Path("avazu").mkdir()
    assert not is_built_in("avazu")


@pytest.mark.data
@pytest.mark.parametrize("name", EXAMPLES)
def test_the_command_of_an_example_can_be_pasted(
    name: str,
    data_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (command,) = re.findall(r"^# (fieldwise train .*)$", (FOLDER / f"{name}.toml").read_text(), re.MULTILINE)
    (tmp_path / "examples").symlink_to(FOLDER)
    monkeypatch.chdir(tmp_path)
    words = shlex.split(command.replace("$FIELDWISE_DATA", str(data_dir)))
    monkeypatch.setattr(sys, "argv", [*words, "--set", "epochs=1", "--set", "num_layers=1"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert not stop.value.code
    assert f"saved to runs/{name}" in capsys.readouterr().out
