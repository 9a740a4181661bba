"""What is not judged: arms at chance, and arms whose seeds have not settled."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from separable.experiments.chance import chance_levels
from separable.experiments.learnt import at_chance, reach, why_not_judged
from separable.experiments.schema import Claim
from separable.experiments.sources import Source, prepare
from separable.experiments.verdicts import Sample, judge
from tests.experiments.tiny import SETUP, tiny

WIDTHS = Claim("Wider is better", "top1", "0.5", "above", "0.25")
EARLY = Claim("Xception is ahead early", "early_top1", "Xception", "above", "Inception V3")


def arm(*values: float, chance: float | None = 0.1, pictures: int = 1000) -> Sample:
    """Seeds that are right on the first so many pictures."""
    rows = {seed: [float(k < round(value * pictures)) for k in range(pictures)] for seed, value in enumerate(values)}
    return Sample(dict(enumerate(values)), rows, chance=chance)


def test_how_far_chance_reaches() -> None:
    assert reach(0.1, 1000) == pytest.approx(0.19), "chance and a tenth of what is left"
    assert reach(0.001, 0) == pytest.approx(0.002), "twice chance"
    assert reach(0.5, 32) == pytest.approx(0.5 + 3 * np.sqrt(0.25 / 32)), "three standard errors of few pictures"
    assert at_chance("top1", {0: 0.11, 1: 0.295, 2: 0.19}, 0.1, 1000) == [0, 2]
    assert at_chance("top1_error", {0: 0.89, 1: 0.705}, 0.1) == [0]
    assert at_chance("top1", {0: 0.0}, None) == []


def test_networks_at_chance_are_simulated() -> None:
    """Of 10,000 that guess on 100 pictures, hardly one is beyond; of those that know a third of them, all are."""
    rng = np.random.default_rng(1)
    guesses = rng.binomial(100, 0.1, 10_000) / 100
    assert np.mean(guesses > reach(0.1, 100)) < 0.005
    assert np.mean(rng.binomial(1000, 0.1 + 0.9 / 3, 1000) / 1000 > reach(0.1, 1000)) == 1


def test_an_arm_that_did_not_train_is_not_judged() -> None:
    """Otherwise the wider one "holds", 70 points ahead of a network that guesses."""
    found = judge(WIDTHS, arm(0.84, 0.83, 0.85), arm(0.11, 0.12, 0.10))
    assert found.verdict == "not judged"
    assert found.sentence == (
        "not judged: 0.25 did not train here: 11.0 % on average, seeds from 10.0 to 12.0 %; chance is 10.0 % (the "
        "difference of the means is +73.0 points)"
    )
    assert found.confidence is found.p_value is None
    assert found.ours == pytest.approx(0.73)
    unknown = judge(WIDTHS, arm(0.84, 0.83, 0.85), arm(0.11, 0.12, 0.10, chance=None))
    assert unknown.verdict == "holds", "where chance is not known nothing is left out"


def test_one_seed_at_chance_is_enough() -> None:
    found = judge(WIDTHS, arm(0.963, 0.117, 0.943), arm(0.467, 0.343, 0.44))
    assert found.verdict == "not judged"
    assert "0.5 did not train here with 1 of 3 seeds: 67.4 % on average, seeds from 11.7 to 96.3 %" in found.sentence


def test_seeds_that_lie_too_far_apart_are_not_judged() -> None:
    found = judge(WIDTHS, arm(0.9, 0.91, 0.88), arm(0.44, 0.57, 0.29))
    assert found.verdict == "not judged"
    assert "0.25 did not settle here: 43.3 % on average, seeds from 29.0 to 57.0 %, further apart than 15 points" in (
        found.sentence
    )
    assert judge(WIDTHS, arm(0.9, 0.91, 0.88), arm(0.44, 0.47, 0.41)).verdict == "holds"


def test_early_on_chance_is_what_is_compared() -> None:
    found = judge(EARLY, arm(0.745, 0.698, 0.571), arm(0.131, 0.137, 0.137))
    assert found.verdict == "holds"
    assert found.sentence.endswith("; Inception V3 had not begun to learn by then (13.5 %, chance is 10.0 %)")
    neither = judge(EARLY, arm(0.14, 0.15, 0.14), arm(0.10, 0.09, 0.11))
    assert neither.verdict == "not judged"
    assert neither.sentence.startswith("not judged: neither had begun to learn by then")


def test_losses_and_counts_have_no_chance() -> None:
    assert why_not_judged("a", "loss", {0: 0.1, 1: 2.0}, None, 0) == ""
    assert judge(replace(WIDTHS, measure="parameters"), Sample({0: 2}), Sample({0: 1})).verdict == "exact"


def test_chance_of_classes() -> None:
    levels = chance_levels(Source("classify", "", "", class_names=tuple("abcdefghij")))
    assert (levels["top1"], levels["early_top1"], levels["top5"]) == (0.1, 0.1, 0.5)
    assert chance_levels(Source("segment", "", "", class_names=("a", "b"))) == {}


def test_chance_of_tags_is_the_order_by_frequency(tmp_path: Path) -> None:
    """By hand: "a" is the most frequent of the training pictures, so all answers are a, b, c."""
    rows = {"train": ["a;b", "a;b", "a;c", "a"], "val": ["b", "a;c"]}
    lines = ["path,labels,set"]
    for split, labels in rows.items():
        for number, label in enumerate(labels):
            Image.new("RGB", (8, 8)).save(tmp_path / f"{split}{number}.png")
            lines.append(f"{split}{number}.png,{label},{split}")
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    levels = chance_levels(prepare(tiny(task="tag"), SETUP, tmp_path, tmp_path))
    first = 1 / 2  # b comes second
    second = (1 + 2 / 3) / 2  # a first, c third
    assert levels["map100"] == pytest.approx((first + second) / 2)
    assert levels["weighted_map100"] != levels["map100"]
    assert chance_levels(Source("tag", str(tmp_path / "nowhere"), "")) == {}
