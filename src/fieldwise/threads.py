"""Threads that torch computes in, and processes that are forked from one that has them."""

from __future__ import annotations

import functools
import os
import sys


@functools.cache
def expect_forks() -> None:
    """Let processes that are forked from now on compute in one thread.

    A forked process (gunicorn with `--preload`, a pool of `multiprocessing`) has none of its parent's threads, but
    torch does not know it, and once the parent has computed in more than one it would wait for them for ever. So each
    forked process begins with `torch.set_num_threads(1)`. This is for the whole process, for other users of torch in it
    too; setting more threads in a forked process is only safe where its parent has never had them.

    The module that holds what every model reads calls it, `import fieldwise` does not. Nothing happens where processes
    cannot be forked, nor at a second call.

    Example:
        >>> expect_forks()
    """
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_one_thread)


def _one_thread() -> None:
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)
