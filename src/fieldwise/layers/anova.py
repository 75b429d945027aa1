"""The ANOVA kernel: sums over all tuples of m different fields that never enumerate them."""

from __future__ import annotations

import torch
from torch import Tensor

from fieldwise.errors import SettingsError
from fieldwise.layers.products import pooled_pairs


def anova(x: Tensor, order: int) -> Tensor:
    """Sum over tuples i_1 < ... < i_m of the element-wise product x_i1 * ... * x_im.

    M. Blondel, A. Fujino, N. Ueda, M. Ishihata: "Higher-Order Factorization Machines", NIPS 2016, eq. 5. Of order 2
    and 3 by power sums p_k = sum_i x_i^k, from order 4 on by `anova_recurrence`:

        order 2:  (p_1^2 - p_2) / 2              order 3:  (p_1^3 - 3 p_1 p_2 + 2 p_3) / 6

    In float32 at least, for the differences cancel: order 3 keeps about 6 digits, fewer where one field's vector is
    thousands of times as long as the others. The recurrence keeps them all, in twice the time.

    Args:
        x: The fields' vectors.
        order: m, at least 1.

    Returns:
        The sums; zero where there are fewer than m fields.

    Shape:
        [B, F, D] -> [B, D].

    Raises:
        SettingsError: For an order below 1.

    Example:
        >>> x = torch.tensor([[[1.0], [2.0], [3.0]]])  # one row of three fields, D = 1
        >>> anova(x, 2)  # 1 * 2 + 1 * 3 + 2 * 3
        tensor([[11.]])
    """
    if order == 2:
        return pooled_pairs(x)
    if order != 3 or x.shape[1] < 3:  # of two fields the power sums would leave a rounding error instead of zero
        return anova_recurrence(x, order)
    x = _precise(x)
    square = x * x
    first, second, third = x.sum(dim=1), square.sum(dim=1), (square * x).sum(dim=1)
    return (first * (first.square() - 3.0 * second) + 2.0 * third) / 6.0


def anova_recurrence(x: Tensor, order: int) -> Tensor:
    """As `anova`, for any order by the recurrence a_m(j) = a_m(j - 1) + x_j * a_(m-1)(j - 1), a_0 = 1.

    Blondel et al., eq. 6. a_m(j) is the ANOVA kernel of the first j fields, so one running sum over the fields takes
    all of them from order m - 1 to order m: O(m F D), and nothing cancels.

    Args:
        x: The fields' vectors.
        order: m, at least 1.

    Returns:
        The sums; zero where there are fewer than m fields.

    Shape:
        [B, F, D] -> [B, D].

    Raises:
        SettingsError: For an order below 1.
    """
    if order < 1:
        raise SettingsError(f"the order of an interaction must be at least 1, got {order}")
    x = _precise(x)
    terms = x  # of each field that can be a tuple's last: the sum over the tuples that it ends
    for skipped in range(1, order):
        terms = x[:, skipped:] * terms.cumsum(dim=1)[:, :-1]
    return terms.sum(dim=1)


def _precise(x: Tensor) -> Tensor:
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
