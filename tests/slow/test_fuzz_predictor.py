"""Ten thousand damaged predictors, none of which gets out of the contract, in a process with little memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

CASES = 10_000


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")
def test_ten_thousand_damaged_predictors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # A process of its own: its address space is limited, and what it opens and runs is watched.
    done = subprocess.run(
        [sys.executable, str(Path(__file__).parent.parent / "fuzzing.py"), str(CASES)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-5000:]
    summary = json.loads(done.stdout)
    with capsys.disabled():
        print(f"\n{json.dumps(summary, indent=2)}")
    assert summary["cases"] >= CASES
    assert summary["memory taken beyond the first load, MB"] < 1000
    # The damage reaches both sides of the contract, or it would show nothing.
    for half in ("manifest as it was", "manifest made consistent"):
        assert summary[half]["refused"] > CASES / 10
        assert summary[half]["loaded"] > 0
