"""The kernels through Triton's compiler for an H200 (sm_90), which needs no device: registers, spills, wide loads."""

import importlib.util
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

from separable.ops.triton.configs import Config, default_config
from separable.ops.triton.depthwise_kernels import backward_kernel, forward_kernel
from separable.ops.triton.unit_kernels import (
    combine_kernel,
    gather_kernel,
    moments_kernel,
    product_kernel,
    products_kernel,
)

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="Triton is not installed: nothing was compiled for sm_90"
)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))


def compile_kernel(kernel: Any, pointers: dict[str, str], constants: dict[str, Any], config: Config) -> tuple[str, int]:
    """PTX, and bytes of stack that a thread needs, which are registers spilled."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.backends.nvidia import compiler as nvidia
    from triton.compiler import ASTSource

    kinds = {name: "constexpr" if name in constants else pointers.get(name, "i32") for name in kernel.arg_names}
    aligned = {(n,): [["tt.divisibility", 16]] for n, name in enumerate(kernel.arg_names) if name in pointers}
    source = ASTSource(fn=kernel, signature=kinds, constexprs=constants, attrs=aligned)
    options = {"num_warps": config.warps, "num_stages": config.stages}
    made = triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options)
    tool = Path(nvidia.__file__).parent / "bin" / "cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(made.asm["cubin"])
        file.flush()
        usage = subprocess.run([tool, "--dump-resource-usage", file.name], capture_output=True, text=True, check=True)
    found = re.search(r"REG:\d+ STACK:(\d+)", usage.stdout)
    assert found, usage.stdout
    return made.asm["ptx"], int(found[1])


DEPTHWISE = {"VEC": 8, "SH": 1, "SW": 1, "DH": 1, "DW": 1, "AFFINE": True, "RELU": True}
VECTORS = {"scale": "*fp32", "shift": "*fp32"}


@pytest.mark.parametrize(
    "window", [3, pytest.param(5, marks=pytest.mark.slow), pytest.param(7, marks=pytest.mark.slow)]
)
def test_depthwise(window: int) -> None:
    """Without spills, and the weight's gradient beside the input's up to 5x5. 728 channels are read in vectors."""
    sides = {"KH": window, "KW": window}
    forward = default_config("forward", 728, window, 147)
    pieces = {"ROWS": forward.rows, "BW": forward.columns, "BC": forward.channels}
    pointers = {"x": "*bf16", "w": "*fp32", **VECTORS, "y": "*bf16"}
    constants = {**DEPTHWISE, **sides, **pieces, "bias": None, "BIAS": False}
    ptx, stack = compile_kernel(forward_kernel, pointers, constants, forward)
    assert stack == 0
    assert not re.search(r"ld\.global\.(b|u)16", ptx), "numbers are loaded one by one"

    backward = default_config("backward", 728, window, 147)
    pieces = {"STRIPS": 16, "ROWS": backward.rows, "BW": backward.columns, "BC": backward.channels}
    pointers = {"g": "*bf16", "x": "*bf16", "w": "*fp32", **VECTORS, "dx": "*bf16", "sums": "*fp32"}
    for needs in ((True, True),) if window < 7 else ((True, False), (False, True)):
        what = {"INPUT": needs[0], "WEIGHT": needs[1], "other": None, "OTHER": False}
        ptx, stack = compile_kernel(backward_kernel, pointers, {**DEPTHWISE, **sides, **pieces, **what}, backward)
        assert stack == 0
        assert not re.search(r"ld\.global\.(b|u)16", ptx)


@pytest.mark.parametrize("window", [False, True])
def test_product(window: bool) -> None:
    """On the tensor cores (wgmma), operands copied ahead (cp.async), nothing spilled."""
    config = default_config("window" if window else "product", 728)
    pointers = {"a": "*bf16", "b": "*bf16", "y": "*bf16", "sums": "*fp32", "squares": "*fp32"}
    given: dict[str, Any] = {"scale": None, "shift": None, "taps": None}
    if window:
        given, pointers = {}, {**pointers, **VECTORS, "taps": "*fp32"}
    constants = {"A_VEC": 8, "Y_VEC": 8, "WINDOW": window, "K": 3, "RELU": True, "AFFINE": True, "MOMENTS": True}
    pieces = {"DEPTHS": -(-728 // config.depth), "BM": config.columns, "BN": config.channels, "BK": config.depth}
    constants |= {"WIDEN": False, "PRECISION": "ieee", **pieces, **given}
    ptx, stack = compile_kernel(product_kernel, pointers, constants, config)
    assert stack == 0
    assert "wgmma" in ptx
    assert "cp.async" in ptx


def test_passes() -> None:
    config = default_config("pass", 728)
    pieces = {"VEC": 8, "BM": config.columns, "BC": config.channels}
    sums = {"sums": "*fp32", "squares": "*fp32"}
    gathered = {**sums, "sums_out": "*fp32", "squares_out": "*fp32"}
    whole = {"z": "*bf16", **VECTORS, "other": "*bf16", "y": "*bf16"}
    for kernel, pointers, constants in (
        (moments_kernel, {"z": "*bf16", **sums}, pieces),
        (products_kernel, {"g": "*bf16", "z": "*bf16", "sums": "*fp32"}, {**pieces, "STEPS": 16}),
        (combine_kernel, whole, {**pieces, "SHIFT": True, "OTHER": True}),
        (gather_kernel, gathered, {"LAST": True, "BB": 64, "BC": 32}),
    ):
        ptx, stack = compile_kernel(kernel, pointers, constants, config)
        assert stack == 0
        assert not re.search(r"ld\.global\.(b|u)16", ptx)
