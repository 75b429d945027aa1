"""`fieldwise demo`: the main job from beginning to end."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fieldwise.cli.completion import complete_dataset
from fieldwise.cli.options import AsJson, Seed, out_option
from fieldwise.cli.words import print_json
from fieldwise.errors import DataError
from fieldwise.storage.atomic import open_new, require_writable

if TYPE_CHECKING:
    import pyarrow as pa

    from fieldwise.datasets import SyntheticClickLog
    from fieldwise.predictor import Predictor
    from fieldwise.reporting import Reporter

NEW_ROWS = 1_000
UNSEEN_USERS = 0.2


def demo(
    dataset: Annotated[str, typer.Option(help="A built-in data set.", autocompletion=complete_dataset)] = "synthetic",
    out: Annotated[Path, out_option("MODEL", "Directory to save the model in.")] = Path("runs/demo"),
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Passes over the training rows at most.", show_default=False)
    ] = None,
    seed: Seed = None,
    as_json: AsJson = False,
) -> None:
    """Show the library at work: train LR and AutoInt, compare them, save, and predict new rows.

    Without --dataset it makes a click log of 200,000 rows with planted interactions, whose best reachable AUC is
    known. It takes under two minutes on two cores.
    """
    from fieldwise import datasets
    from fieldwise.api import train
    from fieldwise.datasets.synthetic import make_click_log
    from fieldwise.reporting import Reporter

    require_writable(out, directory=True)
    reporter = Reporter(sys.stderr if as_json else sys.stdout)
    started = time.perf_counter()
    log = make_click_log(seed=seed or 0) if dataset == "synthetic" else None
    source: Any = dataset
    if log is not None:
        source = out / "clicks.csv"
        for path, columns in ((source, log.table.column_names), (out / "new.csv", _new_columns(log.table))):
            _require_own(path, columns)
        _write(log.table, source)
        reporter.say(f"a click log of {log.table.num_rows:,} rows with planted interactions: {source}")
    elif dataset not in datasets.names():
        datasets.load_dataset(dataset)  # raises, naming the known ones
    trained: dict[str, Predictor] = {}
    for model in ("autoint", "lr"):
        reporter.say()
        trained[model] = train(
            source,
            label=None if log is None else "click",
            # What was decided about the columns for the first model holds for the second, and need not be shown again.
            schema=trained["autoint"].schema if trained and log is not None else None,
            model=model,
            settings={} if epochs is None else {"epochs": epochs},
            seed=seed,
            out=out / model,
            overwrite=True,
            progress=reporter,
        )
        if trained[model].history.ended == "interrupted":
            raise KeyboardInterrupt
    rows = [
        (model, f"{test['auc']:.4f}", f"{test['log_loss']:.4f}", f"{_seconds(predictor):.0f}")
        for model, predictor in reversed(trained.items())
        if (test := predictor.card.metrics["test"])
    ]
    if log is not None:
        rows.append(("best possible", f"{log.bayes_auc:.4f}", f"{log.bayes_log_loss:.4f}", ""))
    reporter.table("Test rows", ("model", "AUC", "log loss", "training seconds"), rows)
    if log is not None:
        _predict_new_rows(log, trained["autoint"], out, reporter)
    seconds = time.perf_counter() - started
    reporter.say(f"done in {seconds:.0f} seconds. Try next:")
    reporter.say(f"  fieldwise inspect {out / 'autoint'}")
    if log is not None:
        reporter.say(f"  fieldwise predict {out / 'autoint'} {out / 'new.csv'} --keep user,item")
        reporter.say("  fieldwise train YOUR.csv --label YOUR_LABEL --out model")
    else:
        reporter.say(f"  fieldwise evaluate {out / 'autoint'} {dataset}")
    if as_json:
        figures = {model: predictor.card.metrics["test"] for model, predictor in trained.items()}
        limit = {} if log is None else {"bayes_auc": log.bayes_auc, "bayes_log_loss": log.bayes_log_loss}
        print_json({**figures, **limit, "seconds": seconds, "model": str(out / "autoint")})


def _new_columns(table: pa.Table) -> list[str]:
    return [name for name in table.column_names if name != "click"]


def _require_own(path: Path, columns: Sequence[str]) -> None:
    """Refuse to write over anything but the rows of an earlier demonstration, told by their header."""
    if not os.path.lexists(path):
        return
    header = ",".join(f'"{name}"' for name in columns).encode()
    if path.is_file():
        with path.open("rb") as file:
            if file.readline(len(header) + 2).strip() == header:
                return
    raise DataError(f"{path} exists already and is not of a demonstration; choose another place with --out")


def _write(table: pa.Table, path: Path) -> None:
    import pyarrow.csv

    with open_new(path) as file:
        pyarrow.csv.write_csv(table, file)


def _predict_new_rows(log: SyntheticClickLog, predictor: Predictor, out: Path, reporter: Reporter) -> None:
    """Predict rows that were never seen, some with users that were never seen."""
    from fieldwise.encoding.encoded import EncodingReport

    table = log.new_rows(NEW_ROWS, seed=1, unseen={"user": UNSEEN_USERS}).table.drop_columns(["click"])
    path = out / "new.csv"
    _write(table, path)
    report = EncodingReport()
    probability = predictor.predict(path, report=report)
    reporter.say(f"predicted {len(probability):,} new rows of {path}, a fifth of them with users never seen before:")
    for line in report.lines():
        reporter.say(f"  {line}")
    shown = ("user", "item", "category", "device", "hour")
    columns = [name for name in shown if name in table.column_names]
    rows = [(*(str(table[name][i].as_py()) for name in columns), f"{probability[i]:.3f}") for i in range(5)]
    reporter.table("", (*columns, "probability of a click"), rows)


def _seconds(predictor: Predictor) -> float:
    return sum(record.seconds for record in predictor.history.records)
