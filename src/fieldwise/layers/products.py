"""Products of field vectors: pairs of fields, and sums over all pairs that never enumerate them."""

from __future__ import annotations

import torch
from torch import Tensor


def pairs_of(fields: int) -> tuple[Tensor, Tensor]:
    """The fields i < j of every pair: (0, 1), (0, 2), ..., (1, 2), ...

    Args:
        fields: F.

    Returns:
        The lower and the higher fields, int64 [P] each, P = F (F - 1) / 2.

    Example:
        >>> pairs_of(3)
        (tensor([0, 0, 1]), tensor([1, 2, 2]))
    """
    first, second = torch.triu_indices(fields, fields, offset=1)
    return first, second


def pooled_pairs(x: Tensor) -> Tensor:
    """Sum over pairs i < j of the element-wise product x_i * x_j.

    By half the difference of the squared sum and the sum of squares (Rendle, "Factorization Machines", ICDM 2010,
    lemma 3.1), O(F D) where the pairs would take O(F^2 D). In float32 at least: the difference cancels most digits.

    Args:
        x: The fields' vectors.

    Shape:
        [B, F, D] -> [B, D].

    Example:
        >>> pooled_pairs(torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]))
        tensor([[3., 8.]])
    """
    x = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
    return 0.5 * (x.sum(dim=1).square() - x.square().sum(dim=1))


def inner_products(x: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """The inner product <x_i, x_j> of every pair.

    Args:
        x: The fields' vectors.
        first, second: The fields of each pair, as `pairs_of` gives them.

    Shape:
        [B, F, D], [P] and [P] -> [B, P].

    Example:
        >>> inner_products(torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]), *pairs_of(2))
        tensor([[11.]])
    """
    # One product of small matrices and a gather: the pairs' vectors [B, P, D] are never laid out.
    gram = torch.bmm(x, x.transpose(1, 2)).flatten(1)
    return gram.index_select(1, first * x.shape[1] + second)


def weighted_pairs(x: Tensor, weights: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Sum over pairs p of weights_p <x_first_p, x_second_p>.

    With the weights of the pairs in a matrix R [F, F], zero elsewhere, it is the sum of all numbers of (R x) * x: one
    product of matrices for the whole batch, and neither the pairs' vectors nor their products are laid out.

    Args:
        x: The fields' vectors.
        weights: Of each pair.
        first, second: The fields of each pair, as `pairs_of` gives them.

    Shape:
        [B, F, D], [P], [P] and [P] -> [B].

    Example:
        >>> weighted_pairs(torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]), torch.tensor([0.5]), *pairs_of(2))
        tensor([5.5000])
    """
    size, fields, _ = x.shape
    matrix = weights.new_zeros(fields * fields).index_copy(0, first * fields + second, weights).view(fields, fields)
    columns = x.transpose(0, 1).flatten(1)  # [F, B D]
    return (torch.mm(matrix, columns) * columns).view(fields, size, x.shape[2]).sum(dim=(0, 2))
