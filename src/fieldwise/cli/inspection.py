"""`fieldwise inspect`, `fieldwise models` and `fieldwise download`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import typer

from fieldwise import datasets
from fieldwise.api import load
from fieldwise.cli.words import one_or_list, parse_fields, print_json, split_names
from fieldwise.columns.tables import read_table
from fieldwise.comparison.sizes import sizes_at
from fieldwise.errors import SchemaError
from fieldwise.models import registry
from fieldwise.predictor import Predictor
from fieldwise.predictor.model_card import summary_rows
from fieldwise.reporting import Section
from fieldwise.schema.inference import Inference, infer_schema


def run(
    target: Sequence[str],
    *,
    label: str | None,
    fields: Sequence[str],
    names: str | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Show a table's inferred schema, or a saved model."""
    if len(target) == 1 and Path(target[0]).is_dir():
        _show_model(load(target[0]), as_json=as_json)
        return
    if len(target) == 1 and datasets.is_built_in(target[0]):
        named = datasets.load_dataset(target[0])
        table, label = named.table, label or named.schema.label
    else:
        table = read_table(one_or_list(target), names=split_names(names))
    if label is None:
        raise SchemaError(
            f"name the column with the clicks (--label COLUMN); the columns are {', '.join(table.column_names)}"
        )
    inference = infer_schema(table, label=label, fields=parse_fields(fields))
    if as_json:
        print_json(
            {
                "rows": table.num_rows,
                "columns": [dict(zip(Inference.COLUMNS, row, strict=True)) for row in inference.rows()],
                "schema": inference.schema.model_dump(mode="json"),
            }
        )
    else:
        Section(f"{table.num_rows:,} rows", Inference.COLUMNS, inference.rows()).print()
    if out is not None:
        inference.schema.save(out)
        typer.echo(f"schema written to {out}; edit it and give it back with --schema {out}", err=True)


def list_models(*, as_json: bool) -> None:
    """Print the registered models."""
    if as_json:
        print_json(
            [
                {"name": n, "summary": registry.summary(n), "presets": list(registry.presets(n))}
                for n in registry.names()
            ]
        )
        return
    rows = [(n, registry.summary(n), ", ".join(registry.presets(n))) for n in registry.names()]
    Section("Models", ("name", "what it is", "presets"), rows).print()


def count_at(shape: str, *, as_json: bool) -> None:
    """Print the parameters of all models at a published data set's sizes."""
    sizes = sizes_at(shape)
    if as_json:
        print_json([asdict(size) for size in sizes])
        return
    header = ("name", "settings", "parameters without embeddings", "printed in the paper", "parameters")
    rows = [
        (s.model, s.preset or "defaults", f"{s.without_embeddings:,}", s.printed, f"{s.all:,}")
        for s in sorted(sizes, key=lambda size: size.without_embeddings)
    ]
    Section(f"Parameters at the sizes of {shape}", header, rows).print()


def download(dataset: str, *, to: Path | None) -> None:
    """Fetch a data set unless it is there already, and say what it holds."""
    named = datasets.load_dataset(dataset, options={"download": True, "directory": to})
    for note in named.notes:
        typer.echo(note, err=True)
    place = f"; use it with FIELDWISE_DATA={to}" if to is not None else ""
    typer.echo(f"{dataset}: {named.table.num_rows:,} rows, {len(named.schema.fields)} fields{place}")


def _show_model(predictor: Predictor, *, as_json: bool) -> None:
    card, layout = predictor.card, predictor.encoder.layout
    if as_json:
        print_json(
            {
                "model": predictor.settings.model,
                "settings": predictor.settings.model_dump(mode="json"),
                "fields": [{"name": f.name, "kind": f.kind, "rows": f.size} for f in layout],
                "card": card.model_dump(mode="json"),
            }
        )
        return
    Section("", ("", ""), [("model", predictor.settings.model), *summary_rows(card)]).print()
    reasons = {record.column: record.reason for record in card.columns}
    Section(
        "Fields",
        ("field", "kind", "table rows", "why"),
        [(f.name, f.kind, f"{f.size:,}", reasons.get(predictor.schema.column_of(f.name), "given")) for f in layout],
    ).print()
    typer.echo(str(card.history))
    for note in card.notes:
        typer.echo(note)
