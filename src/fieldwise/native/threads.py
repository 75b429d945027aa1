"""The threads that torch has already: kernels run in them, for a second set beside them would fight for the cores."""

from __future__ import annotations

import ctypes
import functools


@functools.cache
def torch_threads() -> int | None:
    """Address of the function that starts torch's own OpenMP threads; None where torch has another kind."""
    try:
        return ctypes.cast(ctypes.CDLL(None).GOMP_parallel, ctypes.c_void_p).value
    except AttributeError:
        return None
