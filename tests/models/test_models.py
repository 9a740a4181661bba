"""What every network must do, each on a configuration small enough to run often."""

import json
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from separable.blocks import XceptionDown, XceptionMiddle, set_dropout_keys
from separable.errors import InputSizeError, ModelOptionError, UnknownModelError
from separable.models import ImageModel, build_model, model_spec
from tests.tolerances import LAYOUT_FP32

SMALL: dict[str, tuple[str, dict[str, Any]]] = {
    "xception": ("xception", {"width": 0.125, "middle_blocks": 1}),
    "xception-plain": ("xception", {"width": 0.1, "middle_blocks": 0, "residual": False, "fc_layers": [16, 8]}),
    "xception-elu": ("xception", {"width": 0.1, "middle_blocks": 9, "intermediate_activation": "elu"}),
    "xception-stride1": ("xception", {"width": 0.125, "middle_blocks": 1, "stem_stride": 1}),
    "inception_v3": ("inception_v3", {"width": 0.1}),
    "inception_v3-gamma": ("inception_v3", {"width": 0.15, "gamma": True, "aux_head": True}),
    "mobilenet_v1": ("mobilenet_v1", {"width": 0.25}),
}
MIN_SIDE = {"xception": 71, "inception_v3": 75, "mobilenet_v1": 32, "xception-stride1": 32}
every = pytest.mark.parametrize("case", SMALL)
each = pytest.mark.parametrize("case", ["xception", "inception_v3", "mobilenet_v1"])


def make(case: str, num_classes: int = 5, **more: Any) -> ImageModel:
    torch.manual_seed(0)
    name, options = SMALL[case]
    return build_model(name, num_classes, **{**options, **more})


def logits(model: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        out = model.eval()(x)
    assert isinstance(out, Tensor)
    return out


@pytest.mark.parametrize("case", MIN_SIDE)
def test_smallest_side(case: str) -> None:
    model, side = make(case), MIN_SIDE[case]
    assert logits(model, torch.randn(1, 3, side, side)).isfinite().all()
    for height, width in ((side - 1, side), (side, side - 1)):
        message = (
            f"^Pictures of {height}x{width} are too small for {model.name}: the smallest side that works is {side}.$"
        )
        with pytest.raises(InputSizeError, match=message):
            model(torch.randn(1, 3, height, width))


@each
@pytest.mark.parametrize("side", [(96, 96), (97, 110), (131, 76)])
def test_odd_even_and_rectangular_sides(case: str, side: tuple[int, int]) -> None:
    model = make(case)
    features = model.eval().forward_features(torch.randn(2, 3, *side))
    assert features.shape[:2] == (2, model.num_features)
    assert model.forward_head(features).shape == (2, 5)
    assert features.min() >= 0, "the last activation is applied"


@every
def test_channels_last_changes_nothing_but_the_layout(case: str) -> None:
    model, x = make(case), torch.randn(2, 3, 97, 80)
    plain = logits(model, x)
    last = logits(model.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last))
    torch.testing.assert_close(plain, last, rtol=0, atol=LAYOUT_FP32 * plain.abs().max().item())


@every
def test_gradients_reach_every_parameter(case: str) -> None:
    """And a step of training mode gives finite losses: every statistic is of more than one value."""
    model = make(case, dropout=0.0).train()
    out = model(torch.randn(3, 3, 107, 100))
    loss = sum((o * torch.randn_like(o)).sum() for o in (out if isinstance(out, tuple) else (out,)))
    loss.backward()
    lost = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert not lost


def test_auxiliary_logits_come_in_training_only() -> None:
    model, x = make("inception_v3-gamma"), torch.randn(2, 3, 80, 80)
    out = model.train()(x)
    assert [o.shape for o in out] == [(2, 5), (2, 5)]
    assert logits(model, x).shape == (2, 5)
    plain = make("inception_v3-gamma", aux_head=False)
    plain.load_state_dict({k: v for k, v in model.state_dict().items() if not k.startswith("aux_head")})
    assert torch.equal(logits(plain, x), logits(model, x)), "the auxiliary head leaves the answer alone"


def test_the_auxiliary_head_reads_the_last_17x17_grid() -> None:
    model, seen = make("inception_v3-gamma").train(), {}
    model.get_submodule("mixed7").register_forward_hook(lambda _m, _i, out: seen.update(grid=out))
    assert model.aux_head is not None
    model.aux_head.register_forward_pre_hook(lambda _m, inputs: seen.update(read=inputs[0]))
    model(torch.randn(2, 3, 80, 80))
    assert seen["read"] is seen["grid"]


def test_without_residuals_no_shortcut_is_left() -> None:
    blocks = list(make("xception", residual=False).children())
    assert all(block.shortcut is None for block in blocks if isinstance(block, XceptionDown))
    assert [block.residual for block in blocks if isinstance(block, XceptionMiddle)] == [False]


@each
def test_dropout_drops_and_keys_pin_it(case: str) -> None:
    model = make(case, dropout=0.5).train()
    features = torch.rand(4, model.num_features, 2, 2)
    assert (model.forward_head(features) - model.forward_head(features)).abs().max() > 1e-3
    set_dropout_keys(model, torch.arange(4))
    whole = model.forward_head(features)
    set_dropout_keys(model, torch.arange(2, 4))
    torch.testing.assert_close(model.forward_head(features[2:]), whole[2:])


@every
def test_rebuilds_from_its_options_and_state(case: str) -> None:
    model = make(case)
    options = json.loads(json.dumps(model.options))
    twin = build_model(model.name, model.num_classes, **options)
    twin.load_state_dict(model.state_dict(), strict=True)
    x = torch.randn(1, 3, 80, 80)
    assert torch.equal(logits(twin, x), logits(model, x))
    assert twin.options == model.options


@each
def test_seed_decides_the_initial_weights(case: str) -> None:
    first, second = make(case).state_dict(), make(case).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


@every
def test_pyramid(case: str) -> None:
    model = make(case, features_only=True)
    x = torch.randn(1, 3, 160, 128)
    with torch.no_grad():
        maps = model.eval()(x)
    halvings = range(5) if "stride1" in case else range(1, 6)
    assert [tap.stride for tap in model.taps] == [2**n for n in halvings]
    assert [m.shape[1] for m in maps] == [tap.channels for tap in model.taps]
    for tap, m in zip(model.taps, maps, strict=True):  # unpadded stems and reductions lose up to 5 pixels
        assert 0 <= 160 / tap.stride - m.shape[2] <= 5
        assert 0 <= 128 / tap.stride - m.shape[3] <= 5
    whole = make(case)
    wanted = {k: v for k, v in whole.state_dict().items() if not k.startswith(("head", "aux_head"))}
    model.load_state_dict(wanted, strict=True)
    with torch.no_grad():
        assert torch.equal(model(x)[-1], whole.eval().forward_features(x))


def test_a_pyramid_has_no_classifier() -> None:
    model = make("mobilenet_v1", features_only=True)
    assert isinstance(model.get_classifier(), nn.Identity)
    with pytest.raises(ModelOptionError, match="has no classifier"):
        model.reset_classifier(3)
    with pytest.raises(ModelOptionError, match="has no head"):
        model.forward_head(torch.randn(1, 256, 1, 1))


@every
def test_reset_classifier(case: str) -> None:
    model = make(case)
    before = model.get_classifier()
    model.reset_classifier(7)
    assert model.num_classes == 7
    assert model.get_classifier() is not before
    assert logits(model, torch.randn(1, 3, 80, 80)).shape == (1, 7)
    out = model.train()(torch.randn(2, 3, 80, 80))
    assert all(o.shape == (2, 7) for o in (out if isinstance(out, tuple) else (out,)))
    model.reset_classifier(0)
    features = model.eval().forward_features(torch.randn(1, 3, 80, 80))
    assert torch.equal(model.forward_head(features), model.forward_head(features, pre_logits=True))
    model.reset_classifier(2)
    assert model.forward_head(features).shape == (1, 2)


@each
def test_other_numbers_of_channels(case: str) -> None:
    assert logits(make(case, in_channels=1), torch.randn(1, 1, 80, 80)).shape == (1, 5)


@each
def test_checkpointing_changes_memory_only(case: str) -> None:
    """Same loss, gradients and running statistics: the second forward must not count the batch again."""
    x = torch.randn(2, 3, 107, 107)
    results = []
    for enable in (False, True):
        model = make(case, dropout=0.0).train()
        model.set_grad_checkpointing(enable)
        runs: list[int] = []
        model.get_submodule(model.chain[0]).register_forward_pre_hook(lambda *_, runs=runs: runs.append(1))
        model(x).square().mean().backward()
        assert len(runs) == 1 + enable
        gradients = {name: p.grad for name, p in model.named_parameters()}
        results.append((gradients, dict(model.named_buffers())))
    for plain, recomputed in zip(*results, strict=True):
        for name, value in plain.items():
            torch.testing.assert_close(recomputed[name], value, rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.compiles
@each
def test_compiles_without_a_graph_break(case: str) -> None:
    model, x = make(case).eval(), torch.randn(2, 3, 97, 108)
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    with torch.no_grad():
        torch.testing.assert_close(compiled(x), model(x))


@each
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore:.*torch.jit.*:DeprecationWarning")
def test_a_traced_graph_serves_odd_and_even_sides(case: str) -> None:
    """torch.jit.trace hands out sides that are tensors."""
    model = make(case).eval()
    with torch.no_grad():
        traced = torch.jit.trace(model, torch.randn(1, 3, 97, 108))
        for side in ((97, 108), (108, 111)):
            x = torch.randn(2, 3, *side)
            torch.testing.assert_close(traced(x), model(x))


@pytest.mark.compiles
@each
def test_one_exported_graph_serves_odd_and_even_sides(case: str) -> None:
    """Down to the side whose last map still has two pixels: torch takes a symbolic size for at least 2."""
    model, auto = make(case).eval(), torch.export.Dim.AUTO
    shapes = ({0: auto, 2: auto, 3: auto},)
    graph = torch.export.export(model, (torch.randn(2, 3, 160, 192),), dynamic_shapes=shapes).module()
    for batch, height, width in ((1, 107, 108), (3, 150, 111)):
        x = torch.randn(batch, 3, height, width)
        with torch.no_grad():
            torch.testing.assert_close(graph(x), model(x))


def test_unknown_names_and_options_are_helped_on() -> None:
    with pytest.raises(UnknownModelError, match=r"There is no model 'exception'.*Perhaps you meant xception\."):
        build_model("exception")
    with pytest.raises(UnknownModelError, match=r"Expected: one of inception_v3, mobilenet_v1, xception\.$"):
        model_spec("resnet50")
    with pytest.raises(
        ModelOptionError, match=r"mobilenet_v1 has no option residual\. Expected: one of activation, dropout"
    ):
        build_model("mobilenet_v1", residual=False)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("xception", {"intermediate_activation": "gelu"}, "intermediate_activation. Got: 'gelu'"),
        ("xception", {"stem_stride": 3}, "stem_stride. Got: 3. Expected: 1 or 2"),
        ("xception", {"width": 0.0}, "width. Got: 0.0. Expected: a number above 0"),
        ("xception", {"middle_blocks": -1}, "middle_blocks. Got: -1. Expected: an integer of at least 0"),
        ("inception_v3", {"dropout": 1.0}, "dropout. Got: 1.0. Expected: a number from 0 to below 1"),
        ("mobilenet_v1", {"in_channels": 0}, "in_channels. Got: 0. Expected: an integer of at least 1"),
        ("mobilenet_v1", {"num_classes": -1}, "num_classes. Got: -1"),
        ("xception", {"width": "0.5"}, "width. Got: '0.5'. Expected: a number above 0"),
        ("xception", {"width": float("inf")}, "width. Got: inf. Expected: a number above 0"),
        ("inception_v3", {"dropout": "x"}, "dropout. Got: 'x'. Expected: a number from 0 to below 1"),
        ("xception", {"dropout": float("nan")}, "dropout. Got: nan. Expected: a number from 0 to below 1"),
        ("xception", {"fc_layers": 2}, "fc_layers. Got: 2. Expected: a list of integers of at least 1"),
        ("xception", {"fc_layers": [8, 0]}, r"fc_layers. Got: \[8, 0\]. Expected: a list of integers of at least 1"),
        ("xception", {"residual": "foo"}, "residual. Got: 'foo'. Expected: True or False"),
        ("inception_v3", {"gamma": 1}, "gamma. Got: 1. Expected: True or False"),
        ("inception_v3", {"aux_head": "no"}, "aux_head. Got: 'no'. Expected: True or False"),
        ("mobilenet_v1", {"features_only": "yes"}, "features_only. Got: 'yes'. Expected: True or False"),
        ("mobilenet_v1", {"activation": ["relu"]}, r"activation. Got: \['relu'\]. Expected: 'relu6' or 'relu'"),
        ("xception", {"in_channels": "3"}, "in_channels. Got: '3'. Expected: an integer of at least 1"),
        ("xception", {"middle_blocks": "a"}, "middle_blocks. Got: 'a'. Expected: an integer of at least 0"),
    ],
)
def test_bad_option_values_are_named(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelOptionError, match=f"Bad model option {message}"):
        build_model(name, **options)
