"""The application: every command with its example. A command and its options stand in a file of their own."""

from __future__ import annotations

import importlib
import sys
from typing import Annotated

import typer

from fieldwise._version import __version__
from fieldwise.cli.architectures import app as architecture
from fieldwise.cli.benchmarking import bench
from fieldwise.cli.command import Command
from fieldwise.cli.comparing import compare, results
from fieldwise.cli.demonstration import demo
from fieldwise.cli.downloading import download
from fieldwise.cli.evaluating import evaluate
from fieldwise.cli.inspection import inspect
from fieldwise.cli.model_list import models
from fieldwise.cli.predicting import predict
from fieldwise.cli.searching import search
from fieldwise.cli.settings_list import settings
from fieldwise.cli.training import train
from fieldwise.cli.words import show
from fieldwise.errors import SettingsError
from fieldwise.threads import set_threads

app = typer.Typer(
    name="fieldwise",
    help="Predict clicks from rows of mixed fields; the feature interactions are found by the model.",
    epilog="Begin with: fieldwise demo, or fieldwise inspect clicks.csv --label click",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},  # handed down to every command
)


def _show_version(value: bool) -> None:
    if value:
        show(f"fieldwise {__version__}")
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
            help="A Python module with models of your own, of the current folder or installed. Stands before the "
            "command, and may be given again.",
        ),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="How many threads to compute in; stands before the command. Also as the environment variable "
            "FIELDWISE_THREADS.",
            show_default="as many as there are processors for this process",
        ),
    ] = None,
) -> None:
    set_threads(threads)  # before torch is loaded
    for module in import_ or []:
        _import(module)


_COMMANDS = (
    (train, "fieldwise train clicks.csv --label click --out model --set epochs=5"),
    (search, "fieldwise search clicks.csv --label click --out runs/aim --orders 2,3 --time-budget 30m"),
    (evaluate, "fieldwise evaluate model clicks-of-tomorrow.csv --json"),
    (predict, "fieldwise predict model new.csv --out predictions.csv --keep user,item"),
    (compare, "fieldwise compare clicks.csv --label click --models lr,fm,lightgbm,autoint --out runs/compare"),
    (results, "fieldwise results runs/compare --base fm"),
    (inspect, "fieldwise inspect clicks.csv --label click --out schema.json"),
    (models, "fieldwise models --shape criteo"),
    (settings, "fieldwise settings autoint+"),
    (demo, "fieldwise demo --dataset movielens-1m"),
    (bench, "fieldwise bench --vocabulary 10k,1m,10m --batch 1024,8192 --out runs/bench"),
    (download, "fieldwise download movielens-1m --to data"),
)
for _command, _example in _COMMANDS:
    app.command(cls=Command, epilog=f"Example: {_example}")(_command)
app.add_typer(architecture, name="architecture")
