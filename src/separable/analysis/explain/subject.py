"""A picture, the network that looks at it, and what was found: all that a page is made from."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from separable.analysis.explain.explanation import Evidence, Explanation
from separable.analysis.explain.images import cells, filter_grid, highlighted, map_grid, overlay, png, signed_image
from separable.analysis.explain.integrated import LARGEST_GAP
from separable.analysis.explain.recording import FeatureLayer
from separable.analysis.page.wording import percent
from separable.models import InputContract

__all__ = ["Subject", "drawn_images", "file_name", "maps_file"]

_BESIDE = {False: "beside one of several branches", True: "where maps skip it on their way to finer ones"}


@dataclass(frozen=True)
class Subject:
    """`source` and `model` are as the user named them; `network` is the name of the architecture or class."""

    source: str
    title: str
    model: str
    network: str
    command: str
    contract: InputContract
    temperature: float
    whole: NDArray[np.uint8]
    """The picture (h, w, 3) as displayed, perhaps smaller than it is."""
    size: tuple[int, int]
    """Its true height and width."""
    region: tuple[float, float, float, float]
    """Top, left, height and width of what the network gets, in true pixels."""
    seen: Tensor
    """What the network gets, (3, H, W) uint8 RGB."""
    layer: FeatureLayer | None
    """Of Grad-CAM; None where the network has no feature maps."""
    finer: FeatureLayer | None
    """What to take instead of `layer` for a finer heat map."""
    steps: int | None
    """Of integrated gradients, where the user said how many."""
    filters: tuple[str, Tensor] | None
    """Of the first convolution: its name and weights."""
    explanation: Explanation
    no_maps: str | None = None
    """Why there is no layer for Grad-CAM, though it was asked for."""
    passed_round: bool = False
    """Whether the answer depends on the picture otherwise than through `layer`, see `is_passed_round`."""
    predicted: NDArray[np.uint8] | None = None
    """(H, W, 3) the picture under the classes of its pixels, where the network answers for each."""

    @property
    def of_pixels(self) -> bool:
        """Whether the answer is a class for every pixel."""
        return self.explanation.mask is not None

    @property
    def of_tags(self) -> bool:
        """Whether every class is answered for itself."""
        return self.contract.answer == "sigmoid"

    @property
    def sureness(self) -> str:
        """What the probability of a class is called."""
        return "probability" if self.of_tags else "confidence"

    @property
    def score(self) -> str:
        """What the evidence is for."""
        return "sum of logits" if self.of_pixels else "logit"

    @property
    def shows_cam(self) -> bool:
        """A map of one position is no heat map."""
        has_cam = self.explanation.evidence[0].cam is not None
        return has_cam and self.layer is not None and self.layer.positions > 1

    def name(self, index: int) -> str:
        names = self.contract.class_names
        return names[index] if index < len(names) else f"class {index}"

    def role(self, evidence: Evidence) -> str:
        top = self.explanation.top
        first, second = "the answer", "the runner-up"
        if self.of_pixels or self.of_tags:
            which = "largest" if self.of_pixels else "most probable"
            first, second = f"the {which}", f"the second {which}"
        if evidence.index == top[0]:
            return first
        return second if len(top) > 1 and evidence.index == top[1] else "asked for"

    def alerts(self) -> list[str]:
        """What a reader must know before believing a picture on the page."""
        found = []
        layer = self.layer if self.explanation.evidence[0].cam is not None else None
        if self.no_maps is not None:
            found.append(f"There is no heat map (Grad-CAM). {self.no_maps}.")
        if self.explanation.missing:
            names = ", ".join(self.name(index) for index in self.explanation.missing)
            found.append(f"No pixel of this picture is taken for {names}: there is nothing to explain.")
        if layer is not None and layer.early:
            words = f"{layer.name} is one of the first layers: {1 - layer.share:.0%} of the network comes after it. "
            found.append(f"{words}Grad-CAM shows what goes in there, not what the network makes of it.")
        if layer is not None and self.passed_round:
            words = f"Part of the evidence does not pass through {layer.name}, as {_BESIDE[self.of_pixels]}. "
            found.append(f"{words}The heat map leaves it out; --layer takes another layer.")
        if layer is not None and layer.positions == 1:
            words = f"The map of {layer.name} has a single position (1x1) for pictures of this size, so "
            words += "Grad-CAM has no resolution there and no heat map is shown. "
            finer = self.finer
            found.append(
                f"{words}Try --layer {finer.name}, an earlier layer with {finer.height}x{finer.width}."
                if finer
                else f"{words}No earlier layer has more."
            )
        wide = [one for one in self.explanation.evidence if _misses(one)]
        if wide:
            names = ", ".join(f"{self.name(one.index)} ({percent(_share(one))})" for one in wide)
            words = (
                f"The integrated gradients miss the {self.score} difference by more than {LARGEST_GAP:.0%}: {names}."
            )
            found.append(f"{words} More steps (--steps) would come closer.")
        return found


def drawn_images(subject: Subject) -> dict[str, bytes]:
    """File name -> PNG of everything that a page shows and that somebody may want alone."""
    found = subject.explanation
    images = {"seen.png": png(np.ascontiguousarray(subject.seen.cpu().numpy().transpose(1, 2, 0)))}
    if subject.predicted is not None:
        images["predicted.png"] = png(subject.predicted)
    for evidence in found.evidence:
        name = file_name(evidence.index, subject.name(evidence.index))
        if found.mask is not None:
            images[f"region-{name}.png"] = png(highlighted(subject.seen, (found.mask == evidence.index).numpy()))
        if evidence.cam is not None and subject.shows_cam:
            images[f"gradcam-{name}.png"] = png(overlay(subject.seen, evidence.cam))
            images[f"gradcam-cells-{name}.png"] = png(cells(evidence.cam))
        if evidence.attribution is not None:
            images[f"integrated-{name}.png"] = png(signed_image(evidence.attribution.values[0]))
    for layer, maps in found.maps:
        images[maps_file(layer)] = png(map_grid(maps)[0])
    if subject.filters is not None:
        images["filters.png"] = png(filter_grid(subject.filters[1], bgr=subject.contract.colour_order == "BGR"))
    return images


def file_name(index: int, name: str) -> str:
    """Letters and digits that stand for a class in a file's name: "282-tiger-cat"."""
    words: Sequence[str] = re.findall(r"[a-z0-9]+", name.lower())
    return "-".join([str(index), *words])[:60].rstrip("-")


def maps_file(layer: FeatureLayer) -> str:
    """The name of the file with a layer's maps; a module may be called anything."""
    return f"maps-{re.sub('[^A-Za-z0-9_.-]', '_', layer.name)}.png"


def _share(evidence: Evidence) -> float:
    return float(evidence.attribution.share) if evidence.attribution is not None else 0.0


def _misses(evidence: Evidence) -> bool:
    return evidence.attribution is not None and not _share(evidence) <= LARGEST_GAP
