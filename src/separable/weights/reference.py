"""The network of a weight file as its own framework builds it and loads it, to be held against ours.

Nothing of our reading of weights is used: the framework gets the file's tensors under the file's names, or the file
itself. Pictures are prepared by Keras' own `preprocess_input`, and for the others as our contract assumes; that they
were so in training is not shown. The frameworks are imported here alone, when asked for.
"""

import importlib
import os
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from separable.errors import MissingExtraError, WeightsFormatError, WeightsMismatchError
from separable.models.base import ImageModel
from separable.models.contract import InputContract
from separable.weights.archive import keras_weights
from separable.weights.ports.find import canonical
from separable.weights.ports.hub import read_hub_config
from separable.weights.ports.port import Port
from separable.weights.ports.read import check_fixed
from separable.weights.stored import unfolded_limit

__all__ = [
    "KERAS_NETWORKS",
    "Pixels",
    "Reference",
    "as_input",
    "import_framework",
    "keras_reference",
    "source_network",
    "torch_reference",
]

Pixels = NDArray[np.uint8]

_INSTALL = {"timm": 'pip install "separable[bench]"', "torchvision": 'pip install "separable[bench]"'}
KERAS_NETWORKS = {
    "inception_resnet_v2": ("inception_resnet_v2", "InceptionResNetV2"),
    "inception_v3": ("inception_v3", "InceptionV3"),
    "mobilenet_v1": ("mobilenet", "MobileNet"),
    "resnet101": ("resnet", "ResNet101"),
    "resnet152": ("resnet", "ResNet152"),
    "resnet50": ("resnet", "ResNet50"),
    "vgg16": ("vgg16", "VGG16"),
    "xception": ("xception", "Xception"),
}
"""Module and class of keras.applications."""


@dataclass(frozen=True)
class Reference:
    """Another framework's network: `run` gives the logits (N, classes) of pictures (N, H, W, 3), RGB in 0 to 255."""

    framework: str
    version: str
    network: str
    run: Callable[[Pixels], Tensor]
    fixed_size: bool = False
    """Whether it takes pictures of the published size alone."""
    scope: str = ""
    """What of the source was not compared, for the certificate."""


def as_input(pixels: Pixels, contract: InputContract) -> Tensor:
    """Pictures of the network's size as `contract` wants them: (N, 3, H, W), normalised."""
    x = torch.from_numpy(pixels.astype(np.float32)).permute(0, 3, 1, 2)
    if contract.colour_order == "BGR":
        x = x.flip(1)
    mean, std = (torch.tensor(values)[:, None, None] for values in (contract.mean, contract.std))
    return (x / contract.pixel_range[1] - mean) / std


def source_network(port: Port, model: ImageModel, name: str | None = None) -> tuple[nn.Module, str]:
    """The network that timm or torchvision has for `model`, freshly initialised, and the framework's version.

    Args:
        name: what the framework calls it, where the file says that; the port's name for it if None.

    Raises:
        MissingExtraError: the framework is not installed, or cannot be imported here.
        WeightsMismatchError: it has no such network.
    """
    if port.framework not in _INSTALL:
        raise MissingExtraError(
            f"{port.framework} cannot be run here",
            fix="It needs TensorFlow 1: its files are checked by names and shapes, not by their logits",
        )
    check_fixed(port, model)
    module = import_framework(port.framework)
    name, options = name or port.models[model.name], {"num_classes": model.num_classes, **port.arguments(model)}
    with warnings.catch_warnings(action="ignore"):
        network: nn.Module = (
            module.create_model(name, pretrained=False, **options)
            if port.framework == "timm"
            else module.models.get_model(name, weights=None, **options)
        )
    return network, str(module.__version__)


def torch_reference(port: Port, model: ImageModel, tensors: dict[str, Tensor], path: Path) -> Reference:
    """timm's or torchvision's network with `tensors`, named as in the file.

    Raises:
        MissingExtraError: the framework is not installed, or cannot be imported here.
        WeightsMismatchError: it has no such network, or its network does not take these tensors.
    """
    name = port.models[model.name]
    config = read_hub_config(path) if port.framework == "timm" and path.is_file() else None
    if config is not None and config.network == name:
        name = config.architecture
    network, version = source_network(port, model, name)
    _fill(network, canonical(port, tensors), path, port)
    mean_std = port.fed(model)
    contract = model.input_contract

    def run(pixels: Pixels) -> Tensor:
        x = as_input(pixels, contract)
        if mean_std is not None:
            mean, std = (torch.tensor(values)[:, None, None] for values in mean_std)
            x = (torch.from_numpy(pixels.astype(np.float32)).permute(0, 3, 1, 2) / 255 - mean) / std
        with torch.no_grad():
            logits: Tensor = network(x)
        return logits

    return Reference(port.framework, version, name, run)


def _fill(network: nn.Module, tensors: dict[str, Tensor], path: Path, port: Port) -> None:
    """Copy the file's tensors into the framework's own network by the file's own names."""
    state = network.state_dict()
    given = {  # the first Xception file has no sides of 1
        name: value.reshape(state[name].shape) if name in state and value.numel() == state[name].numel() else value
        for name, value in tensors.items()
        if not name.startswith(port.ignored) or name in state
    }
    missing = {name for name in state if name not in given and not name.endswith("num_batches_tracked")}
    wrong = {name for name, value in given.items() if name not in state or state[name].shape != value.shape}
    if missing or wrong:
        raise WeightsMismatchError(
            f"{port.framework}'s own {type(network).__name__} does not take {path}",
            got=f"missing {sorted(missing)[:3]}, unexpected or of another shape {sorted(wrong)[:3]}",
            fix=f"Use the version of {port.framework} that wrote it",
        )
    network.load_state_dict(given, strict=False)
    network.eval()


def import_framework(name: str) -> Any:
    """timm or torchvision, also beside a build of torch for which torchvision's compiled part was not made.

    Raises:
        MissingExtraError: it is not installed, or cannot be imported here.
    """
    try:
        with warnings.catch_warnings(action="ignore"):
            _describe_missing_operators()
            return importlib.import_module(name)
    except ImportError as error:
        raise MissingExtraError(f"{name} is not installed", fix=_INSTALL[name]) from error
    except RuntimeError as error:
        raise MissingExtraError(
            f"{name} cannot be imported beside torch {torch.__version__}",
            got=" ".join(str(error).split())[:200],
            fix=f"Install torch, torchvision and {name} from one index",
        ) from error


def _describe_missing_operators() -> None:
    """torchvision's Python files describe operators of its compiled part at import: an empty schema is enough."""
    if importlib.util.find_spec("torchvision") is None or "torchvision" in _LIBRARIES:
        return
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, name):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _LIBRARIES["torchvision"] = library


_LIBRARIES: dict[str, torch.library.Library] = {}
"""Kept alive: with them go the schemas."""


def keras_reference(model: ImageModel, path: Path, *, as_ours: bool = False) -> Reference:
    """The network of keras.applications with the weights of the file `path`, which Keras reads itself.

    Args:
        as_ours: prepare its pictures as `model` does, rather than by its own `preprocess_input`.

    Raises:
        MissingExtraError: Keras is not installed.
        WeightsMismatchError: Keras has no such network, or cannot read the file.
    """
    if model.name not in KERAS_NETWORKS:
        raise WeightsMismatchError(f"Keras has no {model.name}", expected=" or ".join(sorted(KERAS_NETWORKS)))
    os.environ.setdefault("KERAS_BACKEND", "torch")
    try:
        keras: Any = importlib.import_module("keras")
    except ImportError as error:
        raise MissingExtraError("Keras is not installed", fix="pip install keras") from error
    module_name, class_name = KERAS_NETWORKS[model.name]
    module = getattr(keras.applications, module_name)
    built: dict[tuple[int, ...], Any] = {}

    def run(pixels: Pixels) -> Tensor:
        shape = pixels.shape[1:]
        if shape not in built:
            built[shape] = _keras_network(keras, getattr(module, class_name), model, path, shape)
        if as_ours:
            x = as_input(pixels, model.input_contract).permute(0, 2, 3, 1).numpy()
        else:
            x = module.preprocess_input(pixels.astype(np.float32))
        with torch.no_grad(), warnings.catch_warnings(action="ignore"):
            return torch.from_numpy(np.asarray(keras.ops.convert_to_numpy(built[shape](x, training=False))))

    return Reference("keras", keras.__version__, class_name, run, fixed_size=model.name == "vgg16")


def _keras_network(keras: Any, make: Any, model: ImageModel, path: Path, shape: tuple[int, ...]) -> Any:
    options = {"alpha": model.options["width"]} if model.name == "mobilenet_v1" else {}
    try:
        with warnings.catch_warnings(action="ignore"):
            network = make(
                weights=None, input_shape=shape, classes=model.num_classes, classifier_activation=None, **options
            )
            _load_into(network, path)
    except WeightsFormatError:
        raise
    except Exception as error:  # whatever Keras raises on a file that anybody may have made
        raise WeightsMismatchError(
            f"Keras {keras.__version__} does not take {path} into its own {make.__name__}",
            got=" ".join(f"{type(error).__name__} {error}".split())[:200].rstrip("."),
        ) from error
    return network


def _load_into(network: Any, path: Path) -> None:
    """Let Keras read the weights of `path`, but not the configuration in a `.keras` file, which may ask for much."""
    if path.suffix != ".keras":
        network.load_weights(path)
        return
    with tempfile.TemporaryDirectory() as folder:
        alone = Path(folder) / "net.weights.h5"
        alone.write_bytes(keras_weights(path, unfolded_limit(path)))
        network.load_weights(alone)
