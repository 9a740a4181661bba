"""The papers' tables as data, against a second listing of what they print, typed by another hand."""

import pytest

from separable.errors import UsageError
from separable.experiments.catalog import EXPERIMENTS, GROUPS, find_experiment, find_experiments
from separable.experiments.cells import recipe_of
from separable.experiments.counts import published_counts, scaled_counts
from separable.experiments.schema import MEASURES, SCALES, Experiment
from separable.models import model_spec

# By experiment and row, in the order of the table; shares in per cent as printed.
PRINTED = {
    "xception/table1": {
        "VGG-16": {"top1": 71.5, "top5": 90.1},
        "ResNet-152": {"top1": 77.0, "top5": 93.3},
        "Inception V3": {"top1": 78.2, "top5": 94.1},
        "Xception": {"top1": 79.0, "top5": 94.5},
    },
    "xception/table2": {
        "Inception V3": {"weighted_map100": 6.36},
        "Xception": {"weighted_map100": 6.70},
        "Inception V3, FC layers": {"weighted_map100": 6.50},
        "Xception, FC layers": {"weighted_map100": 6.78},
    },
    "xception/table3": {
        "Inception V3": {"parameters": 23_626_728, "steps_per_second": 31},
        "Xception": {"parameters": 22_855_952, "steps_per_second": 28},
    },
    "xception/figure6": {"Inception V3": {}, "Xception": {}},
    "xception/figure7": {"Inception V3": {"weighted_map100": 6.36}, "Xception": {"weighted_map100": 6.70}},
    "xception/figure8": {
        "Inception V3, FC layers": {"weighted_map100": 6.50},
        "Xception, FC layers": {"weighted_map100": 6.78},
    },
    "xception/figure9": {"with residual connections": {}, "without": {}},
    "xception/figure10": {"nothing": {}, "ReLU": {}, "ELU": {}},
    "xception/order": {"spatial first": {}, "pointwise first": {}},
    "inception_v3/table2": {"299 pixels": {"top1": 76.6}, "151 pixels": {"top1": 76.4}, "79 pixels": {"top1": 75.2}},
    "inception_v3/table3": {
        "Inception-v2": {"top1_error": 23.4, "macs": 3_800_000_000},
        "+ RMSProp": {"top1_error": 23.1, "top5_error": 6.3},
        "+ label smoothing": {"top1_error": 22.8, "top5_error": 6.1},
        "+ factorised 7x7": {"top1_error": 21.6, "top5_error": 5.8, "macs": 4_800_000_000},
        "+ BN auxiliary": {"top1_error": 21.2, "top5_error": 5.6, "macs": 4_800_000_000},
    },
    "inception_v3/figure2": {"ReLU": {"top1": 77.2}, "linear": {"top1": 76.2}},
    "inception_v3/aux": {
        "no auxiliary head": {},
        "plain": {"top1_error": 21.6, "top5_error": 5.8},
        "batch-normalised": {"top1_error": 21.2, "top5_error": 5.6},
    },
    "inception_v3/tables4-5": {
        "one crop": {"top1_error": 21.2, "top5_error": 5.6},
        "12 crops": {"top1_error": 19.47, "top5_error": 4.48},
        "144 crops": {"top1_error": 18.77, "top5_error": 4.2},
        "ensemble, 144 crops": {"top1_error": 17.3, "top5_error": 3.46},
    },
    "inception_v3/grid_reduction": {"pool, then convolve": {}, "convolve, then pool": {}, "in parallel": {}},
    "mobilenet/table4": {
        "full convolutions": {"top1": 71.7, "macs": 4_866_000_000, "parameters": 29_300_000},
        "MobileNet": {"top1": 70.6, "macs": 569_000_000, "parameters": 4_200_000},
    },
    "mobilenet/table5": {
        "0.75": {"top1": 68.4, "macs": 325_000_000, "parameters": 2_600_000},
        "shallow": {"top1": 65.3, "macs": 307_000_000, "parameters": 2_900_000},
    },
    "mobilenet/table6": {
        "1.0": {"top1": 70.6, "macs": 569_000_000, "parameters": 4_200_000},
        "0.75": {"top1": 68.4, "macs": 325_000_000, "parameters": 2_600_000},
        "0.5": {"top1": 63.7, "macs": 149_000_000, "parameters": 1_300_000},
        "0.25": {"top1": 50.6, "macs": 41_000_000, "parameters": 500_000},
    },
    "mobilenet/table7": {
        "224 pixels": {"top1": 70.6, "macs": 569_000_000, "parameters": 4_200_000},
        "192 pixels": {"top1": 69.1, "macs": 418_000_000, "parameters": 4_200_000},
        "160 pixels": {"top1": 67.2, "macs": 290_000_000, "parameters": 4_200_000},
        "128 pixels": {"top1": 64.4, "macs": 186_000_000, "parameters": 4_200_000},
    },
    "unet/pets": {"the example's": {"loss": 0.7986, "parameters": 2_055_203}, "with U-Net's skips": {}},
    "spectrum": {
        **{f"k = {k}": {} for k in (1, 2, 3, 4, 8, 16, 32, "all")},
        **{f"k = {k}, equal multiply-adds": {} for k in (1, 2, 3, 4, 8, 16, 32)},
    },
    "spectrum/milliseconds": {f"k = {k}": {} for k in (1, 2, 4, 8, 16, 32, "all")},
}

experiments = pytest.mark.parametrize("experiment", EXPERIMENTS.values(), ids=lambda one: one.name)
scales = pytest.mark.parametrize("scale", SCALES)


def _printed(measure: str, value: float) -> float:
    """As the paper prints it: shares in per cent."""
    return round(100 * value, 6) if MEASURES[measure].unit == "%" else value


def test_every_printed_figure_is_there() -> None:
    listed = {
        name: {
            arm.name: {measure: _printed(measure, value) for measure, value in arm.published.items()}
            for arm in experiment.arms
        }
        for name, experiment in EXPERIMENTS.items()
    }
    assert listed == PRINTED
    assert [list(rows) for rows in listed.values()] == [list(rows) for rows in PRINTED.values()]


def test_names_find_experiments() -> None:
    assert {name: experiment.name for name, experiment in EXPERIMENTS.items()} == {name: name for name in EXPERIMENTS}
    assert [one.name for one in find_experiments("mobilenet/tables4-7")] == [
        f"mobilenet/table{n}" for n in (4, 5, 6, 7)
    ]
    assert len(find_experiments("xception")) == 9
    assert [one.name for one in find_experiments("spectrum")] == ["spectrum", "spectrum/milliseconds"]
    assert all(find_experiment(name) is EXPERIMENTS[name] for name in EXPERIMENTS)
    assert not set(GROUPS) & set(EXPERIMENTS)


def test_a_misspelt_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="There is no experiment 'xception/tabel1'") as caught:
        find_experiment("xception/tabel1")
    assert caught.value.fix == "Did you mean 'xception/table1'?"
    with pytest.raises(UsageError, match="stands for several") as caught:
        find_experiment("mobilenet/tables4-7")
    assert "mobilenet/table6" in str(caught.value.expected)


@experiments
def test_an_experiment_is_consistent(experiment: Experiment) -> None:
    names = [arm.name for arm in experiment.arms]
    assert len(set(names)) == len(names) >= 2
    assert tuple(experiment.setups) == SCALES
    assert tuple(experiment.costs) == SCALES
    assert set(experiment.measures) <= set(MEASURES)
    assert experiment.claims
    for claim in experiment.claims:
        assert {claim.left, claim.right} <= set(names)
        assert claim.left != claim.right
        assert claim.measure in experiment.measures
        assert (claim.margin > 0) == (claim.relation == "same")
    for arm in experiment.arms:
        assert set(arm.published) <= set(experiment.measures)
        if arm.like:
            assert (arm.model, arm.options) == (experiment.arm(arm.like).model, experiment.arm(arm.like).options)


@scales
@experiments
def test_every_network_of_every_scale_can_be_built(experiment: Experiment, scale: str) -> None:
    setup = experiment.setups[scale]  # type: ignore[index]
    assert set(setup.arm_options) | set(setup.arm_changes) <= {
        arm.name for one in _relatives(experiment) for arm in one.arms
    }
    for arm in experiment.arms:
        assert set(setup.options_of(arm)) - {"num_classes"} <= set(model_spec(arm.model).options)
        counts = scaled_counts(setup, arm, 10)
        assert counts.parameters > 0
        assert counts.macs > 0
        for factor in setup.learning_rates:
            assert recipe_of(setup, arm, factor).optimiser.learning_rate > 0


def test_what_nobody_published_has_no_published_counts() -> None:
    nobodys = {
        (experiment.name, arm.name)
        for experiment in EXPERIMENTS.values()
        for arm in experiment.arms
        if published_counts(arm) is None and not experiment.name.startswith("spectrum")
    }
    assert nobodys == {
        ("xception/order", "pointwise first"),
        ("inception_v3/figure2", "linear"),
        ("inception_v3/grid_reduction", "pool, then convolve"),
        ("inception_v3/grid_reduction", "convolve, then pool"),
        ("inception_v3/grid_reduction", "in parallel"),
        ("unet/pets", "with U-Net's skips"),
    }


def test_the_ensembles_top5_error_is_that_of_the_validation_pictures() -> None:
    """3.58 % is the test set's, as the footnote of table 5 says."""
    ensemble = find_experiment("inception_v3/tables4-5").arm("ensemble, 144 crops")
    assert ensemble.published["top5_error"] == 0.0346
    assert "3.58 % top-5 on the test set" in ensemble.note


def _relatives(experiment: Experiment) -> list[Experiment]:
    """Those that may share its setups."""
    return [one for one in EXPERIMENTS.values() if one.name.split("/")[0] == experiment.name.split("/")[0]]


@pytest.mark.parametrize(
    ("name", "arm"), [(name, arm) for name, rows in PRINTED.items() for arm, row in rows.items() if "parameters" in row]
)
def test_the_published_networks_have_the_printed_parameters(name: str, arm: str) -> None:
    printed = PRINTED[name][arm]["parameters"]
    counted = published_counts(find_experiment(name).arm(arm)).parameters
    # To the digit where all digits are printed; MobileNet's papers print millions with one.
    assert counted == printed if printed % 100_000 else round(counted / 1e5) == printed / 1e5


@pytest.mark.parametrize("name", ["mobilenet/table4", "mobilenet/table5", "mobilenet/table6", "mobilenet/table7"])
def test_mobilenets_have_the_printed_multiply_adds(name: str) -> None:
    """Within one million: the full convolutions come to 4,867,293,184, and 4866 is printed."""
    for arm in find_experiment(name).arms:
        assert abs(published_counts(arm).macs - PRINTED[name][arm.name]["macs"]) < 1.3e6


def test_counts_of_figures_are_as_stated() -> None:
    residual, without = find_experiment("xception/figure9").arms
    assert published_counts(residual).parameters == 22_855_952
    assert published_counts(without).parameters == 21_878_880
    order = find_experiment("xception/order")
    orders = [scaled_counts(order.setups["paper"], arm, 1000).parameters for arm in order.arms]
    assert orders == [22_855_952, 22_873_808]
