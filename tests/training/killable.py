"""A small real training as a process group that a test can kill, and a server that starts such trainings quickly."""

import json
import math
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

CLASSES = ("dark", "light", "striped")


def write_pictures(folder: Path, *, train: int = 16, val: int = 4) -> Path:
    """Three classes of 40x44 noise that a network can tell apart; one training picture is no picture at all."""
    random_numbers = np.random.default_rng(0)
    for part, count in (("train", train), ("val", val)):
        for label, name in enumerate(CLASSES):
            (folder / part / name).mkdir(parents=True)
            for i in range(count):
                pixels = random_numbers.integers(0, 128, (40, 44, 3)) + 120 * (label == 1)
                if label == 2:
                    pixels[::4] = 255
                ending = "jpg" if i % 2 else "png"
                Image.fromarray(pixels.astype(np.uint8)).save(folder / part / name / f"{i}.{ending}")
    (folder / "train" / "dark" / "0.png").write_bytes(b"not a picture")
    return folder


def small_config(run: Path, root: Path, *, epochs: int = 4, workers: int = 0, **changes: Any) -> Any:
    """A narrow Xception with everything on that draws random numbers: dropout, mixup, augmentation, averaging."""
    from separable.data.augment_config import AugmentConfig
    from separable.training.config import DataConfig, MachineConfig, ModelConfig, TrainConfig
    from separable.training.recipes import RECIPES

    recipe = RECIPES["small"]
    recipe = replace(
        recipe,
        global_batch=8,
        regularisation=replace(recipe.regularisation, dropout=0.3),
        augment=AugmentConfig(random_resized_crop=(0.5, 1.0), colour=0.3, random_erasing=0.3, mixup=0.2),
    )
    config = TrainConfig(
        run=str(run),
        recipe=recipe,
        data=DataConfig(root=str(root), train_root=str(root / "train"), val_root=str(root / "val"), max_bad=0.2),
        model=ModelConfig(
            options={"width": 0.125, "stem_stride": 1, "middle_blocks": 1}, image_size=(32, 32), crop_fraction=1.0
        ),
        machine=MachineConfig(workers=workers, checkpoint_steps=2, label_check=False),
        epochs=epochs,
        batch_size=8,
        threads=2,
    )
    return replace(config, **changes)


def let_kernels_win(put: Callable[[Any, str, Any], None]) -> None:
    """The CPU kernels are timed in however short a training, and are the faster ones whatever the clock says."""
    from separable.blocks.accelerate import entry, swapped
    from separable.training import acceleration

    put(acceleration, "_SHARE", math.inf)
    put(acceleration, "_SHORT", 0.0)
    put(swapped, "_MARGIN", math.inf)
    put(entry, "_faster", lambda *_: True)


class Server:
    """A process that has imported torch and forks a training for each order; far quicker than a start from nothing."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.training.killable"]
        # Waiting threads sleep instead of spinning: several times faster where the machine is shared, same results.
        environment = os.environ | {"OMP_WAIT_POLICY": "passive"}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def start(self, **order: Any) -> int:
        """Begin a training; its process number, which is its process group's too."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def wait(self) -> int:
        """The way the last training ended, as `Popen.returncode` puts it."""
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())

    def close(self) -> None:
        """End the server."""
        self._process.communicate()


def order(root: Path, run: Path, **changes: Any) -> dict[str, Any]:
    """What `Server.start` takes. `slowest`: the longest of the keyed random waits put into checkpoint writes, in
    seconds; `kernels`: the CPU kernels win wherever they can run; `action` happens in the display after step `at_step`:
    "interrupt" is a Ctrl-C to the whole process group, "fill the disk" a limit on how much can be written.
    """
    defaults = {"epochs": 4, "workers": 0, "threads": 2, "delay_seed": 0, "slowest": 0.0, "action": "", "at_step": 0}
    defaults |= {"kernels": False, "task": "classify"}
    return {"root": str(root), "run": str(run)} | defaults | changes


def train_once(order: dict[str, Any]) -> None:
    """What a forked child does: train or resume, with the disturbances that the order asks for."""
    from separable.errors import SeparableError
    from separable.training import checkpoint
    from separable.training.loop import train
    from separable.training.signals import stop_on_signals

    delays = random.Random(order["delay_seed"])  # keyed, so that a failure can be repeated

    def slowed(function: Any) -> Any:
        def call(*arguments: Any) -> Any:
            time.sleep(delays.uniform(0, order["slowest"]))
            return function(*arguments)

        return call

    if order["slowest"]:
        for name in ("save_model", "save_file", "_fsync", "fsync_directory"):
            setattr(checkpoint, name, slowed(getattr(checkpoint, name)))
    if order["kernels"]:
        let_kernels_win(setattr)
    config, data, task = _subject(order)
    display = _disturbing_display(order)
    try:
        with stop_on_signals(display.note) as stop:
            train(config, data, task=task, resume=True, display=display, stop=stop)
    except SeparableError as error:
        display.note(str(error))
        raise


def _subject(order: dict[str, Any]) -> tuple[Any, Any, Any]:
    """What is trained: configuration, data, task."""
    from separable.data.folder import read_folder
    from separable.data.manifest import read_manifest
    from separable.segmentation.pairs import read_pairs
    from separable.segmentation.task import SegmentTask
    from separable.training.tagging import Tagging
    from tests.segmentation.trainable import segment_config
    from tests.training.taggable import tag_config

    root, run = Path(order["root"]), Path(order["run"])
    chosen = {name: order[name] for name in ("epochs", "workers", "threads")}
    if order["task"] == "segment":
        return segment_config(run, root, **chosen), read_pairs(root), SegmentTask()
    if order["task"] == "tag":
        return tag_config(run, root, **chosen), read_manifest(root), Tagging()
    return small_config(run, root, **chosen), read_folder(root), None


def _disturbing_display(order: dict[str, Any]) -> Any:
    from separable.training.display import Display

    class Disturbing(Display):
        """Notes go to a file beside the run."""

        def note(self, text: str) -> None:
            with Path(order["run"] + ".notes").open("a") as handle:
                handle.write(text + "\n")

        def warn(self, text: str) -> None:
            self.note(f"Warning: {text}")

        def step(self, view: Any) -> None:
            if view.step != order["at_step"]:
                return
            if order["action"] == "interrupt":
                os.killpg(os.getpgid(0), signal.SIGINT)
            elif order["action"] == "fill the disk":
                # Room for the journal, not for a checkpoint.
                resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, resource.RLIM_INFINITY))

        def epoch(self, row: dict[str, Any], text: str) -> None: ...

        def close(self) -> None: ...

    return Disturbing()


def serve() -> None:
    """Read orders, one JSON a line; answer with the process number, then with how it ended."""
    import torch._dynamo  # noqa: F401 - imported once here, so that no forked training has to

    import separable.segmentation.task
    import separable.training.loop
    import separable.training.tagging  # noqa: F401 - likewise

    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            os.setpgid(0, 0)
            code = 1
            try:
                train_once(json.loads(line))
                code = 0
            finally:
                sys.stderr.flush()
                os._exit(code)
        with suppress(PermissionError, ProcessLookupError):  # the child does it too: whoever comes first
            os.setpgid(child, child)
        answer(child)
        answer(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


def answer(number: int) -> None:
    """One line to the test."""
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    serve()
