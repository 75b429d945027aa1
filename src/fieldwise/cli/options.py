"""Arguments and options that several commands share, with their help."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from fieldwise.cli.completion import complete_data, complete_from, complete_setting
from fieldwise.cli.words import as_name, one_or_list, parse_fields, split_names
from fieldwise.storage.places import place

if TYPE_CHECKING:
    from fieldwise.preparation import DataArguments, DataRequest


def out_option(metavar: str, help_: str, **more: Any) -> Any:
    """An option that names a place to write to: `~` is the home there too, and no name at all is refused."""
    return typer.Option(metavar=metavar, help=help_, parser=place, **more)


_DATA = (
    "Files (CSV, TSV, JSON lines, Parquet, Arrow; also compressed), a directory of them, [bold]-[/] for standard "
    "input, or the name of a built-in data set such as movielens-1m."
)
Data = Annotated[
    list[str], typer.Argument(metavar="DATA", help=_DATA, show_default=False, autocompletion=complete_data)
]
Model = Annotated[Path, typer.Argument(metavar="MODEL", help="A saved model directory.", show_default=False)]
Names = Annotated[
    str | None,
    typer.Option(metavar="A,B,C", help="Column names of a text file that has no header line."),
]
Separator = Annotated[
    str | None,
    typer.Option(
        metavar="CHAR",
        help="What separates the cells of a text file: the character, or comma, tab, semicolon, pipe, space. By "
        "default it is found.",
    ),
]
Label = Annotated[
    str | None,
    typer.Option(metavar="COLUMN", help="The column with the label: clicks as 0/1 or true/false, or numbers."),
]
FieldOption = Annotated[
    list[str] | None,
    typer.Option(
        "--field",
        metavar="COLUMN=KIND",
        help="Override one column: categorical, numeric, multi_valued, calendar or ignore; with more behind a colon: "
        "multi_valued:^ (the separator), numeric:log, numeric:, (a decimal comma), calendar:day_first. "
        "May be given again.",
    ),
]
Objective = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="What the label is: binary (clicks) or regression (numbers).",
        show_default="binary",
        autocompletion=complete_from("binary", "regression"),
    ),
]
Resume = Annotated[
    Path | None,
    out_option("MODEL", "Go on with an unfinished run; nothing else need be said."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print figures as JSON on standard output.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but the result.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace a model that is there already.")]
OverwriteFile = Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there already.")]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="A setting: epochs=3, model.num_heads=4, preset=reference, data.min_count=5; [bold]fieldwise settings[/] "
        "lists them. May be given again.",
        autocompletion=complete_setting,
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(help="Decides split, initial weights, order of rows and dropout.", show_default="0"),
]

# ---- the data arguments of `fieldwise.preparation.DataArguments`, as they are typed

_DATA_OPTIONS: dict[str, Any] = {
    "label": Label,
    "schema": Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A schema file (JSON or TOML), used as it stands instead of inference."),
    ],
    "field": FieldOption,
    "names": Names,
    "separator": Separator,
    "positive": Annotated[
        str | None, typer.Option(metavar="VALUE", help="The label value that is a click, where labels are not 0/1.")
    ],
    "valid": Annotated[
        list[str] | None, typer.Option(metavar="DATA", help="Validation rows of their own. May be given again.")
    ],
    "test": Annotated[
        list[str] | None, typer.Option(metavar="DATA", help="Test rows of their own. May be given again.")
    ],
    "time": Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Split by this column: the latest rows validate and test.")
    ],
    "group": Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Measure GAUC too: AUC within each value of this column.")
    ],
    "weight": Annotated[str | None, typer.Option(metavar="COLUMN", help="The weight of each row.")],
}


def takes_data(*, optional: bool = False) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorator of a command with a parameter `request: DataRequest`: it is typed as DATA and the data options.

    In the help, DATA stands first and the options stand where `request` does. The request holds only what was given.

    Args:
        optional: whether DATA may be left away; the request's source is then None.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        hints = get_type_hints(command, include_extras=True, localns={"DataRequest": Any})
        data = Annotated[list[str] | None, *Data.__metadata__] if optional else Data  # type: ignore[attr-defined]
        parameters = [_parameter("data", data, default=None if optional else inspect.Parameter.empty)]
        for name, parameter in inspect.signature(command).parameters.items():
            if name == "request":
                parameters += [_parameter(option, kind) for option, kind in _DATA_OPTIONS.items()]
            else:
                parameters.append(_parameter(name, hints[name], default=parameter.default))

        @functools.wraps(command)
        def typed(data: Sequence[str] | None = None, **values: Any) -> None:
            given = {name: values.pop(name) for name in _DATA_OPTIONS}
            command(request=_request(data, given), **values)

        typed.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        typed.__annotations__ = {p.name: p.annotation for p in parameters}
        return typed

    return decorate


def _parameter(name: str, kind: Any, *, default: Any = None) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)


def _request(data: Sequence[str] | None, given: dict[str, Any]) -> DataRequest:
    from fieldwise.preparation import DataRequest

    names = {
        option: None if given[option] is None else as_name(given[option])
        for option in ("label", "positive", "weight", "group", "time")
    }
    arguments: DataArguments = {
        "label": names["label"],
        "positive": names["positive"],
        "weight": names["weight"],
        "group": names["group"],
        "time": names["time"],
        "schema": given["schema"],
        "names": split_names(given["names"]),
        "separator": given["separator"],
        "valid": one_or_list(given["valid"]),
        "test": one_or_list(given["test"]),
        "fields": parse_fields(given["field"] or []) or None,
    }
    return DataRequest(one_or_list(data), {name: v for name, v in arguments.items() if v is not None})  # type: ignore[arg-type]
