"""Names that the terminal's encoding lacks end no command: they are shown escaped."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

COLUMN = "größe"
PLAIN = {"LC_ALL": "C", "LANG": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def run(*words: object) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "fieldwise", *map(str, words)]
    return subprocess.run(command, env={**os.environ, **PLAIN}, capture_output=True, timeout=300)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plain") / "clicks.csv"
    rows = [f"{'groß' if i % 3 else 'klein'},{'äöü'[i % 7 % 3]},{i % 2}" for i in range(200)]
    path.write_text("\n".join([f"{COLUMN},farbe,klick", *rows, ""]), encoding="utf-8")
    return path


def test_tables_messages_and_predictions(data: Path, tmp_path: Path) -> None:
    trained = run("train", data, "--label", "klick", "--model", "lr", "--set", "epochs=1", "--out", tmp_path / "m")
    assert trained.returncode == 0, trained.stderr
    said = trained.stderr.decode("ascii")
    assert r"| gr\xf6\xdfe | categorical |" in said
    assert f"saved to {tmp_path / 'm'}" in trained.stdout.decode("ascii")

    predicted = run("predict", tmp_path / "m", data, "--keep", COLUMN)
    assert predicted.returncode == 0, predicted.stderr
    assert predicted.stdout.decode("utf-8").splitlines()[0] == f'"{COLUMN}","probability"'
    assert predicted.stdout.decode("utf-8").splitlines()[2].startswith('"groß",')

    data.with_name("new.csv").write_text(f"{COLUMN},farbe\nriesengroß,ä\n", encoding="utf-8")
    counted = run("predict", tmp_path / "m", data.with_name("new.csv"), "--out", tmp_path / "p.csv", "--json")
    assert json.loads(counted.stdout.decode("ascii"))["unseen"] == {COLUMN: 1}
    assert r"gr\xf6\xdfe: 1 of 1 values are not in the vocabulary" in counted.stderr.decode("ascii")


def test_an_error_that_names_such_a_column(data: Path, tmp_path: Path) -> None:
    failed = run("train", data, "--label", COLUMN, "--model", "lr", "--out", tmp_path / "m")
    assert failed.returncode == 1
    assert failed.stderr.decode("ascii").splitlines()[-1].startswith(r"error: label column 'gr\xf6\xdfe': ")
    failed = run("train", data, "--label", "grösse", "--model", "lr", "--out", tmp_path / "m")
    assert failed.returncode == 1
    expected = r"error: the label column, 'gr\xf6sse', is not in the table; did you mean 'gr\xf6\xdfe'?"
    assert failed.stderr.decode("ascii").splitlines()[-1] == expected
