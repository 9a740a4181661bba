"""Ctrl-C and SIGTERM: once to stop after the step and save, twice to stop at once."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["StopRequest", "stop_on_signals"]


class StopRequest:
    """A wish to stop that the training loop looks at after every step."""

    def __init__(self) -> None:
        self.requested = False

    def request(self) -> None:
        """Ask the loop to finish its step, save and return."""
        self.requested = True


@contextmanager
def stop_on_signals(announce: Callable[[str], None]) -> Iterator[StopRequest]:
    """Install handlers for SIGINT and SIGTERM inside the block; outside the main thread nothing is installed.

    The first signal requests a stop and says so through `announce`; the second one ends the process as if nobody had
    caught it, so that a step that hangs can still be interrupted.
    """
    stop, owner = StopRequest(), os.getpid()

    def handle(number: int, frame: FrameType | None) -> None:
        if os.getpid() != owner or stop.requested:
            signal.signal(number, signal.SIG_DFL if number == signal.SIGTERM else signal.default_int_handler)
            os.kill(os.getpid(), number)
            return
        stop.request()
        announce("Stopping after this step; once more to stop at once.")

    previous = {}
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            previous[number] = signal.signal(number, handle)
    except ValueError:  # not the main thread: whoever owns it decides about signals
        pass
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
