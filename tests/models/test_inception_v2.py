"""Inception-v2 against table 1 of its paper, and the steps of its table 3 that end in Inception-v3."""

from functools import cache
from typing import Any

import pytest
import torch
from torch import nn

from separable.blocks import InceptionAux
from separable.models import ImageModel, build_model
from tests.models.onnx_light import depth, run_layers

# arXiv:1512.00567, table 1: what enters each row, as printed; the mended rows are those of TF-slim's inception_v3.py.
TABLE_1 = [
    ("conv", (299, 3)),
    ("conv", (149, 32)),
    ("conv padded", (147, 32)),
    ("pool", (147, 64)),
    ("conv", (73, 64)),  # printed 3x3, is 1x1: the next row's side would be 71
    ("conv/2", (73, 80)),  # printed 71x71x80, and /2 where a pool follows
    ("conv", (35, 192)),  # is no convolution: the modules begin here
    ("3 x Inception", (35, 192)),  # printed 35x35x288, which is what the second and the third get
    ("5 x Inception", (17, 768)),
    ("2 x Inception", (8, 1280)),
    ("pool", (8, 2048)),
]


@cache
def on_meta(name: str = "inception_v2", **options: object) -> ImageModel:
    with torch.device("meta"):
        return build_model(name, **options).eval()


def entering(model: ImageModel, side: int = 299) -> dict[str, tuple[int, int]]:
    """(side, channels) of what each block gets, and of what the head gets."""
    x, found = torch.zeros(1, 3, side, side, device="meta"), {}
    for name in model.chain:
        found[name] = (x.shape[2], x.shape[1])
        x = model.get_submodule(name)(x)
    return {**found, "head": (x.shape[2], x.shape[1])}


def test_table_1_with_the_factorised_stem() -> None:
    found = entering(on_meta(factorized_7x7=True))
    blocks = (
        "conv1a",
        "conv2a",
        "conv2b",
        "pool3a",
        "conv3b",
        "conv4a",
        "mixed0",
        "mixed0",
        "mixed4",
        "mixed9",
        "head",
    )
    for block, (row, expected) in zip(blocks, TABLE_1, strict=True):
        assert found[block] == expected, row
    assert [found[f"mixed{number}"][1] for number in (0, 1, 2, 3)] == [192, 256, 288, 288]
    assert all(found[f"mixed{number}"] == (17, 768) for number in range(4, 9))
    assert found["mixed10"] == (8, 2048)


def test_the_plain_7x7_ends_where_its_three_3x3_end() -> None:
    plain, factorised = entering(on_meta()), entering(on_meta(factorized_7x7=True))
    assert plain["conv1a"] == (299, 3)
    assert plain["pool3a"] == factorised["pool3a"] == (147, 64)
    assert {name: shape for name, shape in plain.items() if name != "conv1a"} == {
        name: shape for name, shape in factorised.items() if name not in ("conv1a", "conv2a", "conv2b")
    }


@pytest.mark.parametrize(("stem", "smallest"), [("299", 75), ("151", 39), ("79", 23)])
def test_both_forms_of_every_stem_end_on_the_same_grids(stem: str, smallest: int) -> None:
    """As table 2 of Inception-v3 has them, for small pictures: 147, or 73 without a pool, and 35, 17, 8 behind."""
    plain, factorised = (on_meta(stem=stem, factorized_7x7=flag) for flag in (False, True))
    for side in (int(stem), int(stem) + 6, smallest):
        found, expected = entering(plain, side), entering(factorised, side)
        assert {**found, "conv2a": None, "conv2b": None} == {**expected, "conv2a": None, "conv2b": None}
    assert entering(plain, int(stem))["mixed0"] == (35, 192)
    assert entering(plain, smallest)["head"] == (1, 2048)
    assert plain.input_contract == factorised.input_contract
    assert plain.input_contract.min_size == smallest
    assert plain.get_submodule("conv1a").conv.weight.shape == (64, 3, 7, 7)
    assert sum(p.numel() for p in plain.parameters()) == 23_798_184
    assert [tap.stride for tap in plain.taps] == [tap.stride for tap in factorised.taps]


def test_the_depth() -> None:
    """Section 6 says 42 layers: six convolutions and three in each of twelve modules would be that many."""
    assert [depth(on_meta(factorized_7x7=flag)) for flag in (False, True)] == [46, 48]
    assert depth(on_meta("inception_v1")) == 22, "1409.4842, section 5: 22 layers deep"


def macs(model: ImageModel, side: int = 299) -> int:
    total = 0
    for layer in run_layers(model, side):
        if layer["op"] in ("Conv", "Gemm"):
            total += torch.Size(layer["w"]).numel() * torch.Size(layer["shape"][2:]).numel()
    return total


def test_the_rows_of_table_3_by_options() -> None:
    """Printed: 3.8 billion multiply-adds before the step of the 7x7 and 4.8 after, neither of which the layers of table
    1 have. What they have: the step makes the network dearer, by 7x7x3x64 weights less and three 3x3 layers more."""
    before, after = on_meta(), on_meta(factorized_7x7=True)
    assert (macs(before), macs(after)) == (5_299_886_272, 5_713_216_096)
    assert macs(after) == macs(on_meta("inception_v3"))
    three = 9 * (3 * 32 * 149**2 + 32 * 32 * 147**2 + 32 * 64 * 147**2)
    assert macs(after) - macs(before) == three - 49 * 3 * 64 * 147**2 > 0
    counts = [sum(p.numel() for p in model.parameters()) for model in (before, after)]
    assert counts == [23_798_184, 23_817_352]


FULL = {"factorized_7x7": True, "aux_head": True, "aux_batch_norm": True}


@pytest.mark.parametrize("stem", ["299", "151", "79"])
def test_with_all_three_it_is_inception_v3(stem: str) -> None:
    torch.manual_seed(0)
    small: dict[str, Any] = {"num_classes": 5, "width": 0.1, "dropout": 0.0, "stem": stem}
    v3 = build_model("inception_v3", aux_head=True, **small)
    v2 = build_model("inception_v2", **FULL, **small)
    assert list(v2.state_dict()) == list(v3.state_dict())
    v2.load_state_dict(v3.state_dict())
    assert v2.input_contract == v3.input_contract
    assert (v2.chain, v2.taps) == (v3.chain, v3.taps)
    x = torch.randn(2, 3, 107, 120)
    with torch.no_grad():
        assert all(torch.equal(a, b) for a, b in zip(v2.train()(x), v3.train()(x), strict=True))
        assert torch.equal(v2.eval()(x), v3.eval()(x))
    whole = [on_meta("inception_v3", aux_head=True, gamma=True), on_meta(**FULL, gamma=True)]
    assert whole[0].state_dict().keys() == whole[1].state_dict().keys()
    assert sum(p.numel() for p in whole[1].parameters()) == 27_161_264, "torchvision's, auxiliary head included"


def test_bn_auxiliary_normalises_the_fully_connected_layer_too() -> None:
    heads = [on_meta(aux_head=True, aux_batch_norm=flag).get_submodule("aux_head") for flag in (False, True)]
    for head, normalised in zip(heads, (False, True), strict=True):
        assert isinstance(head, InceptionAux)
        assert isinstance(head.conv0.bn, nn.BatchNorm2d)
        assert isinstance(head.conv1.bn, nn.BatchNorm2d) == normalised
        assert (head.conv1.conv.bias is None) == normalised
    with pytest.raises(AttributeError):
        on_meta().get_submodule("aux_head")


def test_the_smallest_side() -> None:
    model = build_model("inception_v2", 2, width=0.1).eval()
    with torch.no_grad():
        assert model.forward_features(torch.randn(1, 3, 75, 76)).shape[2:] == (1, 1)
