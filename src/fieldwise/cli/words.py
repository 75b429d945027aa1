"""Reading what is typed: lists of names, `COLUMN=KIND`, sources and times."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import typer

from fieldwise.errors import SchemaError, SettingsError

_SECONDS = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def split_names(text: str | None) -> list[str] | None:
    """Names separated by commas; None stays None."""
    return None if text is None else [name.strip() for name in text.split(",")]


def parse_fields(texts: Sequence[str]) -> dict[str, str]:
    """`user=categorical` and the like. Raises SchemaError where there is no `=`."""
    fields = {}
    for text in texts:
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


def parse_seconds(text: str, option: str) -> float:
    """A time such as `5ms`, `0.5s` or `30m`, in seconds. Raises SettingsError for any other text, and for 0."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?|\.\d+)\s*(us|µs|ms|s|m|h)", text.strip().lower())
    if match is None or float(match[1]) == 0:
        raise SettingsError(f"{option} {text}: expected a time above 0 with its unit, for example 5ms, 0.5s or 30m")
    return float(match[1]) * _SECONDS[match[2]]


def print_json(value: Any) -> None:
    """Print a value as JSON on standard output."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))
