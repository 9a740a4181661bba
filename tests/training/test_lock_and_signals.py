import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from separable.errors import RunFolderError
from separable.training.lock import run_lock
from separable.training.signals import stop_on_signals

HOLD = """
import sys, os
from pathlib import Path
from separable.training.lock import run_lock
with run_lock(Path(sys.argv[1])):
    child = os.fork() if len(sys.argv) > 2 else 1
    if child == 0:
        sys.stdin.read()
        os._exit(0)
    print("held", flush=True)
    sys.stdin.read()
"""


def holder(run: Path, *more: str) -> subprocess.Popen:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(run), *more], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def ended(process: subprocess.Popen) -> None:
    process.kill()
    process.communicate()


def test_a_second_training_is_refused_and_the_first_named(tmp_path: Path) -> None:
    process = holder(tmp_path)
    try:
        with (
            pytest.raises(RunFolderError, match=f"Another training is running.*process {process.pid} holds it"),
            run_lock(tmp_path),
        ):
            pass
    finally:
        ended(process)
    with run_lock(tmp_path):  # died without unlocking: nothing stale is left
        pass


def test_a_surviving_data_worker_does_not_hold_the_lock(tmp_path: Path) -> None:
    process = holder(tmp_path, "with a forked child")
    os.kill(process.pid, signal.SIGKILL)
    os.waitpid(process.pid, 0)
    with run_lock(tmp_path):
        pass
    assert process.stdin is not None
    process.stdin.close()  # lets the child go
    assert process.stdout is not None
    process.stdout.close()
    process.returncode = -9


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_and_the_second_one_ends(number: signal.Signals) -> None:
    code = f"""
import os, signal, time
from separable.training.signals import stop_on_signals
with stop_on_signals(print) as stop:
    os.kill(os.getpid(), {int(number)})
    assert stop.requested
    print("still here", flush=True)
    os.kill(os.getpid(), {int(number)})
    time.sleep(5)
print("not reached")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode in (-int(number), 1 if number == signal.SIGINT else -int(number), 130)
    assert done.stdout == "Stopping after this step; once more to stop at once.\nstill here\n"


def test_handlers_are_put_back() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with stop_on_signals(lambda _: None) as stop:
        assert signal.getsignal(signal.SIGINT) not in before
    assert not stop.requested
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_outside_the_main_thread_nothing_is_installed() -> None:
    seen: list[bool] = []

    def body() -> None:
        with stop_on_signals(lambda _: None) as stop:
            stop.request()
            seen.append(stop.requested)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    assert seen == [True]
