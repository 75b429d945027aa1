"""What every model is: a Layout in, a logit per row out. What the logit means is for the objective to say."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
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


class LearnsLabels(Protocol):
    """What a model's loss needs of an objective (`fieldwise.objectives`)."""

    def loss(self, logit: Tensor, label: Tensor, weight: Tensor | None) -> Tensor:
        """The mean loss of logits [B] for labels [B]: a scalar."""
        ...

    def as_label(self, logit: Tensor) -> Tensor:
        """The labels [B] that logits [B] stand for, between two labels where a logit lies between."""
        ...


class CTRModel(nn.Module, ABC):
    """Makes one number out of every row of a batch: the logit, which the objective turns into a prediction.

    A model is built from a Layout, which is all that it knows of the data, and from keyword-only settings whose
    annotations the registry reads (`fieldwise.models.registry`). It sees ids and numbers, never files or tokens, and
    does not know what its output means: to a binary objective the log-odds of a click, to a regression a number in
    standard deviations of the labels from their mean (`fieldwise.objectives`).

    Args:
        layout: The fields of the data.

    Attributes:
        layout: As given.
        rows_in_cache: How many rows may pass through at once on a CPU before what lies between the layers no longer
            fits its cache; None where that makes no difference.

    Shape:
        a batch of B rows -> [B].

    Raises:
        SettingsError: For a layout without fields.

    Example:
        >>> import torch
        >>> from fieldwise.layout import FieldLayout
        >>> class Total(CTRModel):
        ...     def forward(self, batch):
        ...         return batch.numeric.sum(dim=1)
        >>> layout = Layout((FieldLayout("price", "numeric", 2), FieldLayout("age", "numeric", 2)))
        >>> nothing = torch.empty(1, 0, dtype=torch.int64)
        >>> Total(layout)(Batch(categorical=nothing, numeric=torch.tensor([[0.5, 2.0]])))
        tensor([2.5000])
    """

    rows_in_cache: int | None = None

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        if not len(layout):
            raise SettingsError("a model needs at least one field, but the layout has none")
        self.layout = layout

    @abstractmethod
    def forward(self, batch: Batch) -> Tensor:
        """Logits [B], B may be 0; the objective says what they mean."""

    def training_outputs(self, batch: Batch) -> tuple[Tensor, ...]:
        """What `training_loss` looks at: the logits [B], or for a model of several parts those of each part."""
        return (self(batch),)

    def training_loss(
        self, outputs: Sequence[Tensor], label: Tensor, weight: Tensor | None, objective: LearnsLabels
    ) -> Tensor:
        """The mean loss of a batch.

        Args:
            outputs: What `training_outputs` gave, float32 [B] each.
            label: As the objective reads it, [B].
            weight: Of the rows, [B]; None: all 1.
            objective: What the logits mean.

        Returns:
            A scalar with a gradient.
        """
        (logit,) = outputs
        return objective.loss(logit, label, weight)

    def begin_near_zero(self) -> None:
        """Change freshly drawn weights so that the first outputs are small beside 1; those of most models are."""


@runtime_checkable
class ExplainsByAttention(Protocol):
    """A model whose attention over fields can be looked at.

    Example:
        >>> from fieldwise.layout import FieldLayout
        >>> from fieldwise.models import build
        >>> layout = Layout((FieldLayout("user", "categorical", 9), FieldLayout("movie", "categorical", 7)))
        >>> [isinstance(build(name, layout), ExplainsByAttention) for name in ("autoint", "fm")]
        [True, False]
    """

    def attention(self, batch: Batch) -> list[Tensor]:
        """The attention weights of each layer: query field by key field, each row adds up to 1.

        Shape:
            a batch of B rows -> [B, H, F, F] for each of L layers.
        """
        ...


def count_parameters(model: nn.Module, *, embeddings: bool = True) -> int:
    """How many numbers training adjusts.

    Args:
        model: A model or a part of one.
        embeddings: False leaves out the table of every `FieldEmbedding`, first-order weights included, as papers do.

    Example:
        >>> from fieldwise.layout import FieldLayout
        >>> from fieldwise.models import build
        >>> model = build("lr", Layout((FieldLayout("user", "categorical", 9),)))
        >>> count_parameters(model), count_parameters(model, embeddings=False)  # nine weights, the zero row, the bias
        (11, 1)
    """
    tables = {id(module.table.weight) for module in model.modules() if isinstance(module, FieldEmbedding)}
    return sum(
        parameter.numel()
        for parameter in model.parameters()
        if parameter.requires_grad and (embeddings or id(parameter) not in tables)
    )
