"""`fieldwise evaluate`."""

from __future__ import annotations

import time
from typing import Annotated, Literal, cast

import typer

from fieldwise.cli.completion import complete_from
from fieldwise.cli.options import AsJson, Data, Model, Names, Quiet, Separator
from fieldwise.cli.words import load_model, one_or_list, print_json, show, split_names


def evaluate(
    model: Model,
    data: Data,
    rows: Annotated[
        str,
        typer.Option(
            metavar="[test|all]",
            autocompletion=complete_from("test", "all"),
            help="Of a table that the model was trained on: its recorded test rows, or all rows. Of any other table "
            "all rows are measured.",
        ),
    ] = "test",
    names: Names = None,
    separator: Separator = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Measure a saved model on rows with labels: AUC, log loss, calibration; RMSE and MAE of numbers.

    Of a table that the model was trained on, and of a built-in data set, only the recorded test rows are used.
    """
    from fieldwise.encoding.encoded import EncodingReport
    from fieldwise.native.memory import keep_freed_memory
    from fieldwise.reporting import Reporter

    reporter = Reporter(enabled=not quiet)
    keep_freed_memory()
    predictor = load_model(model, data, command="evaluate")
    report = EncodingReport()
    started = time.perf_counter()
    with reporter:
        metrics = predictor.evaluate(
            one_or_list(data),
            rows=cast(Literal["test", "all"], rows),
            names=split_names(names),
            separator=separator,
            report=report,
            reporter=reporter,
        )
    seconds = time.perf_counter() - started
    for line in report.lines():
        reporter.say(line)
    if as_json:
        print_json(
            {**metrics.to_dict(), "part": metrics.part, "rows_per_s": metrics.rows / seconds, "unseen": report.unseen}
        )
    else:
        show(str(metrics))
