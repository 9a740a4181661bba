"""What is often said of these networks, or built in their name, and is not so: each with the size of the difference.

docs/numerics.md tells the claims. The bounds are a factor of a few around what was measured.
"""

import copy
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from separable.analysis import profile
from separable.blocks import ConvBN, InceptionA, SeparableConv2d
from separable.models import ImageModel, build_model
from separable.weights.ports.legacy_xception import LEGACY_XCEPTION
from separable.weights.ports.read import port_tensors
from tests.parity.torch_net import calibrate, distance, pictures, spread
from tests.peers import timm, torchvision
from tests.tolerances import PORT_PARITY


def bring_variances_to_1(model: nn.Module) -> None:
    """Rescale kernels and statistics: the same function but for epsilon, which now counts as little as it can.

    Published weights have layers with far smaller variances, random kernels too.
    """
    for block in model.modules():
        kernel = block.conv if isinstance(block, ConvBN) else getattr(block, "pointwise", None)
        norm = getattr(block, "bn", None)
        if isinstance(kernel, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            assert norm.running_mean is not None
            assert norm.running_var is not None
            scale = norm.running_var.rsqrt()
            kernel.weight.data.mul_(scale[:, None, None, None])
            norm.running_mean.mul_(scale)
            norm.running_var.fill_(1.0)


@pytest.fixture(scope="module")
def ours() -> ImageModel:
    torch.manual_seed(0)
    model = build_model("xception", 10)
    calibrate(model)
    return model


@pytest.fixture(scope="module")
def port(ours: ImageModel) -> nn.Module:
    return as_timm_has_it(ours)


def as_timm_has_it(model: ImageModel) -> nn.Module:
    """timm's network with the same weights, as its published ones are Keras' own."""
    network: nn.Module = timm.create_model("legacy_xception", num_classes=10).eval()
    network.load_state_dict(port_tensors(LEGACY_XCEPTION, model), strict=False)
    return network


def logits(network: nn.Module, side: int) -> Tensor:
    with torch.no_grad():
        found: Tensor = network(pictures(side, side))
    return found


def norms(network: nn.Module) -> list[nn.BatchNorm2d]:
    return [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]


def test_keras_weights_in_torchs_epsilon_are_another_network(
    ours: ImageModel, port: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At 71 pixels, where every map is odd and the pools agree, epsilon is the only difference."""
    assert {norm.eps for norm in norms(port)} == {1e-5}
    assert {norm.eps for norm in norms(ours)} == {1e-3}
    expected = logits(ours, 71)
    assert spread(expected) > 100 * PORT_PARITY
    assert distance(logits(port, 71), expected) > 0.1, "random kernels: half of the variances are below 0.003"
    for norm in norms(port):
        monkeypatch.setattr(norm, "eps", 1e-3)
    assert distance(logits(port, 71), expected) < PORT_PARITY


def test_epsilon_shows_even_where_it_counts_least(ours: ImageModel) -> None:
    model = copy.deepcopy(ours)
    bring_variances_to_1(model)
    difference = distance(logits(as_timm_has_it(model), 71), logits(model, 71))
    assert 10 * PORT_PARITY < difference < 0.01


def test_a_pool_that_starts_a_pixel_early_is_another_network_at_most_sizes(
    ours: ImageModel, port: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Epsilon put right, the windows remain: none differs at 71 pixels, three of four at 150, one at 299."""
    for norm in norms(port):
        monkeypatch.setattr(norm, "eps", 1e-3)
    differences = {side: distance(logits(port, side), logits(ours, side)) for side in (71, 150, 299)}
    assert differences[71] < PORT_PARITY
    assert 0.01 < differences[150] < 0.5
    assert 0.005 < differences[299] < 0.3


def test_averages_that_count_the_padding_darken_the_border_of_every_inception_module() -> None:
    """torchvision's module against ours with the same weights: inside equal, up to 5/9 missing at the border."""
    theirs = torchvision.models.inception.InceptionA(8, 32).eval()
    module = InceptionA(8, 32, gamma=True).eval()
    module.load_state_dict(theirs.state_dict())
    x = torch.rand(1, 8, 9, 9) + 1
    with torch.no_grad():
        difference = (theirs(x) - module(x)).abs()
        assert difference[:, :-32].max() < 1e-5, "the other branches agree"
        assert difference[:, :, 1:-1, 1:-1].max() < 1e-5, "and so do all inside"
        assert (difference[:, -32:].amax((0, 1)) > 0.01).sum() == 4 * 8, "every pixel of the border differs"
    ones = torch.ones(1, 1, 5, 5)
    corner, side = F.avg_pool2d(ones, 3, 1, 1)[0, 0, 0, :2].tolist()
    assert (corner, side) == (pytest.approx(4 / 9), pytest.approx(6 / 9))


def test_one_averaging_rule_for_another_changes_inception_v3s_logits() -> None:
    torch.manual_seed(0)
    model = build_model("inception_v3", 10, gamma=True)
    calibrate(model)
    expected = logits(model, 299)
    contract = model.input_contract
    model.adopt(type(contract)(**{**vars(contract), "counts_padding": True}))
    assert 0.02 < distance(logits(model, 299), expected) < 1


def test_there_is_a_7_in_every_module_of_the_17x17_grid(keras_net: Callable[..., object]) -> None:
    """Figure 6 leaves n open; section 3.2 says 7. Keras has 26 such layers, and n = 3 is a network of 2.9 M fewer."""
    import keras

    network = keras_net("inception_v3").base  # type: ignore[attr-defined]
    kernels = [layer.kernel_size for layer in network.layers if isinstance(layer, keras.layers.Conv2D)]
    assert sum(7 in kernel for kernel in kernels) == 26
    with torch.device("meta"):
        seven, three = (build_model("inception_v3", n=n) for n in (7, 3))
    long = [conv for conv in seven.modules() if isinstance(conv, nn.Conv2d) and 7 in conv.kernel_size]
    assert len(long) == 26
    fewer = sum(conv.weight.numel() for conv in long) * 4 // 7
    counts = [sum(parameter.numel() for parameter in model.parameters()) for model in (seven, three)]
    assert counts[0] - counts[1] == fewer == 2_949_120


def test_xception_has_a_residual_around_every_module_but_two(keras_net: Callable[..., object]) -> None:
    """Twelve of fourteen, four of them by a convolution: the entry and the exit flow are not without."""
    network = keras_net("xception").base  # type: ignore[attr-defined]
    sums = [layer for layer in network.layers if layer.__class__.__name__ == "Add"]
    assert len(sums) == 12
    with torch.device("meta"):
        whole, plain = (build_model("xception", residual=residual) for residual in (True, False))
    shortcuts = [name for name, _ in whole.named_modules() if name.endswith(".shortcut")]
    assert shortcuts == ["block2.shortcut", "block3.shortcut", "block4.shortcut", "block13.shortcut"]
    missing = [sum(parameter.numel() for parameter in model.parameters()) for model in (whole, plain)]
    assert missing[0] - missing[1] == 972_800 + 4_272


def test_a_separable_convolution_is_depthwise_first() -> None:
    """Keras' layer, with square weights that both orders could take."""
    import keras

    layer = keras.layers.SeparableConv2D(6, 3, padding="same", use_bias=False)
    x = torch.randn(1, 6, 8, 8)
    expected = torch.as_tensor(layer(x.movedim(1, -1))).detach().movedim(-1, 1)
    depthwise, pointwise = (torch.as_tensor(weight.value).detach() for weight in layer.weights)
    module = SeparableConv2d(6, 6)
    with torch.no_grad():
        module.depthwise.weight.copy_(depthwise.permute(2, 3, 0, 1))
        module.pointwise.weight.copy_(pointwise.permute(3, 2, 0, 1))
        assert distance(module(x), expected) < 1e-5
        reversed_order = F.conv2d(F.conv2d(x, module.pointwise.weight), module.depthwise.weight, padding=1, groups=6)
    assert distance(reversed_order, expected) > 0.1


def test_the_middle_flow_works_on_19x19(keras_net: Callable[..., object]) -> None:
    """18 is what unpadded pools would leave of 37; the published weights pad."""
    with torch.device("meta"):
        model = build_model("xception", features_only=True)
        maps = model.eval()(torch.empty(1, 3, 299, 299))
    assert isinstance(maps, list)
    assert [m.shape[2] for m in maps] == [147, 74, 37, 19, 10]
    assert F.max_pool2d(torch.zeros(1, 1, 37, 37), 3, 2).shape[2] == 18
    full = keras_net("xception").full  # type: ignore[attr-defined]
    assert full.get_layer("block4_pool").output.shape[1:3] == (19, 19)


def test_keras_depth_multiplier_is_not_the_papers_resolution_multiplier() -> None:
    """One changes the filters of each channel, the other the side of the picture, and no parameter."""
    import keras

    assert "called the resolution multiplier" in " ".join(keras.applications.MobileNet.__doc__.split())
    counts = [keras.applications.MobileNet(weights=None, depth_multiplier=n).count_params() for n in (1, 2)]
    assert counts == [4_253_864, 7_457_928]
    costs = []
    for side in (224, 192, 160, 128):
        with torch.device("meta"):
            model = build_model("mobilenet_v1", resolution=side)
        assert sum(parameter.numel() for parameter in model.parameters()) == 4_231_976
        costs.append(round(profile(model, (1, 3, side, side)).macs / 1e6))
    assert costs == [569, 418, 291, 186], "table 7 prints 290 for the third"


def test_the_keras_networks_train_without_the_papers_dropout(keras_net: Callable[..., object]) -> None:
    """arXiv:1610.02357, section 4.2.2: dropout of 0.5 before the classifier, for both networks."""
    for name in ("xception", "inception_v3"):
        layers = keras_net(name).full.layers  # type: ignore[attr-defined]
        assert not [layer for layer in layers if "Dropout" in layer.__class__.__name__]
    with torch.device("meta"):
        head = build_model("xception").head
    assert head is not None
    assert head.get_submodule("dropout").p == 0.5


def test_the_5x5_of_torchvisions_googlenet_is_a_3x3() -> None:
    """Its source calls that a known bug; with the window printed there are a third of a million weights more."""
    network = torchvision.models.googlenet(weights=None, aux_logits=False, init_weights=False)
    kernels = {conv.kernel_size for conv in network.modules() if isinstance(conv, nn.Conv2d)}
    assert kernels == {(1, 1), (3, 3), (7, 7)}
    with torch.device("meta"):
        printed, theirs = (build_model("inception_v1", batch_norm=True, five_by_five=five) for five in (True, False))
    counts = [sum(parameter.numel() for parameter in model.parameters()) for model in (printed, theirs)]
    assert counts[1] == sum(parameter.numel() for parameter in network.parameters()) == 6_624_904
    assert counts[0] - counts[1] == 16 * sum(a * b for a, b in FIVE_BY_FIVE) == 380_928


FIVE_BY_FIVE = (  # arXiv:1409.4842, table 1: #5x5 reduce, #5x5
    *((16, 32), (32, 96)),
    *((16, 48), (24, 64), (24, 64), (32, 64), (32, 128)),
    *((32, 128), (48, 128)),
)
