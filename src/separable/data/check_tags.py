"""Look at every picture of a list before training on it: can it be read, is it there twice, do its labels make sense?

Of the pictures it says what `data.check` says of folders of classes.
"""

import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from separable.data.check import survey_sets
from separable.data.check_copies import copy_problems
from separable.data.check_pictures import picture_problems
from separable.data.check_problems import ClassCount, Finding, Limits, Problem, Survey, counted, percent
from separable.data.check_report import CheckReport
from separable.data.decode import MAX_PIXELS
from separable.data.manifest import label_notes
from separable.data.manifest_set import TagData, TagSet, joined

__all__ = ["check_tags"]

_MOST_UNLABELLED = 0.5
_UNLEARNT = 0.2


@dataclass(frozen=True)
class _Listed:
    """Both sets as one, those to learn from first, with the pictures of each class that can be read."""

    survey: Survey
    both: TagSet
    train: NDArray[np.int64]
    val: NDArray[np.int64]

    @property
    def names(self) -> tuple[str, ...]:
        return self.both.class_names

    def finding(self, index: int, detail: str) -> Finding:
        return Finding(self.names[index], detail=detail)


def check_tags(
    data: TagData,
    workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
    *,
    limits: Limits | None = None,
    max_pixels: int = MAX_PIXELS,
) -> CheckReport:
    """Decode every picture once, and report what is wrong with the pictures and with their labels.

    Args:
        data: what `read_manifest` returned.
        workers: processes to decode in; 0 decodes here. The report is the same.
        progress: called with (pictures done, pictures in all).
        limits: from where on something is said.
        max_pixels: a picture with more counts as unreadable, as in training.
    """
    nowhere = np.zeros(len(data.train) + len(data.val), np.int64)
    root, survey = survey_sets(
        data.train, data.val, ("",), nowhere, workers, progress, limits=limits, max_pixels=max_pixels
    )
    both = joined(data.train, data.val)
    train, val = (
        both.chosen(np.flatnonzero(survey.readable & (survey.held_out == part)).tolist()).counts()
        for part in (False, True)
    )
    listed = _Listed(survey, both, train, val)
    problems = (*_label_problems(listed), *copy_problems(survey), *picture_problems(survey))
    classes = tuple(map(ClassCount, data.class_names, train.tolist(), val.tolist()))
    return CheckReport(root, survey, problems, data.notes, classes, tuple(label_notes(data.train, data.val)))


def _label_problems(listed: _Listed) -> Iterator[Problem]:
    yield from _conflicts(listed)
    yield from _missing(listed)
    yield from _rare(listed)
    yield from _everywhere(listed)
    yield from _alike(listed)
    yield from _unlabelled(listed)


def _conflicts(listed: _Listed) -> Iterator[Problem]:
    """Equal pixels with other labels."""
    survey, first = listed.survey, dict[bytes, int]()
    findings = []
    for i, facts in enumerate(survey.facts):
        if facts.cause is not None or facts.flat:
            continue
        leader = first.setdefault(facts.pixels, i)
        here, there = (set(listed.both.tags(k).tolist()) for k in (i, leader))
        if here != there:
            parts = (("here", here - there), ("there", there - here))
            only = "; ".join(f"only {where}: {_some(listed, labels)}" for where, labels in parts if labels)
            findings.append(Finding(survey.paths[i], survey.paths[leader], only))
    if findings:
        serious = len(findings) > survey.limits.conflict_share * int(survey.readable.sum())
        yield Problem(
            "conflict",
            "error" if serious else "warning",
            f"{counted(len(findings), 'picture is', 'pictures are')} there twice with other labels.",
            "Give one of the two all labels, and delete the other.",
            tuple(findings),
        )


def _missing(listed: _Listed) -> Iterator[Problem]:
    """Classes without a picture in a set, or in both."""
    train, val = listed.train, listed.val
    nowhere = np.flatnonzero((train == 0) & (val == 0))
    if len(nowhere):
        yield Problem(
            "class-without-picture",
            "warning",
            f"{counted(len(nowhere), 'class has', 'classes have')} no readable picture.",
            "Add pictures of them, or take them out of the list of classes: nothing teaches these answers.",
            tuple(listed.finding(k, "") for k in nowhere.tolist()),
        )
    unseen = np.flatnonzero((train == 0) & (val > 0))
    if len(unseen):
        lost = int(val[unseen].sum()) / int(val.sum())
        yield Problem(
            "class-without-training",
            "error" if lost > _UNLEARNT else "warning",
            f"{counted(len(unseen), 'class has', 'classes have')} validation pictures and no readable one to train on: "
            f"{percent(lost)} of the validation labels.",
            "Move some of their pictures over: what was never shown cannot be recognised.",
            tuple(listed.finding(k, f"only {counted(int(val[k]), 'validation picture')}") for k in unseen.tolist()),
        )
    unmeasured = np.flatnonzero((train > 1) & (val == 0))
    if len(unmeasured):
        yield Problem(
            "class-without-validation",
            "note",
            f"{counted(len(unmeasured), 'class has', 'classes have')} training pictures, but none to measure on.",
            "Nobody would notice if these classes were always wrong.",
            tuple(listed.finding(k, counted(int(train[k]), "training picture")) for k in unmeasured.tolist()),
        )


def _rare(listed: _Listed) -> Iterator[Problem]:
    train, total = listed.train, listed.train + listed.val
    once = np.flatnonzero(total == 1)
    if len(once):
        yield Problem(
            "label-once",
            "warning",
            f"{counted(len(once), 'label occurs', 'labels occur')} on one picture alone.",
            "Look whether it is a slip of the pen; one picture teaches a class by heart at best.",
            tuple(_lone(listed, once)),
        )
    few_are = listed.survey.limits.few
    few = np.flatnonzero((train > 0) & (total > 1) & (train < few_are))
    if len(few):
        yield Problem(
            "few-pictures",
            "note",
            f"{counted(len(few), 'class has', 'classes have')} fewer than {few_are} training pictures.",
            "Expect little of them; the plain mean counts them as much as the frequent ones.",
            tuple(listed.finding(k, counted(int(train[k]), "picture")) for k in few.tolist()),
        )


def _lone(listed: _Listed, classes: NDArray[np.intp]) -> Iterator[Finding]:
    """Each class with the one readable picture that has it."""
    both, wanted = listed.both, np.zeros(len(listed.names), bool)
    wanted[classes] = True
    owners = np.repeat(np.arange(len(both)), np.diff(both.offsets))
    chosen = wanted[both.indices] & listed.survey.readable[owners]
    owner = dict(zip(both.indices[chosen].tolist(), owners[chosen].tolist(), strict=True))
    for k in classes.tolist():
        yield listed.finding(k, listed.survey.paths[owner[k]])


def _everywhere(listed: _Listed) -> Iterator[Problem]:
    pictures = int((listed.survey.readable & ~listed.survey.held_out).sum())
    everywhere = np.flatnonzero(listed.train == pictures) if pictures > 1 else np.zeros(0, np.intp)
    if len(everywhere):
        yield Problem(
            "label-everywhere",
            "warning",
            f"Every training picture has {counted(len(everywhere), 'label')} in common.",
            "Add pictures without it, or leave it out: it tells nothing apart, and flatters every figure.",
            tuple(listed.finding(k, "") for k in everywhere.tolist()),
        )


def _alike(listed: _Listed) -> Iterator[Problem]:
    """Names that are one but for case, accents, spaces and punctuation."""
    first, findings = dict[str, int](), []
    total = listed.train + listed.val
    for k, name in enumerate(listed.names):
        plain = "".join(c for c in unicodedata.normalize("NFKD", name).casefold() if c.isalnum())
        other = first.setdefault(plain, k) if plain else k
        if other != k:
            sizes = " and ".join(f"{total[one]:,}" for one in (k, other))
            findings.append(Finding(name, listed.names[other], f"{sizes} pictures"))
    if findings:
        yield Problem(
            "names-alike",
            "warning",
            f"{counted(len(findings), 'label differs', 'labels differ')} from another in case, spaces or signs alone.",
            "If they mean the same, write them alike: each of them is a class of its own.",
            tuple(findings),
        )


def _unlabelled(listed: _Listed) -> Iterator[Problem]:
    survey = listed.survey
    blank = np.flatnonzero(np.diff(listed.both.offsets) == 0)
    if len(blank):
        share = len(blank) / len(survey.facts)
        yield Problem(
            "unlabelled",
            "warning" if share > _MOST_UNLABELLED else "note",
            f"{counted(len(blank), 'picture')} of {len(survey.facts):,} ({percent(share)}) without a label.",
            "They teach that none of the classes is on them; give them their labels if that is not so.",
            tuple(Finding(survey.paths[i]) for i in blank),
        )


def _some(listed: _Listed, labels: set[int]) -> str:
    names = [listed.names[k] for k in sorted(labels)]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
