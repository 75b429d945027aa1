"""Models as programs of `torch.export`, which run without this package: in C++, in ONNX, compiled ahead of time."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from fieldwise.data.batch import Batch
from fieldwise.layout import OTHER, Layout
from fieldwise.models.base import CTRModel

_ROWS, _VALUES = 5, 3
"""Of the example that a program is traced with. Not 0 or 1, which torch would take for constants."""


class _Exported(nn.Module):
    """A model within a module, for some names of a model's own parts are names of the program's as well."""

    def __init__(self, model: CTRModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Batch) -> Tensor:
        """Logits [B]."""
        logit: Tensor = self.model(batch)
        return logit


def export_program(model: CTRModel) -> ExportedProgram:
    """A model as it predicts, as a program for any number of rows.

    The program reads a `Batch` without label and weight. The number of rows is free, and so is the length that the
    lists of a multi-valued field are padded to; it may be 0 or 1. Its logits are those of the model, bit for bit.

    Args:
        model: On the CPU. It is left as it is.

    Returns:
        The program; `program.module()(batch)` runs it, `torch.export.save` keeps it.

    Example:
        >>> program = export_program(model)  # doctest: +SKIP
        >>> logit = program.module()(batch)  # doctest: +SKIP
    """
    was_training = model.training
    model.eval()
    try:
        return torch.export.export(
            _Exported(model),
            (_example(model.layout),),
            dynamic_shapes=(_free_sizes(model.layout),),
        )
    finally:
        model.train(was_training)


def _example(layout: Layout) -> Batch:
    """Some rows of a layout."""
    return Batch(
        torch.full((_ROWS, len(layout.categorical)), OTHER),
        torch.zeros(_ROWS, len(layout.numeric)),
        tuple(torch.full((_ROWS, _VALUES), OTHER) for _ in layout.multi_valued),
    )


def _free_sizes(layout: Layout) -> list[object]:
    """Which dimensions of a batch are free, part by part."""
    rows = {0: Dim.DYNAMIC}
    return [rows, rows, tuple({0: Dim.DYNAMIC, 1: Dim.DYNAMIC} for _ in layout.multi_valued)]
