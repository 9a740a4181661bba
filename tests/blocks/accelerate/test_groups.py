"""Convolution, batch norm and activation in one: the same numbers, and the parts still what they are by themselves."""

import copy
import importlib
import io
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from separable.blocks import ConvBN, MobileNetUnit
from separable.blocks.accelerate import accelerate
from separable.blocks.accelerate.swapped import swapped_modules
from tests.blocks.accelerate.helpers import NOTHING, distances, least, outcome, picture, shaken
from tests.peers import timm
from tests.tolerances import ACCELERATED_BF16_RATIO, ACCELERATED_FP32

pytestmark = pytest.mark.usefixtures("kernels")


def timm_part(module: str, name: str, *arguments: Any, **options: Any) -> nn.Module:
    assert timm is not None
    part: nn.Module = getattr(importlib.import_module(f"timm.{module}"), name)(*arguments, **options)
    return part


def sequence(*modules: nn.Module) -> nn.Module:
    return nn.Sequential(*modules)


MAKERS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "3x3, ReLU": (lambda: sequence(nn.Conv2d(12, 20, 3, 2, 1), nn.BatchNorm2d(20), nn.ReLU()), 1),
    "1x1, SiLU": (lambda: sequence(nn.Conv2d(12, 20, 1, bias=False), nn.BatchNorm2d(20), nn.SiLU(inplace=True)), 1),
    "1x1 by two, no activation": (lambda: sequence(nn.Conv2d(12, 20, 1, 2), nn.BatchNorm2d(20), nn.GELU()), 1),
    "depthwise, hard swish": (
        lambda: sequence(nn.Conv2d(12, 12, 5, 2, 2, groups=12), nn.BatchNorm2d(12), nn.Hardswish()),
        1,
    ),
    "depthwise, same": (lambda: sequence(nn.Conv2d(12, 12, 3, padding="same", groups=12), nn.BatchNorm2d(12)), 1),
    "two filters a channel": (lambda: sequence(nn.Conv2d(12, 24, 3, groups=12), nn.BatchNorm2d(24), nn.ReLU6()), 1),
    "mirrored": (lambda: sequence(nn.Conv2d(12, 8, 3, padding=1, padding_mode="reflect"), nn.BatchNorm2d(8)), 1),
    "norm and activation": (lambda: sequence(nn.BatchNorm2d(12), nn.ReLU(), nn.Conv2d(12, 4, 3)), 1),
    "norm alone, without parameters": (lambda: nn.BatchNorm2d(12, affine=False), 1),
    "norm without running averages": (lambda: nn.BatchNorm2d(12, track_running_stats=False), 1),
    "ours": (lambda: ConvBN(12, 20, 3, stride=2), 1),
    "ours, 1x1 by two": (lambda: ConvBN(12, 20, 1, stride=2, activation=None), 1),
    "ours, activation first": (lambda: ConvBN(12, 20, 3, activation_first=True), 1),
    "ours, MobileNet": (lambda: MobileNetUnit(12, 20), 2),
    "timm, convolution": (lambda: timm_part("layers", "ConvNormAct", 12, 20, 3), 1),
    "timm, inverted residual": (
        lambda: timm_part("models._efficientnet_blocks", "InvertedResidual", 12, 12, act_layer=nn.SiLU, exp_ratio=2.0),
        3,
    ),
    "timm, depthwise separable": (
        lambda: timm_part("models._efficientnet_blocks", "DepthwiseSeparableConv", 12, 16, act_layer=nn.ReLU6),
        2,
    ),
}


@pytest.mark.parametrize("mode", ["train", "eval", "frozen"])
@pytest.mark.parametrize("name", MAKERS)
def test_a_group_is_the_plain_one_in_fp64(name: str, mode: str) -> None:
    """Outputs, all gradients and the running averages; "frozen": training with the norms in eval."""
    make, number = MAKERS[name]
    plain = shaken_if_tracked(make())
    plain.train(mode != "eval")
    for norm in [m for m in plain.modules() if isinstance(m, nn.BatchNorm2d)] if mode == "frozen" else ():
        norm.eval()
    for conv in (m for m in plain.modules() if isinstance(m, nn.Conv2d) and m.bias is not None):
        conv.bias.requires_grad_(mode != "train")  # its gradient is nothing but rounding
    fast = accelerate(copy.deepcopy(plain), implementation="cpu", inplace=True).model
    assert len(swapped_modules(fast)) == number
    x = picture(2, 12, 11, 10)
    truth = outcome(copy.deepcopy(plain).double(), x.double())
    assert max(distances(outcome(fast, x), truth)) <= ACCELERATED_FP32
    assert {head.swap_state.met for head in swapped_modules(fast).values()} == {NOTHING}


def shaken_if_tracked(model: nn.Module) -> nn.Module:
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    tracked = all(norm.running_mean is not None for norm in norms)
    return shaken(model) if tracked else model.to(memory_format=torch.channels_last)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", MAKERS)
def test_without_gradients_the_norm_is_folded_and_the_result_the_same(name: str, dtype: torch.dtype) -> None:
    plain = shaken_if_tracked(MAKERS[name][0]()).eval()
    fast = accelerate(copy.deepcopy(plain), implementation="cpu", inplace=True).model
    x = picture(2, 12, 11, 10)
    with torch.no_grad(), torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        truth = copy.deepcopy(plain).double()(x.double()) if dtype == torch.float32 else None
        ours, theirs = fast(x), plain(x)
    truth = copy.deepcopy(plain).double()(x.double()).detach() if truth is None else truth
    assert ours.dtype == theirs.dtype
    (own,), (their,) = distances([ours], [truth]), distances([theirs], [truth])
    assert own <= ACCELERATED_BF16_RATIO * max(their, least(ours))


OFF_ZERO: dict[str, Callable[[], nn.Module]] = {
    "norm": lambda: sequence(nn.BatchNorm2d(12), nn.ReLU()),
    "norm, SiLU": lambda: sequence(nn.BatchNorm2d(12), nn.SiLU()),
    "convolution": lambda: sequence(nn.Conv2d(12, 12, 3, padding=1), nn.BatchNorm2d(12), nn.ReLU6()),
    "1x1": lambda: sequence(nn.Conv2d(12, 12, 1, bias=False), nn.BatchNorm2d(12), nn.ReLU()),
    "depthwise": lambda: sequence(nn.Conv2d(12, 12, 3, groups=12, bias=False), nn.BatchNorm2d(12)),
}


@pytest.mark.parametrize(("ratio", "frozen"), [(10.0, False), (100.0, False), (10.0, True)])
@pytest.mark.parametrize("name", OFF_ZERO)
def test_maps_and_gradients_far_off_zero(name: str, ratio: float, frozen: bool) -> None:
    """Mean over deviation of 10 and 100, where moments and sums cancel: as close as plain torch, or to rounding."""
    plain = shaken(OFF_ZERO[name]())
    norm = next(m for m in plain.modules() if isinstance(m, nn.BatchNorm2d))
    x = picture(4, 12, 11, 10) + ratio
    norm.momentum = 1.0
    with torch.no_grad():
        plain(x)  # running averages of such maps
    norm.momentum = 0.1
    norm.train(not frozen)
    fast = accelerate(copy.deepcopy(plain), implementation="cpu", inplace=True).model
    truth = outcome(copy.deepcopy(plain).double(), x.double(), lean=10.0)
    got, theirs = outcome(fast, x, lean=10.0), distances(outcome(plain, x, lean=10.0), truth)
    for number, (own, their) in enumerate(zip(distances(got, truth), theirs, strict=True)):
        assert own <= ACCELERATED_BF16_RATIO * max(their, ACCELERATED_FP32), f"number {number}: {own} against {their}"


def three() -> nn.Module:
    made = sequence(nn.Conv2d(6, 8, 3, padding=1), nn.BatchNorm2d(8), nn.SiLU())
    return shaken(made).eval()


@torch.no_grad()
def test_parts_called_from_elsewhere_are_what_they_were() -> None:
    """A slice of the sequence, a part by itself, a hook, a part that was exchanged."""
    plain, x = three(), picture(2, 6, 7, 5)
    fast = accelerate(copy.deepcopy(plain), implementation="cpu", inplace=True).model
    assert isinstance(fast, nn.Sequential)
    assert torch.equal(fast[0](x), plain[0](x))
    for end in (1, 2):
        torch.testing.assert_close(fast[:end](x), plain[:end](x))
        torch.testing.assert_close(nn.Sequential(*list(fast.children())[:end])(x), plain[:end](x))
    seen: list[Tensor] = []
    handle = fast[0].register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    torch.testing.assert_close(fast(x), plain(x))
    torch.testing.assert_close(seen[0], plain[0](x))
    handle.remove()
    fast[2] = nn.Tanh()
    torch.testing.assert_close(fast(x), plain[:2](x).tanh())


def test_everything_is_put_back() -> None:
    model = timm_part("models._efficientnet_blocks", "InvertedResidual", 12, 12, exp_ratio=2.0)
    kinds, names = [type(m) for m in model.modules()], [sorted(vars(m)) for m in model.modules()]
    accelerate(model, implementation="cpu", inplace=True)
    assert [type(m) for m in model.modules()] != kinds
    assert isinstance(model, kinds[0])
    accelerate(model, implementation="reference", inplace=True)
    assert [type(m) for m in model.modules()] == kinds
    assert [sorted(vars(m)) for m in model.modules()] == names


def test_copies_and_pickles() -> None:
    model = accelerate(three(), implementation="cpu", inplace=True).model
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    x = picture(2, 6, 7, 5)
    for twin in (copy.deepcopy(model), torch.load(file, weights_only=False)):
        assert list(swapped_modules(twin)) == ["0"]
        assert torch.equal(twin(x), model(x))
        head = swapped_modules(twin)["0"]
        assert head.swap_state.followers == (twin[1], twin[2]), "its own, not those of the other"
        assert twin[1] is not model[1]


def pointwise() -> tuple[nn.Module, nn.Module]:
    return nn.Conv2d(6, 6, 1, bias=False), nn.BatchNorm2d(6)


def test_a_module_that_stands_twice_is_left_alone() -> None:
    act = nn.ReLU()
    model = sequence(*pointwise(), act, *pointwise(), act)
    fast = accelerate(copy.deepcopy(model), implementation="cpu", inplace=True).model
    assert type(fast[2]) is nn.ReLU
    x = picture(2, 6, 5, 5)
    assert max(distances(outcome(fast, x), outcome(model.double(), x.double()))) <= ACCELERATED_FP32


def test_one_pixel_for_each_channel_is_torchs_to_refuse() -> None:
    model = accelerate(three().train(), implementation="cpu", inplace=True).model
    with pytest.raises(ValueError, match="Expected more than 1 value per channel"):
        model(picture(1, 6, 1, 1))


def test_a_norm_that_does_not_track_leaves_its_averages_alone() -> None:
    model = shaken(sequence(nn.Conv2d(6, 8, 3), nn.BatchNorm2d(8), nn.SiLU()))
    model[1].track_running_stats = False  # with buffers
    fast = accelerate(copy.deepcopy(model), implementation="cpu", inplace=True).model
    x = picture(2, 6, 7, 5)
    model[0].bias.requires_grad_(False)
    fast[0].bias.requires_grad_(False)
    assert max(distances(outcome(fast, x), outcome(copy.deepcopy(model).double(), x.double()))) <= ACCELERATED_FP32
    assert fast[0].swap_state.met == NOTHING
    assert torch.equal(fast[1].running_mean, model[1].running_mean)
    assert fast[1].num_batches_tracked == 0
