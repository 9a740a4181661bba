"""Look at every picture before training on it: can it be read, is it there twice, would it mislead?"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from separable.data.check_classes import class_problems
from separable.data.check_copies import copy_problems
from separable.data.check_giveaway import giveaway_problems
from separable.data.check_pictures import picture_problems
from separable.data.check_problems import Limits, Problem, Survey
from separable.data.check_report import CheckReport
from separable.data.check_scan import scan_pictures
from separable.data.decode import MAX_PIXELS
from separable.data.folder import FolderData, PictureSet, read_folder

__all__ = ["check_folder"]


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
    root = _common_root(folder.train.root, folder.val.root)
    files = [part.root / path for part in (folder.train, folder.val) for path in part.paths]
    facts = scan_pictures(files, workers=workers, max_pixels=max_pixels, progress=progress)
    survey = Survey(
        class_names=folder.class_names,
        paths=(*_shown(root, folder.train), *_shown(root, folder.val)),
        labels=np.concatenate([folder.train.labels, folder.val.labels]).astype(np.int64),
        held_out=np.repeat([False, True], [len(folder.train), len(folder.val)]),
        facts=tuple(facts),
        limits=limits or Limits(),
    )
    return CheckReport(root, survey, tuple(_problems(survey)), folder.notes)


def _problems(survey: Survey) -> Iterator[Problem]:
    yield from class_problems(survey)
    yield from copy_problems(survey)
    yield from picture_problems(survey)
    yield from giveaway_problems(survey)


def _common_root(train: Path, val: Path) -> Path:
    return Path(os.path.commonpath([train.absolute(), val.absolute()]))


def _shown(root: Path, part: PictureSet) -> Iterator[str]:
    inside = part.root.absolute().relative_to(root).as_posix()
    return iter(part.paths) if inside == "." else (f"{inside}/{path}" for path in part.paths)
