"""`fieldwise train`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import typer

from fieldwise import api
from fieldwise.cli.words import one_or_list, parse_fields, print_json, split_names
from fieldwise.errors import DataError, SettingsError
from fieldwise.metrics import Metrics
from fieldwise.predictor import Predictor
from fieldwise.recipes.run_directory import UnfinishedRun
from fieldwise.reporting import Reporter
from fieldwise.settings import parse_override


def run(
    data: Sequence[str] | None,
    *,
    out: Path | None,
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
    resume: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Train and save; after Ctrl-C the best model so far is saved and the exit code is 130.

    In the midst of a search there is no model to save yet; what was found and a checkpoint are kept.
    """
    reporter = Reporter(enabled=not quiet)
    if resume is not None and out not in (None, resume):
        raise SettingsError(f"--resume {resume} goes on in its own place; leave --out away")
    place = resume or out
    try:
        if resume is not None and not data:
            restated = [label, model, overrides, config, seed, schema, fields, names, positive, valid, test]
            if any(value not in (None, []) for value in [*restated, time, group, weight]):
                raise SettingsError(
                    "--resume needs nothing else; to have other words checked against the unfinished run, repeat the "
                    "whole command, DATA included"
                )
            predictor = api.resume(resume, progress=reporter)
        elif not data:
            raise DataError(
                "name the DATA to train on, for example: fieldwise train clicks.csv --label click --out model"
            )
        elif place is None:
            raise SettingsError("name the place to save the model in: --out MODEL")
        else:
            predictor = api.train(
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
                out=place,
                overwrite=overwrite,
                resume=resume is not None,
                progress=reporter,
            )
    except KeyboardInterrupt:
        if place is not None and UnfinishedRun(place).directory.exists():
            reporter.say(f"interrupted; to go on: fieldwise train --resume {place}")
        raise
    assert place is not None
    if as_json:
        print_json(figures(predictor, place))
    else:
        for part, values in predictor.card.metrics.items():
            typer.echo(f"{part:<6} {Metrics(**values)}")  # type: ignore[arg-type]
        typer.echo(f"saved to {place}")
    if predictor.history.ended == "interrupted":
        reporter.say(f"to go on: fieldwise train --resume {place}")
        sys.exit(130)
    reporter.say(f"next: fieldwise predict {place} NEW.csv --out predictions.csv")


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
