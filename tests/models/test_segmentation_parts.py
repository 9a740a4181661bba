"""What networks that segment are made of: encoders and their weights, taps, upsampling, and who may take them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from separable.blocks import PixelHead, Upsample, XceptionTail
from separable.errors import ModelOptionError, UsageError
from separable.models import (
    build_model,
    demand_classifier,
)
from separable.weights import create_model, save_model
from tests.models.segmenting import build_on_meta, logits, make, noise
from tests.models.small import assert_same


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
