"""What LightGBM and CatBoost have in common: labelled rows go in, and trees come out that predict and become bytes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from fieldwise.errors import SettingsError
from fieldwise.recipes.boosting.raw_columns import RawRows

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LabelledRows:
    """Rows with what is to be learned of them.

    Attributes:
        rows: as trees take them.
        target: what the trees' sums are to come to, by the objective.
        weight: None where all rows count alike.

    Shape:
        target, weight: float32 [N].
    """

    rows: RawRows
    target: npt.NDArray[np.float32]
    weight: npt.NDArray[np.float32] | None


class LibraryTrees(ABC):
    """A library's trained trees.

    Attributes:
        rounds: trees that are kept.
        parameters: the numbers in them: one per split (for a split into sets of tokens, one per token that it puts
            aside) and one per leaf. CatBoost's figures per token are not among them.
    """

    rounds: int
    parameters: int

    @abstractmethod
    def predict(self, rows: RawRows, *, threads: int) -> Floats:
        """The trees' sum for each row, of which the objective makes its prediction.

        Args:
            rows: N >= 1 of them.
            threads: of the library.

        Returns:
            float64 [N].
        """

    @abstractmethod
    def to_bytes(self) -> bytes:
        """The trees in the library's own format, from which they predict the same to the last bit."""


def imported(name: str) -> Any:
    """The library of a model.

    Args:
        name: one of `NAMES`, which is the library's name too.

    Returns:
        The module.

    Raises:
        SettingsError: it is not installed; the message has the command that installs it.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise SettingsError(f"{name} is not installed: pip install 'fieldwise[gbdt]'") from None
