"""The data arguments: which rows, and what their columns are. Spelled here once, for every verb that takes data.

A verb is declared as

    @takes_data
    def verb(source: Source, *, seed: int = 0, **data: Unpack[DataArguments]) -> ...:

and passes `DataRequest(source, data)` on. Its signature, and so `help(verb)`, shows every data argument; type checkers
and editors read them from `DataArguments`; a misspelt argument is answered with the nearest.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict, TypeVar, cast, get_type_hints

from fieldwise import datasets
from fieldwise.columns.tables import Source
from fieldwise.errors import ArgumentError, suggest
from fieldwise.schema import Schema
from fieldwise.storage.places import expanded

Verb = TypeVar("Verb", bound=Callable[..., Any])

ROLES = ("label", "positive", "weight", "group", "time")
"""The arguments that a schema has too."""


class DataArguments(TypedDict, total=False):
    """What the columns of the rows are, and which rows validate and test.

    Attributes:
        label: the column with the label: clicks as 0/1 or true/false (with `positive`, two values of which that is the
            click), or numbers for the objective `regression`.
        positive: the label value that is a click, where labels are not 0/1.
        weight: a column with row weights.
        group: a column with groups for GAUC.
        time: a column with times, which makes the split time-ordered.
        valid: validation rows of their own; without them a share of the source.
        test: test rows of their own; without them a share of the source.
        names: column names of a text file without a header line.
        separator: what separates the cells of a text file: the character, or comma, tab, semicolon, pipe, space; found
            by default.
        schema: a Schema or its file, used as it stands; without one it is inferred.
        fields: overrides single columns ({"age": "numeric", "row_id": "ignore"}), of an inferred schema or a given one.
    """

    label: str | None
    positive: str | None
    weight: str | None
    group: str | None
    time: str | None
    valid: Source | None
    test: Source | None
    names: Sequence[str] | None
    separator: str | None
    schema: Schema | str | Path | None
    fields: Mapping[str, Any] | None


@dataclass(frozen=True)
class DataRequest:
    """A source with its data arguments.

    Attributes:
        source: a path (CSV, TSV, compressed, Parquet, Arrow), several paths, a data frame, an Arrow table, a dict of
            columns, a list of dicts, or the name of a built-in data set, which brings its own schema and split.
        arguments: what its columns are.

    Example:
        >>> DataRequest("synthetic", {"label": "click", "group": "user"}).roles
        {'label': 'click', 'group': 'user'}
    """

    source: Source
    arguments: DataArguments = field(default_factory=DataArguments)

    @property
    def roles(self) -> dict[str, str]:
        """The roles that are given: role -> column (`positive`: a value)."""
        return {role: self.arguments[role] for role in ROLES if self.arguments.get(role) is not None}  # type: ignore[literal-required]

    def sources(self) -> dict[str, str | list[str] | None]:
        """`source`, `valid` and `test` as a later process can read them again; None where it cannot, or none is given.

        That is an absolute path, several, or a built-in data set's name.
        """
        given = {"source": self.source, "valid": self.arguments.get("valid"), "test": self.arguments.get("test")}
        return {name: _readable_again(source) for name, source in given.items()}


def _readable_again(source: Source | None) -> str | list[str] | None:
    if isinstance(source, list | tuple) and all(isinstance(part, str | Path) for part in source):
        parts = [_readable_again(part) for part in source]
        return [part for part in parts if isinstance(part, str)] if None not in parts else None
    if not isinstance(source, str | Path) or str(source) == "-":
        return None
    return str(source) if datasets.is_built_in(source) else str(expanded(source).absolute())


def takes_data(verb: Verb) -> Verb:
    """Decorator of a verb with `**data: Unpack[DataArguments]`: its signature and help show each of them.

    In the verb's docstring the line `**data` is replaced by what `DataArguments` says of them. A misspelt argument of
    the verb is an ArgumentError whose message names the nearest.

    Args:
        verb: the function.

    Returns:
        The function with its full signature.

    Example:
        >>> @takes_data
        ... def count(source, **data):
        ...     return len(data)
        >>> count("clicks.csv", lable="click")
        Traceback (most recent call last):
        fieldwise.errors.ArgumentError: count() has no argument 'lable'; did you mean 'label'?
    """
    signature = inspect.signature(verb)
    own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    hints = get_type_hints(DataArguments)
    shared = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=hints[name])
        for name in DataArguments.__annotations__
    ]
    names = [p.name for p in (*own, *shared)]

    @functools.wraps(verb)
    def checked(*args: Any, **kwargs: Any) -> Any:
        for name in kwargs:
            if name not in names:
                raise ArgumentError(f"{verb.__name__}() has no argument '{name}'; {suggest(name, names)}")
        return verb(*args, **kwargs)

    checked.__signature__ = signature.replace(parameters=[*own, *shared])  # type: ignore[attr-defined]
    checked.__doc__ = _with_data_arguments(verb.__doc__ or "")
    return cast(Verb, checked)


def _with_data_arguments(doc: str) -> str:
    lines = []
    for line in doc.splitlines():
        if line.strip().startswith("**data"):
            indent = line[: len(line) - len(line.lstrip())]
            section = inspect.cleandoc(DataArguments.__doc__ or "").partition("Attributes:\n")[2]
            lines += [f"{indent}{one}".rstrip() for one in inspect.cleandoc(section).splitlines()]
        else:
            lines.append(line)
    return "\n".join(lines)
