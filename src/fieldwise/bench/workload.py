"""Workloads: made-up rows of a given shape, a model and a Trainer, for measuring and for nothing else."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fieldwise.data.dataset import Dataset
from fieldwise.data.loader import Loader
from fieldwise.encoding.encoded import EncodedRows, EncodingReport
from fieldwise.errors import SettingsError
from fieldwise.layout import FIRST_TOKEN, FieldLayout, Layout
from fieldwise.models import registry
from fieldwise.settings import TrainingSettings
from fieldwise.training.evaluation import predict_logits
from fieldwise.training.trainer import Trainer

BATCHES = 8
"""Batches that a workload holds; it goes round them."""

_SKEW = 3.0
"""Ids are size * u^3 for uniform u: a few are frequent, most are rare, as in click logs."""


@dataclass(frozen=True)
class Case:
    """What is measured.

    Attributes:
        model: its registered name.
        fields: categorical ones, of equal size.
        vocabulary: rows of the embedding table over all fields.
        batch_size: rows per step.
        model_settings: those that are not at their defaults.
        training: settings that are not at their defaults.
    """

    model: str = "autoint"
    fields: int = 39
    vocabulary: int = 100_000
    batch_size: int = 1024
    model_settings: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)


class Workload:
    """A case ready to be measured.

    Args:
        case: what is measured.
        checkpoint: for its Trainer.

    Raises:
        SettingsError: there is no model of that shape.

    Example:
        >>> workload = Workload(Case(model="lr", fields=2, vocabulary=100, batch_size=16))
        >>> workload.train_step()
        >>> len(workload)
        128
    """

    def __init__(self, case: Case, *, checkpoint: Path | None = None) -> None:
        self.case = case
        sizes = field_sizes(case.fields, case.vocabulary)
        layout = Layout(tuple(FieldLayout(f"field {i + 1}", "categorical", size) for i, size in enumerate(sizes)))
        ids, label = random_rows(sizes, BATCHES * case.batch_size)
        self.dataset = Dataset(
            layout, EncodedRows(ids, np.empty((len(ids), 0), np.float32), (), EncodingReport()), label=label
        )
        torch.manual_seed(0)
        model = registry.build(case.model, layout, registry.resolve(case.model, settings=case.model_settings))
        settings = TrainingSettings(**{**case.training, "batch_size": case.batch_size})
        self.trainer = Trainer(model, settings=settings, checkpoint=checkpoint)
        self._loader = Loader(self.dataset, self.trainer.device)
        self._starts = itertools.cycle(range(0, len(ids), case.batch_size))

    def train_step(self) -> None:
        """One whole step of training: rows to tensors, forward, backward, every weight moved."""
        self.trainer.model.train()
        start = next(self._starts)
        # By number, not as a slice: that is how a shuffled epoch takes its rows.
        rows = np.arange(start, start + self.case.batch_size)
        self.trainer.step(self._loader.batch(rows), self.trainer.settings.learning_rate)

    def predict(self) -> None:
        """Predict all rows of the workload."""
        predict_logits(self.trainer.model, self.dataset)

    def __len__(self) -> int:
        return len(self.dataset)


def field_sizes(fields: int, vocabulary: int) -> list[int]:
    """Sizes of equal fields that come to a vocabulary, the one row of no field included.

    Args:
        fields: how many.
        vocabulary: rows in all.

    Returns:
        One size per field.

    Raises:
        SettingsError: there are too few rows for so many fields.

    Example:
        >>> field_sizes(3, 21)
        [7, 7, 6]
    """
    if fields < 1 or vocabulary < fields * (FIRST_TOKEN + 1) + 1:
        raise SettingsError(f"{fields} fields need a vocabulary of at least {fields * (FIRST_TOKEN + 1) + 1}")
    size, more = divmod(vocabulary - 1, fields)
    return [size + (i < more) for i in range(fields)]


def random_rows(sizes: list[int], rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Ids and labels; always the same.

    Args:
        sizes: of the fields.
        rows: how many, N.

    Returns:
        Ids int32 [N, F], each below its field's size, and labels float32 [N].
    """
    generator = np.random.default_rng(0)
    shares = generator.random((rows, len(sizes)), dtype=np.float32).astype(np.float64) ** _SKEW
    ids = np.minimum(shares * np.array(sizes), np.array(sizes) - 1).astype(np.int32)
    return ids, (generator.random(rows) < 0.25).astype(np.float32)
