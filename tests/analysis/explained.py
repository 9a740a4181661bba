"""Networks and pictures for the tests of explanations: small, in float64, with what hooks and autograd stumble over."""

import torch
from torch import Tensor, nn

from separable.models import build_model

__all__ = ["CATALOGUE", "Awkward", "awake", "catalogue", "pictures"]

CATALOGUE = {  # narrow and shallow, and a side at which the last map has several positions
    "mobilenet_v1": (96, {"width": 0.125}),
    "xception": (48, {"width": 0.0625, "middle_blocks": 1, "stem_stride": 1}),
    "inception_v3": (107, {"width": 0.0625, "aux_head": True}),
}


def catalogue(name: str, classes: int = 5) -> tuple[nn.Module, Tensor]:
    """The network in float64 and training mode, its batch norm with statistics of its own, and two pictures for it."""
    side, options = CATALOGUE[name]
    torch.manual_seed(1)
    model = build_model(name, classes, **options).double()  # type: ignore[arg-type]
    x = pictures(2, side)
    return awake(model, side), x


def awake(model: nn.Module, side: int = 64) -> nn.Module:
    """`model` with batch-norm statistics of pictures, so that its logits depend on what it sees. In training mode."""
    for norm in (module for module in model.modules() if isinstance(module, nn.BatchNorm2d)):
        norm.momentum = 1.0
        nn.init.uniform_(norm.bias, -0.3, 0.3)
    with torch.no_grad():
        model.train()(pictures(4, side).to(next(model.parameters()).dtype))
    return model


def pictures(count: int, side: int, seed: int = 0) -> Tensor:
    """Smooth waves and a square each, (count, 3, side, side) float64 in about [-1, 1]."""
    generator = torch.Generator().manual_seed(seed)
    grid = torch.linspace(0, 1, side, dtype=torch.float64)
    waves = torch.rand(count, 3, 3, generator=generator, dtype=torch.float64)
    a, b, c = (waves[:, :, index, None, None] for index in range(3))
    x = torch.sin(2 * torch.pi * (3 * a * grid[:, None] + 4 * b * grid[None, :] + c))
    for index in range(count):
        top, left = (int(value * side / 2) for value in waves[index, 0, :2])
        x[index, :, top : top + side // 3, left : left + side // 3] *= -0.5
    return x


class Awkward(nn.Module):
    """In-place activations (the very first layer too), a shared one, an auxiliary head in training, dropout, and a
    pooling layer that leaves a map of one position."""

    def __init__(self, classes: int = 4, channels: int = 3) -> None:
        super().__init__()
        self.scale = nn.Hardtanh(-2.0, 2.0, inplace=True)
        self.conv1 = nn.Conv2d(channels, 6, 3, stride=2, padding=1)
        self.bn1 = nn.BatchNorm2d(6)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(6, 8, 3, padding=1)
        self.conv3 = nn.Conv2d(8, 8, 3, padding=1)
        self.aux = nn.Linear(8, classes)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.drop = nn.Dropout(0.5)
        self.fc = nn.Linear(8, classes)
        self.spare = nn.Conv2d(8, 8, 1)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        y = self.relu(self.bn1(self.conv1(self.scale(x))))
        y = self.relu(self.conv2(y))
        side = y
        y = self.relu(self.conv3(y))
        z = self.fc(self.drop(self.pool(y).flatten(1)))
        return (z, self.aux(side.mean((2, 3)))) if self.training else z
