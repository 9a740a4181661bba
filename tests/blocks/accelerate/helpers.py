"""Clocks that say what they are told, small models, and what a model computes with all its gradients."""

import torch
from torch import Tensor, nn

import separable
from separable.blocks.numerics import set_numerics
from tests.tolerances import ACCELERATED_FP32

NOTHING = "its forward was not called"
"""What a swapped module says while nothing has stood in the way of its fast forward."""


class Seconds:
    """A clock by which the plain way takes `plain` and the fast one `fast`, in turn, whatever they really take."""

    def __init__(self, plain: float, fast: float) -> None:
        self.durations, self.calls, self.now = (plain, fast), 0, 0.0

    def __call__(self) -> float:
        if self.calls % 2 == 1:
            self.now += self.durations[self.calls // 2 % 2]
        self.calls += 1
        return self.now


class Script:
    """A clock that takes the durations of a list, and then the last one for ever."""

    def __init__(self, *durations: float) -> None:
        self.durations, self.calls, self.now = list(durations), 0, 0.0

    def __call__(self) -> float:
        if self.calls % 2 == 1:
            self.now += self.durations.pop(0) if len(self.durations) > 1 else self.durations[0]
        self.calls += 1
        return self.now


class Sixes(nn.Module):
    """Two depthwise convolutions and what should be left alone."""

    def __init__(self) -> None:
        super().__init__()
        self.fast, self.slow = nn.Conv2d(6, 6, 3, padding=1, groups=6), nn.Conv2d(6, 6, 5, padding=2, groups=6)
        self.grouped = nn.Conv2d(6, 6, 3, padding=1, groups=2)
        self.multiplied = nn.Conv2d(6, 12, 3, padding=1, groups=6)
        self.mirrored = nn.Conv2d(6, 6, 3, padding=1, groups=6, padding_mode="reflect")
        self.own = type("OwnConv", (nn.Conv2d,), {})(6, 6, 3, padding=1, groups=6)
        self.idle = nn.Conv2d(6, 6, 3, groups=6)
        self.drop = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        y = self.own(self.mirrored(self.slow(self.fast(self.grouped(x)))))
        return {"y": self.drop(self.multiplied(y))}


def picture(*shape: int) -> Tensor:
    return torch.randn(*shape).contiguous(memory_format=torch.channels_last)


def shaken(model: nn.Module) -> nn.Module:
    """Batch norms with gamma of both signs, beta and statistics of their own."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for t in (module.weight, module.bias):
                if t is not None:
                    nn.init.normal_(t)
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
    return model.to(memory_format=torch.channels_last)


def outcome(model: nn.Module, x: Tensor, lean: float = 0.0) -> list[Tensor]:
    """The result, the gradients of input and parameters, the buffers afterwards; `lean` is added to the gradient."""
    leaf = x.clone().requires_grad_()
    y = model(leaf)
    weights = torch.linspace(-1, 2, y.numel(), dtype=torch.float64).view(y.shape) + lean
    (y.double() * weights).sum().backward()
    gradients = [t.grad for t in (leaf, *model.parameters())]
    buffers = [b.double() for b in model.buffers()]
    return [y.detach(), *(g for g in gradients if g is not None), *buffers]


def distances(got: list[Tensor], truth: list[Tensor]) -> list[float]:
    pairs = zip(got, truth, strict=True)
    return [((g.double() - t.double()).abs().max() / t.double().abs().max().clamp(min=1e-6)).item() for g, t in pairs]


def least(t: Tensor) -> float:
    """What an error may be, over the largest value, however exact plain torch is: by the type that `t` itself has."""
    return ACCELERATED_FP32 if t.dtype in (torch.float32, torch.float64) else torch.finfo(t.dtype).eps


def numerics(module: nn.Module, padding: str) -> nn.Module:
    set_numerics(module, padding=padding, batch_norm_eps=1e-3, counts_padding=False)
    return module


def small_xception(**options: object) -> nn.Module:
    return separable.create_model("xception", num_classes=5, width=0.05, middle_blocks=1, **options)
