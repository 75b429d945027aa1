"""What to say of a loss that is not a number: where it was met, which column is to blame, what to do."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from fieldwise.data.batch import Batch
from fieldwise.layers.embeddings import FieldEmbedding
from fieldwise.layout import Layout
from fieldwise.wording import argument

_LARGE = 1e4
"""Scaled numbers are a few units large; beyond this one a column has the wrong transform."""


def explain_nan(
    model: nn.Module,
    layout: Layout,
    batch: Batch,
    rows: npt.NDArray[np.int64],
    *,
    epoch: int,
    number: int,
    learning_rate: float,
) -> str:
    """A message for whoever trains.

    Args:
        model: As the loss has left it.
        layout: Of the data.
        batch: The one whose loss is not a number.
        rows: Its rows, counted from 0.
        epoch: From 1.
        number: The batch's within the epoch, from 1.
        learning_rate: Of the settings.
    """
    where = f"the loss is not a number in epoch {epoch}, batch {number} "
    where += f"(training rows {', '.join(str(row + 1) for row in rows[:3])}, …)"
    if batch.numeric.numel():
        largest = batch.numeric.abs().nan_to_num(0.0, posinf=math.inf).amax(dim=0)
        column = int(largest.argmax())
        if not largest[column] < _LARGE:
            name = layout.fields[layout.numeric[column]].name
            return (
                f"{where}; column '{name}' holds {largest[column]:.3g} after scaling: give it another "
                f"transform, for example {argument('fields', {name: 'numeric:log'})}"
            )
    field = _broken_field(model)
    cause = f"; the embedding of column '{field}' is not finite" if field else ""
    return (
        f"{where}{cause}. Lower the learning rate (training.learning_rate, now {learning_rate:g}) or clip gradients "
        f"({argument('settings', {'training.clip_norm': 1})})"
    )


def _broken_field(model: nn.Module) -> str | None:
    """The first field whose rows in an embedding table hold something that is not finite."""
    for module in model.modules():
        if isinstance(module, FieldEmbedding):
            bad = ~torch.isfinite(module.table.weight).all(dim=1)
            for field, start in zip(module.layout, module.layout.offsets, strict=True):
                if bad[start : start + field.size].any():
                    return field.name
    return None
