"""The laws of networks that segment: sizes, layouts, precision, state, training, export, and every encoder."""

import copy
import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from separable.blocks import KeyedDropout, PixelHead, Upsample, XceptionTail, set_dropout_keys
from separable.errors import InputSizeError, ModelOptionError, UsageError
from separable.models import (
    SegmentationModel,
    build_model,
    demand_classifier,
    export_graph,
    list_models,
    model_spec,
    pixel_logits,
)
from separable.weights import create_model, load_model, save_model
from tests.models.segmenting import SEGMENTING, each_case, each_network, make, make_alive
from tests.models.small import SMALL, assert_same

SIDES = (98, 75)
NAMED = ("xception41", "xception65", "xception71")
"""Encoders over which DeepLab has a name of its own."""


def noise(count: int = 2, height: int = SIDES[0], width: int = SIDES[1]) -> Tensor:
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(5))


def logits(model: SegmentationModel, x: Tensor) -> Tensor:
    with torch.no_grad():
        return pixel_logits(model.eval(), x)


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


def build_on_meta(name: str) -> nn.Module:
    with torch.device("meta"):
        return build_model(name)


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


@each_case
def test_saved_loaded_copied_and_built_again(case: str, tmp_path: Path) -> None:
    model, x = make(case), noise(1)
    expected = logits(model, x)
    options = json.loads(json.dumps(model.options))
    twin = build_model(model.name, model.num_classes, **options)
    assert isinstance(twin, SegmentationModel)
    assert (twin.options, twin.input_contract) == (model.options, model.input_contract)
    twin.load_state_dict(model.state_dict())
    assert torch.equal(logits(twin, x), expected)
    assert torch.equal(logits(pickle.loads(pickle.dumps(model)), x), expected)
    assert torch.equal(logits(copy.deepcopy(model), x), expected)
    save_model(model, tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    assert isinstance(loaded, SegmentationModel)
    assert torch.equal(logits(loaded, x), expected)


def undropped(model: SegmentationModel) -> SegmentationModel:
    for layer in model.modules():
        if isinstance(layer, KeyedDropout):
            layer.p = 0.0
    return model


@pytest.mark.parametrize("case", [*SEGMENTING, "unet_xception-skips", "unet-mobilenet"])
def test_training_reaches_everything_and_checkpointing_changes_nothing(case: str) -> None:
    results = []
    for enable in (False, True):
        model = undropped(make(case)).train()
        model.set_grad_checkpointing(enable)
        runs: list[int] = []
        for part in ("encoder.block1", model.chain[-1]):
            if part in dict(model.named_modules()):
                model.get_submodule(part).register_forward_pre_hook(lambda *_, runs=runs: runs.append(1))
        out = model(noise(2))
        (out * torch.linspace(-1, 1, 4)[:, None, None]).sum().backward()
        assert len(runs) % (1 + enable) == 0
        lost = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
        assert not lost
        results.append(({n: p.grad for n, p in model.named_parameters()}, dict(model.named_buffers())))
    for plain, recomputed in zip(*results, strict=True):
        for name, value in plain.items():
            torch.testing.assert_close(recomputed[name], value, rtol=1e-3, atol=1e-5, msg=name)


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


@pytest.mark.compiles
@pytest.mark.parametrize("case", ["unet_xception-skips", "unet", "deeplab_xception65"])
def test_one_exported_graph_serves_every_size(case: str) -> None:
    model = make_alive(case, noise(2))
    graph = export_graph(model, (96, 128)).module()
    for count, height, width in ((1, 128, 96), (3, 97, 131)):
        x = noise(count, height, width)
        with torch.no_grad():
            assert_same(graph(x), model(x))


@pytest.mark.compiles
def test_a_compiled_network_answers_alike() -> None:
    model = make_alive("unet_xception-skips", noise(2))
    compiled = torch.compile(model, backend="aot_eager", dynamic=True)
    for size in (SIDES, (96, 128)):
        with torch.no_grad():
            assert_same(compiled(noise(1, *size)), model(noise(1, *size)))


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


def test_an_inner_map_is_the_one_before_the_strided_convolution() -> None:
    """The place that DeepLab's decoder takes, which no pyramid of blocks' ends has."""
    torch.manual_seed(0)
    model = build_model("xception41", width=0.1, middle_blocks=1, features_only=True).eval()
    ends = model.feature_info.channels()
    seen: list[Tensor] = []
    handle = model.get_submodule("entry2.sepconv2").register_forward_hook(lambda _m, _i, out: seen.append(out))
    x = noise(1)
    with torch.no_grad():
        last = model(x)[-1]
        model.tap_at("entry1", "entry2.sepconv2", "exit2")
        finest, inner, deepest = model(x)
    handle.remove()
    assert torch.equal(inner, seen[-1])
    assert torch.equal(deepest, last)
    assert inner.shape[2:] == finest.shape[2:]
    assert model.feature_info.reduction() == [4, 4, 32]
    assert model.feature_info.channels() == [finest.shape[1], inner.shape[1], ends[-1]]
    with pytest.raises(ModelOptionError, match=r"no feature map there\. Got: entry9\. Expected: some of .*sepconv2"):
        model.tap_at("entry9")


def test_learned_upsampling_starts_as_nearest_neighbours() -> None:
    x = torch.randn(2, 5, 3, 4)
    plain, learned = Upsample("nearest", 5), Upsample("learned", 5)
    assert torch.equal(plain(x), learned(x))
    assert plain(x, (7, 7)).shape == learned(x, (7, 7)).shape == (2, 5, 7, 7)
    one, other = make("unet_xception", upsampling="learned"), make("unet_xception")
    state = {name: value for name, value in one.state_dict().items() if "upsample" not in name}
    other.load_state_dict(state)
    assert_same(logits(one, noise(1)), logits(other, noise(1)))


def test_the_decoder_is_made_of_chains_that_the_kernels_know() -> None:
    model = make("unet")
    assert all(isinstance(model.get_submodule(f"up{number}.convs"), XceptionTail) for number in range(1, 6))
    assert isinstance(model.head, PixelHead)


def test_weights_of_a_classifier_for_the_encoder(tmp_path: Path) -> None:
    options = {"middle_blocks": 1}
    torch.manual_seed(1)
    classifier = build_model("xception", 3, width=0.1, **options)
    save_model(classifier, tmp_path / "classifier")
    model = create_model(
        "unet", 4, encoder="xception", encoder_weights=tmp_path / "classifier", width=0.1, encoder_options=options
    )
    encoder, trained = model.get_submodule("encoder").state_dict(), classifier.state_dict()
    assert all(torch.equal(value, trained[name]) for name, value in encoder.items())
    assert model.input_contract.size == (256, 256)
    assert model.input_contract.mean == classifier.input_contract.mean
    with pytest.raises(ModelOptionError, match=r"unet_xception has no encoder .*Expected: one of deeplab, deeplab_xc"):
        create_model("unet_xception", encoder_weights=tmp_path / "classifier")
    with pytest.raises(ModelOptionError, match="xception has no encoder"):
        create_model("xception", encoder_weights=tmp_path / "classifier", width=0.1, **options)


def test_other_weights_bring_their_numerics(tmp_path: Path) -> None:
    """An encoder of a port with another epsilon and borders: the whole network follows, but DeepLab's own epsilon."""
    torch.manual_seed(1)
    classifier = build_model("mobilenet_v1", 3, width=0.25)
    classifier.adopt(replace(classifier.input_contract, batch_norm_eps=1e-5, padding="symmetric", mean=(0.4,) * 3))
    save_model(classifier, tmp_path / "classifier")
    model = create_model("deeplab", 4, encoder="mobilenet_v1", encoder_weights=tmp_path / "classifier", width=0.25)
    contract = model.input_contract
    assert (contract.batch_norm_eps, contract.padding, contract.mean) == (1e-5, "symmetric", (0.4,) * 3)
    encoder = model.get_submodule("encoder")
    assert {norm.eps for norm in encoder.modules() if isinstance(norm, nn.BatchNorm2d)} == {1e-5}


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(UsageError) as caught:
        call()
    return str(caught.value)


def test_what_is_for_classifiers_says_so() -> None:
    message = refusal(lambda: demand_classifier(make("unet_xception"), "Training"))
    assert message.startswith(
        "Training is for networks that classify pictures. Got: unet_xception, which answers for every pixel."
    )
    demand_classifier(build_on_meta("xception"), "Training")
    demand_classifier(nn.Identity(), "Predicting")
