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

__all__ = ["main", "time_arms"]

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
    alone = len(cells) * _MEMORY_ROUNDS if "memory" in measures else 0
    speeds = [name for name in ("steps_per_second", "milliseconds") if name in measures]
    request = {"classes": list(class_names), "smoke": smoke}
    found: Rounds = {name: {} for name in cells}
    done, total = 0, alone + bool(speeds)
    if speeds:
        found = _asked({**request, "cells": dict(cells), "measures": speeds})
        progress(done := 1, total)
    for name, cell in cells.items() if alone else ():
        asked = {**request, "cells": {name: cell}, "measures": ["memory"]}
        found[name]["memory"] = []
        for _ in range(_MEMORY_ROUNDS):
            found[name]["memory"] += _asked(asked)[name]["memory"]
            progress(done := done + 1, total)
    return found


def _asked(request: Mapping[str, Any]) -> Rounds:
    command = [sys.executable, "-m", "separable.experiments.timing"]
    environment = os.environ | (_QUIET if request["smoke"] else {})
    done = subprocess.run(  # noqa: S603 - our own module
        command, input=json.dumps(request), env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise SeparableError("The networks cannot be timed", got=said[-1] if said else f"exit code {done.returncode}")
    found: Rounds = json.loads(done.stdout)
    return found


def main() -> None:
    """Answer one request."""
    from separable.machine.runtime import tune_runtime

    request = json.loads(sys.stdin.read())
    device = next(iter(request["cells"].values()))["config"]["device"]
    tune_runtime(pin=device.startswith("cpu"))  # before torch is imported
    if request["measures"] == ["memory"]:
        ((name, cell),) = request["cells"].items()
        answer: Rounds = {name: {"memory": [_memory(cell, request["classes"])]}}
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
                took = _repeated(once, seconds)
                found[name][one].append(1 / took if one == "steps_per_second" else 1000 * took)
    return found


def _repeated(once: Callable[[], None], seconds: float) -> float:
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

    config, model, stepper = _trial(cell, class_names)
    batch = fake_batch(model, stepper, config.batch_size)

    def once() -> None:
        stepper.run(batch, 0)  # which reads the loss back: it has happened by then

    return once


def _pictures(cell: Mapping[str, Any], class_names: Sequence[str]) -> Callable[[], None]:
    """One picture through the network."""
    import torch

    from separable.analysis.measuring import pictures_like

    _, model, _ = _trial(cell, class_names)
    model.eval()
    x = pictures_like(model, (1, 3, *model.input_contract.size), channels_last=True)

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


def _trial(cell: Mapping[str, Any], class_names: Sequence[str]) -> tuple[Any, Any, Any]:
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
