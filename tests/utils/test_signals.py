"""Requests to stop and to save."""

import os
import signal
import threading

import pytest

from reid.utils.signals import Stopped, StopSignals


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_request_waits_for_the_end_of_a_deferred_block(signum: int, code: int) -> None:
    reached = []

    def block(signals: StopSignals) -> None:
        with signals.deferred():
            os.kill(os.getpid(), signum)
            reached.append(signals.signum)
        reached.append("behind it")

    with StopSignals() as signals, pytest.raises(Stopped) as stopped:
        block(signals)
    assert reached == [signum] and stopped.value.code == code


def test_outside_it_is_obeyed_at_once_and_the_third_one_always() -> None:
    reached = []

    def block(signals: StopSignals) -> None:
        with signals.deferred():
            for number in range(4):
                os.kill(os.getpid(), signal.SIGINT)
                reached.append(number)

    with StopSignals(), pytest.raises(Stopped):
        os.kill(os.getpid(), signal.SIGTERM)
    with StopSignals() as signals, pytest.raises(Stopped):
        block(signals)
    assert reached == [0, 1]


def test_sigusr1_asks_to_save_and_stops_nothing() -> None:
    with StopSignals() as signals:
        os.kill(os.getpid(), signal.SIGUSR1)
        assert signals.save and signals.signum is None


def test_handlers_are_put_back_and_threads_set_none() -> None:
    before = [signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)]
    with StopSignals():
        assert signal.getsignal(signal.SIGTERM) is not before[0]
    assert [signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)] == before
    errors = []

    def enter() -> None:
        try:
            with StopSignals():
                pass
        except ValueError as error:
            errors.append(error)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert errors == []
