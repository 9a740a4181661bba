"""VGG16, the ResNets, AlexNet, SqueezeNet and MobileNet with torchvision's and timm's weights: logits and contracts."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from separable.blocks.conv import ConvBN
from separable.blocks.dense_head import DenseHead
from separable.blocks.pool import MaxPool
from separable.errors import WeightsMismatchError
from separable.models.base import ImageModel
from separable.models.build import build_model
from separable.models.contract import InputContract
from separable.weights import create_model, load_weights
from separable.weights.ports.alexnet import ALEXNET
from separable.weights.ports.mobilenet_v1 import TIMM_MOBILENET_V1
from separable.weights.ports.port import Port
from separable.weights.ports.read import port_tensors
from separable.weights.ports.resnet import RESNETS
from separable.weights.ports.squeezenet import SQUEEZENET_1_0, SQUEEZENET_1_1
from separable.weights.ports.vgg import TIMM_VGG16, TORCHVISION_VGG16
from tests.parity.narrow import enliven, narrowed
from tests.parity.torch_net import calibrate, distance, pictures, spread
from tests.peers import timm, torchvision
from tests.tolerances import PORT_PARITY

CLASSES = 7
SIZES = [(96, 96), (97, 64)]
NATIVE = (224, 224)


@dataclass(frozen=True)
class Case:
    """A network of theirs, narrow where it is large, and ours for it."""

    make: Callable[[], nn.Module]
    name: str
    options: dict[str, Any]
    factor: int = 1
    """By which channels are divided."""
    port: Port | None = None

    def theirs(self) -> nn.Module:
        network = narrowed(self.make, self.factor, CLASSES) if self.factor > 1 else self.make()
        if any(isinstance(module, nn.BatchNorm2d) for module in network.modules()):
            return calibrate(network, 96)
        return enliven(network)


def tv(name: str) -> Callable[[], nn.Module]:
    return partial(torchvision.models.get_model, name, num_classes=CLASSES)


def ti(name: str) -> Callable[[], nn.Module]:
    return partial(timm.create_model, name, num_classes=CLASSES)


def mobilenet() -> nn.Module:
    """timm's own builder of mobilenetv1_100, at a quarter of the width."""
    made: nn.Module = timm.models.efficientnet._gen_mobilenet_v1("mobilenetv1_100", 0.25, num_classes=CLASSES)
    return made


V15 = {"stride_on": "3x3", "width": 0.125}
CASES = {
    "torchvision vgg16": Case(tv("vgg16"), "vgg16", {"width": 0.125}, 8, TORCHVISION_VGG16),
    "timm vgg16": Case(ti("vgg16"), "vgg16", {"width": 0.125, "dense_evaluation": True}, 8, TIMM_VGG16),
    "torchvision alexnet": Case(tv("alexnet"), "alexnet", {"width": 0.125}, 8, ALEXNET),
    "torchvision squeezenet1_0": Case(tv("squeezenet1_0"), "squeezenet", {"width": 0.25}, 4, SQUEEZENET_1_0),
    "torchvision squeezenet1_1": Case(
        tv("squeezenet1_1"), "squeezenet", {"version": "1.1", "width": 0.25}, 4, SQUEEZENET_1_1
    ),
    "timm mobilenetv1_100": Case(mobilenet, "mobilenet_v1", {"width": 0.25}, 1, TIMM_MOBILENET_V1),
    **{
        port.name: Case(
            (tv if port.framework == "torchvision" else ti)(next(iter(port.models))),
            next(iter(port.models)),
            V15,
            8,
            port,
        )
        for port in RESNETS
    },
}
each = pytest.mark.parametrize("case", CASES)
Made = tuple[nn.Module, ImageModel]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Made]:
    """Their network and ours with its weights, through a file."""
    kept: dict[str, Made] = {}

    def get(name: str) -> Made:
        if name not in kept:
            case = CASES[name]
            theirs = case.theirs()
            # The folder's name says whose weights they are: the ResNets' names do not.
            folder = tmp_path_factory.mktemp("weights") / f"{case.name}.tv_in1k"
            folder.mkdir()
            path = folder / ("model.pth" if name.startswith("timm") else "0676ba61 63fe2227 394f9c45.pth")
            torch.save(theirs.state_dict(), path)
            ours = create_model(case.name, weights=path, **case.options)
            kept[name] = theirs, ours.eval()
        return kept[name]

    return get


def logits(network: nn.Module, size: tuple[int, int]) -> Tensor:
    with torch.no_grad():
        found: Tensor = network(pictures(*size))
    return found


@each
def test_logits_are_theirs(case: str, made: Callable[[str], Made]) -> None:
    theirs, ours = made(case)
    smallest = (ours.input_contract.min_size,) * 2
    any_size = CASES[case].name.startswith(("resnet", "mobilenet"))
    sizes = [smallest, SIZES[1]] if len(ours.chain) > 20 else [smallest, *SIZES, *([] if any_size else [NATIVE])]
    for size in sizes:
        expected = logits(theirs, size)
        if size != smallest:
            assert spread(expected) > 100 * PORT_PARITY, "two pictures must differ, else nothing here could fail"
        assert distance(logits(ours, size), expected) < PORT_PARITY, size


@each
def test_what_is_written_is_what_was_read(case: str, made: Callable[[str], Made]) -> None:
    theirs, ours = made(case)
    port = CASES[case].port
    assert port is not None
    written = port_tensors(port, ours)
    expected = {name: value for name, value in theirs.state_dict().items() if "num_batches" not in name}
    assert written.keys() == expected.keys()
    assert all(torch.equal(value, expected[name]) for name, value in written.items())


def early_stride(self: ConvBN, x: Tensor) -> Tensor:
    """What the weights compute in a network that strides where the paper does."""
    inside = self.conv.stride == (2, 2) and self.conv.in_channels > 3
    x = F.interpolate(x[:, :, ::2, ::2], size=x.shape[-2:], mode="nearest") if inside else x
    x = x[:, :, :: self.sampling, :: self.sampling] if self.sampling > 1 else x
    y: Tensor = self.act(self.bn(self.conv(x)))
    return y


def floored_pool(self: MaxPool, x: Tensor) -> Tensor:
    """torch's default rounding: the last window never hangs over."""
    return F.max_pool2d(x, self.kernel, self.stride)


def tensorflow_pool(self: MaxPool, x: Tensor) -> Tensor:
    """TensorFlow's 'same' on an even side: windows start a pixel later than torch's."""
    return F.max_pool2d(F.pad(x, (0, 1, 0, 1)), self.kernel, self.stride)


def kerass_flatten(self: DenseHead, x: Tensor, pre_logits: bool = False) -> Tensor:
    """The map flattened pixel by pixel."""
    y = F.adaptive_avg_pool2d(x, self.grid).movedim(1, -1).flatten(1)
    for name in self.fc_names:
        y = F.relu(self.get_submodule(name)(y))
    z: Tensor = self.classifier(y)
    return z


Mutant = tuple[type[nn.Module], Callable[..., Tensor]]
MUTANTS: list[tuple[str, Mutant]] = [
    ("torchvision resnet50", (ConvBN, early_stride)),
    ("timm resnet50", (MaxPool, tensorflow_pool)),
    ("torchvision squeezenet1_0", (MaxPool, floored_pool)),
    ("torchvision vgg16", (DenseHead, kerass_flatten)),
    ("torchvision alexnet", (DenseHead, kerass_flatten)),
]


@pytest.mark.parametrize(("case", "mutant"), MUTANTS, ids=[f"{case}-{m[1].__name__}" for case, m in MUTANTS])
def test_the_known_mistakes_are_seen(
    case: str, mutant: Mutant, made: Callable[[str], Made], monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs, ours = made(case)
    monkeypatch.setattr(mutant[0], "forward", mutant[1])
    size = SIZES[0] if case.endswith("resnet50") else NATIVE
    assert distance(logits(ours, size), logits(theirs, size)) > 10 * PORT_PARITY


@pytest.mark.parametrize("case", ["torchvision resnet50", "timm mobilenetv1_100"])
def test_another_epsilon_and_another_border_are_seen(case: str, made: Callable[[str], Made]) -> None:
    theirs, ours = made(case)
    contract, expected = ours.input_contract, logits(theirs, (96, 96))
    changes: list[dict[str, Any]] = [{"batch_norm_eps": 1e-3}, {"padding": "tf_same"}]
    try:
        for change in changes:
            ours.adopt(InputContract(**{**vars(contract), **change}))
            assert distance(logits(ours, (96, 96)), expected) > 10 * PORT_PARITY, change
    finally:
        ours.adopt(contract)


def test_pooling_and_sliding_are_different_on_larger_pictures(made: Callable[[str], Made]) -> None:
    """Why timm's VGG16 wants `dense_evaluation`; at 224 pixels the two heads agree."""
    theirs, ours = made("timm vgg16")
    pooled = build_model("vgg16", CLASSES, width=0.125).eval()
    pooled.load_state_dict(ours.state_dict())
    assert distance(logits(pooled, (224, 224)), logits(theirs, (224, 224))) < PORT_PARITY
    large = (256, 320)
    assert distance(logits(ours, large), logits(theirs, large)) < PORT_PARITY
    assert distance(logits(pooled, large), logits(theirs, large)) > 10 * PORT_PARITY


@pytest.mark.parametrize(
    ("case", "options", "message"),
    [
        (
            "torchvision resnet50",
            {"width": 0.125},
            r"built otherwise.*Got: stride_on='1x1'.*stride_on='3x3'",
        ),
        ("torchvision squeezenet1_1", {"width": 0.25}, r"Got: version='1\.0'\. Expected: version='1\.1'"),
        (
            "timm mobilenetv1_100",
            {"activation": "relu"},
            r"timm's.*Got: activation='relu'\. Expected: .*'relu6'",
        ),
        ("timm mobilenetv1_100", {"width": 0.5}, "does not fit this mobilenet_v1"),
        ("timm resnet101", {**V15, "repeats": (3, 4, 6, 3)}, "does not fit this resnet101"),
    ],
)
def test_another_form_of_the_network_is_refused(
    case: str, options: dict[str, Any], message: str, made: Callable[[str], Made], tmp_path: Path
) -> None:
    path = tmp_path / "model.pth"
    torch.save(made(case)[0].state_dict(), path)
    model = build_model(CASES[case].name, CLASSES, **options)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(WeightsMismatchError, match=message):
        load_weights(model, path)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    "case", ["torchvision vgg16", "torchvision squeezenet1_0", "timm vgg16", "torchvision resnet50"]
)
def test_other_classes_and_features_alone(case: str, made: Callable[[str], Made], tmp_path: Path) -> None:
    theirs, ours = made(case)
    path = tmp_path / "model.pth"
    torch.save(theirs.state_dict(), path)
    name, options = CASES[case].name, CASES[case].options
    x = pictures(64, 64)
    bare = build_model(name, features_only=True, **options).eval()
    load_weights(bare, path)
    other = create_model(name, 3, path, **options).eval()
    headless = build_model(name, 0, **options).eval()
    load_weights(headless, path)
    with torch.no_grad():
        features = ours.forward_features(x)
        assert torch.equal(bare(x)[-1], features)
        assert torch.equal(other.forward_features(x), features)
        found = other(x)
        assert found.shape == (2, 3)
        assert torch.equal(found, found[:, :1].expand(2, 3)), "a new classifier favours nothing"
        assert torch.equal(headless(x), ours.forward_head(features, pre_logits=True))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "name", "options"),
    [
        (torchvision.models.vgg16, "vgg16", {}),
        (partial(timm.create_model, "vgg16"), "vgg16", {"dense_evaluation": True}),
        (torchvision.models.alexnet, "alexnet", {}),
        (torchvision.models.resnet152, "resnet152", {"stride_on": "3x3"}),
    ],
)
def test_full_size(make: Callable[[], nn.Module], name: str, options: dict[str, Any], tmp_path: Path) -> None:
    theirs = make()
    theirs = calibrate(theirs) if name.startswith("resnet") else enliven(theirs)
    torch.save(theirs.state_dict(), tmp_path / "model.pth")
    ours = create_model(name, weights=tmp_path / "model.pth", **options).eval()
    expected = logits(theirs, (224, 224))
    assert spread(expected) > 100 * PORT_PARITY
    assert distance(logits(ours, (224, 224)), expected) < PORT_PARITY
