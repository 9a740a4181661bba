"""Inception-v3's options: the three stems of table 2, the first Keras file, the forms of public study notes."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from separable.blocks import AveragePool, InceptionC, InceptionD, MaxPool
from separable.blocks.savings import Cost, grid_reduction_cost
from separable.errors import ModelOptionError
from separable.models import ImageModel, build_model
from tests.models.test_inception_v2 import entering, macs


def on_meta(**options: Any) -> ImageModel:
    with torch.device("meta"):
        return build_model("inception_v3", **options).eval()


def parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


GRIDS = {"conv4a": 73, "mixed0": 35, "mixed4": 17, "mixed9": 8, "head": 8}


@pytest.mark.parametrize(
    ("stem", "smallest", "strides"),
    [("299", 75, (2, 4, 8, 16, 32)), ("151", 39, (1, 2, 4, 8, 16)), ("79", 23, (1, 2, 4, 8))],
)
def test_the_stems_of_section_7_share_all_grids_behind_them(stem: str, smallest: int, strides: tuple[int, ...]) -> None:
    model = on_meta(stem=stem)
    side = int(stem)
    assert model.input_contract.size == (side, side)
    found = entering(model, side)
    assert {name: found[name][0] for name in GRIDS} == GRIDS
    assert parameters(model) == 23_817_352, "only strides, borders and a pool differ"
    assert ("pool3a" in model.chain) == (stem != "79")
    assert tuple(tap.stride for tap in model.taps) == strides
    pyramid = model.forward_pyramid(torch.zeros(1, 3, side, side, device="meta"))
    sides = (147, 71, 35, 17, 8)[-len(pyramid) :]
    assert [tuple(m.shape[1:3]) for m in pyramid] == [
        (tap.channels, side) for tap, side in zip(model.taps, sides, strict=True)
    ]
    assert model.input_contract.min_size == smallest
    assert model.forward_features(torch.zeros(1, 3, smallest, smallest, device="meta")).shape[2:] == (1, 1)
    model.input_contract = replace(model.input_contract, min_size=1)  # else the side is refused by name
    with pytest.raises(RuntimeError):
        model(torch.zeros(1, 3, smallest - 1, smallest - 1, device="meta"))


def test_the_cost_of_the_three_stems() -> None:
    """Section 7: "almost identical computational cost"; the third is "slightly cheaper": 8 % here, its 3x3 layers run
    on maps of a quarter of the size."""
    costs = [macs(on_meta(stem=stem), int(stem)) for stem in ("299", "151", "79")]
    assert costs == [5_713_216_096, 5_713_216_096, 5_251_775_584]
    small = 9 * (3 * 32 * 77**2 + 32 * 32 * 75**2 + 32 * 64 * 73**2)
    large = 9 * (3 * 32 * 149**2 + 32 * 32 * 147**2 + 32 * 64 * 147**2)
    assert costs[0] - costs[2] == large - small


# fchollet/deep-learning-models, inception_v3.py of 2016-08-09: kernels and channels in its order.
FIRST_KERAS_FILE = [
    *[(3, 32), (3, 32), (3, 64), (1, 80), (3, 192)],
    *3 * [(1, 64), (1, 48), (5, 64), (1, 64), (3, 96), (3, 96), (1, 32)],
    *[(3, 384), (1, 64), (3, 96), (3, 96)],
    *[(1, 192), (1, 128), (7, 128), (7, 192), (1, 128), (7, 128), (7, 128), (7, 128), (7, 192), (1, 192)],
    *2 * [(1, 192), (1, 160), (7, 160), (7, 192), (1, 160), (7, 160), (7, 160), (7, 160), (7, 192), (1, 192)],
    *[(1, 192), (1, 192), (7, 192), (7, 192), (1, 160), (7, 192), (7, 192), (7, 192), (7, 192), (1, 192)],
    *[(1, 192), (3, 320), (1, 192), (7, 192), (7, 192), (3, 192)],
    *2 * [(1, 320), (1, 384), (3, 384), (3, 384), (1, 448), (3, 384), (3, 384), (3, 384), (1, 192)],
]


def test_the_network_behind_the_xception_papers_count() -> None:
    """arXiv:1610.02357, table 3: 23,626,728."""
    model = on_meta(variant="chollet_2016")
    assert parameters(model) == 23_626_728
    convolutions = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
    assert [(max(m.kernel_size), m.out_channels) for m in convolutions] == FIRST_KERAS_FILE
    weights = sum(m.weight.numel() for m in convolutions)
    channels = sum(m.out_channels for m in convolutions)
    assert (weights, channels) == (21_526_368, 17_120)
    assert parameters(model) == weights + 3 * channels + 2_049_000, "bias, gamma and beta for each channel"
    found = entering(model)
    assert [found[f"mixed{number}"] for number in (1, 2, 3, 4, 5, 8, 9, 10)] == [
        *3 * [(35, 256)],
        (17, 736),
        *2 * [(17, 768)],
        (8, 1280),
        (8, 2048),
    ]
    assert isinstance(model.get_submodule("mixed3.pool"), MaxPool)
    assert isinstance(model.get_submodule("mixed8.pool"), AveragePool)


def test_its_units_rectify_before_they_normalise() -> None:
    torch.manual_seed(0)
    unit = build_model("inception_v3", 2, variant="chollet_2016", width=0.1).eval().get_submodule("conv2a")
    x = torch.randn(2, 16, 9, 9)
    nn.init.normal_(unit.bn.bias)
    expected = unit.bn(torch.relu(torch.nn.functional.conv2d(x, unit.conv.weight, unit.conv.bias)))
    torch.testing.assert_close(unit(x), expected)
    assert (unit(x) < 0).any()


LONG = sum(4 * m * m + 2 * m * 192 for m in (128, 160, 160, 192)) + 2 * 192 * 192
"""Weights of the factorised convolutions, for each unit of their length: four modules, and the second reduction."""


@pytest.mark.parametrize(
    ("options", "more"),
    [
        ({"bias": True}, 17_216),  # one for each channel
        ({"gamma": True}, 17_216),
        ({"n": 3}, -4 * LONG),
        ({"n": 5}, -2 * LONG),
        ({"n": 3, "bias": True, "activation": "relu6", "pool": "max"}, 17_216 - 4 * LONG),  # a study note's network
        ({"pool": "max", "activation": "elu"}, 0),
    ],
)
def test_the_forms_of_study_notes_by_options(options: dict[str, Any], more: int) -> None:
    model = on_meta(**options)
    assert parameters(model) == 23_817_352 + more
    activation = {"relu": nn.ReLU, "relu6": nn.ReLU6, "elu": nn.ELU}[options.get("activation", "relu")]
    assert {type(m.act) for m in model.modules() if hasattr(m, "act")} == {activation}
    kind = MaxPool if options.get("pool") == "max" else AveragePool
    branches = [m for name, m in model.named_modules() if name.endswith(".pool")]
    assert [type(m) for m in branches if m.stride == 1] == [kind] * 9
    assert [type(m) for m in branches if m.stride == 2] == [MaxPool] * 2, "the reductions keep theirs"
    n = options.get("n", 7)
    long = [m.kernel_size for m in model.modules() if isinstance(m, nn.Conv2d) and max(m.kernel_size) >= 3]
    rows = [kernel for kernel in long if kernel == (1, n)]
    assert len(rows) == {3: 13 + 4, 5: 13, 7: 13}[n], "three in each of four modules and one in the reduction"
    assert model.options == on_meta(**model.options).options
    assert entering(model)["head"] == (8, 2048)


def test_modules_take_the_options_alone() -> None:
    x = torch.randn(1, 32, 9, 8)
    module = InceptionC(32, 16, n=3, pool="max", width=0.1, activation="relu6", bias=True).eval()
    assert module(20 * x).max() == 6
    assert module.branch7x7_2.conv.kernel_size == (1, 3)
    assert InceptionD(32, n=5, width=0.1)(x).shape[2:] == (4, 3)
    for bad in (4, 1, "7", True):
        with pytest.raises(ModelOptionError, match="Bad model option n"):
            InceptionC(32, 16, n=bad)  # type: ignore[arg-type] - the mistake under test
    with pytest.raises(ModelOptionError, match=r"Bad model option pool\. Got: 'mean'\. Expected: 'average' or 'max'"):
        InceptionD(32, pool="mean")


def test_linear_inside_leaves_out_the_activations_between_the_3x3_and_nothing_else() -> None:
    """Section 3.1 and figure 2: every 5x5 that two 3x3 stand for, the strided one of the grid reduction too."""
    plain, linear = on_meta(), on_meta(linear_inside=True)
    assert list(plain.state_dict()) == list(linear.state_dict())
    silent = {name for name, module in linear.named_modules() if isinstance(module, nn.Identity)}
    assert not [module for module in plain.modules() if isinstance(module, nn.Identity)]
    assert silent == {f"mixed{number}.branch3x3dbl_2.act" for number in range(4)}
    torch.manual_seed(0)
    module = build_model("inception_v3", 2, width=0.1, linear_inside=True).eval().get_submodule("mixed1")
    x = torch.randn(1, module.branch1x1.conv.in_channels, 9, 9)
    inside = module.branch3x3dbl_2(module.branch3x3dbl_1(x))
    assert (inside < 0).any()
    assert torch.equal(module(x)[:, 32:48], module.branch3x3dbl_3(inside)), "the third of four branches"


REDUCED = {"parallel": "figure 10, right", "pool_first": "figure 9, left", "convolve_first": "figure 9, right"}


@pytest.mark.parametrize("how", REDUCED)
@pytest.mark.parametrize("stem", ["299", "79"])
def test_every_grid_reduction_leaves_the_rest_as_it_is(how: str, stem: str) -> None:
    plain, other = on_meta(stem=stem), on_meta(stem=stem, grid_reduction=how)
    assert entering(other, int(stem)) == entering(plain, int(stem)), "sides and channels of every module"
    assert {
        name: value.shape for name, value in other.state_dict().items() if name[:6] not in ("mixed3", "mixed8")
    } == {name: value.shape for name, value in plain.state_dict().items() if name[:6] not in ("mixed3", "mixed8")}
    blocks = [other.get_submodule(name) for name in ("mixed3", "mixed8")]
    assert [(block.how, block.conv.bn.weight) for block in blocks] == [(how, None)] * 2, "no gamma either"


def test_the_cost_of_the_grid_reductions() -> None:
    """Section 5: convolving first costs four times as much as pooling first, in parallel less than either."""
    sides = {"mixed3": (288, 768, 35), "mixed8": (768, 1280, 17)}
    costs, others = {}, set()
    for how in REDUCED:
        model = on_meta(grid_reduction=how)
        costs[how] = sum((grid_reduction_cost(*shape[:2], how, shape[2]) for shape in sides.values()), Cost(0, 0))
        betas = sum(model.get_submodule(name).conv.conv.out_channels for name in sides)
        others.add((parameters(model) - costs[how].parameters - betas, macs(model, 299) - costs[how].macs))
    assert len(others) == 1, "everything else is the same"
    assert costs["pool_first"].parameters == costs["convolve_first"].parameters
    assert costs["convolve_first"].macs / costs["pool_first"].macs == pytest.approx(4, rel=0.15)
    assert costs["parallel"].macs < costs["pool_first"].macs


def test_dense_layers_and_the_plain_auxiliary_head() -> None:
    """Table 2 of arXiv:1610.02357 has it "with FC layers", of 4096 each; table 3 of 1512.00567 an auxiliary head."""
    more = 4096 * (2048 + 1) + 4096 * (4096 + 1) + 1000 * (4096 - 2048)
    assert parameters(on_meta(fc_layers=[4096, 4096])) == 23_817_352 + more
    assert on_meta(fc_layers=[4096, 4096]).head_hidden_size == 4096
    names = [name for name, _ in on_meta(aux_head=True, aux_batch_norm=False).named_parameters()]
    assert "aux_head.conv1.conv.bias" in names
    assert "aux_head.conv1.bn.bias" not in names
    assert "aux_head.conv1.bn.bias" in dict(on_meta(aux_head=True).named_parameters())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"grid_reduction": "both"}, "grid_reduction. Got: 'both'. Expected: None or 'parallel' or 'pool_first' or"),
        ({"linear_inside": "yes"}, "linear_inside. Got: 'yes'. Expected: True or False"),
        ({"aux_batch_norm": 1}, "aux_batch_norm. Got: 1. Expected: True or False"),
        ({"fc_layers": [0]}, r"fc_layers. Got: \(0,\)|fc_layers. Got: \[0\]"),
        ({"stem": 300}, "stem. Got: '300'. Expected: '299' or '151' or '79'"),
        ({"variant": "keras"}, "variant. Got: 'keras'. Expected: 'slim' or 'chollet_2016'"),
        ({"activation": None}, "activation. Got: None. Expected: 'relu' or 'relu6' or 'elu'"),
        ({"n": 9}, "n. Got: 9. Expected: 3 or 5 or 7"),
        ({"pool": True}, "pool. Got: True. Expected: 'average' or 'max'"),
        ({"bias": 1}, "bias. Got: 1. Expected: True or False"),
    ],
)
def test_bad_values_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelOptionError, match=f"Bad model option {message}"):
        build_model("inception_v3", 2, **options)


def test_a_small_stem_is_a_whole_network() -> None:
    torch.manual_seed(0)
    model = build_model("inception_v3", 3, stem="79", width=0.1, aux_head=True, dropout=0.0)
    out = model.train()(torch.randn(2, 3, 32, 23))
    assert [o.shape for o in out] == [(2, 3), (2, 3)]
