"""What is known about one family of weight files of another framework: its names, its layouts, its numerics."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from separable.models.base import ImageModel
from separable.models.contract import InputContract

__all__ = ["HALF", "IMAGENET_MEAN", "IMAGENET_STD", "Port", "Release", "Transform", "renamed", "torch_contract"]

HALF = (0.5, 0.5, 0.5)
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Transform:
    """How one tensor's layout in their file and in our state dict turn into each other."""

    read: Callable[[Tensor], Tensor]
    write: Callable[[Tensor], Tensor]

    def read_or_keep(self, value: Tensor) -> Tensor:
        """`read`, or `value` itself where it has a shape that cannot be read, to be refused for that with others."""
        try:
            return self.read(value)
        except (RuntimeError, IndexError):
            return value


@dataclass(frozen=True)
class Release:
    """One of several published sets of weights with the same keys, and how its pictures were prepared."""

    name: str
    """As its publisher calls it, such as `inception_v3.tf_in1k`."""
    file: str
    """A regular expression found in the names of its files, or of their folders."""
    changes: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the port's contract that differ."""


def _nothing(_: Any) -> dict[str, Any]:
    return {}


def _the_same(_: Any) -> None:
    return None


@dataclass(frozen=True)
class Port:
    """A family of files whose networks differ at most in depth, width, classes and auxiliary heads.

    It is read both ways: `names` from the file to the model by `read_port`, from the model to the file by
    `port_tensors`. What a network is called and how its framework builds it serves writers and certificates.
    """

    name: str
    """The framework and the network, as in "timm legacy_xception"."""
    framework: str
    """"timm", "torchvision" or "tf-slim"."""
    models: Mapping[str, str]
    """The names of the catalogue that it covers, and what each is called there."""
    marks: tuple[str, ...]
    """Names in the file; one of them at least is in every such file, and in none of another family."""
    names: Callable[[ImageModel], dict[str, str]]
    """For each entry of the model's state dict but `num_batches_tracked`, its name in the file."""
    contract: Callable[[ImageModel, Mapping[str, Tensor]], InputContract]
    """The input contract with the port's own numerics; it is given the model and the file's tensors."""
    options: Callable[[Mapping[str, Tensor]], dict[str, Any]] = _nothing
    """Options of our network that names and shapes tell; the number of classes is read from `classifier`."""
    transforms: Callable[[ImageModel], dict[str, Transform]] = _nothing
    """By our name, for the tensors that are laid out in another way there."""
    classifier: str = "fc"
    """The layer in the file that ends in classes."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Beginnings of names in some files, and what stands for them in all others."""
    ignored: tuple[str, ...] = ()
    """Beginnings of names that may be in the file and have no place in our network."""
    arguments: Callable[[ImageModel], dict[str, Any]] = _nothing
    """What the framework's constructor needs besides the number of classes to build this very network."""
    fixed: Mapping[str, Any] = field(default_factory=dict)
    """Options of ours that must have these values for the framework to have such a network at all."""
    fed: Callable[[ImageModel], tuple[Triple, Triple] | None] = _the_same
    """Mean and std that the framework's own network is fed with, where it transforms its input once more inside."""
    background: bool = False
    """Whether a classifier of 1001 has a class "background" before ImageNet's 1000."""
    releases: tuple[Release, ...] = ()
    """Published sets of weights that names and shapes cannot tell apart, the one to assume first."""


def renamed(model: ImageModel, rename: Callable[[str], str]) -> dict[str, str]:
    """`Port.names` from a function of one name: `{ours: rename(ours)}` for each entry of the state dict that counts."""
    return {name: rename(name) for name in model.state_dict() if not name.endswith("num_batches_tracked")}


def torch_contract(
    size: int,
    *,
    mean: Triple = IMAGENET_MEAN,
    std: Triple = IMAGENET_STD,
    crop: float = 0.875,
    filter: str = "bilinear",
    padding: str = "symmetric",
    eps: float = 1e-5,
    counts_padding: bool = False,
) -> InputContract:
    """The contract of a network that was written in torch: torch's epsilon and border unless told otherwise.

    Class names and the smallest side are filled in from the model when the weights are loaded.
    """
    return InputContract(
        size=(size, size),
        mean=mean,
        std=std,
        resize="shorter",
        crop_fraction=crop,
        filter=filter,
        padding=padding,
        batch_norm_eps=eps,
        counts_padding=counts_padding,
    )
