"""`accelerate`: the same function and state dict, what is chosen and recorded, and what it says."""

import copy
import importlib
import io
import json
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import separable
from separable.blocks import DepthwiseBN, SeparableConv2d, XceptionDown, XceptionMiddle, XceptionTail, set_dropout_keys
from separable.blocks.accelerate import accelerate, choices_of
from separable.blocks.accelerate.swapped import swapped_modules
from separable.blocks.numerics import set_numerics
from separable.errors import UsageError
from separable.ops.cpu import build
from tests.peers import timm
from tests.tolerances import ACCELERATED_BF16_RATIO, ACCELERATED_FP32

pytestmark = pytest.mark.usefixtures("kernels")

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


def outcome(model: nn.Module, x: Tensor) -> list[Tensor]:
    """The result, the gradients of input and parameters, the buffers afterwards."""
    leaf = x.clone().requires_grad_()
    y = model(leaf)
    weights = torch.linspace(-1, 2, y.numel(), dtype=torch.float64).view(y.shape)
    (y.double() * weights).sum().backward()
    gradients = [t.grad for t in (leaf, *model.parameters())]
    buffers = [b.double() for b in model.buffers()]
    return [y.detach(), *(g for g in gradients if g is not None), *buffers]


def distances(got: list[Tensor], truth: list[Tensor]) -> list[float]:
    pairs = zip(got, truth, strict=True)
    return [((g.double() - t.double()).abs().max() / t.double().abs().max().clamp(min=1e-6)).item() for g, t in pairs]


def numerics(module: nn.Module, padding: str) -> nn.Module:
    set_numerics(module, padding=padding, batch_norm_eps=1e-3, counts_padding=False)
    return module


def timm_block(*arguments: object, **options: object) -> nn.Module:
    module = importlib.import_module("timm.models.xception")  # `timm.models.xception` is a function of that name
    block: nn.Module = module.Block(*arguments, **options)
    return block


BLOCKS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "middle": (lambda: XceptionMiddle(40), 40),
    "middle without residual": (lambda: XceptionMiddle(24, residual=False), 24),
    "down": (lambda: XceptionDown(24, 40, 56), 24),
    "down, symmetric": (lambda: numerics(XceptionDown(24, 40, 56), "symmetric"), 24),
    "down after the stem": (lambda: XceptionDown(16, 24, 24, leading_relu=False), 16),
    "down without residual": (lambda: XceptionDown(16, 24, 24, residual=False), 16),
    "tail": (lambda: XceptionTail(24, 40, 56), 24),
    "timm, entry": (lambda: timm_block(16, 40, 2, 2, start_with_relu=False), 16),
    "timm, middle": (lambda: timm_block(24, 24, 3, 1), 24),
    "timm, exit": (lambda: timm_block(24, 40, 2, 2, grow_first=False), 24),
    "timm, wider without a stride": (lambda: timm_block(24, 40, 2, 1), 24),
}


@pytest.mark.parametrize("mode", ["train", "eval", "frozen"])
@pytest.mark.parametrize("name", BLOCKS)
def test_a_fused_block_is_the_plain_one_in_fp64(name: str, mode: str) -> None:
    """Outputs, all gradients and the running averages; "frozen": training with every second norm in eval."""
    make, channels = BLOCKS[name]
    plain = shaken(make())
    plain.train(mode != "eval")
    for norm in [m for m in plain.modules() if isinstance(m, nn.BatchNorm2d)][::2] if mode == "frozen" else ():
        norm.eval()
    fast = accelerate(copy.deepcopy(plain), implementation="cpu", inplace=True).model
    assert type(fast).__name__ == "FastChain"
    x = picture(2, channels, 9, 8)
    truth = outcome(copy.deepcopy(plain).double(), x.double())
    got = outcome(fast, x)
    assert fast.swap_state.met == NOTHING
    assert max(distances(got, truth)) <= ACCELERATED_FP32


@pytest.mark.parametrize("name", ["middle", "down", "timm, entry"])
def test_a_fused_block_under_autocast_is_as_close_as_plain_torch(name: str) -> None:
    make, channels = BLOCKS[name]
    plain = shaken(make())
    fast = accelerate(copy.deepcopy(plain), implementation="cpu", inplace=True).model
    x = picture(4, channels, 12, 13).bfloat16()
    truth = outcome(copy.deepcopy(plain).double(), x.double())
    with torch.autocast("cpu", torch.bfloat16):
        theirs, ours = distances(outcome(plain, x), truth), distances(outcome(fast, x), truth)
    assert fast.swap_state.met == NOTHING
    floor = torch.finfo(torch.bfloat16).eps
    for number, (own, their) in enumerate(zip(ours, theirs, strict=True)):
        assert own <= ACCELERATED_BF16_RATIO * max(their, floor), f"number {number}: {own} against {their}"


CONVOLUTIONS = {
    "same": nn.Conv2d(12, 12, 3, padding="same", groups=12),
    "valid": nn.Conv2d(12, 12, 5, padding="valid", groups=12, bias=False),
    "strided": nn.Conv2d(12, 12, 3, 2, 1, groups=12),
    "dilated": nn.Conv2d(12, 12, (3, 5), padding=(2, 3), dilation=2, groups=12),
    "ours, separable": SeparableConv2d(12, 20, stride=2, batch_norm=True),
    "ours, separable, ELU": SeparableConv2d(12, 20, intermediate_activation="elu"),
    "ours, mobilenet": DepthwiseBN(12, stride=2),
    "ours, mobilenet, same": numerics(DepthwiseBN(12, stride=2), "tf_same"),
    "ours, mobilenet, torch": numerics(DepthwiseBN(12, stride=2), "symmetric"),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_a_layer_is_the_plain_one_in_fp64(name: str) -> None:
    plain = shaken(copy.deepcopy(CONVOLUTIONS[name]))
    fast = accelerate(copy.deepcopy(plain), implementation="cpu", inplace=True).model
    assert len(swapped_modules(fast)) == 1
    assert isinstance(fast, type(plain)), "it is still what it was"
    x = picture(2, 12, 11, 10)
    assert max(distances(outcome(fast, x), outcome(plain.double(), x.double()))) <= ACCELERATED_FP32
    assert fast.swap_state.met == NOTHING


def small_xception(**options: object) -> nn.Module:
    return separable.create_model("xception", num_classes=5, width=0.05, middle_blocks=1, **options)


MODELS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "xception": (lambda: small_xception(dropout=0.0), 71),
    "mobilenet_v1": (lambda: separable.create_model("mobilenet_v1", num_classes=5, width=0.1, dropout=0.0), 64),
    "timm mobilenet": (lambda: timm.create_model("mobilenetv1_100", num_classes=5), 64),
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


def test_what_was_left_and_why() -> None:
    report = accelerate(Sixes(), implementation="cpu").report
    assert [one.name for one in report.changed] == ["fast", "slow", "idle"]
    assert {one.name: one.why for one in report.left} == {
        "multiplied": "more than one filter for each channel",
        "mirrored": "padding_mode='reflect'",
        "own": "OwnConv is a class of its own, whose forward may be another",
    }
    assert report.to_text() == (
        "Changed:\n"
        "    3 x depthwise convolution (fast, ...)\n"
        "Left as it was:\n"
        "    1 x depthwise convolution: more than one filter for each channel (multiplied)\n"
        "    1 x depthwise convolution: padding_mode='reflect' (mirrored)\n"
        "    1 x depthwise convolution: OwnConv is a class of its own, whose forward may be another (own)"
    )
    assert json.loads(json.dumps(report.to_json()))["left"][0]["name"] == "multiplied"


class Script:
    """A clock that takes the durations of a list, and then the last one for ever."""

    def __init__(self, *durations: float) -> None:
        self.durations, self.calls, self.now = list(durations), 0, 0.0

    def __call__(self) -> float:
        if self.calls % 2 == 1:
            self.now += self.durations.pop(0) if len(self.durations) > 1 else self.durations[0]
        self.calls += 1
        return self.now


def test_auto_keeps_what_the_clock_says_is_faster() -> None:
    """Eval: three pairs for `fast` (first one for warming up), where ours wins, three for `slow`, then the whole."""
    model = Sixes().eval()
    x = picture(2, 6, 7, 7)
    clock = Script(9, 9, 2, 1, 2, 1, 9, 9, 1, 2, 1, 2, 5, 6)
    fast, report = accelerate(model, example=x, clock=clock)
    assert report.choices == {"fast": {"eval forward float32": "cpu"}}
    assert report.changed[0].seconds == {"eval forward float32": (2.0, 1.0)}
    whys = {one.name: one.why for one in report.left}
    assert whys["slow"] == "the kernels were no faster here"
    assert whys["idle"] == "its forward was not called"
    assert report.to_text().splitlines()[1] == "    1 x depthwise convolution [eval forward float32] (fast)"
    assert list(swapped_modules(fast)) == ["fast"]
    assert choices_of(fast) == report.choices


def test_a_tie_changes_nothing() -> None:
    report = accelerate(Sixes().eval(), example=picture(1, 6, 7, 7), clock=Seconds(1.0, 0.99)).report
    assert report.changed == ()
    assert report.to_text().startswith("Nothing was changed.\nLeft as it was:")


def test_a_model_that_got_no_faster_as_a_whole_is_put_back() -> None:
    clock = Script(9, 9, 2, 1, 2, 1, 9, 9, 2, 1, 2, 1, 6, 5)
    fast, report = accelerate(Sixes().eval(), example=picture(1, 6, 7, 7), clock=clock)
    assert not swapped_modules(fast)
    assert report.to_text().startswith("As a whole the model got no faster in eval forward float32, which was undone.")


def test_measuring_changes_neither_model_nor_random_numbers() -> None:
    model, x = small_xception(), picture(2, 3, 71, 71)
    model.block2.eval()
    before = copy.deepcopy(model.state_dict())
    modes = [module.training for module in model.modules()]
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    fast, _ = accelerate(model, example=x, channels_last=True)
    assert torch.equal(torch.rand(1), expected)
    assert all(torch.equal(a, b) for a, b in zip(before.values(), fast.state_dict().values(), strict=True))
    assert [module.training for module in fast.modules()] == modes
    assert all(p.grad is None for p in fast.parameters())


def test_without_an_example_the_first_call_of_a_mode_decides() -> None:
    fast, report = accelerate(nn.Conv2d(6, 6, 3, groups=6), clock=Seconds(2.0, 1.0))
    assert report.to_text().startswith("Each module times both ways when it is first called in a mode.")
    assert choices_of(fast) == {"": {}}
    x = picture(1, 6, 7, 7)
    fast(x)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        fast.eval()(x)
    assert choices_of(fast) == {"": {"train backward float32": "cpu", "eval forward bfloat16": "cpu"}}


def test_choices_are_replayed_to_the_bit_and_nothing_is_timed() -> None:
    def no_clock() -> float:
        raise AssertionError("timed")

    model, x = shaken(small_xception(dropout=0.0)), picture(2, 3, 71, 71)
    first = accelerate(copy.deepcopy(model), inplace=True, clock=Seconds(2.0, 1.0)).model
    expected = outcome(first, x)
    choices = json.loads(json.dumps(choices_of(first)))
    again, report = accelerate(copy.deepcopy(model), inplace=True, choices=choices, clock=no_clock)
    assert report.choices == choices
    assert all(torch.equal(a, b) for a, b in zip(outcome(again, x), expected, strict=True))
    with torch.no_grad():
        assert torch.equal(again.eval()(x), again.eval()(x)), "a mode without a choice is computed as before"


def test_models_that_were_not_accelerated_keep_their_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "_automatic", False)
    plain, x = SeparableConv2d(8, 8).to(memory_format=torch.channels_last), picture(2, 8, 6, 6)
    fast, _ = accelerate(plain, implementation="cpu")
    fast(x)
    assert not build.kernels_in_use(), "`auto` is plain torch still"
    assert torch.equal(plain(x), plain.run(x, "reference"))


@pytest.mark.parametrize("channels_last", [False, True])
def test_gradients_have_their_parameters_strides(channels_last: bool) -> None:
    """Or distributed training warns and copies."""
    model = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, groups=8), XceptionDown(8, 16, 24))
    fast, _ = accelerate(model, implementation="cpu", channels_last=channels_last)
    fast(picture(2, 8, 9, 9)).sum().backward()
    assert fast[1].swap_state.met == NOTHING
    assert [p.grad.stride() for p in fast.parameters() if p.grad is not None] == [p.stride() for p in fast.parameters()]


def test_hooks_inside_a_block_are_called() -> None:
    fast, _ = accelerate(XceptionMiddle(8), implementation="cpu", channels_last=True)
    seen = []
    handle = fast.sepconv2.register_forward_hook(lambda *_: seen.append(1))
    x = picture(2, 8, 6, 6)
    watched = fast(x)
    assert seen == [1]
    assert fast.swap_state.met == "somebody hooked into a part of it"
    handle.remove()
    torch.testing.assert_close(fast(x), watched, rtol=1e-4, atol=1e-4)


def test_a_part_exchanged_later_counts() -> None:
    fast, _ = accelerate(XceptionMiddle(8), implementation="cpu", channels_last=True)
    fast.act2 = nn.GELU()
    fast(picture(2, 8, 6, 6))
    assert fast.swap_state.met == "an activation other than ReLU"


@pytest.mark.parametrize(
    ("block", "why"),
    [
        (XceptionMiddle(8, dilation=2), "a stride or a dilation"),
        (XceptionMiddle(8, intermediate_activation="elu"), "something stands between depthwise and pointwise"),
        (XceptionDown(8, 8, 8, stride=1), "its pool is dilated, or rounds up"),
        (numerics(XceptionDown(8, 8, 8), "caffe"), "its pool is dilated, or rounds up"),
    ],
)
def test_blocks_that_are_no_chain_keep_their_form(block: nn.Module, why: str) -> None:
    report = accelerate(block, implementation="cpu").report
    assert report.left[0].why == why
    assert {one.what for one in report.changed} == {"depthwise and pointwise convolution"}


def test_parts_of_a_fused_block_are_told_apart() -> None:
    report = accelerate(nn.Sequential(XceptionTail(8, 8, 8), SeparableConv2d(8, 8)), implementation="cpu").report
    assert report.to_text() == (
        "Changed:\n"
        "    1 x batch norm, ReLU and separable convolutions fused (0)\n"
        "    2 x depthwise and pointwise convolution, where its block is not fused (0.sepconv1, ...)\n"
        "    1 x depthwise and pointwise convolution (1)"
    )


def test_the_contiguous_layout_is_computed_as_before() -> None:
    conv = nn.Conv2d(6, 6, 3, groups=6)
    fast, report = accelerate(conv, example=torch.randn(1, 6, 7, 7))
    assert type(fast) is nn.Conv2d
    assert "not in channels_last, where the kernels pay (channels_last=True)" in report.left[0].why
    x = torch.randn(2, 6, 7, 7)
    assert torch.equal(accelerate(conv, implementation="cpu").model(x), conv(x))


def test_torchs_own_errors_come_through() -> None:
    block = accelerate(XceptionMiddle(8), implementation="cpu").model
    with pytest.raises(ValueError, match="Expected more than 1 value per channel"):
        block(picture(1, 8, 1, 1))
    conv = accelerate(nn.Conv2d(6, 6, 3, groups=6), implementation="cpu").model
    with pytest.raises(RuntimeError, match="expected input"):
        conv(picture(1, 4, 5, 5))


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


def test_without_kernels_the_model_is_left_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "_loaded", build.KernelStatus(False, "no C++ compiler was found"))
    model = Sixes()
    fast, report = accelerate(model)
    assert fast is model
    assert report.to_text() == "The model was left as it is: no C++ compiler was found."


def test_reference_undoes_and_a_second_call_starts_afresh() -> None:
    model = Sixes().eval()
    names = list(vars(model.fast))
    accelerate(model, inplace=True, implementation="cpu")
    _, again = accelerate(model, inplace=True, example=picture(1, 6, 7, 7), clock=Seconds(1.0, 2.0))
    assert again.changed == ()
    accelerate(model, inplace=True, implementation="cpu")
    report = accelerate(model, inplace=True, implementation="reference").report
    assert report.to_text() == 'Nothing is accelerated: "reference" was asked for.'
    assert type(model.fast) is nn.Conv2d
    assert list(vars(model.fast)) == names


def test_inference_mode_and_a_replaced_forward() -> None:
    block = shaken(XceptionDown(8, 16, 24)).eval()
    fast, _ = accelerate(block, implementation="cpu")
    x = picture(2, 8, 9, 9)
    with torch.inference_mode():
        torch.testing.assert_close(fast(x), block(x), rtol=1e-3, atol=1e-3)
    assert fast.swap_state.met == NOTHING
    fast.sepconv1.forward = lambda x: x.repeat(1, 2, 1, 1)
    fast(x)
    assert fast.swap_state.met == "somebody hooked into a part of it"


def test_a_model_without_depthwise_convolutions() -> None:
    report = accelerate(nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU())).report
    assert report.to_text() == "Nothing was changed: the model has no depthwise convolution."


class Quantised(nn.Identity):
    __module__ = "torch.ao.nn.quantized.modules.conv"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": F.relu}, r"No model to accelerate\. Got: .*\. Expected: a torch\.nn\.Module\."),
        ({"model": nn.Sequential(Quantised())}, r"A quantised model cannot be accelerated"),
        ({"implementation": "fast"}, r"Unknown `implementation`\. Got: 'fast'\. Expected: 'auto' or 'cpu'"),
        ({"choices": {"x": {}}}, r"The choices belong to another model\. Got: x\."),
        ({"choices": {"": {"train backward float32": "triton"}}}, r"`choices` has no such form"),
        ({"choices": ["cpu"]}, r"`choices` has no such form"),
    ],
)
def test_bad_input_is_named(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        accelerate(**{"model": nn.Conv2d(6, 6, 3, groups=6), **arguments})  # type: ignore[arg-type]


def test_scripted_and_compiled_models_are_refused() -> None:
    traced = torch.jit.trace(nn.ReLU(), torch.ones(1))
    with pytest.raises(
        UsageError, match=r"A scripted model cannot be changed\. Accelerate the module it was made of\."
    ):
        accelerate(traced)
    with pytest.raises(UsageError, match=r"A compiled model cannot be changed\. Accelerate first"):
        accelerate(torch.compile(nn.ReLU()))  # type: ignore[arg-type]
