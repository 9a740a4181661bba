"""From what `separable explain` was given to pages: the network, its input contract, each picture in turn."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from separable.analysis.explain import (
    Explanation,
    FeatureLayer,
    Subject,
    class_scores,
    default_layer,
    demand_classes,
    drawn_images,
    explain_picture,
    explain_pixels,
    explanation_page,
    feature_layers,
    finer_layer,
    first_convolution,
    found_layer,
    is_passed_round,
    telling_layers,
)
from separable.analysis.network_failure import refusal
from separable.cli.class_names import class_number
from separable.cli.network_input import predictor_of
from separable.cli.options import PAGES
from separable.data.decode import PictureFile
from separable.data.preprocess import normalise, prepare_file, seen_region
from separable.errors import SeparableError, UsageError
from separable.files import make_directory, write_bytes_atomically, write_text_atomically
from separable.models import SegmentationModel, pixel_logits
from separable.segmentation.palette import distinct_colours
from separable.segmentation.views import overlay
from separable.training.foreign import PIXELS

__all__ = ["Explainer", "Wishes", "page_paths"]

_METHODS = ("gradcam", "integrated", "both")
_WHOLE = 640  # pixels along the longer side of the whole picture on a page


@dataclass(frozen=True)
class Wishes:
    """What the user said about how to explain."""

    classes: tuple[str, ...] = ()
    layer: str | None = None
    method: str = "both"
    steps: int | None = None
    size: tuple[int, int] | None = None
    pixels: str | None = None

    def __post_init__(self) -> None:
        if self.method not in _METHODS:
            raise UsageError(f"There is no method {self.method!r}", expected=" or ".join(_METHODS))
        if self.steps is not None and self.steps < 1:
            raise UsageError("A path needs a step", got=f"--steps {self.steps}", expected="1 or more")
        if self.pixels is not None and self.pixels not in PIXELS:
            raise UsageError(f"Unknown range of pixels {self.pixels!r}", expected=" or ".join(PIXELS))

    def arguments(self) -> list[str]:
        """The options that say all this again."""
        size = None if self.size is None else "x".join(str(side) for side in self.size)
        given = {"--layer": self.layer, "--steps": self.steps, "--size": size, "--pixels": self.pixels}
        given["--method"] = None if self.method == "both" else self.method
        words = [f"{option}={value}" for option, value in given.items() if value is not None]
        return [*words, *(f"--class={name}" for name in self.classes)]


class Explainer:
    """A network, ready to explain its answers.

    Args:
        model: a run, a model folder, a catalogue name, or file.py:factory.
        progress: called with (steps of a path done, in all or None).

    Raises:
        UsageError: a layer, class or option that cannot be. What `load_predictor` raises.
    """

    def __init__(self, model: str, wishes: Wishes, progress: Callable[[int, int | None], None] | None = None) -> None:
        self.given, self.wishes, self.progress = model, wishes, progress
        self.predictor = predictor_of(model, wishes.size, wishes.pixels)
        self.contract = self.predictor.contract
        self.temperature = float(getattr(self.predictor, "temperature", 1.0))
        blank = self._black()
        self.layers, outputs = self._look(blank)
        self.no_maps: str | None = None
        self.layer = self._chosen()
        self.passed_round = self._is_passed_round(blank)
        self.shown = telling_layers(self.network, self.layers, self.layer)
        self.classes = [class_number(name, self.contract.class_names, outputs) for name in wishes.classes]

    @property
    def network(self) -> nn.Module:
        network: nn.Module = self.predictor.model
        return network

    def write(self, source: str, path: Path, png: bool, command: str) -> dict[str, Any]:
        """Explain one picture: the page to `path`, with `png` its pictures into a folder of the same name.

        Returns:
            What --json says about it.

        Raises:
            BadPictureError: the picture cannot be read. OutputError: the page cannot be written.
        """
        subject = self._subject(source, command)
        images = drawn_images(subject)
        make_directory(path.parent)
        write_text_atomically(path, explanation_page(subject, images))
        if png:
            make_directory(path.with_suffix(""))
            for name, content in images.items():
                write_bytes_atomically(path.with_suffix("") / name, content)
        return _to_json(subject, path, sorted(images) if png else [])

    def _chosen(self) -> FeatureLayer | None:
        """The layer of Grad-CAM. None, with the reason in `no_maps`, where the network has no feature maps."""
        if self.wishes.layer is not None:
            return found_layer(self.network, self.layers, self.wishes.layer)
        try:
            return default_layer(self.network, self.layers)
        except UsageError as error:
            if self.wishes.method == "gradcam":
                words = "Name a layer with --layer, or take" if self.layers else "Take"
                raise UsageError(
                    error.what, got=error.got, expected=error.expected, fix=f"{words} --method integrated"
                ) from error
            self.no_maps = error.what if self.wishes.method == "both" else None
            return None

    def _is_passed_round(self, blank: torch.Tensor) -> bool:
        """Asked of a layer that nobody named: who names one knows where it lies."""
        if self.layer is None or self.wishes.layer is not None or self.wishes.method == "integrated":
            return False
        return is_passed_round(self.network, blank, self.layer, scores=_any_score)

    def _subject(self, source: str, command: str) -> Subject:
        file = PictureFile(source)
        seen = prepare_file(source, self.contract)
        whole = file.pixels(scale=file.largest_scale(_WHOLE, _WHOLE))
        found = self._explain(self._batch(seen[None]))
        return Subject(
            source=source,
            title=Path(source).name,
            model=self.given,
            network=str(getattr(self.network, "name", "") or type(self.network).__name__),
            command=command,
            contract=self.contract,
            temperature=self.temperature,
            whole=whole,
            size=file.size,
            region=seen_region(file.size, self.contract),
            seen=seen,
            layer=self.layer,
            finer=None if self.layer is None else finer_layer(self.network, self.layers, self.layer),
            steps=self.wishes.steps,
            filters=_filters(self.network),
            explanation=found,
            no_maps=self.no_maps,
            passed_round=self.passed_round,
            predicted=None if found.mask is None else self._under_classes(seen, found.mask),
        )

    def _explain(self, picture: torch.Tensor) -> Explanation:
        wishes, network = self.wishes, self.network
        options: dict[str, Any] = {"classes": self.classes, "method": wishes.method, "baseline": self._black()}
        options |= {"steps": wishes.steps, "progress": self.progress}
        if isinstance(network, SegmentationModel):
            return explain_pixels(network, picture, self.layer, self.shown, **options)
        options |= {"temperature": self.temperature, "independent": self.contract.answer == "sigmoid"}
        return explain_picture(network, picture, self.layer, self.shown, **options)

    def _under_classes(self, seen: torch.Tensor, mask: torch.Tensor) -> NDArray[np.uint8]:
        """The picture that the network gets under the colours of its pixels' classes."""
        colours = distinct_colours(self.predictor.colours)  # type: ignore[attr-defined]  # a MaskPredictor
        picture = np.ascontiguousarray(seen.cpu().numpy().transpose(1, 2, 0))
        return overlay(picture, mask.numpy().astype(np.int16), colours, background=None)

    def _batch(self, pictures: torch.Tensor) -> torch.Tensor:
        batch = normalise(pictures.to(self.predictor.device), self.contract).to(_precision(self.network))
        return batch.contiguous(memory_format=torch.channels_last)

    def _black(self) -> torch.Tensor:
        return self._batch(torch.zeros(1, 3, *self.contract.size, dtype=torch.uint8))

    def _look(self, blank: torch.Tensor) -> tuple[tuple[FeatureLayer, ...], int]:
        """The layers with feature maps, and the number of classes."""
        height, width = self.contract.size
        demand_classes(self.network)
        try:
            with torch.no_grad():
                outputs = _any_score(self.network, blank.clone()).shape[1]
            return feature_layers(self.network, blank), outputs
        except SeparableError:
            raise
        except Exception as error:  # the network's own words for a shape it cannot take
            what = f"{self.given} cannot take a colour picture of {height}x{width}"
            fix = "Give another --size, the one it was made for"
            raise refusal(error, what, blank.shape, blank.dtype, fix_size=fix) from error


def _any_score(network: nn.Module, pictures: torch.Tensor) -> torch.Tensor:
    """(N, classes) that hang on all that the network answers."""
    if isinstance(network, SegmentationModel):
        return pixel_logits(network, pictures).sum((2, 3))
    return class_scores(network, pictures)


def page_paths(sources: Sequence[str], out: Path) -> list[Path]:
    """Where each picture's page goes; pictures of one name get a number.

    Raises:
        UsageError: one page for several pictures.
    """
    if out.suffix.lower() in PAGES:
        if len(sources) != 1:
            raise UsageError(
                "One page shows one picture",
                got=f"{len(sources)} pictures for {out}",
                expected="a folder",
                fix=f"Give --out {out.with_suffix('')}, which gets a page for each",
            )
        return [out]
    taken: set[str] = set()
    paths = []
    for source in sources:
        stem = Path(source).stem or "picture"
        names = (stem if number == 1 else f"{stem}-{number}" for number in count(1))
        name = next(name for name in names if name.lower() not in taken)  # some file systems know no case
        taken.add(name.lower())
        paths.append(out / f"{name}.html")
    return paths


def _precision(network: nn.Module) -> torch.dtype:
    """What the network's weights are kept in; float32 for one without any."""
    kept = (parameter.dtype for parameter in network.parameters() if parameter.is_floating_point())
    return next(kept, torch.float32)


def _filters(network: nn.Module) -> tuple[str, torch.Tensor] | None:
    try:
        name, convolution = first_convolution(network)
    except UsageError:
        return None
    return name, convolution.weight.detach().float()


def _to_json(subject: Subject, path: Path, pictures: list[str]) -> dict[str, Any]:
    found = subject.explanation
    layer: FeatureLayer | None = subject.layer
    explained = []
    probability = "share" if subject.of_pixels else "probability"
    for one in found.evidence:
        row: dict[str, Any] = {"class": subject.name(one.index), "index": one.index, "role": subject.role(one)}
        share, score = ("share", "sum_of_logits") if subject.of_pixels else ("probability", "logit")
        row |= {share: one.probability, score: one.logit}
        if one.cam is not None:
            row["gradcam_max"] = float(one.cam.max())
        if one.attribution is not None:
            difference, gap = float(one.attribution.difference), float(one.attribution.gap)
            row["integrated"] = {"difference": difference, "sum": difference + gap, "gap": gap}
            row["integrated"] |= {"share": float(one.attribution.share), "steps": one.attribution.steps[0]}
        explained.append(row)
    return {
        "path": subject.source,
        "page": str(path),
        "pictures": [str(path.with_suffix("") / name) for name in pictures],
        "error": None,
        "input": list(subject.contract.size),
        "top": [{"class": subject.name(i), probability: float(found.probabilities[i])} for i in found.top],
        "layer": layer and {"name": layer.name, "shape": [layer.channels, layer.height, layer.width]},
        "explained": explained,
        "alerts": subject.alerts(),
    }
