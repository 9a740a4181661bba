"""The tiny experiment in a process that can be killed: `python -m tests.experiments.running HOME PROCESSES`."""

import sys
from functools import partial
from pathlib import Path

from separable.experiments import cells
from separable.experiments.runner import reproduce
from separable.training.config import MachineConfig
from separable.training.display import PlainDisplay
from separable.training.signals import stop_on_signals
from tests.experiments.tiny import LONGER, tiny

if __name__ == "__main__":
    # What does not change the result: checkpoints so often that a kill finds some.
    cells.MachineConfig = partial(MachineConfig, checkpoint_steps=4)  # type: ignore[assignment, misc]
    display = PlainDisplay()
    with stop_on_signals(display.note) as stop:
        result = reproduce(
            tiny(setup=LONGER), "smoke", home=Path(sys.argv[1]), processes=int(sys.argv[2]), display=display, stop=stop
        )
    sys.exit(0 if result.finished else 3)
