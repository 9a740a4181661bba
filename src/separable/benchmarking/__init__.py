"""Peers side by side in one run: the harness behind `separable bench`."""

__all__: list[str] = []
