"""The one-tower AlexNet of torchvision, to the last parameter and pixel."""

import torch
from torch import nn

from separable.analysis.profile import profile
from separable.models import build_model


def test_layers_and_parameters() -> None:
    with torch.device("meta"):
        model = build_model("alexnet")
    shapes = {layer.name: layer.output_shape[1:] for layer in profile(model, (1, 3, 224, 224)).layers}
    assert [shapes[f"conv{number}.conv"] for number in range(1, 6)] == [
        *((64, 55, 55), (192, 27, 27), (384, 13, 13), (256, 13, 13), (256, 13, 13))
    ]
    assert sum(p.numel() for p in model.parameters()) == 61_100_840
    convolutions = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
    assert sum(p.numel() for m in convolutions for p in m.parameters()) == 2_469_696
    assert [tuple(m.kernel_size) for m in convolutions] == [(11, 11), (5, 5), (3, 3), (3, 3), (3, 3)]


def test_the_first_convolution_pads_two_pixels_whatever_the_border() -> None:
    """55 pixels come from 224 + 2 + 2; "same" in TensorFlow's sense would make it 56."""
    model = build_model("alexnet", width=0.1).eval()
    conv = model.get_submodule("conv1")
    x = torch.rand(1, 3, 224, 224)
    with torch.no_grad():
        before = conv(x)
        for border in ("tf_same", "caffe"):
            conv.set_border(border)
            assert torch.equal(conv(x), before)
    assert before.shape[-2:] == (55, 55)
