"""Which task is meant, told in one place: by --task, by the network, or by how the pictures lie."""

from pathlib import Path

from separable.errors import DataFolderError, UsageError

__all__ = ["SAID", "TASKS", "demand_layout", "tell_task"]

TASKS = ("auto", "classify", "segment")
SAID = {"classify": "classifies pictures", "segment": "answers for every pixel"}


def tell_task(data: Path, wish: str = "auto", model: str | None = None) -> str:
    """ "classify", for one answer a picture, or "segment", for one a pixel.

    Args:
        data: a folder, or COCO's file. Only names are looked at.
        wish: of --task.
        model: of --model; it decides where `wish` is "auto".

    Raises:
        UsageError: an unknown task, or a network of another one. UnknownModelError: no such network.
        DataFolderError: the folder is laid out for the other task, or has one half of pictures and masks alone.
    """
    if wish not in TASKS:
        raise UsageError(f"Unknown task {wish!r}", expected=" or ".join(TASKS))
    from separable.models import list_models, model_spec
    from separable.segmentation.pairs import holds_pairs

    of_model = None if model is None else model_spec(model).task
    task = wish if wish != "auto" else of_model or ("segment" if holds_pairs(data) or _is_half(data) else "classify")
    if of_model not in (None, task):
        raise UsageError(
            f"--task {task} needs another network",
            got=f"{model}, which {SAID[str(of_model)]}",
            expected=f"one of {', '.join(list_models(task))}",
        )
    asked = f"--task {task}" if wish != "auto" else f"{model} {SAID[task]}" if model else None
    if asked is None and task == "classify" and not data.is_dir():
        _refuse(data)
    demand_layout(data, task, asked, _other_task(task, wish, model))
    return task


def _other_task(task: str, wish: str, model: str | None) -> str:
    """How to ask for the other task, by changing what was given."""
    answer, network = {
        "segment": ("picture", "a network that classifies, such as xception"),
        "classify": ("pixel", "a network such as unet_xception"),
    }[task]
    if wish == "auto":
        return f"For one answer a {answer} leave out --model {model} or choose {network}"
    return f"For one answer a {answer} leave out --task {wish}" + (f" and --model {model}" if model else "")


def _refuse(data: Path) -> None:
    """Name both layouts where neither the folder nor anybody says which task it is.

    Raises:
        DataFolderError: always, but where the folder has come into being.
    """
    from separable.data.folder import demand_folder
    from separable.segmentation.layout import LAYOUT

    classes = "a folder of pictures for each class, in train/ and val/ or not"
    demand_folder(data, f"{classes}; or, for pictures with masks, {LAYOUT}")


def demand_layout(data: Path, task: str, asked: str | None, fix: str) -> None:
    """Refuse a folder that is laid out for the other task. One that is not there is left to who reads it.

    Args:
        asked: who says that it is this task, such as "--task segment"; None where the folder itself does.
        fix: what to do instead.

    Raises:
        DataFolderError: it is.
    """
    from separable.segmentation.pairs import demand_pairs, holds_pairs

    if task == "segment":
        try:
            demand_pairs(data)
        except DataFolderError as error:
            if asked is None or not data.is_dir():
                raise
            raise DataFolderError(f"{error.what} ({asked})", got=error.got, expected=error.expected, fix=fix) from error
    elif holds_pairs(data):
        expected = "a sub-folder of pictures for each class"
        raise DataFolderError(f"{data} holds pictures with masks", got=asked, expected=expected, fix=fix)


def _is_half(data: Path) -> bool:
    """Whether there is a folder of pictures without one of masks beside it, or the reverse, and nothing else."""
    from separable.data.walk import holds_pictures, subfolders
    from separable.segmentation.layout import IMAGES, MASKS

    if not data.is_dir():
        return False
    inside = subfolders(data)
    return len(inside) == 1 and inside[0].name.lower() in (*IMAGES, *MASKS) and holds_pictures(inside[0])
