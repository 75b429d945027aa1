"""Reading what is typed: lists of names, `COLUMN=KIND`, and sources."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import typer

from fieldwise.errors import SchemaError


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


def print_json(value: Any) -> None:
    """Print a value as JSON on standard output."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))
