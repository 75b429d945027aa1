"""Every row of the table in docs/wrong-input.md, through the command line: the outcome, and the very message."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

import fieldwise as fw
from fieldwise import cli
from fieldwise.columns.writing import TableWriter

pytestmark = pytest.mark.usefixtures("wide")

ROWS = 200
DOCUMENT = Path(__file__).parent.parent / "docs" / "wrong-input.md"

ELSEWHERE = {"two processes that write the same model"}
"""Rows whose test needs a second process at a certain moment; it stands with the code that takes the lock."""


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The last line on standard error, which for a refusal is its only other than what was decided before."""
        return self.err.splitlines()[-1] if self.err else ""


def run(*words: object, stdin: bytes = b"") -> Result:
    """Run a command in this process, as the shell would. Any exception but an exit is a bug, and fails the test."""
    out, err, code = io.TextIOWrapper(io.BytesIO(), write_through=True), io.StringIO(), 0
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        patch.setattr(sys, "argv", ["fieldwise", *map(str, words)])
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        try:
            cli.main()
        except SystemExit as stop:
            code = int(stop.code or 0)
    return Result(code, out.buffer.getvalue().decode(), err.getvalue())  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Workplace:
    """A folder, the clicks to spoil, and a model that was trained on them as they are."""

    folder: Path
    clicks: pa.Table
    model: Path

    def write(self, content: str | bytes | pa.Table, name: str = "clicks.csv") -> Path:
        """Write a file: text, bytes, or a table, as Parquet where the name says so."""
        path = self.folder / name
        if isinstance(content, pa.Table) and path.suffix == ".parquet":
            pa.parquet.write_table(content, path)
        elif isinstance(content, pa.Table):
            pa.csv.write_csv(content, path)
        else:
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def text(self) -> str:
        return self.write(self.clicks).read_text()

    def with_column(self, name: str, values: object) -> pa.Table:
        """The clicks with a column replaced or added."""
        values = pa.array(values)
        if name in self.clicks.column_names:
            return self.clicks.set_column(self.clicks.column_names.index(name), name, values)
        return self.clicks.append_column(name, values)

    def train(self, content: str | bytes | pa.Table | None = None, *options: object) -> Result:
        data = [] if content is None else [self.write(content)]
        quick = ("--model", "lr", "--set", "epochs=1")
        return run("train", *data, *options, "--label", "click", "--out", self.folder / "new", *quick)

    def predict(self, content: str | bytes | pa.Table, *options: object, name: str = "clicks.csv") -> Result:
        return run(
            "predict", self.model, self.write(content, name), "--out", self.folder / "p.csv", "--overwrite", *options
        )


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, clicks: pa.Table) -> Path:
    path = tmp_path_factory.mktemp("model") / "model"
    fw.train(clicks.slice(0, ROWS), label="click", model="lr", settings={"epochs": 1}, out=path, progress=False)
    return path


@pytest.fixture
def place(tmp_path: Path, clicks: pa.Table, model: Path) -> Workplace:
    return Workplace(tmp_path, clicks.slice(0, ROWS), model)


Case = Callable[[Workplace], Result]
CASES: dict[str, Case] = {}


def case(name: str) -> Callable[[Case], Case]:
    def register(function: Case) -> Case:
        assert name not in CASES
        CASES[name] = function
        return function

    return register


@dataclass(frozen=True)
class Documented:
    """A row of the table: what is printed is compared with `pattern`."""

    outcome: str
    pattern: re.Pattern[str]


def documented() -> dict[str, Documented]:
    rows = re.findall(r"^\| (.+?) \| (refused|reported|works) \| `(.+)` \|$", DOCUMENT.read_text(), re.MULTILINE)
    return {
        name: Documented(outcome, re.compile(".+".join(map(re.escape, message.split("…")))))
        for name, outcome, message in rows
    }


def test_every_row_of_the_table_has_its_test() -> None:
    lines = [line for line in DOCUMENT.read_text().splitlines() if line.startswith("| ")]
    assert len(lines) == len(documented()) + 1  # no row is written in another form
    assert set(documented()) == set(CASES) | ELSEWHERE
    assert not set(CASES) & ELSEWHERE


@pytest.mark.parametrize("name", CASES)
def test_the_table(name: str, place: Workplace) -> None:
    expected = documented()[name]
    result = CASES[name](place)

    assert "Traceback" not in result.err
    if expected.outcome == "refused":
        assert result.code == 1, result
        assert result.error.startswith("error: ")
        assert result.err.count("error: ") == 1
        assert result.out == ""
        assert expected.pattern.fullmatch(result.error.removeprefix("error: ")), result.error
        left = {path.name for path in place.folder.iterdir()}
        assert not left & {"p.csv", "new"}, left
        assert not [path for path in left if path.startswith(".")], left
        return
    assert result.code == 0, result.err
    printed = result.err if expected.outcome == "reported" else result.out + result.err
    lines = [" ".join(line.split()) for line in printed.splitlines()]
    assert any(expected.pattern.fullmatch(line.rstrip(",")) for line in lines), lines


# ---- files


@case("no such file")
def _(place: Workplace) -> Result:
    return place.train(None, place.folder / "none.csv")


@case("a saved model in place of data")
def _(place: Workplace) -> Result:
    return run("train", place.model, "--label", "click", "--out", place.folder / "new")


@case("data in place of a saved model")
def _(place: Workplace) -> Result:
    return run("predict", place.write(place.clicks), place.folder / "clicks.csv")


@case("a directory without data files")
def _(place: Workplace) -> Result:
    return place.train(None, place.folder)


@case("an empty file")
def _(place: Workplace) -> Result:
    place.write(gzip.compress(b""), "empty.csv.gz")
    assert place.train(None, place.folder / "empty.csv.gz").error.endswith("empty.csv.gz: the file is empty")
    return place.train("\n \n")


@case("standard input, named twice")
def _(place: Workplace) -> Result:
    words = ("train", "-", "--valid", "-", "--label", "click", "--out", place.folder / "new")
    return run(*words, stdin=place.text().encode())


@case("a header only, for training")
def _(place: Workplace) -> Result:
    return place.train("click,user,price")


@case("a header only, for prediction")
def _(place: Workplace) -> Result:
    result = place.predict("user,device,price,tags", "--keep", "user")
    assert (place.folder / "p.csv").read_text() == '"user","probability"\n'
    return result


@case("rows with more or fewer cells than the header")
def _(place: Workplace) -> Result:
    more = place.train(place.text() + "1,2,phone,3,red,7\n")
    assert more.error.endswith(f"line {ROWS + 2} has 6 columns where 5 were expected")
    return place.train(place.text() + "1,2\n")


@case("a quote that is never closed")
def _(place: Workplace) -> Result:
    result = place.train(place.text() + '1,2,phone,3,"red\n' + "1,2,phone,3,red\n" * 3)
    assert f"line {ROWS + 2} " in result.error
    return result


@case("two columns of one name")
def _(place: Workplace) -> Result:
    return place.train(place.text().replace("user", "click", 1))


@case("a column without a name")
def _(place: Workplace) -> Result:
    return place.train(place.text().replace('"user"', '""', 1))


@case("binary garbage")
def _(place: Workplace) -> Result:
    late = place.train(place.text() * 500 + "1,2,pho\0ne,3,red\n")
    assert late.error.endswith("(it holds zero bytes)")
    return place.train(bytes(range(256)))


@case("half a Parquet file")
def _(place: Workplace) -> Result:
    whole = place.write(place.clicks, "clicks.parquet").read_bytes()
    return place.train(whole[: len(whole) // 2])


@case("half a compressed file")
def _(place: Workplace) -> Result:
    whole = gzip.compress(place.text().encode())
    return place.train(whole[: len(whole) // 2])


@case("text that is not UTF-8")
def _(place: Workplace) -> Result:
    return place.train(place.text().replace("phone", "téléphone").encode("latin-1"))


@case("column names that are not UTF-8")
def _(place: Workplace) -> Result:
    return place.train(place.text().replace("device", "clé").encode("latin-1"))


@case("UTF-16 text")
def _(place: Workplace) -> Result:
    return place.train(place.text().encode("utf-16"))


@case("several files with different columns")
def _(place: Workplace) -> Result:
    other = place.write(place.clicks.drop_columns(["price"]), "other.csv")
    whole = place.write(place.clicks, "whole.csv")
    predicted = run("predict", place.model, whole, other, "--out", place.folder / "p.csv")
    assert "other.csv lacks column 'price'" in predicted.error
    return place.train(None, whole, other)


@case("a file that changes while it is read")
def _(place: Workplace) -> Result:
    append = TableWriter.write

    def write(self: TableWriter, table: pa.Table) -> None:
        with (place.folder / "clicks.csv").open("a") as file:
            file.write("1,2,phone,3,red\n")
        append(self, table)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TableWriter, "write", write)
        return place.predict(place.clicks)


# ---- labels and weights


@case("no label column")
def _(place: Workplace) -> Result:
    return place.train(place.text().replace("click", "clik", 1))


@case("labels that are not 0/1 or true/false")
def _(place: Workplace) -> Result:
    return place.train(place.with_column("click", np.arange(ROWS) % 3))


def _yes_or_no(place: Workplace) -> pa.Table:
    return place.with_column("click", np.where(place.clicks["click"].to_numpy() == 1, "yes", "no"))


@case("two-valued text labels with --positive")
def _(place: Workplace) -> Result:
    result = place.train(_yes_or_no(place), "--positive", "yes")
    base_rate = fw.load(place.folder / "new").card.data.mean_label
    assert base_rate == pytest.approx(np.mean(place.clicks["click"].to_numpy()))
    return result


@case("--positive with a value that is no label")
def _(place: Workplace) -> Result:
    return place.train(_yes_or_no(place), "--positive", "Yes")


@case("a row without a label")
def _(place: Workplace) -> Result:
    return place.train(place.text() + ",2,phone,3,red\n")


@case("labels of one class only")
def _(place: Workplace) -> Result:
    return place.train(place.with_column("click", [1] * ROWS))


@case("a weight below zero")
def _(place: Workplace) -> Result:
    return place.train(place.with_column("w", [1.0] * (ROWS - 1) + [-1.0]), "--weight", "w")


@case("a weight that is no number")
def _(place: Workplace) -> Result:
    return place.train(place.with_column("w", ["1"] * (ROWS - 1) + ["much"]), "--weight", "w")


@case("weights that are all zero")
def _(place: Workplace) -> Result:
    return place.train(place.with_column("w", [0] * ROWS), "--weight", "w")


@case("a weight column missing in training")
def _(place: Workplace) -> Result:
    return place.train(place.clicks, "--weight", "w")


@case("a weight column missing at evaluation")
def _(place: Workplace) -> Result:
    assert place.train(place.with_column("w", [1, 2] * (ROWS // 2)), "--weight", "w").code == 0
    return run("evaluate", place.folder / "new", place.write(place.clicks))


# ---- columns and values


@case("a column missing at prediction")
def _(place: Workplace) -> Result:
    return place.predict(place.clicks.rename_columns(["click", "user", "device", "prices", "tags"]))


@case("a column added at prediction")
def _(place: Workplace) -> Result:
    assert "does not read" not in place.predict(place.clicks).err
    added = place.with_column("a", [1] * ROWS).append_column("b", pa.array([2] * ROWS))
    assert "does not read: b\n" in place.predict(added, "--keep", "a").err
    result = place.predict(added)
    assert "does not read: a, b\n" in result.err
    return result


@case("text where a number is expected")
def _(place: Workplace) -> Result:
    result = place.predict("user,device,price,tags\n1,phone,2,red\n1,phone,cheap,red\n")
    assert "column 'price': row 2: expected a number, got 'cheap'" in result.error
    return result


@case("a list where one value is expected")
def _(place: Workplace) -> Result:
    return place.predict(place.with_column("user", [[1]] * ROWS), name="lists.parquet")


def _schema(place: Workplace, fields: str) -> tuple[str, Path]:
    return "--schema", place.write(f'label = "click"\n[fields]\n{fields}\n', "schema.toml")


@case("text where a date is expected")
def _(place: Workplace) -> Result:
    table = place.with_column("seen", ["2026-01-31"] * (ROWS - 1) + ["soon"])
    return place.train(table, *_schema(place, 'seen = { kind = "categorical", part = "hour" }'))


@case("words among numbers, in training")
def _(place: Workplace) -> Result:
    return place.train(place.with_column("price", ["unknown", "unknown", *(f"{x}.5" for x in range(ROWS - 2))]))


@case("a column said to be a calendar that is none")
def _(place: Workplace) -> Result:
    return place.train(place.with_column("seen", ["soon", "later"] * (ROWS // 2)), "--field", "seen=calendar")


@case("a form of dates that there is not")
def _(place: Workplace) -> Result:
    return place.train(place.with_column("seen", ["2026-01-31"] * ROWS), "--field", "seen=calendar:dayfirst")


@case("a time zone that there is not")
def _(place: Workplace) -> Result:
    table = place.with_column("seen", ["2026-01-31"] * ROWS)
    fields = 'seen = { kind = "categorical", part = "hour", zone = "Berlin" }'
    return place.train(table, *_schema(place, fields))


@case("dates of which day and month cannot be told apart")
def _(place: Workplace) -> Result:
    return place.train(place.with_column("seen", [f"01/{1 + i % 12:02}/2026" for i in range(ROWS)]))


@case("text that looks like numbers with a unit")
def _(place: Workplace) -> Result:
    return place.train(place.with_column("weight", [f"{i % 90}.5 kg" for i in range(ROWS)]))


@case("vectors of numbers")
def _(place: Workplace) -> Result:
    return place.train(place.with_column("vector", [f"[0.{i % 90 + 1}, 1.5]" for i in range(ROWS)]))


@case("numbers far outside the range of training")
def _(place: Workplace) -> Result:
    return place.predict("user,device,price,tags\n1,phone,2,red\n1,phone,1e9,red\n")


@case("times without a zone, where training had one")
def _(place: Workplace) -> Result:
    hours = [f"2026-01-{1 + i // 24 % 28:02} {i % 24:02}:00:00" for i in range(ROWS)]
    trained = place.train(place.with_column("when", [f"{hour} UTC" for hour in hours]), "--field", "when=calendar")
    assert trained.code == 0, trained.err
    path = place.write(place.with_column("when", hours), "naive.csv")
    return run("predict", place.folder / "new", path, "--out", place.folder / "naive_scores.csv")


@case("an empty cell, NA or NaN in a number")
def _(place: Workplace) -> Result:
    cells = ["", "NA", "NaN", " ", "1.5"]
    text = "user,device,price,tags\n" + "".join(f"1,phone,{cell},red\n" for cell in cells)
    return place.predict(text, "--json")


@case("an infinite number at prediction")
def _(place: Workplace) -> Result:
    return place.predict("user,device,price,tags\n1,phone,2,red\n1,phone,-inf,red\n")


@case("an infinite number in training")
def _(place: Workplace) -> Result:
    return place.train(place.with_column("price", [np.inf, -np.inf, *np.linspace(0, 1, ROWS - 2)]))


@case("numbers too large to be scaled")
def _(place: Workplace) -> Result:
    table = place.with_column("price", np.where(np.arange(ROWS) % 2, 1e300, 0.5))
    return place.train(table, "--field", "price=numeric")


@case("a column with one value")
def _(place: Workplace) -> Result:
    return place.train(place.with_column("k", ["a"] * ROWS))


@case("a column without values")
def _(place: Workplace) -> Result:
    return place.train(place.with_column("k", pa.nulls(ROWS, pa.string())))


def _with_a_key(place: Workplace) -> pa.Table:
    return place.with_column("k", [f"row{i}" for i in range(ROWS)])


@case("a column with a different token in every row")
def _(place: Workplace) -> Result:
    return place.train(_with_a_key(place))


@case("such a column, named as a field")
def _(place: Workplace) -> Result:
    # The cell is too long for one line of the table, so a single column is enough to see it whole.
    table = place.with_column("k", ["a"] * ROWS).select(["click", "user", "k"])
    return place.train(table, "--field", "k=categorical")


@case("such a column, in a schema file")
def _(place: Workplace) -> Result:
    result = place.train(_with_a_key(place), *_schema(place, 'k = "categorical"\nuser = "categorical"'))
    assert "column 'user'" not in result.err
    return result


@case("a field that alone tells the label")
def _(place: Workplace) -> Result:
    bought = np.where(place.clicks["click"].to_numpy() == 1, "yes", "no")
    return place.train(place.with_column("bought", bought))


@case("fewer rows than a batch")
def _(place: Workplace) -> Result:
    return place.train("click,user\n1,1\n0,2\n1,1\n0,2\n0,3\n")


# ---- output


@case("data and model in the wrong order")
def _(place: Workplace) -> Result:
    return run("predict", place.write(place.clicks), place.model)


@case("an output directory that exists")
def _(place: Workplace) -> Result:
    before = place.model.stat().st_mtime_ns
    result = run("train", place.write(place.clicks), "--label", "click", "--out", place.model)
    assert place.model.stat().st_mtime_ns == before
    return result


@case("--overwrite of something that is no predictor")
def _(place: Workplace) -> Result:
    precious = place.folder / "precious"
    precious.mkdir()
    (precious / "thesis.txt").write_text("years of work")
    result = run("train", place.write(place.clicks), "--label", "click", "--out", precious, "--overwrite")
    assert [path.name for path in precious.iterdir()] == ["thesis.txt"]
    return result


@case("predictions into a directory")
def _(place: Workplace) -> Result:
    folder = place.folder / "folder.csv"
    folder.mkdir()
    return run("predict", place.model, place.write(place.clicks), "--out", folder)


@case("predictions into a file that exists")
def _(place: Workplace) -> Result:
    old = place.write("precious", "old.csv")
    result = run("predict", place.model, place.write(place.clicks), "--out", old)
    assert old.read_text() == "precious"
    return result


@case("predictions into the file that is read")
def _(place: Workplace) -> Result:
    data = place.write(place.clicks)
    before = data.read_bytes()
    result = run("predict", place.model, data, "--out", data, "--overwrite")
    assert data.read_bytes() == before
    return result


@case("predictions into a file of an unknown ending")
def _(place: Workplace) -> Result:
    return run("predict", place.model, place.write(place.clicks), "--out", place.folder / "p.xlsx")


@case("a column to keep that is called like the predictions")
def _(place: Workplace) -> Result:
    out = str(place.folder / "p.csv")
    return run("predict", place.model, place.write(place.clicks), "--keep", "probability", "--out", out)


@case("an output without a name")
def _(place: Workplace) -> Result:
    return run("train", place.write(place.clicks), "--label", "click", "--out", "")


@case("rows to evaluate that there are not")
def _(place: Workplace) -> Result:
    return run("evaluate", place.model, place.write(place.clicks), "--rows", "tset")


@case("a setting that other models have")
def _(place: Workplace) -> Result:
    data = place.write(place.clicks)
    return run("train", data, "--label", "click", "--model", "lr", "--set", "search.top=3", "--out", place.folder / "m")


@case("threads that are no number")
def _(place: Workplace) -> Result:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FIELDWISE_THREADS", "many")
        return run("inspect", place.model)


@case("an output under a file")
def _(place: Workplace) -> Result:
    data = place.write(place.clicks)
    return run("compare", data, "--label", "click", "--models", "lr,fm", "--out", data / "compare")


@case("predictions into a device")
def _(place: Workplace) -> Result:
    device = place.folder / "device.csv"
    device.symlink_to(os.devnull)  # what a careless writer would replace for everybody on the machine
    result = run("predict", place.model, place.write(place.clicks), "--out", device)
    assert device.is_symlink()
    return result


@contextlib.contextmanager
def _full_disk() -> Iterator[None]:
    """No file may grow beyond 500 bytes, which fails as a full disk does."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@case("a full disk while a model is trained")
def _(place: Workplace) -> Result:
    path = place.write(place.clicks)
    with _full_disk():
        return place.train(None, path, "--quiet")


@case("a full disk while a model is saved")
def _(place: Workplace) -> Result:
    save = fw.Predictor.save

    def late(*words: Any, **options: Any) -> Path:
        with _full_disk():
            return save(*words, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fw.Predictor, "save", late)
        return place.train(place.clicks, "--quiet")


@case("a full disk while predictions are written")
def _(place: Workplace) -> Result:
    data, old = place.write(place.clicks), place.write("precious", "old.csv")
    with _full_disk():
        as_parquet = run("predict", place.model, data, "--quiet", "--out", place.folder / "p.parquet")
        result = run("predict", place.model, data, "--quiet", "--out", old, "--overwrite")
    assert "nothing was written" in as_parquet.error
    assert old.read_text() == "precious"
    return result
