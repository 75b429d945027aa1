"""Logits and metrics over a whole data set."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import nn

from fieldwise.data.dataset import Dataset
from fieldwise.errors import DataError
from fieldwise.metrics import Metrics
from fieldwise.native.threads import one_thread
from fieldwise.objectives import Objective
from fieldwise.reporting import Progress

PREDICTION_ROWS = 4096
"""Rows per batch of models that fit the cache anyhow, and on a GPU."""

ONE_THREAD_ROWS = 64
"""Up to so many rows are predicted in one thread: to share them out takes longer than it saves, most beside other load.
"""


def predict_logits(
    model: nn.Module,
    dataset: Dataset,
    *,
    batch_size: int | None = None,
    progress: Progress | None = None,
) -> npt.NDArray[np.float32]:
    """The logit of every row; without dropout and without gradients, every row counted.

    Args:
        model: Is left in the mode that it was in.
        dataset: N rows.
        batch_size: Rows per batch, which changes the speed and no more than the last digits; None takes a quarter of
            the model's `rows_in_cache`, for without gradients smaller parts cost nothing more.
        progress: Told of each batch.

    Returns:
        float32 [N].
    """
    logits = np.empty(len(dataset), dtype=np.float32)
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    if batch_size is None:
        in_cache = getattr(model, "rows_in_cache", None) if device.type == "cpu" else None
        batch_size = PREDICTION_ROWS if in_cache is None else max(1, in_cache // 4)
    was_training = model.training
    model.eval()
    is_small = device.type == "cpu" and len(dataset) <= ONE_THREAD_ROWS
    try:
        with torch.inference_mode(), one_thread() if is_small else nullcontext():
            for start in range(0, len(dataset), batch_size):
                rows = slice(start, start + batch_size)
                logit = model(dataset.batch(rows).to(device))
                logits[rows] = logit.float().cpu().numpy()
                if progress is not None:
                    progress.update(len(logit))
    finally:
        model.train(was_training)
    return logits


def evaluate_model(
    model: nn.Module, dataset: Dataset, objective: Objective, *, progress: Progress | None = None
) -> Metrics:
    """The metrics of a model over all rows of a data set.

    Args:
        model: Is left in the mode that it was in.
        dataset: Rows with labels.
        objective: What the model's output means, and how it is judged.
        progress: Told of each batch.

    Raises:
        DataError: Where the rows have no labels.
    """
    if dataset.label is None:
        raise DataError("the rows have no labels to evaluate against")
    prediction = objective.prediction(predict_logits(model, dataset, progress=progress))
    group = None if dataset.group is None else pa.array(dataset.group, mask=dataset.group < 0)
    return objective.evaluate(dataset.label, prediction, weight=dataset.weight, group=group)
