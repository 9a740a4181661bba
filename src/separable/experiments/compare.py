"""Anybody's networks on anybody's pictures, as an experiment of one's own: the same runner, the same tables."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import yaml

from separable.errors import UsageError
from separable.experiments.results import ClaimResult, Result
from separable.experiments.schema import Arm, Claim, Experiment, Setup, Task
from separable.experiments.statistics import holm
from separable.experiments.wording import difference_text, interval_text
from separable.models import model_spec
from separable.training.codec import to_plain
from separable.training.foreign import digest_of, is_foreign
from separable.training.recipes import find_recipe

__all__ = ["Contender", "comparison", "corrected", "read_contender", "title_of"]

_LEVEL = 0.05
_MEASURES: Mapping[Task, tuple[str, ...]] = {
    "classify": ("top1",),
    "tag": ("map100", "weighted_map100"),
    "segment": ("miou", "pixel_accuracy"),
}
_COSTS = ("parameters", "macs", "milliseconds", "memory")
_LONGEST = 60
_TOP5 = 10
"""Classes from which on five guesses are worth a column."""


@dataclass(frozen=True)
class Contender:
    """One network as somebody typed it: `model` is a catalogue name, or "file.py:function"."""

    typed: str
    model: str
    options: Mapping[str, Any]


def read_contender(text: str, pixels: str | None = None) -> Contender:
    """ "xception:width=0.5,middle_blocks=4" or "my.py:factory".

    Values are read as YAML; commas in brackets belong to a value: "resnet50:repeats=[1,2,3,1],width=0.5".

    Args:
        pixels: for a "file.py:function" whose network has no input contract.

    Raises:
        UsageError: no such network or file, or no name and value.
    """
    if is_foreign(text):
        if not text.partition(".py:")[2].isidentifier():
            raise UsageError(f"Which function returns the network in {text!r}?", expected="file.py:function")
        return Contender(text, text, {"pixels": pixels or "-1..1", "sha256": digest_of(text)})
    name, colon, rest = text.partition(":")
    spec = model_spec(name)
    options: dict[str, Any] = {}
    for pair in re.split(r",(?![^\[(]*[\])])", rest) if colon else ():
        option, equals, value = pair.partition("=")
        try:
            options[option.strip()] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise UsageError(f"The value in {pair} of {text} cannot be read", got=str(error)) from error
        if not option.strip() or not equals:
            raise UsageError(
                f"{text} is not a network with its options", got=repr(pair), expected=f"{name}:width=0.5,other=value"
            )
    unknown = sorted(set(options) - set(spec.options))
    if unknown:
        raise UsageError(f"{name} has no option {', '.join(unknown)}", expected=f"one of {', '.join(spec.options)}")
    return Contender(text, name, options)


def comparison(
    contenders: Sequence[Contender], task: Task, setup: Setup, *, data: str, pictures: str, classes: int
) -> Experiment:
    """The experiment that trains all of them alike and compares every two.

    Its name tells apart what differs in anything that decides the result, so that nothing is overwritten.

    Args:
        setup: the only one, of scale "own".
        data: where the pictures are, for the title.
        pictures: their fingerprint: other ones in a folder of the same name are another experiment.
        classes: how many they have.

    Raises:
        UsageError: fewer than two, two of one name, or networks of another task.
    """
    names = [one.typed for one in contenders]
    if len(names) < 2:
        raise UsageError("A comparison needs two networks and more", got=", ".join(names) or "none")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError("The same network stands there twice", got=", ".join(twice), fix="Leave one out")
    for one in contenders:
        _demand_task(one, task)
    measures = _MEASURES[task] + (("top5",) if task == "classify" and classes >= _TOP5 else ())
    arms = tuple(Arm(one.typed, one.model, one.options) for one in contenders)
    claims = tuple(
        Claim(f"{left} against {right}", measures[0], left, "above", right) for left, right in combinations(names, 2)
    )
    recipe = to_plain(find_recipe(setup.recipe))
    decides = [[[one.typed, dict(one.options)] for one in contenders], to_plain(setup), recipe, data, pictures]
    digest = hashlib.sha256(json.dumps(decides, sort_keys=True, default=str).encode()).hexdigest()[:8]
    return Experiment(
        name=f"compare/{_slug(names)}-{digest}",
        title=title_of(names, data),
        source="",
        says="",
        arms=arms,
        measures=(*measures, *_COSTS),
        setups={"own": setup},
        claims=claims,
        task=task,
    )


def title_of(names: Sequence[str], data: str) -> str:
    """ "a, b and c on flowers", or where that would fill lines "3 networks on flowers"."""
    said = f"{', '.join(names[:-1])} and {names[-1]}"
    return f"{said if len(said) <= _LONGEST else f'{len(names)} networks'} on {data}"


def corrected(result: Result, command: str) -> Result:
    """The result with its pairs in words of their own, their p-values corrected by Holm where there are several.

    A pair counts as told apart where its two-sided p, so corrected, is at most 5 %.
    """
    measured = [claim for claim in result.claims if claim.confidence is not None]
    corrections = holm([_p_value(claim) for claim in measured])
    p_values = {id(claim): p for claim, p in zip(measured, corrections, strict=True)}
    claims = tuple(_in_words(claim, p_values.get(id(claim)), len(measured)) for claim in result.claims)
    return replace(result, claims=claims, command=command)


def _p_value(claim: ClaimResult) -> float:
    """Two-sided."""
    sure = claim.confidence or 0.0
    return 2 * min(sure, 1 - sure)


def _in_words(claim: ClaimResult, p_value: float | None, pairs: int) -> ClaimResult:
    if p_value is None:
        return claim
    told, rest = p_value <= _LEVEL, claim.sentence.partition("; ")[2]
    ahead = claim.left if (claim.ours or 0.0) > 0 else claim.right
    numbers = f"{difference_text(claim.measure, claim.ours)} ({interval_text(claim.measure, claim.interval)})"
    by_holm = f" after Holm's correction for {pairs} pairs" if pairs > 1 else ""
    shown = f"p {'< 0.001' if p_value < 0.001 else f'= {p_value:.3f}'}{by_holm}"
    if told:
        sentence = f"{ahead} is better: {numbers}, {shown}"
    else:
        sentence = f"not told apart: {numbers}, {shown}"
    sentence += f"; {rest}" if rest else ""
    verdict = ("holds" if ahead == claim.left else "reversed") if told else "not seen"
    return replace(claim, sentence=sentence, verdict=verdict)  # type: ignore[arg-type]


def _demand_task(one: Contender, task: Task) -> None:
    own = "classify" if is_foreign(one.model) else model_spec(one.model).task
    wanted = "segment" if task == "segment" else "classify"
    if own != wanted:
        said = {"classify": "classifies pictures", "segment": "answers for every pixel"}
        raise UsageError(f"{one.typed} {said[own]}", expected=f"a network that {said[wanted]}, as the pictures ask for")


def _slug(names: Sequence[str]) -> str:
    """For the name of a folder: of each network its first letters."""
    short = [re.sub(r"[^a-z0-9_]+", "", name.lower().replace(".py:", "_").partition(":")[0])[:16] for name in names[:4]]
    return "-".join(one or "network" for one in short)
