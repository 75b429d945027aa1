"""`fieldwise download`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fieldwise.cli.completion import complete_dataset
from fieldwise.cli.options import out_option
from fieldwise.cli.words import show


def download(
    dataset: Annotated[
        str,
        typer.Argument(
            metavar="DATASET", help="A built-in data set.", show_default=False, autocompletion=complete_dataset
        ),
    ],
    to: Annotated[
        Path | None,
        out_option("DIR", "The folder of raw data sets.", show_default="$FIELDWISE_DATA"),
    ] = None,
) -> None:
    """Fetch a built-in data set from its publisher, check it, and unpack it. Its own licence applies.

    Nothing else in fieldwise ever downloads anything.
    """
    from fieldwise import datasets

    named = datasets.load_dataset(dataset, options={"download": True, "directory": to})
    for note in named.notes:
        show(note, err=True)
    place = f"; use it with FIELDWISE_DATA={to}" if to is not None else ""
    show(f"{dataset}: {named.table.num_rows:,} rows, {len(named.schema.fields)} fields{place}")
