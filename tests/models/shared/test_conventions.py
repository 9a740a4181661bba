"""The conventions that timm's users know, on every network."""

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from separable.errors import ModelOptionError, UsageError
from separable.models import build_model
from tests.models.small import each_case, each_network, logits, make, pictures
from tests.peers import timm

SAME_MAPS = {  # ours: timm's network with its pyramid in the same places
    "inception_resnet_v2": "inception_resnet_v2",
    "inception_v3": "inception_v3",
    "mobilenet_v1": "mobilenetv1_100",
    "resnet50": "resnet50",
    "vgg16": "vgg16",
    "xception": "legacy_xception",
}


@each_case
def test_pyramid(case: str) -> None:
    model = make(case, features_only=True).eval()
    x = torch.randn(1, 3, 96, 128)
    with torch.no_grad():
        maps = model(x)
        larger = model(torch.randn(1, 3, 96 + 64, 128 + 32))
    assert [m.shape[1] for m in maps] == [tap.channels for tap in model.taps]
    for tap, m, more in zip(model.taps, maps, larger, strict=True):  # whatever the borders, so many pixels make one
        assert (more.shape[2] - m.shape[2], more.shape[3] - m.shape[3]) == (64 / tap.stride, 32 / tap.stride)
    strides = [tap.stride for tap in model.taps]
    steps = [after / before for before, after in itertools.pairwise(strides)]
    assert set(steps) <= ({1, 2} if "dilated" in case else {2})
    whole = make(case)
    wanted = {k: v for k, v in whole.state_dict().items() if not k.startswith(("head", "aux_head"))}
    model.load_state_dict(wanted, strict=True)
    with torch.no_grad():
        assert torch.equal(model(x)[-1], whole.eval().forward_features(x))


@each_network
def test_a_pyramid_has_no_classifier(case: str) -> None:
    model = make(case, features_only=True)
    assert isinstance(model.get_classifier(), nn.Identity)
    with pytest.raises(ModelOptionError, match="has no classifier"):
        model.reset_classifier(3)
    with pytest.raises(ModelOptionError, match="has no head"):
        model.forward_head(torch.randn(1, model.num_features, 1, 1))


@each_case
def test_the_head_in_parts(case: str) -> None:
    model = make(case)
    x = pictures(model)
    whole = logits(model, x)
    with torch.no_grad():
        features = model.forward_features(x)
        assert features.shape[1] == model.num_features
        assert torch.equal(model.forward_head(features), whole)
        pooled = model.forward_head(features, pre_logits=True)
    assert pooled.dim() == 2
    classifier = model.get_classifier()
    assert isinstance(classifier, nn.Linear | nn.Conv2d)
    assert classifier.weight.shape[:2] == (5, pooled.shape[1])


@each_case
def test_reset_classifier(case: str) -> None:
    model = make(case)
    before, x = model.get_classifier(), pictures(model)
    model.reset_classifier(7)
    assert model.num_classes == 7
    assert model.get_classifier() is not before
    assert logits(model, x).shape == (2, 7)
    out = model.train()(x)
    assert all(o.shape == (2, 7) for o in (out if isinstance(out, tuple) else (out,)))
    model.reset_classifier(0)
    with torch.no_grad():
        features = model.eval().forward_features(x)
        left = model.forward_head(features)
        torch.testing.assert_close(left, model.forward_head(features, pre_logits=True))
        model.reset_classifier(2)
        assert model.forward_head(features).shape == (2, 2)
    assert logits(make(case, num_classes=0), x).shape == left.shape, "built without classes, likewise"


@pytest.mark.parametrize("case", ["inception_v3-gamma", "squeezenet"])
@pytest.mark.parametrize("count", [-1, "4", 2.5, True, None, np.float64(3)])
def test_a_refused_number_of_classes_changes_nothing(case: str, count: Any) -> None:
    model = make(case).eval()
    x = pictures(model)
    before, head, contract = logits(model, x), model.get_classifier(), model.input_contract
    with pytest.raises(ModelOptionError, match=r"option num_classes. Got: .*. Expected: an integer of at least 0"):
        model.reset_classifier(count)
    assert (model.num_classes, model.get_classifier(), model.input_contract) == (5, head, contract)
    assert [one.num_classes for one in model.modules() if hasattr(one, "make_classifier")] == [5] * (
        1 + len(model.aux_heads)
    )
    assert torch.equal(logits(model, x), before)


def test_reset_classifier_takes_timms_average_and_no_other_pooling() -> None:
    model = make("xception")
    model.reset_classifier(7, global_pool="avg")
    assert model.num_classes == 7
    with pytest.raises(ModelOptionError, match=r"option global_pool. Got: 'max'. Expected: None or 'avg'\."):
        model.reset_classifier(3, "max")
    assert model.num_classes == 7


@pytest.mark.parametrize(("ours", "theirs"), SAME_MAPS.items())
def test_feature_info_says_what_timms_says(ours: str, theirs: str) -> None:
    with torch.device("meta"):
        model, peer = build_model(ours, features_only=True), timm.create_model(theirs, features_only=True)
        whole = timm.create_model(theirs)
    info, expected = model.feature_info, peer.feature_info
    assert info.channels() == expected.channels()
    assert info.reduction() == expected.reduction()
    for idx in (0, -1, [0, 2]):
        assert info.channels(idx) == expected.channels(idx)
        assert info.reduction(idx) == expected.reduction(idx)
    assert len(info.module_name()) == len(expected.module_name()) == len(info) == len(expected)
    assert info.out_indices == tuple(expected.out_indices)
    keys = ["num_chs", "reduction"]
    assert info.get_dicts(keys) == expected.get_dicts(keys)
    assert [{key: one[key] for key in keys} for one in info] == [
        {key: one[key] for key in keys} for one in whole.feature_info
    ]
    assert (model.num_features, model.head_hidden_size) == (whole.num_features, whole.head_hidden_size)


@each_case
def test_feature_info_names_the_blocks_of_the_maps(case: str) -> None:
    model = make(case, features_only=True)
    seen: dict[str, int] = {}
    for name in model.feature_info.module_name():
        model.get_submodule(name).register_forward_hook(lambda _m, _i, out, n=name: seen.update({n: out.shape[1]}))
    with torch.no_grad():
        model.eval()(torch.randn(1, 3, 96, 96))
    assert list(seen.values()) == model.feature_info.channels()
    with torch.no_grad():
        whole = make(case).eval()
        left = whole.forward_head(whole.forward_features(torch.randn(1, 3, 96, 96)), pre_logits=True)
    assert whole.head_hidden_size == left.shape[1]


def test_a_picture_without_a_batch_is_told_so() -> None:
    with pytest.raises(UsageError, match=r"in batches\. Got: a tensor of shape \(3, 96, 96\)\..*unsqueeze"):
        make("xception")(torch.randn(3, 96, 96))
