"""`reproduce` is killed, shared, stopped and run beside itself, and has to end with the same table."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from separable.errors import DataFolderError, UsageError
from separable.experiments.results import Result
from separable.experiments.runner import reproduce, seeds_for
from separable.experiments.schema import Arm
from separable.training.display import Display, StepView
from separable.training.signals import StopRequest
from tests.experiments.tiny import LONGER, SETUP, result_in, table_of, tiny

pytest.importorskip("sklearn")


class Heard(Display):
    """Keeps what it is told, and may do something about it."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        self.lines.append(text)

    def warn(self, text: str) -> None:
        self.lines.append(f"warning: {text}")

    def step(self, view: StepView) -> None:
        raise AssertionError("steps are the cells' own")

    def epoch(self, row: dict[str, object], text: str) -> None:
        raise AssertionError("epochs are the cells' own")

    def close(self) -> None:
        pass

    @property
    def begun(self) -> list[str]:
        return [line for line in self.lines if line.endswith(" ...")]


@pytest.fixture(scope="module")
def serial(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    home = tmp_path_factory.mktemp("serial")
    return home, reproduce(tiny(), "smoke", home=home)


@pytest.fixture(scope="module")
def longer(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    home = tmp_path_factory.mktemp("longer")
    return home, reproduce(tiny(setup=LONGER), "smoke", home=home)


def start(home: Path, processes: int = 2) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tests.experiments.running", str(home), str(processes)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)


def workers_of(home: Path) -> list[int]:
    """The processes that carry out cells of this home."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"separable.experiments.worker" in words and os.fsencode(home.absolute()) in words:
                found.append(int(entry.name))
    return found


def wait_for(condition: object, seconds: float = 240.0) -> None:
    until = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < until, "it does not happen"
        time.sleep(0.02)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    wait_for(lambda: not workers_of(tmp_path))


def test_a_table(serial: tuple[Path, Result]) -> None:
    home, result = serial
    assert result.finished
    assert [len(arm.seeds) for arm in result.arms] == [2, 2]
    assert result.power is not None
    assert result.claims[0].verdict == "not judged"
    for arm in result.arms:
        assert arm.mean["top1"] == sum(seed.measures["top1"] for seed in arm.seeds) / 2
        for seed in arm.seeds:
            assert (home / "cells" / seed.cell / "config.yaml").is_file()
            assert seed.curve["epoch"] == (1.0, 2.0)
            assert seed.curve["top1"][-1] == pytest.approx(seed.measures["top1"])
            assert seed.measures["early_top1"] == pytest.approx(seed.curve["top1"][0])
    folder = home / "tiny/table1/smoke"
    assert {"result.json", "result.md", "report.html"} <= {path.name for path in folder.iterdir()}


def test_parallel_is_serial(serial: tuple[Path, Result], home: Path) -> None:
    assert table_of(reproduce(tiny(), "smoke", home=home, processes=2)) == table_of(serial[1])


def test_again_trains_nothing_and_writes_nothing(serial: tuple[Path, Result]) -> None:
    home, result = serial
    path = home / "tiny/table1/smoke/result.json"
    before = path.stat().st_mtime_ns
    heard = Heard()
    again = reproduce(tiny(), "smoke", home=home, display=heard)
    assert again == result
    assert path.stat().st_mtime_ns == before
    assert not heard.begun


def test_a_table_of_several_versions_says_so(serial: tuple[Path, Result], home: Path) -> None:
    first, result = serial
    assert result.problems == ()
    shutil.copytree(first, home, dirs_exist_ok=True)
    outcome = home / "cells" / result.arms[0].seeds[0].cell / "outcome.json"
    told = json.loads(outcome.read_text())
    here = told["made"]["versions"]["numpy"]
    told["made"]["versions"]["numpy"] = "1.0"
    outcome.write_text(json.dumps(told))
    found = reproduce(tiny(), "smoke", home=home)
    assert found.problems == (f"Trainings come from several versions of numpy: {here}, 1.0.",)
    assert found.versions["numpy"] == here
    assert [one["cells"] for one in found.machine["made"]] == [3, 1]


def test_another_table_shares_its_cells(serial: tuple[Path, Result]) -> None:
    """Another name, another order, a name of an arm and a title do not make another training; another seed does."""
    home, result = serial
    arms = (Arm("The same by another name", "xception"), Arm("Without shortcuts", "xception", {"residual": False}))
    other = tiny("tiny/table2", setup=replace(SETUP, seeds=(1, 0)), title="Another", arms=arms, claims=())
    heard = Heard()
    found = reproduce(other, "smoke", home=home, seeds=1, display=heard)
    assert [line for line in heard.begun if "by another name" in line] == []
    assert len(heard.begun) == 1
    assert found.arms[0].seeds[0].cell == result.arms[1].seeds[1].cell


def test_power_is_planned_from_what_was_found_on_the_same_pictures(serial: tuple[Path, Result]) -> None:
    home, result = serial
    assert result.power is not None
    assert "assumed" in result.power.spread_source
    assert any(arm.spread["top1"] > 0 for arm in result.arms)
    found = reproduce(tiny("tiny/table4"), "smoke", home=home)
    assert found.power is not None
    assert "earlier result on the same pictures" in found.power.spread_source
    longer = tiny("tiny/table5", setup=replace(SETUP, epochs=1))
    stop = StopRequest()
    stop.request()
    other = reproduce(longer, "smoke", home=home, stop=stop)
    assert other.power is not None
    assert "assumed" in other.power.spread_source, "another recipe"


def steps_in(home: Path) -> int:
    """Checkpoints after the first step, of all cells: where they are, trainings are under way."""
    return sum(int(path.name[5:]) > 0 for path in home.glob("cells/*/checkpoints/step-*"))


def test_killed_anywhere(longer: tuple[Path, Result], home: Path) -> None:
    """Runner or worker, at whatever they are: the same table."""
    draw = random.Random(20)
    for victim in ("runner", "worker"):
        process, before = start(home), steps_in(home)
        wait_for(lambda: steps_in(home) > before)  # noqa: B023 - asked at once
        time.sleep(draw.uniform(0.0, 0.2))
        if victim == "runner":
            process.kill()
            process.communicate()
            wait_for(lambda: not workers_of(home))  # they save, and end by themselves
        else:
            for pid in workers_of(home)[:1]:
                os.kill(pid, signal.SIGKILL)
            process.send_signal(signal.SIGTERM)
            process.communicate()
    assert not result_in(home).finished
    found = reproduce(tiny(setup=LONGER), "smoke", home=home, processes=2)
    assert table_of(found) == table_of(longer[1])


@pytest.mark.slow
def test_a_worker_that_dies_is_replaced(longer: tuple[Path, Result], home: Path) -> None:
    """While another runner is at it in the same home: each training is somebody's, and nobody else's."""
    process, heard = start(home, 1), Heard()
    wait_for(lambda: steps_in(home))
    os.kill(workers_of(home)[0], signal.SIGKILL)
    result = reproduce(tiny(setup=LONGER), "smoke", home=home, display=heard)
    _, said = process.communicate()
    assert "ended by signal 9. It is started again." in said
    assert process.returncode == 0
    assert table_of(result_in(home)) == table_of(result) == table_of(longer[1])
    lines = [*said.splitlines(), *heard.lines]
    assert sum(line.startswith("tiny/table1: ") and "(" in line for line in lines) == 8


def test_stopped(home: Path) -> None:
    """What a person's Ctrl-C does: the first training is saved, nothing more is begun."""
    stop = StopRequest()

    class Stopping(Heard):
        def note(self, text: str) -> None:
            super().note(text)
            if "(" in text and text.startswith("tiny"):
                stop.request()

    heard = Stopping()
    result = reproduce(tiny(), "smoke", home=home, display=heard, stop=stop)
    assert not result.finished
    assert result.claims[0].verdict == "not measured"
    assert sum(len(arm.seeds) for arm in result.arms) == 1
    assert result_in(home) == result


def test_a_training_that_diverges_is_a_result(home: Path) -> None:
    wild = Arm("Wild", "mobilenet_v1", recipe={"optimiser.learning_rate": 1e30, "regularisation.clip_norm": None})
    arms = (wild, Arm("Narrow Xception", "xception"))
    claims = ()
    result = reproduce(tiny(arms=arms, claims=claims), "smoke", home=home, seeds=1)
    assert result.finished
    failed = result.arms[0].seeds[0].failed
    assert failed is not None
    assert "is not finite" in failed
    assert "top1" not in result.arms[0].mean
    assert "top1" in result.arms[1].mean
    heard = Heard()
    reproduce(tiny(arms=arms, claims=claims), "smoke", home=home, seeds=1, display=heard)
    assert not heard.begun, "it would diverge again"


def test_the_learning_rate_that_scores_best_is_taken(longer: tuple[Path, Result]) -> None:
    for arm in longer[1].arms:
        scores = {trial.factor: trial.score for trial in arm.tuning}
        assert list(scores) == [0.1, 1.0]
        assert arm.learning_rate is not None
        assert scores[arm.learning_rate] == max(score for score in scores.values() if score is not None)


def test_networks_are_measured_in_other_ways(home: Path) -> None:
    base = Arm("one", "mobilenet_v1")
    arms = (base, Arm("together", "mobilenet_v1", like="one", ensemble=True))
    result = reproduce(tiny(arms=arms, claims=()), "smoke", home=home)
    assert result.finished
    assert (len(result.arms[0].seeds), len(result.arms[1].seeds)) == (2, 1)
    assert len(list(home.glob("cells/*/config.yaml"))) == 2, "nothing more was trained"


def test_wrong_things_are_said_before_anything_is_trained(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"has no scale 'paper'. Expected: one of smoke"):
        reproduce(tiny(), "paper", home=tmp_path)
    paper = replace(SETUP, data="imagenet")
    with pytest.raises(UsageError, match=r"needs pictures at this scale. Got: no --data"):
        reproduce(tiny(setup=paper), "smoke", home=tmp_path)
    with pytest.raises(UsageError, match="There is no GPU that torch can use"):
        reproduce(tiny(setup=replace(SETUP, device="cuda")), "smoke", home=tmp_path)
    with pytest.raises(UsageError, match="there is no section 'regularization'"):
        reproduce(tiny(setup=replace(SETUP, changes={"regularization.dropout": 0})), "smoke", home=tmp_path)
    with pytest.raises(DataFolderError, match="There is no folder"):
        reproduce(tiny(), "smoke", data=tmp_path / "missing", home=tmp_path)
    assert not list(tmp_path.glob("cells/*"))


def test_seeds() -> None:
    setup = replace(SETUP, seeds=(3, 5))
    assert seeds_for(setup, None) == (3, 5)
    assert seeds_for(setup, 1) == (3,)
    assert seeds_for(setup, 4) == (3, 5, 0, 1)
