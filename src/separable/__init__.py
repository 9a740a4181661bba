"""Image models made of Inception modules and depthwise separable convolutions.

Names are imported on first use (PEP 562), so that `import separable` needs neither torch nor time.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from separable import ops as ops
    from separable.analysis import profile as profile
    from separable.blocks.accelerate import accelerate as accelerate
    from separable.machine.runtime import tune_runtime as tune_runtime
    from separable.models import list_models as list_models
    from separable.models import model_spec as model_spec
    from separable.runtime import load_predictor as load_predictor
    from separable.weights import create_model as create_model
    from separable.weights import load_model as load_model
    from separable.weights import load_weights as load_weights
    from separable.weights import save_model as save_model

__version__ = "0.1.0"
__all__ = [
    "accelerate",
    "create_model",
    "list_models",
    "load_model",
    "load_predictor",
    "load_weights",
    "model_spec",
    "ops",
    "profile",
    "save_model",
    "tune_runtime",
]

_HOMES = {
    "accelerate": "separable.blocks.accelerate",
    "create_model": "separable.weights",
    "list_models": "separable.models",
    "load_model": "separable.weights",
    "load_predictor": "separable.runtime",
    "load_weights": "separable.weights",
    "model_spec": "separable.models",
    "profile": "separable.analysis",
    "save_model": "separable.weights",
    "tune_runtime": "separable.machine.runtime",
}


def __getattr__(name: str) -> object:
    if name == "ops":
        return import_module("separable.ops")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'separable' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
