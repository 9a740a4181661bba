"""Look at every picture before training on it: can it be read, is it there twice, would it mislead?"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from separable.data.check_classes import class_problems
from separable.data.check_copies import copy_problems
from separable.data.check_giveaway import giveaway_problems
from separable.data.check_pictures import picture_problems
from separable.data.check_problems import Limits, Problem, Survey
from separable.data.check_report import CheckReport
from separable.data.check_scan import scan_pictures
from separable.data.decode import MAX_PIXELS
from separable.data.folder import FolderData, read_folder

__all__ = ["Pictures", "check_folder", "survey_sets"]


class Pictures(Protocol):
    """A set: `paths` are relative to `root`."""

    @property
    def root(self) -> Path: ...

    @property
    def paths(self) -> tuple[str, ...]: ...


def check_folder(
    data: FolderData | str | Path,
    workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
    *,
    limits: Limits | None = None,
    max_pixels: int = MAX_PIXELS,
) -> CheckReport:
    """Decode every picture once and report what is wrong with them, singly and together.

    Memory grows by about 2 KB a picture; time is that of decoding, plus some ten seconds for 100,000 pictures.

    Args:
        data: what `read_folder` returned, or the path to give it.
        workers: processes to decode in; 0 decodes here. The report is the same.
        progress: called with (pictures done, pictures in all).
        limits: from where on something is said.
        max_pixels: a picture with more counts as unreadable, as in training.

    Raises:
        DataFolderError: the folder is not a data folder at all; see `read_folder`.
    """
    folder = data if isinstance(data, FolderData) else read_folder(data)
    labels = np.concatenate([folder.train.labels, folder.val.labels]).astype(np.int64)
    root, survey = survey_sets(
        folder.train, folder.val, folder.class_names, labels, workers, progress, limits=limits, max_pixels=max_pixels
    )
    return CheckReport(root, survey, tuple(_problems(survey)), folder.notes)


def survey_sets(
    train: Pictures,
    val: Pictures,
    class_names: tuple[str, ...],
    labels: NDArray[np.int64],
    workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
    *,
    limits: Limits | None = None,
    max_pixels: int = MAX_PIXELS,
) -> tuple[Path, Survey]:
    """Decode every picture once; the folder that holds both sets, and what is to be known of them.

    Args:
        train: to learn from.
        val: held out.
        class_names: ("",) where each picture has no class, or several.
        labels: of all pictures, those to learn from first.
        workers: see `check_folder`, as the others.
    """
    root = Path(os.path.commonpath([train.root.absolute(), val.root.absolute()]))
    files = [part.root / path for part in (train, val) for path in part.paths]
    facts = scan_pictures(files, workers=workers, max_pixels=max_pixels, progress=progress)
    return root, Survey(
        class_names=class_names,
        paths=(*_shown(root, train), *_shown(root, val)),
        labels=labels,
        held_out=np.repeat([False, True], [len(train.paths), len(val.paths)]),
        facts=tuple(facts),
        limits=limits or Limits(),
    )


def _problems(survey: Survey) -> Iterator[Problem]:
    yield from class_problems(survey)
    yield from copy_problems(survey)
    yield from picture_problems(survey)
    yield from giveaway_problems(survey)


def _shown(root: Path, part: Pictures) -> Iterator[str]:
    inside = part.root.absolute().relative_to(root).as_posix()
    return iter(part.paths) if inside == "." else (f"{inside}/{path}" for path in part.paths)
