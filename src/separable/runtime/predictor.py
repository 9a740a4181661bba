"""From pictures to named answers: one model, its one preprocessing, its calibration."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from separable.errors import UsageError
from separable.models import InputContract, demand_classifier
from separable.runtime.base import PicturePredictor
from separable.runtime.device import demand_device
from separable.runtime.load import load_located
from separable.runtime.locate import Located, locate
from separable.runtime.prediction import Prediction
from separable.runtime.reading import listed
from separable.runtime.tags import TagPredictor

if TYPE_CHECKING:
    from separable.runtime.masks import MaskPredictor

__all__ = ["Predictor", "load_classifier", "load_mask_predictor", "load_predictor", "load_tag_predictor"]

_BACKENDS = ("auto", "torch")


class Predictor(PicturePredictor):
    """Call it with pictures, see `PicturePredictor`.

    Args:
        temperature: divides the logits, so that a confidence means what it says.
        reject_threshold: a confidence below it is marked `rejected`; None where none was calibrated.
    """

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
        demand_classifier(model, "Predicting")
        super().__init__(model, contract, device=device, batch_size=batch_size, accelerate=accelerate)
        self.temperature, self.reject_threshold = temperature, reject_threshold

    def __call__(self, images: Any, top: int = 5) -> list[Prediction]:
        """See `PicturePredictor`."""
        return list(self.stream(listed(images), top))

    def stream(self, images: Iterable[Any], top: int = 5) -> Iterator[Prediction]:
        """Answers as they come, in order, see `answered`."""
        if top < 1:
            raise UsageError("At least one class has to be shown", got=f"top {top}", expected="1 or more")
        for name, row in self.answered(images, self._probabilities):
            yield Prediction(name, error=row) if isinstance(row, str) else self._best(name, row, top)

    @torch.inference_mode()
    def _probabilities(self, pictures: Tensor) -> Tensor:
        """(N, classes) float32 on the CPU, after the temperature."""
        logits = self.model(self.network_input(pictures)).float() / self.temperature
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


def load_predictor(
    path: str | Path,
    backend: str = "auto",
    *,
    device: str | None = None,
    batch_size: int = 32,
    accelerate: bool = False,
) -> "Predictor | TagPredictor | MaskPredictor":
    """A predictor from a run folder, a checkpoint, a model folder, or a catalogue name with its published weights.

    Of a network that answers for every pixel it is a `MaskPredictor`, of one that gives tags a `TagPredictor`.

    Args:
        backend: "torch", or "auto", which is "torch".
        device: None takes the GPU where torch sees one.
        accelerate: let the CPU kernels serve the modules for which they are faster, see `PicturePredictor`. It pays
            from about a thousand pictures on, which is where `separable predict` does it.

    Raises:
        UsageError: a backend or a device that does not exist. UnknownModelError, RunFolderError: no model there.
        DownloadError: published weights that cannot be had. WeightsFormatError: a damaged model.
    """
    if backend not in _BACKENDS:
        raise UsageError(f"Unknown backend {backend!r}", expected=" or ".join(_BACKENDS))
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    demand_device(device)  # before the model is read, which takes longer
    located = locate(path)
    if located.kind == "factory":
        raise UsageError(
            "A factory gives a network without trained weights and without an input contract",
            got=f"{located.path}:{located.name}",
            expected="a run, a model folder or a catalogue name",
        )
    model = load_located(located)
    contract: InputContract = model.input_contract  # type: ignore[assignment]
    if getattr(model, "task", "classify") == "segment":
        from separable.runtime.masks import MaskPredictor

        colours = _evaluation(located).get("colours")
        return MaskPredictor(
            model, contract, colours=colours, device=device, batch_size=batch_size, accelerate=accelerate
        )
    if contract.answer == "sigmoid":
        threshold = _tag_threshold(located)
        return TagPredictor(
            model, contract, threshold=threshold, device=device, batch_size=batch_size, accelerate=accelerate
        )
    temperature, threshold = _calibration(located)
    return Predictor(
        model,
        contract,
        temperature=temperature,
        reject_threshold=threshold,
        device=device,
        batch_size=batch_size,
        accelerate=accelerate,
    )


def load_classifier(path: str | Path, backend: str = "auto", **options: Any) -> Predictor:
    """`load_predictor` of a network that names the class of a picture.

    Raises:
        UsageError: it answers for every pixel, or with tags. What `load_predictor` raises.
    """
    predictor = load_predictor(path, backend, **options)
    if isinstance(predictor, TagPredictor):
        raise UsageError(f"{path} gives tags", expected="a network that names one class a picture")
    if not isinstance(predictor, Predictor):
        demand_classifier(predictor.model, "Predicting")
    assert isinstance(predictor, Predictor)
    return predictor


def load_tag_predictor(path: str | Path, backend: str = "auto", **options: Any) -> TagPredictor:
    """`load_predictor` of a network that gives each picture any number of tags.

    Raises:
        UsageError: it names one class a picture, or answers for every pixel. What `load_predictor` raises.
    """
    predictor = load_predictor(path, backend, **options)
    if not isinstance(predictor, TagPredictor):
        raise UsageError(
            f"{path} {'names one class a picture' if isinstance(predictor, Predictor) else 'answers for every pixel'}",
            expected="a network trained on pictures with several labels each",
        )
    return predictor


def load_mask_predictor(path: str | Path, backend: str = "auto", **options: Any) -> "MaskPredictor":
    """`load_predictor` of a network that answers for every pixel.

    Raises:
        UsageError: it classifies pictures. What `load_predictor` raises.
    """
    predictor = load_predictor(path, backend, **options)
    if isinstance(predictor, Predictor | TagPredictor):
        raise UsageError(f"{path} classifies pictures", expected="a network that answers for every pixel")
    return predictor


def _evaluation(located: Located) -> dict[str, Any]:
    """The run's evaluation.json; empty without one, or where it is damaged."""
    if located.kind != "run" or located.path is None:
        return {}
    try:
        found = json.loads((located.path / "evaluation.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _calibration(located: Located) -> tuple[float, float | None]:
    """Temperature and reject threshold that the run's evaluation found; 1 and None without one."""
    found = _evaluation(located).get("calibration")
    if not isinstance(found, dict):
        return 1.0, None
    return float(found.get("temperature") or 1.0), found.get("reject_threshold")


def _tag_threshold(located: Located) -> float | None:
    """Of the run's evaluation; None without one."""
    decision = _evaluation(located).get("decision")
    found = decision.get("threshold") if isinstance(decision, dict) else None
    return found if isinstance(found, float) and 0 < found < 1 else None
