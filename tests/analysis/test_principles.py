"""The bottlenecks of arXiv:1512.00567 are found where its figures draw them, and not where it mends them."""

import json
import math
import re

import pytest
import torch
from torch import Tensor, nn

from separable.analysis.cuts import find_cuts
from separable.analysis.graph import record_graph
from separable.analysis.principles import BrokenPrinciple, find_broken_principles
from separable.analysis.stages import readable_name
from separable.models import build_model, list_models, model_spec

SIDE = 35 * 8  # the grid of figure 9 at an eighth of the picture's side
AFTER_THEIR_STEMS = ("inception_v3", "inception_v4", "inception_resnet_v2", "xception")


def conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2)


def found(*layers: nn.Module, side: int = SIDE) -> tuple[BrokenPrinciple, ...]:
    """Findings of a network whose stem brings a picture to 320 channels at 1/8 of its side."""
    stem = [conv(3, 320, 9, 8), nn.ReLU(), conv(320, 320)]
    return find_broken_principles(record_graph(nn.Sequential(*stem, *layers), (1, 3, side, side)))


def head(channels: int) -> tuple[nn.Module, ...]:
    return nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10)


class Parallel(nn.Module):
    """Branches side by side, concatenated."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], 1)


class Residual(nn.Module):
    def __init__(self, inside: nn.Module) -> None:
        super().__init__()
        self.inside = inside

    def forward(self, x: Tensor) -> Tensor:
        return x + self.inside(x)


@pytest.mark.parametrize("side", [SIDE, 36 * 8, 19 * 8, 8 * 8])
def test_pooling_before_widening_is_found(side: int) -> None:
    """Figure 9, left: 35x35x320, pool, 17x17x320, then 640 channels; however the borders fall."""
    for ceil_mode in (False, True):
        (finding,) = found(nn.MaxPool2d(3, 2, ceil_mode=ceil_mode), conv(320, 640), *head(640), side=side)
        assert (finding.principle, finding.level, finding.where, finding.factor) == (1, "warning", "3", 0.25)
        assert finding.title == "Avoid representational bottlenecks"
    assert "25 % of the representation is left, which the layers after it then widen 2 times" in finding.text


def test_what_the_paper_does_instead_is_not() -> None:
    """Figure 9, right (widen, then pool) and figure 10 (strided convolutions beside a pool)."""
    assert not found(conv(320, 640), nn.MaxPool2d(3, 2), conv(640, 640), *head(640))
    even = [conv(320, 320) for _ in range(4)]
    late = found(*even, conv(320, 640), nn.MaxPool2d(3, 2), conv(640, 1280), *head(1280))
    assert not late, "what the stage kept counts, not the layer that widened it for the pool"
    reduction = Parallel(nn.Conv2d(320, 320, 3, 2), nn.MaxPool2d(3, 2))
    assert not found(reduction, conv(640, 640), *head(640))


def test_the_text_says_sizes_as_they_are() -> None:
    (finding,) = found(nn.MaxPool2d(3, 2), conv(320, 640), *head(640))
    assert finding.text.startswith("From 320 channels at 35x35 to 320 channels at 17x17: 25 % of")
    assert json.loads(json.dumps(finding.to_json()))["principle"] == 1


def test_the_share_is_that_of_the_shapes_named() -> None:
    """Two cuts before the pool, 64 and 128 channels at 112x112: their mean is the size of neither."""
    layers = (conv(3, 64, 3, 2), nn.ReLU(), conv(64, 128), nn.ReLU(), nn.MaxPool2d(4), conv(128, 512), *head(512))
    (finding,) = find_broken_principles(record_graph(nn.Sequential(*layers), (1, 3, 224, 224)))
    before, after = re.findall(r"(\d+) channels at (\d+)x(\d+)", finding.text)
    left = math.prod(map(int, after)) / math.prod(map(int, before))
    assert f": {100 * left:.3g} % of the representation" in finding.text
    assert finding.factor == pytest.approx(left)


def test_numbers_are_no_names() -> None:
    """Layers of an nn.Sequential are told by what they are; a module or a layer with a name is not."""
    (finding,) = found(conv(320, 8, 1), nn.ReLU(), conv(8, 320, 1), *head(320))
    assert (finding.where, finding.place) == ("3", "layer 3 (1x1 convolution)")
    assert [readable_name(name, "ReLU") for name in ("10", "4.1", "layer1.0", "conv1")] == [
        *("layer 10 (ReLU)", "layer 4.1 (ReLU)", "layer1.0", "conv1"),
    ]
    assert readable_name("4", "") == "block 4"


def test_a_needle_thin_layer_is_found_once() -> None:
    (finding,) = found(conv(320, 8, 1), nn.ReLU(), conv(8, 320, 1), *head(320))
    assert (finding.principle, finding.where, finding.factor) == (1, "3", 8 / 320)
    assert "widen 40 times" in finding.text
    assert not found(conv(320, 80, 1), conv(80, 320), *head(320)), "a moderate reduction is principle 3"


def test_thin_branches_side_by_side_are_a_cut_together() -> None:
    thin = Parallel(*(nn.Sequential(conv(320, 4, 1), conv(4, 160)) for _ in range(2)))
    (finding,) = found(thin, *head(320))
    assert finding.factor == 8 / 320
    assert "8 channels at 35x35 in 2 branches" in finding.text
    wide = Parallel(nn.Sequential(conv(320, 4, 1), conv(4, 160)), conv(320, 160, 1))
    assert not found(wide, *head(320)), "the other branch lets enough through"


def test_a_shortcut_leads_round_a_needle() -> None:
    assert not found(Residual(nn.Sequential(conv(320, 8, 1), conv(8, 320, 1))), *head(320))


def test_heads_and_outputs_are_no_bottlenecks() -> None:
    wide_head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(320, 4096), nn.Linear(4096, 10))
    assert not found(conv(320, 320), *wide_head)
    assert not found(conv(320, 320), conv(320, 1, 1)), "a mask of one channel is what was asked for"


def test_in_the_stem_it_is_a_note() -> None:
    net = nn.Sequential(conv(3, 64, 7, 2), nn.MaxPool2d(3, 2, 1), conv(64, 256), conv(256, 256), *head(256))
    finding = find_broken_principles(record_graph(net, (1, 3, 64, 64)))[0]
    assert (finding.principle, finding.level, finding.where) == (1, "note", "1")


def balance(*layers: nn.Module) -> list[str]:
    """Which grids are out of balance, in the words of the findings."""
    findings = [one for one in found(*layers, side=64) if one.principle == 4]
    assert all(one.title == "Balance the width and depth of the network" for one in findings)
    return [one.text for one in findings]


def test_deep_and_thin_or_wide_and_shallow_is_out_of_balance() -> None:
    even = [conv(320, 320) for _ in range(6)]
    assert not balance(*even), "one grid alone has nothing to be balanced with"
    assert not balance(*even, conv(320, 640, 3, 2), *[conv(640, 640) for _ in range(6)])
    (thin,) = balance(*even, conv(320, 64, 3, 2), *[conv(64, 64, 1) for _ in range(6)])
    macs = 64 * 320 * 3 * 81 + 7 * 64 * 320 * 320 * 9, 16 * 64 * 320 * 9 + 6 * 16 * 64 * 64
    assert f"{100 * macs[1] / sum(macs):.3g}" == "0.794"
    assert thin.startswith(
        "The 4x4 grid has 7 of 15 convolutions in a row and 0.794 % of the multiply-adds: deep and thin"
    )
    (wide,) = balance(*[conv(320, 320, 1) for _ in range(10)], conv(320, 2048, 7, 2))
    assert wide.startswith("The 4x4 grid has 1 of 13 convolutions in a row and 79.9 %")
    assert "wide and shallow" in wide


@pytest.mark.parametrize("name", [name for name in AFTER_THEIR_STEMS if name in list_models()])
def test_the_papers_own_networks_keep_their_principles(name: str) -> None:
    with torch.device("meta"):
        model = build_model(name)
    for side in (model_spec(name).min_size, model_spec(name).input.size[0], 332):
        findings = find_broken_principles(record_graph(model, (1, 3, side, side)))
        assert not [finding for finding in findings if finding.level == "warning"]


def test_strided_depthwise_convolutions_are_found() -> None:
    """MobileNet V1 strides in its depthwise convolutions and widens in the 1x1 after them."""
    findings = find_broken_principles(record_graph(build_model("mobilenet_v1", width=0.5), (1, 3, 224, 224)))
    assert [one.where for one in findings if one.level == "warning"] == [
        "block6.depthwise.conv",
        "block12.depthwise.conv",
    ]


def test_cuts_of_inception_v3_by_hand() -> None:
    """The grid reduction of figure 10: 768 channels at 17x17 from 288 at 35x35, three branches that end together."""
    with torch.device("meta"):
        model = build_model("inception_v3")
    cuts = {cut.last.name: cut for cut in find_cuts(record_graph(model, (1, 3, 299, 299)))}
    assert cuts["mixed3.cat"].size == 768 / 16**2
    assert cuts["mixed4.cat"].alone
    inside = cuts["mixed4.branch_pool.conv"]
    assert len(inside.nodes) == 4
    assert inside.size == (192 + 128 + 128 + 192) / 16**2


def test_networks_without_grids_have_no_findings() -> None:
    assert find_broken_principles(record_graph(nn.Sequential(nn.Linear(8, 4), nn.ReLU()), (2, 8))) == ()


def test_logits_of_pixels_are_no_needle() -> None:
    """They are few, and resized to the picture; a layer that is as narrow before them is one."""
    with torch.device("meta"):
        model = build_model("deeplab", 4, encoder="mobilenet_v1")
        assert find_broken_principles(record_graph(model, (1, 3, 256, 256))) == ()
        pixels = nn.Sequential(conv(256, 21, 1), nn.Upsample(scale_factor=4.0))
        assert not [one for one in found(conv(320, 256), *pixels) if one.principle == 1]
        needle = nn.Sequential(conv(256, 21, 1), conv(21, 256), conv(256, 21, 1), nn.Upsample(scale_factor=4.0))
        assert [one.where for one in found(conv(320, 256), *needle) if one.principle == 1] == ["4"]
