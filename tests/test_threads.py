"""Processes and threads, each in a process of its own: what a forked process computes, and how a process ends."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet
import pytest

FORKED = """
import multiprocessing, sys
import numpy as np, torch
import fieldwise as fw
torch.set_num_threads(2)
rng = np.random.default_rng(0)
rows = {"user": rng.integers(0, 20, 6000), "price": rng.random(6000), "click": rng.integers(0, 2, 6000)}
settings = {"epochs": 1, "seed": 1}
predictor = fw.train(rows, label="click", settings=settings, progress=False)
parent = predictor.predict(rows)

def child(queue):
    again = fw.train(rows, label="click", settings=settings, progress=False)
    queue.put((torch.get_num_threads(), predictor.predict(rows), again.predict(rows)))

context = multiprocessing.get_context("fork")
queue = context.Queue()
process = context.Process(target=child, args=(queue,), daemon=True)
process.start()
threads, predicted, trained = queue.get(timeout=90)
assert threads == 1
assert torch.get_num_threads() == 2
np.testing.assert_allclose(predicted, parent, atol=1e-6)
np.testing.assert_allclose(trained, parent, atol=1e-3)
print("equal")
"""

ENDING = """
import sys
from fieldwise.columns.tables import iter_tables, read_table
rows = read_table(sys.argv[1]).num_rows + sum(piece.num_rows for piece in iter_tables(sys.argv[1]))
sys.exit(1 if rows == 800 else 3)
"""


def python(*words: object, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    command = [sys.executable, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=environment, check=False)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes cannot be forked")
def test_a_forked_process_predicts_and_trains() -> None:
    result = python("-c", FORKED)
    assert result.stdout == "equal\n", result.stderr


def test_the_library_alone_neither_loads_torch_nor_looks_after_forks() -> None:
    result = python("-c", "import fieldwise, sys; print('torch' in sys.modules, 'fieldwise.threads' in sys.modules)")
    assert result.stdout == "False False\n", result.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same wide table in every form: many columns keep many of Arrow's threads busy."""
    folder = tmp_path_factory.mktemp("wide")
    table = pa.table({f"c{i}": range(i, 400 + i) for i in range(60)})
    pa.csv.write_csv(table, folder / "wide.csv")
    pa.parquet.write_table(table, folder / "wide.parquet")
    pa.feather.write_feather(table, str(folder / "wide.arrow"))
    return folder


FORMS = ("wide.csv", "wide.parquet", "wide.arrow")


@pytest.mark.parametrize("name", FORMS)
def test_a_process_that_has_read_a_file_ends_as_it_wants(folder: Path, name: str) -> None:
    codes = Counter(python("-c", ENDING, folder / name).returncode for _ in range(5))
    assert codes == {1: 5}


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMS)
def test_two_hundred_processes_that_have_read_a_file_end_as_they_want(folder: Path, name: str) -> None:
    codes = Counter(python("-c", ENDING, folder / name).returncode for _ in range(200))
    assert codes == {1: 200}


@pytest.mark.parametrize("name", FORMS)
def test_a_wrong_label_ends_in_exit_code_1(folder: Path, name: str) -> None:
    result = python("-m", "fieldwise", "inspect", folder / name, "--label", "wrong")
    assert (result.returncode, result.stderr[:53]) == (1, "error: the label column, 'wrong', is not in the table")
