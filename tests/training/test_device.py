"""A GPU that is not there, and what a GPU is told when the same bits are wanted."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from separable.errors import UsageError
from separable.training.device import demand_device, settle_device
from tests.training.killable import small_config


def test_a_gpu_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    message = r"There is no GPU that torch can use\. Got: device cuda, torch \d.*Give --device cpu"
    with pytest.raises(UsageError, match=message):
        demand_device("cuda")
    demand_device("cpu")


@pytest.mark.parametrize(("device", "deterministic"), [("cuda", True), ("cuda", False), ("cpu", True)])
def test_a_gpu_alone_is_told_to_be_deterministic(
    device: str, deterministic: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")  # so that it is put back
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    told: list[bool] = []
    monkeypatch.setattr(torch, "use_deterministic_algorithms", told.append)
    settle_device(replace(small_config(tmp_path, tmp_path), device=device, deterministic=deterministic))
    wanted = device == "cuda" and deterministic
    assert told == ([True] if wanted else [])
    assert os.environ.get("CUBLAS_WORKSPACE_CONFIG") == (":4096:8" if wanted else None)
    assert torch.backends.cudnn.benchmark != wanted
