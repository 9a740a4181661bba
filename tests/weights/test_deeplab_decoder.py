"""DeepLab whole, from `.npz` files of its variables: its model.py once more as a function of them, beside ours."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from separable.blocks.norm import keep_own_eps
from separable.blocks.separable import SeparableConv2d
from separable.models import ImageModel, SegmentationModel
from separable.weights import create_model
from separable.weights.ports.deeplab import DEEPLAB_PORTS
from separable.weights.ports.find import identify
from separable.weights.ports.read import port_tensors
from separable.weights.source import open_source
from tests.parity.torch_net import distance, pictures, spread
from tests.tolerances import PORT_PARITY
from tests.weights.slim_layers import Slim
from tests.weights.test_deeplab import ENTRY, WIDTH, c, module, separable

MIDDLE, CLASSES, DEPTH = 1, 7, 65
Variables = dict[str, NDArray[np.float32]]
OPTIONS = {"width": WIDTH, "encoder_options": {"middle_blocks": MIDDLE}}


def xception_65(slim: Slim, x: Tensor, output_stride: int) -> tuple[Tensor, Tensor]:
    """The dilated features, and the end point `entry_flow/block2/.../separable_conv2_pointwise`."""
    x = slim.conv(F.pad(x, (1, 1, 1, 1)), c(32), 3, "entry_flow/conv1_1", stride=2, same=False, gamma=True)
    x = slim.conv(x, c(64), 3, "entry_flow/conv1_2", gamma=True)
    for number, (channels, stride) in enumerate(ENTRY[41], start=1):  # 41 and 65 enter alike
        scope = f"entry_flow/block{number}/unit_1"
        if number == 2:
            inner = f"{scope}/xception_module/separable_conv"
            low = separable(slim, x.relu(), c(channels), f"{inner}1", stride=1, relu=False)
            low = separable(slim, low.relu(), c(channels), f"{inner}2", stride=1, relu=False)
        stride = 1 if output_stride == 8 and number == 3 else stride
        x = module(slim, x, [channels] * 3, scope, "conv", stride)
    rate = 2 if output_stride == 8 else 1
    with dilated(rate):
        x = module(slim, x, [728] * 3, "middle_flow/block1/unit_1", "sum")
        x = module(slim, x, (728, 1024, 1024), "exit_flow/block1/unit_1", "conv", 1)
    with dilated(2 * rate):
        x = module(slim, x, (1536, 1536, 2048), "exit_flow/block2/unit_1", "none")
    return x, low


class dilated:
    """Inside, depthwise convolutions of 3x3 have this rate."""

    def __init__(self, rate: int) -> None:
        self.rate = rate

    def __enter__(self) -> None:
        self.plain = F.conv2d

        def conv2d(x: Tensor, weight: Tensor, stride: int = 1, groups: int = 1) -> Tensor:
            if weight.shape[-1] != 3:
                return self.plain(x, weight, stride=stride, groups=groups)
            more = self.rate - 1
            return self.plain(F.pad(x, (more,) * 4), weight, stride=stride, groups=groups, dilation=self.rate)

        F.conv2d = conv2d

    def __exit__(self, *_: object) -> None:
        F.conv2d = self.plain


class Extras(Slim):
    """What stands outside of the backbone's scope, with an epsilon of its own."""

    def variable(self, name: str, make: Callable[[], NDArray[np.float64]]) -> Tensor:
        if name not in self.variables:
            self.variables[name] = make().astype(np.float32)
        return torch.from_numpy(self.variables[name])

    def norm(self, y: Tensor, scope: str, gamma: bool) -> Tensor:
        """Variances that are small, as where a ReLU is nearly dead: there the two epsilons differ most."""
        count = y.shape[1]
        if y.shape[2:] == (1, 1) and y.shape[0] > 2:
            y = y + 0.1 * torch.randn(y.shape, generator=torch.Generator().manual_seed(3))
        mean = self.variable(f"{scope}/BatchNorm/moving_mean", lambda: y.mean((0, 2, 3)).double().numpy())
        variance = self.variable(f"{scope}/BatchNorm/moving_variance", lambda: y.var((0, 2, 3)).double().numpy())
        beta = self.variable(f"{scope}/BatchNorm/beta", lambda: self.rng.uniform(0, 1.5, count))
        gammas = self.variable(f"{scope}/BatchNorm/gamma", lambda: self.rng.uniform(0.5, 1.5, count))
        return F.batch_norm(y, mean, variance, gammas, beta, eps=1e-5)


def deeplab(slim: Slim, extras: Extras, x: Tensor, output_stride: int = 16, decoder_first: int = 0) -> Tensor:
    size = x.shape[2:]
    features, low = xception_65(slim, x, output_stride)
    conv = partial(extras.conv, gamma=True)
    whole = conv(features.mean((2, 3), keepdim=True), c(256), 1, "image_pooling").expand(-1, -1, *features.shape[2:])
    branches = [whole, conv(features, c(256), 1, "aspp0")]
    for number in (1, 2, 3):
        with dilated(96 // output_stride * number):
            y = conv(features, 0, 3, f"aspp{number}_depthwise", depthwise=True)
        branches.append(conv(y, c(256), 1, f"aspp{number}_pointwise"))
    y = conv(torch.cat(branches, 1), c(256), 1, "concat_projection")
    y = F.interpolate(y, low.shape[2:], mode="bilinear", align_corners=True)
    y = torch.cat((y, conv(low, c(48), 1, "decoder/feature_projection0")), 1)
    for number in (0, 1):
        y = conv(y, 0, 3, f"decoder/decoder_conv{number}_depthwise", depthwise=True)
        y = conv(y, c(256), 1, f"decoder/decoder_conv{number}_pointwise")
    y = conv(y, CLASSES, 1, "logits/semantic", norm=False, relu=False)
    return F.interpolate(y, size, mode="bilinear", align_corners=True)


@pytest.fixture(scope="module")
def theirs() -> tuple[Slim, Extras]:
    slim, extras = Slim("xception_65", WIDTH, CLASSES), Extras("", WIDTH, CLASSES, seed=1)
    with torch.no_grad():
        deeplab(slim, extras, pictures(97, 97, 4, seed=1))
    return slim, extras


@pytest.fixture(scope="module")
def checkpoint(theirs: tuple[Slim, Extras], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("deeplab") / "model.npz"
    slim, extras = theirs
    slim.save(str(path), **extras.variables)
    return path


def logits(model: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        found: Tensor = model.eval()(x)
    return found


@pytest.mark.parametrize("output_stride", [16, 8])
@pytest.mark.parametrize("size", [(97, 129), (90, 131)])
def test_deeplabs_logits(
    output_stride: int, size: tuple[int, int], theirs: tuple[Slim, Extras], checkpoint: Path
) -> None:
    model = create_model("deeplab_xception65", weights=checkpoint, output_stride=output_stride, **OPTIONS)
    x = pictures(*size)
    with torch.no_grad():
        expected = deeplab(*theirs, x, output_stride)
    assert expected.shape == (2, CLASSES, *size)
    assert spread(expected) > 100 * PORT_PARITY
    assert distance(logits(model, x), expected) < PORT_PARITY


def test_every_variable_is_read_and_written_back(theirs: tuple[Slim, Extras], checkpoint: Path) -> None:
    tensors = open_source(checkpoint).tensors
    assert tensors is not None
    found = identify(tensors)
    assert found is not None
    assert (found.model, found.num_classes) == ("deeplab_xception65", CLASSES)
    model = create_model("deeplab_xception65", weights=checkpoint, **OPTIONS)
    port = next(port for port in DEEPLAB_PORTS if model.name in port.models)
    written = port_tensors(port, model)
    stored = {**theirs[0].variables, **theirs[1].variables}
    assert written.keys() == stored.keys()
    assert all(np.array_equal(value.numpy(), stored[key]) for key, value in written.items())


def test_the_backbone_alone_as_the_encoder_of_others(checkpoint: Path) -> None:
    model = create_model("deeplab_xception65", 3, encoder_weights=checkpoint, **OPTIONS)
    whole = create_model("deeplab_xception65", weights=checkpoint, **OPTIONS)
    state = whole.state_dict()
    encoder = {name: value for name, value in model.state_dict().items() if name.startswith("encoder.")}
    assert all(torch.equal(value, state[name]) for name, value in encoder.items() if "num_batches" not in name)
    assert model.num_classes == 3


def _one_epsilon(model: SegmentationModel) -> None:
    for part in (model.get_submodule("aspp"), model.get_submodule("decoder")):
        keep_own_eps(part, 1e-3)


def _corners_apart(model: SegmentationModel) -> None:
    model.align_corners = False


def _rates_of_stride_8(model: SegmentationModel) -> None:
    for number, name in enumerate(("aspp1", "aspp2", "aspp3"), start=1):
        branch = model.get_submodule(f"aspp.{name}")
        assert isinstance(branch, SeparableConv2d)
        branch.dilation = branch.padding = 12 * number


def _activated_finer_map(model: SegmentationModel) -> None:
    model.get_submodule("decoder").register_forward_pre_hook(lambda _m, inputs: (inputs[0], inputs[1].relu()))


def _tf_borders(model: SegmentationModel) -> None:
    model.adopt(replace(model.input_contract, padding="tf_same"))


MISTAKES = [_one_epsilon, _corners_apart, _rates_of_stride_8, _activated_finer_map, _tf_borders]


@pytest.mark.parametrize("mutate", MISTAKES)
def test_the_known_mistakes_are_seen(
    mutate: Callable[[ImageModel], None], theirs: tuple[Slim, Extras], checkpoint: Path
) -> None:
    mutant = deepcopy(create_model("deeplab_xception65", weights=checkpoint, **OPTIONS))
    mutate(mutant)
    x = pictures(90, 131)
    with torch.no_grad():
        expected = deeplab(*theirs, x)
    assert distance(logits(mutant, x), expected) > 10 * PORT_PARITY
