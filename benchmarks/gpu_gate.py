"""The correctness gate of `gpu.py`: every kernel against fp64, on the device, before anything is timed."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from separable.ops.triton.depthwise import depthwise_backward_triton, depthwise_triton
from separable.ops.triton.passes import channel_moments, channel_products, combine
from separable.ops.triton.product import product
from separable.ops.triton.unit import separable_unit

__all__ = ["Check", "gate"]

# batch, channels, height, width, kernel, stride, border, dilation
CASES = [
    (2, 728, 19, 19, 3, 1, 1, 1),
    (3, 31, 19, 19, 3, 1, 1, 1),
    (2, 64, 37, 36, 3, 2, 1, 1),
    (1, 1, 1, 1, 3, 1, 1, 1),
    (1, 1023, 3, 5, 3, 1, 1, 1),
    (1, 40, 12, 11, 3, 1, 2, 2),
    (2, 96, 14, 15, 5, 1, 2, 1),
    (2, 33, 12, 9, 7, 1, 3, 1),
    (1, 128, 147, 147, 3, 1, 1, 1),
]
SMALL_CASES = [(1, 5, 4, 4, 3, 1, 1, 1), (1, 3, 5, 4, 3, 2, 1, 1)]
UNITS = [(2, 728, 728, 19, 19), (3, 31, 33, 7, 6), (1, 128, 128, 74, 74), (2, 64, 128, 37, 37)]
SMALL_UNITS = [(1, 5, 6, 3, 3)]

Check = dict[str, Any]


def gate(found: list[Check], device: str, small: bool) -> None:
    """Into `found`, for each kernel, type and shape: error against fp64, torch's own in that type, passed or not.

    bf16 first and on every shape; compiling takes seconds each, so the others have the shapes that differ most.
    """
    found += _tried("opcheck", torch.float32, (), lambda: _opcheck(device))
    for dtype in [torch.float32] if small else [torch.bfloat16, torch.float16, torch.float32]:
        cases = CASES if dtype == torch.bfloat16 else CASES[:5]
        for case in SMALL_CASES if small else cases:
            found += _tried("depthwise", dtype, case, lambda d=dtype, c=case: _depthwise(d, c, device))  # type: ignore[misc]
        for shape in SMALL_UNITS if small else UNITS:
            for plan in ("matmul", "epilogue", "window"):
                check = lambda d=dtype, s=shape, p=plan: _unit(d, s, p, device)  # type: ignore[misc]  # noqa: E731
                found += _tried(f"unit {plan}", dtype, shape, check)


def _tried(what: str, dtype: torch.dtype, shape: Sequence[int], check: Callable[[], list[Check]]) -> list[Check]:
    common = {"what": what, "dtype": str(dtype).removeprefix("torch."), "shape": list(shape)}
    try:
        return [{**common, **entry} for entry in check()]
    except Exception as error:  # a kernel that does not compile must not hide the others' results
        return [{**common, "passed": False, "failure": f"{type(error).__name__}: {error}"[:2000]}]


def _judged(
    names: Sequence[str], ours: Sequence[Any], theirs: Sequence[Any], truth: Sequence[Any], dtype: Any
) -> list[Check]:
    """At most twice torch's own error; the floor is one rounding (fp32: of sums of up to a million numbers)."""
    floor = torch.finfo(dtype).eps * (50 if dtype == torch.float32 else 0.5)
    checks = []
    for name, own, their, true in zip(names, ours, theirs, truth, strict=True):
        scale = true.abs().max().clamp(min=1e-9)
        mine = ((own.double() - true).abs().max() / scale).item()
        other = ((their.double() - true).abs().max() / scale).item()
        checks.append({"number": name, "error": mine, "torch": other, "passed": mine <= 2 * max(other, floor)})
    return checks


def _depthwise(dtype: torch.dtype, case: tuple[int, ...], device: str) -> list[Check]:
    n, c, h, w, k, s, p, d = case
    x, weight = torch.randn(n, c, h, w, device=device), torch.randn(c, 1, k, k, device=device)
    scale, shift = torch.randn(c, device=device), torch.randn(c, device=device)
    x = x.to(dtype).contiguous(memory_format=torch.channels_last)
    names = ("y", "x", "weight", "scale", "shift")

    def plain(wide: torch.dtype) -> list[Tensor]:
        leaves = [t.to(wide).requires_grad_() for t in (x, weight)]
        vectors = [t.to(torch.promote_types(wide, torch.float32)).requires_grad_() for t in (scale, shift)]
        a = (leaves[0] * vectors[0][:, None, None] + vectors[1][:, None, None]).relu().to(wide)
        y = F.conv2d(a, leaves[1], None, s, p, d, c)
        return [y, *torch.autograd.grad(y, (*leaves, *vectors), g.to(wide))]

    steps = ([s, s], [p] * 4, [d, d])
    y = depthwise_triton(x, weight.to(dtype), None, scale, shift, True, *steps)
    g = torch.randn(y.shape, device=device).to(dtype)
    arguments = (g, x, weight.to(dtype), scale, shift, True, *steps, None, True, True)
    ours = [y, *depthwise_backward_triton(*arguments)]
    again = depthwise_backward_triton(*arguments)
    weight = weight.to(dtype)
    same = all(torch.equal(a, b) for a, b in zip(ours[1:], again, strict=True))
    return [*_judged(names, ours, plain(dtype), plain(torch.float64), dtype), {"number": "bits repeat", "passed": same}]


def _unit(dtype: torch.dtype, shape: tuple[int, ...], plan: Any, device: str) -> list[Check]:
    n, c, o, h, w = shape
    x = torch.randn(n, c, h, w, device=device).to(dtype).contiguous(memory_format=torch.channels_last)
    rest = [torch.randn(c), torch.randn(c), torch.randn(c, 1, 3, 3), torch.randn(o, c, 1, 1) / c**0.5]
    rest = [t.to(device) for t in rest]
    g = torch.randn(n, o, h, w, device=device).to(dtype)
    cotangents = [torch.randn(o, device=device) for _ in range(2)]

    def run(function: Callable[..., Any], wide: torch.dtype) -> list[Tensor]:
        few = torch.promote_types(wide, torch.float32)
        leaves = [x.to(wide).requires_grad_(), *(t.to(few).requires_grad_() for t in rest)]
        outputs = function(*leaves)[:3]
        given = (g.to(wide), *(t.to(few) for t in cotangents))
        return [*outputs, *torch.autograd.grad(outputs, leaves, given)]

    def plain(x: Tensor, scale: Tensor, shift: Tensor, dw: Tensor, pw: Tensor) -> tuple[Tensor, ...]:
        a = (x.to(scale.dtype) * scale[:, None, None] + shift[:, None, None]).relu().to(x.dtype)
        z = F.conv2d(F.conv2d(a, dw.to(x.dtype), padding=1, groups=c), pw.to(x.dtype))
        far = z.to(scale.dtype)
        return z, far.mean((0, 2, 3)), far.var((0, 2, 3), unbiased=False)

    ours = run(lambda x, a, b, dw, pw: separable_unit(x, a, b, True, dw, pw, plan), dtype)
    names = ("z", "mean", "variance", "x", "scale", "shift", "depthwise", "pointwise")
    return _judged(names, ours, run(plain, dtype), run(plain, torch.float64), dtype)


def _opcheck(device: str) -> list[Check]:
    x, w, g = (torch.randn(*s, device=device) for s in ((1, 8, 4, 3), (8, 1, 3, 3), (1, 8, 4, 3)))
    scale, pw, steps = torch.rand(8, device=device), torch.randn(4, 8, 1, 1, device=device), ([1, 1], [1] * 4, [1, 1])
    calls: list[tuple[Any, tuple[Any, ...]]] = [
        (depthwise_triton, (x, w, None, scale, scale.clone(), True, *steps)),
        (depthwise_backward_triton, (g, x, w, scale, scale.clone(), True, *steps, None, True, True)),
        (product, (x, scale, scale.clone(), True, w, pw)),
        (channel_moments, (x,)),
        (channel_products, (g, x)),
        (combine, (x, scale, scale.clone(), g)),
    ]
    for operator, arguments in calls:
        torch.library.opcheck(operator, arguments, test_utils=("test_schema", "test_faketensor"))
    return [{"number": "schema and shapes", "passed": True}]
