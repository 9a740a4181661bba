"""Anybody's network, from `file.py:factory`."""

import importlib.util
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from separable.errors import UsageError

__all__ = ["load_factory"]


def load_factory(file: Path, name: str, num_classes: int | None = None) -> nn.Module:
    """Run `file` and call its function `name`, without arguments but `num_classes`, where it is given and has a place.

    Raises:
        UsageError: the file does not run, has no such function, or the function returns no `nn.Module`.
    """
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None:
        raise UsageError(f"{file} is not a Python file", expected="file.py:factory")
    module = importlib.util.module_from_spec(spec)
    folder = str(file.resolve().parent)
    sys.path.insert(0, folder)  # so that the file's own imports work as they do when it is run
    try:
        spec.loader.exec_module(module)
        factory = getattr(module, name, None)
        if not callable(factory):
            raise UsageError(f"{file} has no function {name!r}", fix="Name a function that returns a model")
        model = factory(**_arguments(factory, num_classes))
    except UsageError:
        raise
    except (Exception, SystemExit) as error:  # sys.exit in there ends nothing of ours
        raise UsageError(f"{file}:{name} failed", got=f"{type(error).__name__}: {error}".rstrip(": ")) from error
    finally:
        sys.path.remove(folder)
    if not isinstance(model, nn.Module):
        raise UsageError(f"{file}:{name} returned no network", got=type(model).__name__, expected="a torch.nn.Module")
    return model


def _arguments(factory: Callable[..., Any], num_classes: int | None) -> dict[str, Any]:
    try:
        parameters = inspect.signature(factory).parameters
    except (TypeError, ValueError):  # some that are not written in Python do not say
        return {}
    return {} if num_classes is None or "num_classes" not in parameters else {"num_classes": num_classes}
