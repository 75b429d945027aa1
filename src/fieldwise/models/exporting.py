"""Models as programs of `torch.export`, which run without this package: in C++, compiled ahead of time, elsewhere."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from fieldwise.data.batch import Batch
from fieldwise.errors import ArgumentError
from fieldwise.layout import OOV, Layout
from fieldwise.models.base import CTRModel

_ROWS, _VALUES = 5, 3
"""Of the example that a program is traced with. Not 0 or 1, which torch would take for constants."""


class _Exported(nn.Module):
    """A model that reads plain tensors, so that whoever runs the program needs no `Batch`.

    It holds the model as a part, for some names of models' own parts are names of programs as well.
    """

    def __init__(self, model: CTRModel) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, categorical: Tensor, numeric: Tensor, multi_valued: tuple[Tensor, ...], statistics: Tensor | None = None
    ) -> Tensor:
        """Logits [B]."""
        logit: Tensor = self.model(Batch(categorical, numeric, multi_valued, statistics=statistics))
        return logit


def export_program(model: CTRModel) -> ExportedProgram:
    """A model as it predicts, as a program for any number of rows.

    The number of rows B is free, 0 and 1 included, and so is the length K that the lists of each multi-valued field
    are padded to. Its logits are those of the model, bit for bit.

    Args:
        model: On the CPU. It is left as it is.

    Returns:
        A program of the parts of a `Batch`: `categorical`, `numeric`, the tuple `multi_valued` and, where the model's
        layout has them, `statistics`. A model without fields of a kind reads nothing of that part. `torch.export.save`
        keeps the program.

    Raises:
        ArgumentError: it is no such model.

    Shape:
        int64 [B, fields], float32 [B, fields], a tuple of int64 [B, K] and float32 [B, statistics] -> float32 [B].

    Example:
        >>> from fieldwise.layout import FieldLayout
        >>> from fieldwise.models import build
        >>> model = build("lr", Layout((FieldLayout("user", "categorical", 9), FieldLayout("price", "numeric", 2))))
        >>> program = export_program(model).module()
        >>> program(torch.tensor([[3], [2]]), torch.tensor([[0.5], [1.0]]), ()).shape
        torch.Size([2])
    """
    if not isinstance(model, CTRModel):
        raise ArgumentError(
            f"export_program() takes a CTRModel, got {type(model).__name__}; a predictor of a network has one as "
            "predictor.model.model, and boosted trees cannot be exported"
        )
    was_training = model.training
    model.eval()
    try:
        return torch.export.export(
            _Exported(model), _example(model.layout), dynamic_shapes=_free_sizes(model.layout), strict=False
        )
    finally:
        model.train(was_training)


def _example(layout: Layout) -> tuple[Tensor | tuple[Tensor, ...], ...]:
    """Some rows of a layout."""
    fields = (
        torch.full((_ROWS, len(layout.categorical)), OOV),
        torch.zeros(_ROWS, len(layout.numeric)),
        tuple(torch.full((_ROWS, _VALUES), OOV) for _ in layout.multi_valued),
    )
    return (*fields, torch.zeros(_ROWS, len(layout.statistics))) if layout.statistics else fields


def _free_sizes(layout: Layout) -> tuple[object, ...]:
    """Which dimensions of the parts are free."""
    rows = {0: Dim.DYNAMIC}
    fields = (rows, rows, tuple({0: Dim.DYNAMIC, 1: Dim.DYNAMIC} for _ in layout.multi_valued))
    return (*fields, rows) if layout.statistics else fields
