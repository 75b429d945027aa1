"""Data sets that are examples only: their terms leave it to everybody to get them.

`examples/NAME.toml` has a schema, and the command that trains with it.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from fieldwise.datasets.folder import ENVIRONMENT, data_folder


class Example(NamedTuple):
    """Where the rows are to lie, and where they are from.

    Attributes:
        path: of a sample of the rows, in the folder of raw data sets.
        lines: of the original that are the sample.
        original: the file that is published.
        site: who publishes it.
    """

    path: str
    lines: int
    original: str
    site: str


EXAMPLES = {
    "criteo": Example(
        "criteo/train_10k.txt", 10_000, "train.txt", "https://www.kaggle.com/c/criteo-display-ad-challenge"
    ),
    "avazu": Example("avazu/train_10k.csv", 10_000, "train", "https://www.kaggle.com/c/avazu-ctr-prediction"),
}


def explain(name: str) -> str:
    """What somebody needs to know who takes an example for a built-in data set.

    Args:
        name: of the example.

    Returns:
        A sentence that names the file, where to get it and where to put it, and what to do then.
    """
    example, folder = EXAMPLES[name], data_folder()
    path = (Path(f"${ENVIRONMENT}") if folder is None else folder) / example.path
    if path.exists():
        state = f"its rows are there ({path})"
    else:
        unset = f" ({ENVIRONMENT}, the folder of raw data sets, is not set)" if folder is None else ""
        state = (
            f"{path} is missing{unset}; put the first {example.lines:,} lines of '{example.original}' there, which "
            f"{example.site} has"
        )
    return f"'{name}' is no built-in data set but an example: {state}; the command stands in examples/{name}.toml"
