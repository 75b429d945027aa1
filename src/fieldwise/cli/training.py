"""`fieldwise train`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import typer

from fieldwise.api import train
from fieldwise.cli.words import one_or_list, parse_fields, print_json, split_names
from fieldwise.predictor import Predictor
from fieldwise.reporting import Reporter
from fieldwise.settings import parse_override
from fieldwise.training.metrics import Metrics


def run(
    data: Sequence[str],
    *,
    out: Path,
    label: str | None,
    model: str | None,
    overrides: Sequence[str],
    config: Path | None,
    seed: int | None,
    schema: Path | None,
    fields: Sequence[str],
    names: str | None,
    positive: str | None,
    valid: Sequence[str] | None,
    test: Sequence[str] | None,
    time: str | None,
    group: str | None,
    weight: str | None,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Train and save; after Ctrl-C the best model so far is saved and the exit code is 130."""
    reporter = Reporter(enabled=not quiet)
    predictor = train(
        one_or_list(data),
        label=label,
        model=model,
        settings=dict(map(parse_override, overrides)),
        config=config,
        seed=seed,
        schema=schema,
        fields=parse_fields(fields),
        positive=positive,
        weight=weight,
        group=group,
        time=time,
        valid=one_or_list(valid),
        test=one_or_list(test),
        names=split_names(names),
        out=out,
        overwrite=overwrite,
        progress=reporter,
    )
    for note in predictor.card.notes:
        reporter.say(note)
    if as_json:
        print_json(figures(predictor, out))
    else:
        for part, values in predictor.card.metrics.items():
            typer.echo(f"{part:<6} {Metrics(**values)}")  # type: ignore[arg-type]
        typer.echo(f"saved to {out}")
    reporter.say(f"next: fieldwise predict {out} NEW.csv --out predictions.csv")
    if predictor.history.ended == "interrupted":
        sys.exit(130)


def figures(predictor: Predictor, out: Path) -> dict[str, object]:
    """The figures of a training run: those of the test rows (else of the validation rows), and all of them."""
    history, metrics = predictor.history, predictor.card.metrics
    chosen = metrics.get("test") or metrics.get("valid") or {}
    speeds = [record.rows_per_s for record in history.records]
    return {
        "model": str(out),
        "auc": chosen.get("auc"),
        "log_loss": chosen.get("log_loss"),
        "rows_per_s": sum(speeds) / len(speeds) if speeds else None,
        "epochs": len(history.records),
        "best_epoch": history.best_epoch,
        "ended": history.ended,
        "parameters": predictor.card.parameters,
        "metrics": metrics,
        "settings": predictor.settings.model_dump(mode="json"),
    }
