"""What to say of a training that did not go well: of a loss that is not a number, where it was met, which column is to
blame, what to do; of one that was over at once, or not over at its end, which setting to change.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from fieldwise.data.batch import Batch
from fieldwise.layers.embeddings import FieldEmbedding
from fieldwise.layout import FIRST_TOKEN, Layout
from fieldwise.training.history import History
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


def remarks(history: History, layout: Layout, *, rows: int) -> list[str]:
    """What the course of the validation figures tells of the settings.

    Args:
        history: Of a training that has ended.
        layout: Of the data.
        rows: That were trained on.

    Returns:
        A sentence where the first epoch was the best and later ones were tried, or where the last of several still was.
    """
    records = [record for record in history.records if record.valid]
    if len(records) < 2 or history.ended == "interrupted":
        return []
    if history.best_epoch == records[0].epoch:
        return [f"validation was best after the first epoch: {_by_heart(layout, rows)}"]
    if history.ended == "all epochs" and history.best_epoch == records[-1].epoch:
        return [
            f"validation still improved in the last of {len(records)} epochs: more may be better "
            f"(training.epochs={2 * len(records)})"
        ]
    return []


def _by_heart(layout: Layout, rows: int) -> str:
    sizes = {field.name: field.size - FIRST_TOKEN for field in layout.fields if field.kind != "numeric"}
    known = {name: size for name, size in sizes.items() if size > 0}
    advice = "fewer steps or a lower learning rate (training.learning_rate) may be better"
    if not known:
        return advice
    name = max(known, key=lambda field: known[field])
    return (
        f"the model learns rows by heart. Column '{name}' has the fewest rows per token ({rows / known[name]:.3g}); a "
        f"larger data.min_count, training.embedding_l2, or {advice}"
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
