"""ResNet-50, -101 and -152 of torchvision and timm: one network under the same names, and many sets of weights for it.

Both stride in the 3x3 convolution ("v1.5"), where the paper, Caffe and Keras stride in the 1x1 before it. Nothing in
the names or shapes shows that, so a network built the other way is refused. timm's sets are those of its `resnet50`
proper: `resnet50d`, `resnet50_gn` and the like are other networks. How their pictures are prepared is what timm's
`resolve_model_data_config` says, which is the size they were trained at.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from torch import Tensor

from separable.models.base import ImageModel
from separable.models.contract import InputContract
from separable.weights.ports.needed import check_needed
from separable.weights.ports.port import Port, Release, renamed, torch_contract

__all__ = ["RESNETS"]

_DEPTHS = (50, 101, 152)
_SHORTCUT = {"conv": "downsample.0", "bn": "downsample.1"}
_TORCHVISION = {  # the hash in the file's name, of IMAGENET1K_V1 and IMAGENET1K_V2
    50: ("0676ba61", "11ad3fa6"),
    101: ("63fe2227", "cd907fc2"),
    152: ("394f9c45", "f82ba261"),
}
_BICUBIC: dict[str, Any] = {"filter": "bicubic"}
_STRIKES_BACK = {"filter": "bicubic", "crop_fraction": 0.95}  # arXiv:2110.00476
_TIMM: dict[str, tuple[str, dict[str, Any]]] = {  # what follows the network's name in the older files, and the changes
    "tv_in1k": ("", {}),
    "tv2_in1k": ("", {"size": (176, 176)}),
    "a1_in1k": ("_a1_0-", _STRIKES_BACK),
    "a1h_in1k": ("_a1h-", _STRIKES_BACK),
    "a2_in1k": ("_a2_0-", _STRIKES_BACK),
    "a3_in1k": ("_a3_0-", {**_STRIKES_BACK, "size": (160, 160)}),
    "gluon_in1k": ("_v1b-", _BICUBIC),
}
_TIMM_50: dict[str, tuple[str, dict[str, Any]]] = {
    **_TIMM,
    "a1h_in1k": ("_a1h2_176-", {"filter": "bicubic", "crop_fraction": 0.9, "size": (176, 176)}),
    "am_in1k": ("_am-", _BICUBIC),
    "b1k_in1k": ("_b1k-", _STRIKES_BACK),
    "b2k_in1k": ("_b2k-", _STRIKES_BACK),
    "bt_in1k": ("-86acaeed", _BICUBIC),
    "c1_in1k": ("_c1-", _STRIKES_BACK),
    "c2_in1k": ("_c2-", _STRIKES_BACK),
    "d_in1k": ("_d-", _STRIKES_BACK),
    "fb_ssl_yfcc100m_ft_in1k": ("-08389792", {}),
    "fb_swsl_ig1b_ft_in1k": ("-16a12f1b", {}),
    "ra_in1k": ("_ra-", _BICUBIC),
    "ram_in1k": ("_ram-", _BICUBIC),
}


def _rename(name: str) -> str:
    block, _, rest = name.partition(".")
    if block == "head":
        return rest.replace("classifier", "fc")
    if block == "conv1":
        return rest.replace("conv", "conv1").replace("bn", "bn1")
    stage, _, number = block.removeprefix("conv").partition("_block")
    unit, kind, variable = rest.split(".")
    inside = _SHORTCUT[kind] if unit == "shortcut" else unit.replace("conv", kind)
    return f"layer{int(stage) - 1}.{int(number) - 1}.{inside}.{variable}"


def _contract(model: ImageModel, tensors: Mapping[str, Tensor], *, source: str) -> InputContract:
    check_needed(model, source, stride_on="3x3")
    return torch_contract(224)


def _options(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    return {"stride_on": "3x3"}


def _port(framework: str, depth: int, releases: tuple[Release, ...]) -> Port:
    return Port(
        name=f"{framework} resnet{depth}",
        framework=framework,
        models={f"resnet{depth}": f"resnet{depth}"},
        marks=("layer4.0.downsample.0.weight", "layer4.0.conv3.weight"),
        names=partial(renamed, rename=_rename),
        contract=partial(_contract, source=framework),
        options=_options,
        fixed={"stride_on": "3x3", "bias": False, "width": 1.0, "repeats": None, "stem_stride": 2},
        releases=releases,
    )


def _torchvision(depth: int) -> Port:
    first, second = _TORCHVISION[depth]
    changes = {"crop_fraction": 224 / 232}
    return _port("torchvision", depth, (Release("IMAGENET1K_V1", first), Release("IMAGENET1K_V2", second, changes)))


def _timm(depth: int) -> Port:
    known = _TIMM_50 if depth == 50 else _TIMM
    releases = tuple(
        Release(f"resnet{depth}.{tag}", rf"resnet{depth}\.{tag}" + (rf"|resnet{depth}{file}" if file else ""), changes)
        for tag, (file, changes) in known.items()
    )
    return _port("timm", depth, releases)


RESNETS: tuple[Port, ...] = tuple(make(depth) for depth in _DEPTHS for make in (_torchvision, _timm))
"""For each depth torchvision's, then timm's."""
