"""Interaction functions: what makes one number out of the vectors of a field tuple. Registered by name.

C. Zhu, B. Chen, W. Zhang, J. Lai, R. Tang, X. He, Z. Li, Y. Yu: "AIM: Automatic Interaction Machine for Click-Through
Rate Prediction", arXiv 2111.03318, section 3. For the fields q1 < ... < qp with the product h = e_q1 * ... * e_qp [D]:

    name            value                                  learned                                 vector for an MLP
    inner           sum over t of h_t                      nothing                                 h
    vector_kernel   sum over t of phi_t h_t                phi [D] for each tuple                  phi * h
    scalar_kernel   s * sum over t of h_t                  s for each tuple                        s h
    outer           product over r of <w_r, e_qr>          w_1 ... w_p [D], shared by an order     the value itself

The value is always the sum of the vector. `outer` is a product of full rank reduced to rank one; it is not symmetric.

The authors draw vector and scalar kernels from a normal distribution of standard deviation 1e-3, and w by Xavier. Here
all functions start at the same scale: with vectors drawn independently with variance v, every value has variance
D v^p. Then one scale of normalisation serves them all (see `fieldwise.layers.gates`).

A function of one's own:

    from fieldwise.layers import InteractionFunction, register_function

    @register_function("matrix_kernel")
    class MatrixKernel(InteractionFunction):
        def __init__(self, count, order, dim):
            super().__init__(count, order, dim)
            self.matrix = nn.Parameter(torch.randn(count, dim, dim) / dim**0.5)

        def combine(self, *factors):                    # `order` tensors [G, D, B]
            return torch.bmm(self.matrix, factors[0]) * factors[1]
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor, nn

from fieldwise.errors import SettingsError, suggest
from fieldwise.layers.tuple_products import summed_tuple_products, tuple_products
from fieldwise.wording import of_your_own

FunctionClass = TypeVar("FunctionClass", bound="type[InteractionFunction]")


class InteractionFunction(nn.Module, ABC):
    """One function over G field tuples of one order.

    A subclass says in `combine` what becomes of the tuples' vectors, and in `width` how many numbers that gives;
    `features` and `values` may be overridden where there is a quicker way.

    Args:
        count: G.
        order: p, at least 2.
        dim: D.

    Shape:
        features: [F, D, B] -> [G, W, B].
        values: [F, D, B] -> [G, B].

    Example:
        >>> class Difference(InteractionFunction):
        ...     def combine(self, *factors):
        ...         return factors[0] - factors[1]
        >>> x = torch.tensor([[5.0, 2.0], [3.0, 1.0]]).unsqueeze(2)  # two fields, D = 2, one row
        >>> Difference(count=1, order=2, dim=2).values(x, fields=torch.tensor([[0], [1]]))
        tensor([[3.]])
    """

    def __init__(self, count: int, order: int, dim: int) -> None:
        super().__init__()
        self.count, self.order, self.dim = count, order, dim

    @property
    def width(self) -> int:
        """W, the numbers of a tuple's vector; D unless overridden."""
        return self.dim

    @abstractmethod
    def combine(self, *factors: Tensor) -> Tensor:
        """The vectors of all tuples, [G, W, B], from `order` tensors [G, D, B], one per place in the tuple."""

    def features(self, x: Tensor, fields: Tensor) -> Tensor:
        """The vectors of all tuples.

        Args:
            x: The fields' vectors, [F, D, B].
            fields: The tuples as positions into F, int64 [p, G].

        Returns:
            [G, W, B].
        """
        return self.combine(*(x.index_select(0, place) for place in fields))

    def values(self, x: Tensor, fields: Tensor) -> Tensor:
        """The values of all tuples: the sums of their vectors.

        Args:
            x: The fields' vectors, [F, D, B].
            fields: The tuples as positions into F, int64 [p, G].

        Returns:
            [G, B].
        """
        return self.features(x, fields).sum(dim=1)

    def extra_repr(self) -> str:
        """What `print(model)` shows of the settings."""
        return f"count={self.count}, order={self.order}, dim={self.dim}"


_functions: dict[str, type[InteractionFunction]] = {}


def register_function(name: str) -> Callable[[FunctionClass], FunctionClass]:
    """Class decorator: makes an interaction function known under a name.

    Args:
        name: What settings and architectures call it.

    Raises:
        ValueError: For a name that is taken.

    Example:
        >>> with temporary_functions():
        ...     @register_function("difference")
        ...     class Difference(InteractionFunction):
        ...         def combine(self, *factors):
        ...             return factors[0] - factors[1]
        ...     function_names()[-1]
        'difference'
    """

    def enter(cls: FunctionClass) -> FunctionClass:
        if name in _functions or name == "shared":
            raise ValueError(f"the name '{name}' of an interaction function is taken")
        _functions[name] = cls
        return cls

    return enter


@contextmanager
def temporary_functions() -> Iterator[None]:
    """Within it functions may be registered; when the block ends they are known no longer."""
    before = dict(_functions)
    try:
        yield
    finally:
        _functions.clear()
        _functions.update(before)


def function_names() -> list[str]:
    """The names of all interaction functions, in the order of their registration.

    Example:
        >>> function_names()
        ['inner', 'vector_kernel', 'scalar_kernel', 'outer']
    """
    return list(_functions)


def require_function(name: str) -> type[InteractionFunction]:
    """The interaction function of a name.

    Raises:
        SettingsError: For an unknown name.
    """
    if name not in _functions:
        raise SettingsError(
            f"unknown interaction function '{name}'; {suggest(name, _functions)}; {of_your_own('a function')}"
        )
    return _functions[name]


@register_function("inner")
class Inner(InteractionFunction):
    """The inner product, for more than two fields the sum of the element-wise product."""

    def combine(self, *factors: Tensor) -> Tensor:
        """The element-wise products."""
        return torch.stack(factors).prod(dim=0)

    def features(self, x: Tensor, fields: Tensor) -> Tensor:
        """The element-wise products."""
        return tuple_products(x, fields)

    def values(self, x: Tensor, fields: Tensor) -> Tensor:
        """The inner products."""
        return summed_tuple_products(x, fields)


@register_function("vector_kernel")
class VectorKernel(InteractionFunction):
    """The inner product with a weight for every position; weights drawn from N(0, 1)."""

    def __init__(self, count: int, order: int, dim: int) -> None:
        super().__init__(count, order, dim)
        self.kernel = nn.Parameter(torch.empty(count, dim))
        nn.init.normal_(self.kernel)

    def combine(self, *factors: Tensor) -> Tensor:
        """The element-wise products times their weights."""
        return torch.stack(factors).prod(dim=0) * self.kernel.unsqueeze(2)

    def features(self, x: Tensor, fields: Tensor) -> Tensor:
        """The element-wise products times their weights."""
        return tuple_products(x, fields, self.kernel)

    def values(self, x: Tensor, fields: Tensor) -> Tensor:
        """The weighted inner products."""
        return summed_tuple_products(x, fields, self.kernel)


@register_function("scalar_kernel")
class ScalarKernel(Inner):
    """The inner product times one number per tuple, which starts at 1."""

    def __init__(self, count: int, order: int, dim: int) -> None:
        super().__init__(count, order, dim)
        self.kernel = nn.Parameter(torch.ones(count))

    def combine(self, *factors: Tensor) -> Tensor:
        """The scaled element-wise products."""
        return super().combine(*factors) * self.kernel.view(-1, 1, 1)

    def features(self, x: Tensor, fields: Tensor) -> Tensor:
        """The scaled element-wise products."""
        return tuple_products(x, fields, self.kernel.unsqueeze(1).expand(-1, self.dim))

    def values(self, x: Tensor, fields: Tensor) -> Tensor:
        """The scaled inner products."""
        return super().values(x, fields) * self.kernel.unsqueeze(1)


@register_function("outer")
class Outer(InteractionFunction):
    """The product of one projection per place in the tuple: the outer product, reduced to rank one."""

    def __init__(self, count: int, order: int, dim: int) -> None:
        super().__init__(count, order, dim)
        self.projections = nn.Parameter(torch.empty(order, dim))
        # |w|^2 = D^(1/p) makes the variance of the product that of the inner product.
        nn.init.normal_(self.projections, std=dim ** ((1 / order - 1) / 2))

    @property
    def width(self) -> int:
        """1."""
        return 1

    def combine(self, *factors: Tensor) -> Tensor:
        """The products of the projections."""
        return torch.stack([self._project(x, r) for r, x in enumerate(factors)]).prod(dim=0).unsqueeze(1)

    def features(self, x: Tensor, fields: Tensor) -> Tensor:
        """The products of the projections."""
        return self.values(x, fields).unsqueeze(1)

    def values(self, x: Tensor, fields: Tensor) -> Tensor:
        """The products of the projections."""
        product = self._project(x, 0).index_select(0, fields[0])
        for r, place in enumerate(fields[1:], start=1):
            product = product * self._project(x, r).index_select(0, place)
        return product

    def _project(self, x: Tensor, place: int) -> Tensor:
        """<w_place, x> for vectors [F or G, D, B] -> [F or G, B]."""
        return torch.matmul(self.projections[place], x)
