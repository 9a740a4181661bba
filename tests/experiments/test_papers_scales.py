"""That what each scale compares is comparable, and that what experiments share is trained once."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from separable.experiments.catalog import EXPERIMENTS, find_experiment
from separable.experiments.cells import cell_of
from separable.experiments.counts import Counts, scaled_counts
from separable.experiments.matching import solve_width
from separable.experiments.papers.spectrum import SEGMENTS
from separable.experiments.pictures import DRAWN
from separable.experiments.scales import RATES
from separable.experiments.schema import SCALES, Scale, Setup
from separable.experiments.sources import Source

_SOURCE = Source("classify", "/pictures", "digits", fingerprint="one set", class_names=("a", "b"))
_DRAWN = replace(_SOURCE, drawn="pixels")
CLASSES = {"smoke": 10, "laptop": 10, "gpu": 10, "paper": 1000}


def _parameters(counts: Counts) -> float:
    return counts.parameters


def _macs(counts: Counts) -> float:
    return counts.macs


# Experiment, scale, arms, what of them, and by how much the largest may exceed the smallest.
CLOSE: tuple[tuple[str, Scale, tuple[str, ...], Callable[[Counts], float], float], ...] = (
    ("xception/table1", "laptop", ("Inception V3", "Xception"), _parameters, 1.04),
    ("xception/table1", "gpu", ("Inception V3", "Xception"), _parameters, 1.04),
    ("xception/table2", "laptop", ("Inception V3", "Xception"), _parameters, 1.04),
    ("xception/table1", "laptop", ("Inception V3", "Xception"), _macs, 1.2),
    ("xception/order", "laptop", ("spatial first", "pointwise first"), _parameters, 1.01),
    ("inception_v3/figure2", "laptop", ("ReLU", "linear"), _parameters, 1.0),
    ("inception_v3/table2", "laptop", ("299 pixels", "151 pixels"), _macs, 1.0),
    ("inception_v3/table2", "laptop", ("299 pixels", "151 pixels", "79 pixels"), _macs, 1.09),
    ("inception_v3/table2", "paper", ("299 pixels", "151 pixels", "79 pixels"), _macs, 1.09),
    ("mobilenet/table5", "laptop", ("0.75", "shallow"), _macs, 1.09),
    ("mobilenet/table5", "paper", ("0.75", "shallow"), _macs, 1.06),
)


@pytest.mark.parametrize(("name", "scale", "arms", "of", "most"), CLOSE)
def test_compared_networks_cost_the_same(
    name: str, scale: Scale, arms: tuple[str, ...], of: Callable[[Counts], float], most: float
) -> None:
    experiment = find_experiment(name)
    setup = experiment.setups[scale]
    costs = [of(scaled_counts(setup, experiment.arm(arm), CLASSES[scale])) for arm in arms]
    assert max(costs) / min(costs) <= most


@pytest.mark.parametrize(("scale", "most"), [("smoke", 0.075), ("laptop", 0.06), ("gpu", 0.06), ("paper", 0.06)])
@pytest.mark.parametrize(("ending", "of"), [("", _parameters), (", equal multiply-adds", _macs)])
def test_the_spectrum_has_equal_costs(scale: Scale, most: float, ending: str, of: Callable[[Counts], float]) -> None:
    experiment = find_experiment("spectrum")
    setup = experiment.setups[scale]
    target = of(scaled_counts(setup, experiment.arm("k = all"), CLASSES[scale]))
    for segments in SEGMENTS:
        got = of(scaled_counts(setup, experiment.arm(f"k = {segments}{ending}"), CLASSES[scale]))
        assert abs(got / target - 1) < most


@pytest.mark.parametrize("segments", [3, 16])
@pytest.mark.parametrize(("ending", "measure"), [("", "parameters"), (", equal multiply-adds", "macs")])
def test_the_spectrums_widths_are_those_that_are_solved_for(segments: int, ending: str, measure: str) -> None:
    experiment = find_experiment("spectrum")
    setup = experiment.setups["laptop"]
    arm = experiment.arm(f"k = {segments}{ending}")
    options = setup.options_of(arm)
    target = getattr(scaled_counts(setup, experiment.arm("k = all"), 10), measure)
    width = options.pop("width")
    matched = solve_width("xception", options, 40, measure=measure, target=target, num_classes=10)  # type: ignore[arg-type]
    assert matched.width == width


@pytest.mark.parametrize("scale", ["smoke", "laptop", "gpu"])
@pytest.mark.parametrize(
    ("baseline", "others"),
    [
        (
            ("xception/table1", "Xception"),
            (
                ("xception/figure6", "Xception"),
                ("xception/figure9", "with residual connections"),
                ("xception/figure10", "nothing"),
                ("xception/order", "spatial first"),
            ),
        ),
        (
            ("xception/table1", "Inception V3"),
            (
                ("xception/figure6", "Inception V3"),
                ("inception_v3/figure2", "ReLU"),
                ("inception_v3/aux", "no auxiliary head"),
            ),
        ),
        (("xception/table2", "Xception"), (("xception/figure7", "Xception"),)),
        (("xception/table2", "Xception, FC layers"), (("xception/figure8", "Xception, FC layers"),)),
        (("mobilenet/table6", "1.0"), (("mobilenet/table7", "224 pixels"),)),
        (("mobilenet/table6", "0.75"), (("mobilenet/table5", "0.75"),)),
    ],
)
def test_the_same_training_in_two_experiments_is_one_cell(
    scale: Scale, baseline: tuple[str, str], others: tuple[tuple[str, str], ...]
) -> None:
    key = _key(scale, *baseline)
    assert [_key(scale, *other) for other in others] == [key] * len(others)


def _key(scale: Scale, name: str, arm: str) -> str:
    experiment = find_experiment(name)
    setup = experiment.setups[scale]
    assert _drawn(setup) == _drawn(EXPERIMENTS[name].setups[scale])
    return cell_of(setup, experiment.arm(arm), _SOURCE, 0).key + str(setup.pictures)


def _drawn(setup: Setup) -> tuple[object, ...]:
    return setup.data, setup.pictures, setup.image_size


def test_the_full_mobilenet_is_compared_with_one_as_wide() -> None:
    for scale in SCALES:
        full, separable = find_experiment("mobilenet/table4").arms
        setup = find_experiment("mobilenet/table4").setups[scale]
        options = [setup.options_of(arm) for arm in (full, separable)]
        assert {**options[0]} == {**options[1], "separable": False}


def test_one_seed_differs_from_another_and_one_rate_from_another() -> None:
    experiment = find_experiment("xception/figure9")
    setup, arm = experiment.setups["laptop"], experiment.arms[0]
    keys = {cell_of(setup, arm, _SOURCE, seed, factor).key for seed in (0, 1, None) for factor in (0.3, 1.0)}
    assert len(keys) == 6


@pytest.mark.parametrize("scale", ["smoke", "laptop"])
def test_small_scales_need_no_pictures_of_the_users(scale: Scale) -> None:
    for experiment in EXPERIMENTS.values():
        setup = experiment.setups[scale]
        drawn = {"classify": "digits", "tag": "tags", "segment": "scenes"}[experiment.task]
        assert setup.data == ("mirrored" if experiment.name == "inception_v3/tables4-5" else drawn)
        assert setup.device == "cpu"
        assert len(setup.seeds) == {"smoke": 2, "laptop": 3}[scale]


def test_costs_that_nobody_measured_are_called_estimated() -> None:
    for experiment in EXPERIMENTS.values():
        assert all("estimated" in experiment.costs[scale] for scale in ("gpu", "paper")), experiment.name


def test_no_toy_pictures_stand_for_those_of_a_paper() -> None:
    for experiment in EXPERIMENTS.values():
        assert experiment.setups["paper"].data not in DRAWN, experiment.name


@pytest.mark.parametrize("scale", ["laptop", "gpu", "paper"])
def test_unlike_networks_try_the_same_learning_rates(scale: Scale) -> None:
    tuned = {name for name, experiment in EXPERIMENTS.items() if len(experiment.setups[scale].learning_rates) > 1}
    assert tuned == {
        *("xception/table1", "xception/table2", "xception/figure6", "xception/figure7", "xception/figure8"),
        *("xception/figure9", "mobilenet/table4", "mobilenet/table5", "mobilenet/table6", "mobilenet/table7"),
        "inception_v3/table3",
    }
    for name in tuned:
        across = (0.01, 0.03) if name in ("xception/table1", "xception/figure6") else ()
        assert find_experiment(name).setups[scale].learning_rates == (*across, *RATES)
        assert "learning rate" in find_experiment(name).reading, name


@pytest.mark.parametrize("scale", ["smoke", "laptop", "gpu"])
def test_crops_are_measured_of_networks_that_saw_crops_and_mirrors(scale: Scale) -> None:
    """On pictures for which mirrors are legal, and beside the centre crop."""
    setup = find_experiment("inception_v3/tables4-5").setups[scale]
    cell = cell_of(setup, find_experiment("inception_v3/tables4-5").arms[0], _DRAWN, 0)
    augment = cell.config.recipe.augment
    assert (setup.data, augment.flip, augment.random_resized_crop) == ("mirrored", True, (0.7, 0.85))
    assert cell.config.model.crop_fraction == 224 / 256


def test_mobilenets_sides_cost_what_they_cost_as_published() -> None:
    experiment = find_experiment("mobilenet/table7")
    setup = experiment.setups["laptop"]
    macs = [scaled_counts(setup, arm, 10).macs for arm in experiment.arms]
    for arm, cost in zip(experiment.arms, macs, strict=True):
        assert abs(cost / macs[0] / (arm.published["macs"] / 569e6) - 1) < 0.05
