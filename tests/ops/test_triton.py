"""Starts the tests of the Triton kernels in its interpreter, which has to be chosen before Triton is imported."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from separable import ops
from separable.errors import UsageError
from separable.ops.triton import triton_status

FOLDER = Path(__file__).parent / "interpreted"
ROOT = FOLDER.parents[2]
installed = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="Triton is not installed: the kernels were not interpreted"
)


@installed
@pytest.mark.parametrize("name", ["check_depthwise.py", "check_unit.py"])
def test_in_the_interpreter(name: str, tmp_path: Path) -> None:
    environment = {**os.environ, "TRITON_INTERPRET": "1", "SEPARABLE_CACHE": str(tmp_path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(FOLDER / name)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "skipped" not in done.stdout


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_on_the_cpu_it_is_refused() -> None:
    with pytest.raises(UsageError, match="Expected: float32, bfloat16 or float16 on cuda") as caught:
        ops.depthwise_conv2d(torch.zeros(1, 2, 3, 3), torch.ones(2, 1, 3, 3), implementation="triton")
    assert 'Use implementation="auto"' in str(caught.value)
    assert not triton_status().available
    assert triton_status().reason


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_on_the_device(dtype: torch.dtype) -> None:
    x = torch.randn(3, 31, 19, 20, device="cuda", dtype=dtype, requires_grad=True)
    w = torch.randn(31, 1, 3, 3, device="cuda", dtype=dtype, requires_grad=True)
    y = ops.depthwise_conv2d(x, w, None, 1, "same", 1, "triton")
    g = torch.randn_like(y)
    truth = ops.depthwise_conv2d(x.double(), w.double(), None, 1, "same", 1, "reference")
    expected = torch.autograd.grad(truth, (x, w), g.double())
    found = torch.autograd.grad(y, (x, w), g)
    for ours, theirs in zip((y, *found), (truth, *expected), strict=True):
        assert (ours.double() - theirs).abs().max() <= 4 * torch.finfo(dtype).eps * theirs.abs().max()
