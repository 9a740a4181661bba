"""How much of the bare training step's rate the main job keeps: Xception at 299, batch 16, on this machine.

    python benchmarks/training_throughput.py                   # fp32 and bf16, about five minutes on two cores
    python benchmarks/training_throughput.py --pairs 3 --precision bf16

Main job: `separable.training.train` on a folder of JPEGs of 500x375, with everything on: decoding, the recipe's random
crops, weight averaging, the journal, the gradient's norm. Bare step: forward, loss, backward and SGD on one batch that
lies in memory, written out in plain torch, with the same layout, allocator, threads and precision. The two take turns,
a step each, in one process; the share is the ratio of their median times. Data workers fill their queue while the bare
step runs, which spares the main job a wait of at most one batch (decoding takes a hundredth of a step).
"""

import argparse
import math
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from separable.benchmarking.contest import Task
from separable.benchmarking.outcome import ContestResult, Entry
from separable.benchmarking.referee import work_of
from separable.benchmarking.session import measured, written
from separable.data.folder import read_folder
from separable.machine.allocator import keep_freed_memory
from separable.models import build_model
from separable.training import train
from separable.training.config import DataConfig, MachineConfig, ModelConfig, TrainConfig
from separable.training.display import Display, StepView
from separable.training.recipes import RECIPES
from separable.training.signals import StopRequest

BATCH, SIDE = 16, 299
RESULTS = Path(__file__).parent / "results"


def write_photos(folder: Path, count: int = 320) -> Path:
    """JPEGs of 500x375 and about 70 KB, as photos of that size have: smooth colour with fine grain.

    240 to train on are 15 steps: no validation falls between the pairs.
    """
    numbers = np.random.default_rng(0)
    for i in range(count):
        path = folder / ("train" if i % 4 else "val") / f"class{i % 2}" / f"{i}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(numbers.integers(0, 256, (12, 16, 3), dtype=np.uint8)).resize((500, 375), 3)
        grain = numbers.normal(0, 11, (375, 500, 1))
        Image.fromarray(np.clip(np.asarray(coarse) + grain, 0, 255).astype(np.uint8)).save(path, quality=87)
    return folder


class BareStep:
    """What remains of a training step when everything around the arithmetic is taken away."""

    def __init__(self, precision: str) -> None:
        self.model = build_model("xception", 2, dropout=0.5).to(memory_format=torch.channels_last).train()
        self.optimiser = torch.optim.SGD(self.model.parameters(), lr=1e-3, momentum=0.9, weight_decay=1e-5)
        self.images = torch.randn(BATCH, 3, SIDE, SIDE).contiguous(memory_format=torch.channels_last)
        self.labels = torch.arange(BATCH) % 2
        self.precision = precision

    def run(self) -> float:
        """Seconds of one step."""
        begun = time.perf_counter()
        self.optimiser.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.precision == "bf16"):
            logits = self.model(self.images)
        loss = torch.nn.functional.cross_entropy(logits.float(), self.labels)
        loss.backward()
        self.optimiser.step()
        loss.item()
        return time.perf_counter() - begun


class Interleave(Display):
    """After every step of the main job, one bare step; the main job's clock stands still meanwhile."""

    def __init__(self, bare: BareStep, pairs: int) -> None:
        self.bare, self.pairs, self.stop = bare, pairs, StopRequest()
        self.main_seconds: list[float] = []
        self.bare_seconds: list[float] = []
        self._resumed = time.perf_counter()

    def step(self, view: StepView) -> None:
        self.main_seconds.append(time.perf_counter() - self._resumed)
        self.bare_seconds.append(self.bare.run())
        print(f"  {len(self.main_seconds)}: main job {self.main_seconds[-1]:.3f} s, bare {self.bare_seconds[-1]:.3f} s")
        if len(self.main_seconds) == self.pairs + 1:  # the first pair warms up and is left out
            self.stop.request()
        self._resumed = time.perf_counter()

    def note(self, text: str) -> None:
        print(f"  {text}")

    def warn(self, text: str) -> None:
        print(f"  Warning: {text}")

    def epoch(self, row: dict[str, Any], text: str) -> None: ...

    def close(self) -> None: ...


def measure(precision: str, pairs: int, workers: int) -> ContestResult:
    """Pairs of a step of the main job and a bare one: the ratio is the share of the bare rate that it keeps."""
    with tempfile.TemporaryDirectory() as folder:
        root = write_photos(Path(folder) / "photos")
        data = read_folder(root)
        augment = replace(RECIPES["xception_imagenet"].augment, colour=0.3)
        config = TrainConfig(
            run=str(Path(folder) / "run"),
            recipe=replace(RECIPES["xception_imagenet"], augment=augment),
            data=DataConfig(root=str(root), train_root=str(data.train.root), val_root=str(data.val.root)),
            model=ModelConfig("xception"),
            machine=MachineConfig(workers=workers, checkpoint_seconds=3600),
            epochs=100,
            batch_size=BATCH,
            precision=precision,  # type: ignore[arg-type]
        )
        display = Interleave(BareStep(precision), pairs)
        train(config, data, display=display, stop=display.stop)
    work = work_of("xception", Task("train", BATCH, SIDE, classes=2))
    entries = [
        Entry(name, "ours", "xception", precision, settings, work, dict(enumerate(seconds[1:])), opening=math.nan)
        for name, settings, seconds in (
            ("main job", f"separable train, everything on, {workers} data workers", display.main_seconds),
            ("bare step", "forward, loss, backward and SGD on a batch in memory", display.bare_seconds),
        )
    ]
    return ContestResult(
        f"Main job against bare step, {precision}, batch {BATCH}, {SIDE}x{SIDE}", "bare step", tuple(entries)
    )


def main() -> None:
    """Measure, print, and add the result to the others."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--precision", choices=("fp32", "bf16"), nargs="*", default=("fp32", "bf16"))
    chosen = parser.parse_args()
    keep_freed_memory()
    contests = (measure(precision, chosen.pairs, chosen.workers) for precision in chosen.precision)
    command = f"benchmarks/training_throughput.py --pairs {chosen.pairs} --workers {chosen.workers}"
    report = measured("train", command, contests, chosen.precision)
    print(report.to_text())
    print(f"written: {written(report, RESULTS, 'training-throughput')[0]}")


if __name__ == "__main__":
    main()
