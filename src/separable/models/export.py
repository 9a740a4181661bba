"""One exported graph for every picture that a network takes."""

import torch
from torch.export import Dim, ExportedProgram
from torch.fx.experimental import _config as symbolic

from separable.models.base import ImageModel

__all__ = ["export_graph"]


def export_graph(model: ImageModel, size: tuple[int, int] | None = None) -> ExportedProgram:
    """`torch.export` of `model` as it is, for any batch and any sides from `model.input_contract.min_size` up.

    `torch.export.export` alone assumes that every side it calls unknown is at least 2, that of each map included, and
    its graph then refuses the pictures whose last map is a single pixel. This tells it to assume nothing.

    Args:
        size: height and width of the example that is traced; the input contract's if None. The graph is the same.
    """
    height, width = size or model.input_contract.size
    first = next(model.parameters())
    channels = model.options["in_channels"]
    example = torch.zeros(2, channels, height, width, dtype=first.dtype, device=first.device)
    shapes = ({0: Dim.AUTO, 2: Dim.AUTO, 3: Dim.AUTO},)
    with symbolic.patch(backed_size_oblivious=True):  # type: ignore[attr-defined] # added when torch imports it
        return torch.export.export(model, (example,), dynamic_shapes=shapes)
