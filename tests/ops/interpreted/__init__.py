"""Tests that run in Triton's interpreter, in a process of their own: `tests/ops/test_triton.py` starts it."""
