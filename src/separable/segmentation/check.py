"""Look at every pair before training on it: can both be read, do they fit, would they mislead?

`data.check` looks at the pictures; this is about their masks. Problems are of the same kind and shown alike.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from separable.data.check_problems import Finding, Problem, counted, percent
from separable.data.decode import MAX_PIXELS, PictureFile
from separable.errors import BadPictureError
from separable.segmentation.labels import IGNORE
from separable.segmentation.layout import Paired
from separable.segmentation.mask_file import MaskFile
from separable.segmentation.pairs import PairsData, PairSet
from separable.segmentation.sources import MaskFiles

__all__ = ["PairFacts", "check_pairs", "scan_pair"]

_UNREADABLE_SHARE = 0.05
_RARE = 0.001


@dataclass(frozen=True)
class PairFacts:
    """What one pair is. `cause` is why it cannot be used; then nothing else is known."""

    path: str
    cause: str | None = None
    pixels: tuple[int, ...] = ()
    """Labelled pixels of each class."""
    ignored: int = 0
    turned: bool = False
    """EXIF turns or mirrors one of the two only, and their sizes cannot tell whether the mask was drawn so."""


def scan_pair(pairs: PairSet, sample: int, max_pixels: int = MAX_PIXELS) -> PairFacts:
    """Decode a picture and its mask completely. Never raises for what the files hold: that becomes `cause`."""
    path = pairs.paths[sample]
    try:
        file, mask = pairs.open(sample, max_pixels=max_pixels)
        turned = _ambiguous(pairs, sample, file)
        file.pixels()
    except BadPictureError as error:
        return PairFacts(path, cause=error.what.rstrip("."))
    except MemoryError:
        return PairFacts(path, cause="needs more memory than there is")
    counts = np.bincount(mask[mask != IGNORE], minlength=len(pairs.class_names))
    return PairFacts(path, None, tuple(counts.tolist()), int((mask == IGNORE).sum()), turned)


def check_pairs(
    data: PairsData, progress: Callable[[int, int], None] | None = None, max_pixels: int = MAX_PIXELS
) -> tuple[Problem, ...]:
    """Everything that is wrong with the pairs, the worst first.

    Args:
        data: what `read_pairs` returned.
        progress: called with (pairs done, pairs in all).
        max_pixels: a picture or mask with more counts as unreadable, as in training.
    """
    facts: list[tuple[bool, PairFacts]] = []
    total = len(data.train) + len(data.val)
    for held_out, part in ((False, data.train), (True, data.val)):
        for sample in range(len(part)):
            facts.append((held_out, scan_pair(part, sample, max_pixels)))
            if progress is not None:
                progress(len(facts), total)
    problems = [*_left_over(data.paired), *_unusable(facts), *_doubtful(facts), *_class_problems(data, facts)]
    return tuple(sorted(problems, key=lambda one: ("error", "warning", "note").index(one.severity)))


def _ambiguous(pairs: PairSet, sample: int, file: PictureFile) -> bool:
    if not isinstance(pairs.masks, MaskFiles):
        return False
    mask = MaskFile(pairs.masks.root / pairs.masks.paths[sample])
    if file.orientation == mask.orientation:
        return False
    height, width = file.size
    # A quarter turn of a picture that is not square shows in its size, and the sizes fit.
    return height == width or (file.orientation >= 5) == (mask.orientation >= 5)


def _left_over(paired: tuple[Paired, ...]) -> Iterator[Problem]:
    kinds = (
        ("picture without a mask", "without_mask", "They are not used. Add their masks, or move them away."),
        ("mask without a picture", "without_picture", "They are not used. Add their pictures, or move them away."),
        ("ambiguous name", "ambiguous", "They are not used. Keep one picture and one mask of a name."),
    )
    for kind, field, fix in kinds:
        findings = tuple(
            Finding(f"{(one.masks if field == 'without_picture' else one.images).name}/{path}")
            for one in paired
            for path in getattr(one, field)
        )
        if findings:
            yield Problem(kind, "warning", f"{counted(len(findings), 'file')}: {kind}.", fix, findings)


def _unusable(facts: list[tuple[bool, PairFacts]]) -> Iterator[Problem]:
    bad = tuple(Finding(one.path, detail=one.cause) for _, one in facts if one.cause is not None)
    if bad:
        share = len(bad) / len(facts)
        yield Problem(
            "unusable pair",
            "error" if share > _UNREADABLE_SHARE else "warning",
            f"{counted(len(bad), 'pair')} of {len(facts):,} ({percent(share)}) cannot be used.",
            "Mend or remove them: training goes on without them, and `--max-bad` limits how many.",
            bad,
        )


def _doubtful(facts: list[tuple[bool, PairFacts]]) -> Iterator[Problem]:
    turned = tuple(Finding(one.path) for _, one in facts if one.turned)
    if turned:
        yield Problem(
            "turned on one side",
            "warning",
            f"{counted(len(turned), 'pair')}: EXIF turns or mirrors the picture or the mask, but not both.",
            "Look whether they lie over each other; turn the pixels of both for good where they do not.",
            turned,
        )
    blank = tuple(Finding(one.path) for _, one in facts if one.cause is None and not sum(one.pixels))
    if blank:
        what = f"{counted(len(blank), 'mask')} without a labelled pixel: nothing is learned from them."
        yield Problem("unlabelled", "warning", what, "Label them, or move them away.", blank)


def _class_problems(data: PairsData, facts: list[tuple[bool, PairFacts]]) -> Iterator[Problem]:
    counts = np.zeros((2, len(data.class_names)), np.int64)
    for held_out, one in facts:
        if one.cause is None:
            counts[int(held_out)] += np.array(one.pixels)
    for row, name in ((0, "training"), (1, "validation")):
        absent = [data.class_names[k] for k in np.flatnonzero(counts[row] == 0)]
        if absent:
            yield Problem(
                f"class without {name}",
                "error" if row == 0 else "warning",
                f"No {name} mask shows {', '.join(absent)}.",
                "Add pictures that do, or take the class out of classes.yaml.",
            )
    shares = counts[0] / max(1, counts[0].sum())
    rare = tuple(
        Finding(data.class_names[k], detail=f"{percent(float(shares[k]))} of the pixels")
        for k in np.flatnonzero((shares > 0) & (shares < _RARE))
    )
    if rare:
        fix = "Class weights or the Dice loss let them count."
        yield Problem("rare class", "note", f"{counted(len(rare), 'class', 'classes')} of few pixels.", fix, rare)
