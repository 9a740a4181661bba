"""The pictures of an experiment: drawn, or somebody's, read as trainings take them, and told apart from other ones."""

import hashlib
import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from separable.data.decode import resolve_decoder
from separable.data.folder import FolderData, PictureSet, read_folder
from separable.data.manifest import read_manifest
from separable.data.manifest_set import TagData
from separable.data.splits import split_samples
from separable.errors import DataFolderError, UsageError
from separable.experiments.pictures import DRAWN, Drawing, Progress, draw
from separable.experiments.schema import Experiment, Setup, Task
from separable.models import model_spec
from separable.segmentation.pair_set import PairsData
from separable.segmentation.pairs import read_pairs
from separable.training.task import TaskData

__all__ = ["Source", "open_source", "own_source", "prepare", "tuning_part"]

_SIDE, _PICTURES = 48, (2000, 1000)
"""Of drawn pictures where a setup leaves it open."""
_TUNING_SHARE = 0.2
_LISTED = 100_000
"""Pictures up to which every file's size is looked at; a set of more is told by its paths and labels."""
_HASHED = 256 << 20
"""Bytes of a set up to which they are hashed, too."""


@dataclass(frozen=True)
class Source:
    """Where pictures are, and which they are: two with one `fingerprint` hold the same pictures and labels.

    `drawn` is a hash of pixels, empty for somebody's pictures. `what` is for a person.
    """

    task: Task
    root: str
    what: str
    drawn: str = ""
    fingerprint: str = ""
    train: int = 0
    held_out: int = 0
    class_names: tuple[str, ...] = ()
    decoder: str = ""
    """What JPEGs are decoded with, which decides their pixels; empty where none are among the pictures."""

    @property
    def identity(self) -> dict[str, Any]:
        """All of it that decides what is learnt."""
        own = {"task": self.task, "fingerprint": self.fingerprint, "classes": list(self.class_names)}
        return own | {"decoder": self.decoder}


def prepare(
    experiment: Experiment, setup: Setup, home: Path, data: Path | None, progress: Progress | None = None
) -> Source:
    """The user's `data`, or those that the setup has drawn below `home`.

    Drawn pictures are as large as the largest that an arm is trained on; others see them reduced.

    Raises:
        UsageError: the setup needs pictures that cannot be drawn, and there are none.
        DataFolderError: the user's folder cannot be read.
    """
    if data is not None:
        return own_source(experiment.task, data)
    if setup.data not in DRAWN and experiment.kind == "count":
        names = max(model_spec(arm.model).num_classes for arm in experiment.arms)
        classes = tuple(f"class {number}" for number in range(names))
        return Source(experiment.task, "", "no pictures: nothing is trained", class_names=classes)
    if setup.data not in DRAWN:
        raise UsageError(
            f"{experiment.name} needs pictures at this scale",
            got=f"no --data, and {setup.data} does not come with this package",
            expected="--data FOLDER: ImageNet as it is distributed, or pictures of your own",
        )
    sides = [setup.size_of(arm) or _SIDE for arm in experiment.arms]
    drawing = Drawing(setup.data, max(sides), *(setup.pictures or _PICTURES))
    root = home / "pictures" / drawing.name
    pixels = draw(drawing, root, progress)
    return _identified(Source(experiment.task, str(root), f"{DRAWN[setup.data]}, {max(sides)}x{max(sides)}", pixels))


def own_source(task: Task, data: Path) -> Source:
    """Somebody's pictures.

    Raises:
        DataFolderError: the folder cannot be read.
    """
    return _identified(Source(task, str(data), data.resolve().name))


def open_source(source: Source) -> TaskData:
    """Both sets, as they were when the source was identified.

    Raises:
        DataFolderError: they cannot be read, or have changed since.
    """
    data = _read(source)
    if _fingerprint(source, data) != source.fingerprint:
        raise DataFolderError(
            f"The pictures in {source.root} have changed since the comparison began",
            fix="Start the command again: what was trained on the former pictures is not used then",
        )
    return data


def tuning_part(data: TaskData) -> TaskData:
    """The training pictures alone, a fifth of them (of each class, where pictures have one) held out."""
    whole: Any = data.train
    if not isinstance(whole, PictureSet):
        parts = split_samples(whole.paths, _TUNING_SHARE, seed=0)
        train, val = (whole.chosen(part) for part in parts)
        assert isinstance(data, PairsData | TagData)
        return replace(data, train=train, val=val)
    chosen: tuple[list[int], list[int]] = ([], [])
    for label in np.unique(whole.labels):
        members = np.flatnonzero(whole.labels == label).tolist()
        if len(members) < 2:  # nothing to spare
            chosen[0].extend(members)
            continue
        for part, numbers in zip(
            chosen, split_samples([whole.paths[k] for k in members], _TUNING_SHARE, 0), strict=True
        ):
            part.extend(members[number] for number in numbers)
    train, val = (_some(whole, sorted(part)) for part in chosen)
    if not len(val):
        raise DataFolderError(
            f"{whole.root} has too few pictures to try learning rates on",
            got=f"{len(whole)} to train on",
            expected="two or more of some class",
        )
    return FolderData(train, val, data.class_names, ())


def _some(whole: PictureSet, samples: list[int]) -> PictureSet:
    paths = tuple(whole.paths[sample] for sample in samples)
    return PictureSet(whole.root, paths, whole.labels[samples], whole.class_names)


def _identified(source: Source) -> Source:
    data = _read(source)
    return replace(
        source,
        fingerprint=_fingerprint(source, data),
        train=len(data.train),
        held_out=len(data.val),
        class_names=tuple(data.class_names),
        decoder=resolve_decoder() if any(_is_jpeg(path) for path in (*data.train.paths, *data.val.paths)) else "",
    )


def _is_jpeg(path: str) -> bool:
    return path.lower().endswith((".jpg", ".jpeg"))


def _read(source: Source) -> TaskData:
    if source.task == "segment":
        return read_pairs(source.root)
    if source.task == "tag":
        return read_manifest(source.root)
    return read_folder(source.root)


def _fingerprint(source: Source, data: TaskData) -> str:
    """Of paths, labels, and of drawn pictures their pixels, of others as much of the files as can be had quickly."""
    parts: list[Any] = [source.task, list(data.class_names), data.train.fingerprint(), data.val.fingerprint()]
    parts.append(source.drawn or _files(source, data))
    if isinstance(data, TagData) and data.given_weights is not None:
        parts.append(data.given_weights.tolist())
    text = json.dumps(parts, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _files(source: Source, data: TaskData) -> str:
    """A hash of the sizes of the pictures' files, and of what they and the masks hold where that is not much."""
    paths = [os.path.join(part.root, path) for part in (data.train, data.val) for path in part.paths]
    if len(paths) > _LISTED:
        return "by name"
    try:
        sizes = [os.stat(path).st_size for path in paths]
        digest = hashlib.sha256(repr(sizes).encode())
        if sum(sizes) <= _HASHED:
            for path in paths:
                with open(path, "rb") as handle:
                    digest.update(hashlib.file_digest(handle, "sha256").digest())
            if isinstance(data, PairsData):
                masks = [part.mask_digests for part in (data.train, data.val)]
                digest.update(json.dumps(masks, sort_keys=True).encode())
    except OSError as error:
        raise DataFolderError(f"Cannot read the pictures in {source.root}", got=error.strerror or error) from error
    return digest.hexdigest()
