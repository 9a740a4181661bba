"""Configuration D of arXiv:1409.1556, its parameters and maps, and its dense evaluation."""

import pytest
import torch
from torch import Tensor, nn

from separable.analysis.profile import profile
from separable.blocks import DenseHead, KeyedDropout
from separable.errors import ModelOptionError
from separable.models import build_model


def test_table_1_column_d() -> None:
    """16 layers with weights, 138 million of them (table 2), nine tenths in the dense layers."""
    with torch.device("meta"):
        model = build_model("vgg16")
    layers = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(layers) == 16
    assert [m.out_channels for m in layers if isinstance(m, nn.Conv2d)] == [
        *((64,) * 2 + (128,) * 2 + (256,) * 3 + (512,) * 6)
    ]
    assert sum(p.numel() for p in model.parameters()) == 138_357_544
    assert model.head is not None
    assert sum(p.numel() for p in model.head.parameters()) == 123_642_856
    found = profile(model, (1, 3, 224, 224))
    assert found.macs == 15_470_264_320
    convolutions = sum(layer.macs for layer in found.layers if layer.name.startswith("block"))
    assert round(convolutions / 1e8) == 153, "the 15300 million of arXiv:1704.04861, table 8, are the convolutions'"


def test_the_maps_are_those_before_each_pool() -> None:
    model = build_model("vgg16", width=0.02, features_only=True)
    with torch.no_grad():
        maps = model(torch.randn(1, 3, 97, 64))
    sides = [(97, 64), (48, 32), (24, 16), (12, 8), (6, 4), (3, 2)]
    assert [tuple(m.shape[-2:]) for m in maps] == sides, "the last odd row of pixels is dropped, as everywhere"
    assert [tap.stride for tap in model.taps] == [1, 2, 4, 8, 16, 32]


def test_dense_evaluation_is_the_mean_over_all_windows() -> None:
    """Section 3.2: the first dense layer becomes a 7x7 convolution, the class scores are averaged over the map."""
    torch.manual_seed(0)
    head = DenseHead(3, 5, grid=7, fc_layers=(8, 6), sliding=True).eval()
    x = torch.rand(2, 3, 9, 8)
    with torch.no_grad():
        windows = [
            head.classifier(torch.relu(head.fc2(torch.relu(head.fc1(x[:, :, i : i + 7, j : j + 7].flatten(1))))))
            for i in range(3)
            for j in range(2)
        ]
        torch.testing.assert_close(head(x), torch.stack(windows).mean(0))
        assert head(x[:, :, :4, :2]).shape == (2, 5), "smaller maps are spread to 7x7"


def test_without_it_the_map_is_averaged_to_its_size() -> None:
    model = build_model("vgg16", 4, width=0.02).eval()
    features = torch.rand(2, model.num_features, 14, 21)
    pooled = features.unflatten(3, (7, 3)).mean(4).unflatten(2, (7, 2)).mean(3)
    with torch.no_grad():
        torch.testing.assert_close(model.forward_head(features), model.forward_head(pooled))
        dense = build_model("vgg16", 4, width=0.02, dense_evaluation=True).eval()
        dense.load_state_dict(model.state_dict())
        torch.testing.assert_close(dense.forward_head(pooled), model.forward_head(pooled))
        assert (dense.forward_head(features) - model.forward_head(features)).abs().max() > 1e-5


@pytest.mark.parametrize(("name", "widths"), [("vgg16", [512, 512]), ("alexnet", [1152, 512])])
def test_where_dropout_stands(name: str, widths: list[int]) -> None:
    """After each dense layer in VGG (section 3.1), before each in AlexNet."""
    model = build_model(name, 4, width=0.125, dropout=0.5).train()
    seen: list[Tensor] = []
    for layer in model.modules():
        if isinstance(layer, KeyedDropout):
            layer.register_forward_pre_hook(lambda _layer, inputs: seen.append(inputs[0]))
    model(torch.randn(2, 3, 64, 64))
    assert [x.shape[1] for x in seen] == widths
    assert all(bool((x >= 0).all()) for x in seen), "each is applied after the ReLU"


def test_bad_values_are_named() -> None:
    with pytest.raises(ModelOptionError, match=r"dense_evaluation\. Got: 'yes'\. Expected: True or False"):
        build_model("vgg16", width=0.02, dense_evaluation="yes")
