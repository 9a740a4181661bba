"""The networks that `gpu.py` times, and how each contestant runs them."""

import copy
import statistics
import time
import types
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from separable.blocks.accelerate import chain, plans
from separable.blocks.mobilenet import DepthwiseBN
from separable.models import build_model
from separable.ops.triton import unit
from separable.ops.triton.depthwise import depthwise_triton
from separable.ops.triton.language import is_interpreting

__all__ = ["CONTESTANTS", "check_network", "time_network"]

TIMM_NAMES = {"xception": "legacy_xception", "inception_v3": "inception_v3", "mobilenet_v1": "mobilenetv1_100"}
SMALL = is_interpreting()
DEVICE = "cpu" if SMALL else "cuda"
SMALL_OPTIONS: dict[str, dict[str, Any]] = {
    "xception": {"width": 0.02, "middle_blocks": 1},
    "inception_v3": {"width": 0.05},
    "mobilenet_v1": {"width": 0.05},
}
"""Options that make each network small enough for the interpreter."""
CONTESTANTS = [
    ("xception", "ours_graph"),
    ("xception", "channels_last"),
    ("xception", "ours"),
    ("xception", "compiled"),
    ("inception_v3", "channels_last"),
    ("inception_v3", "compiled"),
    ("xception", "ours_window_graph"),
    ("mobilenet_v1", "ours_graph"),
    ("mobilenet_v1", "channels_last"),
    ("xception", "channels_last_graph"),
    ("xception", "eager"),
    ("inception_v3", "eager"),
    ("mobilenet_v1", "eager"),
    ("mobilenet_v1", "compiled"),
]
"""Most important first: what no time is left for is said to be missing."""
if SMALL:  # one of each kind
    CONTESTANTS = [
        ("xception", "ours"),
        ("xception", "eager"),
        ("inception_v3", "channels_last_graph"),
        ("mobilenet_v1", "ours"),
        ("mobilenet_v1", "compiled"),
    ]

Timed = tuple[Callable[[], object], int]
"""A call to time, and the pictures in it."""


def make_network(name: str, source: str) -> nn.Module:
    """`source` "timm" is what its users have; "separable" ours, in plain torch."""
    if source == "timm" and not SMALL:
        import timm

        return timm.create_model(TIMM_NAMES[name], num_classes=1000).to(DEVICE)  # type: ignore[no-any-return]
    model: nn.Module = build_model(name, num_classes=10 if SMALL else 1000, **(SMALL_OPTIONS[name] if SMALL else {}))
    return model.to(DEVICE)


def use_triton(model: nn.Module, plan: str = "auto", keep: bool = True) -> int:
    """Let every block of Xception and depthwise layer of MobileNet in `model` run by the kernels; how many do."""
    taken: dict[str, Any] = {name: getattr(unit, name) for name in ("add_normalised", "pool_normalised")}
    taken["depthwise_cpu"] = depthwise_triton
    taken["separable_unit"] = lambda *inputs: _sampled(unit.separable_unit(*inputs[:6], plan, keep), *inputs[6:])  # type: ignore[arg-type]
    taken["affine_act"] = lambda z, scale, shift, act: _activate(unit.add_normalised(z, scale, shift, None), act)
    taken["pointwise_product"] = _product
    taken["pointwise_with_moments"] = lambda x, weight: _with_moments(_product(x, weight))
    for name, function in taken.items():
        setattr(chain, name, function)
    changed = 0
    for module in model.modules():
        planned = plans.plan_chain(module, type(module)) if plans.planner_of(type(module)) else None
        if isinstance(planned, chain.Chain):
            module.forward = types.MethodType(_chained(planned), module)  # type: ignore[method-assign]
            changed += 1
        elif isinstance(module, DepthwiseBN):
            module.forward = types.MethodType(lambda self, x: self.run(x, "triton"), module)  # type: ignore[method-assign]
            changed += 1
    return changed


def _activate(y: Tensor, act: int) -> Tensor:
    assert act == 1, "a chain ends in ReLU or in nothing"
    return y.relu()


def _sampled(found: tuple[Tensor, ...], step: int = 1) -> tuple[Tensor, ...]:
    """A unit's results, the last of them every `step`-th row and column of its input."""
    return (*found[:3], found[3][:, :, ::step, ::step])


def _product(x: Tensor, weight: Tensor) -> Tensor:
    return torch.nn.functional.conv2d(x, weight.to(x.dtype))


def _with_moments(y: Tensor) -> tuple[Tensor, ...]:
    return (y, *unit.moments(y))


def _chained(planned: chain.Chain) -> Callable[[nn.Module, Tensor], Tensor]:
    def forward(self: nn.Module, x: Tensor) -> Tensor:
        if torch.is_autocast_enabled(x.device.type):
            x = x.to(torch.get_autocast_dtype(x.device.type))
        return chain.run_chain(planned, x.contiguous(memory_format=torch.channels_last))

    return forward


def check_network() -> dict[str, Any]:
    """Loss and every gradient of a narrow Xception in training, ours and plain torch's fp32 against fp64.

    The factor of four is for 27 layers of batch normalisation, which carry another rounding on differently.
    """
    options = SMALL_OPTIONS["xception"] if SMALL else {"width": 0.5, "middle_blocks": 2}
    plain = build_model("xception", num_classes=10, dropout=0.0, **options).to(DEVICE).train()
    x = torch.randn(1 if SMALL else 4, 3, 71, 71, device=DEVICE)
    wide, ours = copy.deepcopy(plain).double(), copy.deepcopy(plain).to(memory_format=torch.channels_last)
    modules = use_triton(ours)

    def run(model: nn.Module, x: Tensor) -> list[Tensor]:
        y = model(x)
        return [y, *torch.autograd.grad(y.square().mean(), list(model.parameters()))]

    truth, theirs, found = run(wide, x.double()), run(plain, x), run(ours, x)
    total = sum(t.square().sum() for t in truth[1:]).sqrt()
    mine, other = (
        (sum((a.double() - b).square().sum() for a, b in zip(some[1:], truth[1:], strict=True)).sqrt() / total).item()
        for some in (found, theirs)
    )
    passed = mine <= 4 * max(other, 1e-5) and modules > 0
    return {"what": "network", "dtype": "float32", "error": mine, "torch": other, "modules": modules, "passed": passed}


def training(model: nn.Module, batch: int, side: int, graph: bool) -> Timed:
    """Forward, loss, backward and SGD with momentum under bf16 autocast on random pictures that lie on the device."""
    last = next(p for p in model.parameters() if p.dim() == 4).is_contiguous(memory_format=torch.channels_last)
    x = torch.randn(batch, 3, side, side, device=DEVICE)
    x = x.contiguous(memory_format=torch.channels_last) if last else x
    classes = torch.randint(0, 10, (batch,), device=DEVICE)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
    model.train()

    def step() -> Tensor:
        optimizer.zero_grad()
        with torch.autocast(DEVICE, torch.bfloat16, cache_enabled=not graph):
            loss = torch.nn.functional.cross_entropy(model(x), classes)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return (_captured(step) if graph else step), batch


def inference(model: nn.Module, batch: int, side: int, graph: bool) -> Timed:
    """Eval mode under bf16 autocast."""
    model.eval()
    x = torch.randn(batch, 3, side, side, device=DEVICE).contiguous(memory_format=torch.channels_last)

    def run() -> Tensor:
        with torch.no_grad(), torch.autocast(DEVICE, torch.bfloat16, cache_enabled=not graph):
            y: Tensor = model(x)
        return y

    return (_captured(run) if graph else run), batch


def _captured(call: Callable[[], object]) -> Callable[[], object]:
    """The same work as one CUDA graph, so that launching its hundreds of kernels takes no time."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            call()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call()
    return graph.replay


def time_network(row: dict[str, Any], name: str, contestant: str) -> None:
    """Images a second and peak memory of training and inference, into `row`."""
    if SMALL:
        side, batches = (
            {"xception": 71, "inception_v3": 79, "mobilenet_v1": 33}[name],
            {"train": 1 if name == "xception" else 2, "infer": 1},
        )
    else:
        side, batches = 224 if name == "mobilenet_v1" else 299, {"train": 128, "infer": 256}
    kind, graph = contestant.removesuffix("_graph"), contestant.endswith("_graph") and not SMALL
    model = make_network(name, "separable" if kind.startswith("ours") else "timm")
    if kind != "eager":
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if kind.startswith("ours"):
        row["modules"] = use_triton(model, "window" if kind == "ours_window" else "auto")
    if kind == "compiled":
        model = torch.compile(model, backend="eager" if SMALL else "inductor")  # type: ignore[assignment]
    for what, make in (("train", training), ("infer", inference)):
        started = time.perf_counter()
        if not SMALL:
            torch.cuda.reset_peak_memory_stats()
        call, pictures = make(model, batches[what], side, graph)
        times = _time_steps(call)
        row[what] = {
            "images_s": pictures / statistics.median(times),
            "spread": (max(times) - min(times)) / statistics.median(times),
            "wall_s": time.perf_counter() - started,
            "peak_gb": 0 if SMALL else torch.cuda.max_memory_allocated() / 1e9,
        }


def _time_steps(call: Callable[[], object]) -> list[float]:
    """Seconds a step, of several groups of steps."""
    groups, steps = (1, 1) if SMALL else (7, 3)
    if not SMALL:
        for _ in range(3):
            call()
        torch.cuda.synchronize()
    times = []
    for _ in range(groups):
        started = time.perf_counter()
        for _ in range(steps):
            call()
        if not SMALL:
            torch.cuda.synchronize()
        times.append((time.perf_counter() - started) / steps)
    return times
