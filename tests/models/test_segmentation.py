"""The laws of networks that segment: sizes, layouts, precision, classes, and every encoder."""

from typing import Any

import pytest
import torch
from torch import nn

from separable.blocks import KeyedDropout, set_dropout_keys
from separable.errors import InputSizeError, ModelOptionError, UsageError
from separable.models import (
    SegmentationModel,
    build_model,
    list_models,
    model_spec,
)
from tests.models.segmenting import (
    SEGMENTING,
    SIDES,
    build_on_meta,
    each_case,
    each_network,
    logits,
    make,
    make_alive,
    noise,
)
from tests.models.small import SMALL, assert_same

NAMED = ("xception41", "xception65", "xception71")
"""Encoders over which DeepLab has a name of its own."""


def test_every_network_that_segments_is_tested() -> None:
    assert set(SEGMENTING) == set(list_models("segment"))
    assert {model_spec(name).task for name in SEGMENTING} == {"segment"}
    with pytest.raises(UsageError, match=r"no such task\. Got: 'paint'\. Expected: classify or segment, or None"):
        list_models("paint")


@pytest.mark.parametrize("encoder", list_models("classify"))
@pytest.mark.parametrize("name", ["unet", "deeplab"])
def test_every_encoder_serves_both_heads(name: str, encoder: str) -> None:
    """Shapes alone, at the published size: odd, even, rectangular and the smallest pictures."""
    with torch.device("meta"):
        model = build_model(name, 5, encoder=encoder).eval()
        smallest = model_spec(encoder).min_size
        for height, width in ((128, 192), (97, 131), (smallest, smallest)):
            assert model(torch.zeros(2, 3, height, width)).shape == (2, 5, height, width)
    assert isinstance(model, SegmentationModel)
    assert model.input_contract.min_size == smallest
    encoder_of = model.get_submodule("encoder")
    assert model.name == (f"deeplab_{encoder}" if name == "deeplab" and encoder in NAMED else name)
    plain = build_on_meta(encoder)
    names = {key for key in plain.state_dict() if not key.startswith(("head.", "aux_head"))}
    assert set(encoder_of.state_dict()) == names, "a classifier's weights are the encoder's"


@pytest.mark.parametrize("encoder", ["alexnet", "inception_v3", "resnet50", "squeezenet", "vgg16"])
def test_encoders_whose_maps_do_not_halve_evenly(encoder: str) -> None:
    options = {key: value for key, value in SMALL[encoder].items() if key != "width"}
    model = make("unet", encoder=encoder, encoder_options=options, width=0.1)
    for size in ((98, 75), (97, 131)):
        assert logits(model, noise(1, *size)).isfinite().all()
        assert logits(model, noise(1, *size)).shape == (1, 4, *size)


@each_case
def test_logits_for_every_pixel(case: str) -> None:
    model = make_alive(case, noise(2))
    for size in (SIDES, (96, 81)):
        found = logits(model, noise(2, *size))
        assert found.shape == (2, 4, *size)
        assert found.isfinite().all()
    with torch.no_grad():
        features = model.forward_features(noise())
        head = model.forward_head(features)
        assert features.shape[1] == model.num_features == model.taps[-1].channels
        assert head.shape == (2, 4, *features.shape[2:])
        assert torch.equal(model.forward_head(features, pre_logits=True), features)
        (pyramid,) = model.forward_pyramid(noise())
        assert torch.equal(pyramid, features)


@pytest.mark.parametrize("case", ["unet", "unet-dense", "unet_xception", "unet_xception-skips"])
def test_a_mark_in_the_picture_shows_at_its_place(case: str) -> None:
    """The logits that change most lie where the picture was changed: nothing is mirrored, shifted or transposed.

    DeepLab's sees the whole picture from everywhere; its geometry is that of its own code, see test_deeplab_decoder.
    """
    x = noise(1, 128, 160)
    model = make_alive(case, noise(2, 128, 160))
    changed = x.clone()
    changed[:, :, 32:64, 96:128] += 3
    difference = (logits(model, changed) - logits(model, x)).abs().sum(1)[0]
    inside, total = difference[16:80, 80:144].mean(), difference.mean()
    assert inside > 1.5 * total


def test_too_small_pictures_are_refused() -> None:
    with pytest.raises(InputSizeError, match=r"^Pictures of 70x71 are too small for unet: the smallest .* is 71\.$"):
        make("unet")(noise(1, 70, 71))


@each_network
def test_channels_last_and_half_precision(case: str) -> None:
    model, x = make_alive(case, noise(2)), noise()
    plain = logits(model, x)
    model = model.to(memory_format=torch.channels_last)
    assert_same(logits(model, x.to(memory_format=torch.channels_last)), plain)
    with torch.autocast("cpu", torch.bfloat16):
        half = logits(model, x)
    assert half.isfinite().all()
    if case.startswith("unet"):  # narrow, random and 40 layers deep, DeepLab multiplies rounding as it does any change
        assert (half.float() - plain).abs().max() < 0.3 * plain.abs().max()


@each_network
def test_another_number_of_classes(case: str) -> None:
    model = make(case)
    model.reset_classifier(7)
    assert logits(model, noise(1)).shape == (1, 7, *SIDES)
    assert isinstance(model.get_classifier(), nn.Conv2d)
    model.reset_classifier(0)
    assert isinstance(model.get_classifier(), nn.Identity)
    assert logits(make(case, num_classes=0), noise(1)).shape[1] == model.num_features


def test_dropout_is_pinned_by_keys() -> None:
    model = make("deeplab").train()
    with torch.no_grad():
        features = model.get_submodule("encoder")(noise(4))[-1]
    aspp = model.get_submodule("aspp").eval()
    dropout = aspp.get_submodule("dropout").train()
    set_dropout_keys(model, torch.arange(4))
    whole = aspp(features)
    assert (whole == 0).float().mean() > 0.05
    set_dropout_keys(model, torch.arange(2, 4))
    torch.testing.assert_close(aspp(features[2:]), whole[2:])
    assert isinstance(dropout, KeyedDropout)


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("unet", {"encoder": "resnet34"}, "encoder. Got: 'resnet34'. Expected: 'alexnet' or"),
    ("unet", {"encoder": "unet"}, "encoder. Got: 'unet'"),
    ("unet", {"encoder_options": {"width": 2}}, "encoder_options. Got: {'width': 2}. Expected: options of xception"),
    ("unet", {"encoder_options": [1]}, r"encoder_options. Got: \[1\]"),
    ("unet", {"decoder_channels": [8, 8]}, r"decoder_channels. Got: \[8, 8\]. Expected: a list of 5"),
    ("unet", {"upsampling": "cubic"}, "upsampling. Got: 'cubic'. Expected: 'nearest' or 'bilinear' or 'learned'"),
    ("unet", {"separable": 1}, "separable. Got: 1. Expected: True or False"),
    ("unet_xception", {"depth": 0}, "depth. Got: 0"),
    ("unet_xception", {"depth": 9}, "depth. Got: 9"),
    ("unet_xception", {"skips": "yes"}, "skips. Got: 'yes'"),
    ("deeplab", {"output_stride": 4}, "output_stride. Got: 4"),
    ("deeplab", {"rates": [0]}, r"rates. Got: \[0\]"),
    ("deeplab", {"encoder": "resnet50", "output_stride": 16}, "output_stride: resnet50 cannot trade strides"),
]


@pytest.mark.parametrize(("name", "options", "message"), REFUSED)
def test_options_that_cannot_be(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelOptionError, match=f"^Bad model option {message}"):
        build_model(name, **options)


def test_an_unknown_option_of_the_encoder_is_named() -> None:
    with pytest.raises(ModelOptionError, match=r"^xception has no option middle_block\."):
        build_model("unet", encoder_options={"middle_block": 1})
