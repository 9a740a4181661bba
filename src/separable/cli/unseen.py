"""Pictures of a folder that none of the runs to be compared has learnt from: on those, who memorises more would win."""

import hashlib
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from separable.errors import SeparableError, UsageError

if TYPE_CHECKING:
    from separable.cli.measuring import Measuring
    from separable.training.config import DataConfig

__all__ = ["unseen_pictures"]

_HASHED = 100_000
"""Pictures up to which copies are found by what the files hold; among more, by their paths alone."""
_FIX = "Name a folder of pictures that none of them has learnt from"


def unseen_pictures(
    networks: Sequence[str], data: Path, class_names: tuple[str, ...], measuring: "Measuring"
) -> tuple[Any, tuple[str, ...]]:
    """What runs may be compared on, and sentences on what was left out, or cannot be told.

    Of runs that were trained from `data` these are the pictures that all of them held out. Of another folder they are
    the held-out ones, or all where none are held out, without those that a run has learnt from elsewhere: files of the
    same path or with the same bytes.

    Raises:
        UsageError: nothing is left.
        DataFolderError: the folder cannot be read.
    """
    notes: list[str] = []
    own: dict[str, Any] = {}
    others: dict[str, Any] = {}
    for one in networks:
        run = _run_of(one)
        stored = None if run is None else _stored(run)
        if run is None or stored is None:
            notes.append(f"{one} does not say what it was trained on: it may have learnt from these pictures.")
        elif (split := _own_split(run, stored, data, class_names, measuring)) is not None:
            own[one] = split
            changed = measuring.changed(run, split.val)
            if changed is not None:
                notes.append(f"{data} has changed since {one} was trained ({changed}): it may have learnt from some.")
        elif (elsewhere := _learnt_from(stored, class_names, measuring)) is not None:
            others[one] = elsewhere
        else:
            notes.append(
                f"The pictures that {one} was trained on are not in {stored.root} any more: some may be among these."
            )
    if own:
        pictures = _common({one: split.val for one, split in own.items()}, notes)
    else:
        pictures = _all(data, class_names, measuring)
    for one, learnt in others.items():
        pictures = _without(pictures, learnt, one, notes)
    return pictures, tuple(notes)


def _run_of(text: str) -> Path | None:
    """The run's folder, also where somebody names the model in it."""
    from separable.runtime.locate import locate

    located = locate(text)
    if located.kind == "run" or located.path is None:
        return located.path
    folder = located.path if located.path.is_dir() else located.path.parent
    return folder.resolve().parent


def _stored(run: Path) -> "DataConfig | None":
    """What the run says of its pictures."""
    from separable.training.config import TrainConfig

    try:
        return TrainConfig.from_yaml(run / "config.yaml").data
    except SeparableError:
        return None


def _own_split(
    run: Path, stored: "DataConfig", data: Path, class_names: tuple[str, ...], measuring: "Measuring"
) -> Any | None:
    """Both parts of `data` as the run split it; None where it was not trained from there, nor from a copy."""
    if stored.root and Path(stored.root).resolve() == data.resolve():
        return measuring.read(data, class_names, stored)
    has_figures = (run / "evaluation.json").is_file() or any((run / "checkpoints").glob("step-*/state.json"))
    with suppress(SeparableError):  # what cannot be split as then is another folder
        split = measuring.read(data, class_names, stored)
        if has_figures and measuring.changed(run, split.val) is None:
            return split
    return None


def _learnt_from(stored: "DataConfig", class_names: tuple[str, ...], measuring: "Measuring") -> Any | None:
    """The training part of a run's own pictures, where they still are."""
    with suppress(SeparableError):
        if stored.root and Path(stored.root).exists():
            return measuring.read(Path(stored.root), class_names, stored).train
    return None


def _all(data: Path, class_names: tuple[str, ...], measuring: "Measuring") -> Any:
    folder = measuring.read(data, class_names, None)
    return measuring.joined(folder.train, folder.val) if measuring.is_whole(folder) else folder.val


def _common(held_out: dict[str, Any], notes: list[str]) -> Any:
    """What all of them held out, with the same label."""
    first, *rest = held_out.values()
    shared = set(_labelled(first))
    for other in rest:
        shared &= set(_labelled(other))
    if not shared:
        raise UsageError(
            "The runs held out other pictures each: what one has not seen, another has learnt from",
            got=f"none that {', '.join(held_out)} have all held out",
            fix=_FIX,
        )
    if len(shared) < len(first):
        notes.append(f"The runs held out other pictures each: compared on the {len(shared)} that all of them held out.")
    return _chosen(first, [number for number, pair in enumerate(_labelled(first)) if pair in shared])


def _without(pictures: Any, learnt: Any, name: str, notes: list[str]) -> Any:
    """The pictures that are not among those learnt from."""
    ours, theirs = _files(pictures), _files(learnt)
    known = {os.path.realpath(path) for path in theirs}
    seen = [os.path.realpath(path) in known for path in ours]
    if len(ours) + len(theirs) <= _HASHED:
        sizes = _by_size(ours).keys() & _by_size(theirs).keys()
        digests = {_digest(path) for size, paths in _by_size(theirs).items() if size in sizes for path in paths}
        by_size = {path: size for size, paths in _by_size(ours).items() for path in paths}
        seen = [
            was or (by_size.get(path) in sizes and _digest(path) in digests)
            for path, was in zip(ours, seen, strict=True)
        ]
    kept = [number for number, was in enumerate(seen) if not was]
    if not kept:
        raise UsageError(f"{name} has learnt from all of these pictures", got=f"{len(ours)} pictures", fix=_FIX)
    if len(kept) < len(ours):
        notes.append(f"{name} has learnt from {len(ours) - len(kept)} of {len(ours)} pictures: they are left out.")
    return _chosen(pictures, kept)


def _labelled(pictures: Any) -> list[tuple[str, int]]:
    return list(zip(pictures.paths, pictures.labels.tolist(), strict=True))


def _chosen(pictures: Any, numbers: list[int]) -> Any:
    from separable.data.folder import PictureSet

    paths = tuple(pictures.paths[number] for number in numbers)
    return PictureSet(pictures.root, paths, pictures.labels[numbers], pictures.class_names)


def _files(pictures: Any) -> list[str]:
    return [os.path.join(pictures.root, path) for path in pictures.paths]


def _by_size(paths: Iterable[str]) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for path in paths:
        with suppress(OSError):
            found.setdefault(os.stat(path).st_size, []).append(path)
    return found


def _digest(path: str) -> bytes:
    """Of a file that cannot be read, nothing that another one has."""
    try:
        with open(path, "rb") as handle:
            return hashlib.file_digest(handle, "sha256").digest()
    except OSError:
        return path.encode(errors="surrogateescape")
