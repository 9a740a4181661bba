"""The rising half of Keras' U-Net with its maps handed on small, against the plain network in fp64."""

import copy
from contextlib import nullcontext

import pytest
import torch
from torch import Tensor, nn

import separable
from separable.blocks.accelerate import accelerate
from separable.blocks.accelerate.rising import FastRise
from separable.blocks.accelerate.swapped import plain_torch, swapped_modules
from tests.blocks.accelerate.helpers import NOTHING, Seconds, least, outcome, picture, shaken
from tests.tolerances import ACCELERATED_BF16_RATIO

pytestmark = pytest.mark.usefixtures("kernels")


def unet(**options: object) -> nn.Module:
    options = {"num_classes": 3, "width": 0.25, "depth": 2} | options
    return shaken(separable.create_model("unet_xception", **options))


def rising(model: nn.Module) -> nn.Module:
    """The network with its first half as it was, so that the second alone is judged."""
    fast = accelerate(copy.deepcopy(model), implementation="cpu", inplace=True).model
    for name, module in swapped_modules(fast).items():
        module.swap_state.enabled = name == "up1"
    assert isinstance(fast.up1, FastRise)
    return fast


def spreads(got: list[Tensor], truth: list[Tensor]) -> list[float]:
    """Root mean squares of the distances, over those of the numbers: the greatest distance is that of a pixel which
    rounding moves over a ReLU's corner, and chance. Where the truth is zero, so is the spread: biases before a norm."""
    pairs = [(g.double(), t.double()) for g, t in zip(got, truth, strict=True)]
    return [((g - t).norm() / t.norm()).item() if t.abs().max() > 1e-9 else 0.0 for g, t in pairs]


@pytest.mark.parametrize("mode", ["train", "eval", "frozen"])
@pytest.mark.parametrize(("sides", "dtype"), [((32, 48), None), ((37, 21), None), ((64, 48), torch.bfloat16)])
def test_it_is_as_close_to_fp64_as_the_plain_one(sides: tuple[int, int], dtype: torch.dtype | None, mode: str) -> None:
    """Logits, all gradients and the running averages; "frozen": training with every second norm in eval."""
    ours, theirs, one = [], [], []
    for seed in range(4):
        torch.manual_seed(seed)
        plain = unet()
        plain.train(mode != "eval")
        for norm in [m for m in plain.modules() if isinstance(m, nn.BatchNorm2d)][::2] if mode == "frozen" else ():
            norm.eval()
        fast, x = rising(plain), picture(3, 3, *sides)
        truth = outcome(copy.deepcopy(plain).double(), x.double())
        with torch.autocast("cpu", dtype) if dtype else nullcontext():
            theirs.append(spreads(outcome(plain, x), truth))
            ours.append(spreads(one := outcome(fast, x), truth))
        assert fast.up1.swap_state.met == NOTHING
    for number, t in enumerate(one):
        own, their = (sum(found[number] ** 2 for found in seeds) ** 0.5 / 2 for seeds in (ours, theirs))
        assert own <= ACCELERATED_BF16_RATIO * max(their, least(t)), f"number {number}: {own} against {their}"


def test_a_bias_before_a_norm_moves_its_average_and_has_no_gradient() -> None:
    plain, x = unet(), picture(2, 3, 32, 32)
    with torch.no_grad():
        plain.up2.conv1.conv.bias.fill_(7.0)
    fast = rising(plain)
    before = fast.up2.conv1.bn.running_mean.clone()
    fast(x).sum().backward()
    plain(x)
    assert not fast.up2.conv1.conv.bias.grad.any()
    torch.testing.assert_close(fast.up2.conv1.bn.running_mean, plain.up2.conv1.bn.running_mean, rtol=1e-3, atol=1e-3)
    assert (fast.up2.conv1.bn.running_mean - before).abs().max() > 0.01


@pytest.mark.parametrize("options", [{"num_classes": 0}, {"dropout": 0.5}, {"depth": 1}, {"num_classes": 1}])
def test_other_forms_are_served(options: dict[str, object]) -> None:
    plain = unet(**options)
    fast, x = rising(plain), picture(2, 3, 32, 24)
    with torch.random.fork_rng():
        expected = plain(x)
    torch.testing.assert_close(fast(x), expected, rtol=1e-4, atol=1e-4)
    assert fast.up1.swap_state.met == NOTHING


@pytest.mark.parametrize("options", [{"skips": True}, {"upsampling": "bilinear"}, {"upsampling": "learned"}])
def test_maps_that_are_put_in_or_doubled_otherwise_stay_plain(options: dict[str, object]) -> None:
    plain, x = unet(**options), picture(2, 3, 32, 32)
    fast = accelerate(copy.deepcopy(plain), implementation="cpu", inplace=True).model
    torch.testing.assert_close(fast(x), plain(x), rtol=1e-3, atol=1e-3)
    rise = swapped_modules(fast).get("up1")
    assert rise is None or rise.swap_state.met == "its parts are not what they were"


def test_the_state_dict_is_the_same_and_it_can_be_undone() -> None:
    plain = unet()
    fast = accelerate(copy.deepcopy(plain), implementation="cpu", inplace=True).model
    assert list(fast.state_dict()) == list(plain.state_dict())
    assert [n for n, _ in fast.named_modules()] == [n for n, _ in plain.named_modules()]
    fast.load_state_dict(plain.state_dict())
    accelerate(fast, implementation="reference", inplace=True)
    assert [type(m) for m in fast.modules()] == [type(m) for m in plain.modules()]
    x = picture(2, 3, 32, 32)
    assert torch.equal(fast(x), plain(x))


def test_hooks_inside_are_called_and_a_part_by_itself_is_plain() -> None:
    plain, x = unet().eval(), picture(2, 3, 32, 32)
    fast, shapes = rising(plain), []
    with torch.no_grad():
        features = fast.forward_features(x)
        torch.testing.assert_close(features, plain.forward_features(x), rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(fast.forward_head(features), plain(x), rtol=1e-3, atol=1e-3)
        handle = fast.up2.conv1.register_forward_hook(lambda module, inputs, y: shapes.append(tuple(y.shape)))
        fast(x)
        handle.remove()
        assert shapes == [tuple(plain.up2.conv1(plain.up1(plain.down2(plain.down1(plain.entry(x))))).shape)]
        assert fast.up1.swap_state.met == "somebody hooked into a part of it"
        fast.reset_classifier(4)
        assert fast(x).shape[1] == 4


def test_checkpointing_computes_block_by_block() -> None:
    fast, x = rising(unet()), picture(2, 3, 32, 32)
    with plain_torch(fast):
        expected = outcome(copy.deepcopy(fast), x)
    fast.set_grad_checkpointing()
    assert all(torch.equal(a, b) for a, b in zip(outcome(fast, x), expected, strict=True))


def test_auto_times_the_whole_and_keeps_what_is_faster() -> None:
    x = picture(2, 3, 32, 32)
    for seconds, chosen in ((Seconds(2.0, 1.0), "cpu"), (Seconds(1.0, 2.0), "reference")):
        fast = accelerate(unet(), inplace=True, clock=seconds).model
        fast(x)
        assert fast.up1.swap_state.choices == {"train backward float32": chosen}
    slow = accelerate(unet(), inplace=True, example=x, clock=Seconds(1.0, 2.0))
    assert type(slow.model).__module__ == "separable.models.unet_xception"
    assert not swapped_modules(slow.model)
    assert any(one.name == "up1" and one.why == "the kernels were no faster here" for one in slow.report.left)
