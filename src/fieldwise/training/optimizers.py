"""Which optimiser moves which weights: embedding tables by one that knows rows, gates of a search by GRDA, the rest by
Adam.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from fieldwise.layers.embeddings import FieldEmbedding
from fieldwise.native import rows as native
from fieldwise.optim.adam import NetworkAdam
from fieldwise.optim.grda import GRDA
from fieldwise.optim.rows import RowAdagrad, RowAdam, TableAdam
from fieldwise.settings import TrainingSettings

_TABLE_OPTIMIZERS: dict[str, type[TableAdam | RowAdam | RowAdagrad]] = {
    "adam": TableAdam,
    "row_adam": RowAdam,
    "row_adagrad": RowAdagrad,
}


@dataclass(frozen=True)
class GateTraining:
    """Weights that a search moves by GRDA, beside all others.

    Attributes:
        weights: The gates.
        learning_rate, c, mu: See `fieldwise.optim.GRDA`.
    """

    weights: Sequence[nn.Parameter]
    learning_rate: float
    c: float
    mu: float


def make_optimizers(
    model: nn.Module, settings: TrainingSettings, gates: GateTraining | None = None
) -> dict[str, torch.optim.Optimizer]:
    """Optimisers for a model's weights. From then on its embedding tables have sparse gradients.

    Args:
        model: On the device where it is trained.
        settings: Without `auto` (`fieldwise.training.execution.settle`).
        gates: What GRDA moves.

    Returns:
        By name, where there is something to move: `gates`, `network` and `tables`.

    Example:
        >>> from fieldwise.layout import FieldLayout, Layout
        >>> from fieldwise.models import build
        >>> model = build("fm", Layout((FieldLayout("user", "categorical", 9),)))
        >>> optimizers = make_optimizers(model, TrainingSettings(embedding_optimizer="row_adam"))
        >>> {name: type(optimizer).__name__ for name, optimizer in optimizers.items()}
        {'network': 'NetworkAdam', 'tables': 'RowAdam'}
    """
    optimizers: dict[str, torch.optim.Optimizer] = {}
    gate_ids: set[int] = set()
    if gates is not None:
        gate_ids = {id(weight) for weight in gates.weights}
        optimizers["gates"] = GRDA(gates.weights, lr=gates.learning_rate, c=gates.c, mu=gates.mu)
    if network := [weight for weight in _network_parameters(model) if id(weight) not in gate_ids]:
        optimizers["network"] = NetworkAdam(network, lr=settings.learning_rate)
    if tables := embedding_tables(model):
        for module in model.modules():
            if isinstance(module, FieldEmbedding):
                module.table.sparse = True
        # Kernels are fused for the layers alone where there is none for the rows.
        more: dict[str, Any] = {"fused": settings.kernels == "fused" and native.why_not() is None}
        optimizers["tables"] = _TABLE_OPTIMIZERS[settings.embedding_optimizer](
            tables,
            lr=settings.embedding_learning_rate or settings.learning_rate,
            l2=settings.embedding_l2,
            weight_decay=settings.embedding_weight_decay,
            **(more if settings.embedding_optimizer == "row_adam" else {}),
        )
    return optimizers


def embedding_tables(model: nn.Module) -> list[nn.Parameter]:
    """The embedding tables of a model, [V, D] each, whose gradients name the rows that were read."""
    tables = [module.table.weight for module in model.modules() if isinstance(module, FieldEmbedding)]
    return [table for table in tables if isinstance(table, nn.Parameter)]


def _network_parameters(model: nn.Module) -> list[nn.Parameter]:
    """All other weights."""
    tables = {id(table) for table in embedding_tables(model)}
    return [p for p in model.parameters() if p.requires_grad and id(p) not in tables]
