"""Results as a finished experiment leaves them, with invented figures, for the tests of what is made of them."""

from dataclasses import replace
from typing import Any

import numpy as np

from separable.experiments.outcomes import Outcome
from separable.experiments.power import power
from separable.experiments.results import ArmResult, ClaimResult, Result, SeedResult, Trial
from separable.experiments.schema import Arm, Claim, Experiment
from separable.experiments.statistics import mean_interval
from separable.experiments.verdicts import Sample, judge

__all__ = ["NASTY", "curves", "nasty", "spectrum", "table1"]

NASTY = '<script>alert("1")</script> | *a* `b` \x1b[31m & \u202e'
_SETUP: dict[str, Any] = {
    "recipe": "small", "changes": {}, "epochs": 8, "batch_size": 32, "image_size": 40, "seeds": [0, 1, 2],
    "learning_rates": [0.5, 1.0, 2.0], "options": {"xception": {"width": 0.25}}, "precision": "fp32", "device": "cpu",
}  # fmt: skip


def trainings(share: float, key: int, seeds: int = 3, epochs: int = 8) -> dict[int, Outcome]:
    """Seeds that agree on most pictures, each with a curve that rises to its share."""
    hard = np.random.default_rng(9).random(400)
    found = {}
    for seed in range(seeds):
        rng = np.random.default_rng((key, seed))
        right = (hard + 0.1 * rng.standard_normal(400) < share).astype(float)
        top5 = np.maximum(right, hard < share + 0.1)
        rise = 1 - np.exp(-np.arange(1, epochs + 1) / 2.5) + 0.02 * rng.standard_normal(epochs)
        top1 = right.mean() * rise / rise[-1]
        loss = 2.2 - 2 * top1 + 0.05 * rng.standard_normal(epochs)
        columns = {"epoch": np.arange(1.0, epochs + 1), "top1": top1, "loss": loss, "train_loss": 0.9 * loss}
        curve = {name: tuple(float(one) for one in values) for name, values in columns.items()}
        measures = {"top1": float(right.mean()), "top5": float(top5.mean()), "loss": float(loss[-1])}
        found[seed] = Outcome(measures, {"top1": tuple(right), "top5": tuple(top5)}, curve=curve, seconds=60.0)
    return found


def row(arm: Arm, outcomes: dict[int, Outcome], **more: Any) -> ArmResult:
    """An arm as the runner fills it before it is summarised."""
    seeds = tuple(
        SeedResult(seed, one.measures, one.curve, f"{arm.name}-{seed}", one.seconds, one.failed)
        for seed, one in outcomes.items()
    )
    fields: dict[str, Any] = {"options": {"width": 0.25}, "parameters": 1_492_730, "macs": 12_004_300, "image_size": 40}
    fields |= {"published_parameters": None, "published_macs": None}
    named = {"name": arm.name, "model": arm.model, "note": arm.note, "published": dict(arm.published)}
    return ArmResult(**(named | fields | more), seeds=seeds)


def filled(arm: ArmResult) -> ArmResult:
    """With means and intervals of what it has."""
    names = {name for seed in arm.seeds for name in seed.measures}
    values = {name: [one.measures[name] for one in arm.seeds if name in one.measures] for name in sorted(names)}
    intervals = {name: mean_interval(numbers) for name, numbers in values.items()}
    mean = {name: float(np.mean(numbers)) for name, numbers in (values | arm.timing).items()}
    counts = {"parameters": arm.parameters, "macs": arm.macs}
    mean |= {name: float(count) for name, count in counts.items() if count is not None}
    return replace(arm, mean=mean, interval={name: one for name, one in intervals.items() if one is not None})


def judged(claim: Claim, result: Result, outcomes: dict[str, dict[int, Outcome]]) -> ClaimResult:
    """A claim on trainings, or on the published networks' parameters."""
    sides = [result.arm(name) for name in (claim.left, claim.right)]
    printed = [arm.published.get(claim.measure) for arm in sides]
    published = None if None in printed else printed[0] - printed[1]  # type: ignore[operator]
    if claim.measure == "parameters":
        return judge(claim, *(Sample({0: float(arm.published_parameters or 0)}) for arm in sides), published)
    samples = []
    for arm in sides:
        found = outcomes.get(arm.name, {})
        there = {seed: one for seed, one in found.items() if one.failed is None}
        values = {seed: one.measures[claim.measure] for seed, one in there.items()}
        pictures = {seed: one.pictures[claim.measure] for seed, one in there.items()}
        samples.append(Sample(values, pictures, {s: one.failed for s, one in found.items() if one.failed is not None}))
    return judge(claim, *samples, published)


def finished(experiment: Experiment, rows: list[ArmResult], outcomes: dict[str, dict[int, Outcome]]) -> Result:
    """The result at laptop scale."""
    result = Result(
        experiment.name, "laptop", experiment.title, experiment.source, experiment.says, experiment.reading,
        experiment.task, experiment.kind, experiment.measures, f"separable reproduce {experiment.name} --scale laptop",
        "2026-11-20", {"separable": "0.6.0", "torch": "2.13.0"}, {"processor": "AMD EPYC", "threads": 1},
        {"what": "digits on photographs", "train": 3000, "held_out": 400, "classes": 10, "fingerprint": "ab12cd34"},
        _SETUP, tuple(rows), power(seeds=3, held_out=400), seconds=1234.5, finished=True,
    )  # fmt: skip
    result = replace(result, arms=tuple(map(filled, rows)))
    return replace(result, claims=tuple(judged(claim, result, outcomes) for claim in experiment.claims))


def table1() -> Result:
    """Four networks with printed figures, counts, timings, learning rates tried, and a seed that diverged."""
    arms = (
        Arm("VGG-16", "vgg16", published={"top1": 0.715, "top5": 0.901}),
        Arm("ResNet-152", "resnet152", published={"top1": 0.770, "top5": 0.933}),
        Arm("Inception V3", "inception_v3", published={"top1": 0.782, "top5": 0.941}),
        Arm("Xception", "xception", published={"top1": 0.790, "top5": 0.945}, note="middle flow four times"),
    )
    claims = (
        Claim("Xception is right more often than Inception V3", "top1", "Xception", "above", "Inception V3"),
        Claim("and among five guesses", "top5", "Xception", "above", "Inception V3"),
        Claim("with about as many parameters", "parameters", "Xception", "same", "Inception V3", 1e6),
        Claim("VGG-16 is behind", "top1", "VGG-16", "below", "ResNet-152"),
    )
    experiment = Experiment(
        "xception/table1", "Xception, table 1: classification of ImageNet", "1610.02357, table 1",
        "Xception is marginally better than Inception V3 on ImageNet.", arms, ("top1", "top5"), {}, claims,
    )  # fmt: skip
    shares = {"VGG-16": 0.84, "ResNet-152": 0.75, "Inception V3": 0.79, "Xception": 0.83}
    outcomes = {name: trainings(share, key) for key, (name, share) in enumerate(shares.items())}
    outcomes["VGG-16"][1] = Outcome(failed="The loss became NaN at step 12.")
    counts = ((138_357_544, 15_470_264_320), (60_192_808, 11_513_626_624), (23_851_784, 5_713_216_096),
              (22_855_952, 8_363_420_352))  # fmt: skip
    rows = [
        replace(
            row(arm, outcomes[arm.name], published_parameters=count[0], published_macs=count[1],
                published_image_size=299, timing={"milliseconds": (3.1 + k, 3.0 + k, 3.3 + k)}),
            learning_rate=1.0, tuning=(Trial(0.5, 0.7), Trial(1.0, 0.72), Trial(2.0, None)),
        )
        for k, (arm, count) in enumerate(zip(arms, counts, strict=True))
    ]  # fmt: skip
    return finished(experiment, rows, outcomes)


def curves() -> Result:
    """Three arms shown by epoch, without printed figures."""
    arms = tuple(Arm(name, "xception") for name in ("no activation", "ReLU", "ELU"))
    claims = (Claim("Without an activation it is better than with ReLU", "top1", arms[0].name, "above", "ReLU"),)
    experiment = Experiment(
        "xception/figure10", "Xception, figure 10: between depthwise and pointwise", "1610.02357, figure 10",
        "The absence of any non-linearity leads to faster convergence and better final performance.", arms,
        ("top1", "loss"), {}, claims, "curves", reading="The paper draws curves and prints no numbers.",
    )  # fmt: skip
    outcomes = {arm.name: trainings(0.83 - 0.06 * key, key) for key, arm in enumerate(arms)}
    return finished(experiment, [row(arm, outcomes[arm.name]) for arm in arms], outcomes)


def spectrum() -> Result:
    """Seven arms of other costs, nobody's printed figures."""
    widths = {1: 900_000, 2: 1_100_000, 3: 1_180_000, 4: 1_230_000, 8: 1_400_000, 32: 1_490_000, 728: 1_500_000}
    arms = tuple(Arm(f"k = {k}", "xception", {"segments": k}) for k in widths)
    claims = (Claim("One channel a segment beats a regular convolution", "top1", "k = 728", "above", "k = 1"),)
    experiment = Experiment(
        "spectrum", "The spectrum between a regular and a depthwise separable convolution", "1610.02357, section 2",
        "Nobody has measured what lies between.", arms, ("top1", "parameters", "macs", "milliseconds", "memory"), {},
        claims,
    )  # fmt: skip
    outcomes = {arm.name: trainings(0.70 + 0.02 * key - 0.006 * (key == 5), key) for key, arm in enumerate(arms)}
    rows = [
        row(arm, outcomes[arm.name], parameters=count, macs=30_000_000 - 3_000_000 * key,
            timing={"milliseconds": (2.0 + 0.3 * key, 2.1 + 0.3 * key), "memory": (180.0 - 11 * key,)})
        for key, (arm, count) in enumerate(zip(arms, widths.values(), strict=True))
    ]  # fmt: skip
    return finished(experiment, rows, outcomes)


def nasty() -> Result:
    """Everything that came from outside means harm; nothing was measured."""
    arm = ArmResult(NASTY, NASTY, {NASTY: NASTY}, NASTY, None, None, None, {"top1": 0.5}, None, None,
                    seeds=(SeedResult(0, failed=NASTY),))  # fmt: skip
    experiment = Experiment("n", NASTY, NASTY, NASTY, (Arm(NASTY, NASTY),), ("top1",), {},
                            (Claim(NASTY, "top1", NASTY, "above", NASTY),))  # fmt: skip
    result = finished(experiment, [arm], {})
    data = {"what": NASTY, "fingerprint": NASTY}
    return replace(result, reading=NASTY, command=NASTY, data=data, problems=(NASTY,), finished=False)
