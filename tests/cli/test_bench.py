"""`fieldwise bench`: figures of real processes, in a table, as JSON and as files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fieldwise.bench import measure as measuring
from fieldwise.bench.workload import Case, Workload, field_sizes, random_rows
from fieldwise.cli.app import app
from fieldwise.errors import SettingsError
from fieldwise.layout import FIRST_TOKEN

SMALL = ["--fields", "4", "--batch", "64", "--seconds", "0", "--set", "num_layers=1", "--set", "device=cpu"]


def test_two_cases_side_by_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(measuring, "_median_time", lambda work, device, seconds: (work(), 0.5)[1])
    monkeypatch.setattr(
        "fieldwise.bench.measure.measure", lambda case, seconds: measuring.measure_in_process(case, seconds)
    )
    out = tmp_path / "bench"
    app(["bench", *SMALL, "--vocabulary", "1k,0.002m", "--out", str(out), "--json"], standalone_mode=False)
    printed = json.loads(capsys.readouterr().out)
    cases = printed["cases"]
    assert [case["vocabulary"] for case in cases] == [1000, 2000]
    assert printed["machine"]["memory_gb_per_s"] > 0
    for case in cases:
        assert case["train_rows_per_s"] == 64 / 0.5
        assert case["predict_rows_per_s"] == 8 * 64 / 0.5
        assert case["table_mb"] == case["vocabulary"] * 16 * 4 / 1e6
        assert case["peak_mb"] > case["table_mb"]
        assert case["model_settings"]["num_layers"] == 1
    written = json.loads((out / "bench.json").read_text(encoding="utf-8"))
    assert written["cases"] == cases
    assert "| autoint | 4 | 2,000 | 64 | 500.0 |" in (out / "bench.md").read_text(encoding="utf-8")


def test_a_process_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    result = measuring.measure(Case("lr", 3, 100, 32), seconds=0.0)
    assert result.step_ms > 0
    assert result.flops_per_row == 0  # logistic regression multiplies no matrices
    assert "adam for the embeddings" in result.plan
    assert capsys.readouterr().out == ""
    with pytest.raises(SettingsError, match="num_heads must divide"):
        measuring.measure(Case(model_settings={"attention_dim": 5}), seconds=0.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--vocabulary", "1k,many"], "--vocabulary 1k,many: 'many' is no number; write for example 10k,1m"),
        (["--fields", "0"], "--fields 0: expected numbers above 0"),
        (["--batch", ","], "--batch ,: expected numbers above 0"),
        (["--model", "autoin"], "unknown model 'autoin'"),
        (["--set", "epoch=1"], "unknown setting 'epoch'"),
    ],
)
def test_wrong_options(options: list[str], message: str) -> None:
    done = CliRunner().invoke(app, ["bench", *options])
    assert isinstance(done.exception, SettingsError)
    assert message in str(done.exception)


def test_a_vocabulary_too_small_for_its_fields() -> None:
    with pytest.raises(SettingsError, match="10 fields need a vocabulary of at least 31"):
        field_sizes(10, 30)
    assert sum(field_sizes(39, 100_000)) == 100_000 - 1
    assert max(field_sizes(10, 105)) - min(field_sizes(10, 105)) == 1


def test_rows_are_skewed_and_within_their_fields() -> None:
    sizes = field_sizes(3, 3000)
    ids, label = random_rows(sizes, 4000)
    assert ids.min() >= 0
    assert (ids < sizes).all()
    assert ((ids < 10).mean(axis=0) > 0.15).all()  # uniform ids would give 0.01
    assert 0.2 < label.mean() < 0.3
    assert sizes[0] > FIRST_TOKEN
    workload = Workload(Case("autoint", 3, 3000, 16, {"num_layers": 1}, {"precision": "float32"}))
    before = workload.trainer.step.tables[0].detach().clone()
    workload.train_step()
    assert not (workload.trainer.step.tables[0] == before).all()
    assert len(workload) == 8 * 16
