"""The CPU kernels for the tests that ask for them, and out of use again afterwards."""

import sys
from collections.abc import Iterator

import pytest

from separable.ops.cpu import build


@pytest.fixture(scope="module")
def kernels() -> Iterator[None]:
    """Built and in use. `auto` means plain torch again in the next module: its bits are others."""
    before = build._loaded, build._automatic
    status = build.load_kernels()
    if not status.available and (sys.platform != "linux" or "no C++ compiler was found" in status.reason):
        pytest.skip(f"the CPU kernels were not tested: {status.reason}")
    assert status.available, status.reason
    yield
    build._loaded, build._automatic = before
