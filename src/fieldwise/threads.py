"""Threads that torch computes in, and processes that are forked from one that has them."""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path

from fieldwise.errors import SettingsError

THREADS = "FIELDWISE_THREADS"
"""The environment variable that says how many threads torch computes in."""

_SPINS = "2000"
"""How often a thread of GNU's OpenMP looks for work before it sleeps: some 30 microseconds, within which most work of a
step follows, and which a neighbour does not miss."""


def set_threads(count: int | None = None) -> None:
    """Set, for the whole process, how many threads torch and Arrow compute in, and that those without work soon sleep.

    The command line calls it at its beginning. A Python program that wants the same calls it before it uses the
    library: that threads sleep (`OMP_WAIT_POLICY=passive` and, of GNU's OpenMP, `GOMP_SPINCOUNT=2000`, unless the first
    variable is set) and Arrow's number are only taken up by what is not loaded yet. Sums may depend on the number of
    threads, in their last digits.

    Args:
        count: how many; a torch that is not loaded yet takes no more than there are cores. None: what
            `FIELDWISE_THREADS` says, else `OMP_NUM_THREADS`, else as many as the process may use processors, of which a
            container may have been given fewer than it sees.

    Raises:
        SettingsError: the number is not positive, or the variable holds none.

    Example:
        >>> set_threads(0)
        Traceback (most recent call last):
        fieldwise.errors.SettingsError: threads: expected a whole number of at least 1, got 0
    """
    if count is not None and count < 1:
        raise SettingsError(f"threads: expected a whole number of at least 1, got {count}")
    if count is None:
        count = _asked_for()
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ["OMP_WAIT_POLICY"] = "passive"
        os.environ.setdefault("GOMP_SPINCOUNT", _SPINS)
    if count is None and "OMP_NUM_THREADS" not in os.environ:
        quota = processor_quota()
        # Without a quota, what loads knows its processors by itself.
        count = None if quota is None or quota >= _processors() else max(1, int(quota))
    if count is None:
        return
    os.environ["OMP_NUM_THREADS"] = str(count)
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(count)


def processor_quota(root: Path = Path("/")) -> float | None:
    """How many processors' time Linux's control groups grant this process.

    Args:
        root: where `proc` and `sys` lie.

    Returns:
        The least of its group's and of those above, in versions 1 and 2 of control groups; None without a limit.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    quotas: list[float | None] = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        mount = root / "sys/fs/cgroup" / ("cpu" if controllers else "")
        group = mount / path.strip("/")
        # In a container a group's path may be the one outside; then only the top is there.
        groups = (group, *(parent for parent in group.parents if parent.is_relative_to(mount)))
        quotas.extend(map(_quota_of, groups))
    return min((quota for quota in quotas if quota is not None), default=None)


def _quota_of(group: Path) -> float | None:
    try:
        if (group / "cpu.max").exists():
            quota, period = (group / "cpu.max").read_text().split()
        else:
            quota = (group / "cpu.cfs_quota_us").read_text().strip()
            period = (group / "cpu.cfs_period_us").read_text().strip()
        return int(quota) / int(period) if quota.isdigit() and int(period) else None
    except (OSError, ValueError):
        return None  # no limit is set there, or none that can be read


def _asked_for() -> int | None:
    text = os.environ.get(THREADS, "").strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and int(text) >= 1):
        raise SettingsError(f"{THREADS}: expected a whole number of at least 1, got '{text}'")
    return int(text)


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


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
