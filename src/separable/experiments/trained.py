"""Networks that have been trained, on the same pictures: which is right more often, and how sure that is."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from itertools import combinations
from typing import Any

from separable.analysis import profile
from separable.data.folder import PictureSet
from separable.data.loader import LoaderConfig
from separable.errors import UsageError
from separable.experiments.compare import title_of
from separable.experiments.outcomes import Outcome, measured
from separable.experiments.power import smallest_difference
from separable.experiments.results import ArmResult, ClaimResult, Result, SeedResult
from separable.experiments.statistics import compare_paired
from separable.experiments.wording import size_text
from separable.machine.environment import package_versions
from separable.machine.processor import read_processor
from separable.models import ImageModel
from separable.training.evaluate import evaluate
from separable.training.finish import measure_latency

__all__ = ["compare_trained"]

_ROUNDS = 5


def compare_trained(
    models: Mapping[str, ImageModel],
    pictures: PictureSet,
    loader: LoaderConfig,
    *,
    what: str,
    progress: Callable[[int, int | None], None] = lambda done, total: None,
) -> Result:
    """Measure every network on the same pictures, time them in turns, and compare every two of them by picture.

    Intervals are about other pictures of the same kind: of these networks, not of others of their make, for which
    `comparison` trains several of each.

    Args:
        models: by name, with one and the same class names.
        what: the pictures, in a word, for the title.

    Raises:
        UsageError: fewer than two networks, or too few pictures that can be read.
    """
    if len(models) < 2:
        raise UsageError("A comparison needs two networks and more", got=", ".join(models) or "none")
    found: dict[str, Outcome] = {}
    for done, (name, model) in enumerate(models.items()):
        progress(done, len(models))
        found[name] = measured(evaluate(model, pictures, loader, set_name=what))
    progress(len(models), len(models))
    count = min(len(one.pictures["top1"]) for one in found.values())
    if count < 2:
        raise UsageError("There are too few pictures to compare networks on", got=count, expected="two and more")
    timing = _timed(models)
    measures = ["top1", *(["top5"] if len(pictures.class_names) >= 10 else [])]
    names = list(models)
    claims = tuple(_pair(one, other, found[one], found[other]) for one, other in combinations(names, 2))
    return Result(
        "compare/trained", "own", title_of(names, what), "", "", "", "classify", "train",
        (*measures, "parameters", "macs", "milliseconds"), "", datetime.now(UTC).isoformat(timespec="seconds"),
        package_versions(), {"processor": (cpu := read_processor()).model, "cores": cpu.usable_cores},
        {"what": what, "held_out": count, "classes": len(pictures.class_names), "fingerprint": pictures.fingerprint()},
        {}, tuple(_row(name, model, found[name], timing[name], measures) for name, model in models.items()),
        claims=claims, finished=True,
    )  # fmt: skip


def _row(name: str, model: ImageModel, outcome: Outcome, rounds: list[float], measures: list[str]) -> ArmResult:
    height, width = model.input_contract.size
    counted = profile(model, (1, 3, height, width))
    values = {measure: outcome.measures[measure] for measure in measures}
    costs = {"parameters": float(counted.parameters), "macs": float(counted.macs)}
    return ArmResult(
        name, model.name, _plain(model.options), "", counted.parameters, counted.macs, height, {}, None, None,
        seeds=(SeedResult(0, values),), mean=values | costs | {"milliseconds": sum(rounds) / len(rounds)},
        timing={"milliseconds": tuple(rounds)},
    )  # fmt: skip


def _pair(one: str, other: str, left: Outcome, right: Outcome) -> ClaimResult:
    found = compare_paired([left.pictures["top1"]], [right.pictures["top1"]])
    seen = size_text("top1", smallest_difference(found.error, found.degrees))
    sentence = f"compared; that is between these two networks, and below {seen} nothing would have been seen"
    verdict: Any = "holds" if found.low > 0 else "reversed" if found.high < 0 else "not seen"
    return ClaimResult(
        f"{one} against {other}", "top1", one, "above", other, 0.0, None, found.mean, (found.low, found.high),
        found.sure_above(), verdict, sentence,
    )  # fmt: skip


def _timed(models: Mapping[str, ImageModel]) -> dict[str, list[float]]:
    """Milliseconds of one picture, the networks taking turns."""
    rounds: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(_ROUNDS):
        for name, model in models.items():
            rounds[name].append(1000 * measure_latency(model, (1, 3, *model.input_contract.size)))
    return rounds


def _plain(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in options.items()}
