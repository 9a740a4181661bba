"""Which task is meant, told in one place: by --task, by the network, or by what the pictures lie beside."""

from pathlib import Path
from typing import TYPE_CHECKING

from separable.errors import DataFolderError, UsageError

if TYPE_CHECKING:
    from separable.models import ImageModel

__all__ = ["SAID", "TASKS", "answered_task", "demand_layout", "laid_out_for", "tell_task"]

TASKS = ("auto", "classify", "tag", "segment")
SAID = {"classify": "classifies pictures", "tag": "gives pictures tags", "segment": "answers for every pixel"}
_WORDS = {"classify": "one answer a picture", "tag": "several labels a picture", "segment": "one answer a pixel"}
_LAID_OUT = {
    "classify": "a sub-folder of pictures for each class",
    "tag": "a list of pictures with their labels, such as labels.csv",
    "segment": "images/ with masks/",
}


def tell_task(data: Path, wish: str = "auto", model: str | None = None) -> str:
    """ "classify", for one class a picture, "tag", for several, or "segment", for one a pixel.

    Args:
        data: a folder, a list of labels, or COCO's file. Only names are looked at, and the first line of a list.
        wish: of --task.
        model: of --model; it decides between pictures and pixels where `wish` is "auto".

    Raises:
        UsageError: an unknown task, or a network of another one. UnknownModelError: no such network.
        DataFolderError: the data is laid out for another task, or has one half of pictures and masks alone.
    """
    if wish not in TASKS:
        raise UsageError(f"Unknown task {wish!r}", expected=" or ".join(TASKS))
    from separable.models import list_models, model_spec

    of_model = None if model is None else model_spec(model).task
    found = laid_out_for(data)
    task = wish if wish != "auto" else _by(of_model, found)
    if of_model not in (None, _network_task(task)):
        raise UsageError(
            f"--task {task} needs another network",
            got=f"{model}, which {SAID[str(of_model)]}",
            expected=f"one of {', '.join(list_models(_network_task(task)))}",
        )
    asked = f"--task {task}" if wish != "auto" else f"{model} {SAID[task]}" if model and task != found else None
    if asked is None and task == "classify" and not data.is_dir():
        _refuse(data)
    demand_layout(data, task, asked, _other_way(found, wish, model))
    return task


def answered_task(model: "ImageModel") -> str:
    """What a trained network was trained for."""
    return "tag" if model.input_contract.answer == "sigmoid" else model.task


def laid_out_for(data: Path) -> str | None:
    """The task that `data` is laid out for, or half of it; None for folders of classes, and for what is no data."""
    from separable.data.manifest import holds_manifest
    from separable.segmentation.pairs import holds_pairs

    if holds_pairs(data):
        return "segment"
    if holds_manifest(data) or _is_meant_as_list(data):
        return "tag"
    return "segment" if _is_half(data) else None


def _network_task(task: str) -> str:
    """What the networks of a task are called in the catalogue: those that give tags are those that classify."""
    return "segment" if task == "segment" else "classify"


def _by(of_model: str | None, found: str | None) -> str:
    """The task that nobody has named. What a network is for counts more than how the data lies."""
    if of_model is None:
        return found or "classify"
    return "tag" if of_model == "classify" and found == "tag" else of_model


def _other_way(found: str | None, wish: str, model: str | None) -> str:
    """How to ask for the task that the data is laid out for, by changing what was given."""
    found = found or "classify"
    other = {
        "classify": "a network that classifies, such as xception",
        "tag": "a network that classifies, such as xception",
        "segment": "a network such as unet_xception",
    }[found]
    if wish == "auto":
        return f"For {_WORDS[found]} leave out --model {model} or choose {other}"
    return f"For {_WORDS[found]} leave out --task {wish}" + (f" and --model {model}" if model else "")


def _refuse(data: Path) -> None:
    """Name every layout where neither the data nor anybody says which task it is.

    Raises:
        DataFolderError: always, but where the folder has come into being.
    """
    from separable.data.folder import demand_folder
    from separable.segmentation.layout import LAYOUT

    classes = "a folder of pictures for each class, in train/ and val/ or not"
    several = "for several labels a picture, a folder with labels.csv, or that file"
    demand_folder(data, f"{classes}; {several}; or, for pictures with masks, {LAYOUT}")


def demand_layout(data: Path, task: str, asked: str | None, fix: str) -> None:
    """Refuse data that is laid out for another task. What is not there is left to who reads it.

    Args:
        asked: who says that it is this task, such as "--task segment"; None where the data itself does.
        fix: what to do instead.

    Raises:
        DataFolderError: it is.
    """
    from separable.data.manifest import demand_manifest
    from separable.segmentation.pairs import demand_pairs, holds_pairs

    demand = {"tag": demand_manifest, "segment": demand_pairs}.get(task)
    if demand is not None:
        try:
            demand(data)
        except DataFolderError as error:
            if asked is None or not (data.is_dir() or laid_out_for(data)):
                raise
            raise DataFolderError(f"{error.what} ({asked})", got=error.got, expected=error.expected, fix=fix) from error
    elif holds_pairs(data):
        raise DataFolderError(f"{data} holds pictures with masks", got=asked, expected=_LAID_OUT["classify"], fix=fix)
    elif laid_out_for(data) == "tag" and not _has_classes(data):
        raise DataFolderError(
            f"{data} {'is' if data.is_file() else 'holds'} a list of pictures with their labels",
            got=asked,
            expected=_LAID_OUT["classify"],
            fix=fix,
        )


def _is_meant_as_list(data: Path) -> bool:
    """Whether it is called as a list of labels is, and there are no folders of classes: its reader says what it
    lacks."""
    from separable.data.manifest_rows import MANIFEST_ENDINGS

    if data.is_file():
        return data.suffix.lower() in MANIFEST_ENDINGS
    names = [f"{name}{ending}" for name in ("labels", "train") for ending in MANIFEST_ENDINGS]
    return data.is_dir() and not _has_classes(data) and any((data / name).is_file() for name in names)


def _has_classes(data: Path) -> bool:
    """Whether there are folders that could be classes, beside a list of labels."""
    from separable.data.walk import subfolders

    return data.is_dir() and len(subfolders(data)) > 1


def _is_half(data: Path) -> bool:
    """Whether there is a folder of pictures without one of masks beside it, or the reverse, and nothing else."""
    from separable.data.walk import holds_pictures, subfolders
    from separable.segmentation.layout import IMAGES, MASKS

    if not data.is_dir():
        return False
    inside = subfolders(data)
    return len(inside) == 1 and inside[0].name.lower() in (*IMAGES, *MASKS) and holds_pictures(inside[0])
