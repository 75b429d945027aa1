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

from fieldwise.threads import processor_quota

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


THREADS = """
import os, sys
import fieldwise as fw
fw.set_threads(*map(int, sys.argv[1:]))
import torch
print(torch.get_num_threads(), os.environ["OMP_WAIT_POLICY"], os.environ.get("GOMP_SPINCOUNT"))
"""


def python(*words: object, timeout: float = 120, **variables: str) -> subprocess.CompletedProcess[str]:
    ours = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "FIELDWISE_THREADS")
    environment = {name: value for name, value in os.environ.items() if name not in ours} | variables
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


def test_the_number_of_threads() -> None:
    assert python("-c", THREADS, 1).stdout == "1 passive 2000\n"
    asked = python("-c", THREADS, FIELDWISE_THREADS="1", OMP_NUM_THREADS="2", OMP_WAIT_POLICY="active")
    assert asked.stdout == "1 active None\n"
    assert python("-c", THREADS, OMP_NUM_THREADS="1").stdout == "1 passive 2000\n"
    assert "FIELDWISE_THREADS: expected a whole number of at least 1, got 'two'" in (
        python("-c", THREADS, FIELDWISE_THREADS="two").stderr
    )


def test_the_command_line_says_its_number_of_threads(tmp_path: Path) -> None:
    data = tmp_path / "clicks.csv"
    data.write_text("click,user\n" + "".join(f"{i % 2},{i % 5}\n" for i in range(100)))
    words = ("train", data, "--label", "click", "--model", "lr", "--set", "epochs=1")
    result = python("-m", "fieldwise", "--threads", 1, *words, "--out", tmp_path / "model")
    assert "training on cpu with 1 thread, " in result.stderr + result.stdout


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, None),
        ({"proc/self/cgroup": "0::/\n"}, None),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, None),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "150000 100000\n"}, 1.5),
        (
            {
                "proc/self/cgroup": "0::/pod/app\n",
                "sys/fs/cgroup/pod/app/cpu.max": "max 100000\n",
                "sys/fs/cgroup/pod/cpu.max": "200000 100000\n",
            },
            2.0,
        ),
        (
            {
                "proc/self/cgroup": "4:memory:/x\n1:cpu,cpuacct:/outside\n0::/\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "300000\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            3.0,
        ),
        (
            {
                "proc/self/cgroup": "1:cpu:/\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            None,
        ),
    ],
)
def test_the_quota_of_control_groups(tmp_path: Path, files: dict[str, str], expected: float | None) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    assert processor_quota(tmp_path) == expected
