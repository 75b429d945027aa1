"""Tab completion: what a shell is offered, asked as shells ask."""

from __future__ import annotations

import sys

import pytest

from fieldwise import cli
from fieldwise.cli.completion import SHAPES
from fieldwise.comparison.sizes import sizes_at


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    def complete(*words: str) -> list[str]:
        """What bash is offered for the last of the words."""
        monkeypatch.setenv("_FIELDWISE_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", " ".join(["fieldwise", *words]))
        monkeypatch.setenv("COMP_CWORD", str(len(words)))
        monkeypatch.setattr(sys, "argv", ["fieldwise"])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        assert not stop.value.code
        return capsys.readouterr().out.split()

    return complete


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["sett"], ["settings"]),
        (["train", "--model", "autoi"], ["autoint", "autoint+"]),
        (["train", "x.csv", "--model", "light"], ["lightgbm"]),
        (["search", "--model", "a"], ["aim", "autofis"]),
        (["settings", "cat"], ["catboost"]),
        (["compare", "x.csv", "--models", "lr,fm,deepf"], ["lr,fm,deepfm"]),
        (["bench", "--model", "xd"], ["xdeepfm"]),
        (["train", "movie"], ["movielens-1m", "movielens-1m-ids"]),
        (["train", "clicks"], []),  # the shell knows files
        (["download", "movielens-1m-"], ["movielens-1m-ids"]),
        (["demo", "--dataset", "syn"], ["synthetic"]),
        (["train", "--set", "training.epo"], ["training.epochs="]),
        (["train", "--set", "epo"], ["epochs="]),
        (["train", "--model", "aim", "--set", "search.thr"], ["search.threshold="]),
        (["train", "--set", "search.thr"], []),
        (["train", "--set", "preset=re"], ["preset=reference"]),
        (["train", "--set", "training.schedule=c"], ["training.schedule=constant", "training.schedule=cosine"]),
        (["train", "--model", "nothing", "--set", "e"], []),
        (["train", "--objective", "r"], ["regression"]),
        (["evaluate", "model", "--rows", "a"], ["all"]),
        (["models", "--shape", "k"], ["kdd12"]),
    ],
)
def test_what_is_offered(offered, words: list[str], expected: list[str]) -> None:
    assert offered(*words) == expected


def test_data_sets_do_not_stand_in_the_way_of_files(offered) -> None:
    assert offered("train", "") == []


def test_the_published_sizes_are_all_known() -> None:
    for shape in SHAPES:
        assert sizes_at(shape)


def test_a_shell_can_be_taught(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["fieldwise", "--help"])
    with pytest.raises(SystemExit):
        cli.main()
    shown = capsys.readouterr().out
    assert "--install-completion" in shown
    assert "--show-completion" in shown
