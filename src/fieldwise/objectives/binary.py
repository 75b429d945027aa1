"""Objectives: what a logit means. One replaceable piece holds the loss and the way back to a prediction."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor


class Objective(Protocol):
    """The meaning of a model's output."""

    def loss(self, logit: Tensor, label: Tensor, weight: Tensor | None) -> Tensor:
        """The mean loss of a batch, as a scalar with a gradient; logit, label, weight: float32 [B]."""

    def prediction(self, logit: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """What a user sees for each logit: float64 [N]."""


class Binary:
    """Click or no click: log loss from logits, the prediction being the probability of a click."""

    def loss(self, logit: Tensor, label: Tensor, weight: Tensor | None) -> Tensor:
        """Mean binary log loss; weighted rows count in proportion to their weight."""
        losses = torch.nn.functional.binary_cross_entropy_with_logits(
            logit, label, weight=weight, reduction="mean" if weight is None else "sum"
        )
        return losses if weight is None else losses / weight.sum().clamp_min(torch.finfo(torch.float32).tiny)

    def prediction(self, logit: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """The logistic function in float64, where float32 would round probabilities near 1 to 1."""
        x = logit.astype(np.float64)
        small = np.exp(-np.abs(x))  # never overflows
        return np.where(x >= 0, 1.0, small) / (1.0 + small)
