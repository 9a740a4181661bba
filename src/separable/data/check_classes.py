"""Are there enough pictures of each class, in both sets?"""

from collections.abc import Iterator

import numpy as np

from separable.data.check_problems import Finding, Problem, Survey, counted

__all__ = ["class_problems"]


def class_problems(survey: Survey) -> Iterator[Problem]:
    """One class, classes missing in a set, small classes, imbalance, a small validation set."""
    train, val = survey.counts(held_out=False), survey.counts(held_out=True)
    names = survey.class_names
    present = np.flatnonzero(train)
    if len(present) < 2:
        yield Problem(
            "one-class",
            "error",
            f"Training has readable pictures of {counted(len(present), 'class', 'classes')}.",
            "Add pictures of something else: a network learns to tell classes apart.",
            tuple(Finding(names[c], detail=f"{train[c]} pictures") for c in present),
        )
    yield from _missing(survey)
    few = [int(c) for c in present if train[c] < survey.limits.few]
    if few:
        yield Problem(
            "few-pictures",
            "warning",
            f"{counted(len(few), 'class has', 'classes have')} fewer than {survey.limits.few} training pictures.",
            "Add pictures of them, or leave these classes out: so few teach by heart at best.",
            tuple(Finding(names[c], detail=counted(int(train[c]), "picture")) for c in few),
        )
    if len(present) > 1 and train[present].max() > survey.limits.imbalance * train[present].min():
        large, small = int(present[train[present].argmax()]), int(present[train[present].argmin()])
        yield Problem(
            "imbalance",
            "warning",
            f"The largest class ({names[large]}, {train[large]:,}) has {train[large] / train[small]:.0f} times as many "
            f"training pictures as the smallest ({names[small]}, {train[small]:,}).",
            "Read the recall of each class rather than the accuracy, and add pictures of the small ones.",
            tuple(Finding(names[c], detail=counted(int(train[c]), "picture")) for c in (large, small)),
        )
    yield from _small_validation(int(val.sum()))


def _missing(survey: Survey) -> Iterator[Problem]:
    train, val = survey.counts(held_out=False), survey.counts(held_out=True)
    names = survey.class_names
    unseen = [_only(names[c], val[c], "validation") for c in np.flatnonzero((train == 0) & (val > 0))]
    if unseen:
        yield Problem(
            "class-without-training",
            "error",
            f"{counted(len(unseen), 'class has', 'classes have')} no readable training picture.",
            "Add training pictures of them: what was never shown cannot be recognised.",
            tuple(unseen),
        )
    unmeasured = [_only(names[c], train[c], "training") for c in np.flatnonzero((val == 0) & (train > 0))]
    if unmeasured:
        yield Problem(
            "class-without-validation",
            "error",
            f"{counted(len(unmeasured), 'class has', 'classes have')} no readable validation picture.",
            "Move some of their pictures over: nobody would notice if these classes were always wrong.",
            tuple(unmeasured),
        )


def _only(name: str, count: int, part: str) -> Finding:
    return Finding(name, detail=f"only {counted(int(count), f'{part} picture')}")


def _small_validation(count: int) -> Iterator[Problem]:
    if 0 < count < 1000:
        # Half a 95 % interval of a proportion near 0.9, the accuracy people compare at.
        points = 196 * (0.9 * 0.1 / count) ** 0.5
        yield Problem(
            "small-validation",
            "note",
            f"With {counted(count, 'validation picture')}, an accuracy near 90 % is known to about {points:.0f} points "
            "either way.",
            "Compare models by more than that, or over several seeds.",
        )
