from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from separable.errors import RunFolderError, UsageError
from separable.training.config import (
    DataConfig,
    MachineConfig,
    ModelConfig,
    OptimiserConfig,
    ScheduleConfig,
    TrainConfig,
)
from separable.training.recipes import RECIPES, find_recipe, scaled_learning_rate


@pytest.mark.parametrize("name", RECIPES)
def test_a_config_survives_yaml(name: str, tmp_path: Path) -> None:
    config = TrainConfig(
        run="runs/x",
        recipe=RECIPES[name],
        model=ModelConfig(options={"width": 0.125, "stem_stride": 1}, image_size=(32, 48), resize="squash"),
        epochs=3,
    )
    config.to_yaml(tmp_path / "config.yaml")
    assert TrainConfig.from_yaml(tmp_path / "config.yaml") == config


def test_paths_of_any_bytes_survive_yaml(tmp_path: Path) -> None:
    """A folder's name need not be UTF-8; its bytes are lone surrogates in Python."""
    data = DataConfig(root="Bären/caf\udce9", train_root="日本\u2028\x85", val_root="\U0001f600: #'\"")
    config = TrainConfig(run="runs/\udcff", recipe=RECIPES["small"], data=data)
    config.to_yaml(tmp_path / "config.yaml")
    assert TrainConfig.from_yaml(tmp_path / "config.yaml") == config
    assert "Bären" in (tmp_path / "config.yaml").read_text(encoding="utf-8")


def test_every_value_is_written(tmp_path: Path) -> None:
    TrainConfig(run="r", recipe=RECIPES["small"]).to_yaml(tmp_path / "c.yaml")
    plain = yaml.safe_load((tmp_path / "c.yaml").read_text())
    assert plain["recipe"]["optimiser"]["momentum"] == 0.9
    assert plain["machine"]["keep_checkpoints"] == 2
    assert plain["epochs"] is None


def edited(tmp_path: Path, **changes: object) -> Path:
    path = tmp_path / "c.yaml"
    TrainConfig(run="r", recipe=RECIPES["small"]).to_yaml(path)
    plain = yaml.safe_load(path.read_text())
    for key, value in changes.items():
        node = plain
        *parents, last = key.split("__")
        for parent in parents:
            node = node[parent]
        node[last] = value
    path.write_text(yaml.safe_dump(plain))
    return path


def test_an_unknown_key_is_named_with_its_neighbour(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"Unknown key 'recipe\.optimiser\.momentun'.*Did you mean 'momentum'"):
        TrainConfig.from_yaml(edited(tmp_path, recipe__optimiser__momentun=0.8))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("seed", "seven", r"seed has a value of the wrong type. Got: 'seven'. Expected: a whole number"),
        ("seed", True, r"seed has a value of the wrong type"),
        ("precision", "fp16", r"precision has an illegal value. Got: 'fp16'. Expected: one of 'fp32', 'bf16'"),
        ("recipe__optimiser__betas", [0.9], r"recipe.optimiser.betas has a value of the wrong type.*a list of 2"),
        ("recipe__optimiser__learning_rate", "fast", r"learning_rate has a value of the wrong type.*a number"),
        ("recipe__optimiser__decayed", ["dense", "bias"], r"decayed\[1\] has an illegal value"),
        ("model", 3, r"model must be a mapping"),
    ],
)
def test_a_wrong_value_is_named(key: str, value: object, message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        TrainConfig.from_yaml(edited(tmp_path, **{key: value}))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("recipe__optimiser__learning_rate", 0, r"optimiser\.learning_rate is out of range\. Got: 0\.0\. .*above 0"),
        ("recipe__optimiser__learning_rate", float("inf"), r"optimiser\.learning_rate is out of range"),
        ("recipe__optimiser__head_learning_rate", -1, r"optimiser\.head_learning_rate is out of range"),
        ("recipe__optimiser__momentum", 1.5, r"optimiser\.momentum is out of range.*0 or more and below 1"),
        ("recipe__optimiser__betas", [0.9, 1], r"optimiser\.betas is out of range\. Got: \(0\.9, 1\.0\)"),
        ("recipe__optimiser__weight_decay", -1e-4, r"optimiser\.weight_decay is out of range.*0 or more"),
        ("recipe__schedule__final_fraction", 2, r"schedule\.final_fraction is out of range.*0 to 1"),
        ("recipe__regularisation__ema_decay", 1, r"regularisation\.ema_decay is out of range"),
        ("recipe__regularisation__label_smoothing", 1, r"regularisation\.label_smoothing is out of range"),
        ("recipe__regularisation__clip_norm", 0, r"regularisation\.clip_norm is out of range"),
        ("recipe__global_batch", 0, r"recipe\.global_batch is out of range.*1 or more"),
        ("model__crop_fraction", 7, r"model\.crop_fraction is out of range. Got: 7\.0\. .*above 0, at most 1"),
        ("model__image_size", [96, 10000], r"model\.image_size is out of range.*1 to 8192 pixels a side"),
        ("data__max_bad", 1.5, r"data\.max_bad is out of range. Got: 1\.5"),
        ("machine__workers", -1, r"machine\.workers is out of range"),
        ("machine__keep_checkpoints", 0, r"machine\.keep_checkpoints is out of range"),
        ("threads", 0, r"threads is out of range. Got: 0\. Expected: 1 to 1024"),
        ("threads", 99_999_999, r"threads is out of range"),
    ],
)
def test_a_number_out_of_range_is_named(key: str, value: object, message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        TrainConfig.from_yaml(edited(tmp_path, **{key: value}))


def test_yaml_numbers_without_a_dot_are_numbers(tmp_path: Path) -> None:
    # YAML 1.1 reads 1e-5 as a text.
    path = edited(tmp_path)
    path.write_text(path.read_text().replace("weight_decay: 0.05", "weight_decay: 1e-5"))
    assert TrainConfig.from_yaml(path).recipe.optimiser.weight_decay == 1e-5


def test_what_is_no_yaml_or_no_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="does not exist"):
        TrainConfig.from_yaml(tmp_path / "config.yaml")
    (tmp_path / "config.yaml").write_text("a: [1,")
    with pytest.raises(RunFolderError, match="cannot be read as YAML"):
        TrainConfig.from_yaml(tmp_path / "config.yaml")


def test_illegal_combinations_are_refused() -> None:
    with pytest.raises(UsageError, match="batch_size=10, accumulate=3"):
        TrainConfig(run="r", recipe=RECIPES["small"], batch_size=10, accumulate=3)
    with pytest.raises(UsageError, match="A training needs an epoch"):
        TrainConfig(run="r", recipe=RECIPES["small"], epochs=0)
    with pytest.raises(UsageError, match="The seed is out of range"):
        TrainConfig(run="r", recipe=RECIPES["small"], seed=2**64)
    with pytest.raises(UsageError, match="Nesterov's rule needs a momentum"):
        OptimiserConfig(nesterov=True, momentum=0.0)
    with pytest.raises(UsageError, match="exactly one of the two"):
        ScheduleConfig(kind="staircase")


def test_differences_leave_out_what_decides_nothing() -> None:
    config = TrainConfig(run="r", recipe=RECIPES["small"])
    assert config.differences(replace(config, run="elsewhere", machine=MachineConfig(workers=7))) == []
    assert config.differences(replace(config, seed=3)) == ["seed: 0, not 3"]


def test_unknown_recipes_suggest_a_known_one() -> None:
    with pytest.raises(UsageError, match=r"Unknown recipe 'finetun'.*Did you mean 'finetune'"):
        find_recipe("finetun")


def test_scaling_rules() -> None:
    recipe = replace(RECIPES["small"], global_batch=64)
    assert scaled_learning_rate(0.1, replace(recipe, scaling="linear"), 16) == pytest.approx(0.025)
    assert scaled_learning_rate(0.1, replace(recipe, scaling="sqrt"), 16) == pytest.approx(0.05)
    assert scaled_learning_rate(0.1, replace(recipe, scaling="none"), 16) == 0.1
    assert all(scaled_learning_rate(0.1, recipe, recipe.global_batch) == 0.1 for recipe in RECIPES.values())


def test_the_papers_numbers() -> None:
    """1610.02357 sections 4.2 and 4.3, 1512.00567 section 8: transcribed a second time."""
    xception, jft, inception = RECIPES["xception_imagenet"], RECIPES["xception_jft"], RECIPES["inception_v3"]
    assert (xception.optimiser.name, xception.optimiser.momentum, xception.optimiser.learning_rate) == (
        "sgd",
        0.9,
        0.045,
    )
    assert (xception.schedule.factor, xception.schedule.every_epochs) == (0.94, 2.0)
    assert (xception.optimiser.weight_decay, xception.regularisation.dropout) == (1e-5, 0.5)
    assert (jft.optimiser.name, jft.optimiser.learning_rate, jft.optimiser.momentum) == ("rmsprop", 0.001, 0.9)
    assert (jft.schedule.factor, jft.schedule.every_samples, jft.regularisation.dropout) == (0.9, 3_000_000, 0.0)
    assert (inception.optimiser.rho, inception.optimiser.epsilon, inception.optimiser.learning_rate) == (
        0.9,
        1.0,
        0.045,
    )
    assert (inception.regularisation.label_smoothing, inception.regularisation.clip_norm) == (0.1, 2.0)
    assert inception.optimiser.weight_decay == 4e-5
    assert "depthwise" not in RECIPES["mobilenet"].optimiser.decayed
    first = RECIPES["inception_v1"]  # 1409.4842, sections 5 and 6
    assert (first.optimiser.name, first.optimiser.momentum, first.schedule.kind) == ("sgd", 0.9, "staircase")
    assert (1 - first.schedule.factor, first.schedule.every_epochs) == (pytest.approx(0.04), 8.0)
    assert (first.regularisation.auxiliary_weight, first.regularisation.dropout) == (0.3, 0.4)
    assert (first.augment.random_resized_crop, first.augment.crop_ratio) == ((0.08, 1.0), (3 / 4, 4 / 3))
    assert first.regularisation.ema_decay > 0, "Polyak averaging"
    assert all(RECIPES[name].name == name for name in RECIPES)
