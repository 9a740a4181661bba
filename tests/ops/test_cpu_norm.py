"""Batch normalisation with its activation in one step, against torch's own modules in fp64, with every gradient."""

import pytest
import torch
from torch import Tensor, nn

from separable.ops.cpu.norm import Activation, affine_act, batch_norm_act
from tests.tolerances import CONVOLUTION_FP32, LOW_PRECISION_RATIO

pytestmark = pytest.mark.usefixtures("kernels")

MODULES: dict[Activation, nn.Module] = {
    Activation.NONE: nn.Identity(),
    Activation.RELU: nn.ReLU(),
    Activation.RELU6: nn.ReLU6(),
    Activation.SILU: nn.SiLU(),
    Activation.HARD_SWISH: nn.Hardswish(),
}
SHAPES = [(2, 40, 9, 8), (3, 1, 7, 5), (1, 3, 31, 2), (2, 96, 3, 3), (1, 1023, 2, 2)]


def norm_of(channels: int, affine: bool = True) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(channels, eps=1e-3, affine=affine)
    if affine:
        nn.init.normal_(norm.weight, 0.0, 2.0)
        nn.init.normal_(norm.bias, 1.0, 2.0)
    nn.init.normal_(norm.running_mean)
    nn.init.uniform_(norm.running_var, 0.5, 2.0)
    return norm


def outcome(norm: nn.BatchNorm2d, act: Activation, z: Tensor, ours: bool, about: float = 0.0) -> list[Tensor]:
    """The result, the gradients of z, weight and bias, and moments of the batch. about: the mean of its gradient."""
    z = z.detach().clone().requires_grad_()
    if ours:
        y, mean, variance = batch_norm_act(z, norm.weight, norm.bias, norm.eps, act)
    else:
        y = MODULES[act](norm(z))
        wide = z.detach().double()
        mean, variance = wide.mean((0, 2, 3)), wide.var((0, 2, 3), unbiased=False)
    weights = torch.randn(y.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    weights = weights + about
    leaves = [z, *norm.parameters()]
    return [y.detach(), *torch.autograd.grad((y.double() * weights).sum(), leaves), mean, variance]


def distances(got: list[Tensor], truth: list[Tensor]) -> list[float]:
    pairs = zip(got, truth, strict=True)
    return [((g.double() - t).abs().max() / t.abs().max().clamp(min=1e-6)).item() for g, t in pairs]


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("act", Activation)
@pytest.mark.parametrize("shape", SHAPES)
def test_in_training_it_is_torchs_in_fp64(shape: tuple[int, ...], act: Activation, affine: bool) -> None:
    norm, z = norm_of(shape[1], affine), 2 * torch.randn(shape) + 1
    twin = norm_of(shape[1], affine).double()
    twin.load_state_dict(norm.state_dict())
    truth = outcome(twin, act, z.double(), False)
    assert max(distances(outcome(norm, act, z, True), truth)) <= 10 * CONVOLUTION_FP32, "through a square root"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("act", Activation)
def test_in_low_precision_it_is_as_close_as_torch(act: Activation, dtype: torch.dtype) -> None:
    norm, z = norm_of(64), (2 * torch.randn(4, 64, 12, 13) + 1).to(dtype)
    twin = norm_of(64).double()
    twin.load_state_dict(norm.state_dict())
    truth = outcome(twin, act, z.double(), False)
    theirs, ours = (distances(outcome(norm, act, z, mine), truth) for mine in (False, True))
    for what, (own, their) in enumerate(zip(ours, theirs, strict=True)):
        assert own <= LOW_PRECISION_RATIO * max(their, floor(what, dtype)), f"number {what}: {own} against {their}"


def floor(what: int, dtype: torch.dtype) -> float:
    """Least distance that number `what` of an outcome is held to: y and dz are in `dtype`, all else in fp32."""
    return torch.finfo(dtype).eps / 2 if what < 2 else CONVOLUTION_FP32 / 2


@pytest.mark.parametrize("mean", [10.0, 100.0, 1000.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_far_from_zero_it_is_as_close_as_torch(dtype: torch.dtype, mean: float) -> None:
    """Means of 10 to 1000 deviations, and gradients that have a mean: dweight is what cancels."""
    norm, z = norm_of(64), (torch.randn(4, 64, 12, 13) + mean).to(dtype)
    twin = norm_of(64).double()
    twin.load_state_dict(norm.state_dict())
    truth = outcome(twin, Activation.NONE, z.double(), False, about=1.0)
    theirs, ours = (distances(outcome(norm, Activation.NONE, z, mine, about=1.0), truth) for mine in (False, True))
    for what, (own, their) in enumerate(zip(ours, theirs, strict=True)):
        least = torch.finfo(torch.float32).eps if what > 1 else torch.finfo(dtype).eps / 2
        assert own <= LOW_PRECISION_RATIO * max(their, least), f"number {what}: {own} against {their}"


@pytest.mark.parametrize("act", Activation)
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_comes_through(act: Activation, value: float) -> None:
    """A channel with NaN or infinity in it is as torch has it, and the others are untouched."""
    norm, z = norm_of(5), torch.randn(2, 5, 4, 3)
    z[1, 2, 3, 1] = value
    theirs = MODULES[act](norm(z)).detach()
    y, mean, variance = batch_norm_act(z, norm.weight, norm.bias, norm.eps, act)
    assert torch.equal(y.isnan(), theirs.isnan())
    torch.testing.assert_close(mean, z.mean((0, 2, 3)), equal_nan=True)
    torch.testing.assert_close(variance, z.var((0, 2, 3), unbiased=False), equal_nan=True)
    assert variance[2].isnan()


def test_moments_that_are_known_change_no_gradient() -> None:
    """They are taken as they are, and the gradient of z is that of batch normalisation all the same."""
    norm, z = norm_of(40), torch.randn(2, 40, 9, 8)
    wide = z.double()
    known = (wide.mean((0, 2, 3)).float(), wide.var((0, 2, 3), unbiased=False).float().requires_grad_())
    results = []
    for moments in (None, known):
        leaf = z.clone().requires_grad_()
        y, mean, variance = batch_norm_act(leaf, norm.weight, norm.bias, norm.eps, Activation.SILU, moments)
        results.append([y.detach(), *torch.autograd.grad(y.square().sum(), [leaf, *norm.parameters()]), mean, variance])
    assert max(distances(*results)) <= 10 * CONVOLUTION_FP32
    other = (known[0] + 1, known[1])
    assert torch.equal(batch_norm_act(z, None, None, norm.eps, Activation.NONE, other)[1], other[0])


@pytest.mark.parametrize("act", Activation)
def test_by_running_averages(act: Activation) -> None:
    norm, z = norm_of(37).eval(), torch.randn(2, 37, 6, 7)
    scale = norm.weight.detach() * torch.rsqrt(norm.running_var + norm.eps)
    leaves = [z, scale, norm.bias.detach() - norm.running_mean * scale]

    def by_hand(z: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        y: Tensor = MODULES[act](z * scale[:, None, None] + shift[:, None, None])
        return y

    results = []
    for function, dtype in ((by_hand, torch.float64), (lambda *t: affine_act(*t, act), torch.float32)):
        inputs = [t.detach().to(dtype).requires_grad_() for t in leaves]
        y = function(*inputs)
        weights = torch.linspace(-1, 1, y.numel(), dtype=torch.float64).view(y.shape)
        results.append([y.detach(), *torch.autograd.grad((y.double() * weights).sum(), inputs)])
    assert max(distances(results[1], results[0])) <= 10 * CONVOLUTION_FP32
    twin = norm_of(37).double().eval()
    twin.load_state_dict(norm.state_dict())
    torch.testing.assert_close(results[1][0].double(), MODULES[act](twin(z.double())), rtol=1e-5, atol=1e-5)


def test_only_what_is_needed_is_computed() -> None:
    norm, z = norm_of(8), torch.randn(2, 8, 5, 5)
    y, _, _ = batch_norm_act(z, norm.weight, norm.bias, norm.eps, Activation.RELU)
    kept = [t.numel() for t in y.grad_fn.saved_tensors if t.dim() == 4]  # type: ignore[union-attr]
    assert kept == [z.numel()], "the input alone is kept"
    y.sum().backward()
    assert norm.weight.grad is not None


def test_a_second_derivative_is_refused_and_not_wrong() -> None:
    norm, z = norm_of(8), torch.randn(2, 8, 5, 5, requires_grad=True)
    y, _, _ = batch_norm_act(z, norm.weight, norm.bias, norm.eps, Activation.SILU)
    (first,) = torch.autograd.grad(y.square().sum(), z, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


def test_torch_accepts_the_operators() -> None:
    cpu = torch.ops.separable_cpu
    for dtype in (torch.float32, torch.bfloat16):
        z, g = (torch.randn(2, 20, 7, 6).to(dtype).contiguous(memory_format=torch.channels_last) for _ in range(2))
        vectors = [torch.randn(20) for _ in range(5)]
        for operator, arguments in (
            (cpu.affine_act_forward, (z, *vectors[:2], 3)),
            (cpu.affine_act_sums, (g, z, *vectors[:2], 3)),
            (cpu.affine_act_backward, (g, z, *vectors[:2], 4, *vectors[2:])),
        ):
            torch.library.opcheck(operator.default, arguments, test_utils=("test_schema", "test_faketensor"))


@pytest.mark.compiles
def test_it_compiles_whole() -> None:
    norm, z = norm_of(8), torch.randn(2, 8, 5, 5)

    def run(z: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return batch_norm_act(z, weight, bias, 1e-3, Activation.SILU)[0]

    compiled = torch.compile(run, fullgraph=True, backend="aot_eager")
    arguments = (z, norm.weight, norm.bias)
    results = [torch.autograd.grad(f(*arguments).square().sum(), [norm.weight, norm.bias]) for f in (run, compiled)]
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b)
