"""Our networks beside Keras' own, at every kind of size, with weights that our loader carried over.

The mutants are the mistakes that ports of these networks made: were one of them in our code, these tests would see it.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

from separable.blocks.conv import ConvBN
from separable.blocks.mobilenet import DepthwiseBN
from separable.blocks.pool import AveragePool, MaxPool
from separable.models.base import ImageModel
from separable.models.build import build_model
from separable.weights import load_weights
from tests.parity.keras_net import KerasNet, picture_tensor
from tests.tolerances import KERAS_PARITY

NETS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "xception": ("xception", {}, {}),
    "inception_v3": ("inception_v3", {}, {}),
    **{
        f"mobilenet_v1-{width}": ("mobilenet_v1", {"alpha": width}, {"width": width})
        for width in (0.25, 0.5, 0.75, 1.0)
    },
}
SIZES = [(150, 150), (224, 224), (256, 256), (299, 299), (200, 333)]
SMALLEST = {"xception": (71, 71), "inception_v3": (75, 75)}
CASES = [(net, size) for net in NETS for size in [SMALLEST.get(net, (71, 75)), *SIZES]]

Outputs = tuple[NDArray[np.float32], NDArray[np.float32]]


@pytest.fixture(scope="module")
def ours(keras_file: Callable[..., Path]) -> Callable[[str], ImageModel]:
    made: dict[str, ImageModel] = {}

    def get(net: str) -> ImageModel:
        if net not in made:
            name, keras_options, options = NETS[net]
            model = build_model(name, **options).eval()
            load_weights(model, keras_file(name, ".weights.h5", **keras_options))
            made[net] = model
        return made[net]

    return get


def outputs(model: ImageModel, size: tuple[int, int]) -> Outputs:
    with torch.no_grad():
        features = model.forward_features(picture_tensor(*size))
        return features.numpy(), model.forward_head(features).numpy()


def distance(got: Outputs, expected: Outputs) -> tuple[float, float]:
    """Largest difference over largest value, of the features and of the logits."""
    assert all(a.shape == b.shape for a, b in zip(got, expected, strict=True))
    feature, logit = (float(np.abs(a - b).max() / np.abs(b).max()) for a, b in zip(got, expected, strict=True))
    return feature, logit


@pytest.mark.parametrize(("net", "size"), CASES, ids=[f"{net}-{h}x{w}" for net, (h, w) in CASES])
def test_features_and_logits_are_keras_own(
    net: str, size: tuple[int, int], keras_net: Callable[..., KerasNet], ours: Callable[[str], ImageModel]
) -> None:
    name, keras_options, _ = NETS[net]
    expected = keras_net(name, **keras_options).outputs(*size)
    for value in expected:
        if len(value) == 2:  # two pictures must differ, else nothing below could fail
            assert np.abs(value[0] - value[1]).max() > 100 * KERAS_PARITY * np.abs(value).max()
    assert max(distance(outputs(ours(net), size), expected)) < KERAS_PARITY


def shifted_pool(self: MaxPool, x: torch.Tensor) -> torch.Tensor:
    """torch's own padding=1, which starts one pixel early on even sides (Cadene, timm, FaceForensics)."""
    return F.max_pool2d(x, self.kernel, self.stride, padding=1 if self.padding == "same" else 0)


def padded_average(self: AveragePool, x: torch.Tensor) -> torch.Tensor:
    """torch's default, which counts the padding's zeros (torchvision's inception_v3)."""
    return F.avg_pool2d(x, self.kernel, 1, padding=1)


def symmetric_stem(self: ConvBN, x: torch.Tensor) -> torch.Tensor:
    height, width = self.conv.kernel_size
    padding = (0, 0) if self.pads_itself else ((height - 1) // 2, (width - 1) // 2)
    y: torch.Tensor = self.act(self.bn(self.conv(F.pad(x, (padding[1], padding[1], padding[0], padding[0])))))
    return y


def symmetric_depthwise(self: DepthwiseBN, x: torch.Tensor) -> torch.Tensor:
    """padding=1 at stride 2, as any network written in torch first has it."""
    y = F.conv2d(x, self.conv.weight, stride=self.stride, padding=1, groups=x.shape[1])
    mutant: torch.Tensor = self.act(self.bn(y))
    return mutant


Mutant = tuple[type[nn.Module], Callable[..., torch.Tensor]]
MUTANTS: list[tuple[str, tuple[int, int], Mutant]] = [
    ("xception", (150, 150), (MaxPool, shifted_pool)),
    ("xception", (299, 299), (MaxPool, shifted_pool)),  # one pool of four differs there: the published size
    ("inception_v3", (75, 75), (AveragePool, padded_average)),
    ("inception_v3", (299, 299), (AveragePool, padded_average)),
    ("mobilenet_v1-0.25", (150, 150), (ConvBN, symmetric_stem)),
    ("mobilenet_v1-1.0", (224, 224), (DepthwiseBN, symmetric_depthwise)),
]


@pytest.mark.parametrize(
    ("net", "size", "mutant"), MUTANTS, ids=[f"{net}-{size[0]}-{m[1].__name__}" for net, size, m in MUTANTS]
)
def test_the_known_mistakes_are_seen(
    net: str,
    size: tuple[int, int],
    mutant: Mutant,
    keras_net: Callable[..., KerasNet],
    ours: Callable[[str], ImageModel],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name, keras_options, _ = NETS[net]
    monkeypatch.setattr(mutant[0], "forward", mutant[1])
    assert min(distance(outputs(ours(net), size), keras_net(name, **keras_options).outputs(*size))) > 10 * KERAS_PARITY


@pytest.mark.parametrize("net", ["xception", "inception_v3", "mobilenet_v1-0.25", "mobilenet_v1-1.0"])
def test_another_epsilon_is_seen(
    net: str, keras_net: Callable[..., KerasNet], ours: Callable[[str], ImageModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    name, keras_options, _ = NETS[net]
    for norm in ours(net).modules():
        if isinstance(norm, nn.BatchNorm2d):
            monkeypatch.setattr(norm, "eps", 1e-5)
    assert min(distance(outputs(ours(net), (150, 150)), keras_net(name, **keras_options).outputs(150, 150))) > (
        10 * KERAS_PARITY
    )


def test_the_shifted_pool_cannot_show_where_every_map_is_odd(
    keras_net: Callable[..., KerasNet], ours: Callable[[str], ImageModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Why one size is not enough: at 71 pixels the mistake that the test above finds at 150 leaves no trace."""
    monkeypatch.setattr(MaxPool, "forward", shifted_pool)
    assert max(distance(outputs(ours("xception"), (71, 71)), keras_net("xception").outputs(71, 71))) < KERAS_PARITY
