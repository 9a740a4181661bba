"""What every test relies on: poisoned uninitialised memory, fixed threads, and the folder of real test data."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._device import _device_constructors

torch.set_num_threads(2)
_device_constructors()  # kept from its first call on: `with torch.device(...)` must know the functions poisoned below


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder named by SEPARABLE_TEST_DATA; tests that need it are marked `shared` and skip without it."""
    named = os.environ.get("SEPARABLE_TEST_DATA")
    if not named or not Path(named).is_dir():
        pytest.skip("SEPARABLE_TEST_DATA does not name a folder: the tests on real files were not run")
    return Path(named)


def _poisoned(make: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    def build(*arguments: Any, **options: Any) -> torch.Tensor:
        tensor = make(*arguments, **options)
        if tensor.device.type == "meta" or type(tensor) is not torch.Tensor:
            return tensor
        if tensor.is_floating_point():
            tensor.fill_(float("nan"))
        elif tensor.dtype != torch.bool:
            tensor.fill_(torch.iinfo(tensor.dtype).max)
        return tensor

    return build


@pytest.fixture(autouse=True)
def poison_uninitialised_memory(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """An output that is allocated and never written must not pass by luck, so `torch.empty*` returns NaN."""
    if not request.node.get_closest_marker("compiles"):
        for name in ("empty", "empty_like", "empty_strided"):
            monkeypatch.setattr(torch, name, _poisoned(getattr(torch, name)))


@pytest.fixture(autouse=True)
def fixed_seed() -> None:
    torch.manual_seed(0)
