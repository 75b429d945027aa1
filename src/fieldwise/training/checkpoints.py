"""Checkpoints: everything that a training run needs to go on as if it had never stopped, in one file.

The file is safetensors: the weights, the best weights so far, the optimiser's moments and the states of the random
generators as tensors, and the position and history as JSON in its header. It is written under another name, flushed
and renamed, so there is always one whole checkpoint, the old or the new.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from fieldwise.errors import TrainingError
from fieldwise.training.history import History

FORMAT = "fieldwise checkpoint 1"


class TrainingState(BaseModel):
    """Where a run stands, apart from its tensors.

    epoch: the one under way, from 1. rows: rows of it that are done. step: steps since the start of the run.
    loss_sum: sum of the losses of those rows. seconds: time spent on them. waited: epochs since the best one.
    """

    model_config = ConfigDict(extra="forbid", validate_assignment=False)

    epoch: int = Field(default=1, ge=1)
    rows: int = Field(default=0, ge=0)
    step: int = Field(default=0, ge=0)
    loss_sum: float = 0.0
    seconds: float = 0.0
    waited: int = Field(default=0, ge=0)
    history: History = Field(default_factory=History)


class _Header(BaseModel):
    model_config = ConfigDict(extra="forbid")

    format: Literal["fieldwise checkpoint 1"]
    state: str


def write_checkpoint(path: Path, state: TrainingState, tensors: dict[str, Tensor]) -> None:
    """Write a checkpoint in place of the one that may be there, all or nothing.

    Raises TrainingError where it cannot be written; what was there before is then untouched.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    work = path.with_name(f".{path.name}.new")
    try:
        save_file(
            {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()},
            work,
            metadata={"format": FORMAT, "state": state.model_dump_json()},
        )
        with work.open("rb") as file:
            os.fsync(file.fileno())
        work.replace(path)
    except (OSError, SafetensorError) as error:
        work.unlink(missing_ok=True)
        raise TrainingError(f"cannot write the checkpoint {path}: {error}") from error


def read_checkpoint(path: Path) -> tuple[TrainingState, dict[str, Tensor]]:
    """Read a checkpoint. Raises TrainingError where it is missing or not whole."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as file:
            header = _Header.model_validate(file.metadata() or {})
            state = TrainingState.model_validate_json(header.state)
            return state, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise TrainingError(f"there is no checkpoint {path}") from None
    except (OSError, SafetensorError, ValidationError) as error:
        raise TrainingError(f"the checkpoint {path} cannot be read: {str(error).splitlines()[0]}") from error
