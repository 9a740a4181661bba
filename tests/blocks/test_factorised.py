"""Factorised convolutions against the one large kernel that their linear form is."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from separable.analysis import profile
from separable.blocks import ExpandedConv, FactorisedConv, InceptionC
from separable.blocks.factorised import factors, middle_channels
from separable.blocks.savings import factorised_saving
from separable.errors import ModelOptionError
from tests.blocks.test_units import unsettle

WAYS = [(5, "3x3"), (7, "3x3"), (3, "asymmetric"), (7, "asymmetric"), (3, "2x2"), (5, "2x2")]
each_way = pytest.mark.parametrize(("kernel", "into"), WAYS)


def one_kernel(module: FactorisedConv) -> Tensor:
    """The (out, in, n, n) kernel of the linear chain: to correlate twice is to convolve the kernels."""
    composed = module.steps[0].conv.weight.detach()
    for step in list(module.steps)[1:]:
        weight = step.conv.weight.detach()
        composed = F.conv_transpose2d(composed.transpose(0, 1), weight.transpose(0, 1)).transpose(0, 1)
    return composed


@each_way
@pytest.mark.parametrize("column_first", [False, True])
def test_the_linear_chain_is_one_convolution(kernel: int, into: str, column_first: bool) -> None:
    """Figures 1 and 3: without padding, and with it away from the border, a chain sees n x n pixels, centred."""
    options = {"linear_inside": True, "activation": None, "batch_norm": False, "column_first": column_first}
    chain = FactorisedConv(3, 4, kernel, into, middle=5, padding="valid", **options).double()
    x = torch.randn(2, 3, 16, 15, dtype=torch.float64)
    whole = F.conv2d(x, one_kernel(chain))
    torch.testing.assert_close(chain(x), whole)
    assert one_kernel(chain).shape == (4, 3, kernel, kernel)
    same = FactorisedConv(3, 4, kernel, into, middle=5, **options).double()
    same.load_state_dict(chain.state_dict())
    edge = kernel // 2
    assert same(x).shape == (2, 4, 16, 15)
    torch.testing.assert_close(same(x)[:, :, edge:-edge, edge:-edge], whole)
    if into == "asymmetric":
        torch.testing.assert_close(same(x), F.conv2d(x, one_kernel(chain), padding=edge), msg="at the border too")


@each_way
def test_the_mini_network_makes_one_pixel_of_its_window(kernel: int, into: str) -> None:
    module = FactorisedConv(2, 3, kernel, into, padding="valid").eval()
    assert module(torch.randn(1, 2, kernel, kernel)).shape == (1, 3, 1, 1)


@pytest.mark.parametrize("linear", [False, True])
def test_the_activation_inside_can_be_left_out(linear: bool) -> None:
    """Section 3.1, figure 2; the one at the end stays."""
    module = unsettle(FactorisedConv(3, 4, 5, "3x3", linear_inside=linear, activation="elu"))
    x = torch.randn(2, 3, 8, 8)
    first, second = module.steps
    between = first.bn(F.conv2d(x, first.conv.weight, padding=1))
    between = between if linear else F.elu(between)
    expected = F.elu(second.bn(F.conv2d(between, second.conv.weight, padding=1)))
    torch.testing.assert_close(module(x), expected)


@each_way
@pytest.mark.parametrize("middle", [None, 6])
def test_the_cost_is_the_computed_one(kernel: int, into: str, middle: int | None) -> None:
    module = FactorisedConv(4, 9, kernel, into, middle=middle, batch_norm=False)
    counted = profile(module, (1, 4, 11, 10))
    expected = factorised_saving(4, 9, kernel, into, middle=middle, area=110)
    assert (counted.parameters, counted.macs) == (expected.after.parameters, expected.after.macs)
    assert profile(nn.Conv2d(4, 9, kernel, padding="same", bias=False), (1, 4, 11, 10)).macs == expected.before.macs


def test_the_shapes_of_the_steps() -> None:
    assert factors(5, "3x3") == ((3, 3), (3, 3))
    assert factors(7, "asymmetric") == ((1, 7), (7, 1))
    assert factors(3, "asymmetric", column_first=True) == ((3, 1), (1, 3)), "figure 3: the lower layer is 3x1"
    assert factors(3, "2x2") == ((2, 2), (2, 2))
    assert middle_channels(64, 96) == 78
    module = FactorisedConv(64, 96, 5, "3x3")
    assert [step.conv.out_channels for step in module.steps] == [78, 96]


def test_expanded_convolution() -> None:
    module = unsettle(ExpandedConv(3, 4, activation="relu6"))
    x = torch.randn(2, 3, 6, 5) * 5
    row = F.relu6(module.row.bn(F.conv2d(x, module.row.conv.weight, padding=(0, 1))))
    column = F.relu6(module.column.bn(F.conv2d(x, module.column.conv.weight, padding=(1, 0))))
    torch.testing.assert_close(module(x), torch.cat((row, column), 1))
    assert module.out_channels == 8


@pytest.mark.parametrize(
    ("options", "parameters"),
    [
        ({"n": 7}, 768 * 192 * 2 + 2 * 768 * 128 + 2 * 7 * 128 * 128 + 7 * 128 * 192 * 2 + 7 * 128 * 128 * 2),
        ({"n": 3}, 768 * 192 * 2 + 2 * 768 * 128 + 2 * 3 * 128 * 128 + 3 * 128 * 192 * 2 + 3 * 128 * 128 * 2),
    ],
)
def test_figure_6_with_another_n(options: dict[str, int], parameters: int) -> None:
    """1x1, 1xn twice over; notes on the paper often have n = 3 where it says 7 for the 17x17 grid."""
    module = InceptionC(768, 128, batch_norm=False, **options)
    assert sum(p.numel() for p in module.parameters()) == parameters
    kernels = [conv.kernel_size for conv in module.modules() if isinstance(conv, nn.Conv2d)]
    n = options["n"]
    assert sorted(set(kernels)) == [(1, 1), (1, n), (n, 1)]


def test_illegal_options_are_named() -> None:
    with pytest.raises(ModelOptionError, match=r"kernel\. Got: 3\. Expected: an odd integer of at least 5"):
        FactorisedConv(3, 4, 3, "3x3")
    with pytest.raises(ModelOptionError, match=r"kernel\. Got: 4\. Expected: an odd integer of at least 3"):
        ExpandedConv(3, 4, 4)
    with pytest.raises(ModelOptionError, match=r"into\. Got: '1x1'\. Expected: '3x3' or 'asymmetric' or '2x2'"):
        factors(5, "1x1")
    with pytest.raises(ModelOptionError, match=r"padding\. Got: 'full'"):
        FactorisedConv(3, 4, 5, "3x3", padding="full")
    with pytest.raises(ModelOptionError, match=r"middle\. Got: 0"):
        FactorisedConv(3, 4, 5, "3x3", middle=0)
    with pytest.raises(ModelOptionError, match=r"linear_inside\. Got: 'yes'"):
        FactorisedConv(3, 4, 5, "3x3", linear_inside="yes")  # type: ignore[arg-type]
