"""`unet_xception` beside Keras' segmentation example: parameters, logits at every kind of side, files both ways."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import pytest
import torch
from torch import Tensor, nn

from separable.blocks import ConvBN, MaxPool, XceptionDown, XceptionUp
from separable.errors import WeightsMismatchError
from separable.models import ImageModel, build_model, pixel_logits
from separable.weights import create_model, load_weights
from separable.weights.conversion import convert_weights
from separable.weights.export_keras import save_keras
from tests.parity.keras_unet import build_keras_unet, keras_unet_logits, pictures_255
from tests.parity.keras_unet import save_keras as keras_saves
from tests.parity.torch_net import calibrate, distance, spread
from tests.tolerances import KERAS_PARITY

SIZES = [(160, 160), (128, 192), (97, 131), (111, 64)]


@pytest.fixture(scope="module")
def theirs() -> Any:
    return build_keras_unet()


@pytest.fixture(scope="module")
def ours(theirs: Any, tmp_path_factory: pytest.TempPathFactory) -> ImageModel:
    path = keras_saves(theirs, tmp_path_factory.mktemp("unet") / "unet.weights.h5")
    return create_model("unet_xception", weights=path).eval()


def picture(height: int, width: int) -> Tensor:
    return torch.from_numpy(pictures_255(height, width)).permute(0, 3, 1, 2).contiguous()


def logits(model: nn.Module, height: int, width: int) -> Tensor:
    with torch.no_grad():
        found: Tensor = model(picture(height, width))
    return found


def test_the_published_numbers_of_parameters(theirs: Any) -> None:
    model = build_model("unet_xception")
    trainable = sum(value.numel() for value in model.parameters())
    statistics = sum(value.numel() for name, value in model.named_buffers() if "num_batches" not in name)
    assert (trainable, trainable + statistics) == (2_055_203, 2_058_979)
    assert theirs.count_params() == 2_058_979
    assert sum(int(torch.tensor(w.shape).prod()) for w in theirs.trainable_weights) == 2_055_203


@pytest.mark.parametrize("size", SIZES)
def test_keras_logits(size: tuple[int, int], theirs: Any, ours: ImageModel) -> None:
    expected = keras_unet_logits(theirs, *size)
    got = logits(ours, *size)
    assert tuple(got.shape[2:]) == tuple(-(-side // 16) * 16 for side in size)
    assert spread(expected) > 100 * KERAS_PARITY
    assert distance(got, expected) < KERAS_PARITY


def _torch_epsilon(model: ImageModel) -> None:
    model.adopt(replace(model.input_contract, batch_norm_eps=1e-5))


def _symmetric_borders(model: ImageModel) -> None:
    model.adopt(replace(model.input_contract, padding="symmetric"))


def _shifted_pools(model: ImageModel) -> None:
    for module in model.modules():
        if isinstance(module, MaxPool):
            module.set_border("symmetric")


def _shifted_entry(model: ImageModel) -> None:
    for module in model.modules():
        if isinstance(module, ConvBN) and module.conv.stride != (1, 1):
            module.set_border("symmetric")


def _zeroed(name: str, kind: type[XceptionDown] | type[XceptionUp]) -> Callable[[ImageModel], None]:
    def mutate(model: ImageModel) -> None:
        for block in model.modules():
            if isinstance(block, kind):
                shortcut = block.shortcut
                assert isinstance(shortcut, ConvBN)
                nn.init.zeros_(shortcut.conv.weight)

    mutate.__name__ = name
    return mutate


def _kernels_not_turned(model: ImageModel) -> None:
    for block in model.modules():
        if isinstance(block, XceptionUp):
            for conv in (block.conv1.conv, block.conv2.conv):
                conv.weight.data = conv.weight.data.flip(2, 3)


def _scaled_pictures(model: ImageModel) -> None:
    model.get_submodule("entry").register_forward_pre_hook(lambda _m, inputs: (inputs[0] / 127.5 - 1,))


def _relu_after_the_sum(model: ImageModel) -> None:
    for block in model.modules():
        if isinstance(block, XceptionDown):
            block.register_forward_hook(lambda _m, _i, out: out.relu())


@pytest.mark.parametrize(
    "mutate",
    [
        _torch_epsilon,
        _symmetric_borders,
        _shifted_pools,
        _shifted_entry,
        _zeroed("no_shortcuts_down", XceptionDown),
        _zeroed("no_shortcuts_up", XceptionUp),
        _kernels_not_turned,
        _scaled_pictures,
        _relu_after_the_sum,
    ],
)
def test_the_known_mistakes_are_seen(mutate: Callable[[ImageModel], None], theirs: Any, ours: ImageModel) -> None:
    mutant = deepcopy(ours)
    mutate(mutant)
    assert distance(logits(mutant, 128, 192), keras_unet_logits(theirs, 128, 192)) > 10 * KERAS_PARITY


def test_a_picture_of_any_size_gets_logits_of_its_own(ours: ImageModel) -> None:
    """Padded by its last row and column to where all maps line up, and cut: what lies far from there is the same."""
    x = picture(97, 131)
    padded = torch.nn.functional.pad(x, (0, 13, 0, 15), mode="replicate")
    with torch.no_grad():
        got, whole = pixel_logits(ours, x), ours(padded)
    assert got.shape == (2, 3, 97, 131)
    assert torch.equal(got, whole[:, :, :97, :131])
    with torch.no_grad():
        assert torch.equal(pixel_logits(ours, picture(96, 128)), ours(picture(96, 128)))


@pytest.mark.parametrize("options", [{"interpolation": "bilinear"}, {"skips": True}, {"downs": (64, 128), "entry": 32}])
def test_options_beside_the_same_in_keras(options: dict[str, Any], tmp_path: Path) -> None:
    """At even sides; a concatenation of odd maps needs a cut, which the example in Keras has none of."""
    network = build_keras_unet(**options)
    path = keras_saves(network, tmp_path / "unet.weights.h5")
    own: dict[str, Any] = {
        "upsampling": options.get("interpolation", "nearest"),
        "skips": options.get("skips", False),
        "depth": len(options.get("downs", (64, 128, 256))),
    }
    model = create_model("unet_xception", weights=path, **own).eval()
    expected = keras_unet_logits(network, 96, 128)
    assert spread(expected) > 100 * KERAS_PARITY
    assert distance(logits(model, 96, 128), expected) < KERAS_PARITY


@pytest.mark.parametrize("ending", [".weights.h5", ".h5", ".keras"])
def test_every_format_of_keras_is_read(ending: str, theirs: Any, ours: ImageModel, tmp_path: Path) -> None:
    path = keras_saves(theirs, tmp_path / f"unet{ending}")
    model = build_model("unet_xception")
    report = load_weights(model, path)
    assert (report.missing, report.unexpected) == ((), ())
    state = ours.state_dict()
    assert all(torch.equal(v, state[k]) for k, v in model.state_dict().items() if "num_batches" not in k)
    contract = model.input_contract
    assert (contract.mean, contract.std, contract.resize) == ((0.0,) * 3, (1 / 255,) * 3, "squash")
    assert (contract.batch_norm_eps, contract.padding) == (1e-3, "tf_same")


def test_the_network_is_told_from_its_layers(tmp_path: Path) -> None:
    network = build_keras_unet(classes=5, entry=16, downs=(32, 64), skips=True)
    path = keras_saves(network, tmp_path / "unet.weights.h5")
    certificate = convert_weights(path, tmp_path / "converted")
    assert (certificate.model, certificate.num_classes) == ("unet_xception", 5)
    model = create_model("unet_xception", weights=tmp_path / "converted", depth=2, width=0.5, skips=True).eval()
    assert distance(logits(model, 64, 96), keras_unet_logits(network, 64, 96)) < KERAS_PARITY


def test_what_is_written_keras_reads(tmp_path: Path) -> None:
    """Into a network of Keras' that never saw ours; and read again, every number is as it was."""
    torch.manual_seed(0)
    model = build_model("unet_xception", 4, depth=2, width=0.5)
    calibrate(model, 96, count=2)
    said = save_keras(model, tmp_path / "ours.weights.h5")
    assert said["exact"]
    assert said["load"] == 'get_model((160, 160), 4).load_weights("ours.weights.h5")'
    network = build_keras_unet(classes=4, entry=16, downs=(32, 64))
    network.load_weights(tmp_path / "ours.weights.h5")
    expected = keras_unet_logits(network, 96, 131)
    assert spread(expected) > 100 * KERAS_PARITY
    assert distance(logits(model.eval(), 96, 131), expected) < KERAS_PARITY
    again = create_model("unet_xception", weights=tmp_path / "ours.weights.h5", depth=2, width=0.5)
    state = model.state_dict()
    assert all(torch.equal(v, state[k]) for k, v in again.state_dict().items() if "num_batches" not in k)


@pytest.mark.parametrize(("options", "got"), [({"upsampling": "learned"}, "learned"), ({"skips": True}, "skips=True")])
def test_what_keras_does_not_have_is_not_written(options: dict[str, Any], got: str, tmp_path: Path) -> None:
    model = build_model("unet_xception", width=0.25, **options)
    with pytest.raises(WeightsMismatchError, match=got):
        save_keras(model, tmp_path / "ours.weights.h5")
    assert not list(tmp_path.iterdir())


def test_learned_upsampling_has_no_place_in_a_keras_file(theirs: Any, tmp_path: Path) -> None:
    path = keras_saves(theirs, tmp_path / "unet.weights.h5")
    with pytest.raises(WeightsMismatchError, match="nothing to learn where it doubles"):
        load_weights(build_model("unet_xception", upsampling="learned"), path)


def test_a_file_whose_kernels_were_exchanged_is_refused(theirs: Any, tmp_path: Path) -> None:
    """Of two layers with kernels of different shapes; nothing is loaded."""
    path = keras_saves(theirs, tmp_path / "unet.weights.h5")
    with h5py.File(path, "r+") as file:
        file.move("layers/conv2d_transpose", "layers/x")
        file.move("layers/conv2d_transpose_2", "layers/conv2d_transpose")
        file.move("layers/x", "layers/conv2d_transpose_2")
    model = build_model("unet_xception")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(WeightsMismatchError):
        load_weights(model, path)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
