"""Checkpoints: written beside, fsynced, renamed; hashed, so that a damaged one is seen and the one before is taken.

`checkpoints/step-00000120/` holds `model.safetensors` and `config.json` (the weights that evaluation uses, loadable
like any saved model), `training.safetensors` (optimiser, the raw weights where evaluation uses averaged ones, torch's
random state) and `state.json` (progress, identity, and the SHA-256 of the other files), which is written last. One that
is replaced by another of the same step is `step-00000120.old1` until that one is there: at no moment is there none.
"""

import errno
import hashlib
import itertools
import json
import os
import re
import shutil
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from separable.errors import CheckpointError, OutputError, SeparableError
from separable.files import fsync_directory, make_directory
from separable.models.base import ImageModel
from separable.models.contract import InputContract
from separable.training.codec import differences
from separable.training.ema import WeightAverage
from separable.training.progress import Progress
from separable.weights import save_model

__all__ = ["CheckpointStore"]

_FORMAT = 1
_NAME = re.compile(r"step-(\d+)(\.old\d+)?")
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class CheckpointStore:
    """The folder `checkpoints/` of a run.

    Args:
        folder: made when the first checkpoint is written.
        identity: what makes another training another: network, classes, configuration, data.
        keep: how many checkpoints stay.
        warn: told about a damaged checkpoint.
    """

    def __init__(
        self, folder: Path, identity: dict[str, Any], *, keep: int = 2, warn: Callable[[str], None] = lambda _: None
    ) -> None:
        self.folder, self._identity, self._keep, self._warn = folder, identity, max(keep, 1), warn
        self._found: tuple[Path, dict[str, Any]] | None = None

    def steps(self) -> list[int]:
        """The steps of the checkpoints present, oldest first."""
        return sorted({step for step, _, _ in self._present()})

    def _present(self) -> list[tuple[int, bool, Path]]:
        """(step, whether it keeps its own name, path), oldest first."""
        found = [(_NAME.fullmatch(path.name), path) for path in self.folder.glob("step-*") if path.is_dir()]
        return sorted((int(name[1]), name[2] is None, path) for name, path in found if name is not None)

    def save(
        self, model: ImageModel, optimiser: torch.optim.Optimizer, average: WeightAverage | None, progress: Progress
    ) -> Path:
        """Write the checkpoint of `progress.step`, then drop the oldest beyond `keep`.

        Raises:
            OutputError: no space, no permission. The checkpoints before stay whole, and the message says so.
        """
        self._found = None
        target = self.folder / f"step-{progress.step:08d}"
        temporary = self.folder / f".{target.name}.tmp"
        try:
            make_directory(self.folder)
            self._remove(temporary)
            temporary.mkdir()
            self._fill(temporary, model, optimiser, average, progress)
            if target.exists():  # the same step again: after a fall back, or at the end of its epoch
                os.replace(target, self._free_name(target))
            os.replace(temporary, target)
            fsync_directory(self.folder)
        except (OSError, SafetensorError, OutputError) as error:
            shutil.rmtree(temporary, ignore_errors=True)
            raise self._explain(progress.step, error) from error
        own = [path for _, is_own, path in self._present() if is_own]
        for path in [*self.folder.glob("step-*.old*"), *own[: -self._keep]]:
            self._remove(path)
        for rubbish in self.folder.glob(".step-*"):  # what a kill left half removed or half written
            shutil.rmtree(rubbish, ignore_errors=True)
        return target

    def progress(self) -> Progress | None:
        """Where the newest whole checkpoint stands, before a model is built for it; None where there is none.

        Raises:
            CheckpointError: it belongs to another model, configuration or data (the difference is named), or every
                checkpoint is damaged.
        """
        newest = self._newest()
        return None if newest is None else Progress.restored(newest[1]["progress"])

    def contract(self) -> InputContract | None:
        """The input contract of the newest whole checkpoint's model: it may come from the starting weights' file."""
        newest = self._newest()
        if newest is None:
            return None
        saved = json.loads((newest[0] / "config.json").read_text(encoding="utf-8"))  # its hash has been checked
        return InputContract.from_json(saved["input"])

    def restore(
        self, model: ImageModel, optimiser: torch.optim.Optimizer, average: WeightAverage | None
    ) -> Progress | None:
        """Load the newest whole checkpoint into all three; None where there is no checkpoint. Raises as `progress`."""
        newest = self._newest()
        if newest is None:
            return None
        path, state = newest
        _load_tensors(path, model, optimiser, average, int(state["average_updates"]))
        return Progress.restored(state["progress"])

    def _newest(self) -> tuple[Path, dict[str, Any]] | None:
        if self._found is not None:
            return self._found
        failures = []
        for _, _, path in reversed(self._present()):
            try:
                state = _read_state(path)
            except CheckpointError as error:
                failures.append(str(error))
                self._warn(f"{error} Falling back to the checkpoint before it.")
                continue
            self._check_identity(path, state["identity"])
            self._found = path, state
            return self._found
        if failures:
            raise CheckpointError(
                f"Every checkpoint in {self.folder} is damaged",
                got=failures[0],
                fix="Start again in another run folder, or without --resume after removing this one",
            )
        return None

    def _fill(
        self,
        folder: Path,
        model: ImageModel,
        optimiser: torch.optim.Optimizer,
        average: WeightAverage | None,
        progress: Progress,
    ) -> None:
        tensors = _optimiser_tensors(model, optimiser)
        tensors["random.torch"] = torch.get_rng_state()
        if average is not None:
            tensors |= {f"weights.{name}": tensor for name, tensor in model.state_dict().items()}
        with average.applied() if average is not None else nullcontext():
            save_model(model, folder)
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / "training.safetensors")
        names = sorted(path.name for path in folder.iterdir())
        body = {
            "format": _FORMAT,
            "progress": asdict(progress),
            "average_updates": 0 if average is None else average.updates,
            "identity": self._identity,
            "files": {name: _sha256(folder / name) for name in names},
        }
        (folder / "state.json").write_text(json.dumps({"digest": _digest(body), "body": body}), encoding="utf-8")
        for name in ("training.safetensors", "state.json"):  # `save_model` has seen to its own
            _fsync(folder / name)
        fsync_directory(folder)

    def _check_identity(self, path: Path, identity: dict[str, Any]) -> None:
        found = differences(identity, json.loads(json.dumps(self._identity)))
        if found:
            raise CheckpointError(
                f"The checkpoint {path} belongs to another training",
                got="; ".join(found[:5]) + (f"; and {len(found) - 5} more" if len(found) > 5 else ""),
                fix="Resume with the command the run was started with, or train in another run folder",
            )

    def _free_name(self, target: Path) -> Path:
        """Where the checkpoint that `target` replaces waits, still to be found, until the new one is in its place."""
        names = (target.with_name(f"{target.name}.old{number}") for number in itertools.count(1))
        return next(path for path in names if not path.exists())

    def _remove(self, path: Path) -> None:
        # Renamed first, so that a kill half way through never leaves something that looks like a checkpoint.
        if path.exists():
            rubbish = self.folder / f".{path.name.lstrip('.')}.old"
            shutil.rmtree(rubbish, ignore_errors=True)
            os.replace(path, rubbish)
            shutil.rmtree(rubbish, ignore_errors=True)

    def _explain(self, step: int, error: Exception) -> SeparableError:
        number = getattr(error, "errno", None) or getattr(error.__cause__, "errno", None)
        text = str(error)
        full = number in _FULL or any(f"os error {code})" in text for code in _FULL) or "No space left" in text
        steps = self.steps()
        kept = f"The checkpoint of step {steps[-1]} is whole" if steps else "No checkpoint had been written yet"
        remedy = "free some space" if full else "mend the folder's permissions"
        what = "No space left to write" if full else "Cannot write"
        return OutputError(
            f"{what} the checkpoint of step {step} in {self.folder}",
            got=text,
            fix=f"{kept}: {remedy} and run the same command with --resume",
        )


def _read_state(path: Path) -> dict[str, Any]:
    """The body of `state.json`, every file it names checked against its SHA-256."""
    try:
        document = json.loads((path / "state.json").read_text(encoding="utf-8"))
        body = document["body"]
        if document["digest"] != _digest(body):
            raise CheckpointError(f"The checkpoint {path} is damaged", got="state.json does not match its own hash")
        for name, expected in body["files"].items():
            if _sha256(path / name) != expected:
                raise CheckpointError(f"The checkpoint {path} is damaged", got=f"{name} does not match its hash")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"The checkpoint {path} is damaged", got=f"{type(error).__name__}: {error}") from error
    if body["format"] != _FORMAT or not Progress.fits(body["progress"]):
        raise CheckpointError(
            f"The checkpoint {path} was written by another version",
            got=f"format {body['format']}",
            expected=f"format {_FORMAT}",
        )
    return dict(body)


@torch.no_grad()
def _load_tensors(
    path: Path,
    model: ImageModel,
    optimiser: torch.optim.Optimizer,
    average: WeightAverage | None,
    average_updates: int,
) -> None:
    saved, extra = load_file(path / "model.safetensors"), load_file(path / "training.safetensors")
    weights = saved
    if average is not None:
        average.load(saved, average_updates)
        weights = {name.removeprefix("weights."): t for name, t in extra.items() if name.startswith("weights.")}
    # Copied in place: the memory layout stays the one chosen at the first step.
    for name, tensor in model.state_dict().items():
        tensor.copy_(weights[name])
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    for group in optimiser.param_groups:
        for parameter in group["params"]:
            prefix = f"optimiser.{names[id(parameter)]}."
            state = {name.removeprefix(prefix): t for name, t in extra.items() if name.startswith(prefix)}
            optimiser.state[parameter] = {name: _like(parameter, tensor) for name, tensor in state.items()}
    torch.set_rng_state(extra["random.torch"])


def _like(parameter: torch.Tensor, tensor: torch.Tensor) -> torch.Tensor:
    if tensor.shape != parameter.shape:  # a step counter
        return tensor.clone()
    return torch.zeros_like(parameter).copy_(tensor)


def _optimiser_tensors(model: ImageModel, optimiser: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {
        f"optimiser.{names[id(parameter)]}.{key}": value.detach()
        for parameter, state in optimiser.state.items()
        for key, value in state.items()
        if isinstance(value, torch.Tensor)
    }


def _digest(body: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _fsync(path: Path) -> None:
    with path.open("rb") as handle:
        os.fsync(handle.fileno())
