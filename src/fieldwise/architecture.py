"""Architecture: what a search has found, as plain data and as a JSON file that one can read and edit by hand.

{
  "format": "fieldwise architecture", "version": 2,
  "model": "aim",
  "embedding_dim": 16,
  "shared_embedding": false,
  "fields": {"user": {"kind": "categorical", "size": 6042}, ...},
  "interactions": [
    {"fields": ["user", "movie"], "function": "inner", "gate": 0.62},
    ...
  ],
  "dimensions": {"2": {"inner": {"user": [0, 1, 4], "movie": [0, 4, 5]}, ...}},
  "statistics": [{"fields": ["user", "movie"], "auc": 0.71}, ...],
  "settings": {...}, "data": {...}, "fieldwise": "0.1.0"
}

Only `embedding_dim`, `fields` and `interactions` decide what a model built from it computes, and `dimensions` where it
is there: without it every field keeps all of its embedding dimensions.

Version 1 is read too. It says "positions" for "dimensions", and "passes" for "epochs" in the records of stages.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from fieldwise._version import __version__
from fieldwise.errors import PredictorFormatError, SettingsError, suggest
from fieldwise.layout import FieldLayout, Kind, Layout
from fieldwise.storage.atomic import write_text
from fieldwise.storage.places import expanded, place
from fieldwise.storage.untrusted import open_regular, parse_json
from fieldwise.validation import Document
from fieldwise.wording import either

FORMAT = "fieldwise architecture"
VERSION = 2
FILE_NAME = "architecture.json"
"""What the file is called in the directory of a search."""

MOST_ORDER = 8
MOST_OF_EVERYTHING = 20_000
"""Interactions of a network that is built without an architecture; a few bytes in a file must not ask for millions."""
_MOST_BYTES = 64 * 2**20
_STRICT = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

Order = Annotated[int, Field(ge=2, le=MOST_ORDER)]
"""How many fields an interaction has."""
Name = Annotated[str, Field(min_length=1, max_length=1000)]


class _MayNameAFile:
    """See `MAY_NAME_A_FILE`."""


MAY_NAME_A_FILE = _MayNameAFile()
"""A mark in a setting's annotation: a text in its place is the path of a file that holds it."""


class FieldSummary(Document):
    """A field as the search saw it. size: embedding rows, those of missing and other values included."""

    model_config = _STRICT

    kind: Kind
    size: Annotated[int, Field(ge=1)]


class DataSummary(Document):
    """The rows that were searched. base_rate: share of clicks."""

    model_config = _STRICT

    source: str = ""
    rows: int = 0
    base_rate: float | None = None


class Interaction(Document):
    """One interaction: its fields in schema order, the function that computes it, and the gate the search gave it."""

    model_config = _STRICT

    fields: Annotated[tuple[Name, ...], Field(min_length=2, max_length=MOST_ORDER)]
    function: Name
    gate: float = 1.0

    @property
    def order(self) -> int:
        """How many fields it has."""
        return len(self.fields)

    def __str__(self) -> str:
        return f"{self.function}({', '.join(self.fields)})"


class TupleStatistic(Document):
    """How well the mere click rates of a field tuple's values order rows: its statistics_AUC."""

    model_config = _STRICT

    fields: tuple[Name, ...]
    auc: Annotated[float, Field(ge=0, le=1)]


class Architecture(Document):
    """Interactions, their functions and the embedding dimensions to keep.

    Args:
        model: What searched.
        embedding_dim: D, the embedding dimensions of a field per order and function.
        shared_embedding: Whether all functions of an order read one embedding (`dimensions` then knows them as
            `shared`).
        fields: Of the data, in schema order.
        interactions: The kept ones, strongest first.
        dimensions: Order -> function -> field -> the embedding dimensions it keeps, 0 to D - 1, ascending; None keeps
            all. A field that is not listed keeps all of its dimensions.
        statistics: statistics_AUC of field tuples, kept or not (`fieldwise.explain.statistics_auc`).
        settings: Of the search, for the reader. Two entries are also read: `functions`, which were searched among, and
            `stages`, how each stage went. `epochs` is the number of epochs of the training afterwards that a search
            with a time budget has left time for (those of a stage stand in its record).
        data: What was searched.
        fieldwise: The version that wrote it.

    Raises:
        SettingsError: For an interaction over an unknown field or one field twice, for the same interaction twice, for
            dimensions out of range, and for an unknown or a wrong entry.

    >>> architecture = Architecture(
    ...     embedding_dim=4,
    ...     fields={name: FieldSummary(kind="categorical", size=10) for name in ("user", "movie", "hour")},
    ...     interactions=[Interaction(fields=("user", "movie"), function="inner", gate=0.6)],
    ...     dimensions={2: {"inner": {"user": (0, 3)}}},
    ... )
    >>> [str(interaction) for interaction in architecture.interactions]
    ['inner(user, movie)']
    >>> architecture.kept_dimensions(2, "inner", "user"), architecture.kept_dimensions(2, "inner", "movie")
    ((0, 3), (0, 1, 2, 3))
    """

    model_config = _STRICT

    format: Literal["fieldwise architecture"] = "fieldwise architecture"
    version: Literal[2] = 2
    model: Name = "aim"
    embedding_dim: Annotated[int, Field(ge=1, le=65_536)]
    shared_embedding: bool = False
    fields: Annotated[dict[Name, FieldSummary], Field(min_length=1)]
    interactions: Annotated[tuple[Interaction, ...], Field(max_length=1_000_000)] = ()
    dimensions: dict[Order, dict[Name, dict[Name, tuple[int, ...]]]] | None = None
    statistics: Annotated[tuple[TupleStatistic, ...], Field(max_length=1_000_000)] = ()
    settings: dict[str, Any] = Field(default_factory=dict)
    data: DataSummary = DataSummary()
    fieldwise: str = __version__

    @model_validator(mode="before")
    @classmethod
    def _of_today(cls, content: Any) -> Any:
        return upgrade(content)

    @model_validator(mode="after")
    def _consistent(self) -> Architecture:
        place = {name: number for number, name in enumerate(self.fields)}
        seen = set()
        for number, interaction in enumerate(self.interactions, start=1):
            what = f"interaction {number}, {interaction}"
            for name in interaction.fields:
                if name not in place:
                    raise ValueError(f"{what}: '{name}' is not one of its fields; {suggest(name, place)}")
            ranks = [place[name] for name in interaction.fields]
            if len(set(ranks)) < len(ranks):
                raise ValueError(f"{what}: a field stands twice")
            if ranks != sorted(ranks):
                in_order = ", ".join(sorted(interaction.fields, key=place.__getitem__))
                raise ValueError(f"{what}: write its fields in the order of 'fields': {in_order}")
            key = (interaction.fields, interaction.function)
            if key in seen:
                raise ValueError(f"{what}: it stands twice")
            seen.add(key)
        for order, functions in (self.dimensions or {}).items():
            for function, by_field in functions.items():
                for name, dimensions in by_field.items():
                    where = f"dimensions of order {order}, {function}, '{name}'"
                    if name not in place:
                        raise ValueError(f"{where}: there is no such field; {suggest(name, place)}")
                    ascending = list(dimensions) == sorted(set(dimensions))
                    if not ascending or (dimensions and not 0 <= dimensions[0] <= dimensions[-1] < self.embedding_dim):
                        raise ValueError(
                            f"{where}: expected ascending numbers from 0 to {self.embedding_dim - 1}, each once; "
                            f"got {list(dimensions)}"
                        )
        return self

    @property
    def layout(self) -> Layout:
        """The fields as a model sees them."""
        return Layout(tuple(FieldLayout(name, field.kind, field.size) for name, field in self.fields.items()))

    @property
    def orders(self) -> tuple[int, ...]:
        """The orders that have interactions, ascending."""
        return tuple(sorted({interaction.order for interaction in self.interactions}))

    @property
    def functions(self) -> tuple[str, ...]:
        """The interaction functions in use, in the order of their first appearance."""
        return tuple(dict.fromkeys(interaction.function for interaction in self.interactions))

    def of(self, order: int, function: str | None = None) -> list[Interaction]:
        """The interactions of an order, and of a function where one is named, strongest first."""
        interactions = [i for i in self.interactions if i.order == order and function in (None, i.function)]
        return sorted(interactions, key=lambda i: -abs(i.gate))

    def strengths(self, order: int) -> dict[tuple[str, ...], float]:
        """The kept field tuples of an order with the largest |gate| among their functions, strongest first."""
        strengths: dict[tuple[str, ...], float] = {}
        for interaction in self.of(order):
            strengths.setdefault(interaction.fields, abs(interaction.gate))
        return strengths

    def statistics_auc(self) -> dict[tuple[str, ...], float]:
        """statistics_AUC by field tuple, of those that are known."""
        return {statistic.fields: statistic.auc for statistic in self.statistics}

    def kept_dimensions(self, order: int, function: str, field: str) -> tuple[int, ...]:
        """The embedding dimensions that a field keeps for a function (`shared` with one embedding per order)."""
        everything = tuple(range(self.embedding_dim))
        by_function = (self.dimensions or {}).get(order, {})
        return by_function.get("shared" if self.shared_embedding else function, {}).get(field, everything)

    def with_interactions(self, interactions: Iterable[Interaction]) -> Architecture:
        """The same with other interactions, sorted by falling |gate|."""
        ordered = sorted(interactions, key=lambda i: -abs(i.gate))
        return Architecture.model_validate({**dict(self), "interactions": ordered})

    def to_json(self) -> str:
        """The file's text, with a line for each field, interaction and list of dimensions."""
        return _render(self.model_dump(mode="json"))

    def save(self, path: str | Path) -> Path:
        """Write the JSON file, all or nothing. Raises StorageError where it cannot be written."""
        return write_text(place(path), self.to_json())

    @classmethod
    def load(cls, path: str | Path) -> Architecture:
        """Read the JSON file, or that of the directory of a search. Raises SettingsError naming what is wrong in it."""
        path = expanded(path)
        path = path / FILE_NAME if path.is_dir() else path
        try:
            with open_regular(path) as file:
                if file.size > _MOST_BYTES:
                    raise SettingsError(f"{path} is no architecture: {file.size:,} bytes")
                text = file.read(file.size).decode("utf-8-sig")  # some editors put a byte order mark
        except FileNotFoundError:
            raise SettingsError(f"there is no architecture {path}; {_search()} writes one") from None
        except OSError as error:
            raise SettingsError(f"cannot read {path}: {error.strerror or error}") from error
        except PredictorFormatError as error:
            raise SettingsError(f"cannot read {path}: {error}") from error
        except UnicodeDecodeError:
            raise SettingsError(f"{path} is no architecture: it is not text in UTF-8") from None
        try:
            return cls.parse(text)
        except SettingsError as error:
            raise SettingsError(f"{path}: {error}") from error

    @classmethod
    def parse(cls, text: str) -> Architecture:
        """Read the JSON text. Raises SettingsError naming what is wrong in it."""
        try:
            content = parse_json(text)
        except (ValueError, RecursionError) as error:
            raise SettingsError(f"this is not JSON: {error}") from error
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise SettingsError(f'this is no architecture: "format" is not "{FORMAT}"')
        if isinstance(content.get("version"), int) and content["version"] > VERSION:
            raise SettingsError(f"version {content['version']} was written by a newer fieldwise; install that one")
        return cls.model_validate(content)

    @classmethod
    def everything(
        cls, layout: Layout, *, order: int = 2, functions: Iterable[str], embedding_dim: int, gate: float = 1.0
    ) -> Architecture:
        """Every field tuple of an order with every function.

        Raises SettingsError for more than 20,000 interactions: such a network is for a search to cut down.
        """
        functions = tuple(functions)
        count = num_tuples(len(layout), order) * len(functions)
        if count > MOST_OF_EVERYTHING:
            raise SettingsError(
                f"{count:,} interactions of {len(layout)} fields are too many to build at once; give an architecture, "
                f"such as {_search()} finds"
            )
        return cls(
            embedding_dim=embedding_dim,
            fields=summarise_fields(layout),
            interactions=tuple(
                Interaction(fields=fields, function=function, gate=gate)
                for function in functions
                for fields in combinations(layout.names, order)
            ),
        )


def summarise_fields(layout: Layout) -> dict[str, FieldSummary]:
    """The fields of a layout as an architecture has them."""
    return {field.name: FieldSummary(kind=field.kind, size=field.size) for field in layout}


def upgrade(content: Any) -> Any:
    """The JSON content of an architecture in the words of today's version.

    Args:
        content: As it was read, not validated yet.

    Returns:
        A copy in today's words for version 1; else the content as it is. What does not look like an architecture is
        left for the validation to refuse.

    Raises:
        ValueError: Where one thing is there under its old name and under today's.

    >>> upgrade({"version": 1, "positions": {"2": {}}})
    {'version': 2, 'dimensions': {'2': {}}}
    """
    if not isinstance(content, dict):
        return content
    version = content.get("version", 1 if "positions" in content else VERSION)
    if type(version) is not int or version != 1:
        return content
    if "positions" in content and "dimensions" in content:
        raise ValueError("'positions' is the old name of 'dimensions', and both are there; remove one")
    upgraded = {"dimensions" if key == "positions" else key: value for key, value in content.items()}
    upgraded["version"] = VERSION
    settings = content.get("settings")
    if isinstance(settings, dict) and isinstance(settings.get("stages"), list):
        upgraded["settings"] = {**settings, "stages": [_upgrade_stage(stage) for stage in settings["stages"]]}
    return upgraded


def _upgrade_stage(stage: Any) -> Any:
    if not isinstance(stage, dict):
        return stage
    stage = {"epochs" if key == "passes" else key: value for key, value in stage.items()}
    if "valid" not in stage and "valid_log_loss" in stage and "valid_auc" in stage:
        valid = {"log_loss": stage.pop("valid_log_loss"), "auc": stage.pop("valid_auc")}
        stage["valid"] = {} if valid["log_loss"] is None else valid
    return {**stage, "stage": "dimensions"} if stage.get("stage") == "positions" else stage


def num_tuples(fields: int, order: int) -> int:
    """The number of field tuples of an order, C(n, p): the denominator of the FI ratio."""
    return math.comb(fields, order)


def _render(value: Any, indent: int = 0) -> str:
    """JSON in which whatever fits a line stands on one."""
    line = json.dumps(value, ensure_ascii=False)
    if indent and (len(line) + indent <= 120 or not isinstance(value, dict | list) or _is_flat(value)):
        return line
    inner = " " * (indent + 2)
    if isinstance(value, dict):
        entries = [f"{inner}{json.dumps(k, ensure_ascii=False)}: {_render(v, indent + 2)}" for k, v in value.items()]
        return "{\n" + ",\n".join(entries) + "\n" + " " * indent + "}"
    return "[\n" + ",\n".join(inner + _render(entry, indent + 2) for entry in value) + "\n" + " " * indent + "]"


def _is_flat(value: Any) -> bool:
    """A list of numbers: read as one, however long."""
    return isinstance(value, list) and all(isinstance(entry, int | float) for entry in value)


def _search() -> str:
    return either(python="fieldwise.search", command="fieldwise search")
