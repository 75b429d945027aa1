"""Any model beside the statistics of field combinations (`fieldwise.encoding.combinations`).

    logit = model(fields) + MLP(statistics)

The statistics belong to no field, so the model itself, its attention and its interactions stay those of the fields. The
feed-forward network begins at zero: what it adds is learned.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from fieldwise.data.batch import Batch
from fieldwise.layers.mlp import MLP
from fieldwise.layout import Layout
from fieldwise.models.base import CTRModel, LearnsLabels

HIDDEN = (256, 256)
DROPOUT = 0.3


class WithStatistics(CTRModel):
    """A model, and a feed-forward network over the statistics of combinations. Logits [B].

    Args:
        layout: The fields, and the names of the statistics.
        model: Of the fields.

    Attributes:
        model: As given.
        of_statistics: The feed-forward network.

    Shape:
        a batch of B rows -> [B].

    Example:
        >>> import torch
        >>> from fieldwise.layout import FieldLayout
        >>> from fieldwise.models import build
        >>> layout = Layout((FieldLayout("user", "categorical", 9),), statistics=("rate(user)",))
        >>> model = build("lr", layout)
        >>> model(Batch(torch.tensor([[2]]), torch.empty(1, 0), statistics=torch.tensor([[0.5]]))).shape
        torch.Size([1])
    """

    def __init__(self, layout: Layout, model: CTRModel) -> None:
        super().__init__(layout)
        self.model = model
        self.rows_in_cache = model.rows_in_cache
        self.of_statistics = MLP(len(layout.statistics), HIDDEN, dropout=DROPOUT, norm="batch")
        assert self.of_statistics.head is not None
        nn.init.zeros_(self.of_statistics.head.weight)

    def forward(self, batch: Batch) -> Tensor:
        """Logits [B]."""
        logit: Tensor = self.model(batch)
        return logit + self._more(batch)

    def training_outputs(self, batch: Batch) -> tuple[Tensor, ...]:
        """Those of the model, with the statistics' part added to each."""
        more = self._more(batch)
        return tuple(logit + more for logit in self.model.training_outputs(batch))

    def training_loss(
        self, outputs: Sequence[Tensor], label: Tensor, weight: Tensor | None, objective: LearnsLabels
    ) -> Tensor:
        """As the model has it."""
        return self.model.training_loss(outputs, label, weight, objective)

    def begin_near_zero(self) -> None:
        """As the model does."""
        self.model.begin_near_zero()

    def _more(self, batch: Batch) -> Tensor:
        assert batch.statistics is not None, "the layout has statistics, the batch has none"
        logit: Tensor = self.of_statistics(batch.statistics.float())
        return logit
