"""Optimisers for embedding tables, which are fed the gradients of the rows that a batch has read.

A table of V rows meets a few thousand of them per batch. Dense Adam walks all V rows in every step, because the
moments of a row that was not read still move it. `RowAdam` and `RowAdagrad` leave such a row and its moments alone,
so a step costs the same for a thousand rows as for a hundred million. That is another algorithm, not a faster form of
the same one: the two agree where every row is read in every step. `TableAdam` is the dense one, the reference.

The gradients are sparse ones, as `FieldEmbedding` and `nn.Embedding(sparse=True)` give them: row numbers [n] and
their gradients [n, D], rows repeated as often as the batch has read them. A padding row is zero and has no gradient, or
a zero one; either way it stays zero.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.adam import adam

from fieldwise.errors import SettingsError
from fieldwise.native import rows as native
from fieldwise.native.memory import use_huge_pages


@dataclass
class RowGradients:
    """The gradients of a batch by table row.

    Attributes:
        rows: Table rows, int64 [n].
        sums: [m, D]; what adds up to the gradient of a row stands there once.
        places: Where to find the sum of each of `rows`, int64 [n]; None where row i has sum i.
    """

    rows: Tensor
    sums: Tensor
    places: Tensor | None = None

    def per_row(self) -> Tensor:
        """The gradient of each of `rows`, [n, D]."""
        return self.sums if self.places is None else self.sums.index_select(0, self.places)


class RowOptimizer(Optimizer):
    """Sums the gradients of repeated rows and hands them to `_update`, one table after another.

    Args:
        params: Embedding tables, [V, D] each.
        lr: Learning rate, above 0.
        l2: Adds l2 * weight to the gradient of rows that were read.
        weight_decay: Shrinks them by lr * weight_decay.
        defaults: Further settings of the subclass, kept with each group of tables.

    Raises:
        SettingsError: For a setting out of range.

    Example:
        >>> class RowSGD(RowOptimizer):
        ...     def _update(self, parameter, group, rows, gradient):
        ...         parameter.index_copy_(0, rows, parameter.index_select(0, rows) - group["lr"] * gradient)
        >>> table = nn.Embedding(3, 1, sparse=True)
        >>> _ = nn.init.zeros_(table.weight)
        >>> table(torch.tensor([1, 1])).sum().backward()
        >>> RowSGD(table.parameters(), lr=0.5, l2=0.0, weight_decay=0.0).step()
        >>> table.weight.tolist()
        [[0.0], [-1.0], [0.0]]
    """

    def __init__(
        self, params: Iterable[nn.Parameter], *, lr: float, l2: float, weight_decay: float, **defaults: Any
    ) -> None:
        if not lr > 0:
            raise SettingsError(f"the learning rate must be above 0, got {lr}")
        for name, value in (("l2", l2), ("weight_decay", weight_decay)):
            if value < 0:
                raise SettingsError(f"{name} must be at least 0, got {value}")
        super().__init__(params, {"lr": lr, "l2": l2, "weight_decay": weight_decay, **defaults})
        # Scratch memory to tell repeated rows on a GPU, one integer per table row; not part of the state.
        self._places: dict[nn.Parameter, Tensor] = {}
        self._summed: dict[nn.Parameter, RowGradients] = {}
        self._dense: dict[nn.Parameter, Tensor] = {}  # the gradient of a whole table, where `_update` wants one

    def sum_repeated(self) -> list[Tensor]:
        """Sum what belongs to the same row.

        Returns:
            The sums of each table, [m, D]. They may be scaled in place before `step`, as clipping does.

        Raises:
            SettingsError: For a dense gradient.
        """
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None and parameter not in self._summed:
                    if not parameter.grad.is_sparse:
                        raise SettingsError("this optimiser needs sparse gradients: nn.Embedding(..., sparse=True)")
                    self._summed[parameter] = self.sum_rows(parameter, parameter.grad)
        return [gradients.sums for gradients in self._summed.values()]

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step.

        Raises:
            SettingsError: For a dense gradient.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        self.sum_repeated()
        for group in self.param_groups:
            for parameter in group["params"]:
                if (gradients := self._summed.pop(parameter, None)) is None:
                    continue
                rows, gradient = gradients.rows, gradients.per_row()
                if group["l2"] or group["weight_decay"]:
                    weight = parameter.index_select(0, rows)
                    gradient = gradient.add(weight, alpha=group["l2"])
                    parameter.index_copy_(0, rows, weight.mul_(1.0 - group["lr"] * group["weight_decay"]))
                self._update(parameter, group, rows, gradient)
        return loss

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients."""
        self._summed.clear()
        super().zero_grad(set_to_none)

    def _update(self, parameter: nn.Parameter, group: dict[str, Any], rows: Tensor, gradient: Tensor) -> None:
        """Move a table in place. rows [n]; gradient [n, D], the same wherever a row is repeated."""
        raise NotImplementedError

    @torch.no_grad()
    def sum_rows(self, parameter: nn.Parameter, grad: Tensor) -> RowGradients:
        """The sums of a table's sparse gradient by row; on CUDA repeated rows stay repeated.

        Shape:
            parameter: [V, D].
            grad: sparse [V, D].
        """
        rows, gradient = grad._indices()[0], grad._values()
        if not rows.is_cuda:
            distinct, places = torch.unique(rows, return_inverse=True)
            return RowGradients(
                distinct, gradient.new_zeros(len(distinct), gradient.shape[1]).index_add_(0, places, gradient)
            )
        # How many distinct rows there are is known to the device alone, and asking would wait for it. So all are kept,
        # and repeated rows will be written repeatedly, with the same numbers. Each row remembers one place in the batch
        # where it was read; there its gradients are summed, and which one of several places it is does not matter.
        scratch = self._places.get(parameter)
        if scratch is None:
            scratch = torch.empty(len(parameter), dtype=torch.int32, device=parameter.device)
            self._places[parameter] = scratch
        scratch[rows] = torch.arange(len(rows), dtype=torch.int32, device=rows.device)
        places = scratch.index_select(0, rows).long()
        return RowGradients(rows, torch.zeros_like(gradient).index_add_(0, places, gradient), places)


class _Adam(RowOptimizer):
    """What both forms of Adam share."""

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
        # "fused" also tells torch that the number of steps belongs on the table's device.
        super().__init__(params, lr=lr, l2=l2, weight_decay=weight_decay, betas=betas, eps=eps, fused=True)


class RowAdam(_Adam):
    """Adam on the rows that were read; the moments of other rows wait. Bias is corrected by the number of steps.

    Kingma & Ba, 2015, algorithm 1, applied to rows.

    Args:
        params: Embedding tables, [V, D] each.
        lr: Learning rate.
        betas, eps: As in Adam.
        l2, weight_decay: See `RowOptimizer`.
        fused: Computes on the CPU by a compiled kernel, for which `fieldwise.native.rows.why_not` must give no reason;
            equal up to rounding.

    Raises:
        SettingsError: For a setting out of range.

    Example:
        >>> table = nn.Embedding(3, 2, sparse=True)
        >>> before = table.weight.detach().clone()
        >>> table(torch.tensor([1, 1])).sum().backward()
        >>> RowAdam(table.parameters(), lr=0.1).step()
        >>> (table.weight != before).any(dim=1)
        tensor([False,  True, False])
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
        fused: bool = False,
    ) -> None:
        super().__init__(params, lr=lr, betas=betas, eps=eps, l2=l2, weight_decay=weight_decay)
        self.fused = fused

    def _update(self, parameter: nn.Parameter, group: dict[str, Any], rows: Tensor, gradient: Tensor) -> None:
        state = _adam_state(self.state[parameter], parameter)
        if self.fused and not parameter.is_cuda:
            state["step"] += 1
            native.row_adam(
                rows,
                gradient,
                parameter,
                state["exp_avg"],
                state["exp_avg_sq"],
                step=int(state["step"]),
                lr=group["lr"],
                betas=group["betas"],
                eps=group["eps"],
            )
            return
        tensors = (parameter, state["exp_avg"], state["exp_avg_sq"])
        weight, first, second = (tensor.index_select(0, rows) for tensor in tensors)
        _adam(weight, gradient, first, second, state["step"], group)
        for tensor, moved in zip(tensors, (weight, first, second), strict=True):
            tensor.index_copy_(0, rows, moved)


class RowAdagrad(RowOptimizer):
    """Adagrad with one accumulator per row: the mean over D of the squared gradient, summed over steps.

    The state is V numbers instead of Adam's 2 V D.

    Args:
        params: Embedding tables, [V, D] each.
        lr: Learning rate.
        eps: Added to the root.
        l2, weight_decay: See `RowOptimizer`.

    Raises:
        SettingsError: For a setting out of range.

    Example:
        >>> table = nn.Embedding(3, 1, sparse=True)
        >>> _ = nn.init.zeros_(table.weight)
        >>> table(torch.tensor([1])).sum().backward()
        >>> RowAdagrad(table.parameters(), lr=0.5).step()
        >>> table.weight.tolist()
        [[0.0], [-0.5], [0.0]]
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
        super().__init__(params, lr=lr, l2=l2, weight_decay=weight_decay, eps=eps)

    def _update(self, parameter: nn.Parameter, group: dict[str, Any], rows: Tensor, gradient: Tensor) -> None:
        state = self.state[parameter]
        if not state:
            state["sum"] = torch.zeros(len(parameter), dtype=parameter.dtype, device=parameter.device)
        total = state["sum"].index_select(0, rows).add_(gradient.square().mean(dim=1))
        state["sum"].index_copy_(0, rows, total)
        change = gradient.div(total.sqrt_().add_(group["eps"]).unsqueeze(1)).mul_(-group["lr"])
        parameter.index_copy_(0, rows, parameter.index_select(0, rows).add_(change))


class TableAdam(_Adam):
    """Adam over the whole table, also over rows that were not read: the reference, and the faster one for small V.

    Kingma & Ba, 2015, algorithm 1.

    Args:
        params: Embedding tables, [V, D] each.
        lr: Learning rate.
        betas, eps: As in Adam.
        l2, weight_decay: See `RowOptimizer`; they concern only rows that were read.

    Raises:
        SettingsError: For a setting out of range.

    Example:
        >>> table = nn.Embedding(3, 2, sparse=True)
        >>> optimizer = TableAdam(table.parameters(), lr=0.1)
        >>> table(torch.tensor([1])).sum().backward()
        >>> optimizer.step()
        >>> optimizer.state[table.weight]["exp_avg"].shape
        torch.Size([3, 2])
    """

    def _update(self, parameter: nn.Parameter, group: dict[str, Any], rows: Tensor, gradient: Tensor) -> None:
        state = _adam_state(self.state[parameter], parameter)
        # The gradient of the whole table is kept and made zero row by row: no step pays for its emptiness.
        dense = self._dense.get(parameter)
        if dense is None:
            dense = self._dense[parameter] = torch.zeros_like(parameter)
        dense.index_copy_(0, rows, gradient)
        _adam(parameter, dense, state["exp_avg"], state["exp_avg_sq"], state["step"], group)
        dense.index_fill_(0, rows, 0.0)


def _adam_state(state: dict[str, Any], parameter: nn.Parameter) -> dict[str, Any]:
    """The moments of a table, zero at first."""
    if not state:
        state["step"] = torch.zeros((), dtype=torch.float32, device=parameter.device)
        for moment in ("exp_avg", "exp_avg_sq"):
            state[moment] = torch.zeros_like(parameter)
            use_huge_pages(state[moment])
    return state


def _adam(weight: Tensor, gradient: Tensor, first: Tensor, second: Tensor, step: Tensor, group: dict[str, Any]) -> None:
    """One step of Adam in place, in a single pass over memory."""
    adam(
        [weight],
        [gradient],
        [first],
        [second],
        [],
        [step],
        fused=True,
        amsgrad=False,
        beta1=group["betas"][0],
        beta2=group["betas"][1],
        lr=group["lr"],
        weight_decay=0.0,
        eps=group["eps"],
        maximize=False,
    )


def join_gradients(gradients: Sequence[Tensor]) -> Tensor:
    """The sum of sparse gradients of one table, their rows one after another.

    What autograd does where a batch comes in parts, but in one go: it copies all earlier parts for each further one.

    Args:
        gradients: At least one, of one shape.

    Returns:
        A sparse gradient of that shape, repeated rows not summed.

    Example:
        >>> part = torch.sparse_coo_tensor([[1]], [[2.0]], (3, 1), check_invariants=True)
        >>> join_gradients([part, part]).to_dense().tolist()
        [[0.0], [4.0], [0.0]]
    """
    if len(gradients) == 1:
        return gradients[0]
    rows = torch.cat([gradient._indices() for gradient in gradients], dim=1)
    values = torch.cat([gradient._values() for gradient in gradients])
    return torch.sparse_coo_tensor(rows, values, gradients[0].shape, check_invariants=False)


def clip_gradients(gradients: Iterable[Tensor], max_norm: float) -> None:
    """Scale gradients in place so that their common norm is at most `max_norm`.

    The norm is never asked for, which on a GPU would mean waiting.

    Args:
        gradients: At least one. For a table give the sums of `RowOptimizer.sum_repeated`: rows that were not read add
            nothing to the norm.
        max_norm: Above 0.

    Example:
        >>> gradient = torch.tensor([3.0, 4.0])
        >>> clip_gradients([gradient], max_norm=1.0)
        >>> gradient
        tensor([0.6000, 0.8000])
    """
    gradients = list(gradients)
    norm = torch.stack([gradient.norm() for gradient in gradients]).norm()
    scale = (max_norm / (norm + 1e-6)).clamp_(max=1.0)
    for gradient in gradients:
        gradient.mul_(scale)
