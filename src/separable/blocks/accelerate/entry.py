"""The public function: checks, the copy, the measurement on an example."""

import copy
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from separable.blocks.accelerate.report import AccelerationReport, Change, Choices, Left
from separable.blocks.accelerate.swap import put_back, swap_all
from separable.blocks.accelerate.swapped import Clock, Swapped, plain_torch, swapped_modules, unaltered
from separable.errors import UsageError
from separable.ops.cpu import load_kernels

__all__ = ["Accelerated", "accelerate", "choices_of"]

_ROUNDS, _FEWEST = 7, 3
_CLEARLY, _AT_LEAST = 0.95, 0.98
"""Shares of plain torch's time: what ends the rounds early, and what the kernels have to save to be kept."""
_NOTHING_PAID = "Nothing was changed."
_NOTHING_THERE = "Nothing was changed: the model has no depthwise convolution and no batch norm."
_IMPLEMENTATIONS = ("auto", "cpu", "reference")


class Accelerated(NamedTuple):
    """The model and what was done to it."""

    model: nn.Module
    report: AccelerationReport


def accelerate(
    model: nn.Module,
    *,
    inplace: bool = False,
    implementation: str = "auto",
    example: Tensor | Sequence[Any] | None = None,
    choices: Mapping[str, Mapping[str, str]] | None = None,
    channels_last: bool = False,
    clock: Clock = time.perf_counter,
) -> Accelerated:
    """Let the depthwise and separable convolutions of any model run by this package's CPU kernels.

    Depthwise `nn.Conv2d`s, our own `SeparableConv2d` and MobileNet units, and whole blocks of Xception (ours and
    timm's) get another forward: the same parameters, the same state dict, the same results but for rounding, in
    training and evaluation. Gradients can be taken once, not of gradients. A module that cannot be served here and
    now (another layout, a hook inside, tracing, another device) computes as it did before.

    Args:
        model: anybody's; neither scripted, nor quantised, nor compiled (compile what comes out).
        inplace: change `model` itself. Otherwise a copy of its structure is changed, whose parameters and buffers are
            the very tensors of `model`: training one trains the other.
        implementation: "auto" times each module both ways, in each mode it is used in (train or eval, with or without
            backward pass, type of numbers), and keeps the faster; "cpu" takes the kernels wherever they can run;
            "reference" undoes what an earlier call did.
        example: an input of the usual shape, or a tuple of arguments. "auto" then measures here and now, in the
            model's own mode and in eval, undoes a mode in which the model as a whole got no faster, and puts modules
            back that no mode uses: hand over a model in training mode if it is to be trained. Without an example each
            module measures itself when it is first called in a mode. Call inside `torch.autocast` to measure that.
            The model runs ten to twenty times on it: buffers and torch's random state are put back, but what its
            forward and its hooks do to Python's state stays done, and hooks on the gradients of parameters are called.
        choices: `report.choices` or `choices_of(model)` of an earlier run: nothing is timed, the results are the same
            to the bit. In modes they do not name, the model computes as before.
        channels_last: convert the model to that layout, without which the kernels do not pay. The parameters that
            a copy shares with `model` get other strides in both; their values stay.
        clock: seconds; for tests.

    Raises:
        UsageError: no model, or one that cannot be changed; unknown `implementation`; choices of another model.
    """
    _check(model, implementation, choices)
    status = load_kernels(automatic=False) if implementation != "reference" else None
    if status is not None and not status.available:
        return Accelerated(model, AccelerationReport((), (), f"The model was left as it is: {status.reason}."))
    if not inplace:
        model = copy.deepcopy(model, {id(t): t for t in (*model.parameters(), *model.buffers())})
    put_back(model)  # what an earlier call may have done
    if status is None:
        return Accelerated(model, AccelerationReport((), (), 'Nothing is accelerated: "reference" was asked for.'))
    if channels_last:
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    unseen = "reference" if choices is not None else implementation
    left = swap_all(model, unseen, choices, clock)
    _check_names(model, choices)
    note = ""
    if example is not None and choices is None and swapped_modules(model):
        note, slower = _settle(model, example, implementation, clock)
        left += slower
    if not swapped_modules(model):
        note = note or (_NOTHING_PAID if left else _NOTHING_THERE)
    elif example is None and unseen == "auto":
        note = "Each module times both ways when it is first called in a mode."
    return Accelerated(model, AccelerationReport(_changes(model), _in_order(model, left), note))


def choices_of(model: nn.Module) -> Choices:
    """What every accelerated module of `model` has chosen until now, for `accelerate(..., choices=)`."""
    return {name: dict(module.swap_state.choices) for name, module in swapped_modules(model).items()}


def _changes(model: nn.Module) -> tuple[Change, ...]:
    states = {name: module.swap_state for name, module in swapped_modules(model).items()}
    return tuple(Change(name, s.what, dict(s.choices), dict(s.seconds)) for name, s in states.items())


def _in_order(model: nn.Module, left: list[Left]) -> tuple[Left, ...]:
    place = {name: number for number, (name, _) in enumerate(model.named_modules())}
    return tuple(sorted(left, key=lambda one: place.get(one.name, 0)))


def _settle(model: nn.Module, example: Any, implementation: str, clock: Clock) -> tuple[str, list[Left]]:
    """Run the example in the modes there are, then undo what did not pay, module by module and as a whole."""
    inputs = tuple(example) if isinstance(example, tuple | list) else (example,)
    lost = []
    with unaltered(model):
        for enter in (_as_it_is, _evaluating) if model.training else (_evaluating,):
            with enter(model):
                _run(model, inputs)
                if implementation == "auto" and not _faster(model, inputs, clock):
                    lost.append(_used_modes(model, enter is _evaluating))
    for modes in lost:
        for module in swapped_modules(model).values():
            module.swap_state.choices |= dict.fromkeys(modes & set(module.swap_state.choices), "reference")
    idle = {name: _idle_reason(m) for name, m in swapped_modules(model).items() if implementation == "auto"}
    left = [
        Left(name, module.swap_state.what, idle[name])
        for name, module in swapped_modules(model).items()
        if idle.get(name)
    ]
    put_back(model, {one.name for one in left})
    undone = sorted(set().union(*lost))
    note = f"As a whole the model got no faster in {', '.join(undone)}, which was undone." if undone else ""
    return note, left


def _idle_reason(module: Swapped) -> str:
    """Why a module that was settled need not stay swapped; empty if it should."""
    state = module.swap_state
    if "cpu" in state.choices.values():
        return ""
    return "the kernels were no faster here" if state.choices else state.met


def _used_modes(model: nn.Module, evaluating: bool) -> set[str]:
    modes = {mode for module in swapped_modules(model).values() for mode in module.swap_state.choices}
    return {mode for mode in modes if (mode.startswith("eval ") and " forward " in mode) == evaluating}


def _faster(model: nn.Module, inputs: tuple[Any, ...], clock: Clock) -> bool:
    """Whether the whole model is, against itself with every module as it was: by the median of paired ratios.

    A pair's order changes from round to round, so that what drifts favours neither.
    """
    if not any("cpu" in module.swap_state.choices.values() for module in swapped_modules(model).values()):
        return True
    ratios: list[float] = []
    for number in range(_ROUNDS):
        first, second = (_seconds(model, inputs, clock, plain) for plain in ((number % 2 == 1), (number % 2 == 0)))
        ratios.append(second / first if number % 2 else first / second)
        if len(ratios) >= _FEWEST and (max(ratios) < _CLEARLY or min(ratios) > 1):
            break
    return statistics.median(ratios) < _AT_LEAST


def _seconds(model: nn.Module, inputs: tuple[Any, ...], clock: Clock, plain: bool) -> float:
    with plain_torch(model) if plain else nullcontext():
        start = clock()
        _run(model, inputs)
        return clock() - start


def _run(model: nn.Module, inputs: tuple[Any, ...]) -> None:
    out = model(*inputs)
    if torch.is_grad_enabled():
        outputs = [t for t in _tensors(out) if t.requires_grad]
        wanted = [p for p in model.parameters() if p.requires_grad]
        if outputs and wanted:
            torch.autograd.grad(outputs, wanted, [torch.ones_like(t) for t in outputs], allow_unused=True)


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _tensors(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _tensors(inner)


@contextmanager
def _as_it_is(model: nn.Module) -> Iterator[None]:
    with torch.enable_grad():
        yield


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation without gradients; afterwards every module is in its own mode again, frozen ones too."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, training in modes:
            module.training = training


def _check(model: object, implementation: str, choices: object) -> None:
    if not isinstance(model, nn.Module):
        raise UsageError("No model to accelerate", got=type(model).__name__, expected="a torch.nn.Module")
    if isinstance(model, torch.jit.ScriptModule):
        raise UsageError("A scripted model cannot be changed", fix="Accelerate the module it was made of")
    if hasattr(model, "_orig_mod"):
        raise UsageError("A compiled model cannot be changed", fix="Accelerate first, then call torch.compile")
    if any(".quantized" in type(module).__module__ for module in model.modules()):
        raise UsageError(
            "A quantised model cannot be accelerated: the kernels take fp32, bf16 and fp16",
            fix="Accelerate the model it was made of instead",
        )
    if implementation not in _IMPLEMENTATIONS:
        expected = " or ".join(repr(name) for name in _IMPLEMENTATIONS)
        raise UsageError("Unknown `implementation`", got=repr(implementation), expected=expected)
    if choices is None:
        return
    entries = choices.values() if isinstance(choices, Mapping) else [None]
    known: Callable[[object], bool] = lambda one: isinstance(one, Mapping) and set(one.values()) <= {"cpu", "reference"}  # noqa: E731
    if not all(known(entry) for entry in entries):
        expected = 'what `choices_of` gives: {module: {mode: "cpu" or "reference"}}'
        raise UsageError("`choices` has no such form", got=repr(choices)[:200], expected=expected)


def _check_names(model: nn.Module, choices: Mapping[str, Mapping[str, str]] | None) -> None:
    strangers = [] if choices is None else sorted(set(choices) - set(swapped_modules(model)))
    if strangers:
        put_back(model)
        raise UsageError(
            "The choices belong to another model",
            got=", ".join(strangers[:3]) + (f" and {len(strangers) - 3} more" if len(strangers) > 3 else ""),
            expected="names of modules of this model that can be accelerated",
        )
