"""The directory of a comparison: what is done there stays done.

rows.json                    which rows are compared on
runs/NAME_seedN.json         a finished run, with all of its settings
runs/NAME_seedN.unfinished   the checkpoint of the run under way
tuning/NAME/trials.json      what tuning has tried
comparison.md .csv .json     the tables, written anew after every run
lock                         held while a process works there
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, ValidationError

from fieldwise.comparison.results import Run
from fieldwise.errors import FieldwiseError, SettingsError
from fieldwise.preparation import Prepared
from fieldwise.schema import Schema
from fieldwise.settings import DataSettings, Settings
from fieldwise.storage import lock
from fieldwise.storage.atomic import is_leftover, make_folder, write_text
from fieldwise.validation import describe_any

Record = TypeVar("Record", bound=BaseModel)


class RowsRecord(BaseModel):
    """The rows that all runs in a directory have in common. digest: of the encoded rows, by part."""

    model_config = ConfigDict(extra="forbid")

    source: str
    seed: int
    schema_: Schema
    data: DataSettings
    digest: dict[str, str]


class Storage:
    """The directory of a comparison, at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._runs = path / "runs"

    @contextmanager
    def held(self, *, overwrite: bool) -> Iterator[None]:
        """Hold the directory for this process; `overwrite` empties it of an earlier comparison first.

        Raises StorageError where another process holds it or it cannot be written to, and SettingsError where it holds
        something else.
        """
        rows = self.path / "rows.json"
        if (
            self.path.exists()
            and not rows.exists()
            and any(p.name != lock.NAME and not is_leftover(p) for p in self.path.iterdir())
        ):
            raise SettingsError(f"{self.path} holds something that is no comparison; choose another place")
        with lock.hold(self.path):
            if overwrite:
                rows.unlink(missing_ok=True)
                for folder in (self._runs, self.path / "tuning"):
                    shutil.rmtree(folder, ignore_errors=True)
            yield

    def require_same_rows(self, prepared: Prepared, schema: Schema, data: DataSettings, seed: int) -> None:
        """Write down which rows are compared on, or check that they are as before. Raises SettingsError."""
        record = RowsRecord(
            source=prepared.data.source,
            seed=seed,
            schema_=schema,
            data=data,
            digest={part: rows.digest() for part, rows in prepared.parts.items()},
        )
        path = self.path / "rows.json"
        if not path.exists():
            _write(path, record)
            return
        before = _read(path, RowsRecord)
        for name, what in (
            ("seed", "with another seed for the split"),
            ("data", "with other data settings"),
            ("schema_", "with another schema"),
            ("digest", "on other rows"),
        ):
            if getattr(before, name) != getattr(record, name):
                raise SettingsError(
                    f"{self.path} holds a comparison {what}; choose another place, or begin anew with --overwrite"
                )

    def tuning(self, contender: str) -> Path:
        """The folder of a contender's trials."""
        path = self.path / "tuning" / _file_name(contender)
        return make_folder(path)

    def workspace(self, contender: str, seed: int) -> Workspace:
        """Where the run under way keeps its checkpoint."""
        return Workspace(self._runs / f"{_file_name(contender)}_seed{seed}.unfinished")

    def read_run(self, contender: str, seed: int, wanted: Mapping[str, Any]) -> Run | None:
        """A finished run; None where there is none or it failed.

        Raises SettingsError where it was made with other settings than are wanted. What is wanted as `auto` is as it
        came to.
        """
        path = self._run_file(contender, seed)
        if not path.exists():
            return None
        run = _read(path, Run)
        if run.error is not None:
            return None
        before, now = _flat(run.settings), _flat(wanted)
        if now.get("model_settings.architecture", "") is None:
            before["model_settings.architecture"] = None  # the run has searched, as is wanted
            if now.get("search.time_budget") is not None:
                before["training.epochs"] = now.get("training.epochs")  # as many as the time has left
        for name in sorted(before.keys() | now.keys()):
            if now.get(name) != "auto" and before.get(name) != now.get(name) and not _is_limit(name, before, now):
                raise SettingsError(
                    f"{path} was made with {name} = {before.get(name)!r}, and now {now.get(name)!r} is wanted: remove "
                    "the file to have the run made again, give the contender another name, or choose another place"
                )
        return run

    def write_run(self, run: Run) -> None:
        """Keep a finished run."""
        _write(self._run_file(run.contender, run.seed), run)

    def _run_file(self, contender: str, seed: int) -> Path:
        return self._runs / f"{_file_name(contender)}_seed{seed}.json"


class Workspace:
    """A directory for the checkpoint of one training run."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.checkpoint = path / "state.safetensors"
        self.search = path / "search"

    def begin(self, settings: Settings) -> None:
        """Make the directory. What an earlier run with other settings has left there is removed.

        Raises StorageError where it cannot be written to.
        """
        record = self._path / "settings.json"
        if record.exists() and record.read_text(encoding="utf-8") != settings.model_dump_json():
            self.remove()
        write_text(record, settings.model_dump_json())

    def remove(self) -> None:
        """Remove the directory: the run is done."""
        shutil.rmtree(self._path, ignore_errors=True)


def _file_name(name: str) -> str:
    """A contender's name as part of a file name; different names stay apart."""
    return quote(name, safe="+")


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by dotted name, sections opened."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, dict):
            flat |= {f"{name}.{key}": entry for key, entry in value.items()}
        else:
            flat[name] = value
    return flat


def _is_limit(name: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether a micro-batch differs only in that it was cut to the batch."""
    return name == "training.micro_batch" and before.get(name) == now.get("training.batch_size")


def _read(path: Path, kind: type[Record]) -> Record:
    try:
        return kind.model_validate_json(path.read_bytes())
    except (OSError, ValidationError, FieldwiseError) as error:
        raise SettingsError(
            f"{path} cannot be read: {describe_any(error, kind)}; remove it to go on without"
        ) from error


def _write(path: Path, record: BaseModel) -> None:
    write_text(path, record.model_dump_json(indent=1))
