"""What is wrong with masks: with their files, with how they fit their pictures, and with what they show."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from separable.data.check_problems import ClassCount, Finding, Problem, counted, percent
from separable.files import path_from
from separable.segmentation.check_facts import PairFacts
from separable.segmentation.check_ignored import coding_of_masks, ignored_share, mistaken_values
from separable.segmentation.coding import value_name
from separable.segmentation.layout import Paired
from separable.segmentation.pair_set import PairsData

__all__ = ["class_counts", "mask_problems"]

_UNREADABLE_SHARE = 0.05
_RARE = 0.001
_SHOWN = 3
_OF_MASKS = ("without_picture", "ambiguous_masks")


def mask_problems(data: PairsData, facts: list[PairFacts], root: Path) -> Iterator[Problem]:
    """Files without their other half, masks that cannot be used, that may lie askew, that show too little.

    Args:
        data: what `read_pairs` returned.
        facts: of its pairs, those for training first.
        root: what paths are shown from.
    """
    yield from _left_over(data.paired, root)
    yield from _unusable(facts)
    yield from _doubtful(facts)
    yield from _class_problems(data, facts)


def class_counts(data: PairsData, facts: list[PairFacts]) -> tuple[ClassCount, ...]:
    """Of each class the pictures whose masks show it, and its labelled pixels in training."""
    pixels = np.array([one.pixels or (0,) * len(data.class_names) for one in facts], np.int64)
    pixels = pixels.reshape(-1, len(data.class_names))
    train, val = ((part > 0).sum(axis=0).tolist() for part in np.split(pixels, [len(data.train)]))
    return tuple(map(ClassCount, data.class_names, train, val, _pixels(data, facts)[0].tolist()))


def _pixels(data: PairsData, facts: list[PairFacts]) -> NDArray[np.int64]:
    """(2, classes): labelled pixels in training and in validation."""
    counts = np.zeros((2, len(data.class_names)), np.int64)
    for number, one in enumerate(facts):
        if one.cause is None:
            counts[int(number >= len(data.train))] += np.array(one.pixels)
    return counts


def _left_over(paired: tuple[Paired, ...], root: Path) -> Iterator[Problem]:
    kinds = (
        ("picture without a mask", ("without_mask",), "They are not used. Add their masks, or move them away."),
        ("mask without a picture", ("without_picture",), "They are not used. Add their pictures, or move them away."),
        ("ambiguous name", ("ambiguous", "ambiguous_masks"), "They are not used. Keep one picture and one mask."),
    )
    for kind, fields, fix in kinds:
        findings = tuple(
            Finding(path_from(root, (one.masks if field in _OF_MASKS else one.images).absolute(), path))
            for one in paired
            for field in fields
            for path in getattr(one, field)
        )
        if findings:
            yield Problem(kind, "warning", f"{counted(len(findings), 'file')}: {kind}.", fix, findings)


def _unusable(facts: list[PairFacts]) -> Iterator[Problem]:
    bad = tuple(Finding(one.path, detail=one.cause) for one in facts if one.cause is not None and not one.of_picture)
    if bad:
        # Training counts unreadable pictures and masks together.
        stops = sum(one.cause is not None for one in facts) > _UNREADABLE_SHARE * len(facts)
        fix = (
            f"Mend or remove them. A training stops where more than {percent(_UNREADABLE_SHARE)} of the pairs cannot "
            "be used, unless `--max-bad` allows it; then it goes on without them."
            if stops
            else "Mend or remove them. They stop no training: it goes on without them."
        )
        what = f"{counted(len(bad), 'pair')} of {len(facts):,} ({percent(len(bad) / len(facts))}) cannot be used for "
        what += "its mask." if len(bad) == 1 else "their masks."
        yield Problem("unusable pair", "error" if stops else "warning", what, fix, bad)


def _doubtful(facts: list[PairFacts]) -> Iterator[Problem]:
    turned = tuple(Finding(one.path) for one in facts if one.turned)
    if turned:
        yield Problem(
            "turned on one side",
            "warning",
            f"{counted(len(turned), 'pair')}: EXIF turns or mirrors the picture or the mask, but not both.",
            "Look whether they lie over each other; turn the pixels of both for good where they do not.",
            turned,
        )
    blank = tuple(Finding(one.path) for one in facts if one.cause is None and not sum(one.pixels))
    if blank:
        what = f"{counted(len(blank), 'mask')} without a labelled pixel: nothing is learned from them."
        yield Problem("unlabelled", "warning", what, "Label them, or move them away.", blank)


def _class_problems(data: PairsData, facts: list[PairFacts]) -> Iterator[Problem]:
    counts = _pixels(data, facts)
    absent = [[data.class_names[k] for k in np.flatnonzero(row == 0)] for row in counts]
    mistaken = list(mistaken_values(data, facts, absent[0]))
    yield from mistaken
    if len(data.class_names) < 2:
        yield _one_class(data, facts)
    for names, part in zip(absent, ("training", "validation"), strict=True):
        left = [name for name in names if not mistaken or name not in absent[0]]
        if left:
            yield Problem(
                f"class without {part}",
                "error" if part == "training" else "warning",
                f"No {part} mask shows {', '.join(left)}.",
                _without_them(data, left),
            )
    shares = counts[0] / max(1, counts[0].sum())
    rare = tuple(
        Finding(data.class_names[k], detail=f"{percent(float(shares[k]))} of the pixels")
        for k in np.flatnonzero((shares > 0) & (shares < _RARE))
    )
    if rare:
        fix = "Class weights or the Dice loss let them count."
        yield Problem("rare class", "note", f"{counted(len(rare), 'class', 'classes')} of few pixels.", fix, rare)


def _one_class(data: PairsData, facts: list[PairFacts]) -> Problem:
    """What training refuses, in its words."""
    coding = coding_of_masks(data)
    fix = "Give two classes names in classes.yaml."
    for value in sorted(coding.ignored) if coding is not None else ():
        share = ignored_share(facts, value)
        if share:
            fix += f" {value_name(value)}, in {percent(share)} of the pixels, is ignored: is it one?"
    what = "Masks of one class leave nothing to learn. Expected: two classes, a background among them."
    return Problem("one class", "error", what, fix)


def _without_them(data: PairsData, absent: list[str]) -> str:
    """What to do where no mask shows these classes."""
    coding = coding_of_masks(data)
    if coding is None:
        return "Add pictures that do, or take the category out of the file."
    if not coding.told_by_values:
        return "Add pictures that do, or take the class out of classes.yaml."
    shown = [
        (value, data.class_names[index]) for value, index in coding.values if data.class_names[index] not in absent
    ]
    entries = ", ".join(f"{{name: class {name}, value: {value}}}" for value, name in shown[:_SHOWN])
    more = ", ..." if len(shown) > _SHOWN else ""
    return (
        "Add pictures that do; or, if there is no such class, put a classes.yaml into the data folder that has the "
        f"others, such as `classes: [{entries}{more}]`."
    )
