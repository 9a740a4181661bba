"""What the networks of an experiment cost here: steps a second, milliseconds a picture, memory of a step.

Measured in processes of their own, `python -m separable.experiments.timing`, that get JSON on standard input and answer
with JSON; on all cores, the arms taking turns, so that a slower minute hits all alike. Nothing else must run meanwhile.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, cast

from separable.errors import SeparableError

__all__ = ["environment_of", "main", "one_picture", "repeated", "time_arms", "trial_of"]

Rounds = dict[str, dict[str, list[float]]]
"""By arm and measure."""

_ROUNDS, _SECONDS = 5, 0.5
"""Of each arm and measure, at laptop scale and above."""
_SMOKE = 2, 0.02
_MEMORY_ROUNDS = 2
_LITTLE = {"width": 0.03125, "middle_blocks": 0, "stem_stride": 1}
"""Of Xception, so narrow that a step of it needs no more than the libraries' own memory."""
_QUIET = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
"""At smoke scale figures mean nothing, but a busy machine must not hang on threads that wait for each other."""


def time_arms(
    cells: Mapping[str, Mapping[str, Any]],
    class_names: Sequence[str],
    measures: Sequence[str],
    *,
    smoke: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Rounds:
    """Time every arm. `measures` are some of "steps_per_second", "milliseconds" and "memory".

    Args:
        cells: by arm, its cell as plain values.
        class_names: what the networks tell apart.
        smoke: so shortly that it says nothing but that it works.

    Raises:
        SeparableError: a process ended without an answer.
    """
    parts = [{name: cell} for name, cell in cells.items()] * _MEMORY_ROUNDS
    if smoke:
        parts = [dict(cells)]  # to begin a process takes longer than all that is done in it
    if "memory" not in measures:
        parts = []
    speeds = [name for name in ("steps_per_second", "milliseconds") if name in measures]
    request = {"classes": list(class_names), "smoke": smoke}
    found: Rounds = {name: {} for name in cells}
    done, total = 0, len(parts) + bool(speeds)
    if speeds:
        found = _asked({**request, "cells": dict(cells), "measures": speeds})
        progress(done := 1, total)
    for part in parts:
        for name, answer in _asked({**request, "cells": part, "measures": ["memory"]}).items():
            found[name].setdefault("memory", []).extend(answer["memory"])
        progress(done := done + 1, total)
    return found


def _asked(request: Mapping[str, Any]) -> Rounds:
    command = [sys.executable, "-m", "separable.experiments.timing"]
    environment = environment_of(request["smoke"])
    done = subprocess.run(  # noqa: S603 - our own module
        command, input=json.dumps(request), env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise SeparableError("The networks cannot be timed", got=said[-1] if said else f"exit code {done.returncode}")
    found: Rounds = json.loads(done.stdout)
    return found


def environment_of(smoke: bool) -> dict[str, str]:
    """Of a process that measures."""
    return os.environ | (_QUIET if smoke else {})


def main() -> None:
    """Answer one request."""
    from separable.machine.runtime import tune_runtime

    request = json.loads(sys.stdin.read())
    device = next(iter(request["cells"].values()))["config"]["device"]
    tune_runtime(pin=device.startswith("cpu"))  # before torch is imported
    if request["measures"] == ["memory"]:
        answer: Rounds = {
            name: {"memory": [_memory(cell, request["classes"])]} for name, cell in request["cells"].items()
        }
    else:
        answer = _speeds(request["cells"], request["classes"], request["measures"], *_length(request["smoke"]))
    sys.stdout.write(json.dumps(answer))


def _length(smoke: bool) -> tuple[int, float]:
    return _SMOKE if smoke else (_ROUNDS, _SECONDS)


def _speeds(
    cells: Mapping[str, Any], class_names: Sequence[str], measures: Sequence[str], rounds: int, seconds: float
) -> Rounds:
    works = {"steps_per_second": _steps, "milliseconds": _pictures}
    runs = {name: {one: works[one](cell, class_names) for one in measures} for name, cell in cells.items()}
    for once in (one for by_measure in runs.values() for one in by_measure.values()):
        once()  # memory is faulted in, and libraries choose their kernels
        once()
    found: Rounds = {name: {one: [] for one in measures} for name in cells}
    for _ in range(rounds):
        for name, by_measure in runs.items():
            for one, once in by_measure.items():
                took = repeated(once, seconds)
                found[name][one].append(1 / took if one == "steps_per_second" else 1000 * took)
    return found


def repeated(once: Callable[[], None], seconds: float) -> float:
    """Median seconds of what is done for so long, at least once."""
    times: list[float] = []
    while not times or sum(times) < seconds:
        begun = time.perf_counter()
        once()
        times.append(time.perf_counter() - begun)
    return statistics.median(times)


def _steps(cell: Mapping[str, Any], class_names: Sequence[str]) -> Callable[[], None]:
    """A training step of a whole batch."""
    from separable.training.estimate import fake_batch

    config, model, stepper = trial_of(cell, class_names)
    batch = fake_batch(model, stepper, config.batch_size)

    def once() -> None:
        stepper.run(batch, 0)  # which reads the loss back: it has happened by then

    return once


def _pictures(cell: Mapping[str, Any], class_names: Sequence[str]) -> Callable[[], None]:
    """One picture through the network."""
    model = trial_of(cell, class_names)[1]
    return one_picture(model, model.input_contract.size)


def one_picture(model: Any, size: Sequence[int]) -> Callable[[], None]:
    """A picture of `size` through a network that was made ready for training, whenever what is returned is called."""
    import torch

    from separable.analysis.measuring import pictures_like

    model.eval()
    x = pictures_like(model, (1, 3, *size), channels_last=True)

    @torch.no_grad()
    def once() -> None:
        model(x)
        if x.is_cuda:
            torch.cuda.synchronize()

    return once


def _memory(cell: Mapping[str, Any], class_names: Sequence[str]) -> float:
    """MiB that a step needs at most beyond what the process has after a step of next to nothing: its libraries."""
    import torch

    from separable.training.display import resident_memory

    model = {**cell["config"]["model"], "name": "xception", "options": _LITTLE, "image_size": [32, 32]}
    recipe = {**cell["config"]["recipe"], "loss": None, "class_weights": "none"}
    little = {**cell["config"], "model": model, "task": "classify", "batch_size": 2, "accumulate": 1, "recipe": recipe}
    _steps({**cell, "config": little}, class_names)()
    before = resident_memory()
    once = _steps(cell, class_names)
    once()
    once()
    if cell["config"]["device"].startswith("cuda"):
        return float(torch.cuda.max_memory_allocated()) / 2**20
    return max(0.0, _peak_memory() - before) / 2**20


def _peak_memory() -> float:
    """Bytes that this process held at most so far."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak if sys.platform == "darwin" else 1024 * peak)


def trial_of(cell: Mapping[str, Any], class_names: Sequence[str]) -> tuple[Any, Any, Any]:
    """The configuration of a cell as plain values, its network ready for training, and what makes its steps."""
    from separable.experiments.carrying_out import task_of
    from separable.training.codec import from_plain
    from separable.training.config import TrainConfig
    from separable.training.estimate import trial
    from separable.training.task import TaskData

    config = from_plain(TrainConfig, cell["config"])
    classes = cast(TaskData, SimpleNamespace(class_names=tuple(class_names)))  # nothing of the pictures is looked at
    return config, *trial(config, task_of(config.task), classes, config.batch_size)


if __name__ == "__main__":
    main()
