"""Optimisers for embedding tables whose step touches only the rows that the batch has read.

A table of V rows meets a few thousand of them per batch. Dense Adam walks all V rows in every step, because the
moments of a row that was not read still move it; these optimisers leave such a row and its moments alone, so a
step costs the same for a thousand rows as for a hundred million. That is another algorithm, not a faster form of
the same one: the two agree where every row is read in every step.

The gradients are the sparse ones of `nn.Embedding(sparse=True)`: row numbers [n] and their gradients [n, D], rows
repeated as often as the batch has read them, the padding row never among them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from fieldwise.errors import SettingsError


class _RowOptimizer(Optimizer):
    """Sums the gradients of repeated rows and hands (parameter, rows, gradients) to `_update`."""

    def __init__(self, params: Iterable[nn.Parameter], defaults: dict[str, Any]) -> None:
        if not defaults["lr"] > 0:
            raise SettingsError(f"the learning rate must be above 0, got {defaults['lr']}")
        for name in ("l2", "weight_decay"):
            if defaults[name] < 0:
                raise SettingsError(f"{name} must be at least 0, got {defaults[name]}")
        super().__init__(params, defaults)
        # Scratch memory to tell repeated rows, one integer per table row; not part of the state.
        self._places: dict[nn.Parameter, Tensor] = {}

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step on the rows of the batch. Raises SettingsError for a dense gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                if not parameter.grad.is_sparse:
                    raise SettingsError("this optimiser needs sparse gradients: nn.Embedding(..., sparse=True)")
                rows, gradient = self._sum_repeated(parameter)
                if len(rows):
                    weight = parameter.index_select(0, rows)
                    if group["l2"]:
                        gradient = gradient.add_(weight, alpha=group["l2"])
                    if group["weight_decay"]:
                        weight = weight.mul_(1.0 - group["lr"] * group["weight_decay"])
                    parameter.index_copy_(0, rows, self._update(parameter, group, rows, weight, gradient))
        return loss

    def _update(
        self, parameter: nn.Parameter, group: dict[str, Any], rows: Tensor, weight: Tensor, gradient: Tensor
    ) -> Tensor:
        """New weights [u, D] of distinct rows [u] from their old ones and their gradients; may work in place."""
        raise NotImplementedError

    def _sum_repeated(self, parameter: nn.Parameter) -> tuple[Tensor, Tensor]:
        """Distinct rows [u] of a sparse gradient, and for each the sum of its gradients [u, D]."""
        assert parameter.grad is not None
        rows, gradient = parameter.grad._indices()[0], parameter.grad._values()
        places = self._places.get(parameter)
        if places is None:
            places = self._places[parameter] = torch.empty(len(parameter), dtype=torch.int64, device=parameter.device)
        # Each row remembers one place in the batch where it was read. The places that are remembered stand for
        # the distinct rows; which one of several it is does not matter. No sorting, as `unique` would need.
        order = torch.arange(len(rows), device=rows.device)
        places[rows] = order
        chosen = places[rows]
        distinct = (chosen == order).nonzero().squeeze(1)
        places[rows[distinct]] = torch.arange(len(distinct), device=rows.device)
        summed = gradient.new_zeros(len(distinct), gradient.shape[1])
        summed.index_add_(0, places[rows], gradient)
        return rows[distinct], summed


class RowAdam(_RowOptimizer):
    """Adam on the rows that were read; the moments of other rows wait. Bias is corrected by the number of steps.

    Kingma & Ba, 2015, algorithm 1, applied to rows [u, D]. lr: learning rate. betas, eps: as in Adam.
    l2: adds l2 * weight to the gradient of rows that were read. weight_decay: shrinks them by lr * weight_decay.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        *,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        l2: float = 0.0,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "l2": l2, "weight_decay": weight_decay})

    def _update(
        self, parameter: nn.Parameter, group: dict[str, Any], rows: Tensor, weight: Tensor, gradient: Tensor
    ) -> Tensor:
        state = self.state[parameter]
        if not state:
            state["step"] = torch.zeros((), dtype=torch.float32)
            state["exp_avg"] = torch.zeros_like(parameter)
            state["exp_avg_sq"] = torch.zeros_like(parameter)
        state["step"] += 1
        step = int(state["step"])
        beta1, beta2 = group["betas"]
        first = state["exp_avg"].index_select(0, rows).lerp_(gradient, 1 - beta1)
        second = state["exp_avg_sq"].index_select(0, rows).mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        state["exp_avg"].index_copy_(0, rows, first)
        state["exp_avg_sq"].index_copy_(0, rows, second)
        denominator = second.sqrt_().div_(math.sqrt(1 - beta2**step)).add_(group["eps"])
        return weight.addcdiv_(first, denominator, value=-group["lr"] / (1 - beta1**step))


class RowAdagrad(_RowOptimizer):
    """Adagrad with one accumulator per row: the mean over D of the squared gradient, summed over steps.

    The state is V numbers instead of Adam's 2 V D. lr: learning rate. eps: added to the root.
    l2, weight_decay: as in `RowAdam`.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        *,
        lr: float = 1e-2,
        eps: float = 1e-10,
        l2: float = 0.0,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "eps": eps, "l2": l2, "weight_decay": weight_decay})

    def _update(
        self, parameter: nn.Parameter, group: dict[str, Any], rows: Tensor, weight: Tensor, gradient: Tensor
    ) -> Tensor:
        state = self.state[parameter]
        if not state:
            state["sum"] = torch.zeros(len(parameter), dtype=parameter.dtype, device=parameter.device)
        total = state["sum"].index_select(0, rows).add_(gradient.square().mean(dim=1))
        state["sum"].index_copy_(0, rows, total)
        return weight.addcdiv_(gradient, total.sqrt_().add_(group["eps"]).unsqueeze(1), value=-group["lr"])
