"""The weight file that a folder stands for: a model folder's, a run's, or that of a repository of the hub."""

import warnings
from pathlib import Path

from separable.errors import RunFolderError, UsageError, WeightsFormatError
from separable.weights.hub_files import HUB_PREFIX, fetch_repository, split_hub_id

__all__ = ["model_folder", "refuse_existing", "weight_file"]


def refuse_existing(path: Path, *, folder: bool = True) -> None:
    """Refuse to write to `path` where anything is, an empty folder aside if a `folder` is to be written.

    Raises:
        UsageError: it is there, or it is a link to what is not there.
    """
    if path.is_symlink() and not path.exists():
        raise UsageError(
            f"{path} is a link to {path.readlink()}, which is not there, and nothing was written", expected="a new name"
        )
    if path.exists() and not (folder and path.is_dir() and not any(path.iterdir())):
        raise UsageError(
            f"{path} is already there, and nothing was written",
            expected="a new name, or an empty folder" if folder else "a new name",
            fix="Choose another name, or move it away first",
        )


def weight_file(path: Path) -> Path:
    """`path` itself, or the weights in it where it is a model folder or a run; of "hf-hub:owner/name" they are fetched.

    Raises:
        DownloadError, MissingExtraError: a repository that cannot be had.
        WeightsFormatError: a folder that is neither.
        RunFolderError: a run without a model so far.
    """
    if str(path).startswith(HUB_PREFIX):
        return fetch_repository(*split_hub_id(str(path))) / "model.safetensors"
    if not path.is_dir():
        return path
    for name in ("model.safetensors", "pytorch_model.bin"):  # the second is what timm wrote to the hub before
        if (path / name).exists():
            return path / name
    if (path / "model").is_dir() or (path / "checkpoints").is_dir():
        return model_folder(path) / "model.safetensors"
    inside = sorted(entry.name for entry in path.iterdir())[:5]
    raise WeightsFormatError(
        f"{path} is neither a model folder nor a run",
        got=f"a folder with {', '.join(inside) or 'nothing in it'}",
        expected="a folder with model.safetensors, or one that `separable train` wrote",
        fix="Give the weight file itself",
    )


def model_folder(run: Path) -> Path:
    """The model a run ended with, or (with a warning) its newest checkpoint where it has not ended.

    Raises:
        RunFolderError: there is neither.
    """
    if (run / "model").is_dir():
        return run / "model"
    checkpoints = sorted((run / "checkpoints").glob("step-*/model.safetensors"))
    if not checkpoints:
        raise RunFolderError(
            f"The run {run} has no model yet",
            fix="Let its training reach the first checkpoint, or go on with its command and --resume",
        )
    newest = checkpoints[-1].parent
    warnings.warn(f"{run} has not ended: using its checkpoint {newest.name}", stacklevel=3)
    return newest
