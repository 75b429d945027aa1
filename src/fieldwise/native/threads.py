"""The threads that torch has already: kernels run in them, for a second set beside them would fight for the cores."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Iterator
from contextlib import contextmanager


@functools.cache
def _openmp() -> ctypes.CDLL:
    """What torch has loaded, OpenMP among it."""
    return ctypes.CDLL(None)


@functools.cache
def torch_threads() -> int | None:
    """Address of the function that starts torch's own OpenMP threads; None where torch has another kind."""
    try:
        return ctypes.cast(_openmp().GOMP_parallel, ctypes.c_void_p).value
    except AttributeError:
        return None


@contextmanager
def one_thread() -> Iterator[None]:
    """Within it, what this thread asks torch for is computed in this thread; others of the process are left alone.

    Nothing changes where torch's threads are not OpenMP's. `torch.set_num_threads` would also count for threads that
    begin to use torch meanwhile, and stay so in them.
    """
    openmp = _openmp()
    if torch_threads() is None or not hasattr(openmp, "omp_set_num_threads"):
        yield
        return
    before = openmp.omp_get_max_threads()
    openmp.omp_set_num_threads(1)
    try:
        yield
    finally:
        openmp.omp_set_num_threads(before)
