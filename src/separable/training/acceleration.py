"""The CPU kernels in a training: whether they are worth their price, which modules they serve, the same on a resume.

Which module is faster by the kernels is timed before the first step, on noise of the shape that the steps have, and
written to checkpoint 0; nothing is timed afterwards. A mode that was not timed, such as evaluation in another
precision, is computed by plain torch. So a training that is killed before checkpoint 0 chooses anew, having trained
nothing, and one that is killed later goes on with the same choices.

Timing costs what about twenty steps do, and the kernels, once on a machine, a minute or two of compiling. What they
give back was between nothing and a quarter of a step. So a training considers them only where both together stay below
a twentieth of what it will take: four hundred steps of up to 16 pictures at least, or fewer larger ones, and half an
hour more where they have yet to be built. Below two minutes it does not consider them at all: there is nothing to win
that anybody would notice. `separable demo` on its digits is such a training.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from separable.blocks.accelerate import Choices, accelerate
from separable.blocks.accelerate.settle import settle
from separable.blocks.accelerate.swapped import unaltered
from separable.errors import SeparableError
from separable.models.base import ImageModel
from separable.ops.cpu import KernelStatus, kernel_status, load_kernels
from separable.training.config import TrainConfig
from separable.training.display import Display, format_seconds
from separable.training.step import explained_batch_norm, part_sizes, set_train_mode

__all__ = ["choose_acceleration", "load_for", "replay_acceleration", "wanted_library"]

Clock = Callable[[], float]

_TIMING = 20
"""Timing all modules in all modes takes as long as so many steps: measured 17 to 22 on Xception."""
_BUILDING = 90.0
"""Seconds of one core; measured 50 to 82."""
_SHARE = 0.05
"""Of the whole training that timing and building may take."""
_SHORT = 120.0
"""Seconds that a training has to last at least."""
_MOST = 16
"""Pictures in what is timed, at most: with more, maps are out of every cache as well, and the ratio stays."""
_TOO_SHORT = "the training is too short to pay for timing the CPU kernels"
_ANNOUNCED = 2.0
"""Seconds of timing that are worth a line."""


def choose_acceleration(
    model: ImageModel,
    config: TrainConfig,
    display: Display,
    *,
    batch_size: int,
    steps: int,
    clock: Clock = time.perf_counter,
) -> dict[str, Any]:
    """Let the kernels serve the modules of `model` for which they are faster, if timing that pays; never fails.

    The model's weights, buffers and modes, gradients and torch's random state are as before.

    Args:
        model: prepared for training.
        batch_size: pictures in a step; `steps` of them are ahead.

    Returns:
        For the checkpoint: `choices` (empty: plain torch), the `library` that they are for, `why` in a sentence.
    """
    pictures = min(max(part_sizes(batch_size, config)), _MOST)
    repeats = steps * batch_size / pictures  # of what is timed, in the whole training
    reason = _obstacle(model, config) or (_TOO_SHORT if _SHARE * repeats < _TIMING else "")
    if reason:
        return _plain(reason)
    status = kernel_status()
    if status.library is None:
        display.note(f"This training is by plain torch alone: {status.reason}.")
        return _plain(status.reason)
    example = _example(model, pictures)
    with explained_batch_norm():
        spent = _seconds(model, config, example, clock)
    price = _TIMING * spent + (0.0 if status.available else _BUILDING)
    if spent * repeats < _SHORT or price > _SHARE * spent * repeats:
        return _plain(_TOO_SHORT if status.available else f"{status.reason}, and {_TOO_SHORT} and building them")
    status = load_for(display)
    if not status.available or status.library is None:
        display.note(f"This training is by plain torch alone: {status.reason}.")
        return _plain(status.reason)
    if _TIMING * spent > _ANNOUNCED:
        took = format_seconds(_TIMING * spent)
        display.note(f"Timing the CPU kernels against plain torch, module by module: about {took} ...")
    choices, why = _measure(model, config, example, clock)
    display.note(f"{why}.")
    return {"choices": choices, "library": status.library.name, "why": why}


def replay_acceleration(model: ImageModel, config: TrainConfig, chosen: Mapping[str, Any], display: Display) -> None:
    """Compute as the run was begun: `chosen` is the checkpoint's; says so where that is not possible any more."""
    choices = _choices_in(chosen)
    if not choices:
        return
    reason = "" if config.accelerate else "switched off"
    if not reason:
        status = load_for(display)
        reason = "" if status.available else status.reason
    if not reason:
        try:
            accelerate(model, inplace=True, choices=choices)
        except SeparableError as error:  # another version of this package, where a module is no longer one of those
            reason = str(error).rstrip(".")
    if reason:
        display.warn(
            f"Resuming without the CPU kernels that the run was begun with ({reason}): from here on the run is not"
            " identical to the bit."
        )


def wanted_library(chosen: Mapping[str, Any]) -> tuple[str, str] | None:
    """The library that the run's choices are for, and the one that would be used now; None where there are none."""
    if not _choices_in(chosen):
        return None
    library = kernel_status().library
    return chosen["acceleration"]["library"], "none" if library is None else library.name


def load_for(display: Display) -> KernelStatus:
    """Load the kernels; where they are built first, a line says so before and one after."""
    status = kernel_status()
    if status.available or status.library is None:
        return load_kernels(automatic=False)
    display.note("Building the CPU kernels for this machine, which is done once: a minute or two ...")
    begun = time.perf_counter()
    status = load_kernels(automatic=False)
    if status.available:
        display.note(f"Built in {format_seconds(time.perf_counter() - begun)}.")
    return status


def _choices_in(chosen: Mapping[str, Any]) -> Choices:
    """Empty for a run of plain torch, and for one that was begun before there were kernels."""
    return dict((chosen.get("acceleration") or {}).get("choices") or {})


def _plain(why: str) -> dict[str, Any]:
    return {"choices": {}, "library": None, "why": why}


def _obstacle(model: nn.Module, config: TrainConfig) -> str:
    """Why there is nothing to try, as far as it costs nothing to know; empty if there is."""
    if not config.accelerate:
        return "switched off"
    if not config.device.startswith("cpu"):
        return f"the CPU kernels do not serve {config.device}"
    if not config.channels_last:
        return "the CPU kernels need channels_last"
    kinds = (isinstance(m, nn.BatchNorm2d) or (isinstance(m, nn.Conv2d) and m.groups > 1) for m in model.modules())
    return "" if any(kinds) else "the network has no depthwise convolution and no batch norm"


def _example(model: ImageModel, count: int) -> torch.Tensor:
    noise = torch.randn((count, 3, *model.input_contract.size), generator=torch.Generator().manual_seed(0))
    return noise.contiguous(memory_format=torch.channels_last)


def _autocast(config: TrainConfig) -> torch.autocast:
    return torch.autocast("cpu", torch.bfloat16, enabled=config.precision == "bf16")


def _seconds(model: ImageModel, config: TrainConfig, example: torch.Tensor, clock: Clock) -> float:
    """Of a forward and a backward pass by plain torch; of the second one, as the first meets cold caches and memory."""
    set_train_mode(model, config)
    wanted = [parameter for parameter in model.parameters() if parameter.requires_grad]
    begun = ended = 0.0
    with unaltered(model):
        for _ in range(2):
            begun = clock()
            with _autocast(config):
                output = model(example)
            outputs = output if isinstance(output, tuple) else (output,)
            torch.autograd.grad(sum(one.float().sum() for one in outputs), wanted, allow_unused=True)
            ended = clock()
    return ended - begun


def _measure(model: ImageModel, config: TrainConfig, example: torch.Tensor, clock: Clock) -> tuple[Choices, str]:
    """The choices, which hold from here on and are not added to; and what came out, as a sentence without its stop."""
    set_train_mode(model, config)
    with _autocast(config):
        choices = settle(model, example, clock).choices
    if not choices:
        return {}, "Plain torch is the faster one here: the CPU kernels are not used"
    modes = sorted({mode for chosen in choices.values() for mode, choice in chosen.items() if choice == "cpu"})
    parts = "module" if len(choices) == 1 else "modules"
    return choices, f"The CPU kernels serve {len(choices)} {parts}, where they were faster ({', '.join(modes)})"
