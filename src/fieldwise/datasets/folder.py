"""The folder that raw data sets lie in, each in a folder of its own."""

from __future__ import annotations

import os
from pathlib import Path

from fieldwise.storage.places import expanded

ENVIRONMENT = "FIELDWISE_DATA"
"""The variable that names it."""


def data_folder(directory: Path | None = None) -> Path | None:
    """The folder.

    Args:
        directory: where it was said; None: the environment says it.

    Returns:
        None where nobody has said it.
    """
    if directory is not None:
        return expanded(directory)
    value = os.environ.get(ENVIRONMENT)
    return expanded(value) if value else None
