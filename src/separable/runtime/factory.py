"""Anybody's network, from `file.py:factory`."""

import importlib.util
import sys
from pathlib import Path

from torch import nn

from separable.errors import UsageError

__all__ = ["load_factory"]


def load_factory(file: Path, name: str) -> nn.Module:
    """Run `file` and call its function `name` without arguments.

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
        model = factory()
    except UsageError:
        raise
    except (Exception, SystemExit) as error:  # sys.exit in there ends nothing of ours
        raise UsageError(f"{file}:{name} failed", got=f"{type(error).__name__}: {error}".rstrip(": ")) from error
    finally:
        sys.path.remove(folder)
    if not isinstance(model, nn.Module):
        raise UsageError(f"{file}:{name} returned no network", got=type(model).__name__, expected="a torch.nn.Module")
    return model
