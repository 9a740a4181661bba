"""The same picture more than once: in both sets, under two labels, or simply twice."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from separable.data.check_alike import SMALL_SIDE, Alike, find_alike
from separable.data.check_problems import Finding, Problem, Severity, Survey, counted, percent
from separable.data.fingerprints import FINGERPRINT

__all__ = ["copy_problems"]

_MUCH_IN_COMMON, _ENOUGH = 0.6, 100


@dataclass(frozen=True)
class _Copy:
    """Picture `one` (the later) is a copy of `other`; `score` is 1 for equal pixels."""

    one: int
    other: int
    score: float
    how: str


def copy_problems(survey: Survey) -> Iterator[Problem]:
    """Copies across the sets, under several labels, and within a class of a set; then what could not be told."""
    exact = list(_exact(survey))
    # Equal pixels are compared once: their first picture stands for all.
    standing = [i for i in range(len(survey.facts)) if survey.readable[i] and not survey.facts[i].flat]
    standing = sorted(set(standing) - {copy.one for copy in exact})
    alike = _alike(survey, standing)
    near = _near(alike, standing)
    yield from _leaks(survey, [*exact, *near])
    yield from _conflicts(survey, exact, near)
    yield from _duplicates(survey, exact, near)
    yield from _remarks(alike, len(standing))


def _exact(survey: Survey) -> Iterator[_Copy]:
    """Each picture whose pixels came before, with the first that has them; blank pictures are no copies."""
    first: dict[bytes, int] = {}
    for i, facts in enumerate(survey.facts):
        if facts.cause is not None or facts.flat:
            continue
        leader = first.setdefault(facts.pixels, i)
        if leader != i:
            same_file = facts.file == survey.facts[leader].file
            yield _Copy(i, leader, 1.0, "same file" if same_file else "same pixels in another file")


def _alike(survey: Survey, standing: list[int]) -> Alike:
    prints = np.frombuffer(b"".join(survey.facts[i].print for i in standing), np.uint8).reshape(-1, FINGERPRINT)
    return find_alike(prints, survey.sides[standing].min(axis=1) < SMALL_SIDE)


def _near(alike: Alike, standing: list[int]) -> list[_Copy]:
    pairs = zip(alike.first, alike.second, alike.score, alike.mirrored, strict=True)
    return [
        _Copy(standing[j], standing[i], float(score), f"{'mirrored' if mirrored else 'near'} copy, {score:.2f} alike")
        for i, j, score, mirrored in pairs
    ]


def _leaks(survey: Survey, copies: list[_Copy]) -> Iterator[Problem]:
    """Validation pictures that training shows, too, be it through a chain of copies."""
    direct: dict[int, _Copy] = {}
    for copy in copies:  # training comes first, so of such a pair the later one is held out
        if survey.held_out[copy.one] and not survey.held_out[copy.other]:
            direct[copy.one] = max(direct.get(copy.one, copy), copy, key=lambda one: one.score)
    findings = []
    for members in _groups(copies):
        shown = [i for i in members if not survey.held_out[i]]
        for i in members:
            if shown and survey.held_out[i]:
                copy = direct.get(i, _Copy(i, shown[0], 0.0, "copy of a copy"))
                findings.append(Finding(survey.paths[i], survey.paths[copy.other], copy.how))
    if not findings:
        return
    total = int((survey.held_out & survey.readable).sum())
    share = len(findings) / total
    leaked = share > survey.limits.leaked_share and len(findings) > 1
    yield Problem(
        "leak",
        "error" if leaked else "warning",
        f"{counted(len(findings), 'validation picture')} of {total:,} ({percent(share)}) "
        f"{'is' if len(findings) == 1 else 'are'} in training, too.",
        "Delete one of each two copies, or keep them in one set: figures on pictures known by heart prove nothing.",
        tuple(sorted(findings, key=lambda one: one.path)),
    )


def _conflicts(survey: Survey, exact: list[_Copy], near: list[_Copy]) -> Iterator[Problem]:
    limits, readable = survey.limits, int(survey.readable.sum())
    for kind, copies, most, sure in (
        ("conflict", exact, limits.conflict_share, "under two labels."),
        ("near-conflict", near, limits.near_conflict_share, "nearly the same as one with another label."),
    ):
        pairs = _best_each(copy for copy in copies if survey.labels[copy.one] != survey.labels[copy.other])
        if pairs:
            labels = [f"{survey.name(copy.one)} here, {survey.name(copy.other)} there" for copy in pairs]
            yield Problem(
                kind,
                "error" if len(pairs) > most * readable else "warning",
                f"{counted(len(pairs), 'picture is', 'pictures are')} {sure}",
                "Decide for one label and delete the other copy, or correct it in a CSV for train --labels.",
                _lines(survey, pairs, labels),
            )


def _duplicates(survey: Survey, exact: list[_Copy], near: list[_Copy]) -> Iterator[Problem]:
    readable = int(survey.readable.sum())
    for kind, copies, one, many in (
        ("duplicate", exact, "picture is an exact copy of another", "pictures are exact copies of others"),
        ("near-duplicate", near, "picture is nearly the same as another", "pictures are nearly the same as others"),
    ):
        pairs = _best_each(
            copy
            for copy in copies
            if survey.labels[copy.one] == survey.labels[copy.other]
            and survey.held_out[copy.one] == survey.held_out[copy.other]
        )
        if pairs:
            severity: Severity = "warning" if len(pairs) > survey.limits.duplicate_share * readable else "note"
            yield Problem(
                kind,
                severity,
                f"{counted(len(pairs), one, many)} in the same {'class and ' * survey.classified}set.",
                "They count as often as they occur; delete the copies unless that is meant.",
                _lines(survey, pairs),
            )


def _remarks(alike: Alike, pictures: int) -> Iterator[Problem]:
    if not alike.complete:
        yield Problem(
            "near-search-cut-short",
            "note",
            "So many pictures look alike that not every near copy was looked for.",
            "Exact copies are all listed; look at the near ones by class, a class at a time.",
        )
    if alike.common > _MUCH_IN_COMMON and pictures >= _ENOUGH:
        yield Problem(
            "much-in-common",
            "note",
            f"Two pictures of the set agree to {percent(alike.common)} on average: a fixed camera, a common layout?",
            "What they share was taken out before looking for near copies; nearly equal moments may go unnoticed.",
        )


def _groups(copies: Iterable[_Copy]) -> list[list[int]]:
    """Pictures connected through copies, each group sorted."""
    leader: dict[int, int] = {}

    def find(i: int) -> int:
        leader.setdefault(i, i)
        while leader[i] != i:
            leader[i] = leader[leader[i]]
            i = leader[i]
        return i

    for copy in copies:
        a, b = sorted((find(copy.one), find(copy.other)))
        leader[b] = a
    groups: dict[int, list[int]] = defaultdict(list)
    for i in sorted(leader):
        groups[find(i)].append(i)
    return list(groups.values())


def _best_each(copies: Iterable[_Copy]) -> list[_Copy]:
    """Of each picture its best copy, in the order of the pictures."""
    best: dict[int, _Copy] = {}
    for copy in copies:
        best[copy.one] = max(best.get(copy.one, copy), copy, key=lambda one: one.score)
    return [best[i] for i in sorted(best)]


def _lines(survey: Survey, copies: list[_Copy], more: list[str] | None = None) -> tuple[Finding, ...]:
    details = [copy.how if more is None else f"{copy.how}; {more[k]}" for k, copy in enumerate(copies)]
    return tuple(
        Finding(survey.paths[copy.one], survey.paths[copy.other], detail)
        for copy, detail in zip(copies, details, strict=True)
    )
