"""Models of the user's own on the command line: how they become known, and how they are compared."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pytest

import fieldwise as fw
from fieldwise import cli
from fieldwise.comparison.contenders import plan
from fieldwise.errors import FieldwiseError
from fieldwise.layers import FirstOrderEmbedding
from fieldwise.models import CTRModel, register, registry
from fieldwise.training.step import Step


def register_own() -> None:
    @register("gates", summary="only the first order")
    class Gates(CTRModel):
        def __init__(self, layout: fw.Layout, *, embedding_dim: int = 2) -> None:
            super().__init__(layout)
            self.fields = FirstOrderEmbedding(layout, embedding_dim)

        def forward(self, batch: fw.Batch) -> Any:
            return self.fields(batch)[1]

    register("small", summary="AutoInt with one layer", defaults={"num_layers": 1})(registry.model_class("autoint"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, clicks: pa.Table) -> Path:
    """Rows, a model of a class that is no longer registered, and an unfinished run of it."""
    folder = tmp_path_factory.mktemp("own")
    pa.csv.write_csv(clicks.slice(0, 300), folder / "clicks.csv")
    step, steps = Step.__call__, []

    def interrupted(self: Step, batch: Any, rate: float) -> Any:
        steps.append(rate)
        if len(steps) == 6:
            raise KeyboardInterrupt
        return step(self, batch, rate)

    with registry.temporary(), pytest.MonkeyPatch.context() as patch:
        register_own()
        patch.setattr(Step, "__call__", interrupted)
        settings = {"epochs": 2, "batch_size": 64}
        fw.train(
            folder / "clicks.csv", label="click", model="gates", settings=settings, out=folder / "m", progress=False
        )
    return folder


@pytest.mark.parametrize(
    "words",
    [
        ["predict", "{f}/m", "{f}/clicks.csv"],
        ["evaluate", "{f}/m", "{f}/clicks.csv"],
        ["inspect", "{f}/m"],
        ["train", "--resume", "{f}/m"],
        ["train", "{f}/clicks.csv", "--label", "click", "--out", "{f}/new", "--model", "gates"],
        ["compare", "{f}/clicks.csv", "--label", "click", "--out", "{f}/new", "--models", "lr,gates"],
        ["settings", "gates"],
        ["bench", "--model", "gates"],
    ],
)
def test_a_model_that_is_not_imported_is_asked_for(
    folder: Path, words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["fieldwise", *(word.format(f=folder) for word in words)])
    with pytest.raises(SystemExit):
        cli.main()
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ")
    assert "unknown model 'gates'; " in error
    assert error.endswith("a model of your own is known once its module is named: fieldwise --import MODULE ...")


@pytest.mark.parametrize("load", [fw.load, fw.resume])
def test_in_python_its_module_is_asked_for(folder: Path, load: Callable[[Path], Any]) -> None:
    with pytest.raises(FieldwiseError, match="a model of your own is known once the module that registers it"):
        load(folder / "m")


def test_it_is_what_the_others_are_tested_against(tmp_path: Path) -> None:
    with registry.temporary():
        register_own()
        assert plan(["lr", "gates", "autoint"]).ours == ["gates"]
        assert plan(["lr", "small", "autoint"]).ours == ["autoint"]  # only other defaults of a model of ours
        (tmp_path / "compare.toml").write_text('ours = ["autoint"]\n[models.gates]\n[models.autoint]\n')
        assert plan(config=tmp_path / "compare.toml").ours == ["autoint"]
