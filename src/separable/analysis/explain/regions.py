"""What is explained of a network that answers for every pixel: a class' logits over the pixels taken for it.

Seg-Grad-CAM (K. Vinogradova, A. Dibrov, G. Myers, arXiv:2002.11434) puts the sum of a class' logits over a
set of pixels where Grad-CAM has the logit of the picture. The set is fixed: it is what the network takes for the class
on the picture itself, also where the network then looks at other pictures, as along the path of integrated gradients.
"""

from dataclasses import dataclass
from typing import Self, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from separable.analysis.explain.examined import examined, prepared
from separable.errors import UsageError
from separable.models import SegmentationModel, pixel_logits

__all__ = ["RegionScores", "cut_to_picture"]


@final
@dataclass(frozen=True, eq=False)
class RegionScores:
    """Scores for `grad_cam` and `integrated_gradients`. `regions` (classes, H, W) is 1 where a pixel is of a class.

    Of pictures of other sides there is no such region.
    """

    regions: Tensor

    @classmethod
    def of(cls, model: SegmentationModel, inputs: Tensor) -> Self:
        """The pixels that `model` takes for each class on the one picture `inputs` (1, C, H, W)."""
        if len(inputs) != 1:
            raise UsageError("The regions are those of one picture", got=f"{len(inputs)} pictures")
        with examined(model), torch.no_grad():
            logits = pixel_logits(model, prepared(inputs))[0]
        classes = torch.arange(len(logits), device=logits.device)
        return cls((logits.argmax(0) == classes[:, None, None]).to(logits.dtype))

    def __call__(self, model: nn.Module, inputs: Tensor) -> Tensor:
        """(N, classes) sums of logits, for pictures (N, C, H, W)."""
        assert isinstance(model, SegmentationModel)
        return torch.einsum("nchw,chw->nc", pixel_logits(model, inputs), self.regions)


def cut_to_picture(model: SegmentationModel, cam: Tensor, size: tuple[int, int]) -> Tensor:
    """A heat map (h, w) without what lies over the rows and columns that `pixel_logits` adds to a picture of `size`:
    enlarged to the picture's pixels where there are some, else as it is."""
    padded = tuple(side + (-side % model.multiple if model.raw else 0) for side in size)
    if padded == size:
        return cam
    large = functional.interpolate(cam[None, None], padded, mode="bilinear")[0, 0]
    return large[: size[0], : size[1]]
