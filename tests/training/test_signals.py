"""Ctrl-C between steps."""

from __future__ import annotations

import signal
import threading

import pytest

from fieldwise.training.signals import StopRequest, stopping_between_steps


@pytest.mark.usefixtures("ctrl_c")
def test_the_first_ctrl_c_is_a_request_and_the_second_does_not_wait() -> None:
    with stopping_between_steps() as request:
        assert not request.wanted
        signal.raise_signal(signal.SIGINT)
        assert request.wanted
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_that_is_ignored_stays_ignored() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with stopping_between_steps() as request:
        signal.raise_signal(signal.SIGINT)
    assert not request.wanted


def test_outside_the_main_thread_nothing_is_set() -> None:
    before, requests = signal.getsignal(signal.SIGINT), list[StopRequest]()

    def work() -> None:
        with stopping_between_steps() as request:
            assert signal.getsignal(signal.SIGINT) is before
            requests.append(request)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert [request.wanted for request in requests] == [False]
