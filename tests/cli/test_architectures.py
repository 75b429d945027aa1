"""`fieldwise architecture` as a user meets it: tables, JSON, files, and one-line errors that leave nothing behind."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from fieldwise import cli
from fieldwise.architecture import Architecture, FieldSummary, Interaction
from fieldwise.cli.words import parse_seconds
from fieldwise.data.batch import Batch
from fieldwise.errors import SettingsError
from fieldwise.layout import Layout
from fieldwise.models import CTRModel, register, registry


class Result(NamedTuple):
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str


Run = Callable[..., Result]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def command(*words: object) -> Result:
        monkeypatch.setattr(sys, "argv", ["fieldwise", "architecture", *map(str, words)])
        code = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        return Result(code, *capsys.readouterr())

    return command


def example(**changes: Any) -> Architecture:
    return Architecture.model_validate(
        {
            "model": "toy",
            "embedding_dim": 4,
            "fields": {
                "user": FieldSummary(kind="categorical", size=10),
                "movie": FieldSummary(kind="categorical", size=20),
                "hour": FieldSummary(kind="categorical", size=5),
            },
            "interactions": (
                Interaction(fields=("user", "movie"), function="inner", gate=-0.9),
                Interaction(fields=("user", "movie"), function="outer", gate=0.5),
                Interaction(fields=("user", "hour"), function="inner", gate=0.4),
            ),
            "dimensions": {2: {"inner": {"user": (0, 1), "hour": (1,)}}},
            **changes,
        }
    )


@pytest.fixture
def search(tmp_path: Path) -> Path:
    """The directory of a search."""
    example().save(tmp_path / "search" / "architecture.json")
    return tmp_path / "search"


class Toy(CTRModel):
    """Takes an architecture, like the models that a search builds."""

    def __init__(self, layout: Layout, *, architecture: Any = None) -> None:
        super().__init__(layout)
        self.interactions = len(Architecture.model_validate(architecture).interactions)

    def forward(self, batch: Batch) -> Tensor:
        return torch.zeros(len(batch))


@pytest.fixture
def toy() -> Iterator[None]:
    """The model `toy`, registered for one test."""
    with registry.temporary():
        register("toy", summary="a toy")(Toy)
        yield


def test_show(run: Run, search: Path) -> None:
    shown = run("show", search)
    assert (shown.code, shown.err) == (0, "")
    for line in (
        r"functions in use +inner, outer",
        # Embeddings: user 2 + 4, movie 4 + 4, hour 1 + 0 dimensions of 8.
        r"embedding parameters +225 of 280, 19\.6% saved",
        r"2 +inner +2 +3 +66\.67%",
        r"2 +tuples with any function +2 +3 +66\.67%",
        r"2 +\(tuple, function\) pairs +3 +6 +50\.00%",
        r"user × movie +inner -0\.9, outer 0\.5",
        r"movie +categorical +20 +8 +8 +160",
    ):
        assert re.search(line, shown.out), line
    assert run("show", search / "architecture.json").out == shown.out


def test_show_as_json(run: Run, search: Path) -> None:
    figures = json.loads(run("show", search, "--json").out)
    assert (figures["interactions"], figures["parameters"], figures["full_parameters"]) == (3, 225, 280)
    assert figures["orders"][0]["tuple_ratio"] == 2 / 3
    assert figures["orders"][0]["pair_ratio"] == 3 / 6


def test_pictures(run: Run, search: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    shown = run("show", search, "--pictures", tmp_path / "pictures", "--json")
    assert json.loads(shown.out)["interactions"] == 3
    names = {"embedding-sizes", "functions", "pairs"}
    assert {path.name for path in (tmp_path / "pictures").iterdir()} == {
        f"{n}.{k}" for n in names for k in ("png", "svg")
    }
    assert shown.err.startswith(f"pictures: {tmp_path / 'pictures' / 'embedding-sizes.png'}, ")
    example(interactions=()).save(search / "architecture.json")
    assert "there is nothing to draw" in run("show", search, "--pictures", tmp_path / "none").err


def test_pictures_without_matplotlib(run: Run, search: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    refused = run("show", search, "--pictures", tmp_path / "pictures")
    assert refused.code == 1
    assert "pip install 'fieldwise[plots]'" in refused.err
    assert not (tmp_path / "pictures").exists()


def test_diff(run: Run, search: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    example(interactions=example().interactions[:1]).save(other)
    shown = run("diff", search, other)
    assert (shown.code, shown.err) == (0, "")
    for line in (
        r"2 +tuples +1 +1 +0 +0\.500",
        r"2 +pairs +1 +2 +0 +0\.333",
        r"Kept by one side only",
        r"2 +A +user × hour",
        r"movie +8 +4 +-4",
    ):
        assert re.search(line, shown.out), line
    figures = json.loads(run("diff", search, other, "--json").out)
    assert figures["orders"][0]["jaccard"] == 0.5


def test_trim_to_a_number(run: Run, search: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "small.json"
    done = run("trim", search, "--out", out, "--max-interactions", 1)
    assert (done.code, done.out) == (0, "")
    assert done.err == f"1 of 3 interactions are kept; written to {out}\n"
    trimmed = Architecture.load(out)
    assert [str(i) for i in trimmed.interactions] == ["inner(user, movie)"]
    assert trimmed.dimensions == {2: {"inner": {"user": (0, 1)}}}


def test_what_is_there_is_replaced_only_on_demand(run: Run, search: Path, tmp_path: Path) -> None:
    out = tmp_path / "other"
    out.mkdir()
    assert run("trim", search, "--out", out, "--max-interactions", 2).code == 0
    refused = run("trim", search, "--out", out, "--max-interactions", 1)
    assert refused.code == 1
    assert refused.err == (
        f"error: {out / 'architecture.json'} exists already; choose another name, or replace it with --overwrite\n"
    )
    assert len(Architecture.load(out).interactions) == 2
    assert run("trim", search, "--out", out, "--max-interactions", 1, "--overwrite").code == 0
    assert len(Architecture.load(out).interactions) == 1
    assert run("trim", search, "--out", search, "--max-interactions", 0, "--overwrite").code == 0
    assert Architecture.load(search).interactions == ()


@pytest.mark.usefixtures("toy")
def test_trim_to_a_latency(run: Run, search: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = run("trim", search, "--out", tmp_path / "all.json", "--latency", "10s", "--rows", 8)
    assert done.code == 0, done.err
    assert re.fullmatch(r"3 interactions: \S+ ms for 8 rows\n3 of 3 interactions are kept; .*\n", done.err)
    assert "for 256 rows" in run("trim", search, "--out", tmp_path / "more.json", "--latency", "10s").err

    from fieldwise.recipes.search import trimming

    monkeypatch.setattr(trimming, "measure_latency", lambda a, rows: 0.004 + 0.001 * len(a.interactions))
    done = run("trim", search, "--out", tmp_path / "some.json", "--latency", "5.5ms")
    assert len(Architecture.load(tmp_path / "some.json").interactions) == 1
    assert "1 interactions: 5 ms for 256 rows" in done.err
    refused = run("trim", search, "--out", tmp_path / "none.json", "--latency", "800us")
    assert "without any interaction a prediction already takes 0.004 seconds" in refused.err
    assert not (tmp_path / "none.json").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["show", "{t}/nothing.json"], "there is no architecture"),
        (["show", "{t}"], "there is no architecture"),
        (["show", "{t}/song.txt"], "song.txt: this is not JSON"),
        (["diff", "{t}/search", "{t}/nothing"], "there is no architecture"),
        (["diff", "{t}/search", "{t}/foreign.json"], "no field in common"),
        (["trim", "{t}/search", "--out", "{t}/b.json"], "either --max-interactions N or --latency TIME"),
        (["trim", "{t}/search", "--out", "{t}/b.json", "--max-interactions", "1", "--latency", "1s"], "give either"),
        (["trim", "{t}/search", "--out", "{t}/b.json", "--max-interactions", "-1"], "0 or more; got -1"),
        (["trim", "{t}/search", "--out", "{t}/b.json", "--max-interactions", "1", "--rows", "9"], "--rows is the size"),
        (["trim", "{t}/search", "--out", "{t}/b.json", "--latency", "5"], "--latency 5: expected a time above 0 with"),
        (["trim", "{t}/search", "--out", "{t}/b.json", "--latency", "5ms", "--rows", "0"], "rows: expected at least 1"),
        (["trim", "{t}/search", "--out", "{t}/b.json", "--latency", "5ms"], "unknown model 'toy'"),
        (["trim", "{t}/search", "--out", "{t}/song.txt/b.json", "--max-interactions", "1"], "cannot write"),
        (["trim", "{t}/nothing", "--out", "{t}/b.json", "--max-interactions", "1"], "there is no architecture"),
    ],
)
def test_wrong_input_is_one_line_and_leaves_nothing(
    run: Run, search: Path, tmp_path: Path, words: list[str], message: str
) -> None:
    (tmp_path / "song.txt").write_text("la la la")
    Architecture(embedding_dim=1, fields={"x": FieldSummary(kind="numeric", size=2)}).save(tmp_path / "foreign.json")
    before = sorted(tmp_path.rglob("*"))
    refused = run(*(word.format(t=tmp_path) for word in words))
    assert (refused.code, refused.out) == (1, "")
    assert re.fullmatch(r"error: .*\n", refused.err)
    assert message in refused.err
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5ms", 0.005),
        ("0.5s", 0.5),
        ("800us", 0.0008),
        ("800 µs", 0.0008),
        (".5MS", 0.0005),
        (" 2s ", 2.0),
        ("30m", 1800.0),
        ("2h", 7200.0),
    ],
)
def test_times(text: str, seconds: float) -> None:
    assert parse_seconds(text, "--latency") == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "5", "ms", "-5ms", "0s", "5d", "1e-3s", "nan s", "5,5ms"])
def test_times_that_are_none(text: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(f"--latency {text}: expected") + ".* 5ms, 0.5s or 30m"):
        parse_seconds(text, "--latency")


@pytest.mark.parametrize("command", ["show", "diff", "trim"])
def test_help_teaches(run: Run, command: str) -> None:
    text = run(command, "--help").out
    assert f"Usage: fieldwise architecture {command}" in text
    assert f"Example: fieldwise architecture {command}" in text


def test_the_commands_are_listed(run: Run) -> None:
    text = run("--help").out
    assert all(command in text for command in ("show", "diff", "trim"))
