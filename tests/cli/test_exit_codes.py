"""Wrong input in processes of their own, as people meet it: one line and an exit code, never an abort.

An abort shows in some runs of many only. FIELDWISE_WRONG_RUNS says how many there are; 200 take five to ten minutes.
"""

from __future__ import annotations

import gzip
import itertools
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

import fieldwise as fw

RUNS = int(os.environ.get("FIELDWISE_WRONG_RUNS", "24"))
NAMES = ("rows.csv", "rows.csv.gz", "rows.csv.zst", "rows.parquet")
FAULTS = ("label", "column", "values", "empty", "torn", "nowhere", "encoding", "setting", "model", "out")
COMMANDS = ("inspect", "train", "evaluate", "predict", "compare")

POINTLESS = {
    "label": {"evaluate", "predict"},  # which read the label that the model was trained on, or none
    "values": {"predict"},
    "column": {"inspect", "train", "compare"},  # where it is no fault
    "setting": {"inspect", "evaluate", "predict"},
    "model": {"inspect", "train", "compare"},
    "out": {"evaluate"},
}
"""Commands that a fault does not concern."""

SCRIPT = """
import sys
import fieldwise as fw
verb, data, label, model = sys.argv[1:]
if verb in ("inspect", "train", "compare"):
    fw.train(data, label=label, model="lr", settings={"epochs": 1}, progress=False)
else:
    getattr(fw.load(model), verb)(data)
"""


def write(path: Path, table: pa.Table, fault: str) -> None:
    if path.suffix == ".parquet":
        pa.parquet.write_table(table, path)
    else:
        sink = pa.BufferOutputStream()
        pa.csv.write_csv(table, sink)
        data = sink.getvalue().to_pybytes()
        if fault == "encoding":
            data = data.replace(b"desktop", b"t\xe9l\xe9")
            assert b"\xe9" in data
        if path.suffix == ".zst":
            data = pa.Codec("zstd").compress(data, asbytes=True)
        path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    if fault == "empty":
        path.write_bytes(b"")
    elif fault == "torn":
        # A text file in the midst of a quoted cell; of the others half is enough.
        data = path.read_bytes()[: path.stat().st_size // 2]
        path.write_bytes(data + b',"' if path.suffix == ".csv" else data)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, clicks: pa.Table) -> Path:
    """A model, and for every fault a folder of the same wrong rows in every form."""
    folder = tmp_path_factory.mktemp("wrong")
    predictor = fw.train(clicks, label="click", model="lr", settings={"epochs": 1}, progress=False)
    predictor.save(folder / "model")
    predictor.save(folder / "torn-model")
    weights = folder / "torn-model" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-8])
    # Many columns keep many of Arrow's threads busy.
    wide = {f"c{i}": pa.array(range(i, i + len(clicks))) for i in range(40)}
    for fault in FAULTS:
        table = pa.table({**dict(zip(clicks.column_names, clicks.columns, strict=True)), **wide})
        if fault == "column":
            table = table.drop_columns(["device"])
        elif fault == "values":
            table = table.set_column(0, "click", pa.array(["yes", "no", "perhaps", "so"] * (len(table) // 4)))
        (folder / "data" / fault).mkdir(parents=True)
        for name in NAMES if fault != "nowhere" else ():
            write(folder / "data" / fault / name, table, fault)
    return folder


def wrong_runs(folder: Path) -> Iterator[tuple[list[str], bool]]:
    """Command lines, endlessly, and whether each is one of the command line's own."""
    cases = [
        (command, name, fault, own)
        for command, name, fault, own in itertools.product(COMMANDS, NAMES, FAULTS, (True, False))
        if command not in POINTLESS.get(fault, ())
        and (fault, name) != ("encoding", "rows.parquet")
        and (own or fault not in ("setting", "model", "out"))
    ]
    random.Random(0).shuffle(cases)
    for number, (command, name, fault, own) in enumerate(itertools.cycle(cases)):
        if own and (command, fault) == ("inspect", "values"):
            continue  # it shows the column, and trains nothing
        data, label = str(folder / "data" / fault / name), "wrong" if fault == "label" else "click"
        model = str(folder / ("torn-model" if fault == "model" else "model"))
        # Under a file nobody may write, not even root.
        out = f"{data}/out" if fault == "out" else str(folder / f"out-{number}")
        setting = "epochs=none" if fault == "setting" else "epochs=1"
        words = {
            "inspect": ["inspect", data, "--label", label, "--out", f"{out}.json"],
            "train": ["train", data, "--label", label, "--model", "lr", "--set", setting, "--out", out],
            "evaluate": ["evaluate", model, data],
            "predict": ["predict", model, data, "--out", f"{out}.csv"],
            "compare": ["compare", data, "--label", label, "--models", "lr,fm", "--set", setting, "--out", out],
        }
        yield (
            (["-m", "fieldwise", *words[command]], True)
            if own
            else (["-c", SCRIPT, command, data, label, model], False)
        )


def ending(run: tuple[list[str], bool]) -> str | None:
    """What is wrong with the way in which a process ended; None where nothing is."""
    words, own = run
    # As many threads as the machine has: an abort at exit comes of them.
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    result = subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, env=environment, timeout=300, check=False
    )
    lines = result.stderr.splitlines()
    errors = [line for line in lines if line.startswith("error: " if own else "fieldwise.errors.")]
    # A script shows the error's cause before it, which may be of ours too.
    told = errors == lines[-1:] if own else errors[-1:] == lines[-1:]
    if (
        result.returncode in ((1, 2) if own else (1,))
        and errors
        and told
        and not (own and "Traceback" in result.stderr)
    ):
        return None
    return f"{words[1:]} ended with {result.returncode}: {result.stderr[-2000:]}"


def test_wrong_input_ends_in_one_line_and_an_exit_code(folder: Path) -> None:
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        failures = [end for end in pool.map(ending, itertools.islice(wrong_runs(folder), RUNS)) if end is not None]
    assert not failures, "\n".join(failures)
