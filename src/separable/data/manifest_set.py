"""Pictures with any number of labels each, as sets: what is trained on, what is held out. Labels are kept sparse."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from separable.data.manifest_rows import join_labels

__all__ = ["TagData", "TagSet", "joined"]


@dataclass(frozen=True)
class TagSet:
    """Files and what they show. `paths` are relative to `root`, sorted.

    The classes of all pictures stand end to end in `indices`, int32, ascending within a picture; those of picture k are
    `indices[offsets[k]:offsets[k + 1]]`. A picture may have none.
    """

    root: Path
    paths: tuple[str, ...]
    indices: NDArray[np.int32]
    offsets: NDArray[np.int64]
    class_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def tags(self, sample: int) -> NDArray[np.int32]:
        """The classes of one picture, ascending."""
        return self.indices[self.offsets[sample] : self.offsets[sample + 1]]

    def counts(self) -> NDArray[np.int64]:
        """Pictures of each class, (classes,)."""
        return np.bincount(self.indices, minlength=len(self.class_names)).astype(np.int64)

    def shown(self) -> list[str]:
        """What each picture shows as one text, as it stands in `predictions.csv`."""
        return [join_labels([self.class_names[k] for k in self.tags(sample)]) for sample in range(len(self))]

    def fingerprint(self) -> str:
        """The number of pictures and a hash of their paths and labels, which tells two sets apart; not of their bytes.

        It stands in every checkpoint, so it has to stay what it is.
        """
        digest = hashlib.sha256()
        for sample, path in enumerate(self.paths):
            labels = ",".join(map(str, self.tags(sample).tolist()))
            digest.update(f"{labels} {path}\n".encode(errors="surrogateescape"))
        return f"{len(self.paths)} ({digest.hexdigest()[:16]})"

    def chosen(self, samples: Sequence[int]) -> "TagSet":
        """The pictures with these numbers alone, in this order."""
        numbers = np.asarray(samples, np.int64)
        counts = np.diff(self.offsets)[numbers]
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        # Where each label is taken from: its picture's first one, and how many it comes after that.
        places = np.repeat(self.offsets[numbers] - offsets[:-1], counts) + np.arange(offsets[-1])
        paths = tuple(self.paths[k] for k in samples)
        return replace(self, paths=paths, indices=self.indices[places], offsets=offsets)


@dataclass(frozen=True)
class TagData:
    """What `read_manifest` found. `notes` are sentences for a person: what was left out, what looks odd."""

    train: TagSet
    val: TagSet
    class_names: tuple[str, ...]
    notes: tuple[str, ...]
    given_weights: NDArray[np.float64] | None = None
    """(classes,), those of `class_weights.csv`."""
    was_whole: bool = False
    """Nobody held anything out, so a part was split off."""

    @property
    def weights(self) -> NDArray[np.float64]:
        """How much each class counts for the weighted metric, (classes,): as given, or else how common it is, the share
        of training pictures that have it. So a class that is held out alone counts nothing."""
        if self.given_weights is not None:
            return self.given_weights
        return self.train.counts() / max(1, len(self.train))


def joined(first: TagSet, second: TagSet) -> TagSet:
    """Both sets as one, of the same classes, with paths from the folder that holds both; the first one's come first."""
    root = Path(os.path.commonpath([first.root.absolute(), second.root.absolute()]))
    paths = tuple(
        (part.root.absolute().relative_to(root) / path).as_posix() for part in (first, second) for path in part.paths
    )
    offsets = np.concatenate([first.offsets, second.offsets[1:] + first.offsets[-1]])
    return TagSet(root, paths, np.concatenate([first.indices, second.indices]), offsets, first.class_names)
