"""Which files a source names: a file, a directory with all its files, or a pattern.

directories      are gone through with what is below them, in the order of the names
left out         names that begin with `_` or `.`, names that end in `.crc`, and files without content
name=value       a directory called so (Hive, Spark) makes a column of text for the files below it, unless they have
                 one of that name; percent signs are undone, `__HIVE_DEFAULT_PARTITION__` is missing
* ? [abc] **     where no file is called so: all that match, in the order of the names
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa

from fieldwise.columns.files import form_of, opened_file
from fieldwise.errors import DataError
from fieldwise.storage.places import expanded, is_predictor

_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True)
class DataFile:
    """A file of rows.

    Attributes:
        path: of the file, or "-" for standard input.
        partitions: the columns that the names of its directories make.
    """

    path: str | Path
    partitions: Mapping[str, str | None] = field(default_factory=dict)

    def with_partitions(self, table: pa.Table) -> pa.Table:
        """Some rows of the file with the columns that its directories make, at the end."""
        for name, value in self.partitions.items():
            if name not in table.column_names:
                table = table.append_column(name, pa.repeat(pa.scalar(value, pa.string()), table.num_rows))
        return table


def find_files(source: str | Path | Sequence[str | Path]) -> list[DataFile]:
    """The files that a source names.

    Args:
        source: a path, a directory, a pattern, "-" for standard input, or several of these.

    Returns:
        At least one file. That a file is there is only known of those found in directories and by patterns.

    Raises:
        DataError: there is none, or the files of a directory are of different forms.

    Example:
        >>> [file.path for file in find_files(["clicks.csv", "-"])]
        ['clicks.csv', '-']
        >>> dict(find_files("clicks/day=2026-01-31/part-0.csv")[0].partitions)
        {'day': '2026-01-31'}
    """
    parts = [source] if isinstance(source, str | Path) else source
    if not parts:
        raise DataError("no source was given")
    return [DataFile(path, _partitions(path)) for part in parts for path in _paths(part)]


def _paths(part: str | Path) -> list[str | Path]:
    if str(part) == "-":
        return [part]
    path = expanded(part)
    if path.is_dir():
        return list(_of_directory(part, path))
    if not glob.has_magic(str(part)) or path.exists():
        return [part]
    found = [Path(match) for match in sorted(glob.glob(str(path), recursive=True))]  # noqa: PTH207 (a pattern may begin at the root)
    files = [file for match in found for file in (_below(match) if match.is_dir() else [match]) if _is_data(file)]
    if not files:
        raise DataError(f"{part}: no file matches")
    return list(dict.fromkeys(files))  # `**` finds a directory and what is in it


def _of_directory(part: str | Path, path: Path) -> list[Path]:
    if is_predictor(path):
        raise DataError(f"{part}: this is a saved model, where rows are expected; name a file or directory of rows")
    files = [file for file in _below(path) if _is_data(file)]
    if not files:
        raise DataError(f"{part}: there is no data file in this directory")
    first = _form(files[0])
    for file in files[1:]:
        if (form := _form(file)) != first:
            raise DataError(f"{part}: {files[0]} is {first}, but {file} is {form}; name the files to be read")
    return files


def _form(path: Path) -> str:
    with opened_file(path) as (file, _):
        return form_of(file)


def _below(path: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(path):
        folders[:] = sorted(name for name in folders if _is_shown(name))
        yield from (Path(folder, name) for name in sorted(files) if _is_shown(name))


def _is_shown(name: str) -> bool:
    return not name.startswith(("_", ".")) and not name.endswith(".crc")


def _is_data(path: Path) -> bool:
    return _is_shown(path.name) and path.stat().st_size > 0


def _partitions(path: str | Path) -> dict[str, str | None]:
    pairs = [name.split("=", 1) for name in Path(path).parts[:-1] if "=" in name.lstrip("=")]
    return {unquote(name): None if value == _NO_VALUE else unquote(value) for name, value in pairs}
