"""Networks that answer for every pixel, explained: against captum on the sum of a region's logits, and by hand."""

import copy

import numpy as np
import pytest
import torch
from captum.attr import IntegratedGradients, LayerGradCam
from torch import Tensor, nn

from separable.analysis.explain import (
    RegionScores,
    default_layer,
    explain_pixels,
    feature_layers,
    finer_layer,
    found_layer,
    grad_cam,
    integrated_gradients,
    is_passed_round,
    telling_layers,
)
from separable.analysis.explain.images import highlighted
from separable.analysis.explain.regions import cut_to_picture
from separable.errors import UsageError
from separable.models import SegmentationModel, build_model, pixel_logits
from tests.analysis.explained import awake, pictures
from tests.tolerances import EXPLANATION_FP64

NETWORKS = {
    "unet_xception": (48, {"width": 0.25, "depth": 2}, "down2"),
    "unet_xception with skips": (48, {"width": 0.25, "depth": 2, "skips": True}, "down2"),
    "unet": (64, {"width": 0.125, "encoder": "mobilenet_v1"}, "encoder.block13"),
    "deeplab": (64, {"width": 0.125, "encoder": "mobilenet_v1"}, "aspp"),
}


def network(name: str, side: int | None = None) -> tuple[SegmentationModel, Tensor]:
    """In float64, with batch-norm statistics of pictures, and a picture of which it takes parts for several classes."""
    usual, options, _ = NETWORKS[name]
    torch.manual_seed(1)
    model = build_model(name.split()[0], 3, **options).double()  # type: ignore[arg-type]
    assert isinstance(model, SegmentationModel)
    awake(model, usual)
    x = pictures(1, side or usual, seed=4)
    with torch.no_grad():  # so that no class takes it all
        logits = pixel_logits(model.eval(), x)
        classifier = model.head.classifier
        assert isinstance(classifier, nn.Conv2d)
        assert classifier.bias is not None
        classifier.bias -= logits.mean((0, 2, 3))
        taken = pixel_logits(model, x).argmax(1)
    assert taken.unique().numel() > 1
    return model, x


class Summed(nn.Module):
    """For captum: (N, classes), what the class numbers' pixels of a mask sum up to."""

    def __init__(self, model: SegmentationModel, mask: Tensor) -> None:
        super().__init__()
        self.model, self.mask = model, mask

    def forward(self, x: Tensor) -> Tensor:
        logits = pixel_logits(self.model, x)
        return torch.stack([logits[:, c, self.mask == c].sum(1) for c in range(logits.shape[1])], 1)


def summed(model: SegmentationModel, x: Tensor) -> Summed:
    model = copy.deepcopy(model).eval()
    with torch.no_grad():
        return Summed(model, pixel_logits(model, x)[0].argmax(0))


def apart(ours: Tensor, theirs: Tensor) -> float:
    assert ours.shape == theirs.shape
    assert float(theirs.abs().max()) > 1e-6
    return float((ours - theirs).abs().max() / theirs.abs().max())


@pytest.mark.parametrize("name", NETWORKS)
def test_grad_cam_is_captums_of_the_region(name: str) -> None:
    model, x = network(name)
    scores, oracle = RegionScores.of(model, x), summed(model, x)
    for layer in (NETWORKS[name][2], model.chain[-1]):
        ours = grad_cam(model, x, 1, layer, scores=scores)
        found = LayerGradCam(oracle, oracle.model.get_submodule(layer)).attribute(x.clone().requires_grad_(), 1)
        assert apart(ours, torch.relu(found)[:, 0].detach()) < EXPLANATION_FP64  # type: ignore[union-attr,index]
    everything = RegionScores(torch.ones_like(scores.regions))
    assert apart(grad_cam(model, x, 1, layer, scores=everything), ours) > 1e-3, "the region matters"


@pytest.mark.parametrize("name", ["unet_xception", "deeplab"])
def test_integrated_gradients_are_captums_of_the_region(name: str) -> None:
    model, x = network(name)
    ours = integrated_gradients(model, x, 1, 0.1, 8, scores=RegionScores.of(model, x))
    theirs, delta = IntegratedGradients(summed(model, x)).attribute(
        x.clone(), torch.full_like(x, 0.1), 1, n_steps=8, method="riemann_middle", return_convergence_delta=True
    )
    assert apart(ours.values, theirs) < EXPLANATION_FP64
    torch.testing.assert_close(ours.gap, delta, rtol=1e-9, atol=1e-8)


def test_a_whole_explanation() -> None:
    model, x = network("unet_xception")
    with torch.no_grad():
        logits = pixel_logits(copy.deepcopy(model).eval(), x)[0]
    mask = logits.argmax(0)
    layers = feature_layers(model, x)
    found = explain_pixels(model, x, default_layer(model, layers), layers[:1], classes=[0, 1, 2], steps=1)
    assert found.mask is not None
    assert torch.equal(found.mask, mask)
    shares = torch.bincount(mask.flatten(), minlength=3).double() / mask.numel()
    torch.testing.assert_close(found.probabilities, shares)
    assert found.top == tuple(int(k) for k in shares.argsort(descending=True) if shares[k] > 0)
    assert found.missing == tuple(int(k) for k in range(3) if not shares[k])
    assert len(found.evidence) == int((shares > 0).sum())
    for one in found.evidence:
        assert one.logit == pytest.approx(float(logits[one.index][mask == one.index].sum()))
        assert one.cam is not None
        assert one.attribution is not None
    assert all(parameter.requires_grad for parameter in model.parameters()), "left as it was"


def test_a_class_that_no_pixel_is_taken_for_is_missing() -> None:
    model, x = network("unet_xception")
    with torch.no_grad():
        model.head.classifier.bias[2] = -1e6  # type: ignore[union-attr,index]
    found = explain_pixels(model, x, None, classes=[2], method="integrated", steps=1)
    assert found.missing == (2,)
    assert 2 not in [one.index for one in found.evidence]
    assert found.maps == ()


@pytest.mark.parametrize("name", NETWORKS)
def test_the_coarsest_map_is_the_default(name: str) -> None:
    model, x = network(name)
    layers = feature_layers(model, x)
    layer = default_layer(model, layers)
    assert layer.name == NETWORKS[name][2]
    whole = RegionScores(torch.ones(3, *x.shape[2:], dtype=x.dtype))
    assert is_passed_round(model, x, layer, scores=whole) == (name != "unet_xception")
    shown = [one.name for one in telling_layers(model, layers, layer)]
    assert layer.name in shown
    assert shown[-1] == model.chain[-1], "the way up too, to maps finer than the first"
    finer = finer_layer(model, layers, layer)
    assert finer is not None
    assert finer.positions > layer.positions
    assert found_layer(model, layers, model.chain[-1]).positions > layer.positions


def test_padding_is_cut_off_the_heat_map() -> None:
    """A picture of 44 is padded to 48: the map of 6x6 positions covers 48 pixels, of which 44 are the picture's."""
    model, x = network("unet_xception", side=44)
    scores = RegionScores.of(model, x)
    assert scores.regions.shape[1:] == (44, 44)
    layer = default_layer(model, feature_layers(model, x))
    found = explain_pixels(model, x, layer, method="gradcam")
    cam = found.evidence[0].cam
    assert cam is not None
    assert cam.shape == (44, 44)
    plain = grad_cam(model, x, found.evidence[0].index, layer, scores=scores)
    assert plain.shape[1:] == (6, 6)
    ramp = torch.arange(6.0).expand(6, 6)
    cut = cut_to_picture(model, ramp, (44, 44))
    assert cut[0, 4:44].tolist() == pytest.approx([(place + 0.5) / 8 - 0.5 for place in range(4, 44)])
    assert cut_to_picture(model, ramp, (48, 48)) is ramp


def test_a_region_is_of_one_picture() -> None:
    model, x = network("unet_xception")
    with pytest.raises(UsageError, match="those of one picture"):
        RegionScores.of(model, torch.cat([x, x]))


def test_what_lies_outside_of_a_region_is_dimmed_grey() -> None:
    seen = torch.zeros(3, 2, 2, dtype=torch.uint8)
    seen[0] = 200
    drawn = highlighted(seen, np.array([[True, False], [False, True]]))
    assert drawn[0, 0].tolist() == [200, 0, 0]
    assert drawn[0, 1].tolist() == [round(0.3 * 0.2126 * 200)] * 3
