"""Whether kernels of this package are to be used where they can be: training says so, layers ask."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_WANTED: ContextVar[bool] = ContextVar("fused_kernels", default=False)


@contextmanager
def fused_kernels(enabled: bool = True) -> Iterator[None]:
    """Within it, layers on the CPU are computed by the kernels of this package if they fit; else all by torch.

    See the kernels' own modules for what must be there.

    Args:
        enabled: False leaves all as it is.

    Example:
        >>> with fused_kernels():
        ...     kernels_wanted()
        True
    """
    token = _WANTED.set(enabled or _WANTED.get())
    try:
        yield
    finally:
        _WANTED.reset(token)


def kernels_wanted() -> bool:
    """Whether a `fused_kernels` is around."""
    return _WANTED.get()
