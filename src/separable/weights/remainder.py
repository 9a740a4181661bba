"""What another framework's network, with our weights, answers differently: measured before anything is written."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from separable.errors import WeightsMismatchError
from separable.models.base import ImageModel
from separable.models.contract import InputContract
from separable.weights.reference import Pixels, Reference, as_input
from separable.weights.verify import TOLERANCE, Difference, measure_differences

__all__ = ["Written", "check_writable", "measure_remainder", "twin_reference"]


@dataclass(frozen=True)
class Written:
    """What a writer did: the network, how to load it, what had to be folded, and what differs for all that."""

    framework: str
    network: str
    load: str
    """Python that loads it."""
    exact: bool
    """Every number was written as it was, for a network with our own numerics."""
    notes: tuple[str, ...]
    against: str
    """Whose answers ours were held against; empty if there was no need to."""
    differences: tuple[Difference, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def check_writable(model: ImageModel, framework: str) -> None:
    """Refuse what no other framework's classifier is.

    Raises:
        WeightsMismatchError: a network without a head, or for other than three channels.
    """
    if model.head is None:
        raise WeightsMismatchError(
            f"A network without its head is not written for {framework}",
            got="features_only=True",
            fix="Build it with its head, and load the weights into that",
        )
    if model.options["in_channels"] != 3:
        raise WeightsMismatchError(
            f"Only networks for colour pictures are written for {framework}",
            got=f"in_channels={model.options['in_channels']}",
            expected="in_channels=3",
        )


def twin_reference(twin: ImageModel, framework: str) -> Reference:
    """`twin` in the place of the framework's own network, whose numerics it has."""
    from separable import __version__

    def run(pixels: Pixels) -> torch.Tensor:
        with torch.no_grad():
            logits: torch.Tensor = twin(as_input(pixels, twin.input_contract))
        return logits

    return Reference("separable", __version__, f"{twin.name} with {framework}'s numerics", run)


def measure_remainder(
    model: ImageModel, reference: Reference, framework: str, *, one_size: bool, allow_difference: bool
) -> tuple[Difference, ...]:
    """The differences at the network's size and at one of the other parity.

    Raises:
        WeightsMismatchError: one exceeds the tolerance, and `allow_difference` does not let it pass.
    """
    found = measure_differences(model, reference, _sizes(model.input_contract, one_size))
    worst = max(found, key=lambda entry: entry.largest)
    if not worst.largest <= TOLERANCE and not allow_difference:  # a NaN is refused too
        raise WeightsMismatchError(
            f"{framework}'s {model.name} is another function than this one, and nothing was written",
            got=f"logits that differ by {worst.largest:.1e} of the largest at {worst.height}x{worst.width}",
            expected=f"at most {TOLERANCE:g}",
            fix="Write it all the same with --allow-difference (allow_difference=True), "
            "or keep it in separable's own format",
        )
    return found


def _sizes(contract: InputContract, one_size: bool) -> Sequence[tuple[int, int]]:
    height, width = contract.size
    return ((height, width),) if one_size else ((height, width), (height + 1, width + 1))
