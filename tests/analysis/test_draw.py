"""What the drawings say: labels, branches, repetitions, sections; and that the SVG is sound."""

import re
from functools import cache
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from separable.analysis.draw import draw_graph, page_of
from separable.analysis.draw.blocks import Network, arrange, count_branches, signature
from separable.analysis.draw.labels import shape_text
from separable.analysis.draw.sections import divide
from separable.analysis.draw.shapes import Rect, Text
from separable.analysis.draw.tree import Box, Item, Parallel, Series, Tangle
from separable.analysis.draw.units import units_of
from separable.analysis.graph import Graph, record_graph
from separable.errors import UsageError
from separable.models import build_model, list_models


@cache
def graph_of(name: str, **options: Any) -> Graph:
    with torch.device("meta"):
        model = build_model(name, **options)
    height, width = model.input_contract.size
    return record_graph(model, (1, 3, height, width))


def network_of(graph: Graph, *, collapse: bool = True) -> Network:
    return arrange(graph, units_of(graph, every_layer=not collapse), collapse=collapse)


def written(item: "Item | Series") -> Any:
    """Labels: a list for what runs in series, a tuple for what runs side by side."""
    if isinstance(item, Box):
        return " ".join((item.unit.label.text(), *item.unit.after))
    if isinstance(item, Tangle):
        return {unit.label.text() for unit in item.units}
    if isinstance(item, Parallel):
        return tuple(written(branch) for branch in item.branches)
    return [written(part) for part in item.items]


def words(graph: Graph, **options: Any) -> list[str]:
    return [shape.words for shape in page_of(graph, "net", **options).shapes if isinstance(shape, Text)]


def blocks(graph: Graph) -> dict[str, Any]:
    return {group.first.name: written(group.first.series) for group in network_of(graph).groups}


def test_xception_is_figure_5() -> None:
    graph = graph_of("xception")
    drawn = blocks(graph)
    assert list(drawn) == ["block1", "block2", "block3", "block4", "block5", "block13", "block14", "head"]
    assert drawn["block1"] == ["Conv 32, 3x3, stride 2x2 BN ReLU", "Conv 64, 3x3 BN ReLU"]
    main = ["ReLU", "SeparableConv 256, 3x3 BN", "ReLU", "SeparableConv 256, 3x3 BN", "MaxPooling 3x3, stride 2x2"]
    assert drawn["block3"] == [(main, ["Conv 256, 1x1, stride 2x2 BN"]), "+"]
    assert drawn["block2"][0][0][0] == "SeparableConv 128, 3x3 BN", "the stem has just applied a ReLU"
    assert drawn["block5"] == [([], ["ReLU", "SeparableConv 728, 3x3 BN"] * 3), "+"]
    assert drawn["head"] == ["GlobalAveragePooling", "Dense 1000"]
    groups = network_of(graph).groups
    assert [len(group.blocks) for group in groups] == [1, 1, 1, 1, 8, 1, 1, 1]
    said = words(graph)
    assert {"Entry flow", "Middle flow", "Exit flow", "8 x", "block5 to block12", "8 x 1,613,976 parameters"} <= set(
        said
    )
    assert said.count("19x19x728 feature maps") == 4, "below and above the gaps between the three columns"
    assert "299x299x3 images" in said
    assert "1000 outputs" in said
    assert "Every convolution is followed by batch normalisation (not drawn), unless its box says otherwise." in said
    assert said.count("then ReLU") == 2, "the two convolutions of the stem"


def test_inception_v3_is_figures_5_to_10() -> None:
    graph = graph_of("inception_v3", aux_head=True)
    drawn = blocks(graph)
    conv = "Conv {} BN ReLU".format
    assert drawn["mixed1"] == [
        (
            [conv("64, 1x1")],
            [conv("48, 1x1"), conv("64, 5x5")],
            [conv("64, 1x1"), conv("96, 3x3"), conv("96, 3x3")],
            ["AveragePooling 3x3", conv("64, 1x1")],
        ),
        "Filter concat",
    ]
    halves = ([conv("384, 1x3")], [conv("384, 3x1")])
    assert drawn["mixed9"][0][1] == [conv("384, 1x1"), halves], "figure 7: both halves go to the same concatenation"
    assert drawn["mixed9"][0][2] == [conv("448, 1x1"), conv("384, 3x3"), halves]
    assert drawn["mixed3"][0][2] == ["MaxPooling 3x3, stride 2x2"], "figure 10"
    groups = network_of(graph).groups
    assert [group.first.name for group in groups if len(group.blocks) > 1] == ["mixed1", "mixed5", "mixed9"]
    said = words(graph)
    assert {"Stem", "35x35 grid", "17x17 grid", "8x8 grid", "Classifier", "2 x Inception E"} <= set(said)
    assert said.count("Inception C") == 3, "mixed4, mixed7, and the drawing of the type"
    table = said[said.index("mixed4") :]
    assert table[:4] == ["mixed4", "128", "17x17x768", "1,295,872"]
    assert table[4:8] == ["mixed5, mixed6", "160", "17x17x768", "2 x 1,689,280"]
    assert said.count("Conv n, 1x7") == 2
    assert {"Inception Aux, after mixed7", "figure 8 of arXiv:1512.00567", "aux_head"} <= set(said)


def test_the_table_of_googlenet() -> None:
    """One type of module with six letters, as table 1 of arXiv:1409.4842 lists them."""
    said = words(graph_of("inception_v1"))
    start = said.index("inception3a")
    assert said[start : start + 9] == ["inception3a", *("64", "96", "128", "16", "32", "32"), "28x28x256", "163,696"]
    assert {"Conv a, 1x1", "Conv c, 3x3", "Conv e, 5x5", "Conv f, 1x1", "MaxPooling 3x3"} <= set(said)


def test_resnet_mobilenet_and_vgg() -> None:
    bottleneck = blocks(graph_of("resnet50"))["conv2_block2"]
    assert bottleneck == [
        (["Conv 64, 1x1 BN ReLU", "Conv 64, 3x3 BN ReLU", "Conv 256, 1x1 BN"], []),
        "+",
        "ReLU",
    ]
    assert "2 x" in words(graph_of("resnet50"))
    mobilenet = blocks(graph_of("mobilenet_v1"))
    assert mobilenet["block2"] == ["DepthwiseConv 64, 3x3, stride 2x2 BN ReLU6", "Conv 128, 1x1 BN ReLU6"]
    assert "block7 to block11" in words(graph_of("mobilenet_v1"))
    assert {"no ReLU"} <= set(words(graph_of("resnet50")))


def test_sections() -> None:
    def titles(name: str) -> dict[str, list[str]]:
        return {part.title: [group.first.name for group in part.groups] for part in divide(network_of(graph_of(name)))}

    assert titles("resnet50") == {
        "Stem": ["conv1", "pool1"],
        "56x56 grid": ["conv2_block1", "conv2_block2"],
        "28x28 grid": ["conv3_block1", "conv3_block2"],
        "14x14 grid": ["conv4_block1", "conv4_block2"],
        "7x7 grid": ["conv5_block1", "conv5_block2"],
        "Classifier": ["head"],
    }
    assert list(titles("xception65")) == ["Entry flow", "Middle flow", "Exit flow"]
    assert titles("vgg16")["56x56 grid"] == ["pool2", "block3"], "what shrinks the grid belongs to the smaller one"


class _Plain(nn.Module):
    """Three equal residual blocks, one of another width, a squeeze, and what is not in series or parallel."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 1)
        self.blocks = nn.ModuleList([_Residual(8), _Residual(8), _Residual(8), _Residual(8, middle=4)])
        self.a, self.b, self.c = (nn.Conv2d(8, 8, 1) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.first(x))
        for block in self.blocks:
            x = block(x)
        a, b = self.a(x), self.b(x)
        c = self.c(a + b)
        return torch.cat((a * c, b, c), 1)


class _Residual(nn.Module):
    def __init__(self, width: int, middle: int = 8) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Conv2d(width, middle, 3, padding=1), nn.ReLU(), nn.Conv2d(middle, width, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.inner(x)


def test_anybodys_network() -> None:
    groups = network_of(record_graph(_Plain(), (1, 3, 8, 8))).groups
    assert [(group.first.name, len(group.blocks)) for group in groups] == [
        ("first", 1),
        ("blocks.0", 3),
        ("blocks.3", 1),
        ("", 1),
    ]
    assert written(groups[0].first.series) == ["Conv 8, 1x1 ReLU"]
    assert written(groups[1].first.series) == [([], ["Conv 8, 3x3 ReLU", "Conv 8, 1x1"]), "+"]
    assert written(groups[3].first.series) == [{"Conv 8, 1x1", "+", "x"}, "Filter concat"]
    assert count_branches(groups[1].first.series) == 2
    same, other = groups[1].first.series, groups[2].first.series
    assert signature(same) != signature(other)
    assert signature(same, channels=False) == signature(other, channels=False)


def test_blocks_that_shrink_the_grid_are_not_alike() -> None:
    def halving() -> nn.Module:
        return nn.Sequential(nn.Conv2d(3, 3, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(3, 3, 1), nn.ReLU())

    groups = network_of(record_graph(nn.Sequential(halving(), halving()), (1, 3, 32, 32))).groups
    assert [(group.first.name, group.last.output_shape[2]) for group in groups] == [("0", 16), ("1", 8)]


class _Last(nn.Module):
    """Works on (N, H, W, C) inside, as Swin does."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.dense = nn.Conv2d(3, 8, 2, stride=2), nn.LayerNorm(8), nn.Linear(8, 12)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.conv(x).permute(0, 2, 3, 1))
        return F.gelu(self.dense(y)).permute(0, 3, 1, 2) * 2.0


def test_shapes_of_networks_with_channels_last_inside() -> None:
    units = units_of(record_graph(_Last(), (1, 3, 10, 8)))
    assert [shape_text(unit.shape) for unit in units] == ["10x8x3", "5x4x8", "5x4x12", "5x4x12"]


def test_stages_are_taken_apart() -> None:
    class Staged(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stages = nn.ModuleList(_Stage() for _ in range(2))

        def forward(self, x: Tensor) -> Tensor:
            for stage in self.stages:
                x = F.max_pool2d(stage(x), 2)
            return x

    class _Stage(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = nn.Sequential(_Residual(3), _Residual(3))

        def forward(self, x: Tensor) -> Tensor:
            return self.blocks(x)

    groups = network_of(record_graph(Staged(), (1, 3, 16, 16))).groups
    assert [(group.first.name, len(group.blocks)) for group in groups] == [
        ("stages.0.blocks.0", 2),
        ("max_pool2d", 1),
        ("stages.1.blocks.0", 2),
        ("max_pool2d:2", 1),
    ]


def test_the_footnote_leaves_out_nothing_that_is_drawn() -> None:
    """One convolution with a norm after it, as patches are embedded, among norms that are boxes: its box says so."""
    embedding = nn.Conv2d(3, 8, 4, 4), nn.GroupNorm(1, 8)
    mixing = nn.Conv2d(8, 8, 1), nn.MaxPool2d(1), nn.GroupNorm(1, 8)
    lone = words(record_graph(nn.Sequential(*embedding, nn.MaxPool2d(1), nn.GroupNorm(1, 8)), (1, 3, 32, 32)))
    assert any("then GN" in word for word in lone)
    assert not any(word.startswith("Every convolution") for word in lone)
    alike = nn.Sequential(*embedding, nn.Conv2d(8, 8, 1), nn.GroupNorm(1, 8), *mixing)
    usual = words(record_graph(alike, (1, 3, 32, 32)))
    assert any(word.startswith("Every convolution is followed by group normalisation") for word in usual)


def test_nothing_to_draw() -> None:
    with pytest.raises(UsageError, match=r"nothing to draw\. Got: its output is its input"):
        page_of(record_graph(nn.Identity(), (1, 3, 8, 8)), "nothing")


def test_several_outputs() -> None:
    """The longest way is the main line; what ends elsewhere hangs on it."""

    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.boxes, self.classes = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 8, 1), nn.Linear(4, 2)

        def forward(self, x: Tensor) -> dict[str, Tensor]:
            y = self.body(x)
            return {"boxes": self.boxes(y), "classes": self.classes(y.mean((2, 3)))}

    network = network_of(record_graph(Two(), (1, 3, 8, 8)))
    assert [group.first.name for group in network.groups] == ["body", "mean", "classes"]
    assert [(side.block.name, side.source) for side in network.sides] == [("boxes", 1)]
    pyramid = network_of(graph_of("xception", features_only=True))
    assert not pyramid.sides, "outputs on the way are on the main line"
    taps = words(graph_of("squeezenet", features_only=True))
    assert {"output 109x109x96", "output 54x54x256", "output 27x27x512"} <= set(taps)
    assert sum(word.startswith("output ") for word in taps) == 3, "the last map is the main line's end"
    assert any(word.endswith(" 735,424 parameters") for word in taps), "all parameters are the main line's"


def test_every_layer_collapses_and_merges_nothing() -> None:
    graph = graph_of("xception")
    units = units_of(graph, every_layer=True)
    assert all(len(unit.nodes) == 1 for unit in units)
    assert len(units) == sum(node.operation not in ("pad", "slice", "dropout") for node in graph.nodes)
    groups = network_of(graph, collapse=False).groups
    assert all(len(group.blocks) == 1 for group in groups)
    drawn = [shape for shape in page_of(graph, "net", every_layer=True).shapes if isinstance(shape, Rect)]
    names = {name for shape in drawn for name in shape.names}
    assert {node.name for node in graph.nodes[1:] if node.operation not in ("pad", "slice")} <= names


@pytest.mark.parametrize("name", list_models())
def test_nothing_is_lost(name: str) -> None:
    """Every unit of the main line and of the side branches is in exactly one block, and so is every parameter."""
    graph = graph_of(name)
    network = network_of(graph)
    units = [unit for group in network.groups for block in group.blocks for unit in block.units]
    units += [unit for side in network.sides for unit in side.block.units]
    inside = [node.index for unit in units for node in unit.nodes]
    assert sorted(inside) == sorted(node.index for unit in units_of(graph)[1:] for node in unit.nodes)
    counted = sum(group.parameters for group in network.groups) + sum(side.block.parameters for side in network.sides)
    assert counted == sum(node.parameters for node in graph.nodes)


@pytest.mark.parametrize(
    ("name", "options", "joins", "blocks"),
    [
        (
            "unet_xception",
            {"skips": True},
            ["Concat with down2 (20x20x128)", "Concat with down1 (40x40x64)", "Concat with entry (80x80x32)"],
            ["down1", "down2", "down3", "up1", "up2", "up3", "up4"],
        ),
        ("unet", {"encoder": "mobilenet_v1"}, ["Concat with encoder.block11 (10x10x512)"], ["up1", "up4", "up5"]),
        ("unet_xception", {}, [], ["down1", "up4"]),
    ],
)
def test_maps_that_skip_the_way_down_and_up_are_named_where_they_arrive(
    name: str, options: dict[str, Any], joins: list[str], blocks: list[str]
) -> None:
    """As lines they would hold the whole network together as one block without a name."""
    with torch.device("meta"):
        graph = record_graph(build_model(name, 3, **options), (1, 3, 160, 160))
    drawn = draw_graph(graph, name)
    said = re.findall(r">(Concat with [^<]*)<", drawn)
    assert [text for text in said if text in joins] == joins
    assert len(said) == sum(node.operation == "cat" for node in graph.nodes)
    for block in blocks:
        assert f">{block}</text>" in drawn
    assert "Filter concat" not in drawn
    assert "Filter concat" in draw_graph(graph, name, every_layer=True) or not joins, "there the lines are"


def test_only_maps_that_pass_by_an_upsampling_are_named() -> None:
    with torch.device("meta"):
        drawn = draw_graph(record_graph(build_model("inception_v3"), (1, 3, 299, 299)), "x")
    assert "Filter concat" in drawn
    assert "Concat with" not in drawn
