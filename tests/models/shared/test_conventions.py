"""The conventions that timm's users know, on every network."""

import itertools

import pytest
import torch
from torch import nn

from separable.errors import ModelOptionError
from tests.models.small import each_case, each_network, logits, make, pictures


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
