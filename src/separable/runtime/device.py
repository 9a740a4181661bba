"""Where a network runs."""

import torch

from separable.errors import UsageError

__all__ = ["demand_device"]


def demand_device(device: str) -> None:
    """Find out whether torch can use `device`.

    Raises:
        UsageError: it cannot, in torch's own words.
    """
    try:
        torch.zeros(1, device=device).cpu()
    except (RuntimeError, AssertionError, TypeError, ImportError) as error:  # torch's words for unknown and for absent
        raise UsageError(
            f"The device {device!r} cannot be used",
            got=(str(error).strip().splitlines() or [type(error).__name__])[0].rstrip("."),
            expected="cpu, or cuda or cuda:N where torch sees a GPU",
        ) from error
