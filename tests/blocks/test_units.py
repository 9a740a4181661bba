"""The small blocks: each against its own definition, written out with torch.nn.functional."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from separable import ops
from separable.blocks import AveragePool, ClassifierHead, ConvBN, DepthwiseBN, MaxPool, MobileNetUnit, SeparableConv2d
from separable.blocks.init import init_glorot_uniform, init_truncated_normal, init_variance_scaling
from separable.blocks.norm import batch_norm, frozen_running_statistics


def unsettle(module: nn.Module) -> nn.Module:
    """Statistics, scales and offsets that a forgotten normalisation cannot match by luck; evaluation mode."""
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            assert norm.running_mean is not None
            assert norm.running_var is not None
            norm.running_mean.normal_(0, 0.5)
            norm.running_var.uniform_(0.001, 0.5)
            nn.init.normal_(norm.bias)
            if norm.weight is not None:
                nn.init.uniform_(norm.weight, 0.5, 2.0)
    return module.eval()


def normalise(x: Tensor, norm: nn.BatchNorm2d) -> Tensor:
    """Batch normalisation with the stored statistics and the published epsilon."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    shape = (1, -1, 1, 1)
    y = (x - norm.running_mean.view(shape)) / torch.sqrt(norm.running_var.view(shape) + 1e-3)
    return (y if norm.weight is None else y * norm.weight.view(shape)) + norm.bias.view(shape)


@pytest.mark.parametrize("side", [(8, 8), (7, 9), (8, 9)])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding"),
    [(3, 2, "same"), (3, 1, "same"), ((1, 7), 1, "same"), (1, 2, "same"), (3, 2, "valid")],
)
def test_conv_bn(side: tuple[int, int], kernel: int | tuple[int, int], stride: int, padding: str) -> None:
    block = unsettle(ConvBN(3, 5, kernel, stride=stride, padding=padding))  # type: ignore[arg-type]
    x = torch.randn(2, 3, *side)
    weight = block.conv.weight
    padded = ops.pad_same(x, tuple(weight.shape[2:]), stride) if padding == "same" else x
    expected = F.relu(normalise(F.conv2d(padded, weight, stride=stride), block.bn))
    torch.testing.assert_close(block(x), expected)
    assert set(dict(block.named_parameters())) == {"conv.weight", "bn.weight", "bn.bias"}


def test_conv_bn_activations_and_missing_gamma() -> None:
    x = torch.randn(2, 3, 4, 4) * 10
    for activation, function in ((None, lambda t: t), ("relu6", F.relu6), ("elu", F.elu)):
        block = unsettle(ConvBN(3, 4, 1, activation=activation, gamma=False))
        torch.testing.assert_close(block(x), function(normalise(F.conv2d(x, block.conv.weight), block.bn)))
        assert "bn.weight" not in block.state_dict()


def test_batch_norm_without_gamma_learns_like_one_whose_gamma_stays_1() -> None:
    with_gamma, without = batch_norm(3), batch_norm(3, gamma=False)
    x = torch.randn(4, 3, 5, 5)
    torch.testing.assert_close(without(x), with_gamma(x))
    torch.testing.assert_close(without.running_var, with_gamma.running_var)
    assert (without.eps, without.momentum) == (1e-3, 0.01)


def test_frozen_running_statistics_changes_no_output_and_no_statistic() -> None:
    norm = batch_norm(3).train()
    x = torch.randn(4, 3, 5, 5)
    with frozen_running_statistics(norm):
        inside = norm(x)
    assert norm.running_mean is not None
    assert not norm.running_mean.any()
    assert norm.num_batches_tracked == 0
    torch.testing.assert_close(norm(x), inside)
    assert norm.running_mean.any()


@pytest.mark.parametrize("activation", [None, "relu", "elu"])
def test_separable_conv(activation: str | None) -> None:
    """Figure 10: the activation sits between the two convolutions, and nothing does by default."""
    block = SeparableConv2d(4, 6, batch_norm=True, bias=True, intermediate_activation=activation)
    unsettle(block)
    x = torch.randn(2, 4, 7, 8)
    middle = F.conv2d(x, block.depthwise.weight, padding=1, groups=4)
    middle = {None: lambda t: t, "relu": F.relu, "elu": F.elu}[activation](middle)
    assert block.bn is not None
    expected = normalise(F.conv2d(middle, block.pointwise.weight, block.pointwise.bias), block.bn)
    torch.testing.assert_close(block(x), expected)


def test_separable_conv_state() -> None:
    assert set(SeparableConv2d(4, 6).state_dict()) == {"depthwise.weight", "pointwise.weight"}
    state = SeparableConv2d(4, 6, 5, stride=2, batch_norm=True).state_dict()
    assert state["depthwise.weight"].shape == (4, 1, 5, 5)
    assert state["pointwise.weight"].shape == (6, 4, 1, 1)
    assert SeparableConv2d(4, 6, 5, stride=2)(torch.randn(1, 4, 9, 8)).shape == (1, 6, 5, 4)


@pytest.mark.parametrize("side", [(8, 8), (7, 9), (3, 4)])
def test_depthwise_bn_pads_below_and_to_the_right_on_odd_sides_too(side: tuple[int, int]) -> None:
    """Keras' ZeroPadding2D(((0, 1), (0, 1))) and a valid convolution; TensorFlow's 'same' would give 5 from 9."""
    block = unsettle(DepthwiseBN(3, stride=2))
    x = torch.randn(1, 3, *side) * 5
    expected = F.relu6(normalise(F.conv2d(F.pad(x, (0, 1, 0, 1)), block.conv.weight, stride=2, groups=3), block.bn))
    torch.testing.assert_close(block(x), expected)
    assert block(x).shape[2:] == tuple((s - 2) // 2 + 1 for s in side)


def test_mobilenet_unit() -> None:
    unit = unsettle(MobileNetUnit(3, 5))
    x = torch.randn(2, 3, 6, 5) * 5
    y = F.relu6(normalise(F.conv2d(x, unit.depthwise.conv.weight, padding=1, groups=3), unit.depthwise.bn))
    expected = F.relu6(normalise(F.conv2d(y, unit.pointwise.conv.weight), unit.pointwise.bn))
    torch.testing.assert_close(unit(x), expected)


def test_pools_are_modules_over_the_ops() -> None:
    x = torch.randn(1, 2, 8, 8)
    assert torch.equal(MaxPool("same")(x), ops.max_pool2d(x, 3, 2, "same"))
    assert MaxPool("valid")(x).shape == (1, 2, 3, 3)
    assert torch.equal(AveragePool()(x), ops.average_pool2d(x, 3, 1, "same"))
    assert repr(MaxPool("same")) == "MaxPool(kernel=3, stride=2, padding='same')"


def test_head() -> None:
    head = ClassifierHead(4, 3, fc_layers=(6, 5), dropout=0.5).eval()
    features = torch.randn(2, 4, 3, 3)
    fc1, fc2 = head.get_submodule("fc1"), head.get_submodule("fc2")
    hidden = F.relu(fc2(F.relu(fc1(features.mean((2, 3))))))
    torch.testing.assert_close(head(features, pre_logits=True), hidden)
    torch.testing.assert_close(head(features), head.classifier(hidden))
    assert torch.equal(ClassifierHead(4, 0)(features), features.mean((2, 3)))


def test_head_dropout_really_drops() -> None:
    """Dropout whose result is thrown away, or that sits where nothing reads it, leaves the logits as they are."""
    head = ClassifierHead(64, 8, dropout=0.5).train()
    features = torch.randn(2, 64, 3, 3)
    assert (head(features) - head(features)).abs().max() > 1e-2
    head.eval()
    assert torch.equal(head(features), head(features))


def test_initialisers() -> None:
    conv, depthwise, dense = nn.Conv2d(64, 96, 3), nn.Conv2d(512, 512, 3, groups=512), nn.Linear(300, 500)
    for layer, fans in ((conv, 9 * (64 + 96)), (depthwise, 9 * 512 + 9), (dense, 800)):
        init_glorot_uniform(layer)
        limit = math.sqrt(6 / fans)
        assert 0.98 * limit < layer.weight.abs().max() <= limit
        assert layer.weight.std().item() == pytest.approx(limit / math.sqrt(3), rel=0.03)
        assert not layer.bias.any()
    init_variance_scaling(conv)
    assert conv.weight.std().item() == pytest.approx(math.sqrt(2 / (9 * 64)), rel=0.02)
    assert conv.weight.abs().max() <= 2 * math.sqrt(1.3 * 2 / (9 * 64))
    init_truncated_normal(dense, 0.01)
    assert dense.weight.abs().max() <= 0.02
    assert dense.weight.std().item() == pytest.approx(0.0088, rel=0.02), "a unit normal cut at 2 has deviation 0.8796"
