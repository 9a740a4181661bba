"""`from separable.blocks import Block` works for whatever a docstring or a drawing names."""

import importlib
import inspect
import pkgutil

from torch import nn

from separable import blocks


def test_every_block_is_exported() -> None:
    """Those of `blocks.accelerate` aside, which nobody writes: `accelerate` puts them in a network."""
    defined = {
        name
        for module in pkgutil.iter_modules(blocks.__path__, "separable.blocks.")
        if not module.ispkg
        for name, value in vars(importlib.import_module(module.name)).items()
        if inspect.isclass(value) and issubclass(value, nn.Module) and value.__module__ == module.name
    }
    assert {"BNInception", "ReducedInception", "ConvBN"} < defined
    assert {name for name in defined if not name.startswith("_")} <= set(blocks.__all__)
