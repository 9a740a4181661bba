"""torchvision and timm for comparison, also beside a CPU build of torch, where torchvision's operators are missing."""

import importlib.util
import warnings

import torch

__all__ = ["timm", "torchvision"]

# torchvision's Python files describe the operators of its compiled part at import; an empty schema is enough.
_LIBRARY = torch.library.Library("torchvision", "FRAGMENT")
if importlib.util.find_spec("torchvision") is not None:
    for _name in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, _name):
            _LIBRARY.define(f"{_name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import timm
    import torchvision
