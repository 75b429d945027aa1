"""`fieldwise predict`."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import pyarrow as pa
import typer

from fieldwise.cli.options import Data, Model, Names, OverwriteFile, Quiet, Separator, out_option
from fieldwise.cli.words import load_model, one_or_list, print_json, split_names
from fieldwise.columns.access import get_column
from fieldwise.columns.writing import FORMS, Form, TableWriter, form_of
from fieldwise.errors import DataError, suggest
from fieldwise.storage.atomic import open_new
from fieldwise.storage.places import require_new_file

if TYPE_CHECKING:
    from fieldwise.predictor import Predictor
    from fieldwise.reporting import Reporter

_STANDARD_OUTPUT = Path("-")


def predict(
    model: Model,
    data: Data,
    out: Annotated[
        Path,
        out_option(
            "FILE",
            f"Where they go; its ending says the form: {', '.join(FORMS)}. [bold]-[/] is CSV on standard output.",
        ),
    ] = Path("-"),
    overwrite: OverwriteFile = False,
    keep: Annotated[
        str | None, typer.Option(metavar="A,B", help="Columns of the input to write beside the prediction.")
    ] = None,
    names: Names = None,
    separator: Separator = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print rows, rows_per_s and unseen values as JSON (needs --out FILE).")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Predict new rows with a saved model: a click probability (or a number) for each, in their order.

    Values that training never saw are predicted as unknown ones, counted and reported per field.
    """
    from fieldwise.encoding.encoded import EncodingReport
    from fieldwise.native.memory import keep_freed_memory
    from fieldwise.reporting import Reporter

    if as_json and out == _STANDARD_OUTPUT:
        raise DataError("--json prints on standard output, where the predictions go; name a file with --out")
    form: Form = "csv"
    if out != _STANDARD_OUTPUT:
        form = form_of(out)
        require_new_file(out, overwrite=overwrite, inputs=data)
    reporter = Reporter(enabled=not quiet)
    keep_freed_memory()
    predictor = load_model(model, data, command="predict")
    report = EncodingReport()
    kept = list(dict.fromkeys(split_names(keep) or []))
    rows = 0
    started = time.perf_counter()
    column = predictor.objective.prediction_name
    if column in kept:
        raise DataError(f"--keep {column}: the predictions are called so; give the column another name")
    with reporter, _writing(out, form, column) as write:
        pieces = predictor.predict_tables(
            one_or_list(data), names=split_names(names), separator=separator, report=report, reporter=reporter
        )
        for table, prediction in pieces:
            if not rows:
                _say_unread(predictor, table, kept, reporter)
            for name in kept:
                if name not in table.column_names:
                    raise DataError(f"--keep {name}: there is no such column; {suggest(name, table.column_names)}")
                get_column(table, name)  # which says why it cannot be read, where it cannot
            write(table.select(kept).append_column(column, pa.array(prediction)))
            rows += len(prediction)
    seconds = time.perf_counter() - started
    for line in report.lines():
        reporter.say(line)
    reporter.say(f"{rows:,} rows predicted, {rows / seconds:,.0f} rows/s")
    if as_json:
        print_json(
            {
                "rows": rows,
                "rows_per_s": rows / seconds,
                "out": str(out),
                "unseen": report.unseen,
                "missing": report.missing,
                "infinite": report.infinite,
                "unreadable": report.unreadable,
                "outside": report.outside,
            }
        )


def _say_unread(predictor: Predictor, table: pa.Table, kept: Sequence[str], reporter: Reporter) -> None:
    """Name the columns that play no part and that training, as far as is recorded, never saw."""
    schema = predictor.schema
    known = {*schema.columns(), schema.label, schema.weight, schema.group, schema.time, *kept}
    known.update(record.column for record in predictor.card.columns)
    unread = [name for name in table.column_names if name not in known]
    if unread:
        more = f" and {len(unread) - 10:,} more" if len(unread) > 10 else ""
        reporter.say(f"columns that the model does not read: {', '.join(unread[:10])}{more}")


@contextmanager
def _writing(out: Path, form: Form, column: str) -> Iterator[Callable[[pa.Table], None]]:
    """A function that appends tables to a file, which appears under its name only when it is whole.

    column: the one of a file without rows.
    """
    # No input row at all still makes a readable file, with a header.
    empty = pa.table({column: pa.array([], pa.float64())})
    if out == _STANDARD_OUTPUT:
        with TableWriter(sys.stdout.buffer, form, empty=empty) as writer:
            yield writer.write
        sys.stdout.flush()
        return
    with open_new(out) as file, TableWriter(file, form, empty=empty) as writer:
        yield writer.write
