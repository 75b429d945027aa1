"""Built-in data sets by name: `names()`, `is_built_in(source)`, `describe(name)`, `load_dataset(name)`.

`make_click_log` and `make_search_log` make synthetic ones to measure, of which it is known what matters.

Each loader is a function with keyword-only arguments, which are its options. The modules behind the loaders are
imported when a loader runs, never before.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from fieldwise.datasets.examples import EXAMPLES, explain
from fieldwise.errors import DataError, SettingsError, suggest

if TYPE_CHECKING:
    from fieldwise.datasets.base import NamedDataset
    from fieldwise.datasets.synthetic import make_click_log, make_search_log
    from fieldwise.datasets.worlds import SyntheticClickLog

__all__ = [
    "NamedDataset",
    "SyntheticClickLog",
    "describe",
    "is_built_in",
    "load_dataset",
    "make_click_log",
    "make_search_log",
    "names",
]

_HOMES = {
    "NamedDataset": "fieldwise.datasets.base",
    "SyntheticClickLog": "fieldwise.datasets.worlds",
    "make_click_log": "fieldwise.datasets.synthetic",
    "make_search_log": "fieldwise.datasets.synthetic",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'fieldwise.datasets' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__


def names() -> tuple[str, ...]:
    """The names of the built-in data sets.

    Example:
        >>> names()
        ('movielens-1m', 'movielens-1m-ids', 'synthetic')
    """
    return tuple(_ENTRIES)


def is_built_in(source: object) -> bool:
    """Whether a source means a built-in data set: its name, unless a file of that name lies here.

    The names of examples are taken for built-in ones, and answered by `load_dataset` with where to get them.

    Args:
        source: anything that `fieldwise.train` takes.

    Returns:
        True for the name of a data set, as text.

    Example:
        >>> is_built_in("synthetic"), is_built_in("clicks.csv")
        (True, False)
    """
    if not isinstance(source, str):
        return False
    here = Path(source)
    return (source in _ENTRIES and not here.is_file()) or (source in EXAMPLES and not here.exists())


def describe(name: str) -> str:
    """One sentence on a data set, then the options of its loader.

    Args:
        name: of the data set.

    Returns:
        The sentences.

    Raises:
        DataError: there is no data set of that name.

    Example:
        >>> print(describe("synthetic"))
        Synthetic click log with planted pairs and a planted triple of fields, split 80/10/10. Options: num_rows=200000,
        seed=0.
    """
    entry = _entry(name)
    options = [f"{option.name}={option.default!r}" for option in _options(entry).values()]
    return f"{entry.description} Options: {', '.join(options)}."


def load_dataset(name: str, *, options: Mapping[str, Any] | None = None) -> NamedDataset:
    """Load a data set by name: its table, schema and split.

    Args:
        name: of the data set.
        options: the loader's own, as `describe(name)` lists them; None: their defaults.

    Returns:
        The data set.

    Raises:
        DataError: there is no data set of that name, or its data cannot be read.
        SettingsError: its loader has no such option.

    Example:
        >>> dataset = load_dataset("synthetic", options={"num_rows": 100})
        >>> dataset.table.num_rows, dataset.schema.label, len(dataset.split.train)
        (100, 'click', 80)
    """
    entry = _entry(name)
    options = options or {}
    loader_options = _options(entry)
    for option in options:
        if option not in loader_options:
            raise SettingsError(f"data set '{name}' has no option '{option}'; {suggest(option, loader_options)}")
    return entry.load(**options)


class _Entry(NamedTuple):
    description: str
    load: Callable[..., NamedDataset]


def _entry(name: str) -> _Entry:
    if name in EXAMPLES:
        raise DataError(explain(name))
    if name not in _ENTRIES:
        raise DataError(f"unknown data set '{name}'; {suggest(name, _ENTRIES)}")
    return _ENTRIES[name]


def _options(entry: _Entry) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(entry.load).parameters


def _movielens(*, directory: str | Path | None = None, download: bool = False) -> NamedDataset:
    from fieldwise.datasets import movielens

    return movielens.load(None if directory is None else Path(directory), download=download)


def _movielens_ids(*, directory: str | Path | None = None, download: bool = False) -> NamedDataset:
    from fieldwise.datasets import movielens

    where = None if directory is None else Path(directory)
    return movielens.load(where, user_id=True, movie_id=True, download=download)


def _synthetic(*, num_rows: int = 200_000, seed: int = 0) -> NamedDataset:
    import numpy as np

    from fieldwise.data.splits import split_rows
    from fieldwise.datasets.base import NamedDataset
    from fieldwise.datasets.synthetic import make_click_log

    log = make_click_log(num_rows, seed=seed)
    return NamedDataset(
        name="synthetic",
        table=log.table,
        schema=log.schema,
        split=split_rows(num_rows, seed=seed, strata=np.where(log.table[log.schema.label].to_numpy() > 0, 0, 1)),
        notes=(f"synthetic rows: the best AUC to expect of any model is {log.bayes_auc:.4f}",),
    )


_ENTRIES = {
    "movielens-1m": _Entry(
        "MovieLens-1M with the fields and the split of the AutoInt paper: 739,012 ratings above or below 3.",
        _movielens,
    ),
    "movielens-1m-ids": _Entry(
        "MovieLens-1M as in 'movielens-1m', with the user and the movie id as two more fields in front.",
        _movielens_ids,
    ),
    "synthetic": _Entry(
        "Synthetic click log with planted pairs and a planted triple of fields, split 80/10/10.", _synthetic
    ),
}
