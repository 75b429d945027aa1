"""The core of an interacting layer with a backward pass by hand: fewer passes over memory than autograd's.

`InteractingLayer` holds the readable form of the same; a test asserts that both agree, gradients included. Attention
over a few dozen fields does little arithmetic on many numbers, so time goes by what is read and written:

* the gradients of Q, K, V and the residual are written to their places in one tensor, where autograd would collect
  them in pieces and join them;
* the softmax of a bfloat16 product is taken in float32, which is closer to the truth and, on a CPU, twice as fast;
* the ReLUs work in place, forward and backward.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class FieldAttention(torch.autograd.Function):
    """ReLU( heads + residual ) from the fused projections of an interacting layer (AutoInt, eq. 5 to 8)."""

    @staticmethod
    def forward(
        ctx: Any, projected: Tensor, residual: Tensor | None, width: int, num_heads: int, relu: int, dropout: float
    ) -> Tensor:
        """See `attend`."""
        projected = projected.detach()  # overwritten by its ReLU, which no one before it needs
        if relu:
            projected[..., :relu].relu_()
        output = projected.new_empty(*projected.shape[:-1], width)
        saved = []
        for head in range(num_heads):
            # In one piece each: products read them faster, and twice.
            query, key, value = (part.contiguous() for part in _of_head(projected, head, width, num_heads))
            logits = torch.bmm(query, key.transpose(1, 2))
            precise = torch.promote_types(logits.dtype, torch.float32)
            weights = torch.softmax(logits, dim=-1, dtype=precise).to(logits.dtype)
            saved += [query, key, value, weights]
            if dropout:
                mask = torch.empty_like(weights).bernoulli_(1.0 - dropout).div_(1.0 - dropout)
                saved.append(mask)
                weights = weights * mask
            _head(output, head, width // num_heads).copy_(torch.bmm(weights, value))
        if residual is not None:
            output.add_(residual)
        elif projected.shape[-1] > 3 * width:
            output.add_(projected[..., 3 * width :])
        output.relu_()
        ctx.save_for_backward(projected, output, *saved)
        ctx.sizes = width, num_heads, relu, dropout
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients of `projected` and of `residual`."""
        projected, output, *saved = ctx.saved_tensors
        width, num_heads, relu, dropout = ctx.sizes
        grad = torch.ops.aten.threshold_backward(grad, output, 0)  # through the outer ReLU
        result = torch.empty_like(projected)
        if projected.shape[-1] > 3 * width:
            result[..., 3 * width :] = grad
        each = iter(saved)
        for head in range(num_heads):
            query, key, value, weights = (next(each) for _ in range(4))
            to_query, to_key, to_value = _of_head(result, head, width, num_heads)
            mask = next(each) if dropout else None
            mine = _head(grad, head, width // num_heads).contiguous()
            to_value.copy_(torch.bmm((weights if mask is None else weights * mask).transpose(1, 2), mine))
            to_weights = torch.bmm(mine, value.transpose(1, 2))
            if mask is not None:
                to_weights.mul_(mask)
            to_logits = torch._softmax_backward_data(to_weights, weights, -1, weights.dtype)
            to_query.copy_(torch.bmm(to_logits, key))
            to_key.copy_(torch.bmm(to_logits.transpose(1, 2), query))
        if relu:
            part = result[..., :relu]
            torch.ops.aten.threshold_backward.grad_input(part, projected[..., :relu], 0, grad_input=part)
        return result, grad if ctx.needs_input_grad[1] else None, None, None, None, None


def attend(
    projected: Tensor,
    residual: Tensor | None,
    *,
    width: int,
    num_heads: int,
    relu: int,
    dropout: float,
) -> Tensor:
    """ReLU( heads + residual ) of an interacting layer.

    Args:
        projected: Q, K, V (each head after head; queries scaled) and, in the 4 W form, the residual. It is overwritten.
        residual: Added where the projections hold none; None for none.
        width: W.
        num_heads: H.
        relu: How many of the last dimension's numbers, from the first, still want their ReLU: 0, 3 W or 4 W.
        dropout: Share of the attention weights that is dropped.

    Shape:
        projected: [B, F, 3 W or 4 W].
        residual: [B, F, W].
        output: [B, F, W].
    """
    output: Tensor = FieldAttention.apply(projected, residual, width, num_heads, relu, dropout)  # type: ignore[no-untyped-call]
    return output


def _of_head(projected: Tensor, head: int, width: int, num_heads: int) -> list[Tensor]:
    """Query, key and value of a head, [B, F, d_h], where they lie."""
    return [_head(projected, block * num_heads + head, width // num_heads) for block in range(3)]


def _head(tensor: Tensor, number: int, size: int) -> Tensor:
    return tensor[..., number * size : (number + 1) * size]
