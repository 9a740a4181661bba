"""The CPU kernels for the tests that ask for them: the fixture of tests/ops."""

from tests.ops.conftest import kernels

__all__ = ["kernels"]
