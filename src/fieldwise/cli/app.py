"""The commands and their options."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Annotated

import typer

from fieldwise._version import __version__
from fieldwise.cli import architectures
from fieldwise.cli.options import (
    AsJson,
    Data,
    FieldOption,
    Group,
    Label,
    Model,
    Names,
    Overwrite,
    Positive,
    Quiet,
    Resume,
    SchemaFile,
    Seed,
    Set,
    SomeData,
    Test,
    Time,
    Valid,
    Weight,
)
from fieldwise.cli.searching import search
from fieldwise.errors import SettingsError

app = typer.Typer(
    name="fieldwise",
    help="Predict clicks from rows of mixed fields; the feature interactions are found by the model.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.add_typer(architectures.app, name="architecture")


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"fieldwise {__version__}")
        raise typer.Exit


def _import(module: str) -> None:
    """Import a module of the user's. As with `python -m`, the current folder is looked in first."""
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        importlib.import_module(module)
    except ImportError as error:
        raise SettingsError(f"--import {module}: {error}; name a module, such as my_model for my_model.py") from error


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
    import_: Annotated[
        list[str] | None,
        typer.Option(
            "--import",
            metavar="MODULE",
            help="A Python module with models of your own, of the current folder or installed. May be given again.",
        ),
    ] = None,
) -> None:
    for module in import_ or []:
        _import(module)


@app.command(epilog="Example: fieldwise train clicks.csv --label click --out model --set epochs=5")
def train(
    data: SomeData = None,
    out: Annotated[
        Path | None, typer.Option(metavar="MODEL", help="Directory to save the model in.", show_default=False)
    ] = None,
    label: Label = None,
    model: Annotated[str | None, typer.Option(help="See [bold]fieldwise models[/].", show_default="autoint")] = None,
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
    schema: SchemaFile = None,
    field: FieldOption = None,
    names: Names = None,
    positive: Positive = None,
    valid: Valid = None,
    test: Test = None,
    time: Time = None,
    group: Group = None,
    weight: Weight = None,
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
    from fieldwise.cli import training

    training.run(
        data,
        out=out,
        label=label,
        model=model,
        overrides=[
            *(set_ or []),
            *([] if precision is None else [f"training.precision={precision}"]),
            *([] if architecture is None else [f"model.architecture={architecture}"]),
        ],
        config=config,
        seed=seed,
        schema=schema,
        fields=field or [],
        names=names,
        positive=positive,
        valid=valid,
        test=test,
        time=time,
        group=group,
        weight=weight,
        overwrite=overwrite,
        resume=resume,
        as_json=as_json,
        quiet=quiet,
    )


app.command(epilog="Example: fieldwise search clicks.csv --label click --out runs/aim --orders 2,3 --time-budget 30m")(
    search
)


@app.command(epilog="Example: fieldwise evaluate model clicks-of-tomorrow.csv --json")
def evaluate(model: Model, data: Data, names: Names = None, as_json: AsJson = False, quiet: Quiet = False) -> None:
    """Measure a saved model on rows with labels: AUC, log loss, calibration.

    Of a table that the model was trained on, and of a built-in data set, only the recorded test rows are used.
    """
    from fieldwise.cli import prediction

    prediction.evaluate(model, data, names=names, as_json=as_json, quiet=quiet)


@app.command(epilog="Example: fieldwise predict model new.csv --out predictions.csv --keep user,item")
def predict(
    model: Model,
    data: Data,
    out: Annotated[str, typer.Option(metavar="FILE", help="A .csv or .parquet file, or - for standard output.")] = "-",
    keep: Annotated[
        str | None, typer.Option(metavar="A,B", help="Columns of the input to write beside the probability.")
    ] = None,
    names: Names = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print rows, rows_per_s and unseen values as JSON (needs --out FILE).")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Predict click probabilities of new rows, one per row and in their order.

    Values that training never saw are predicted as unknown ones, counted and reported per field.
    """
    from fieldwise.cli import prediction

    prediction.predict(model, data, out=out, keep=keep, names=names, as_json=as_json, quiet=quiet)


@app.command(
    epilog="Example: fieldwise compare clicks.csv --label click --models lr,fm,lightgbm,autoint --out runs/compare"
)
def compare(
    data: Data,
    models: Annotated[
        str | None,
        typer.Option(
            metavar="A,B",
            help="Models ([bold]fieldwise models[/]), lightgbm, catboost (extra 'gbdt'), or sections of --config.",
            show_default="all sections of --config",
        ),
    ] = None,
    out: Annotated[
        Path,
        typer.Option(metavar="DIR", help="Where tables, pictures and runs go; what is done there stays done."),
    ] = Path("runs/compare"),
    label: Label = None,
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each model.")] = 5,
    base: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="The model that differences are taken to.", show_default="lr, else the first"
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
        typer.Option(metavar="FILE", help="A TOML file with the sections models.NAME, training and data, and base."),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A setting of training or data, for all. May be given again."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Decides the split, and is the first of the seeds.", show_default="0")
    ] = None,
    schema: SchemaFile = None,
    field: FieldOption = None,
    names: Names = None,
    positive: Positive = None,
    valid: Valid = None,
    test: Test = None,
    time: Time = None,
    group: Group = None,
    weight: Weight = None,
    published: Annotated[
        str | None,
        typer.Option(
            metavar="DATASET",
            help="Whose published figures to show beside: criteo, avazu, kdd12, movielens-1m.",
            show_default="a built-in data set's own",
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
    from fieldwise.cli import comparing

    comparing.run(
        data,
        models=models,
        seeds=seeds,
        config=config,
        overrides=set_ or [],
        base=base,
        tune=tune,
        label=label,
        seed=seed,
        schema=schema,
        fields=field or [],
        names=names,
        positive=positive,
        valid=valid,
        test=test,
        time=time,
        group=group,
        weight=weight,
        published=published,
        out=out,
        overwrite=overwrite,
        as_json=as_json,
        quiet=quiet,
    )


@app.command(epilog="Example: fieldwise results runs/compare --base fm")
def results(
    comparisons: Annotated[
        list[Path], typer.Argument(metavar="DIR...", help="What fieldwise compare has written.", show_default=False)
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
    from fieldwise.cli import comparing

    comparing.results(comparisons, base=base, changes=changes, markdown=markdown, as_json=as_json)


@app.command(epilog="Example: fieldwise inspect clicks.csv --label click --out schema.json")
def inspect(
    target: Annotated[list[str], typer.Argument(metavar="DATA|MODEL", help="A table of clicks, or a saved model.")],
    label: Label = None,
    field: FieldOption = None,
    names: Names = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the inferred schema there, to be edited and given back.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what the library makes of a table's columns, or what a saved model consists of."""
    from fieldwise.cli import inspection

    inspection.run(target, label=label, fields=field or [], names=names, out=out, as_json=as_json)


@app.command(epilog="Example: fieldwise models --shape criteo")
def models(
    shape: Annotated[
        str | None,
        typer.Option(
            metavar="DATASET",
            help="Count parameters at a published data set's sizes (criteo, avazu, kdd12, movielens-1m), with the "
            "settings of the AutoInt paper.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the models, a line each, with their presets."""
    from fieldwise.cli import inspection

    if shape is None:
        inspection.list_models(as_json=as_json)
    else:
        inspection.count_at(shape, as_json=as_json)


@app.command(epilog="Example: fieldwise demo --dataset movielens-1m")
def demo(
    dataset: Annotated[str, typer.Option(help="A built-in data set.")] = "synthetic",
    out: Annotated[Path, typer.Option(metavar="MODEL", help="Directory to save the model in.")] = Path("runs/demo"),
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
    from fieldwise.cli import demonstration

    demonstration.run(dataset, out=out, epochs=epochs, seed=seed, as_json=as_json)


@app.command(epilog="Example: fieldwise bench --vocabulary 10k,1m,10m --batch 1024,8192 --out runs/bench")
def bench(
    model: Annotated[str, typer.Option(metavar="A,B", help="See [bold]fieldwise models[/].")] = "autoint",
    fields: Annotated[str, typer.Option(metavar="N,N", help="Categorical fields.")] = "39",
    vocabulary: Annotated[
        str, typer.Option(metavar="N,N", help="Rows of the embedding table, over all fields: 10k, 1m, ...")
    ] = "100k",
    batch: Annotated[str, typer.Option(metavar="N,N", help="Rows per step.")] = "1024",
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A setting of model or training. May be given again."),
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.0, help="How long each figure is measured.")] = 5.0,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write bench.json, bench.md and (with the extra 'plots') bench.png there."),
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Measure how fast this machine trains and predicts, and how much memory it takes.

    Rows are made up; nothing else is. Every combination of the given values is measured, each in a process of its
    own, beside what the machine itself can do: its rate of matrix products and of copying memory.
    """
    from fieldwise.cli import benchmarking

    benchmarking.run(
        model,
        fields=fields,
        vocabulary=vocabulary,
        batch=batch,
        overrides=set_ or [],
        seconds=seconds,
        out=out,
        as_json=as_json,
        quiet=quiet,
    )


@app.command(epilog="Example: fieldwise download movielens-1m --to data")
def download(
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="A built-in data set.", show_default=False)],
    to: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The folder of raw data sets.", show_default="$FIELDWISE_DATA"),
    ] = None,
) -> None:
    """Fetch a built-in data set from its publisher, check it, and unpack it. Its own licence applies.

    Nothing else in fieldwise ever downloads anything.
    """
    from fieldwise.cli import inspection

    inspection.download(dataset, to=to)
