"""`fieldwise compare` and `fieldwise results`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fieldwise.cli.completion import SHAPES, complete_from, complete_model, complete_models, complete_setting
from fieldwise.cli.options import AsJson, Objective, Quiet, out_option, takes_data
from fieldwise.cli.words import print_json, show, split_names
from fieldwise.errors import SettingsError, suggest

if TYPE_CHECKING:
    from fieldwise.preparation import DataRequest


@takes_data()
def compare(
    *,
    models: Annotated[
        str | None,
        typer.Option(
            metavar="A,B",
            help="Models ([bold]fieldwise models[/]), lightgbm, catboost (extra 'gbdt'), or sections of --config.",
            show_default="all sections of --config",
            autocompletion=complete_models,
        ),
    ] = None,
    out: Annotated[
        Path,
        out_option("DIR", "Where tables, pictures and runs go; what is done there stays done."),
    ] = Path("runs/compare"),
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each model.")] = 5,
    base: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The model that differences are taken to.",
            show_default="lr, else the first",
            autocompletion=complete_model,
        ),
    ] = None,
    tune: Annotated[
        int,
        typer.Option(
            metavar="N", min=0, help="Try N settings of each model on the validation rows first (extra 'tune')."
        ),
    ] = 0,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A TOML file with the sections models.NAME, training and data; base; and ours, the models that are "
            "tested against the best of the others (by default your own, else autoint, autoint+ and aim).",
        ),
    ] = None,
    objective: Objective = None,
    request: DataRequest,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="A setting of training or data, for all. May be given again.",
            autocompletion=complete_setting,
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Decides the split, and is the first of the seeds.", show_default="0")
    ] = None,
    published: Annotated[
        str | None,
        typer.Option(
            metavar="DATASET",
            help=f"Whose published figures to show beside: {', '.join(SHAPES)}.",
            show_default="a built-in data set's own",
            autocompletion=complete_from(*SHAPES),
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Begin anew, forgetting what is done in --out.")
    ] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Train many models on the same rows, with several seeds each, and hold them against each other.

    Split and encoding are the same for all; the best epoch is chosen by the validation rows; the test rows are looked
    at once per run. Stopped at any moment, the same command goes on. LightGBM and CatBoost take part as what one
    would use instead.
    """
    from fieldwise.comparison import compare as compare_models
    from fieldwise.reporting import Reporter
    from fieldwise.settings import parse_override

    reporter = Reporter(enabled=not quiet)
    comparison = compare_models(
        request.source,
        models=split_names(models),
        seeds=seeds,
        objective=objective,
        config=config,
        settings=dict(map(parse_override, set_ or [])),
        base=base,
        tune=tune,
        seed=seed or 0,
        published=published,
        out=out,
        overwrite=overwrite,
        progress=reporter,
        **request.arguments,
    )
    if as_json:
        print_json(comparison.to_dict())
    else:
        comparison.to_section().print()
    reporter.say(f"tables, pictures and every single run: {out}")


def results(
    directories: Annotated[
        list[Path], typer.Argument(metavar="DIR", help="What fieldwise compare has written.", show_default=False)
    ],
    base: Annotated[
        str | None, typer.Option(metavar="NAME", help="Take differences to this model instead.", show_default=False)
    ] = None,
    changes: Annotated[
        bool,
        typer.Option("--changes", help="What joint models add to their single ones, on average over the comparisons."),
    ] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what comparisons have found, also while they run."""
    from fieldwise.comparison import average_changes, read
    from fieldwise.reporting import Section, markdown_table

    comparisons = [read(directory) for directory in directories]
    if base is not None:
        for comparison in comparisons:
            if base not in comparison.order:
                raise SettingsError(f"the base '{base}' did not take part; {suggest(base, comparison.order)}")
            comparison.base = base
    if changes:
        rows = average_changes(comparisons)
        if as_json:
            print_json(rows)
            return
        metrics = comparisons[0].metrics
        cells = [
            [r["model"], r["base"], str(r["data_sets"]), *(f"{r[f'{metric.name}_change']:+.4f}" for metric in metrics)]
            for r in rows
        ]
        header = ("model", "base", "data sets", *(metric.label for metric in metrics))
        if markdown:
            show(markdown_table(header, cells))
        else:
            Section("Average changes of joint models", header, cells).print()
        return
    if as_json:
        print_json([comparison.to_dict() for comparison in comparisons])
        return
    for comparison in comparisons:
        if markdown:
            show(comparison.to_markdown())
        else:
            comparison.to_section().print()
