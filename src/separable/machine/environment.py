"""What a result was made with: versions, processor, threads. No git, no host name, no user name."""

import importlib.metadata
import os
import platform
import sys
from typing import Any

from separable.machine.processor import read_processor

__all__ = ["describe_environment", "package_versions"]

_PACKAGES = ("separable", "torch", "numpy", "pillow", "safetensors", "h5py", "simplejpeg", "scikit-learn")
_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "LD_PRELOAD")


def describe_environment(**more: Any) -> dict[str, Any]:
    """JSON-ready; `more` (seeds, what was chosen at the first step, ...) is added under its own names."""
    import torch

    return {
        "python": platform.python_version(),
        "implementation": sys.implementation.name,
        "system": platform.platform(),
        "libc": " ".join(platform.libc_ver()).strip(),
        "packages": package_versions(),
        "processor": read_processor().to_json(),
        "threads": torch.get_num_threads(),
        "interop_threads": torch.get_num_interop_threads(),
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "variables": {name: os.environ[name] for name in _VARIABLES if name in os.environ},
        **more,
    }


def package_versions() -> dict[str, str | None]:
    """Of the packages that results depend on; None where one is not installed."""
    found: dict[str, str | None] = {}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found
