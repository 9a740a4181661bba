"""Figure 9 of arXiv:1512.00567 as networks of one's own: how not to halve a grid, and how to do it.

Section 5 of the paper: 35x35 grids of 320 channels are to become 17x17 grids of 640. `pool_first` does it as the left
of the figure: a max pool, then an Inception module that widens what is left. That is cheap, and breaks the paper's
first principle: behind the pool a quarter of the representation is left. `parallel` does it as figure 10: strided
convolutions beside the pool, put together.

    separable draw figure_9.py:pool_first --size 299 --out figure_9_left.svg
    separable draw figure_9.py:parallel --size 299 --out figure_10.svg
"""

import torch
from torch import Tensor, nn

__all__ = ["parallel", "pool_first"]


class Inception(nn.Module):
    """Four branches of as many channels each, put together."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        width = outputs // 4
        self.branch1 = unit(inputs, width, 1)
        self.branch2 = nn.Sequential(unit(inputs, width, 1), unit(width, width, 3))
        self.branch3 = nn.Sequential(unit(inputs, width, 1), unit(width, width, 3), unit(width, width, 3))
        self.branch4 = nn.Sequential(nn.AvgPool2d(3, 1, padding=1), unit(inputs, width, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)), 1)


class Reduction(nn.Module):
    """Figure 10: half the side and twice the channels, half of them from strided convolutions, half from the pool."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        width = inputs // 2
        self.branch1 = nn.Sequential(unit(inputs, width, 1), unit(width, width, 3, 2, "valid"))
        self.branch2 = nn.Sequential(unit(inputs, width, 1), unit(width, width, 3), unit(width, width, 3, 2, "valid"))
        self.pool = nn.MaxPool2d(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((self.branch1(x), self.branch2(x), self.pool(x)), 1)


def pool_first() -> nn.Module:
    """Figure 9, left, twice: the bottleneck."""
    return network(
        nn.Sequential(nn.MaxPool2d(3, 2), Inception(320, 640)),
        nn.Sequential(nn.MaxPool2d(3, 2), Inception(640, 1280)),
    )


def parallel() -> nn.Module:
    """Figure 10 in its place."""
    return network(
        nn.Sequential(Reduction(320), Inception(640, 640)),
        nn.Sequential(Reduction(640), Inception(1280, 1280)),
    )


def network(first: nn.Module, second: nn.Module) -> nn.Module:
    """A stem down to the 35x35 grids of 320 channels, two reductions, and a classifier."""
    widths = ((3, 32, 2), (32, 64, 1), (64, 128, 2), (128, 192, 1), (192, 320, 2))
    model = nn.Sequential()
    model.add_module("stem", nn.Sequential(*(unit(*pair, 3, stride, "valid") for *pair, stride in widths)))
    model.add_module("inception35", Inception(320, 320))
    model.add_module("to17", first)
    model.add_module("to8", second)
    model.add_module("head", nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1280, 1000)))
    return model.eval()


def unit(inputs: int, outputs: int, kernel: int, stride: int = 1, padding: str = "same") -> nn.Module:
    """A convolution without bias, batch normalisation, ReLU."""
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, padding=padding, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs, eps=1e-3), nn.ReLU(inplace=True))
