"""What may lie beside a manifest: all classes in their order, and how much each counts."""

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from separable.data.tables import read_table, text_start
from separable.data.walk import some_names
from separable.errors import DataFolderError

__all__ = ["CLASS_NAMES", "CLASS_WEIGHTS", "read_class_names", "read_class_weights"]

CLASS_NAMES = "classes.txt"
CLASS_WEIGHTS = "class_weights.csv"


def read_class_names(path: Path) -> tuple[str, ...]:
    """One name a line, in the order of the network's answers; empty lines are none.

    Raises:
        DataFolderError: it cannot be read, is no UTF-8 text, names a class twice, or names none.
    """
    lines: dict[str, int] = {}
    try:
        text_start(path, "a list of classes", "a name a line", "plain text")
        with path.open(encoding="utf-8-sig", errors="surrogateescape") as handle:
            for line, text in enumerate(handle, 1):
                name = text.strip()
                if not name:
                    continue
                if any("\udc80" <= letter <= "\udcff" for letter in name):
                    raise DataFolderError(f"{path}, line {line}, is not UTF-8 text", got=ascii(name))
                if name in lines:
                    raise DataFolderError(f"{path}, lines {lines[name]} and {line}, name the same class", got=name)
                lines[name] = line
    except OSError as error:
        raise DataFolderError(f"Cannot read {path}", got=error.strerror or str(error)) from error
    if not lines:
        raise DataFolderError(f"{path} names no class", expected="a name a line")
    return tuple(lines)


def read_class_weights(path: Path, class_names: tuple[str, ...], notes: list[str]) -> NDArray[np.float64]:
    """Read a CSV with the columns `name` and `weight`, one row for each class; (classes,), none below 0.

    Raises:
        DataFolderError: it cannot be read, a weight is no number of 0 or more, all are 0, or a class has none or two.
    """
    index = {name: k for k, name in enumerate(class_names)}
    weights, lines = np.zeros(len(class_names)), dict[str, int]()
    unknown = []
    for line, row in read_table(path, ("name", "weight"), "a list of class weights"):
        name, written = (row["name"] or "").strip(), (row["weight"] or "").strip()
        if not name and not written:
            continue
        weight = _number(written)
        if not 0 <= weight < math.inf:
            raise DataFolderError(f"{path}, line {line}, has no weight", got=repr(written), expected="0 or more")
        if name in lines:
            raise DataFolderError(f"{path}, lines {lines[name]} and {line}, weigh the same class", got=name)
        lines[name] = line
        if name in index:
            weights[index[name]] = weight
        else:
            unknown.append(name)
    missing = [name for name in class_names if name not in lines]
    if missing:
        raise DataFolderError(
            f"{path} has no weight for {len(missing)} of the {len(class_names)} classes",
            got=f"none for {some_names(missing)}",
            expected="a row for each class; 0 for one that does not count",
        )
    if not weights.any():
        raise DataFolderError(f"{path} weighs every class 0", expected="a weight above 0")
    if unknown:
        notes.append(f"{path.name} weighs classes that there are not: {some_names(unknown)}.")
    return weights


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
