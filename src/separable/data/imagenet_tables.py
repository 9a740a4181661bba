"""What comes beside ImageNet's pictures: the development kit of 2012, Kaggle's tables, and the papers' blacklist.

The kit (ILSVRC2012_devkit_t12, readme section 3.2) numbers its synsets from 1: the leaves 1 to 1000, in an order that
is not alphabetical, then the inner nodes of WordNet's tree. Networks number the classes by sorted WordNet ids.
"""

import re
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

from separable.data.tables import read_table
from separable.errors import DataFolderError, MissingExtraError

__all__ = [
    "BLACKLIST",
    "DEVKIT",
    "SOLUTION",
    "Tables",
    "picture_number",
    "read_blacklist",
    "read_devkit",
    "read_kaggle",
]

DEVKIT = "ILSVRC2012_devkit_t12"
SOLUTION, _MAPPING = "LOC_val_solution.csv", "LOC_synset_mapping.txt"
BLACKLIST = re.compile(r"ILSVRC20\d\d_clsloc_validation_blacklist\.txt")
"""The papers name that of 2014; those of the years after it say the same."""
_TRUTH = "ILSVRC2012_validation_ground_truth.txt"
_PICTURE = re.compile(r"ILSVRC2012_val_(\d{8})(?:\.JPEG)?", re.IGNORECASE)
_WNID = re.compile(r"n\d{8}")


@dataclass(frozen=True)
class Tables:
    """Which class each validation picture shows.

    `names` are of all classes, by WordNet id: the id, and after a comma what people call it, where that is known.
    """

    source: Path
    names: dict[str, str]
    truth: dict[int, str] = field(repr=False)
    """WordNet ids by the number in a picture's name, which begin at 1."""


def picture_number(name: str) -> int | None:
    """17 of "ILSVRC2012_val_00000017.JPEG"; None of any other file."""
    found = _PICTURE.fullmatch(name)
    return int(found[1]) if found else None


def read_devkit(devkit: Path) -> Tables:
    """
    Raises:
        DataFolderError: a file of it is missing or damaged, or its parts do not belong together.
        MissingExtraError: scipy is not installed, which reads meta.mat.
    """
    meta, truth = devkit / "data" / "meta.mat", devkit / "data" / _TRUTH
    numbers, names = _read_meta(meta)
    labels = {}
    for line, number in enumerate(_read_numbers(truth), 1):
        if number not in numbers:
            raise DataFolderError(
                f"{truth}, line {line}, names a class that there is not",
                got=number,
                expected=f"a number of {meta.name}, from 1 to {len(numbers)}",
                fix=f"Unpack {DEVKIT}.tar.gz again",
            )
        labels[line] = numbers[number]
    return Tables(devkit, names, labels)


def read_kaggle(folder: Path) -> Tables:
    """
    Raises:
        DataFolderError: a table is missing or damaged, or they do not belong together.
    """
    names, labels = _read_mapping(folder / _MAPPING), {}
    table = folder / SOLUTION
    for line, row in read_table(table, ("ImageId", "PredictionString"), "Kaggle's list of validation pictures"):
        number, ids = picture_number(row["ImageId"] or ""), (row["PredictionString"] or "").split()
        if number is None:
            expected = "a picture such as ILSVRC2012_val_00000017"
            raise DataFolderError(
                f"{table}, line {line}, names no picture", got=repr(row["ImageId"]), expected=expected
            )
        if not ids or ids[0] not in names:
            raise DataFolderError(
                f"{table}, line {line}, names a class that there is not",
                got=repr(ids[0]) if ids else "none",
                expected=f"one of the {len(names):,} of {_MAPPING}",
            )
        labels[number] = ids[0]
    return Tables(table, names, labels)


def read_blacklist(path: Path, pictures: int) -> frozenset[int]:
    """Numbers of validation pictures, of which there are so many.

    Raises:
        DataFolderError: it cannot be read, or is about other pictures.
    """
    numbers = frozenset(_read_numbers(path))
    strange = sorted(number for number in numbers if not 1 <= number <= pictures)
    if strange:
        expected = f"numbers of validation pictures, from 1 to {pictures:,}"
        raise DataFolderError(f"{path} is about other pictures", got=strange[0], expected=expected)
    return numbers


def _read_meta(path: Path) -> tuple[dict[int, str], dict[str, str]]:
    """(WordNet ids by the kit's number, names by WordNet id) of the leaves."""
    try:
        loadmat = import_module("scipy.io").loadmat  # by name: it comes without type information
    except ImportError as error:
        raise MissingExtraError(
            f"Reading {path.name} of ImageNet's development kit needs scipy",
            fix='Install it with: pip install "separable[imagenet]"',
        ) from error
    _demand_file(path)
    try:
        synsets = loadmat(path, squeeze_me=True)["synsets"]
        leaves = [row for row in synsets.ravel() if int(row["num_children"]) == 0]
        found = [(int(row["ILSVRC2012_ID"]), str(row["WNID"]), str(row["words"])) for row in leaves]
        demanded = all(_WNID.fullmatch(wnid) for _, wnid, _ in found) and len({n for n, _, _ in found}) == len(found)
        if not found or not demanded:
            raise ValueError("its synsets have no WordNet ids")
    except Exception as error:  # scipy raises whatever it stumbles over in a damaged file
        raise DataFolderError(
            f"{path} cannot be read",
            got=f"{type(error).__name__}: {error}",
            expected="the synsets of ILSVRC 2012",
            fix=f"Unpack {DEVKIT}.tar.gz again",
        ) from error
    return {number: wnid for number, wnid, _ in found}, {wnid: _named(wnid, words) for _, wnid, words in found}


def _read_mapping(path: Path) -> dict[str, str]:
    """Names by WordNet id, from lines such as "n01440764 tench, Tinca tinca"."""
    names = {}
    for number, line in enumerate(_read_lines(path), 1):
        wnid, _, words = line.partition(" ")
        if not _WNID.fullmatch(wnid):
            expected = "a WordNet id such as n01440764, and names"
            raise DataFolderError(f"{path}, line {number}, names no class", got=repr(line[:50]), expected=expected)
        names[wnid] = _named(wnid, words)
    return names


def _named(wnid: str, words: str) -> str:
    first = words.split(",")[0].strip()
    return f"{wnid}, {first}" if first else wnid


def _read_numbers(path: Path) -> list[int]:
    numbers = []
    for number, line in enumerate(_read_lines(path), 1):
        if not line.isascii() or not line.isdigit():
            raise DataFolderError(
                f"{path}, line {number}, is no number", got=repr(line[:50]), expected="a number a line"
            )
        numbers.append(int(line))
    return numbers


def _read_lines(path: Path) -> list[str]:
    _demand_file(path)
    try:
        lines = path.read_text(encoding="utf-8-sig", errors="replace").split("\n")
    except OSError as error:
        raise DataFolderError(f"Cannot read {path}", got=error.strerror or str(error)) from error
    while lines and not lines[-1].strip():
        lines.pop()
    return [line.strip() for line in lines]


def _demand_file(path: Path) -> None:
    if not path.is_file():
        raise DataFolderError(f"There is no file {path}", fix="Unpack what it came in again, or download it again")
