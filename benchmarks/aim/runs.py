"""Runs of a measuring program: rows prepared once, trainings that can be stopped, and figures that stay measured.

A program keeps every run as a JSON file in its --out: what was asked (rows, settings), what came of it, and where.
Started again, it reads what is there and measures what is missing.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from fieldwise import datasets
from fieldwise.architecture import Architecture
from fieldwise.data.dataset import Dataset
from fieldwise.environment import Environment, versions
from fieldwise.errors import DataError
from fieldwise.layout import Layout
from fieldwise.objectives import Binary
from fieldwise.preparation import DataRequest, Tables, prepare, read
from fieldwise.recipes.network import count, settle_training, train_network
from fieldwise.recipes.run_directory import RunDirectory, RunRecord
from fieldwise.recipes.search import search, search_dimensions
from fieldwise.reporting import Reporter
from fieldwise.schema import Schema
from fieldwise.settings import DataSettings, Settings
from fieldwise.storage.atomic import write_text

Figures = dict[str, Any]
REPORTER = Reporter()


@dataclass(frozen=True)
class Rows:
    """Encoded rows by part (`train`, `valid`, `test`). source: their name. seed: of the split, where it has one.

    schema: of their fields; rows that were made up encoded have a nominal one.
    """

    source: str
    schema: Schema
    layout: Layout
    parts: dict[str, Dataset]
    seed: int

    @classmethod
    def of(cls, tables: Tables, schema: Schema | None = None, *, seed: int = 0) -> Rows:
        """Split and encode, as `fieldwise.train` does. schema: for tables that bring none."""
        schema = schema or tables.schema
        assert schema is not None
        prepared = prepare(tables, schema, DataSettings(), seed=seed)
        for note in prepared.notes:
            REPORTER.say(note)
        return cls(tables.source, schema, prepared.encoder.layout, prepared.parts, seed)

    @classmethod
    def built_in(cls, name: str) -> Rows:
        """A built-in data set. Exits where its files are not there."""
        try:
            return cls.of(read(DataRequest(name)))
        except DataError as error:
            raise SystemExit(str(error)) from error

    @classmethod
    def in_memory(cls, table: pa.Table, schema: Schema, *, source: str, seed: int) -> Rows:
        """A table in memory."""
        return cls.of(Tables(source, table, None, None), schema, seed=seed)

    @cached_property
    def mark(self) -> Figures:
        """What tells these rows from others, ready for JSON."""
        return {"source": self.source, "seed": self.seed, "train": self.parts["train"].digest()}


def program(doc: str | None, *, out: str) -> argparse.ArgumentParser:
    """A parser whose help is the program's docstring, with the options that all of them have."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(out), help=f"where runs and tables are kept (default: {out})")
    parser.add_argument("--smoke", action="store_true", help="so small that it only shows that everything runs")
    return parser


def data_option(parser: argparse.ArgumentParser) -> None:
    """The option --data."""
    parser.add_argument(
        "--data",
        default="movielens-1m-ids",
        choices=datasets.names(),
        help="built-in data set (default: movielens-1m-ids; its files are looked for in $FIELDWISE_DATA)",
    )


def kept(path: Path, asked: Mapping[str, Any], measure: Callable[[], Figures]) -> Figures:
    """The figures of a run: as they lie in a file, else measured and written, all or nothing.

    asked: everything that the figures depend on, ready for JSON. Exits where the file holds a run of something else.
    """
    wanted = json.loads(json.dumps(asked))
    if path.exists():
        record = json.loads(path.read_text(encoding="utf-8"))
        if record["asked"] != wanted:
            raise SystemExit(f"{path} was made from other rows or settings; remove it, or choose another --out")
        found: Figures = record["figures"]
        return found
    began = time.perf_counter()
    figures = measure()
    record = {
        "asked": wanted,
        "figures": figures,
        "environment": Environment.current().model_dump(mode="json"),
        "versions": versions(),
    }
    write_text(path, json.dumps(record, indent=1) + "\n")
    REPORTER.say(f"{path.stem}: {time.perf_counter() - began:,.0f} s")
    return figures


def kept_training(place: Path, rows: Rows, settings: Settings) -> Figures:
    """The figures of `train`, kept in PLACE.json; a run that was stopped goes on from its last checkpoint."""
    asked = {"rows": rows.mark, "settings": settings.model_dump(mode="json")}
    return kept(_file(place), asked, lambda: train(place, rows, settings))


def kept_search(place: Path, rows: Rows, settings: Settings) -> Figures:
    """The architecture that a search finds, as JSON under `architecture`; kept in PLACE.json like a training."""

    def measure() -> Figures:
        settled, work = _begin(place, rows, settings)
        found = search(rows.parts, settled, source=rows.source, place=work.search, reporter=REPORTER.bars_only())
        work.remove()
        return {"architecture": found.model_settings["architecture"]}

    return kept(_file(place), {"rows": rows.mark, "settings": settings.model_dump(mode="json")}, measure)


def kept_dimensions(place: Path, rows: Rows, settings: Settings, architecture: Architecture) -> Figures:
    """The same with the embedding dimensions that a search keeps of a given architecture."""

    def measure() -> Figures:
        settled, work = _begin(place, rows, settings)
        quiet = REPORTER.bars_only()
        found = search_dimensions(rows.parts, settled, architecture, place=work.search, reporter=quiet)
        work.remove()
        return {"architecture": found.model_dump(mode="json")}

    asked = {"rows": rows.mark, "settings": settings.model_dump(mode="json")}
    return kept(_file(place), {**asked, "architecture": architecture.model_dump(mode="json")}, measure)


def train(place: Path, rows: Rows, settings: Settings) -> Figures:
    """Train a network, choose its best epoch by the validation rows, and look at the test rows once."""
    settled, work = _begin(place, rows, settings)
    training = train_network(rows.parts, settled, work, objective=Binary(), reporter=REPORTER.bars_only())
    if training.history.ended == "interrupted":
        raise KeyboardInterrupt
    work.remove()
    return {
        "parameters": count(training.network),
        "metrics": {part: metrics.to_dict() for part, metrics in training.metrics.items()},
        "epochs": len(training.history.records),
        "best_epoch": training.history.best_epoch,
        "seconds": training.seconds,
    }


def write_table(path: Path, lines: list[str]) -> None:
    """Print lines of Markdown and keep them in a file, with the versions that they are of."""
    told = ", ".join(f"{name} {version}" for name, version in versions().items())
    text = "\n".join([*lines, "", f"{told}; {Environment.current().threads} thread(s)", ""])
    write_text(path, text)
    print(text, end="")


def _begin(place: Path, rows: Rows, settings: Settings) -> tuple[Settings, RunDirectory]:
    """The settled settings, and a directory in which the run goes on where it is the same one."""
    settled = settle_training(rows.layout, settings)
    work = RunDirectory(place.with_name(f"{place.name}.unfinished"))
    work.begin_or_go_on(
        RunRecord(
            schema_=rows.schema,
            settings=settled,
            digest={part: rows.parts[part].digest() for part in ("train", "valid")},
            environment=Environment.current(),
        )
    )
    return settled, work


def _file(place: Path) -> Path:
    return place.with_name(f"{place.name}.json")
