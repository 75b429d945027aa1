"""Reading what is typed: lists of names, `COLUMN=KIND`, sources and times."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fieldwise.errors import PredictorFormatError, SchemaError, SettingsError
from fieldwise.reporting.text import encodable
from fieldwise.storage.places import expanded, is_predictor

if TYPE_CHECKING:
    from fieldwise.predictor import Predictor

_SECONDS = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def as_name(text: str) -> str:
    """What was typed, as the name of a column or a value; Python keeps its bytes where the locale is not UTF-8."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def split_names(text: str | None) -> list[str] | None:
    """Names separated by commas; None stays None."""
    return None if text is None else [name.strip() for name in as_name(text).split(",")]


def parse_fields(texts: Sequence[str]) -> dict[str, str]:
    """`user=categorical` and the like. Raises SchemaError where there is no `=`."""
    fields = {}
    for text in map(as_name, texts):
        name, equals, kind = text.rpartition("=")
        if not equals or not name:
            raise SchemaError(f"--field {text}: expected COLUMN=KIND, for example --field user=categorical")
        fields[name.strip()] = kind.strip()
    return fields


def one_or_list(sources: Sequence[str] | None) -> str | list[str] | None:
    """A single source as itself, several as a list."""
    if not sources:
        return None
    return sources[0] if len(sources) == 1 else list(sources)


def load_model(model: Path, data: Sequence[str], *, command: str) -> Predictor:
    """The saved model of `fieldwise COMMAND MODEL DATA...`.

    Raises PredictorFormatError where there is none, and says so where it stands among the data.
    """
    from fieldwise.api import load

    swapped = next((word for word in data if is_predictor(word)), None)
    if swapped is not None and not is_predictor(model):
        raise PredictorFormatError(
            f"{model} is no saved model, but {swapped} is one: the model comes first, then the data, as in "
            f"fieldwise {command} {shlex.join([swapped, str(model)])}"
        )
    if not is_predictor(model) and expanded(model).exists():
        raise PredictorFormatError(
            f"{model} is no saved model; name a directory that fieldwise train has written, as in fieldwise {command} "
            f"model {shlex.join(data)}"
        )
    return load(model)


def parse_seconds(text: str, option: str) -> float:
    """A time such as `5ms`, `0.5s` or `30m`, in seconds. Raises SettingsError for any other text, and for 0."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?|\.\d+)\s*(us|µs|ms|s|m|h)", text.strip().lower())
    if match is None or float(match[1]) == 0:
        raise SettingsError(f"{option} {text}: expected a time above 0 with its unit, for example 5ms, 0.5s or 30m")
    return float(match[1]) * _SECONDS[match[2]]


def show(text: str, *, err: bool = False) -> None:
    """Print a line on standard output, or on standard error.

    `typer.echo` would write UTF-8 to a stream that is set to ASCII.
    """
    print(text, file=sys.stderr if err else sys.stdout, flush=True)


def print_json(value: Any) -> None:
    """Print a value as JSON on standard output, escaped as JSON has it where the stream has no such characters."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    show(text if encodable(text, sys.stdout) == text else json.dumps(value, indent=2))
