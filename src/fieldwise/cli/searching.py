"""`fieldwise search`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fieldwise.cli.completion import complete_searchable
from fieldwise.cli.options import AsJson, Objective, Overwrite, Quiet, Resume, Seed, Set, out_option, takes_data
from fieldwise.cli.words import parse_seconds

if TYPE_CHECKING:
    from fieldwise.preparation import DataRequest


@takes_data(optional=True)
def search(
    out: Annotated[
        Path | None,
        out_option("DIR", "Directory for architecture.json and the model.", show_default=False),
    ] = None,
    *,
    orders: Annotated[
        str | None,
        typer.Option(
            metavar="2,3", help="How many fields an interaction may have: 2, or 2,3, or 2,3,4.", show_default="2"
        ),
    ] = None,
    functions: Annotated[
        str | None,
        typer.Option(
            metavar="A,B",
            help="What may compute an interaction: inner, vector_kernel, scalar_kernel, outer, or names of your own "
            "(--import).",
            show_default="all",
        ),
    ] = None,
    time_budget: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="For search and training together, such as 30m: a stage that would take longer sees a sample of the "
            "rows.",
            show_default="none",
        ),
    ] = None,
    model: Annotated[
        str,
        typer.Option(
            help="aim, or autofis: inner products only, no embedding sizes.", autocompletion=complete_searchable
        ),
    ] = "aim",
    objective: Objective = None,
    request: DataRequest,
    set_: Set = None,
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A TOML file with the sections model, training, data and search, and seed."),
    ] = None,
    seed: Seed = None,
    overwrite: Overwrite = False,
    resume: Resume = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Find which fields interact, by which function and at which embedding size; then train a model with that.

    The result is architecture.json, which can be read, edited, trimmed (fieldwise architecture) and used again on new
    data without another search (fieldwise train --model aim --architecture DIR), and the model beside it.
    Ctrl-C or a crash loses nothing: --resume DIR goes on in the middle of the stage.
    """
    from fieldwise.cli import training
    from fieldwise.models import registry

    registry.require_searchable(model)
    asked = {"orders": orders, "functions": functions}
    overrides = [*(set_ or []), *(f"search.{name}={value}" for name, value in asked.items() if value is not None)]
    if time_budget is not None:
        overrides.append(f"search.time_budget={parse_seconds(time_budget, '--time-budget')}")
    training.run(
        request,
        out=out,
        model=None if resume is not None and request.source is None else model,
        objective=objective,
        overrides=overrides,
        config=config,
        seed=seed,
        overwrite=overwrite,
        resume=resume,
        as_json=as_json,
        quiet=quiet,
    )
