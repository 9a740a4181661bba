"""DeepLab's checkpoints as `.npz`: its xception.py once more as a function of its variables, beside ours."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from separable.models import ImageModel, build_model
from separable.weights import load_weights
from separable.weights.ports.deeplab import DEEPLAB_PORTS
from separable.weights.ports.find import identify
from separable.weights.ports.read import port_tensors
from separable.weights.source import open_source
from tests.parity.torch_net import distance, pictures, spread
from tests.tolerances import PORT_PARITY
from tests.weights.slim_layers import Slim

WIDTH, MIDDLE = 0.1, 2
ENTRY = {41: ((128, 2), (256, 2), (728, 2)), 71: ((128, 2), (256, 1), (256, 2), (728, 1), (728, 2))}


def c(channels: int) -> int:
    return max(8, round(channels * WIDTH / 8) * 8)


def separable(slim: Slim, x: Tensor, channels: int, scope: str, *, stride: int, relu: bool) -> Tensor:
    """`separable_conv2d_same`: padded alike on both sides where it strides."""
    conv = partial(slim.conv, gamma=True, relu=relu)
    if stride > 1:
        x = conv(F.pad(x, (1, 1, 1, 1)), 0, 3, f"{scope}_depthwise", stride=stride, same=False, depthwise=True)
    else:
        x = conv(x, 0, 3, f"{scope}_depthwise", depthwise=True)
    return conv(x, channels, 1, f"{scope}_pointwise")


def module(slim: Slim, x: Tensor, depths: Sequence[int], scope: str, skip: str, stride: int = 1) -> Tensor:
    scope = f"{scope}/xception_module"
    inside, y = skip == "none", x
    for number, depth in enumerate(depths, start=1):
        y = y if inside else y.relu()
        steps = stride if number == 3 else 1
        y = separable(slim, y, c(depth), f"{scope}/separable_conv{number}", stride=steps, relu=inside)
    if skip == "conv":
        return y + slim.conv(x, c(depths[-1]), 1, f"{scope}/shortcut", stride=stride, gamma=True, relu=False)
    return y + x if skip == "sum" else y


def xception(slim: Slim, x: Tensor, depth: int) -> Tensor:
    x = slim.conv(F.pad(x, (1, 1, 1, 1)), c(32), 3, "entry_flow/conv1_1", stride=2, same=False, gamma=True)
    x = slim.conv(x, c(64), 3, "entry_flow/conv1_2", gamma=True)
    for number, (channels, stride) in enumerate(ENTRY[depth], start=1):
        x = module(slim, x, [channels] * 3, f"entry_flow/block{number}/unit_1", "conv", stride)
    for number in range(1, MIDDLE + 1):
        x = module(slim, x, [728] * 3, f"middle_flow/block1/unit_{number}", "sum")
    x = module(slim, x, (728, 1024, 1024), "exit_flow/block1/unit_1", "conv", 2)
    x = module(slim, x, (1536, 1536, 2048), "exit_flow/block2/unit_1", "none")
    return slim.logits(x, "logits", convolution=True)


def ours(depth: int, classes: int, **options: object) -> ImageModel:
    return build_model(f"xception{depth}", classes, width=WIDTH, middle_blocks=MIDDLE, **options).eval()


@pytest.fixture(scope="module", params=[41, 71])
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[int, Slim, Path]:
    slim = Slim(f"xception_{request.param}", WIDTH, 21)
    with torch.no_grad():
        xception(slim, pictures(96, 96, 4, seed=1), request.param)
    path = tmp_path_factory.mktemp("deeplab") / "model.npz"
    slim.save(str(path))
    return request.param, slim, path


def test_deeplabs_logits(checkpoint: tuple[int, Slim, Path]) -> None:
    depth, slim, path = checkpoint
    model = ours(depth, 21)
    report = load_weights(model, path)
    assert (report.format, report.missing, report.unexpected) == (f"deeplab xception_{depth}", (), ())
    x = pictures(97, 128)
    with torch.no_grad():
        expected, got = xception(slim, x, depth), model(x)
    assert spread(expected) > 100 * PORT_PARITY
    assert distance(got, expected) < PORT_PARITY
    port = next(port for port in DEEPLAB_PORTS if model.name in port.models)
    written = port_tensors(port, model)
    assert written.keys() == slim.variables.keys()
    assert all(np.array_equal(value.numpy(), slim.variables[key]) for key, value in written.items())
    contract = model.input_contract
    assert (contract.padding, contract.batch_norm_eps) == ("symmetric", 1e-3)
    assert (contract.mean, contract.std) == ((0.5,) * 3, (0.5,) * 3)


def test_the_network_is_told_from_its_names(checkpoint: tuple[int, Slim, Path]) -> None:
    depth, _, path = checkpoint
    tensors = open_source(path).tensors
    assert tensors is not None
    found = identify(tensors)
    assert found is not None
    assert (found.model, found.num_classes) == (f"xception{depth}", 21)


def test_the_backbone_of_a_segmentation_checkpoint(checkpoint: tuple[int, Slim, Path], tmp_path: Path) -> None:
    """No classifier, other layers on top, another output stride: the features are those of the checkpoint."""
    depth, slim, _ = checkpoint
    variables = {name: value for name, value in slim.variables.items() if "/logits/" not in name}
    more = {
        f"{name}/weights": np.zeros((1, 1, 8, 4), np.float32) for name in ("aspp0", "decoder/conv", "logits/semantic")
    }
    np.savez(tmp_path / "segmentation.npz", **variables, **more)
    model = ours(depth, 0, output_stride=16)
    report = load_weights(model, tmp_path / "segmentation.npz")
    assert report.notes == ("aspp, decoder, logits, which this network has no place for, was left out",)
    state = model.state_dict()
    stem = slim.variables[f"xception_{depth}/entry_flow/conv1_1/weights"]
    assert np.array_equal(state["conv1.conv.weight"].numpy(), stem.transpose(3, 2, 0, 1))
