"""Where each picture's mask goes: no two in one place, and none over a picture or over what somebody else wrote."""

import glob
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain, count
from pathlib import Path
from typing import NamedTuple, final

from separable.errors import BadPictureError, SeparableError, UsageError

__all__ = ["Named", "Names", "demand_folder", "demand_ours", "named_pictures", "shared_stems"]


class Named(NamedTuple):
    """A picture's path, and its name below the folder or the pattern that it was found by: "holiday/cat.jpg"."""

    path: str
    name: str


def named_pictures(arguments: Sequence[str], listed: Iterable[str], outputs: Sequence[Path]) -> Iterator[Named]:
    """`runtime.sources.expand`, with names. What lies in a folder for outputs is left out when a folder or a pattern
    that has that folder in it is walked: it may be what was written before.

    Raises:
        DataFolderError: as `expand`.
    """
    from separable.runtime.sources import expand

    reals = [os.path.realpath(output) for output in outputs]
    for argument in arguments:
        root = _root(argument)
        inner = [] if root is None else [real for real in reals if _lies_in(real, os.path.realpath(root))]
        for path in expand([argument], listed):
            if not any(_lies_in(os.path.realpath(path), real) for real in inner):
                name = os.path.basename(path) if root is None else os.path.relpath(path, root or os.curdir)
                yield Named(path, name)


def _root(argument: str) -> str | None:
    """The folder that names start from; None for a file, and for standard input."""
    if os.path.isdir(argument):
        return argument
    if not glob.has_magic(argument) or os.path.exists(argument):
        return None
    fixed = []
    for part in Path(argument).parts:
        if glob.has_magic(part):
            break
        fixed.append(part)
    return os.path.join(*fixed) if fixed else ""


def _lies_in(path: str, folder: str) -> bool:
    return path != folder and os.path.commonpath([path, folder]) == folder


def shared_stems(arguments: Sequence[str], outputs: Sequence[Path]) -> frozenset[str]:
    """Names without their endings that two pictures have, in small letters: "cat" of cat.jpg and cat.png.

    What standard input names is not known yet, and what cannot be found is said when its turn comes.
    """
    seen, shared = set[str](), set[str]()
    with suppress(SeparableError):
        for picture in named_pictures([one for one in arguments if one != "-"], (), outputs):
            stem = _stem(picture.name)
            (shared if stem in seen else seen).add(stem)
    return frozenset(shared)


def _stem(name: str) -> str:
    return os.path.splitext(name)[0].casefold()


@final
class Names:
    """Names without their endings, each given once. Those in `shared`, of `shared_stems`, keep their endings: "cat.jpg"
    and "cat.png". Where that was not known, the first is "cat", the second "cat.png".

    Capital letters make no difference, as they do not on some disks.
    """

    def __init__(self, shared: Collection[str] = ()) -> None:
        self._taken: set[str] = set()
        self._shared = shared

    def free(self, name: str) -> str:
        """A name for a picture called `name` that no other has got."""
        plain = [] if _stem(name) in self._shared else [os.path.splitext(name)[0]]
        candidates = chain(plain, [name], (f"{name}-{number}" for number in count(2)))
        found = next(one for one in candidates if one.casefold() not in self._taken)
        self._taken.add(found.casefold())
        return found

    def was_known(self, name: str, found: str) -> bool:
        """Whether nobody is misled by `found`, what `free` gave to `name`."""
        return found.casefold() == _stem(name) or _stem(name) in self._shared


def demand_folder(folder: Path, arguments: Sequence[str], option: str) -> None:
    """Refuse a folder that masks cannot go to.

    Raises:
        UsageError: it is a file, or the very folder that the pictures are in.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{option} {folder} is a file", expected="a folder, a new one or one that is there")
    for argument in arguments:
        if os.path.isdir(argument) and os.path.realpath(argument) == os.path.realpath(folder):
            raise UsageError(
                f"{option} would write among the pictures",
                got=f"{folder}, which the pictures are in",
                expected="another folder; it may lie in that one",
            )


def demand_ours(target: Path, source: str) -> None:
    """Refuse to write over the picture itself, or over what `predict` did not write, such as masks drawn by hand.

    Raises:
        BadPictureError: it would.
    """
    from separable.segmentation.png_writer import is_written_here

    if not os.path.lexists(target):
        return
    is_source = os.path.exists(source) and target.exists() and os.path.samefile(source, target)
    if is_source or not is_written_here(target):
        raise BadPictureError(f"{target} is already there and no output of `separable predict`: choose another folder")
