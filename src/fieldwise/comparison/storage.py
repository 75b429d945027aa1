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
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, ValidationError

from fieldwise.comparison.results import Run
from fieldwise.errors import FieldwiseError, SettingsError
from fieldwise.preparation import Prepared
from fieldwise.recipes import RunDirectory
from fieldwise.recipes.run_directory import binding_settings
from fieldwise.schema import Schema
from fieldwise.settings import DataSettings, Settings
from fieldwise.storage import lock
from fieldwise.storage.atomic import is_leftover, make_folder, require_writable, write_text
from fieldwise.validation import describe_any
from fieldwise.wording import argument

Record = TypeVar("Record", bound=BaseModel)


class RowsRecord(BaseModel):
    """The rows that all runs in a directory have in common.

    Attributes:
        source: their name.
        seed: of the split.
        schema_: the fields and the columns with a role.
        data: how rows were split and tokens became ids.
        objective: what the label is, by name.
        digest: of the encoded rows, by part.
    """

    model_config = ConfigDict(extra="forbid")

    source: str
    seed: int
    schema_: Schema
    data: DataSettings
    objective: str = "binary"
    digest: dict[str, str]


class Storage:
    """The directory of a comparison.

    Args:
        path: where.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._runs = path / "runs"

    def require_usable(self) -> None:
        """Refuse, before any rows are read, a place where no comparison can be.

        Raises:
            StorageError: it cannot be written to.
            SettingsError: it holds something else.
        """
        require_writable(self.path, directory=True)
        if (
            self.path.exists()
            and not (self.path / "rows.json").exists()
            and any(p.name != lock.NAME and not is_leftover(p) for p in self.path.iterdir())
        ):
            raise SettingsError(f"{self.path} holds something that is no comparison; choose another place")

    @contextmanager
    def held(self, *, overwrite: bool) -> Iterator[None]:
        """Hold the directory for this process.

        Args:
            overwrite: empty it of an earlier comparison first.

        Raises:
            StorageError: another process holds it, or it cannot be written to.
            SettingsError: it holds something else.
        """
        self.require_usable()
        with lock.hold(self.path):
            if overwrite:
                (self.path / "rows.json").unlink(missing_ok=True)
                for folder in (self._runs, self.path / "tuning"):
                    shutil.rmtree(folder, ignore_errors=True)
            yield

    def require_same_rows(self, prepared: Prepared, data: DataSettings, seed: int) -> None:
        """Write down which rows are compared on, or check that they are as before.

        Args:
            prepared: the rows.
            data: how they were split and encoded.
            seed: of the split.

        Raises:
            SettingsError: they are not; the message says in what.
        """
        record = RowsRecord(
            source=prepared.data.source,
            seed=seed,
            schema_=prepared.schema,
            data=data,
            objective=prepared.objective.name,
            digest=prepared.digest,
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
            ("objective", "with another objective"),
            ("digest", "on other rows"),
        ):
            if getattr(before, name) != getattr(record, name):
                raise SettingsError(
                    f"{self.path} holds a comparison {what}; choose another place, or begin anew with "
                    f"{argument('overwrite', True)}"
                )

    def tuning(self, contender: str) -> Path:
        """The folder of a contender's trials, made where it is missing."""
        path = self.path / "tuning" / _file_name(contender)
        return make_folder(path)

    def run_directory(self, contender: str, seed: int) -> RunDirectory:
        """Where the run under way keeps its checkpoint."""
        return RunDirectory(self._runs / f"{_file_name(contender)}_seed{seed}.unfinished")

    def read_run(self, contender: str, seed: int, settings: Settings) -> Run | None:
        """A finished run.

        Args:
            contender: by name.
            seed: of the run.
            settings: that it is wanted with; what is `auto` in them is as it came to.

        Returns:
            The run; None where there is none, it failed, or it would go on for longer or shorter now.

        Raises:
            SettingsError: it was made with other settings than these.
        """
        path = self._run_file(contender, seed)
        if not path.exists():
            return None
        run = _read(path, Run)
        if run.error is not None:
            return None
        try:
            before = Settings.model_validate(run.settings)
        except (ValidationError, FieldwiseError) as error:
            raise SettingsError(f"{path} cannot be read: {error}; remove it to go on without") from error
        for name, then, now in _differences(before, settings):
            raise SettingsError(
                f"{path} was made with {name} = {then!r}, and now {now!r} is wanted: remove "
                "the file to have the run made again, give the contender another name, or choose another place"
            )
        return run if _would_end_alike(run, before, settings) else None

    def write_run(self, run: Run) -> None:
        """Keep a finished run."""
        _write(self._run_file(run.contender, run.seed), run)

    def _run_file(self, contender: str, seed: int) -> Path:
        return self._runs / f"{_file_name(contender)}_seed{seed}.json"


def _file_name(name: str) -> str:
    """A contender's name as part of a file name; different names stay apart."""
    return quote(name, safe="+")


def _differences(before: Settings, now: Settings) -> Iterator[tuple[str, Any, Any]]:
    """The settings that bind steps already taken and are not as before: name, then, now."""
    then, today = binding_settings(before), binding_settings(now)
    if now.wants_search:
        then["model.architecture"] = None  # the run has searched, as is wanted
        if now.search is not None and now.search.time_budget is not None:
            then["training.epochs"] = today.get("training.epochs")  # as many as the time has left
    part, batch = today.get("training.micro_batch"), then.get("training.batch_size")
    if isinstance(part, int) and isinstance(batch, int):
        today["training.micro_batch"] = min(part, batch)  # as `settle` cuts it
    for name in sorted(then.keys() | today.keys()):
        if today.get(name) != "auto" and then.get(name) != today.get(name):
            yield name, then.get(name), today.get(name)


def _would_end_alike(run: Run, before: Settings, now: Settings) -> bool:
    """Whether a finished run would end after the same epoch with the settings that are wanted now."""
    if run.history is None or now.training.patience != before.training.patience:
        return now.training.patience == before.training.patience
    if now.training.epochs == before.training.epochs or (now.search is not None and now.search.time_budget is not None):
        return True
    return run.history.ended == "early stop" and now.training.epochs >= run.epochs


def _read(path: Path, kind: type[Record]) -> Record:
    try:
        return kind.model_validate_json(path.read_bytes())
    except (OSError, ValidationError, FieldwiseError) as error:
        raise SettingsError(
            f"{path} cannot be read: {describe_any(error, kind)}; remove it to go on without"
        ) from error


def _holds(record: Path, settings: Settings) -> bool:
    try:
        return Settings.model_validate_json(record.read_bytes()) == settings
    except (OSError, FieldwiseError):
        return False


def _write(path: Path, record: BaseModel) -> None:
    write_text(path, record.model_dump_json(indent=1))
