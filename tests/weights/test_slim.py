"""TF-slim's checkpoints as `.npz`: names with their traps, TensorFlow's layouts, 1001 classes."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from separable.blocks.pool import AveragePool
from separable.errors import WeightsFormatError, WeightsMismatchError
from separable.models.build import build_model
from separable.weights import create_model, load_weights
from separable.weights.ports.find import identify
from separable.weights.ports.read import port_tensors
from separable.weights.ports.slim import SLIM_PORTS
from separable.weights.source import open_source
from tests.parity.torch_net import distance, pictures, spread
from tests.tolerances import PORT_PARITY
from tests.weights import slim_net
from tests.weights.slim_layers import Slim

NETS: dict[str, tuple[str, Callable[[Slim, Tensor], Tensor]]] = {
    "inception_v3": ("InceptionV3", slim_net.inception_v3),
    "inception_v4": ("InceptionV4", slim_net.inception_v4),
    "inception_resnet_v2": ("InceptionResnetV2", slim_net.inception_resnet_v2),
    "mobilenet_v1": ("MobilenetV1", slim_net.mobilenet_v1),
}
WIDTH = 0.25
SIDES = {"mobilenet_v1": (97, 62)}


def made(name: str, folder: Path, classes: int = 1001) -> tuple[Slim, Path]:
    """A calibrated network of slim's and its file."""
    root, run = NETS[name]
    slim = Slim(root, WIDTH, classes)
    with torch.no_grad():
        run(slim, pictures(75, 75, 2, seed=1))
    path = folder / f"{name}.npz"
    slim.save(str(path))
    return slim, path


@pytest.fixture(scope="module")
def v3(tmp_path_factory: pytest.TempPathFactory) -> tuple[Slim, Path]:
    return made("inception_v3", tmp_path_factory.mktemp("slim"))


@pytest.mark.parametrize("name", NETS)
def test_slims_logits(name: str, tmp_path: Path) -> None:
    slim, path = made(name, tmp_path, classes=21)
    x = pictures(*SIDES.get(name, (75, 96)))
    with torch.no_grad():
        expected = NETS[name][1](slim, x)
        model = build_model(name, 21, width=WIDTH).eval()
        load_weights(model, path)
        got = model(x)
    assert spread(expected) > 100 * PORT_PARITY
    assert distance(got, expected) < PORT_PARITY
    port = next(port for port in SLIM_PORTS if name in port.models)
    written = port_tensors(port, model)
    assert written.keys() == slim.variables.keys()
    assert all(np.array_equal(value.numpy(), slim.variables[key]) for key, value in written.items())
    contract = model.input_contract
    assert (contract.padding, contract.batch_norm_eps, contract.counts_padding) == ("tf_same", 1e-3, False)
    assert (contract.mean, contract.std, contract.crop_fraction) == ((0.5,) * 3, (0.5,) * 3, 0.875)
    with torch.no_grad():
        for layer in model.modules():
            if isinstance(layer, AveragePool):
                layer.counts_padding = True
        if name in ("inception_v3", "inception_v4"):
            assert distance(model(x), expected) > 10 * PORT_PARITY
        model.adopt(build_model(name, width=WIDTH).input_contract)
        if name == "mobilenet_v1":  # Keras pads odd sides in another way than slim
            assert distance(model(x), expected) > 10 * PORT_PARITY


def test_background_stays_or_goes(v3: tuple[Slim, Path]) -> None:
    slim, path = v3
    whole = create_model("inception_v3", weights=path, width=WIDTH)
    assert whole.num_classes == 1001
    model = build_model("inception_v3", 1000, width=WIDTH)
    report = load_weights(model, path)
    assert 'the first of its 1001 classes, "background", was left out' in report.notes
    kernel = slim.variables["InceptionV3/Logits/Conv2d_1c_1x1/weights"]
    assert np.array_equal(model.get_classifier().weight.detach().numpy(), kernel[0, 0, :, 1:].T)  # type: ignore[union-attr]
    with pytest.raises(WeightsMismatchError, match=r"has a classifier of 1001 classes\. Expected: 999"):
        load_weights(build_model("inception_v3", 999, width=WIDTH), path)


def test_what_training_keeps_beside_the_weights_is_left_out(v3: tuple[Slim, Path], tmp_path: Path) -> None:
    slim, _ = v3
    first = "InceptionV3/Conv2d_1a_3x3/weights"
    more = {f"{first}/{slot}": slim.variables[first] * 0 for slot in ("ExponentialMovingAverage", "RMSProp_1")}
    renamed = {f"{name}:0": value for name, value in slim.variables.items()}
    np.savez(tmp_path / "training.npz", **renamed, **more, global_step=np.array(7))
    report = load_weights(build_model("inception_v3", 1001, width=WIDTH), tmp_path / "training.npz")
    assert "3 moving averages and optimiser slots were left out" in report.notes
    assert report.format == "tf-slim inception_v3"


def test_gamma_may_be_asked_for(v3: tuple[Slim, Path]) -> None:
    model = build_model("inception_v3", 1001, width=WIDTH, gamma=True)
    report = load_weights(model, v3[1])
    assert "the file has no gamma (scale=False): 1 everywhere" in report.notes
    assert all(bool((value == 1).all()) for name, value in model.state_dict().items() if name.endswith("bn.weight"))


def test_network_width_and_classes_are_told(v3: tuple[Slim, Path]) -> None:
    tensors = open_source(v3[1]).tensors
    assert tensors is not None
    found = identify(tensors)
    assert found is not None
    assert (str(found), found.num_classes, found.differences) == ("tf-slim's inception_v3", 1001, 0)
    assert found.options == {"aux_head": False, "width": WIDTH}


def test_wrong_slim_files_are_named(v3: tuple[Slim, Path], tmp_path: Path) -> None:
    slim, path = v3
    trap = "InceptionV3/Mixed_5c/Branch_1/Conv_1_0c_5x5/weights"
    model = build_model("inception_v3", 1001, width=WIDTH)
    without = {name: value for name, value in slim.variables.items() if name != trap}
    np.savez(tmp_path / "missing.npz", **without)
    with pytest.raises(WeightsMismatchError, match=f"missing: {trap}"):
        load_weights(model, tmp_path / "missing.npz")
    np.savez(tmp_path / "extra.npz", **slim.variables, **{"InceptionV3/Mixed_9z/weights": slim.variables[trap]})
    with pytest.raises(WeightsMismatchError, match="unexpected: InceptionV3/Mixed_9z/weights"):
        load_weights(model, tmp_path / "extra.npz")
    np.savez(tmp_path / "shape.npz", **{**slim.variables, trap: slim.variables[trap][:3]})
    with pytest.raises(WeightsMismatchError, match=r"of another shape: mixed1\.branch5x5_2\.conv\.weight"):
        load_weights(model, tmp_path / "shape.npz")
    for shape in ((), (7,), (3, 3, 3, 3, 3)):
        np.savez(tmp_path / "rank.npz", **{**slim.variables, trap: np.ones(shape, np.float32)})
        with pytest.raises(WeightsMismatchError, match=r"of another shape: mixed1\.branch5x5_2\.conv\.weight"):
            load_weights(model, tmp_path / "rank.npz")
    (tmp_path / "cut.npz").write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(WeightsFormatError, match=r"cut\.npz is not a readable zip file.*truncated"):
        load_weights(model, tmp_path / "cut.npz")
    np.savez(tmp_path / "objects.npz", **{**slim.variables, trap: np.array([{}], dtype=object)})
    with pytest.raises(WeightsFormatError, match=r"has no numbers at .*Conv_1_0c_5x5"):
        load_weights(model, tmp_path / "objects.npz")
    with pytest.raises(WeightsMismatchError, match=r"not for this mobilenet_v1.*tf-slim's inception_v3"):
        load_weights(build_model("mobilenet_v1"), path)
