"""Other libraries' networks, whose tensors of four dimensions are maps, attention, or maps with the channels last."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from separable.analysis.explain import (
    default_layer,
    feature_layers,
    feature_maps,
    found_layer,
    grad_cam,
    integrated_gradients,
    is_passed_round,
)
from separable.analysis.explain.recording import misfit
from separable.errors import UsageError
from separable.models import build_model
from tests.analysis.explained import pictures
from tests.peers import timm, torchvision

NETWORKS: dict[str, tuple[str, tuple[int, int], Any]] = {
    "swin_tiny of timm": ("norm (16 maps of 2x2)", (64, 64), lambda: _swin()),
    "resnet18 of timm": ("layer4 (512 maps of 2x3)", (64, 96), lambda: timm.create_model("resnet18")),
    "swin_t": ("permute (768 maps of 2x2)", (64, 64), lambda: torchvision.models.swin_t()),
    "convnext_tiny": ("features (768 maps of 2x2)", (64, 64), lambda: torchvision.models.convnext_tiny()),
    "resnet18": ("layer4 (512 maps of 3x2)", (96, 64), lambda: torchvision.models.resnet18()),
    "densenet121": ("features (1024 maps of 2x2)", (64, 64), lambda: torchvision.models.densenet121()),
}
SEQUENCES: dict[str, tuple[str, Any]] = {
    "vit": ("patch_embed.proj", lambda: _vit()),
    "mixer": ("stem.proj", lambda: timm.create_model("mixer_s32_224", img_size=64)),
}


def _swin() -> nn.Module:
    sizes = {"depths": (1, 1), "num_heads": (2, 2), "embed_dim": 8, "patch_size": 16}
    return timm.create_model("swin_tiny_patch4_window7_224", img_size=64, **sizes)


def _vit() -> nn.Module:
    sizes = {"img_size": 64, "depth": 2, "embed_dim": 24, "num_heads": 3, "qk_norm": True}
    return timm.create_model("vit_tiny_patch16_224", **sizes)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_last_map_of_other_libraries_networks(name: str) -> None:
    expected, sides, build = NETWORKS[name]
    torch.manual_seed(0)
    model = build().eval()
    x = torch.rand(1, 3, *sides)
    layer = default_layer(model, feature_layers(model, x))
    assert str(layer) == expected
    assert not layer.early
    assert not is_passed_round(model, x, layer)
    assert feature_maps(model, x, layer).shape == (1, layer.channels, layer.height, layer.width)
    assert grad_cam(model, x, 1).shape == (1, layer.height, layer.width)


def test_maps_with_the_channels_last_are_turned() -> None:
    torch.manual_seed(0)
    model, x = _swin().eval(), torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        maps = model.forward_features(x)  # type: ignore[operator]
        assert maps.shape == (1, 2, 2, 16)
        assert torch.equal(feature_maps(model, x), maps.permute(0, 3, 1, 2))
    # After the last map come a mean over positions and one linear layer: a class activation map, over 4 positions.
    weight = model.head.fc.weight[7]  # type: ignore[union-attr]
    torch.testing.assert_close(grad_cam(model, x, 7), torch.relu(maps @ weight / 4).detach())


@pytest.mark.parametrize("name", SEQUENCES)
def test_what_works_on_sequences_has_no_last_map(name: str) -> None:
    stem, build = SEQUENCES[name]
    model, x = build().eval(), torch.rand(1, 3, 64, 64)
    layers = feature_layers(model, x)
    with pytest.raises(UsageError) as caught:
        default_layer(model, layers)
    assert str(caught.value) == (
        f"This network works on sequences after {stem}, one of its first layers: it has no last feature map. "
        "Expected: a network whose last layers put out maps (N, C, H, W)."
    )
    assert found_layer(model, layers, stem).early


def test_attention_is_no_map() -> None:
    model, x = _vit().eval(), torch.rand(1, 3, 64, 64)
    with pytest.raises(UsageError) as caught:
        grad_cam(model, x, 0, "blocks.1.attn.k_norm")
    assert str(caught.value) == (
        "What the layer blocks.1.attn.k_norm puts out are no feature maps of the picture. Got: a tensor 1x3x17x8: 17x8 "
        "is finer than the network's first map, 4x4. Expected: a tensor (N, C, H, W) or (N, H, W, C) whose sides are "
        "the picture's made smaller. Take one near it: patch_embed.proj."
    )


@pytest.mark.parametrize(
    ("sides", "picture", "first", "reason"),
    [
        ((7, 7), (224, 224), None, None),
        ((147, 147), (299, 299), None, None),
        ((7, 14), (224, 448), (56, 112), None),
        ((9, 17), (24, 40), None, None),
        ((1, 1), (224, 448), (56, 112), None),
        ((8, 17), (299, 600), (149, 299), None),
        ((197, 64), (224, 224), None, "197x64 has not the shape of the picture, 224x224"),
        ((7, 768), (224, 224), None, "7x768 is more than the picture's 224x224"),
        ((49, 49), (224, 224), (7, 7), "49x49 is finer than the network's first map, 7x7"),
        ((14, 7), (224, 448), (56, 112), "14x7 has not the shape of the picture, 224x448"),
        ((3, 1), (224, 224), (56, 56), "3x1 has not the shape of the picture, 224x224"),
    ],
)
def test_what_may_be_a_map(
    sides: tuple[int, int], picture: tuple[int, int], first: tuple[int, int] | None, reason: str | None
) -> None:
    assert misfit(sides, picture, first) == reason


class _Windows(nn.Module):
    """Cuts a map into windows that go through `inner` as if they were pictures."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.inner, self.fc = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 1), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        windows = self.conv(x).unflatten(2, (2, -1)).permute(0, 2, 1, 3, 4).flatten(0, 1)
        return self.fc(self.inner(windows).mean((0, 2, 3)))[None]


def test_a_window_of_a_map_is_no_map() -> None:
    layers = feature_layers(_Windows().double(), pictures(1, 16))
    assert [layer.name for layer in layers] == ["conv"]
    assert layers.refused["inner"].startswith("a tensor 2x4x8x16: ")


def test_a_network_without_classes_is_refused() -> None:
    model, x = build_model("mobilenet_v1", 0, width=0.125), pictures(1, 32).float()
    for explain in (grad_cam, integrated_gradients):
        with pytest.raises(UsageError) as caught:
            explain(model, x)
        assert str(caught.value) == (
            "This network has no classifier: it puts out features, and they are no answers. Got: num_classes=0. "
            "Expected: a network with classes. Build it with as many classes as it was trained for, or load a model "
            "that has them."
        )
