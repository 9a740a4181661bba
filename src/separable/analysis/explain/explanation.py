"""Everything there is to say about one picture's answer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from separable.analysis.explain.examined import (
    Scores,
    class_scores,
    demand_classes,
    examined,
    logits_of,
    prepared,
)
from separable.analysis.explain.features import feature_maps
from separable.analysis.explain.gradcam import grad_cam
from separable.analysis.explain.integrated import Attribution, integrated_gradients
from separable.analysis.explain.layers import main_blocks, outermost
from separable.analysis.explain.recording import FeatureLayer
from separable.analysis.explain.regions import RegionScores, cut_to_picture
from separable.models import ImageModel, SegmentationModel

__all__ = ["Evidence", "Explanation", "Method", "explain_picture", "explain_pixels", "telling_layers"]

Method = Literal["gradcam", "integrated", "both"]
_MOST_LAYERS = 5
_MOST_BLOCKS = 10


@dataclass(frozen=True)
class Evidence:
    """What speaks for one class. On the CPU; None for a method that was not asked for."""

    index: int
    probability: float
    logit: float
    cam: Tensor | None
    """(h, w), see `grad_cam`."""
    attribution: Attribution | None
    """Of this one picture."""


@dataclass(frozen=True)
class Explanation:
    """The answer and the evidence for it."""

    probabilities: Tensor
    """(classes,) float64 on the CPU; of tags, or of one output, the sigmoid of each."""
    top: tuple[int, ...]
    """The most probable classes, best first."""
    evidence: tuple[Evidence, ...]
    """The answer's, the runner-up's, then of the classes asked for."""
    maps: tuple[tuple[FeatureLayer, Tensor], ...]
    """Layers with their maps (C, h, w), in the order they run."""
    mask: Tensor | None = None
    """(H, W) the class of every pixel, where the network answers for each; then `probabilities` are shares of them."""
    missing: tuple[int, ...] = ()
    """Classes asked for that no pixel is taken for: nothing is to be explained of them."""


def explain_picture(
    model: nn.Module,
    inputs: Tensor,
    layer: FeatureLayer | None,
    shown: Sequence[FeatureLayer] = (),
    *,
    classes: Sequence[int] = (),
    method: Method = "both",
    baseline: Tensor | float = 0.0,
    steps: int | None = None,
    temperature: float = 1.0,
    independent: bool = False,
    progress: Callable[[int, int | None], None] | None = None,
) -> Explanation:
    """Look at one picture (1, C, H, W) with every means there is.

    Args:
        layer: of Grad-CAM; None leaves it out.
        shown: layers whose maps are kept.
        classes: more classes to explain, beside the most probable and the one after it.
        temperature: divides the logits before the softmax; the evidence is for the logit itself.
        independent: every class is answered for itself, by the sigmoid of its logit, as tags are.

    Raises:
        UsageError: as `grad_cam` and `integrated_gradients`.
    """
    demand_classes(model)
    with examined(model), torch.no_grad():
        logits = logits_of(model(prepared(inputs)))[0].double().cpu()
    scaled = logits / temperature
    probabilities = scaled.sigmoid() if independent or len(logits) == 1 else scaled.softmax(0)
    top = tuple(int(index) for index in logits.topk(min(5, len(logits))).indices)
    look = _Look(model, inputs, layer, method, baseline, steps, progress, class_scores)
    evidence = [
        look.evidence(index, float(probabilities[index]), float(logits[index]))
        for index in dict.fromkeys([*top[:2], *classes])
    ]
    return Explanation(probabilities, top, tuple(evidence), _maps(model, inputs, shown))


def explain_pixels(
    model: SegmentationModel,
    inputs: Tensor,
    layer: FeatureLayer | None,
    shown: Sequence[FeatureLayer] = (),
    *,
    classes: Sequence[int] = (),
    method: Method = "both",
    baseline: Tensor | float = 0.0,
    steps: int | None = None,
    progress: Callable[[int, int | None], None] | None = None,
) -> Explanation:
    """`explain_picture` of a network that answers for every pixel: the evidence is for the sum of a class' logits over
    the pixels that the network takes for it (arXiv:2002.11434).

    `probabilities` are shares of the pixels; `top` are the classes that have some.
    """
    demand_classes(model)
    scores = RegionScores.of(model, inputs)
    with examined(model), torch.no_grad():
        sums = scores(model, prepared(inputs))[0].double().cpu()
    shares = scores.regions.double().mean((1, 2)).cpu()
    seen = [int(index) for index in shares.argsort(descending=True, stable=True) if shares[index] > 0]
    look = _Look(model, inputs, layer, method, baseline, steps, progress, scores)
    wanted = dict.fromkeys([*seen[:2], *(index for index in classes if index in seen)])
    evidence = [look.evidence(index, float(shares[index]), float(sums[index])) for index in wanted]
    missing = tuple(index for index in dict.fromkeys(classes) if index not in seen)
    maps = _maps(model, inputs, shown)
    return Explanation(shares, tuple(seen[:5]), tuple(evidence), maps, scores.regions.argmax(0).cpu(), missing)


@dataclass(frozen=True)
class _Look:
    """How one picture is looked at, whatever the class."""

    model: nn.Module
    inputs: Tensor
    layer: FeatureLayer | None
    method: Method
    baseline: Tensor | float
    steps: int | None
    progress: Callable[[int, int | None], None] | None
    scores: Scores

    def evidence(self, index: int, probability: float, logit: float) -> Evidence:
        cam = found = None
        if self.method != "integrated" and self.layer is not None:
            cam = grad_cam(self.model, self.inputs, index, self.layer, scores=self.scores)[0].cpu()
            if isinstance(self.model, SegmentationModel):
                cam = cut_to_picture(self.model, cam, (self.inputs.shape[2], self.inputs.shape[3]))
        if self.method != "gradcam":
            found = integrated_gradients(
                self.model,
                self.inputs,
                index,
                self.baseline,
                self.steps,
                progress=self.progress,
                scores=self.scores,
            )
        return Evidence(index, probability, logit, cam, _on_cpu(found))


def _maps(model: nn.Module, inputs: Tensor, shown: Sequence[FeatureLayer]) -> tuple[tuple[FeatureLayer, Tensor], ...]:
    return tuple((one, feature_maps(model, inputs, one)[0].cpu()) for one in shown)


def telling_layers(model: nn.Module, layers: Sequence[FeatureLayer], chosen: FeatureLayer | None) -> list[FeatureLayer]:
    """The last layer of each resolution, at most five of them, and the one chosen, if any; in the order they run. Of a
    network that answers for every pixel its last ten blocks, on the way down and up."""
    outer = outermost(layers)
    if isinstance(model, SegmentationModel):
        chosen_ones = [layer for layer in layers if layer.name in main_blocks(model)][-_MOST_BLOCKS:]
        names = {layer.name for layer in [*chosen_ones, chosen] if layer is not None}
        return [layer for layer in layers if layer.name in names]
    if isinstance(model, ImageModel):
        outer = [layer for layer in outer if layer.name in model.chain]
    last = {(layer.height, layer.width): layer for layer in outer if layer.positions > 1}
    names = {layer.name for layer in [*list(last.values())[-_MOST_LAYERS:], chosen] if layer is not None}
    return [layer for layer in layers if layer.name in names]


def _on_cpu(found: Attribution | None) -> Attribution | None:
    if found is None:
        return None
    return Attribution(found.values.cpu(), found.target.cpu(), found.difference.cpu(), found.gap.cpu(), found.steps)
