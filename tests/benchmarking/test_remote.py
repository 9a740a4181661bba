"""Contestants in processes of their own: what they answer comes through, and however they fail is one sentence."""

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from separable.benchmarking.contest import Contestant, Given, Task
from separable.benchmarking.remote import RemoteRunner
from separable.benchmarking.run import ContestantError

TASK = Task("infer", 4, 8)
PEER = """
import os, signal, sys, time
import numpy as np
from separable.benchmarking.contest import Runner

class Fake(Runner):
    def __init__(self, contestant, task, given):
        self.mode, self.given = contestant.options.get("mode"), given
        print("a library greets")
        os.write(1, b"and so does its C part\\n")
        if self.mode == "refuse":
            raise ValueError("no such network\\nsecond line")
        if self.mode == "sleep":
            time.sleep(60)
        self.held = None

    def answer(self):
        return {"logits": self.given.pictures().sum((1, 2, 3)), "loss": np.float64(0.5)}

    def step(self):
        if self.mode == "exit":
            print("Fatal: out of luck", file=sys.stderr)
            os._exit(3)
        if self.mode == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.mode == "hang":
            time.sleep(60)
        self.held = np.ones(40 << 17) if self.mode == "large" and self.held is None else None
        return 0.25

    def describe(self):
        return {
            "variable": os.environ.get("PEERS_OWN"), "gone": os.environ.get("HOME"),
            "heavy": sorted({"torch", "PIL"} & set(sys.modules)), "not a number": float("nan"),
        }

def open_fake(contestant, task, given):
    assert (task.batch, task.verb) == (4, "infer")
    return Fake(contestant, task, given)
"""


@pytest.fixture
def given(tmp_path: Path) -> Given:
    (tmp_path / "fake_peer.py").write_text(PEER)
    np.save(tmp_path / "pictures.npy", np.arange(4 * 3 * 2 * 2, dtype=np.float32).reshape(4, 3, 2, 2))
    return Given(tmp_path)


def contestant(given: Given, mode: str = "", **more: object) -> Contestant:
    variables = {"PYTHONPATH": str(given.folder), "PEERS_OWN": "yes", "HOME": None}
    options = {"mode": mode}
    return Contestant(
        "a fake", "fake", "net", "fp32", "fake_peer:open_fake", options=options, variables=variables, **more  # type: ignore[arg-type]
    )  # fmt: skip


def test_it_answers_steps_and_describes_itself(given: Given) -> None:
    with RemoteRunner(contestant(given), TASK, given) as runner:
        answer = runner.answer()
        assert np.array_equal(answer["logits"], [66.0, 210.0, 354.0, 498.0])
        assert answer["loss"] == 0.5
        assert runner.step() == 0.25
        said = runner.describe()
    assert (said["variable"], said["gone"], said["heavy"]) == ("yes", None, [])
    log = (given.folder / "a-fake.log").read_text()
    assert "a library greets" in log
    assert "and so does its C part" in log


def test_it_ends_when_it_is_closed(given: Given) -> None:
    runner = RemoteRunner(contestant(given), TASK, given)
    number = runner._process.pid
    os.kill(number, 0)
    runner.close()
    with pytest.raises(ProcessLookupError):
        os.kill(number, 0)
    runner.close()


@pytest.mark.parametrize(
    ("mode", "said", "killed"),
    [
        ("exit", "its process ended with code 3: Fatal: out of luck", False),
        ("kill", f"its process ended by signal {int(signal.SIGKILL)}", True),
    ],
)
def test_a_crash_is_one_sentence(given: Given, mode: str, said: str, killed: bool) -> None:
    with RemoteRunner(contestant(given, mode), TASK, given) as runner, pytest.raises(ContestantError) as raised:
        runner.step()
    assert str(raised.value).startswith(said)
    assert raised.value.killed == killed


def test_a_refusal_is_its_first_line(given: Given) -> None:
    with pytest.raises(ContestantError, match=r"^ValueError: no such network$"):
        RemoteRunner(contestant(given, "refuse"), TASK, given)


def test_who_does_not_start_in_time_is_ended(given: Given) -> None:
    begun = time.monotonic()
    with pytest.raises(ContestantError, match=r"^no answer within 2 s; it was ended$"):
        RemoteRunner(contestant(given, "sleep", patience=2.0), TASK, given)
    assert time.monotonic() - begun < 30


def test_a_hanging_step_is_ended(given: Given, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("separable.benchmarking.remote._SLOWEST", 0.5)
    runner = RemoteRunner(contestant(given, "hang"), TASK, given)
    runner._deadline = None  # as after a first step
    with pytest.raises(ContestantError, match="no answer within 0 s"):
        runner.step()
    assert runner._process.poll() is not None
    runner.close()


def test_an_interpreter_that_is_not_there(given: Given) -> None:
    with pytest.raises(ContestantError, match=r"/nowhere/python cannot be started: No such file or directory"):
        RemoteRunner(contestant(given, python="/nowhere/python"), TASK, given)


def test_the_peak_starts_again_when_it_has_been_read(given: Given) -> None:
    with RemoteRunner(contestant(given, "large"), TASK, given) as runner:
        runner.step()  # holds 40 MiB
        runner.step()  # gives them back
        first, second = runner.peak_memory(), runner.peak_memory()
    assert first is not None
    assert second is not None
    assert first - second > 30 << 20
