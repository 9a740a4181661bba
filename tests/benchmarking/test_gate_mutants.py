"""Torch's own rounding passes the gate, and wrong gradients do not: two small networks, broken in one place each."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from separable.benchmarking.contest import Answer, Given, Task
from separable.benchmarking.gate import Verdict, judge
from separable.benchmarking.referee import _enliven, answer_of, give
from separable.models.build import build_model
from tests.tolerances import CONTEST_GRADIENTS

PRECISIONS = ("fp32", "bf16")
CHANNELS_LAST = torch.channels_last


@dataclass
class Bench:
    """A network, what is right, and what plain torch makes of it in channels_last."""

    network: nn.Module
    task: Task
    given: Given
    truth: Answer
    own: dict[str, Answer]

    def answer(self, precision: str, change: Callable[[nn.Module], object] = lambda _: None) -> Answer:
        model = deepcopy(self.network)
        change(model)
        return answer_of(model, self.task, self.given, precision, CHANNELS_LAST)

    def judge(self, answer: Answer, precision: str) -> Verdict:
        return judge(answer, self.truth, self.own[precision], precision, least=CONTEST_GRADIENTS)


def bench(network: nn.Module, task: Task, folder: Path) -> Bench:
    given = give(task, folder)
    _enliven(network, torch.from_numpy(given.pictures()[: task.distinct]), task.seed)
    truth = answer_of(deepcopy(network).double(), task, given, "fp64", CHANNELS_LAST)
    own = {one: answer_of(deepcopy(network), task, given, one, CHANNELS_LAST) for one in PRECISIONS}
    return Bench(network, task, given, truth, own)


@pytest.fixture(scope="module")
def unet(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    torch.manual_seed(0)
    task = Task("train", 4, 64, classes=3, kind="segment")
    return bench(build_model("unet_xception", 3, width=0.5), task, tmp_path_factory.mktemp("unet"))


class Norm(nn.Module):
    """A batch normalisation that is right, or wrong in one way."""

    def __init__(self, norm: nn.BatchNorm2d, kind: str) -> None:
        super().__init__()
        self.weight, self.bias, self.eps, self.kind = norm.weight, norm.bias, norm.eps, kind

    def forward(self, given: Tensor) -> Tensor:
        x = given.float()
        mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3), unbiased=False)
        if self.kind == "sums in bf16":
            low = sums(x)
            mean, variance = mean + (low[0] - mean).detach(), variance + (low[1] - variance).detach()
        if self.kind == "rounded to bf16":
            mean, variance = (one + (one.bfloat16().float() - one).detach() for one in (mean, variance))
        if self.kind in ("no statistics' gradient", "no mean's gradient"):
            mean = mean.detach()
        if self.kind == "no statistics' gradient":
            variance = variance.detach()
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return (x * scale[:, None, None] + (self.bias - mean * scale)[:, None, None]).to(given.dtype)


@torch.no_grad()
def sums(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance from sums that are kept in bf16, 64 places at a time."""
    rows = x.permute(0, 2, 3, 1).flatten(0, 2).bfloat16()
    first, second = torch.zeros(2, rows.shape[1], dtype=torch.bfloat16)
    for part in rows.split(64):
        first, second = first + part.sum(0), second + part.square().sum(0)
    mean = first.float() / len(rows)
    return mean, (second.float() / len(rows) - mean.square()).clamp_min(0)


def swap(kind: str, model: nn.Module) -> None:
    for name, module in list(model.named_modules()):
        if isinstance(module, nn.BatchNorm2d):
            parent, _, own = name.rpartition(".")
            setattr(model.get_submodule(parent), own, Norm(module, kind))


@pytest.mark.parametrize("precision", PRECISIONS)
def test_another_layout_and_an_honest_kernel_pass(unet: Bench, precision: str) -> None:
    contiguous = answer_of(deepcopy(unet.network), unet.task, unet.given, precision)
    for answer in (contiguous, unet.answer(precision, partial(swap, "right"))):
        verdict = unet.judge(answer, precision)
        assert verdict.passed, verdict.reason


@pytest.mark.parametrize(
    ("kind", "precision"),
    [
        ("no statistics' gradient", "fp32"),
        ("no statistics' gradient", "bf16"),
        ("no mean's gradient", "fp32"),
        ("no mean's gradient", "bf16"),
        ("sums in bf16", "fp32"),
        ("sums in bf16", "bf16"),
        ("rounded to bf16", "fp32"),  # in bf16 it is no further from fp64 than torch
    ],
)
def test_missing_terms_and_coarse_statistics_are_refused(unet: Bench, kind: str, precision: str) -> None:
    assert not unet.judge(unet.answer(precision, partial(swap, kind)), precision).passed


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_gradient_that_is_a_twentieth_off_is_refused(unet: Bench, precision: str) -> None:
    """Further off than the precision has it, that is: of every parameter in fp32; in bf16 of all but the few that have
    as much noise of their own on four pictures (measured: 6 of 67). A third off is refused of every one."""
    answer, truth = unet.answer(precision, partial(swap, "right")), unet.truth
    whole = np.sqrt(sum(np.square(truth[name]).sum() for name in answer if name != "loss"))
    names = [name for name in answer if name != "loss" and np.linalg.norm(truth[name]) > 1e-6 * whole]
    assert len(names) == 67
    for off, most in ((0.05, 0 if precision == "fp32" else 12), (0.33, 0)):
        away = {name: 1 + off * np.sign(np.vdot(answer[name] - truth[name], truth[name])) for name in names}
        mutants = {name: answer | {name: scale * answer[name]} for name, scale in away.items()}
        passed = [name for name, mutant in mutants.items() if unet.judge(mutant, precision).passed]
        assert len(passed) <= most, (off, passed)


def test_a_shortcut_without_gradient_is_refused(unet: Bench) -> None:
    def cut(model: nn.Module) -> None:
        model.get_submodule("down2.shortcut").register_forward_hook(lambda _m, _x, y: y.detach() + 0 * y)

    for precision in PRECISIONS:
        assert not unet.judge(unet.answer(precision, cut), precision).passed


class LayerNorm(nn.LayerNorm):
    """Over the channels of each place, in torch's own kernel, or with sums in fp32."""

    exact = False

    def forward(self, x: Tensor) -> Tensor:
        y = x.permute(0, 2, 3, 1)
        y = F.layer_norm(y.float() if self.exact else y, self.normalized_shape, self.weight, self.bias, self.eps)
        return y.to(x.dtype).permute(0, 3, 1, 2)


@pytest.fixture(scope="module")
def layers(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """25,600 places, over which torch 2.13 sums in bf16: a fifth of the gain's gradient is left."""
    torch.manual_seed(0)
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10))
    network = nn.Sequential(nn.Conv2d(3, 16, 2, 2), LayerNorm(16), nn.GELU(), nn.Conv2d(16, 16, 1), nn.GELU(), *head)
    nn.init.uniform_(network[1].weight, 0.5, 1.5)  # type: ignore[arg-type]
    return bench(network, Task("train", 16, 80, classes=10), tmp_path_factory.mktemp("layers"))


def test_what_torch_itself_loses_in_a_large_batch_is_no_mistake(layers: Bench) -> None:
    """Plain torch in either layout, and a kernel that loses nothing, in the batch that is timed."""
    contiguous = answer_of(deepcopy(layers.network), layers.task, layers.given, "bf16")
    exact = layers.answer("bf16", lambda model: setattr(model[1], "exact", True))  # type: ignore[index]
    for answer in (contiguous, layers.own["bf16"], exact):
        verdict = layers.judge(answer, "bf16")
        assert verdict.passed, verdict.reason
    name = "1.weight"
    for scale in (0.0, -1.0, 1.25):
        assert not layers.judge(exact | {name: scale * exact[name]}, "bf16").passed, scale
