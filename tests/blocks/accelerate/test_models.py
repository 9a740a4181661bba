"""Whole accelerated models: state, copies, checkpointing, dropout, tracing."""

import copy
import io
from collections.abc import Callable

import pytest
import torch
from torch import nn

import separable
from separable.blocks import SeparableConv2d, XceptionMiddle, set_dropout_keys
from separable.blocks.accelerate import accelerate
from separable.blocks.accelerate.swapped import swapped_modules
from separable.ops.cpu import build
from tests.blocks.accelerate.helpers import Seconds, outcome, picture, shaken, small_xception
from tests.peers import timm

pytestmark = pytest.mark.usefixtures("kernels")


MODELS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "xception": (lambda: small_xception(dropout=0.0), 71),
    "mobilenet_v1": (lambda: separable.create_model("mobilenet_v1", num_classes=5, width=0.1, dropout=0.0), 64),
    "timm mobilenet": (lambda: timm.create_model("mobilenetv1_100", num_classes=5), 64),
    "timm mobilenet v3": (lambda: timm.create_model("mobilenetv3_small_050", num_classes=5), 64),
    "timm convnext": (lambda: timm.create_model("convnext_atto", num_classes=5), 64),
}


@pytest.mark.parametrize("name", MODELS)
def test_the_state_dict_is_the_same_in_both_directions(name: str) -> None:
    make, side = MODELS[name]
    plain, other = make(), make()
    fast, report = accelerate(other, implementation="cpu", channels_last=True)
    assert report.changed
    assert list(fast.state_dict()) == list(plain.state_dict())
    assert [n for n, _ in fast.named_modules()] == [n for n, _ in plain.named_modules()]
    fast.load_state_dict(plain.state_dict())
    x = picture(2, 3, side, side)
    with torch.no_grad():
        torch.testing.assert_close(fast.eval()(x), plain.eval()(x), rtol=1e-3, atol=1e-4)
    plain = make()
    plain.load_state_dict(fast.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(plain.state_dict().values(), fast.state_dict().values(), strict=True))


def test_a_copy_shares_the_parameters_and_leaves_the_model_alone() -> None:
    model = small_xception()
    fast, _ = accelerate(model, implementation="cpu")
    assert not swapped_modules(model)
    assert swapped_modules(fast)
    assert all(a is b for a, b in zip(model.parameters(), fast.parameters(), strict=True))
    assert all(a is b for a, b in zip(model.buffers(), fast.buffers(), strict=True))
    assert accelerate(model, implementation="cpu", inplace=True).model is model


def test_copies_and_pickles_of_the_accelerated_model() -> None:
    fast, _ = accelerate(small_xception(dropout=0.0), implementation="cpu", channels_last=True)
    x = picture(2, 3, 71, 71)
    file = io.BytesIO()
    torch.save(fast, file)
    file.seek(0)
    expected = fast(x)
    for twin in (copy.deepcopy(fast), torch.load(file, weights_only=False)):
        assert list(swapped_modules(twin)) == list(swapped_modules(fast))
        assert torch.equal(twin(x), expected)


def test_checkpointing_updates_the_running_averages_once() -> None:
    x = picture(2, 3, 71, 71)
    model = shaken(small_xception(dropout=0.0))
    plain, recomputing = (accelerate(copy.deepcopy(model), inplace=True, implementation="cpu").model for _ in range(2))
    recomputing.set_grad_checkpointing()
    assert all(torch.equal(a, b) for a, b in zip(outcome(plain, x), outcome(recomputing, x), strict=True))


def test_timing_within_checkpointing_leaves_no_trace() -> None:
    x = picture(2, 3, 71, 71)
    model = shaken(small_xception(dropout=0.0))
    model.set_grad_checkpointing()
    first = accelerate(copy.deepcopy(model), inplace=True, clock=Seconds(2.0, 1.0)).model
    with torch.autocast("cpu", torch.bfloat16):
        expected = outcome(accelerate(copy.deepcopy(model), inplace=True, implementation="cpu").model, x)
        assert all(torch.equal(a, b) for a, b in zip(outcome(first, x), expected, strict=True))


def test_dropout_keys_reach_the_accelerated_model() -> None:
    fast, _ = accelerate(small_xception(dropout=0.5), implementation="cpu", channels_last=True)
    x = picture(2, 3, 71, 71)
    logits = []
    for keys in (torch.tensor([1, 2]), torch.tensor([1, 2]), torch.tensor([3, 4])):
        set_dropout_keys(fast, keys)
        logits.append(fast(x))
    assert torch.equal(logits[0], logits[1])
    assert not torch.equal(logits[0], logits[2])


def test_models_that_were_not_accelerated_keep_their_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "_automatic", False)
    plain, x = SeparableConv2d(8, 8).to(memory_format=torch.channels_last), picture(2, 8, 6, 6)
    fast, _ = accelerate(plain, implementation="cpu")
    fast(x)
    assert not build.kernels_in_use(), "`auto` is plain torch still"
    assert torch.equal(plain(x), plain.run(x, "reference"))


@pytest.mark.compiles
def test_an_accelerated_model_is_traced_as_the_plain_one() -> None:
    block = shaken(XceptionMiddle(8)).eval()
    fast, _ = accelerate(copy.deepcopy(block), implementation="cpu", inplace=True)
    x = picture(2, 8, 6, 6)
    compiled = torch.compile(fast, backend="eager", fullgraph=True)
    with torch.no_grad():
        torch.testing.assert_close(compiled(x), block(x))
        exported = torch.export.export(fast, (x,)).module()
    assert not any("separable_cpu" in str(node.target) for node in exported.graph.nodes)
