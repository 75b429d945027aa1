"""The directory of one training run while it lasts, with all that a resumed run needs.

run.json            what was asked and decided: sources, schema, settings, and a digest of the encoded rows
state.safetensors   the last checkpoint
search/             of a model that searches first: what its stages have found, and their checkpoint
lock                held while a process works on the run

Beside a predictor that is being trained it is `MODEL.unfinished`; a comparison has one for the run under way.
"""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from fieldwise.environment import Environment
from fieldwise.errors import FieldwiseError, StorageError, TrainingError
from fieldwise.preparation.records import ColumnRecord
from fieldwise.schema import Schema
from fieldwise.settings import Settings
from fieldwise.storage import lock
from fieldwise.storage.atomic import require_writable, write_text
from fieldwise.storage.places import unfinished
from fieldwise.validation import describe_any
from fieldwise.wording import argument, either


class RunRecord(BaseModel):
    """What a training run was asked for and what it decided.

    Attributes:
        source: an absolute path, several, or the name of a built-in data set; None where rows came from memory or from
            standard input.
        valid: the same, of validation rows of their own.
        test: the same, of test rows of their own.
        names: column names of a text file without a header line.
        separator: what separates the cells of a text file, where it was given.
        schema_: the fields and the columns with a role.
        columns: what inference decided about each column.
        settings: as they were settled.
        digest: of the encoded training and validation rows, by part.
        environment: where the run began; with another number of threads a resumed run is as good, but not equal to the
            last bit.
    """

    model_config = ConfigDict(extra="forbid")

    source: str | list[str] | None = None
    valid: str | list[str] | None = None
    test: str | list[str] | None = None
    names: list[str] | None = None
    separator: str | None = None
    schema_: Schema
    columns: list[ColumnRecord] = []
    settings: Settings
    digest: dict[str, str]
    environment: Environment

    @field_validator("settings", mode="before")
    @classmethod
    def _complete(cls, settings: Any) -> Any:
        """A run that began before there were fused kernels goes on without them."""
        if isinstance(settings, dict) and isinstance(settings.get("training"), dict):
            settings["training"].setdefault("kernels", "torch")
        return settings


class RunDirectory:
    """The directory of a run.

    Args:
        path: where.
        model: the predictor that it is for, which messages name; default: the directory.

    Attributes:
        checkpoint: the file of the last one.
        search: the folder of a search's stages.

    Example:
        >>> RunDirectory.beside(Path("model")).path.name
        'model.unfinished'
    """

    def __init__(self, path: Path, *, model: Path | None = None) -> None:
        self.path = path
        self.model = model or path
        self.checkpoint = path / "state.safetensors"
        self.search = path / "search"
        self._record = path / "run.json"

    @classmethod
    def beside(cls, model: Path) -> RunDirectory:
        """The directory beside a predictor while it is trained.

        Args:
            model: where the predictor will be.

        Returns:
            The directory, which need not be there yet.

        Raises:
            StorageError: `model` has no name of its own, as `/` and `.` have none.
        """
        if not model.name:
            raise StorageError(f"cannot write {model}: name a directory that is to be", errno.EEXIST, str(model))
        return cls(unfinished(model), model=model)

    @contextmanager
    def held(self, *, resume: bool, overwrite: bool) -> Iterator[None]:
        """Hold the run for this process.

        An unfinished run is neither forgotten nor taken up without being asked.

        Args:
            resume: whether to go on with the run that lies here.
            overwrite: whether to forget it.

        Raises:
            StorageError: another process holds it, or it cannot be written.
            TrainingError: its state differs from what is wanted.
        """
        require_writable(self.path, directory=True)
        existed = self._record.exists()
        if resume and not existed:
            raise TrainingError(f"{self._nothing_to_resume()}; train without {argument('resume', True)}")
        if self._has_begun() and not resume and not overwrite and not lock.is_held(self.path):
            going_on = either(
                python=f'fieldwise.resume("{self.model}")', command=f"fieldwise train --resume {self.model}"
            )
            raise TrainingError(
                f"an unfinished run lies in {self.path}: go on with it ({going_on}), or start anew with "
                f"{argument('overwrite', True)}"
            )
        busy = f"{self.model} is being written by another process; wait for it or choose another name"
        began = False
        try:
            with lock.hold(self.path, busy=busy):
                began = True
                if existed and not resume:
                    self._clear()
                yield
        finally:
            # A run that never came to its first checkpoint has nothing to go on from.
            if began and not self._has_begun():
                self.remove()

    def begin_or_go_on(self, record: RunRecord) -> None:
        """Go on with the run that lies here where it is the same one; else forget it and begin anew.

        Args:
            record: what is asked for now.

        Raises:
            StorageError: the record cannot be written.
        """
        try:
            require_same(self.read(), record)
        except TrainingError:
            self._clear()
        self.write(record)

    def write(self, record: RunRecord) -> None:
        """Write down what was asked.

        Args:
            record: all of it.

        Raises:
            StorageError: it cannot be written.
        """
        write_text(self._record, record.model_dump_json(indent=2))

    def read(self) -> RunRecord:
        """What was asked.

        Returns:
            All of it.

        Raises:
            TrainingError: the record is missing or not whole.
        """
        try:
            return RunRecord.model_validate_json(self._record.read_bytes())
        except FileNotFoundError:
            raise TrainingError(self._nothing_to_resume()) from None
        except (OSError, ValidationError, FieldwiseError) as error:
            raise TrainingError(f"{self._record} cannot be read: {describe_any(error, RunRecord)}") from error

    def remove(self) -> None:
        """Remove the directory: the run is done."""
        shutil.rmtree(self.path, ignore_errors=True)

    def _has_begun(self) -> bool:
        """Whether there is something that another run would lose."""
        return self._record.exists() and (self.checkpoint.exists() or any(self.search.glob("**/*")))

    def _nothing_to_resume(self) -> str:
        why = "holds none: it was stopped too early" if self.path.exists() else "is missing"
        return f"there is no unfinished run beside {self.model} ({self.path} {why})"

    def _clear(self) -> None:
        self.checkpoint.unlink(missing_ok=True)
        shutil.rmtree(self.search, ignore_errors=True)
        self._record.unlink(missing_ok=True)


def require_same(then: RunRecord, now: RunRecord) -> None:
    """Refuse to go on where steps already taken would have been others.

    Args:
        then: what the run was asked for when it began.
        now: what is asked for now.

    Raises:
        TrainingError: something is not as it was; the message names it.
    """
    for what, before, after in (
        ("setting", binding_settings(then.settings), binding_settings(now.settings)),
        ("the schema's", _schema_by_name(then.schema_), _schema_by_name(now.schema_)),
    ):
        for name in sorted(before.keys() | after.keys()):
            if before.get(name) != after.get(name):
                raise TrainingError(
                    f"cannot resume: {what} '{name}' was {before.get(name)} and is {after.get(name)}; "
                    f"say it as before, or start anew with {argument('overwrite', True)}"
                )
    for part in ("train", "valid"):
        if then.digest.get(part) != now.digest.get(part):
            raise TrainingError(
                f"cannot resume: the {'training' if part == 'train' else 'validation'} rows are not those that the "
                f"run began with; restore the data, or start anew with {argument('overwrite', True)}"
            )


def binding_settings(settings: Settings) -> dict[str, Any]:
    """The settings on which steps already taken depend.

    How long training goes on, when it is checked and how memory is handled are not among them; the number of epochs
    is where the learning rate falls over all of them, or a time budget was shared out by it.

    Args:
        settings: of a run.

    Returns:
        Values by the dotted name that users know.
    """
    named = settings.by_name()
    for name in ("patience", "checkpoint_minutes", "allocator"):
        named.pop(f"training.{name}")
    if settings.training.schedule in ("constant", "plateau") and (
        settings.search is None or settings.search.time_budget is None
    ):
        named.pop("training.epochs")
    return named


def _schema_by_name(schema: Schema) -> dict[str, Any]:
    """The roles and fields of a schema by name."""
    entries = schema.model_dump(mode="json", exclude_defaults=True)
    fields = {f"field {name}": {"kind": s.kind, **entries["fields"][name]} for name, s in schema.fields.items()}
    return {name: value for name, value in entries.items() if name != "fields"} | fields
