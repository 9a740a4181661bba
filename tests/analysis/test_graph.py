"""Recorded graphs: exact on a small network, complete on the catalogue's, and nothing left behind in the model."""

import re
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from separable.analysis import profile
from separable.analysis.graph import Graph, Node, record_graph
from separable.blocks import SeparableConv2d
from separable.errors import InputSizeError, UsageError
from separable.models import build_model


class _Small(nn.Module):
    """Every kind of thing that a graph must get right, each once."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU())
        self.left = nn.Conv2d(4, 4, (1, 3), padding=(0, 1), groups=4)
        self.shared = nn.Conv2d(4, 4, 1)
        self.gain = nn.Parameter(torch.ones(1))
        self.never = nn.Conv2d(4, 4, 1)
        self.drop = nn.Dropout(0.5)
        self.classifier = nn.Linear(12, 2)

    def forward(self, x: Tensor) -> Tensor:
        y = self.stem(x)
        pooled = F.max_pool2d(F.pad(y, (0, 1, 0, 1)), 3, 2)
        sampled = self.shared(y[:, :, ::2, ::2])
        summed = self.left(pooled) + sampled
        twice = self.shared(summed) * self.gain
        joined = torch.cat((pooled, twice, summed), dim=1)
        dead = joined.sum()
        assert dead.shape == ()
        return self.classifier(self.drop(joined.mean((2, 3)).flatten(1)))


def brief(graph: Graph) -> list[tuple[str, str, tuple[int, ...], tuple[int, ...], int]]:
    return [(node.name, node.operation, node.inputs, node.output_shape[1:], node.parameters) for node in graph.nodes]


def named(graph: Graph, name: str) -> Node:
    return next(node for node in graph.nodes if node.name == name)


def test_nodes_and_edges_of_a_small_network() -> None:
    graph = record_graph(_Small(), (2, 3, 8, 8))
    assert brief(graph) == [
        ("input", "input", (), (3, 8, 8), 0),
        ("stem.0", "conv", (0,), (4, 4, 4), 108),
        ("stem.1", "norm", (1,), (4, 4, 4), 8),
        ("stem.2", "activation", (2,), (4, 4, 4), 0),
        ("pad", "pad", (3,), (4, 5, 5), 0),
        ("max_pool2d", "max_pool", (4,), (4, 2, 2), 0),
        ("getitem", "slice", (3,), (4, 2, 2), 0),
        ("shared", "conv", (6,), (4, 2, 2), 20),
        ("left", "conv", (5,), (4, 2, 2), 16),
        ("add", "add", (8, 7), (4, 2, 2), 0),
        ("shared#2", "conv", (9,), (4, 2, 2), 0),
        ("mul", "scale", (10,), (4, 2, 2), 1),
        ("cat", "cat", (5, 11, 9), (12, 2, 2), 0),
        ("mean", "mean", (12,), (12,), 0),
        ("drop", "dropout", (13,), (12,), 0),
        ("classifier", "linear", (14,), (2,), 26),
    ]
    assert graph.outputs == (15,)
    assert graph.input_shape == (2, 3, 8, 8)
    assert graph.nodes[1].scope == ("stem",)
    assert graph.kinds["stem"] == "Sequential"
    assert graph.consumers()[5] == (8, 12)
    assert graph.ancestors(8) == {0, 1, 2, 3, 4, 5, 8}


def test_settings() -> None:
    graph = record_graph(_Small(), (2, 3, 8, 8))
    assert named(graph, "left").settings == {
        "channels": 4,
        "kernel": (1, 3),
        "stride": (1, 1),
        "dilation": (1, 1),
        "groups": 4,
        "in_channels": 4,
    }
    assert named(graph, "stem.0").settings["stride"] == (2, 2)
    assert named(graph, "max_pool2d").settings == {"kernel": (3, 3), "stride": (2, 2)}
    assert named(graph, "getitem").settings == {"step": (2, 2)}
    assert named(graph, "mean").settings == {"global": True}
    assert named(graph, "stem.0").elements == 4 * 4 * 4


def test_settings_of_other_convolutions() -> None:
    layers = (
        nn.ConvTranspose2d(4, 4, 3, stride=2, output_padding=1, dilation=2, groups=2),
        nn.Conv2d(4, 6, (3, 1), dilation=(2, 1), groups=2),
    )
    transposed, plain = record_graph(nn.Sequential(*layers), (1, 4, 8, 8)).nodes[1:]
    assert transposed.settings == {
        "channels": 4,
        "kernel": (3, 3),
        "stride": (2, 2),
        "dilation": (2, 2),
        "groups": 2,
        "in_channels": 4,
    }
    assert plain.settings == {
        "channels": 6,
        "kernel": (3, 1),
        "stride": (1, 1),
        "dilation": (2, 1),
        "groups": 2,
        "in_channels": 4,
    }


def test_a_layer_used_by_a_fused_operation_gives_its_name() -> None:
    graph = record_graph(nn.Sequential(SeparableConv2d(4, 6, stride=2, batch_norm=True)), (1, 4, 5, 5))
    names = [(node.name, node.operation, node.scope, node.parameters) for node in graph.nodes[1:]]
    assert [row for row in names if row[1] != "pad"] == [
        ("0.depthwise", "conv", ("0",), 36),
        ("0.pointwise", "conv", ("0",), 24),
        ("0.bn", "norm", ("0",), 12),
    ]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("xception", {"width": 0.1, "middle_blocks": 1}),
        ("inception_v3", {"width": 0.1, "aux_head": True}),
        ("mobilenet_v1", {"width": 0.25}),
    ],
)
def test_agrees_with_the_profile(name: str, options: dict[str, Any]) -> None:
    model = build_model(name, **options)
    graph, layers = record_graph(model, (1, 3, 107, 107)), profile(model, (1, 3, 107, 107)).layers
    assert sum(node.parameters for node in graph.nodes) == sum(value.numel() for value in model.parameters())
    main = graph.ancestors(graph.outputs[0])
    ran = {node.name: node.output_shape for node in graph.nodes if node.index in main}
    for layer in layers:
        if layer.name in ran:
            assert layer.output_shape == ran[layer.name], layer.name
    leaves = {
        row.name for row in layers if row.kind in ("Conv2d", "BatchNorm2d", "ReLU", "Linear") and row.output_shape
    }
    assert leaves <= set(ran)


def test_auxiliary_heads_start_at_their_block() -> None:
    graph = record_graph(build_model("inception_v3", width=0.1, aux_head=True), (1, 3, 299, 299))
    assert len(graph.outputs) == 2
    aside = graph.ancestors(graph.outputs[1]) - graph.ancestors(graph.outputs[0])
    assert {graph.nodes[index].scope[0] for index in aside} == {"aux_head"}
    (start,) = {source for index in aside for source in graph.nodes[index].inputs} - aside
    assert graph.nodes[start].name == "mixed7.cat"
    assert graph.nodes[graph.outputs[1]].output_shape == (1, 1000)


def test_the_last_of_a_list_of_taps_is_the_main_output() -> None:
    graph = record_graph(build_model("squeezenet", features_only=True), (1, 3, 64, 64))
    assert not {node.index for node in graph.nodes} - graph.ancestors(graph.outputs[0]), "no tap is a side branch"
    assert len(graph.outputs) == 4
    assert graph.outputs[0] == max(graph.outputs)


class _Looks(nn.Module):
    """Cannot run on the meta device: it branches on a value."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.layer(x)
        return y if float(y.sum()) > 1e30 else y.tanh()


class _Standardised(nn.Conv2d):
    """Its weight is computed from parameters, which is no data flow."""

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, (self.weight - self.weight.mean()) / self.weight.std(), self.bias)


def test_other_peoples_modules() -> None:
    assert [row[:2] for row in brief(record_graph(_Looks(), (1, 3, 4, 4)))[1:]] == [
        ("layer", "conv"),
        ("tanh", "activation"),
    ]
    (_, convolution) = record_graph(nn.Sequential(_Standardised(3, 4, 1)), (1, 3, 4, 4)).nodes
    assert (convolution.operation, convolution.kind, convolution.parameters) == ("conv", "_Standardised", 16)
    encoder = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    graph = record_graph(encoder, (2, 5, 8))
    assert sum(node.parameters for node in graph.nodes) == sum(value.numel() for value in encoder.parameters())
    embedded = record_graph(nn.Sequential(nn.Embedding(10, 8), nn.Linear(8, 2)), torch.zeros(2, 5, dtype=torch.int64))
    assert embedded.nodes[-1].output_shape == (2, 5, 2)


class _Remembers(nn.Module):
    """Keeps something of every call, as position caches do."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.cache = nn.Conv2d(3, 4, 1), dict[str, Tensor]()

    def forward(self, x: Tensor) -> Tensor:
        self.cache["last"] = self.layer(x) + torch.rand(1)
        return self.cache["last"]


@pytest.fixture(params=[_Remembers, _Looks])
def touchy(request: pytest.FixtureRequest) -> nn.Module:
    model = request.param().train()
    model.layer.eval()
    model.layer.register_forward_hook(lambda *_: None)
    return model


def test_leaves_the_model_and_the_generators_as_they_were(touchy: nn.Module) -> None:
    before = {name: value.clone() for name, value in touchy.state_dict().items()}
    hooks = {name: (len(m._forward_hooks), len(m._forward_pre_hooks)) for name, m in touchy.named_modules()}
    state = torch.get_rng_state()
    record_graph(touchy, (1, 3, 4, 4))
    assert touchy.training
    assert not touchy.get_submodule("layer").training
    assert all(torch.equal(value, before[name]) for name, value in touchy.state_dict().items())
    assert hooks == {name: (len(m._forward_hooks), len(m._forward_pre_hooks)) for name, m in touchy.named_modules()}
    assert torch.equal(torch.get_rng_state(), state)
    assert not getattr(touchy, "cache", {})
    assert all(value.requires_grad for value in touchy.parameters())


def test_batch_statistics_stay_as_they_were() -> None:
    model = nn.Sequential(nn.BatchNorm2d(3)).train()
    record_graph(model, (4, 3, 8, 8))
    assert int(model[0].num_batches_tracked) == 0


def test_complaints() -> None:
    with pytest.raises(InputSizeError, match="the smallest side that works is 71"):
        record_graph(build_model("xception", width=0.1, middle_blocks=0), (1, 3, 64, 64))
    message = re.escape("The network cannot be run on an input of 1x4x8x8. Got: RuntimeError: Given groups=1")
    with pytest.raises(UsageError, match=message):
        record_graph(nn.Conv2d(3, 4, 3), (1, 4, 8, 8))
    with pytest.raises(UsageError, match=r"has lazy layers without weights\. Run it once on a picture beforehand"):
        record_graph(nn.LazyConv2d(4, 3), (1, 3, 8, 8))

    scripted = nn.Sequential(nn.Conv2d(3, 4, 1), torch.jit.trace(nn.ReLU(), torch.zeros(1, 4, 2, 2)))
    with pytest.raises(UsageError, match="TorchScript has compiled cannot be looked into"):
        record_graph(scripted, (1, 3, 8, 8))

    class Deaf(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.ones(3)

    with pytest.raises(UsageError, match="output does not depend on its input"):
        record_graph(Deaf(), (1, 3, 8, 8))
