"""Batch: the few tensors that a model reads in one step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from fieldwise.threads import expect_forks

PADDING = -1
"""Fills the short rows of a padded multi-valued field; stands for no value at all."""


@dataclass(frozen=True)
class Batch:
    """B encoded rows. Ids count within their field (see `fieldwise.layout`), not within a common table.

    Attributes:
        categorical: ids.
        numeric: scaled numbers; NaN stands for missing.
        multi_valued: one tensor of ids per multi-valued field, short rows filled with `PADDING`; a row without values
            holds the one id `MISSING`.
        label: None where it is not known.
        weight: None where all rows count alike.
        statistics: of combinations of fields; None where the layout has none.

    Shape:
        categorical: int64 [B, number of categorical fields].
        numeric: float32 [B, number of numeric fields].
        multi_valued: int64 [B, N] each, N the longest list of the batch (at least 1).
        label: as the objective reads it, float32 or float64 [B].
        weight: float32 [B].
        statistics: float16 or float32 [B, number of statistics].

    Example:
        >>> batch = Batch(torch.tensor([[2], [5], [3]]), torch.tensor([[0.5], [-1.0], [float("nan")]]))
        >>> len(batch), [len(part) for part in batch.split(2)]
        (3, [2, 1])
    """

    categorical: Tensor
    numeric: Tensor
    multi_valued: tuple[Tensor, ...] = ()
    label: Tensor | None = None
    weight: Tensor | None = None
    statistics: Tensor | None = None

    @property
    def size(self) -> int:
        """B. While a model is exported it stands for any number; `len` of a batch is one number for good."""
        return self.categorical.shape[0]

    def __len__(self) -> int:
        return int(self.size)

    def split(self, rows: int) -> Iterator[Batch]:
        """The batch in parts, in their order.

        Args:
            rows: at most so many in a part.

        Yields:
            The parts; the batch itself where it has no more rows than that.
        """
        if len(self) <= rows:
            yield self
            return
        for start in range(0, len(self), rows):
            part = slice(start, start + rows)
            yield Batch(
                self.categorical[part],
                self.numeric[part],
                tuple(ids[part] for ids in self.multi_valued),
                label=None if self.label is None else self.label[part],
                weight=None if self.weight is None else self.weight[part],
                statistics=None if self.statistics is None else self.statistics[part],
            )

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on another device; from the CPU to a GPU through pinned memory, without waiting.

        Args:
            device: where to.

        Returns:
            A new batch.
        """
        pinned = torch.device(device).type == "cuda" and self.categorical.device.type == "cpu"

        def move(tensor: Tensor) -> Tensor:
            return (tensor.pin_memory() if pinned else tensor).to(device, non_blocking=pinned)

        return replace(
            self,
            categorical=move(self.categorical),
            numeric=move(self.numeric),
            multi_valued=tuple(move(ids) for ids in self.multi_valued),
            label=None if self.label is None else move(self.label),
            weight=None if self.weight is None else move(self.weight),
            statistics=None if self.statistics is None else move(self.statistics),
        )


# So that a model can be exported (`fieldwise.models.exporting`): torch then knows the tensors of a batch.
torch.export.register_dataclass(Batch, serialized_type_name="fieldwise.Batch")
expect_forks()  # here, for nothing is computed without a batch
