"""What figures depend on beside data and settings: versions, device and threads. Recorded with every model and run."""

from __future__ import annotations

import platform

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from fieldwise._version import __version__


class Environment(BaseModel):
    """The device that trained, and the threads it had on the CPU.

    None: not recorded, as in predictors of format version 1.
    """

    model_config = ConfigDict(extra="forbid")

    device: str | None = None
    threads: int | None = Field(default=None, ge=1)

    @classmethod
    def current(cls, *, device: object = None) -> Environment:
        """What this process runs on.

        device: where the model was trained, such as a torch.device or its name; None: not known.
        """
        import torch

        return cls(device=None if device is None else str(device), threads=torch.get_num_threads())


def versions() -> dict[str, str]:
    """The versions that figures depend on."""
    import torch

    return {
        "fieldwise": __version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "pyarrow": pa.__version__,
    }
