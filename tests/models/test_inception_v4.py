"""Inception-v4: the figures' grids, the counts of timm, the options."""

import pytest
import torch
from torch import nn

from separable.blocks import InceptionAux
from separable.errors import ModelOptionError
from separable.models import build_model
from separable.models.inception_v4 import InceptionV4
from tests.peers import timm


def meta(**options: object) -> InceptionV4:
    with torch.device("meta"):
        model = build_model("inception_v4", **options).eval()
    assert isinstance(model, InceptionV4)
    return model


def parameters(module: nn.Module) -> int:
    return sum(value.numel() for value in module.parameters())


def grids(model: InceptionV4, side: int = 299) -> dict[str, tuple[int, ...]]:
    """Channels, height and width after every block of the chain."""
    found, x = {}, torch.empty(1, 3, side, side, device="meta")
    for name in model.chain:
        x = model.get_submodule(name)(x)
        found[name] = tuple(x.shape[1:])
    return found


def test_the_grids_of_figures_3_and_9() -> None:
    found = grids(meta())
    stem = ("conv1a", "conv2a", "conv2b", "mixed3a", "mixed4a", "mixed5a")
    sides = [(32, 149), (32, 147), (64, 147), (160, 73), (192, 71), (384, 35)]
    assert [found[name] for name in stem] == [(channels, side, side) for channels, side in sides]
    for letter, count, channels, side in (("a", 4, 384, 35), ("b", 7, 1024, 17), ("c", 3, 1536, 8)):
        blocks = [name for name in found if name.startswith(f"inception_{letter}")]
        assert len(blocks) == count
        assert {found[name] for name in blocks} == {(channels, side, side)}
    assert (found["reduction_a"], found["reduction_b"]) == ((1024, 17, 17), (1536, 8, 8))


def test_parameters_are_timms_and_slims() -> None:
    with torch.device("meta"):
        theirs = timm.create_model("inception_v4")
    assert parameters(meta(gamma=True)) == parameters(theirs) == 42_679_816
    channels = sum(norm.num_features for norm in theirs.modules() if isinstance(norm, nn.BatchNorm2d))
    assert parameters(meta()) == 42_679_816 - channels == 42_648_232, "slim has no gamma"


def test_the_auxiliary_head_is_slims() -> None:
    """5x5/3 average of the last 17x17 grid, 1x1 to 128, 5x5 to 768, dense: counted by hand."""
    model = build_model("inception_v4", 5, width=0.1, repeats=(1, 2, 1), aux_head=True).train()
    assert list(model.aux_heads) == ["inception_b2"]
    seen = {}
    model.get_submodule("inception_b2").register_forward_hook(lambda _m, _i, out: seen.update(grid=out))
    model.aux_heads["inception_b2"].register_forward_pre_hook(lambda _m, inputs: seen.update(read=inputs[0]))
    assert [out.shape for out in model(torch.randn(2, 3, 80, 80))] == [(2, 5), (2, 5)]
    assert seen["grid"] is seen["read"]
    head = meta(aux_head=True).aux_heads["inception_b7"]
    assert isinstance(head, InceptionAux)
    assert parameters(head) == 1024 * 128 + 128 + 128 * 768 * 25 + 768 + 768 * 1000 + 1000


def test_weights_start_as_slims() -> None:
    """`variance_scaling_initializer` for convolutions; slim's dense layers keep its default, Xavier's uniform."""
    model = build_model("inception_v4", 1000, width=0.5, repeats=(1, 1, 1))
    kernel = model.get_submodule("inception_c1.branch3x3dbl_3.conv").weight
    assert kernel.std().item() == pytest.approx((2 / kernel[0].numel()) ** 0.5, rel=0.02)
    classifier = model.get_classifier()
    limit = (6 / (768 + 1000)) ** 0.5
    assert classifier.weight.abs().max().item() == pytest.approx(limit, rel=1e-3)
    assert not classifier.bias.any()


def test_repeats_and_width() -> None:
    model = meta(repeats=[1, 2, 1], width=0.1)
    assert model.options["repeats"] == (1, 2, 1)
    assert [name for name in model.chain if name.startswith(("inc", "red"))] == [
        *("inception_a1", "reduction_a", "inception_b1", "inception_b2", "reduction_b", "inception_c1"),
    ]
    assert [tap.block for tap in model.taps] == ["conv2b", "mixed4a", "inception_a1", "inception_b2", "inception_c1"]
    assert grids(model)["inception_a1"][0] == 4 * 16, "at least 16 channels in each branch"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"repeats": (4, 7)}, r"repeats\. Got: \(4, 7\)\. Expected: a list of 3"),
        ({"repeats": "473"}, r"repeats\. Got: '473'\. Expected: a list of 3"),
        ({"repeats": (4, 0, 3)}, r"repeats\. Got: 0\. Expected: an integer of at least 1"),
        ({"repeats": (4, 7.0, 3)}, r"repeats\. Got: 7\.0\. Expected: an integer of at least 1"),
        ({"gamma": 1}, r"gamma\. Got: 1\. Expected: True or False"),
        ({"aux_head": "no"}, r"aux_head\. Got: 'no'\. Expected: True or False"),
    ],
)
def test_illegal_options_are_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(ModelOptionError, match=f"Bad model option {message}"):
        build_model("inception_v4", **options)
