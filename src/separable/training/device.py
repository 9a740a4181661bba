"""The device of a training: whether it is there, and what makes it give the same bits every time."""

import os

import torch

from separable.errors import UsageError
from separable.training.config import TrainConfig

__all__ = ["demand_device", "settle_device"]


def demand_device(device: str) -> None:
    """Before anything is read or fetched for it.

    Raises:
        UsageError: a GPU is asked for where torch finds none.
    """
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise UsageError(
            "There is no GPU that torch can use",
            got=f"device {device}, torch {torch.__version__}",
            fix="Give --device cpu, or install a torch with CUDA and its driver",
        )


def settle_device(config: TrainConfig) -> None:
    """To be called before the device is first used: cuBLAS reads its setting when it starts.

    On a processor every result is the same anyway; a GPU has to be told, and is slower then.

    Raises:
        UsageError: a GPU is asked for where torch finds none.
    """
    demand_device(config.device)
    if config.deterministic and config.device.startswith("cuda"):
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
        torch.backends.cudnn.benchmark = False
