"""Ctrl-C while a run trains: the first one waits for the end of a step, where the run can be taken up again exactly."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


@dataclass
class StopRequest:
    """Whether somebody wants the run to end after the step under way.

    Attributes:
        wanted: False until then.
    """

    wanted: bool = False


@contextmanager
def stopping_between_steps() -> Iterator[StopRequest]:
    """Within it, the first Ctrl-C is a request, which the loop looks at between steps; a second one does not wait.

    Signal handlers belong to the whole process; that of Ctrl-C is as before when the block ends. It is left alone
    outside the main thread, where none can be set, and where Ctrl-C is ignored.

    Raises:
        KeyboardInterrupt: In the block, at the second Ctrl-C.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        yield request
        return

    def stop(number: int, frame: FrameType | None) -> None:
        if request.wanted:
            raise KeyboardInterrupt
        request.wanted = True

    previous = signal.signal(signal.SIGINT, stop)
    try:
        yield request
    finally:
        signal.signal(signal.SIGINT, previous)
