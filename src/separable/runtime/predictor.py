"""From pictures to named answers: one model, its one preprocessing, its calibration."""

import json
import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from separable.data.preprocess import normalise
from separable.errors import SeparableError, UsageError
from separable.machine.runtime import run_on, unpinned_cores
from separable.models import InputContract, demand_classifier
from separable.runtime.load import load_located
from separable.runtime.locate import Located, locate
from separable.runtime.picture import prepare_any
from separable.runtime.prediction import Prediction

if TYPE_CHECKING:
    from separable.blocks.accelerate import AccelerationReport

__all__ = ["Predictor", "load_predictor"]

_BACKENDS = ("auto", "torch")
_ONE = str | Path | bytes | bytearray | memoryview  # iterables that are one picture all the same
_TIMED = 8  # pictures that kernels are timed on: more would give the same ratios
_READERS = 4  # decoding threads at most; decoders release the interpreter lock


class Predictor:
    """Call it with pictures: paths, encoded bytes, arrays of uint8 (H, W, 3), (H, W) or (H, W, 4), PIL images.

    Args:
        model: in any mode; put in evaluation mode and on `device`.
        temperature: divides the logits, so that a confidence means what it says.
        reject_threshold: a confidence below it is marked `rejected`; None where none was calibrated.
        batch_size: pictures through the network at once; memory does not depend on how many there are in all.
        accelerate: time the CPU kernels against plain torch, module by module, on the first batch, and keep to the
            faster (`separable.accelerate`, which builds the kernels where they are not). It takes as long as a hundred
            pictures, and changes probabilities by rounding alone. `acceleration` then says what came out.
    """

    acceleration: "AccelerationReport | None" = None

    def __init__(
        self,
        model: nn.Module,
        contract: InputContract,
        *,
        temperature: float = 1.0,
        reject_threshold: float | None = None,
        device: str = "cpu",
        batch_size: int = 32,
        accelerate: bool = False,
    ) -> None:
        if batch_size < 1:
            raise UsageError("A batch needs a picture", got=f"batch size {batch_size}", expected="1 or more")
        demand_classifier(model, "Predicting")
        _demand_device(device)
        self.model = model.eval().to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.contract, self.device, self.batch_size = contract, device, batch_size
        self.temperature, self.reject_threshold = temperature, reject_threshold
        self._untimed = accelerate and device.startswith("cpu")

    def __call__(self, images: Any, top: int = 5) -> list[Prediction]:
        """Answers in the order of `images` (one picture alone is taken as a list of one); a bad picture is an answer
        with `error` set."""
        single = isinstance(images, _ONE) or not isinstance(images, Iterable) or hasattr(images, "shape")
        return list(self.stream([images] if single else images, top))

    def stream(self, images: Iterable[Any], top: int = 5) -> Iterator[Prediction]:
        """Answers as they come, in order. Holds two batches of pictures, so a folder of any size can be given."""
        if top < 1:
            raise UsageError("At least one class has to be shown", got=f"top {top}", expected="1 or more")
        readers = max(1, min(_READERS, os.cpu_count() or 1))
        with ThreadPoolExecutor(readers, initializer=run_on, initargs=(unpinned_cores(),)) as pool:
            waiting: deque[tuple[str, Future[Tensor | str]]] = deque()
            for number, image in enumerate(images):
                waiting.append((_name(image, number), pool.submit(self._read, image)))
                if len(waiting) == 2 * self.batch_size:
                    yield from self._answer([waiting.popleft() for _ in range(self.batch_size)], top)
            while waiting:
                yield from self._answer([waiting.popleft() for _ in range(min(self.batch_size, len(waiting)))], top)

    def _read(self, image: Any) -> Tensor | str:
        """uint8 (3, H, W), or the cause why there is no picture."""
        try:
            return prepare_any(image, self.contract)
        except SeparableError as error:
            return str(error).rstrip(".")

    def _answer(self, batch: list[tuple[str, "Future[Tensor | str]"]], top: int) -> Iterator[Prediction]:
        names, read = [name for name, _ in batch], [future.result() for _, future in batch]
        pictures = [entry for entry in read if isinstance(entry, Tensor)]
        rows = iter(self._probabilities(torch.stack(pictures)) if pictures else ())
        for name, entry in zip(names, read, strict=True):
            if isinstance(entry, str):
                yield Prediction(name, error=entry)
            else:
                yield self._best(name, next(rows), top)

    @torch.inference_mode()
    def _probabilities(self, pictures: Tensor) -> Tensor:
        """(N, classes) float32 on the CPU, after the temperature."""
        batch = normalise(pictures.to(self.device), self.contract).contiguous(memory_format=torch.channels_last)
        if self._untimed:
            from separable.blocks.accelerate.settle import (
                settle,
            )  # not before it is needed: one picture is soon answered

            self._untimed = False
            self.acceleration = settle(self.model, batch[:_TIMED])
        logits = self.model(batch).float() / self.temperature
        return torch.softmax(logits, dim=1).cpu()

    def _best(self, name: str, probabilities: Tensor, top: int) -> Prediction:
        values, indices = probabilities.topk(min(top, len(probabilities)))
        confidence = float(values[0])
        return Prediction(
            source=name,
            classes=tuple(self.class_name(int(index)) for index in indices),
            probabilities=tuple(float(value) for value in values),
            rejected=self.reject_threshold is not None and confidence < self.reject_threshold,
        )

    def class_name(self, index: int) -> str:
        """The name that travels with the model, or "class 7" where none does."""
        names = self.contract.class_names
        return names[index] if index < len(names) else f"class {index}"


def load_predictor(
    path: str | Path,
    backend: str = "auto",
    *,
    device: str | None = None,
    batch_size: int = 32,
    accelerate: bool = False,
) -> Predictor:
    """A predictor from a run folder, a checkpoint, a model folder, or a catalogue name with its published weights.

    Args:
        backend: "torch", or "auto", which is "torch".
        device: None takes the GPU where torch sees one.
        accelerate: let the CPU kernels serve the modules for which they are faster, see `Predictor`. It pays from about
            a thousand pictures on, which is where `separable predict` does it.

    Raises:
        UsageError: a backend or a device that does not exist. UnknownModelError, RunFolderError: no model there.
        DownloadError: published weights that cannot be had. WeightsFormatError: a damaged model.
    """
    if backend not in _BACKENDS:
        raise UsageError(f"Unknown backend {backend!r}", expected=" or ".join(_BACKENDS))
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    _demand_device(device)  # before the model is read, which takes longer
    located = locate(path)
    if located.kind == "factory":
        raise UsageError(
            "A factory gives a network without trained weights and without an input contract",
            got=f"{located.path}:{located.name}",
            expected="a run, a model folder or a catalogue name",
        )
    model = load_located(located)
    temperature, threshold = _calibration(located)
    return Predictor(
        model,
        model.input_contract,  # type: ignore[arg-type]
        temperature=temperature,
        reject_threshold=threshold,
        device=device,
        batch_size=batch_size,
        accelerate=accelerate,
    )


def _demand_device(device: str) -> None:
    try:
        torch.zeros(1, device=device).cpu()
    except (RuntimeError, AssertionError, TypeError, ImportError) as error:  # torch's words for unknown and for absent
        raise UsageError(
            f"The device {device!r} cannot be used",
            got=(str(error).strip().splitlines() or [type(error).__name__])[0].rstrip("."),
            expected="cpu, or cuda or cuda:N where torch sees a GPU",
        ) from error


def _calibration(located: Located) -> tuple[float, float | None]:
    """Temperature and reject threshold that the run's evaluation found; 1 and None without one."""
    if located.kind != "run" or located.path is None:
        return 1.0, None
    try:
        found = json.loads((located.path / "evaluation.json").read_text(encoding="utf-8"))["calibration"]
    except (OSError, ValueError, KeyError, TypeError):
        return 1.0, None
    return float(found.get("temperature") or 1.0), found.get("reject_threshold")


def _name(image: Any, number: int) -> str:
    if isinstance(image, str | Path):
        return os.fspath(image)
    return str(getattr(image, "filename", "") or f"picture {number}")
