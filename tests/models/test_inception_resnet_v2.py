"""Inception-ResNet-v2: the published network's grids and counts, the printed one beside it, the options."""

import pytest
import torch
from torch import nn

from separable.analysis import profile
from separable.blocks.inception_resnet import ScaledResidual
from separable.errors import ModelOptionError
from separable.models import ImageModel, build_model, model_spec
from tests.peers import timm


def meta(**options: object) -> ImageModel:
    with torch.device("meta"):
        return build_model("inception_resnet_v2", **options).eval()


def parameters(module: nn.Module) -> int:
    return sum(value.numel() for value in module.parameters())


def grids(model: ImageModel, side: int = 299) -> dict[str, tuple[int, ...]]:
    """Channels, height and width after every block of the chain."""
    found, x = {}, torch.empty(1, 3, side, side, device="meta")
    for name in model.chain:
        x = model.get_submodule(name)(x)
        found[name] = tuple(x.shape[1:])
    return found


def residuals(model: ImageModel) -> list[ScaledResidual]:
    return [module for module in model.modules() if isinstance(module, ScaledResidual)]


def test_the_grids_of_slim() -> None:
    """The comments of inception_resnet_v2.py: 35x35x320, 17x17x1088, 8x8x2080, 8x8x1536."""
    found = grids(meta())
    assert (found["conv4a"], found["pool5a"]) == ((192, 71, 71), (192, 35, 35))
    for block, count, shape in (
        ("block35", 10, (320, 35, 35)),
        ("block17", 20, (1088, 17, 17)),
        ("block8", 10, (2080, 8, 8)),
    ):
        blocks = [name for name in found if name.startswith(f"{block}_")]
        assert len(blocks) == count
        assert {found[name] for name in blocks} == {shape}
    assert (found["mixed5b"], found["mixed6a"], found["mixed7a"]) == ((320, 35, 35), (1088, 17, 17), (2080, 8, 8))
    assert found["conv7b"] == (1536, 8, 8)


def test_parameters_are_timms() -> None:
    """And with slim's batch normalisation, which has no gamma, Keras' (tests/parity/test_inception_v4.py)."""
    with torch.device("meta"):
        theirs = timm.create_model("inception_resnet_v2")
    assert parameters(meta(gamma=True)) == parameters(theirs) == 55_843_464
    assert parameters(meta()) == 55_813_192


def test_weights_start_as_slims_and_keras() -> None:
    """Its argument scope names no initialiser: Xavier's uniform, within sqrt(6 / (fan_in + fan_out))."""
    model = build_model("inception_resnet_v2", 10, width=0.5, repeats=(1, 1, 1))
    kernel = model.get_submodule("block17_1.branch7x7_3.conv").weight
    out_channels, in_channels = kernel.shape[:2]
    assert kernel.abs().max().item() == pytest.approx((6 / (7 * (in_channels + out_channels))) ** 0.5, rel=1e-2)


def test_residuals_are_scaled_and_the_last_is_not() -> None:
    found = [(module.scale, type(module.act)) for module in residuals(meta())]
    assert found == [(0.17, nn.ReLU)] * 10 + [(0.1, nn.ReLU)] * 20 + [(0.2, nn.ReLU)] * 9 + [(1.0, nn.Identity)]
    changed = residuals(meta(residual_scale=[0.3, 0.2, 0.1], repeats=(1, 1, 2)))
    assert [module.scale for module in changed] == [0.3, 0.2, 0.1, 1.0]


def test_a_residual_is_x_plus_the_scaled_linear_map() -> None:
    block = ScaledResidual(3, 4, 0.17)
    x, branches = torch.randn(2, 4, 5, 5), torch.randn(2, 3, 5, 5)
    weight, bias = block.conv.weight[:, :, 0, 0], block.conv.bias
    expected = (x + 0.17 * (torch.einsum("nchw,kc->nkhw", branches, weight) + bias[:, None, None])).clamp(min=0)
    torch.testing.assert_close(block(x, branches), expected)


def test_the_printed_network() -> None:
    """Figures 3, 7 and 15 to 19. The printed 1154 and 2048 channels are not what the figures add up to."""
    model = meta(form="paper", repeats=(5, 10, 5))
    found = grids(model)
    assert (found["mixed5a"], found["block35_5"]) == ((384, 35, 35), (384, 35, 35))
    assert (found["mixed6a"], found["block17_10"]) == ((1152, 17, 17), (1152, 17, 17))
    assert (found["mixed7a"], found["block8_5"]) == ((2144, 8, 8), (2144, 8, 8))
    assert {"mixed5b", "conv7b"}.isdisjoint(found)
    assert {(module.scale, type(module.act)) for module in residuals(model)} == {
        (0.17, nn.ReLU),
        (0.1, nn.ReLU),
        (0.2, nn.ReLU),
    }
    assert parameters(model) == 32_417_496


def test_its_cost_is_that_of_inception_v4() -> None:
    """Section 3.2: "Inception-ResNet-v2 matches the raw cost of the newly introduced Inception-v4". Within 8 %."""
    ratio = model_spec("inception_resnet_v2").macs / model_spec("inception_v4").macs
    assert 1.0 < ratio < 1.08
    printed = profile(meta(form="paper", repeats=(5, 10, 5)), (1, 3, 299, 299)).macs
    assert printed / model_spec("inception_v4").macs < 0.77, "as printed it is far cheaper"


def test_the_auxiliary_head_follows_the_last_17x17_grid() -> None:
    model = build_model("inception_resnet_v2", 5, width=0.1, repeats=(1, 2, 1), aux_head=True).train()
    assert list(model.aux_heads) == ["block17_2"]
    assert [out.shape for out in model(torch.randn(2, 3, 80, 80))] == [(2, 5), (2, 5)]
    head = meta(aux_head=True).aux_heads["block17_20"]
    assert parameters(head) == 1088 * 128 + 128 + 128 * 768 * 25 + 768 + 768 * 1000 + 1000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"form": "printed"}, r"form\. Got: 'printed'\. Expected: 'slim' or 'paper'"),
        ({"repeats": None}, r"repeats\. Got: None\. Expected: a list of 3"),
        ({"repeats": (0, 1, 1)}, r"repeats\. Got: 0\. Expected: an integer of at least 1"),
        ({"residual_scale": 0.1}, r"residual_scale\. Got: 0\.1\. Expected: a list of 3"),
        ({"residual_scale": (0.1, 0.1, 0)}, r"residual_scale\. Got: 0\. Expected: a number above 0"),
        ({"residual_scale": (0.1, "0.1", 0.1)}, r"residual_scale\. Got: '0\.1'\. Expected: a number above 0"),
    ],
)
def test_illegal_options_are_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(ModelOptionError, match=f"Bad model option {message}"):
        build_model("inception_resnet_v2", **options)
