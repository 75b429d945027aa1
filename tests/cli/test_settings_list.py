"""`fieldwise settings`: what may be set, readable at any width."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

import pytest

from fieldwise import cli
from fieldwise.settings.catalogue import describe_settings

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def command(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["fieldwise", "settings", *words])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        captured = capsys.readouterr()
        return int(stop.value.code or 0), captured.out, captured.err

    return command


@pytest.mark.parametrize("width", [50, 60, 80, 300])
def test_lines_are_as_wide_as_the_terminal(run: Run, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    code, out, _ = run("aim")
    assert code == 0
    assert max(map(len, out.splitlines())) <= min(width, 100)
    for setting in describe_settings("aim"):
        assert f"  {setting.name} = " in out
    said = " ".join(out.replace("[", " ").replace("]", " ").split())
    assert "Passes over the training rows at most; early stopping usually ends sooner. whole number >= 1" in said


def test_sections(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")  # so that no other line begins in lower case
    titles = [[line for line in run(*words)[1].splitlines() if line and line[0].islower()] for words in ([], ["aim"])]
    assert titles == [
        ["run", "data", "training", "model of autoint"],
        ["run", "data", "training", "model of aim", "search"],
    ]
    _, out, _ = run("catboost")
    assert "training." not in out
    assert "--set model.max_rounds=1000" in out


def test_json(run: Run) -> None:
    _, out, _ = run("--json")
    described = {entry["name"]: entry for entry in json.loads(out)}
    assert described["training.schedule"] == {
        "section": "training",
        "name": "training.schedule",
        "meaning": "`constant`; `plateau`, a tenth after every epoch that was not better on the validation rows than "
        "the best one before; or a fall to zero over all epochs, `linear` or `cosine`.",
        "default": "constant",
        "values": "constant, plateau, linear or cosine",
        "choices": ["constant", "plateau", "linear", "cosine"],
    }


def test_an_unknown_model(run: Run) -> None:
    assert run("autoimt") == (1, "", "error: unknown model 'autoimt'; did you mean 'autoint'?\n")
