"""`fieldwise train`, and what `fieldwise search` has in common with it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fieldwise.cli.completion import complete_from, complete_model
from fieldwise.cli.options import AsJson, Objective, Overwrite, Quiet, Resume, Seed, Set, out_option, takes_data
from fieldwise.cli.words import print_json, show
from fieldwise.errors import DataError, SettingsError

if TYPE_CHECKING:
    from fieldwise.predictor import Predictor
    from fieldwise.preparation import DataRequest


@takes_data(optional=True)
def train(
    out: Annotated[Path | None, out_option("MODEL", "Directory to save the model in.", show_default=False)] = None,
    *,
    model: Annotated[
        str | None,
        typer.Option(
            help="See [bold]fieldwise models[/]; also lightgbm and catboost (extra 'gbdt').",
            show_default="autoint",
            autocompletion=complete_model,
        ),
    ] = None,
    objective: Objective = None,
    request: DataRequest,
    architecture: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The interactions to build from: architecture.json or the directory of a search (models aim, autofis, "
            "fm, deepfm, ipnn).",
            show_default=False,
        ),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Of the network's products in training: float32 gives the reference numbers, bfloat16 is faster "
            "where the machine has it in hardware.",
            show_default="auto",
            autocompletion=complete_from("auto", "float32", "bfloat16"),
        ),
    ] = None,
    set_: Set = None,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A TOML file with the sections model, training, data and (aim, autofis) search, and seed.",
        ),
    ] = None,
    seed: Seed = None,
    overwrite: Overwrite = False,
    resume: Resume = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Train a model on a table of clicks and save it.

    Kinds of columns are inferred and shown with reasons; rows are split into training, validation and test rows;
    the epoch with the best validation log loss is kept. Ctrl-C stops early and saves the best model so far;
    --resume goes on, also after a crash, and ends with the same model as an undisturbed run.
    """
    run(
        request,
        out=out,
        model=model,
        objective=objective,
        overrides=[
            *(set_ or []),
            *([] if precision is None else [f"training.precision={precision}"]),
            *([] if architecture is None else [f"model.architecture={architecture}"]),
        ],
        config=config,
        seed=seed,
        overwrite=overwrite,
        resume=resume,
        as_json=as_json,
        quiet=quiet,
    )


def run(
    request: DataRequest,
    *,
    out: Path | None,
    model: str | None,
    objective: str | None,
    overrides: Sequence[str],
    config: Path | None,
    seed: int | None,
    overwrite: bool,
    resume: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Train and save.

    Raises:
        KeyboardInterrupt: Ctrl-C; what is kept of the run lies beside `out`, the best model so far, if any, at `out`.
    """
    from fieldwise import api
    from fieldwise.reporting import Reporter
    from fieldwise.settings import parse_override

    reporter = Reporter(enabled=not quiet)
    if resume is not None and out not in (None, resume):
        raise SettingsError(f"--resume {resume} goes on in its own place; leave --out away")
    place = resume or out
    if resume is not None and request.source is None:
        if request.arguments or any(v not in (None, []) for v in [model, objective, overrides, config, seed]):
            raise SettingsError(
                "--resume needs nothing else; to have other words checked against the unfinished run, repeat the "
                "whole command, DATA included"
            )
        predictor = api.resume(resume, progress=reporter)
    elif request.source is None:
        raise DataError("name the DATA to train on, for example: fieldwise train clicks.csv --label click --out model")
    elif place is None:
        raise SettingsError("name the place to save the model in: --out MODEL")
    else:
        predictor = api.train(
            request.source,
            model=model,
            objective=objective,
            settings=dict(map(parse_override, overrides)),
            config=config,
            seed=seed,
            out=place,
            overwrite=overwrite,
            resume=resume is not None,
            progress=reporter,
            **request.arguments,
        )
    assert place is not None
    if as_json:
        print_json(figures(predictor, place))
    else:
        for part, metrics in predictor.card.measured(predictor.objective).items():
            show(f"{part:<6} {metrics}")
        show(f"saved to {place}")
    if predictor.history.ended == "interrupted":
        raise KeyboardInterrupt
    reporter.say(f"next: fieldwise predict {place} NEW.csv --out predictions.csv")


def figures(predictor: Predictor, out: Path) -> dict[str, object]:
    """The figures of a training run: those of the test rows (else of the validation rows), and all of them."""
    history, metrics = predictor.history, predictor.card.metrics
    measured = metrics.get("test") or metrics.get("valid") or {}
    speeds = [record.rows_per_s for record in history.records]
    return {
        "model": str(out),
        **{name: measured.get(name) for name in predictor.objective.monitors},
        "rows_per_s": sum(speeds) / len(speeds) if speeds else None,
        "epochs": len(history.records),
        "best_epoch": history.best_epoch,
        "ended": history.ended,
        "parameters": predictor.card.parameters,
        "metrics": metrics,
        "settings": predictor.settings.model_dump(mode="json"),
    }
