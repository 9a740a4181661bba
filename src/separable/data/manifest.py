"""A list of pictures with any number of labels each as a training and a validation set, and how it can be wrong."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from separable.data.folder import demand_folder
from separable.data.manifest_classes import CLASS_NAMES, CLASS_WEIGHTS, read_class_names, read_class_weights
from separable.data.manifest_rows import MANIFEST_ENDINGS, Listed, Names, read_listed
from separable.data.manifest_set import TagData, TagSet
from separable.data.splits import HELD_OUT_NAMES, demand_fraction, split_samples
from separable.data.tables import column_names
from separable.data.walk import some_names
from separable.errors import DataFolderError

__all__ = ["LAYOUT", "demand_manifest", "holds_manifest", "label_notes", "read_manifest"]

LAYOUT = (
    "labels.csv with the columns path and labels, labels.jsonl, or train.csv with val.csv (or both .jsonl): a line for "
    "each picture"
)
_WHOLE, _TRAIN = "labels", "train"


def holds_manifest(path: str | Path) -> bool:
    """Whether `path` is a manifest or a folder with one; nothing is read but the first line of a CSV."""
    root = Path(path)
    if root.is_file():
        return _is_manifest(root)
    return any(_is_manifest(file) for file in _files(root, _WHOLE) + _files(root, _TRAIN))


def demand_manifest(path: str | Path) -> None:
    """
    Raises:
        DataFolderError: `path` is not laid out as `read_manifest` takes it.
    """
    _find(Path(path), [])


def read_manifest(
    path: str | Path, *, val_fraction: float = 0.2, seed: int = 0, class_names: Sequence[str] | None = None
) -> TagData:
    r"""Read `labels.csv` or `labels.jsonl` of a folder, or `train.csv` with `val.csv` (or `.jsonl`), or such a file.

    A CSV has the columns `path` and `labels`, these separated by `;` or `|` (see `manifest_rows` for names that have
    one of them), and may have `set`, which says "train" or "val". A line of JSONL is `{"path": ..., "labels": [...]}`,
    likewise with `"set"`. Paths are relative to the manifest. A picture without a label is one: none of the classes is
    in it. Beside the manifest there may be `classes.txt`, all classes in their order, without which they are those that
    occur, sorted, and `class_weights.csv` with the columns `name` and `weight`.

    Where nothing says which pictures are held out, those are whose paths have the lowest keyed hashes: the same seed
    holds out the same ones. Pictures are not opened, but they have to be there.

    Args:
        path: the folder, or the manifest.
        val_fraction: share that is held out, at least one picture.
        seed: of the split.
        class_names: the classes in their order, as a trained model has them; `classes.txt` is not read then.

    Raises:
        DataFolderError: each way a manifest can be wrong has its own sentence.
        UsageError: `val_fraction` is not between 0 and 1.
    """
    demand_fraction(val_fraction)
    notes: list[str] = []
    files = _find(Path(path), notes)
    root = files[0].parent
    names, seen = _names(root, class_names), dict[str, str]()
    listed = [read_listed(file, names, seen) for file in files]
    for one in listed:
        notes += one.notes()
        _demand_files(one, root)
    order = _order(names, files[0])
    sets = [_as_set(one, root, order) for one in listed]
    was_whole = False
    if len(sets) == 2:
        train, val = sets
        notes += [
            f"The entry set in {one.source.name} is not read: there are two files, {files[0].name} and {files[1].name}."
            for one in listed
            if one.held_out is not None
        ]
    else:
        train, val, was_whole = _parts(listed[0], sets[0], val_fraction, seed, notes)
    notes += label_notes(train, val)
    weights = root / CLASS_WEIGHTS
    given = read_class_weights(weights, train.class_names, notes) if weights.exists() else None
    return TagData(train, val, train.class_names, tuple(notes), given, was_whole)


def _files(root: Path, name: str) -> list[Path]:
    return [file for file in (root / f"{name}{ending}" for ending in MANIFEST_ENDINGS) if file.is_file()]


def _is_manifest(file: Path) -> bool:
    if file.suffix.lower() == ".jsonl":
        return _has_labels(file)
    return file.suffix.lower() == ".csv" and {"path", "labels"} <= set(column_names(file))


def _has_labels(file: Path) -> bool:
    """Whether the first line of a JSONL file has what a manifest's has."""
    try:
        with file.open(encoding="utf-8-sig") as handle:
            first = json.loads(handle.readline(1 << 24))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(first, dict) and {"path", "labels"} <= first.keys()


def _find(root: Path, notes: list[str]) -> list[Path]:
    """The manifest, or the one to train on and the one that is held out."""
    if root.is_file():
        if root.suffix.lower() not in MANIFEST_ENDINGS:
            raise DataFolderError(f"{root} is no list of labels", got=f"a file {root.suffix or root}", expected=LAYOUT)
        return [root]
    demand_folder(root, LAYOUT)
    whole, train = _files(root, _WHOLE), _files(root, _TRAIN)
    found = whole + train
    if not found:
        raise DataFolderError(f"{root} has no list of labels", expected=LAYOUT)
    if len(found) > 1:
        raise DataFolderError(
            f"{root} has more than one list of labels",
            got=", ".join(file.name for file in found),
            expected="one of them",
            fix="Name the file that is meant, or move the others away",
        )
    if whole:
        return whole
    held_out = [file for name in HELD_OUT_NAMES for file in _files(root, name)]
    if not held_out:
        notes.append(f"There is no held-out list beside {train[0].name}: a part of it is held out.")
    elif len(held_out) > 1:
        notes.append(f"Lists beside {train[0].name} left untouched: {some_names([f.name for f in held_out[1:]])}.")
    return train + held_out[:1]


def _names(root: Path, class_names: Sequence[str] | None) -> Names:
    if class_names is not None:
        return Names({name: k for k, name in enumerate(class_names)}, "the model")
    file = root / CLASS_NAMES
    if not file.exists():
        return Names({}, None)
    return Names({name: k for k, name in enumerate(read_class_names(file))}, CLASS_NAMES)


def _demand_files(listed: Listed, root: Path) -> None:
    """Every picture is there: a list that names others has been written for another folder, or for other names."""
    missing = [k for k, path in enumerate(listed.paths) if not os.path.isfile(root / path)]
    if not missing:
        return
    named = [f"{ascii(listed.paths[k])[1:-1]} (line {listed.lines[k]})" for k in missing[:3]]
    more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
    count = f"{len(missing)} of its {len(listed.paths)} pictures"
    raise DataFolderError(
        f"{listed.source} names files that are not there, {count}",
        got=", ".join(named) + more,
        expected=f"paths of pictures from {root} on, in UTF-8",
        fix="Correct the paths, or remove the lines",
    )


def _order(names: Names, source: Path) -> tuple[tuple[str, ...], np.ndarray | None]:
    """The classes in their order, and of each one as it was met its number there (None: the same)."""
    if names.fixed is not None:
        ordered = tuple(names.index)
        if len(ordered) < 2 and names.fixed == CLASS_NAMES:
            raise _too_few(source.with_name(CLASS_NAMES), ordered)
        return ordered, None
    ordered = tuple(sorted(names.index))
    if len(ordered) < 2:
        raise _too_few(source, ordered)
    place = {name: k for k, name in enumerate(ordered)}
    return ordered, np.array([place[name] for name in names.index], np.int32)


def _too_few(source: Path, names: tuple[str, ...]) -> DataFolderError:
    return DataFolderError(
        f"{source} has {'one class' if names else 'no label at all'}",
        got=f"only {names[0]!r}" if names else None,
        expected="at least two classes: what is measured is which of them come first",
        fix="For yes or no, make a folder of pictures for each of the two" if names else None,
    )


def _as_set(listed: Listed, root: Path, order: tuple[tuple[str, ...], np.ndarray | None]) -> TagSet:
    names, places = order
    indices = np.frombuffer(listed.indices, np.int32) if listed.indices else np.zeros(0, np.int32)
    ends = np.concatenate([[0], np.frombuffer(listed.ends, np.int64)])
    if places is not None:
        indices = places[indices]
        rows = np.repeat(np.arange(len(ends) - 1), np.diff(ends))
        indices = indices[np.lexsort((indices, rows))]
    whole = TagSet(root, tuple(listed.paths), indices, ends, names)
    return whole.chosen(sorted(range(len(whole)), key=whole.paths.__getitem__))


def _parts(listed: Listed, whole: TagSet, fraction: float, seed: int, notes: list[str]) -> tuple[TagSet, TagSet, bool]:
    """(training, held out, whether nobody had held any out)."""
    if listed.held_out is not None:
        held = {path for path, is_held in zip(listed.paths, listed.held_out, strict=True) if is_held}
        if len(held) == len(whole):
            raise DataFolderError(f"{listed.source} leaves no picture to train on", got="the set val in every line")
        if held:
            parts = ([k for k, path in enumerate(whole.paths) if (path in held) == wanted] for wanted in (False, True))
            train, val = (whole.chosen(part) for part in parts)
            return train, val, False
        notes.append(f"{listed.source.name} holds no picture out: a part is held out.")
    if len(whole) < 2:
        raise DataFolderError(
            f"{listed.source} lists one picture",
            got=whole.paths[0],
            expected="at least two: one to train on and one to validate on",
        )
    train, val = (whole.chosen(part) for part in split_samples(whole.paths, fraction, seed))
    return train, val, True


def label_notes(train: TagSet, val: TagSet) -> list[str]:
    """Sentences on pictures without a label, and on classes without a picture."""
    notes = []
    blank = sum(int((np.diff(part.offsets) == 0).sum()) for part in (train, val))
    if blank:
        notes.append(f"Pictures without a label, which show none of the classes: {blank} of {len(train) + len(val)}.")
    seen, held = train.counts() > 0, val.counts() > 0
    unseen = [train.class_names[k] for k in np.flatnonzero(held & ~seen)]
    if unseen:
        notes.append(f"Classes with held-out pictures and none to train on: {some_names(unseen)}.")
    nowhere = [train.class_names[k] for k in np.flatnonzero(~held & ~seen)]
    if nowhere:
        notes.append(f"Classes without a picture here: {some_names(nowhere)}.")
    return notes
