"""What `evaluate` does with folders of classes, and with pictures that have masks."""

import json
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from separable.cli.evaluated import show_classes, show_masks
from separable.cli.output import Output
from separable.errors import UsageError

if TYPE_CHECKING:
    from separable.data.loader import LoaderConfig
    from separable.models import ImageModel
    from separable.training.config import DataConfig

__all__ = ["Measuring", "measuring_for", "refuse_flips", "split_of"]


class Measuring(ABC):
    """`run` is None where there is a model alone."""

    table: str
    """The file with a line a picture."""

    def __init__(self, flips: str) -> None:
        self.flips = flips

    @abstractmethod
    def read(self, root: Path, class_names: tuple[str, ...], stored: "DataConfig | None") -> Any:
        """Both sets of a data folder, with the model's classes; split as `stored` says, if anything.

        Raises:
            DataFolderError: they cannot be had, or have other classes.
        """

    @abstractmethod
    def is_whole(self, data: Any) -> bool:
        """Whether nobody held a part of it out but `read`."""

    @abstractmethod
    def joined(self, train: Any, val: Any) -> Any:
        """Both sets as one."""

    @abstractmethod
    def changed(self, run: Path, held_out: Any) -> str | None:
        """How these are not the pictures that the run was measured on; None where they are."""

    @abstractmethod
    def measure(self, model: "ImageModel", pictures: Any, loader: "LoaderConfig", label: str, run: Path | None) -> Any:
        """What the model scores on them, with `to_json` and `write`."""

    def lacking(self, run: Path) -> str | None:
        """What of the run's own way of measuring cannot be had, as a sentence; None where nothing is amiss."""
        return None

    @abstractmethod
    def show(self, output: Output, document: dict[str, Any]) -> None:
        """The figures for a person."""


def refuse_flips(flips: str) -> None:
    """Raise UsageError where there are any: of networks that answer for whole pictures."""
    if flips != "none":
        raise UsageError("--flips is for networks that answer for every pixel", got=f"--flips {flips}")


def split_of(stored: "DataConfig | None") -> dict[str, Any]:
    """How the run's held-out pictures were chosen, as the readers of data folders take it; the usual way without."""
    return {} if stored is None else {"val_fraction": stored.val_fraction, "seed": stored.split_seed}


@final
class _Classes(Measuring):
    table = "predictions.csv"

    def __init__(self, flips: str) -> None:
        super().__init__(flips)
        refuse_flips(flips)

    def read(self, root: Path, class_names: tuple[str, ...], stored: "DataConfig | None") -> Any:
        from separable.data.folder import read_folder

        labels = stored.labels_csv if stored is not None else None
        return read_folder(root, class_names=class_names, labels_csv=labels, **split_of(stored))

    def is_whole(self, data: Any) -> bool:
        return bool(data.train.root == data.val.root)

    def joined(self, train: Any, val: Any) -> Any:
        """With paths from the folder that holds both."""
        import os

        import numpy as np

        from separable.data.folder import PictureSet

        root = Path(os.path.commonpath([train.root, val.root]))
        paths = [
            (pictures.root.relative_to(root) / path).as_posix() for pictures in (train, val) for path in pictures.paths
        ]
        return PictureSet(root, tuple(paths), np.concatenate([train.labels, val.labels]), train.class_names)

    def changed(self, run: Path, held_out: Any) -> str | None:
        from separable.training.own_set import changed_since

        return changed_since(run, held_out)

    def measure(self, model: "ImageModel", pictures: Any, loader: "LoaderConfig", label: str, run: Path | None) -> Any:
        from separable.training.ensemble import demand_alike
        from separable.training.evaluate import evaluate

        demand_alike([model], pictures.class_names, ["The network"])
        return evaluate(model, pictures, loader, set_name=label)

    def show(self, output: Output, document: dict[str, Any]) -> None:
        show_classes(output, document)


@final
class _Masks(Measuring):
    table = "pictures.csv"

    def __init__(self, flips: str) -> None:
        super().__init__(flips)
        from separable.runtime.tiles import FLIPS

        if flips not in FLIPS:
            raise UsageError("Unknown --flips", got=repr(flips), expected=" or ".join(FLIPS))
        self._flips = FLIPS[flips]
        self._scale: float | None = None

    def read(self, root: Path, class_names: tuple[str, ...], stored: "DataConfig | None") -> Any:
        from separable.segmentation.pairs import read_pairs

        return read_pairs(root, class_names=class_names, **split_of(stored))

    def is_whole(self, data: Any) -> bool:
        return bool(data.was_whole)

    def joined(self, train: Any, val: Any) -> Any:
        from separable.segmentation.pair_set import joined

        return joined(train, val)

    def changed(self, run: Path, held_out: Any) -> str | None:
        from separable.segmentation.same_masks import masks_changed
        from separable.training.own_set import changed_since

        changed = changed_since(run, held_out, [held_out.masks.name(sample) for sample in range(len(held_out))])
        masks = () if changed else masks_changed(run, "val", held_out)
        if masks:
            more = f" and {len(masks) - 3} more" if len(masks) > 3 else ""
            return f"the same pictures, but other masks of {', '.join(masks[:3])}{more}"
        return changed

    def measure(self, model: "ImageModel", pictures: Any, loader: "LoaderConfig", label: str, run: Path | None) -> Any:
        from separable.segmentation.evaluate import evaluate_masks
        from separable.segmentation.measured_at import picture_scale

        loss = None if run is None else _loss_of(run)
        self._scale = picture_scale([pictures.root / path for path in pictures.paths], model.input_contract)
        return evaluate_masks(model, pictures, loader, set_name=label, loss=loss, pictures=True, flips=self._flips)

    def lacking(self, run: Path) -> str | None:
        if not _is_balanced(run) or _class_weights(run) is not None:
            return None
        return (
            f"Neither a checkpoint of {run} nor its environment.json has the class weights that it was trained with: "
            "the loss is the one without them."
        )

    def show(self, output: Output, document: dict[str, Any]) -> None:
        show_masks(output, document, self._scale)


def _loss_of(run: Path) -> Any:
    """The losses that the run minimised, with the class weights that it settled on, if these can be had."""
    from separable.segmentation.task import loss_terms
    from separable.training.config import TrainConfig

    return loss_terms(TrainConfig.from_yaml(run / "config.yaml"), _class_weights(run) if _is_balanced(run) else None)


def _is_balanced(run: Path) -> bool:
    from separable.training.config import TrainConfig

    return TrainConfig.from_yaml(run / "config.yaml").recipe.class_weights != "none"


def _class_weights(run: Path) -> list[float] | None:
    """From the newest checkpoint that has them, else from `environment.json`."""
    checkpoints = sorted((run / "checkpoints").glob("step-*/state.json"), reverse=True)
    sections = [(path, ("body", "progress", "chosen")) for path in checkpoints]
    for path, keys in [*sections, (run / "environment.json", ("chosen",))]:
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            for key in (*keys, "class_weights"):
                found = found[key]
            return [float(one) for one in found]
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return None


def measuring_for(task: str, flips: str) -> Measuring:
    """Of a network's task.

    Raises:
        UsageError: flips that have no meaning there.
    """
    if task == "tag":
        from separable.cli.measuring_tags import TagMeasuring

        return TagMeasuring(flips)
    return _Masks(flips) if task == "segment" else _Classes(flips)
