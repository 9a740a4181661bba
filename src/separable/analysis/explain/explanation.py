"""Everything there is to say about one picture's answer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from separable.analysis.explain.examined import demand_classes, examined, logits_of, prepared
from separable.analysis.explain.features import feature_maps
from separable.analysis.explain.gradcam import grad_cam
from separable.analysis.explain.integrated import Attribution, integrated_gradients
from separable.analysis.explain.layers import outermost
from separable.analysis.explain.recording import FeatureLayer
from separable.models import ImageModel

__all__ = ["Evidence", "Explanation", "Method", "explain_picture", "telling_layers"]

Method = Literal["gradcam", "integrated", "both"]
_MOST_LAYERS = 5


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
    """(classes,) float64 on the CPU; of a network with one output, the sigmoid of it."""
    top: tuple[int, ...]
    """The most probable classes, best first."""
    evidence: tuple[Evidence, ...]
    """The answer's, the runner-up's, then of the classes asked for."""
    maps: tuple[tuple[FeatureLayer, Tensor], ...]
    """Layers with their maps (C, h, w), in the order they run."""


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
    progress: Callable[[int, int | None], None] | None = None,
) -> Explanation:
    """Look at one picture (1, C, H, W) with every means there is.

    Args:
        layer: of Grad-CAM; None leaves it out.
        shown: layers whose maps are kept.
        classes: more classes to explain, beside the most probable and the one after it.
        temperature: divides the logits before the softmax; the evidence is for the logit itself.

    Raises:
        UsageError: as `grad_cam` and `integrated_gradients`.
    """
    demand_classes(model)
    with examined(model), torch.no_grad():
        logits = logits_of(model(prepared(inputs)))[0].double().cpu()
    scaled = logits / temperature
    probabilities = scaled.sigmoid() if len(logits) == 1 else scaled.softmax(0)
    top = tuple(int(index) for index in logits.topk(min(5, len(logits))).indices)
    evidence = []
    for index in dict.fromkeys([*top[:2], *classes]):
        cam = found = None
        if method != "integrated" and layer is not None:
            cam = grad_cam(model, inputs, index, layer)[0].cpu()
        if method != "gradcam":
            found = integrated_gradients(model, inputs, index, baseline, steps, progress=progress)
        evidence.append(Evidence(index, float(probabilities[index]), float(logits[index]), cam, _on_cpu(found)))
    maps = tuple((one, feature_maps(model, inputs, one)[0].cpu()) for one in shown)
    return Explanation(probabilities, top, tuple(evidence), maps)


def telling_layers(model: nn.Module, layers: Sequence[FeatureLayer], chosen: FeatureLayer | None) -> list[FeatureLayer]:
    """The last layer of each resolution, at most five of them, and the one chosen, if any; in the order they run."""
    outer = outermost(layers)
    if isinstance(model, ImageModel):
        outer = [layer for layer in outer if layer.name in model.chain]
    last = {(layer.height, layer.width): layer for layer in outer if layer.positions > 1}
    names = {layer.name for layer in [*list(last.values())[-_MOST_LAYERS:], chosen] if layer is not None}
    return [layer for layer in layers if layer.name in names]


def _on_cpu(found: Attribution | None) -> Attribution | None:
    if found is None:
        return None
    return Attribution(found.values.cpu(), found.target.cpu(), found.difference.cpu(), found.gap.cpu(), found.steps)
