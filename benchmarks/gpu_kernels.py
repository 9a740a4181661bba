"""What `gpu.py` times of single kernels: the ceilings, the depthwise convolution, the fused unit by plan."""

import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from separable.ops.triton.configs import tuner, tuning
from separable.ops.triton.depthwise import depthwise_backward_triton, depthwise_triton
from separable.ops.triton.language import is_interpreting
from separable.ops.triton.unit import Plan, separable_unit

__all__ = ["ceilings", "depthwise", "units"]

SMALL = is_interpreting()
DEVICE = "cpu" if SMALL else "cuda"
BATCH = 1 if SMALL else 128
BF16 = torch.bfloat16
SHAPES = [(4, 4)] if SMALL else [(128, 147), (728, 19), (256, 74), (728, 37), (1024, 10), (1536, 10)]
"""Channels and side of Xception's separable convolutions at 299: entry, middle and exit flow."""
PRODUCTS = [(4, 5, 3)] if SMALL else [(128, 128, 147), (728, 728, 19), (64, 128, 147), (256, 256, 74)]
"""Channels in and out and side of whole units."""
STEPS = ([1, 1], [1, 1, 1, 1], [1, 1])

Report = dict[str, Any]
Call = Callable[[], object]


def median_ms(call: Call, budget_ms: int = 60) -> float:
    """Milliseconds by device events, the cache emptied in between."""
    if SMALL:
        started = time.perf_counter()
        call()
        return 1e3 * (time.perf_counter() - started)
    from triton.testing import do_bench

    return float(do_bench(call, warmup=10, rep=budget_ms, return_mode="median"))


def ceilings(report: Report) -> None:
    """A large copy, bytes read and written, and a large product; random numbers."""
    n, side = (1 << 12, 64) if SMALL else (1 << 30, 8192)
    source, target = torch.randn(n, device=DEVICE).to(BF16), torch.empty(n, device=DEVICE, dtype=BF16)
    a, b = (torch.randn(side, side, device=DEVICE, dtype=BF16) for _ in range(2))
    copy, product = median_ms(lambda: target.copy_(source), 200), median_ms(lambda: a @ b, 300)
    report["ceilings"] = {"copy_tb_s": 4 * n / copy / 1e9, "product_tflop_s": 2 * side**3 / product / 1e9}


def depthwise(report: Report) -> None:
    """Milliseconds with the table's configuration and the tuned one; bytes moved once as a share of the copy."""
    report["depthwise"] = rows = []
    for channels, side in SHAPES:
        row: Report = {"shape": [BATCH, channels, side, side]}
        rows.append(row)
        _depthwise_row(row, channels, side, report.get("ceilings", {}).get("copy_tb_s", float("nan")))
        print("  depthwise", row, flush=True)


def _maps(channels: int, side: int) -> Tensor:
    x = torch.randn(BATCH, channels, side, side, device=DEVICE, dtype=BF16)
    return x.contiguous(memory_format=torch.channels_last)


def _depthwise_row(row: Report, channels: int, side: int, ceiling: float) -> None:
    x, w = _maps(channels, side), torch.randn(channels, 1, 3, 3, device=DEVICE, dtype=BF16)
    calls = _depthwise_calls(x, torch.randn_like(x), w)
    row["table_ms"] = {name: median_ms(call) for name, (_, call) in calls.items()}
    before, started = tuner().spent, time.perf_counter()
    if not SMALL:  # nothing can be timed in the interpreter
        with tuning():
            for name, (_, call) in calls.items():
                if name.endswith("bn and relu"):
                    call()
    row["tuning_s"], row["tuning_device_ms"] = time.perf_counter() - started, tuner().spent - before
    row["tuned_ms"] = {name: median_ms(call) for name, (_, call) in calls.items()}
    bytes_once = x.numel() * x.element_size()
    row["share"] = {
        name: passes * bytes_once / row["tuned_ms"][name] / 1e9 / ceiling for name, (passes, _) in calls.items()
    }


def _depthwise_calls(x: Tensor, g: Tensor, w: Tensor) -> dict[str, tuple[int, Call]]:
    """Passes over memory at the least, and the call. torch's backward is both of ours: at the least three, too."""
    c = x.shape[1]
    scale, shift = torch.rand(2, c, device=x.device).unbind()
    whole = (g, x, w, None, [1, 1], [1, 1], [1, 1], False, [0, 0], c, [True, True, False])
    back = depthwise_backward_triton
    return {
        "forward": (2, lambda: depthwise_triton(x, w, None, None, None, False, *STEPS)),
        "forward with bn and relu": (2, lambda: depthwise_triton(x, w, None, scale, shift, True, *STEPS)),
        "backward with bn and relu": (3, lambda: back(g, x, w, scale, shift, True, *STEPS, None, True, True)),
        "backward": (3, lambda: back(g, x, w, None, None, False, *STEPS, None, True, True)),
        "backward weight": (2, lambda: back(g, x, w, None, None, False, *STEPS, None, False, True)),
        "torch forward": (2, lambda: F.conv2d(x, w, padding=1, groups=c)),
        "torch backward": (3, lambda: torch.ops.aten.convolution_backward(*whole)),
    }


def units(report: Report) -> None:
    """BN + ReLU + depthwise + pointwise + moments, forward and both ways, by plan, beside stock operators."""
    report["units"] = rows = []
    for channels, outputs, side in PRODUCTS:
        row: Report = {"shape": [BATCH, channels, side, side, outputs], "forward_ms": {}, "both_ms": {}, "failures": {}}
        rows.append(row)
        for plan in ("matmul", "epilogue", "window", "stock"):
            try:
                _unit_times(row, plan, *_unit_calls(channels, outputs, side, plan))
            except RuntimeError as error:  # the other plans can still be timed
                row["failures"][plan] = str(error)[:1000]
        print("  unit", row, flush=True)


def _unit_times(row: Report, plan: str, forward: Call, both: Call) -> None:
    if not SMALL:
        with tuning():
            both()
    with torch.no_grad():
        row["forward_ms"][plan] = median_ms(forward)
    row["both_ms"][plan] = median_ms(both)


def _unit_calls(c: int, o: int, side: int, plan: Any) -> tuple[Call, Call]:
    x, dz = _maps(c, side).requires_grad_(), _maps(o, side)
    leaves = (torch.rand(c), torch.rand(c), torch.randn(c, 1, 3, 3), torch.randn(o, c, 1, 1) / c**0.5)
    scale, shift, dw, pw = (t.to(DEVICE).requires_grad_() for t in leaves)
    bn = torch.nn.BatchNorm2d(c).to(DEVICE)

    def forward(plan: Plan = plan) -> Tensor:
        return separable_unit(x, scale, shift, True, dw, pw, plan)[0]

    def stock() -> Tensor:
        return F.conv2d(F.conv2d(bn(x).relu(), dw.to(BF16), padding=1, groups=c), pw.to(BF16))

    run = stock if plan == "stock" else forward
    return run, lambda: run().backward(dz)
