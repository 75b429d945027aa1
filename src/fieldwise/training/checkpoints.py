"""Checkpoints: everything that a training run needs to go on as if it had never stopped.

One file holds the weights, the optimisers' moments and the states of the random generators as tensors, and the position
and history as JSON in its header; another, beside it, the weights of the best epoch. Both are safetensors. Each is
written under another name, flushed and renamed, so there is always a whole one, the old or the new.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from fieldwise.errors import TrainingError
from fieldwise.storage.atomic import write_tensors
from fieldwise.storage.tensors import read_all_tensors, read_tensor_order, read_tensors
from fieldwise.storage.untrusted import open_regular
from fieldwise.training.history import History
from fieldwise.validation import describe_any

FORMAT = "fieldwise checkpoint 3"


class TrainingState(BaseModel):
    """Where a run stands, apart from its tensors.

    Attributes:
        epoch: The one under way, from 1.
        rows: Rows of it that are done.
        step: Steps since the start of the run.
        loss_sum: Sum of the losses of those rows.
        seconds: Time spent on them.
        waited: Epochs since the best one.
        drops: Epochs that were not better than the best one before.
        history: What the run went through so far.
    """

    model_config = ConfigDict(extra="forbid", validate_assignment=False)

    epoch: int = Field(default=1, ge=1)
    rows: int = Field(default=0, ge=0)
    step: int = Field(default=0, ge=0)
    loss_sum: float = 0.0
    seconds: float = 0.0
    waited: int = Field(default=0, ge=0)
    drops: int = Field(default=0, ge=0)
    history: History = Field(default_factory=History)


class _Header(BaseModel):
    model_config = ConfigDict(extra="forbid")

    format: Literal["fieldwise checkpoint 2", "fieldwise checkpoint 3"]
    state: str


def write_checkpoint(path: Path, state: TrainingState, tensors: dict[str, Tensor]) -> None:
    """Write a checkpoint in place of the one that may be there, all or nothing.

    Args:
        path: Its file.
        state: Where the run stands.
        tensors: Weights, moments and the states of random generators by name.

    Raises:
        StorageError: Where it cannot be written; what was there before is then untouched.
    """
    write_tensors(path, tensors, {"format": FORMAT, "state": state.model_dump_json()})


def read_checkpoint(path: Path) -> tuple[TrainingState, dict[str, Tensor]]:
    """Read a checkpoint.

    Returns:
        What `write_checkpoint` was given.

    Raises:
        TrainingError: Where it is missing or not whole.
    """
    with _blaming(path):
        with open_regular(path) as file:
            metadata, tensors = read_all_tensors(file)
        header = _Header.model_validate(metadata)
        if header.format == FORMAT:
            return TrainingState.model_validate_json(header.state), tensors
        return TrainingState.model_validate(_upgrade(json.loads(header.state))), tensors


def _upgrade(state: Any) -> Any:
    """The state of format 2, which recorded the metrics of clicks by fixed names; what looks different is refused."""
    history = state.get("history") if isinstance(state, dict) else None
    records = history.get("records") if isinstance(history, dict) else None
    for record in records if isinstance(records, list) else []:
        if isinstance(record, dict) and "valid_log_loss" in record and "valid_auc" in record:
            valid = {"log_loss": record.pop("valid_log_loss"), "auc": record.pop("valid_auc")}
            record["valid"] = {} if valid["log_loss"] is None else valid
    return state


class BestWeights:
    """The weights of the best epoch so far: in a file beside the checkpoint, in memory where there is none.

    A file for each epoch, so that the one that a checkpoint means is there until the next checkpoint is written.

    Args:
        checkpoint: Its file; None for none.
    """

    def __init__(self, checkpoint: Path | None) -> None:
        self._checkpoint = checkpoint
        self._held: dict[str, Tensor] = {}

    def keep(self, epoch: int, weights: dict[str, Tensor]) -> None:
        """Keep a copy of an epoch's weights.

        Raises:
            StorageError: Where it cannot be written.
        """
        if self._checkpoint is None:
            self._held = {name: weight.detach().clone() for name, weight in weights.items()}
        else:
            write_tensors(self._path(epoch), weights)

    def restore(self, epoch: int, weights: dict[str, Tensor]) -> None:
        """Fill `weights` with what was kept, straight from the file: a large table is not held twice.

        Raises:
            TrainingError: Where the file is missing or not whole.
        """
        if self._checkpoint is None:
            for name, weight in weights.items():
                weight.copy_(self._held[name])
            return
        path = self._path(epoch)
        with _blaming(path), open_regular(path) as file:
            on_cpu = {name: weight.cpu() for name, weight in weights.items()}  # the same tensor on the CPU
            read_tensors(file, on_cpu, read_tensor_order(file, on_cpu))
        for name, weight in weights.items():
            if on_cpu[name] is not weight:
                weight.copy_(on_cpu[name])

    def remove_others(self, epoch: int | None) -> None:
        """Remove what no checkpoint means any more."""
        if self._checkpoint is not None:
            for path in self._checkpoint.parent.glob("best-*.safetensors"):
                if epoch is None or path != self._path(epoch):
                    path.unlink(missing_ok=True)

    def _path(self, epoch: int) -> Path:
        assert self._checkpoint is not None
        return self._checkpoint.with_name(f"best-{epoch}.safetensors")


@contextmanager
def _blaming(path: Path) -> Iterator[None]:
    """Says whatever is wrong with a checkpoint as a TrainingError that names it."""
    try:
        yield
    except FileNotFoundError:
        raise TrainingError(f"there is no checkpoint {path}") from None
    except (OSError, ValueError) as error:
        raise TrainingError(f"the checkpoint {path} cannot be read: {describe_any(error)}") from error
