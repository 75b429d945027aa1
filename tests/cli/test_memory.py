"""Too little memory ends a command in one line."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest
import torch

from fieldwise import cli
from fieldwise.cli import app
from fieldwise.cli.memory import memory_message

LIMITED = """
import resource, sys
import torch
from fieldwise.cli import main

used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (4 << 30), used + (4 << 30)))
main()
"""


def test_what_libraries_raise_is_told_alike() -> None:
    asked: list[tuple[Callable[[], object], str]] = [
        (lambda: np.empty(10**15), r"unable to allocate 7\.1. PiB for an array with shape .*"),
        (lambda: torch.empty(10**15), r"you tried to allocate 4,000,000\.00 GB"),
        (lambda: pa.allocate_buffer(10**15), r"malloc of size 1,000,000\.00 GB failed"),
    ]
    for ask, expected in asked:
        with pytest.raises((MemoryError, RuntimeError)) as raised:
            ask()
        message = memory_message(raised.value)
        assert message is not None
        assert re.fullmatch(f"there is not enough memory: {expected}; use fewer rows .*", message), message
    assert (memory_message(MemoryError()) or "").startswith("there is not enough memory; use fewer rows")
    gpu = RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 79 GiB")
    assert (memory_message(gpu) or "").startswith("there is not enough memory: tried to allocate 20.00 GiB; use")
    assert memory_message(RuntimeError("mat1 and mat2 shapes cannot be multiplied")) is None


@pytest.mark.parametrize("error", [MemoryError("malloc of size 64 failed"), RuntimeError("x: can't allocate memory")])
def test_a_command_ends_in_one_line(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def command(**_: object) -> None:
        raise error

    monkeypatch.setattr(app, "app", command)
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 1
    assert re.fullmatch("error: there is not enough memory: .*\n", capsys.readouterr().err)


def test_other_errors_keep_their_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def command(**_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(app, "app", command)
    with pytest.raises(RuntimeError, match="a bug"):
        cli.main()


@pytest.mark.skipif(sys.platform != "linux", reason="limits of address space, and /proc")
def test_a_network_that_memory_cannot_hold(tmp_path: Path, clicks: pa.Table) -> None:
    data, out = tmp_path / "clicks.csv", tmp_path / "model"
    pa.csv.write_csv(clicks, data)
    options = ["--label", "click", "--model", "deepfm", "--set", "dnn_hidden=60000,60000", "--out", str(out)]
    done = subprocess.run([sys.executable, "-c", LIMITED, "train", str(data), *options], capture_output=True, text=True)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: there is not enough memory: you tried to allocate ")
    assert not out.exists()


@pytest.mark.parametrize("place", ["fieldwise.columns.files._unpacked", "fieldwise.columns.tables.plain_column"])
@pytest.mark.parametrize(
    "error", [MemoryError(), pa.ArrowMemoryError("malloc of size 64 failed")], ids=["own", "arrow"]
)
@pytest.mark.parametrize("command", ["inspect", "train", "compare"])
def test_no_file_is_blamed_for_too_little_memory(
    command: str,
    error: MemoryError,
    place: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: object) -> None:
        raise error

    (tmp_path / "rows.csv").write_text("user,click\n" + "ann,1\nbob,0\n" * 20)
    monkeypatch.setattr(place, fail)
    out = [] if command == "inspect" else ["--out", str(tmp_path / "m")]
    models = ["--models", "lr"] if command == "compare" else []
    words = [command, str(tmp_path / "rows.csv"), "--label", "click", *out, *models]
    monkeypatch.setattr(sys, "argv", ["fieldwise", *words])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: there is not enough memory")
