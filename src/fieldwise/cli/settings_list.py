"""`fieldwise settings`."""

from __future__ import annotations

import itertools
import shutil
import textwrap
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from fieldwise.cli.completion import complete_model
from fieldwise.cli.options import AsJson
from fieldwise.cli.words import print_json, show

if TYPE_CHECKING:
    from fieldwise.settings.catalogue import Setting

_WIDEST = 100
"""Characters of a line at most, however wide the terminal is: longer ones are hard to read."""


def settings(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="See [bold]fieldwise models[/]; also lightgbm and catboost.",
            autocompletion=complete_model,
        ),
    ] = "autoint",
    as_json: AsJson = False,
) -> None:
    """List what may be set in a run of a model: every setting with its default, its values and its meaning.

    The names are those of --set, of a settings file (a section each) and of settings={...} in Python.
    """
    from fieldwise.settings.catalogue import describe_settings

    described = describe_settings(model)
    if as_json:
        print_json([asdict(setting) for setting in described])
        return
    width = min(shutil.get_terminal_size((_WIDEST, 24)).columns, _WIDEST)
    for section, members in itertools.groupby(described, lambda setting: setting.section):
        show(f"\n{section}" + (f" of {model}" if section == "model" else ""))
        for setting in members:
            show(_entry(setting, width))
    show("\n" + textwrap.fill(f"Change them with --set, for example: --set {_example(described)}", width))
    if model == "autoint":
        show(
            textwrap.fill(
                "The settings of another model: fieldwise settings MODEL (fieldwise models lists them)", width
            )
        )


def _entry(setting: Setting, width: int) -> str:
    from fieldwise.settings.catalogue import value_text

    head = f"{setting.name} = {value_text(setting.default)}"
    text = " ".join(filter(None, [setting.meaning.replace("`", "'"), f"[{setting.values}]"]))
    body = textwrap.fill(
        text, width, initial_indent="      ", subsequent_indent="      ", break_long_words=False, break_on_hyphens=False
    )
    return f"  {head}\n{body}"


def _example(described: list[Setting]) -> str:
    names = {setting.name for setting in described}
    return "training.epochs=5" if "training.epochs" in names else "model.max_rounds=1000"
