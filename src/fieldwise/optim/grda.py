"""GRDA: generalised regularised dual averaging, which drives weights to exact zeros.

S.-K. Chao, Z. Wang, Y. Xing, G. Cheng: "Directional Pruning of Deep Neural Networks", NeurIPS 2020, arXiv 2006.09358;
the form that AutoFIS (arXiv 2003.11235) and AIM (arXiv 2111.03318, eq. 21) train their gates by.

With the learning rate g_t of step t (from 0), from v_0 = w_0 and lambda_0 = 0:

    v       <- v - g_t * gradient at w
    lambda  <- lambda + c * g_t^(1/2 + mu) * ((t + 1)^mu - t^mu)
    w       <- sign(v) * max(|v| - lambda, 0)

The gradient is taken at the shrunken w, but v is never shrunk: a weight at zero can come back. With a constant rate g
the threshold is lambda_T = c * g^(1/2 + mu) * T^mu. There is no momentum and no weight decay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from fieldwise.errors import SettingsError


class GRDA(Optimizer):
    """Moves dense weights by GRDA; see above.

    The threshold is one number for all weights. The state of each weight is its `accumulator` (v, the weight's shape)
    and the scalars `threshold` and `step`.

    Args:
        params: The weights.
        lr: g; may be changed between steps (the threshold grows by increments).
        c: How fast the threshold grows, at least 0.
        mu: In [0, 1]; above 1/2 in the papers.

    Raises:
        SettingsError: For a setting out of range and, in `step`, for a sparse gradient.

    Example:
        >>> gates = nn.Parameter(torch.tensor([0.05, 1.0]))
        >>> gates.grad = torch.zeros(2)
        >>> GRDA([gates], lr=0.1, c=1.0, mu=0.5).step()  # the threshold comes to 0.1
        >>> gates.data
        tensor([0.0000, 0.9000])
    """

    def __init__(self, params: Iterable[nn.Parameter], *, lr: float, c: float, mu: float) -> None:
        if not lr > 0:
            raise SettingsError(f"the learning rate must be above 0, got {lr}")
        if not c >= 0:
            raise SettingsError(f"c must be at least 0, got {c}")
        if not 0 <= mu <= 1:
            raise SettingsError(f"mu must lie between 0 and 1, got {mu}")
        super().__init__(params, {"lr": lr, "c": c, "mu": mu})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step. Weights without a gradient stay as they are."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._update(weight, group)
        return loss

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a `state_dict`."""
        super().load_state_dict(state_dict)
        # torch has turned the threshold into the weights' type.
        weights = [weight for group in self.param_groups for weight in group["params"]]
        for number, state in state_dict["state"].items():
            self.state[weights[number]]["threshold"] = state["threshold"].clone()

    def _update(self, weight: nn.Parameter, group: dict[str, Any]) -> None:
        assert weight.grad is not None
        if weight.grad.is_sparse:
            raise SettingsError("GRDA needs dense gradients")
        state = self.state[weight]
        if not state:
            state["accumulator"] = weight.detach().clone()
            # Scalars as tensors, so that a checkpoint keeps them like everything else. Added up in float64: late
            # increments are tiny beside the sum.
            state["threshold"] = torch.zeros((), dtype=torch.float64)
            state["step"] = torch.zeros((), dtype=torch.float64)
        accumulator: Tensor = state["accumulator"]
        accumulator.add_(weight.grad, alpha=-group["lr"])
        step = float(state["step"])
        state["threshold"] += group["c"] * threshold_increment(step, group["lr"], group["mu"])
        state["step"] += 1
        weight.copy_(soft_threshold(accumulator, float(state["threshold"])))


def soft_threshold(x: Tensor, threshold: float) -> Tensor:
    """sign(x) * max(|x| - threshold, 0), element by element."""
    return torch.sign(x) * (x.abs() - threshold).clamp_min(0.0)


def threshold_increment(step: float, lr: float, mu: float) -> float:
    """What a step (from 0) at learning rate `lr` adds to the threshold, for c = 1."""
    return float(lr ** (0.5 + mu) * ((step + 1) ** mu - step**mu))


def choose_c(threshold: float, *, mu: float, rates: Iterable[float]) -> float:
    """The c of `GRDA` by which the threshold reaches a wanted value after some steps.

    Args:
        threshold: The value, at least 0.
        mu: As given to `GRDA`.
        rates: The learning rates of the steps.

    Raises:
        SettingsError: Where the threshold is negative or there are no steps.

    Example:
        >>> round(choose_c(0.5, mu=0.5, rates=[0.1] * 100), 6)  # with c = 1 it would reach sqrt(100) * 0.1
        0.5
    """
    total = sum(threshold_increment(step, rate, mu) for step, rate in enumerate(rates))
    if threshold < 0 or not total > 0:
        raise SettingsError(f"a threshold of {threshold} cannot be reached in the given steps")
    return threshold / total
