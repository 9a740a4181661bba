"""What every predictor is: a network on its device, its one preprocessing, and the kernels that serve it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from separable.data.preprocess import normalise
from separable.errors import SeparableError, UsageError
from separable.models import InputContract
from separable.runtime.device import demand_device
from separable.runtime.picture import prepare_any
from separable.runtime.reading import read_ahead

if TYPE_CHECKING:
    from separable.blocks.accelerate import AccelerationReport

__all__ = ["PicturePredictor"]

_TIMED = 8  # pictures that kernels are timed on: more would give the same ratios


class PicturePredictor(ABC):
    """A network that answers pictures: paths, encoded bytes, arrays of uint8 (H, W, 3), (H, W) or (H, W, 4), or images
    of PIL.

    Args:
        model: in any mode; put in evaluation mode and on `device`.
        batch_size: pictures through the network at once; memory does not depend on how many there are in all.
        accelerate: time the CPU kernels against plain torch, module by module, on the first batch, and keep to the
            faster (`separable.accelerate`, which builds the kernels where they are not). It takes as long as a hundred
            pictures, and changes logits by rounding alone. `acceleration` then says what came out.
    """

    acceleration: "AccelerationReport | None" = None

    def __init__(
        self, model: nn.Module, contract: InputContract, *, device: str, batch_size: int, accelerate: bool
    ) -> None:
        if batch_size < 1:
            raise UsageError("A batch needs a picture", got=f"batch size {batch_size}", expected="1 or more")
        demand_device(device)
        self.model = model.eval().to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.contract, self.device, self.batch_size = contract, device, batch_size
        self._untimed = accelerate and device.startswith("cpu")

    @abstractmethod
    def __call__(self, images: Any) -> Sequence[object]:
        """Answers in the order of `images` (one picture alone is taken as a list of one); a bad picture is an answer
        with `error` set."""

    def network_input(self, pictures: Tensor) -> Tensor:
        """uint8 (N, 3, H, W) as the network takes them, on its device; the first batch is what kernels are timed on."""
        batch = normalise(pictures.to(self.device), self.contract).contiguous(memory_format=torch.channels_last)
        if self._untimed:
            from separable.blocks.accelerate.settle import settle  # not before: one picture is soon answered

            self._untimed = False
            self.acceleration = settle(self.model, batch[:_TIMED])
        return batch

    def answered(self, images: Iterable[Any], answer: Callable[[Tensor], Tensor]) -> Iterator[tuple[str, Tensor | str]]:
        """Each picture's name, and its row of what `answer` makes of a batch, uint8 (N, 3, H, W); or the cause why
        there is no picture. In order, as they come; holds two batches of pictures, so a folder of any size can be
        given."""
        for batch in read_ahead(images, self._prepared, self.batch_size):
            pictures = [read for _, _, read in batch if isinstance(read, Tensor)]
            rows = iter(answer(torch.stack(pictures)) if pictures else ())
            for name, _, read in batch:
                yield name, read if isinstance(read, str) else next(rows)

    def _prepared(self, image: Any) -> Tensor | str:
        """uint8 (3, H, W), or the cause why there is no picture."""
        try:
            return prepare_any(image, self.contract)
        except SeparableError as error:
            return str(error).rstrip(".")

    def class_name(self, index: int) -> str:
        """The name that travels with the model, or "class 7" where none does."""
        names = self.contract.class_names
        return names[index] if index < len(names) else f"class {index}"
