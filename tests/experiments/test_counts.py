"""Counts of published networks, and of those that nobody published."""

from dataclasses import replace
from pathlib import Path

from separable.experiments.campaign import Campaign
from separable.experiments.counts import published_counts
from separable.experiments.judging import judged, row_of
from separable.experiments.schema import Arm, Claim
from separable.experiments.sources import Source
from tests.experiments.tiny import SETUP, tiny


def test_only_published_networks_have_published_counts() -> None:
    arm = Arm("Xception", "xception")
    counted = published_counts(arm)
    assert counted is not None
    assert counted.parameters == 22_855_952
    assert published_counts(replace(arm, options={"segments": 16}, published_network=False)) is None


def test_claims_on_what_nobody_published_are_on_what_is_trained_here(tmp_path: Path) -> None:
    """Even where a figure is printed beside it."""
    first, second = tiny().arms
    arms = (first, replace(second, published={"parameters": 5.0}, published_network=False))
    claim = Claim("It is smaller", "parameters", arms[1].name, "below", first.name)
    experiment = tiny(arms=(replace(first, published={"parameters": 6.0}), arms[1]), claims=(claim,), kind="count")
    source = Source("classify", str(tmp_path), "", class_names=("a", "b"))
    campaign = Campaign(experiment, SETUP, (0, 1), source, tmp_path)
    rows = [row_of(campaign, arm, {}) for arm in experiment.arms]
    assert rows[1].published_parameters is rows[1].published_macs is None
    assert rows[0].published_parameters is not None
    (found,) = judged(campaign, rows)
    assert f"{rows[1].parameters:,} against {rows[0].parameters:,} parameters" in found.sentence, "both, or none"
