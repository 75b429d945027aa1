"""The files of a comparison: comparison.json, .csv and .md, and pictures where matplotlib is there."""

from __future__ import annotations

import json
from pathlib import Path

from fieldwise.comparison.comparison import Comparison
from fieldwise.comparison.pictures import draw
from fieldwise.errors import SettingsError
from fieldwise.storage.atomic import write_text
from fieldwise.storage.places import expanded, place
from fieldwise.validation import describe_any


def write(comparison: Comparison, directory: str | Path) -> list[Path]:
    """Write tables and pictures.

    Args:
        comparison: what came of it.
        directory: where; made where it is missing.

    Returns:
        The files.

    Raises:
        StorageError: the directory cannot be written to.

    Example:
        >>> rows = {"train": 80, "valid": 10, "test": 10}
        >>> comparison = Comparison(source="clicks.csv", rows=rows, split_seed=0, base="lr", ours=[], order=["lr"])
        >>> [path.name for path in write(comparison, "figures")][:3]
        ['comparison.json', 'comparison.csv', 'comparison.md']
        >>> read("figures") == comparison
        True
    """
    directory = place(directory)
    texts = {
        "comparison.json": comparison.to_json() + "\n",
        "comparison.csv": comparison.to_csv(),
        "comparison.md": comparison.to_markdown(),
    }
    written = [write_text(directory / name, text) for name, text in texts.items()]
    return [*written, *draw(comparison, directory)]


def read(directory: str | Path) -> Comparison:
    """The comparison that `write`, or `fieldwise.compare(out=...)`, has written into a directory.

    Args:
        directory: where.

    Returns:
        The comparison.

    Raises:
        SettingsError: there is none, or it cannot be read.

    Example:
        >>> read("nowhere")
        Traceback (most recent call last):
        fieldwise.errors.SettingsError: nowhere holds no comparison (comparison.json is missing)
    """
    path = expanded(directory) / "comparison.json"
    try:
        return Comparison.model_validate(json.loads(path.read_text(encoding="utf-8"))["comparison"])
    except FileNotFoundError:
        raise SettingsError(f"{directory} holds no comparison ({path.name} is missing)") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SettingsError(f"{path} cannot be read: {describe_any(error, Comparison)}") from error
