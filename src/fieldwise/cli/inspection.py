"""`fieldwise inspect`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fieldwise.cli.options import AsJson, FieldOption, Label, Names, OverwriteFile, Separator, out_option
from fieldwise.cli.words import as_name, one_or_list, parse_fields, print_json, show, split_names
from fieldwise.errors import SchemaError

if TYPE_CHECKING:
    from fieldwise.predictor import Predictor


def inspect(
    target: Annotated[
        list[str],
        typer.Argument(
            metavar="DATA|MODEL",
            help="A table of clicks (files, a directory of them, [bold]-[/] for standard input, a built-in data set), "
            "or the directory of a saved model.",
        ),
    ],
    label: Label = None,
    field: FieldOption = None,
    names: Names = None,
    separator: Separator = None,
    out: Annotated[
        Path | None, out_option("FILE", "Write the inferred schema there as JSON, to be edited and given back.")
    ] = None,
    overwrite: OverwriteFile = False,
    as_json: AsJson = False,
) -> None:
    """Show what the library makes of a table's columns, or what a saved model consists of."""
    from fieldwise import datasets
    from fieldwise.api import load
    from fieldwise.columns.tables import read_table
    from fieldwise.reporting import Section
    from fieldwise.schema.inference import Inference, infer_schema
    from fieldwise.storage.places import is_predictor, require_new_file

    if out is not None:
        require_new_file(out, overwrite=overwrite, inputs=target)
        if out.suffix.lower() == ".toml":
            raise SchemaError(f"--out {out}: a schema is written as JSON; give it a name that ends in .json")
    if len(target) == 1 and is_predictor(target[0]):
        _show_model(load(target[0]), as_json=as_json)
        return
    if len(target) == 1 and datasets.is_built_in(target[0]):
        named = datasets.load_dataset(target[0])
        table, label = named.table, label or named.schema.label
    else:
        notes: list[str] = []
        table = read_table(one_or_list(target), names=split_names(names), separator=separator, notes=notes)
        for note in dict.fromkeys(notes):
            show(note, err=True)
    if label is None:
        raise SchemaError(
            f"name the column with the label (--label COLUMN); the columns are {', '.join(table.column_names)}"
        )
    inference = infer_schema(table, label=as_name(label), fields=parse_fields(field or []))
    if as_json:
        print_json(
            {
                "rows": table.num_rows,
                "columns": [dict(zip(Inference.COLUMNS, row, strict=True)) for row in inference.rows()],
                "doubts": inference.doubts,
                "schema": inference.schema.model_dump(mode="json"),
            }
        )
    else:
        Section(f"{table.num_rows:,} rows", Inference.COLUMNS, inference.rows(), Inference.OPTIONAL).print()
        for doubt in inference.doubts:
            show(doubt)
    if out is not None:
        inference.schema.save(out)
        show(f"schema written to {out}; edit it and give it back with --schema {out}", err=True)


def _show_model(predictor: Predictor, *, as_json: bool) -> None:
    from fieldwise.predictor.model_card import summary_rows
    from fieldwise.recipes.network import FittedNetwork
    from fieldwise.reporting import Section
    from fieldwise.settings import trees

    card, model = predictor.card, predictor.model
    sizes = {f.name: f.size for f in model.encoder.layout} if isinstance(model, FittedNetwork) else {}
    if as_json:
        without = {"training"} if predictor.settings.model in trees.NAMES else None  # it plays no part there
        print_json(
            {
                "model": predictor.settings.model,
                "settings": predictor.settings.model_dump(mode="json", exclude=without),
                "objective": predictor.objective.model_dump(mode="json"),
                "fields": [
                    {"name": name, "kind": spec.kind, "rows": sizes.get(name)}
                    for name, spec in predictor.schema.fields.items()
                ],
                "card": card.model_dump(mode="json"),
            }
        )
        return
    Section("", ("", ""), [("model", predictor.settings.model), *summary_rows(card, predictor.objective)]).print()
    reasons = {record.column: record.reason for record in card.columns}
    Section(
        "Fields",
        ("field", "kind", "table rows", "why"),
        [
            (
                name,
                spec.kind,
                f"{sizes[name]:,}" if name in sizes else "",
                reasons.get(predictor.schema.column_of(name), "given"),
            )
            for name, spec in predictor.schema.fields.items()
        ],
        optional=("why",),
    ).print()
    if card.history.records:
        show(str(card.history))
    for note in card.notes:
        show(note)
