"""What every model is: a Layout in, a logit per row out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated, Protocol, runtime_checkable

from pydantic import Field
from torch import Tensor, nn

from fieldwise.data.batch import Batch
from fieldwise.errors import SettingsError
from fieldwise.layers.embeddings import FieldEmbedding
from fieldwise.layout import Layout

# The upper bounds are far beyond any use; they keep a predictor file from asking for networks without end.
Width = Annotated[int, Field(ge=1, le=65_536)]
"""A setting: the numbers of a vector or the units of a layer."""
Hidden = Annotated[tuple[Width, ...], Field(max_length=64)]
"""A setting: the widths of a feed-forward network's hidden layers; none for no such network."""
Dropout = Annotated[float, Field(ge=0.0, lt=1.0)]
"""A setting: the share that training drops."""


class CTRModel(nn.Module, ABC):
    """Predicts the logit of a click from a batch.

    A model is built from a Layout, which is all that it knows of the data, and from keyword-only settings whose
    annotations the registry reads (`fieldwise.models.registry`). It sees ids and numbers, never files or tokens.

    rows_in_cache: how many rows may pass through at once on a CPU before what lies between the layers no longer fits
        its cache; None where that makes no difference.

    Raises SettingsError for a layout without fields.
    """

    rows_in_cache: int | None = None

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        if not len(layout):
            raise SettingsError("a model needs at least one field, but the layout has none")
        self.layout = layout

    @abstractmethod
    def forward(self, batch: Batch) -> Tensor:
        """Logits [B]; the probability of a click is their sigmoid."""


@runtime_checkable
class ExplainsByAttention(Protocol):
    """A model whose attention over fields can be looked at."""

    def attention(self, batch: Batch) -> list[Tensor]:
        """Attention weights [B, H, F, F] of each layer: query field by key field, each row adds up to 1."""
        ...


def count_parameters(model: nn.Module, *, embeddings: bool = True) -> int:
    """How many numbers training adjusts.

    embeddings: False leaves out the table of every `FieldEmbedding`, first-order weights included, as papers do.
    """
    tables = {id(module.table.weight) for module in model.modules() if isinstance(module, FieldEmbedding)}
    return sum(
        parameter.numel()
        for parameter in model.parameters()
        if parameter.requires_grad and (embeddings or id(parameter) not in tables)
    )
