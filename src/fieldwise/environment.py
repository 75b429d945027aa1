"""What figures depend on beside data and settings: versions, device and threads. Recorded with every model and run."""

from __future__ import annotations

import platform

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from fieldwise._version import __version__


class Environment(BaseModel):
    """The device that trained, and the threads it had on the CPU.

    Attributes:
        device: such as `cpu` or `cuda:0`; None: not recorded, as in predictors of format version 1.
        threads: of torch; None: not recorded.
    """

    model_config = ConfigDict(extra="forbid")

    device: str | None = None
    threads: int | None = Field(default=None, ge=1)

    @classmethod
    def current(cls, *, device: object = None) -> Environment:
        """What this process runs on.

        Args:
            device: where the model was trained, such as a torch.device or its name; None: not known.

        Returns:
            The device by name, and torch's threads.

        Example:
            >>> Environment.current(device="cpu").device
            'cpu'
        """
        import torch

        return cls(device=None if device is None else str(device), threads=torch.get_num_threads())


def versions() -> dict[str, str]:
    """The versions that figures depend on.

    Returns:
        Version by name: of fieldwise, Python, torch, NumPy and Arrow.

    Example:
        >>> list(versions())
        ['fieldwise', 'python', 'torch', 'numpy', 'pyarrow']
    """
    import torch

    return {
        "fieldwise": __version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "pyarrow": pa.__version__,
    }
