"""oneDNN 3.12 corrupts memory in the weight gradient of a strided 1x1 convolution; no network may send one there."""

import os
import subprocess
import sys

import pytest
import torch
from torch import nn

from separable.models import build_model, list_models

TRAIN = """
import torch
from separable.models import build_model
torch.set_num_threads(2)
model = build_model("xception", 3, width=0.125, middle_blocks=0, stem_stride=1).to(memory_format=torch.channels_last)
for _ in range(4):
    x = torch.randn(3, 3, 32, 32).to(memory_format=torch.channels_last)
    model(x).square().mean().backward()
"""


@pytest.mark.parametrize("name", list_models())
def test_no_network_has_a_strided_1x1_convolution(name: str) -> None:
    with torch.device("meta"):
        model = build_model(name)
    convolutions = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    assert not [conv for conv in convolutions if conv.kernel_size == (1, 1) and conv.stride != (1, 1)]


def test_odd_batches_in_channels_last_do_not_crash() -> None:
    environment = {**os.environ, "OMP_WAIT_POLICY": "passive"}
    result = subprocess.run([sys.executable, "-c", TRAIN], capture_output=True, text=True, check=False, env=environment)
    assert result.returncode == 0, result.stderr
