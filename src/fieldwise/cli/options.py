"""Arguments and options that several commands share, with their help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[
    list[str],
    typer.Argument(
        metavar="DATA...",
        help="CSV, TSV (also .gz), Parquet or Arrow files, [bold]-[/] for standard input, or the name of a built-in "
        "data set such as movielens-1m.",
        show_default=False,
    ),
]
SomeData = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="DATA...",
        help="CSV, TSV (also .gz), Parquet or Arrow files, [bold]-[/] for standard input, or the name of a built-in "
        "data set such as movielens-1m.",
        show_default=False,
    ),
]
Resume = Annotated[
    Path | None,
    typer.Option(metavar="MODEL", help="Go on with an unfinished run; nothing else need be said."),
]
Model = Annotated[Path, typer.Argument(metavar="MODEL", help="A saved model directory.", show_default=False)]
Names = Annotated[
    str | None,
    typer.Option(metavar="A,B,C", help="Column names of a text file that has no header line."),
]
Label = Annotated[str | None, typer.Option(metavar="COLUMN", help="The column with the clicks: 0/1 or true/false.")]
Positive = Annotated[
    str | None, typer.Option(metavar="VALUE", help="The label value that is a click, where labels are not 0/1.")
]
FieldOption = Annotated[
    list[str] | None,
    typer.Option(
        "--field",
        metavar="COLUMN=KIND",
        help="Override one column: categorical, numeric, multi_valued or ignore. May be given again.",
    ),
]
SchemaFile = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="A schema file (JSON or TOML), used as it stands instead of inference."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print figures as JSON on standard output.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but the result.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace a model that is there already.")]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="A setting: epochs=3, model.num_heads=4, preset=reference, data.min_count=5. May be given again.",
    ),
]
Valid = Annotated[
    list[str] | None, typer.Option(metavar="DATA", help="Validation rows of their own. May be given again.")
]
Test = Annotated[list[str] | None, typer.Option(metavar="DATA", help="Test rows of their own. May be given again.")]
Time = Annotated[
    str | None, typer.Option(metavar="COLUMN", help="Split by this column: the latest rows validate and test.")
]
Group = Annotated[
    str | None, typer.Option(metavar="COLUMN", help="Measure GAUC too: AUC within each value of this column.")
]
Weight = Annotated[str | None, typer.Option(metavar="COLUMN", help="The weight of each row.")]
Seed = Annotated[
    int | None,
    typer.Option(help="Decides split, initial weights, order of rows and dropout.", show_default="0"),
]
