"""The measuring programs of benchmarks/aim run at smoke size, and what is measured stays measured."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import fieldwise as fw
from fieldwise.datasets.synthetic import make_search_log

PROGRAMS = Path(__file__).parent.parent / "benchmarks" / "aim"

QUICK = [
    ("planted.py", "--seeds", "1"),
    ("transfer.py", "--seeds", "1", "--orders", "2"),
    ("top_pairs.py", "--seeds", "2", "--top", "2,4"),
]


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(PROGRAMS / command[0]), *command[1:]],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def require_smoke(out: Path, *command: str) -> None:
    """A program says a table, keeps it and its runs, and a second time measures nothing."""
    first = run(*command, "--smoke", "--out", str(out))
    assert first.returncode == 0, first.stderr
    assert first.stdout.startswith(("| ", "Search"))
    (table,) = out.glob("*.md")
    assert table.read_text() == first.stdout
    runs = {path: path.read_bytes() for path in out.glob("*.json")}
    assert runs
    for content in runs.values():
        assert json.loads(content).keys() == {"asked", "figures", "environment", "versions"}
    again = run(*command, "--smoke", "--out", str(out))
    assert (again.returncode, again.stdout) == (0, first.stdout)
    assert {path: path.read_bytes() for path in out.glob("*.json")} == runs


@pytest.mark.parametrize("command", QUICK, ids=lambda command: command[0])
def test_a_program_runs_and_keeps_what_it_measured(command: tuple[str, ...], tmp_path: Path) -> None:
    require_smoke(tmp_path, *command)


@pytest.mark.slow
@pytest.mark.parametrize("command", ["search", "models", "budget"])
def test_costs_are_measured(command: str, tmp_path: Path) -> None:
    require_smoke(tmp_path, "cost.py", command)


def test_runs_of_other_settings_are_not_taken_for_ones_own(tmp_path: Path) -> None:
    command = ("planted.py", "--parts", "sizes", "--seeds", "1", "--smoke", "--out", str(tmp_path))
    assert run(*command).returncode == 0
    path = tmp_path / "sizes_seed0.json"
    record = json.loads(path.read_text())
    record["asked"]["settings"]["search"]["dimension_threshold"] = 0.7
    path.write_text(json.dumps(record))
    done = run(*command)
    assert done.returncode == 1
    assert "sizes_seed0.json was made from other rows or settings" in done.stderr


def test_the_shares_of_kept_interactions(tmp_path: Path) -> None:
    log = make_search_log(1_000, num_fields=4, num_noise=1, num_pairs=1, num_triples=1)
    config = tmp_path / "compare.toml"
    config.write_text(
        "[training]\nepochs = 1\n[models.fm]\n"
        '[models."two functions"]\nname = "aim"\ndnn_hidden = []\n'
        'search = { orders = [2, 3], functions = ["inner", "outer"], threshold = 0.0, embedding_sizes = false, '
        "max_interactions = 9, epochs = 1 }\n"
    )
    out = tmp_path / "runs"
    fw.compare(log.table, schema=log.schema, config=config, seeds=1, out=out, progress=False)
    done = run("fi_ratios.py", str(out), "--markdown", str(tmp_path / "table.md"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "table.md").read_text() == done.stdout
    fm, *found = [[cell.strip() for cell in line.split("|")[1:-1]] for line in done.stdout.splitlines()[2:]]
    assert fm[0] == "fm"
    assert fm[3:] == ["", "", "", "", "1"]
    architecture = fw.Architecture.model_validate(
        json.loads((out / "runs" / "two%20functions_seed0.json").read_text())["settings"]["model_settings"][
            "architecture"
        ]
    )
    assert len(architecture.interactions) == 9
    for line, order, possible in zip(found, (2, 3), (6, 4), strict=True):
        tuples, pairs = len(architecture.strengths(order)), len(architecture.of(order))
        assert line[3:7] == [
            str(order),
            f"{tuples:.1f}",
            f"{tuples / possible:.1%}",
            f"{pairs / (2 * possible):.1%}",
        ]
    missing = run("fi_ratios.py", str(tmp_path / "nothing"))
    assert missing.returncode == 1
    assert "holds no run of a comparison" in missing.stderr
