"""The compressed interaction network (CIN) of xDeepFM."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fieldwise.errors import SettingsError


class CompressedInteraction(nn.Module):
    """Weighted sums of element-wise products of field vectors, layer after layer, pooled over D.

    J. Lian, X. Zhou, F. Zhang, Z. Chen, X. Xie, G. Sun: "xDeepFM", KDD 2018, eq. 6 to 8. With X^0 = x, H_0 = F:

        X^l_o = sum over h, f of W^l_{o,h,f} ( X^{l-1}_h * X^0_f )        W^l [H_l, H_{l-1}, F], X^l [B, H_l, D]
        p^l_o = sum over d of X^l_{o,d}                                   [B, H_l]
        output = [p^1 ; ... ; p^L]

    Filters are Glorot-normal, N(0, 2 / (H_{l-1} F + H_l)).

    Args:
        fields: F.
        widths: H_1 .. H_L, at least one; halved ones at least 2.
        split_half: As in the authors' code: of every layer but the last, the first half of the rows o goes on to the
            next layer and is not pooled, the second half is pooled and goes no further. The output is then as wide as
            the last width and half of each width before; of an odd width the pooled half is the larger one. Without it
            every row does both.

    Attributes:
        kept: How many rows of each layer, from the first, go on to the next.
        out_dim: The numbers per row of the output.

    Shape:
        [B, F, D] -> [B, out_dim].

    Raises:
        SettingsError: For widths that are too small.

    Example:
        >>> cin = CompressedInteraction(3, [4, 5])
        >>> cin(torch.randn(2, 3, 8)).shape  # half of 4, and 5
        torch.Size([2, 7])
    """

    def __init__(self, fields: int, widths: Sequence[int], *, split_half: bool = True) -> None:
        super().__init__()
        if not widths or min(widths) < 1:
            raise SettingsError(
                f"a compressed interaction network needs layer widths of at least 1, got {tuple(widths)}"
            )
        if split_half and min(widths[:-1], default=2) < 2:
            raise SettingsError(f"split_half needs widths of at least 2 before the last layer, got {tuple(widths)}")
        self.split_half = split_half
        self.filters = nn.ParameterList()
        self.kept: list[int] = []
        below = fields
        for layer, width in enumerate(widths):
            std = math.sqrt(2.0 / (below * fields + width))
            self.filters.append(nn.Parameter(torch.empty(width, below, fields).normal_(std=std)))
            last = layer == len(widths) - 1
            below = 0 if last else width // 2 if split_half else width
            self.kept.append(below)
        self.out_dim = sum(widths) - (sum(self.kept) if split_half else 0)

    def forward(self, x: Tensor) -> Tensor:
        """Pooled rows [B, out_dim], layer by layer as in the paper: slow, [B, H_{l-1}, F, D] at a time."""
        state, pooled = x, []
        for filters, kept in zip(self.filters, self.kept, strict=True):
            products = torch.einsum("bhd,bfd->bhfd", state, x)
            rows = torch.einsum("ohf,bhfd->bod", filters, products)
            state, ending = self._roles(rows, kept, dim=1)
            pooled.append(ending.sum(dim=2))
        return torch.cat(pooled, dim=1)

    def read_out(self, x: Tensor, weight: Tensor) -> Tensor:
        """The number weight . output of each row: `forward(x) @ weight` at a third of the work.

        Rows that are only pooled need no vectors of their own: with u_{h,f} = sum over o of weight_o W_{o,h,f},

            sum over o of weight_o p_o = sum over h, d of X^{l-1}_{h,d} ( u X^0 )_{h,d}

        which leaves the last layer, and with split_half half of the others, next to nothing to do. The products that
        remain are outer products of [H] and [F] for each coordinate, made by a batched matrix product because its
        gradient is two more of them, where that of an element-wise product would write and sum two tensors as large.

        Args:
            x: The fields' vectors.
            weight: Of each number of the output.

        Shape:
            [B, F, D] and [out_dim] -> [B].
        """
        precise = torch.promote_types(x.dtype, torch.float32)
        fields = x.transpose(1, 2).contiguous()  # [B, D, F]
        state = fields  # [B, D, H]
        logit = torch.zeros(x.shape[0], dtype=precise, device=x.device)
        start = 0
        for filters, kept in zip(self.filters, self.kept, strict=True):
            going, pooled = self._roles(filters, kept, dim=0)
            shares = (weight[start : start + len(pooled)] @ pooled.flatten(1)).view(pooled.shape[1:])  # u [H, F]
            start += len(pooled)
            logit = logit + (F.linear(fields, shares) * state).sum(dim=(1, 2), dtype=precise)
            if kept:
                state = _compress(state, fields, going)
        return logit

    def extra_repr(self) -> str:
        """What `print(model)` shows of the settings."""
        widths = tuple(len(filters) for filters in self.filters)
        return f"fields={self.filters[0].shape[2]}, widths={widths}, split_half={self.split_half}"

    def _roles(self, rows: Tensor, kept: int, *, dim: int) -> tuple[Tensor, Tensor]:
        """Of a layer's rows, those that go on to the next layer, and those that are pooled."""
        if not self.split_half:
            return rows, rows
        # One split, not two slices: the gradient of a slice is as large as the whole.
        going, pooled = torch.split(rows, [kept, rows.shape[dim] - kept], dim)
        return going, pooled


def _compress(state: Tensor, fields: Tensor, filters: Tensor) -> Tensor:
    """The next layer [B, D, O] of X^{l-1} [B, D, H] and X^0 [B, D, F] by filters [O, H, F]."""
    size, dim, below = state.shape
    count = fields.shape[2]
    products = torch.bmm(state.reshape(size * dim, below, 1), fields.view(size * dim, 1, count))
    return F.linear(products.view(size, dim, below * count), filters.flatten(1))
