"""Run in a process of its own: a predicted peak beside the measured one, as JSON. Arguments: data and scratch folder.

glibc keeps what a process once held, so a process that has trained before would hide the peak this one shows.
"""

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch

from separable.data.folder import read_folder
from separable.machine.allocator import keep_freed_memory
from separable.models import build_model
from separable.training.classification import ClassObjective
from separable.training.config import ModelConfig
from separable.training.display import resident_memory
from separable.training.estimate import estimate
from separable.training.step import Stepper, prepare_for_training
from tests.training.killable import small_config
from tests.training.test_step import fake_batch


@contextmanager
def peak_memory() -> Iterator[Callable[[], int]]:
    """The largest resident size inside the block, sampled every few milliseconds."""
    seen, done = [resident_memory()], threading.Event()

    def watch() -> None:
        while not done.wait(0.002):
            seen.append(resident_memory())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield lambda: max(seen)
    finally:
        done.set()
        thread.join()


def main() -> None:
    """Activations have to dominate, so the pictures are larger than in the other tests."""
    torch.set_num_threads(2)
    keep_freed_memory()
    data = read_folder(Path(sys.argv[1]))
    config = small_config(Path(sys.argv[2]), Path(sys.argv[1]))
    config = replace(
        config, batch_size=24, model=ModelConfig(options={"width": 0.25, "middle_blocks": 2}, image_size=(224, 224))
    )
    before = resident_memory()
    predicted = estimate(config, data).memory
    growth_of_the_trial = resident_memory() - before
    torch.manual_seed(0)
    model = build_model("xception", 3, width=0.25, middle_blocks=2)
    prepare_for_training(model, config)
    stepper = Stepper(model, config, objective=ClassObjective(config, 3), steps_per_epoch=2, batch_size=24)
    with peak_memory() as peak:
        stepper.run(fake_batch(24, 224), 0)
        time.sleep(0.01)
    json.dump({"predicted": predicted - before, "measured": peak() - before, "trial": growth_of_the_trial}, sys.stdout)


if __name__ == "__main__":
    main()
