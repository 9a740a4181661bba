"""A cell's hash is what everything measured hangs on: it must tell trainings apart, and stay what it is."""

import dataclasses
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from separable.experiments import cells
from separable.experiments.cells import Cell, cell_of, evaluation_of, read_cell, recipe_of
from separable.experiments.counts import published_counts, scaled_counts
from separable.experiments.schema import Arm, Setup
from separable.experiments.sources import Source
from separable.training.config import MachineConfig, OptimiserConfig, Recipe, TrainConfig
from tests.experiments.tiny import SETUP

SOURCE = Source("classify", "somewhere", "digits", "0123", "fedcba9876543210", 24, 16, ("a", "b"))
ARM = Arm("Xception", "xception", {"fc_layers": (16, 8)}, {"regularisation.label_smoothing": 0.0})


def key(setup: Setup = SETUP, arm: Arm = ARM, source: Source = SOURCE, seed: int | None = 0, factor: float = 1) -> str:
    return cell_of(setup, arm, source, seed, factor).key


def test_the_hash_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a configuration written out: if this changes, everything that was ever measured is measured again."""
    monkeypatch.setattr(cells, "_torch", lambda: "2.9")
    recipe = Recipe("mine", "nobody", global_batch=32, epochs=4, scaling="none")
    cell = Cell(TrainConfig("", recipe, epochs=4, batch_size=16, seed=3, threads=1, accelerate=False), SOURCE)
    assert cell.key == "4e8f9c8495f137f553e9"
    assert replace(cell, part="tuning").key == "38808149e5ebeafc6bc3"
    assert replace(cell, of=("one", "two"), crops=12).key == "de00f8c2cfb5fda32456"


def test_a_file_does_not_change_it(tmp_path: Path) -> None:
    cell = cell_of(SETUP, ARM, SOURCE, 1, 0.3)
    cell.write(tmp_path / "cell.json")
    again = read_cell(tmp_path / "cell.json")
    assert again == cell
    assert again.key == cell.key


def test_what_decides_nothing_is_not_in_it() -> None:
    named = replace(ARM, name="Another name", note="a note", published={"top1": 0.5})
    assert key(arm=named) == key()
    assert key(replace(SETUP, seeds=(0, 1, 2, 3), options={**SETUP.options, "vgg16": {"width": 0.5}})) == key()
    assert key(source=replace(SOURCE, root="elsewhere", what="other words")) == key()
    cell = cell_of(SETUP, ARM, SOURCE, 0)
    machine = replace(cell.config, run="runs/x", machine=MachineConfig(workers=3, checkpoint_steps=1))
    assert replace(cell, config=machine).key == cell.key
    told = replace(cell.config.recipe, name="renamed", source="somebody else")
    assert replace(cell, config=replace(cell.config, recipe=told)).key == cell.key


@pytest.mark.parametrize(
    "changed",
    [
        {"seed": 1},
        {"seed": None},
        {"factor": 0.5},
        {"arm": replace(ARM, options={"fc_layers": (16, 9)})},
        {"arm": replace(ARM, recipe={})},
        {"arm": replace(ARM, model="inception_v3", options={})},
        {"setup": replace(SETUP, epochs=3)},
        {"setup": replace(SETUP, batch_size=4)},
        {"setup": replace(SETUP, image_size=40)},
        {"setup": replace(SETUP, precision="bf16")},
        {"setup": replace(SETUP, changes={})},
        {"source": replace(SOURCE, fingerprint="0")},
        {"source": replace(SOURCE, class_names=("a", "c"))},
        {"source": replace(SOURCE, decoder="turbo")},
    ],
)
def test_what_decides_is_in_it(changed: dict[str, Any]) -> None:
    assert key(**changed) != key()


def test_a_changed_default_is_another_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry or option that says what the default is has the same hash; what the default was has another."""
    cell, before = cell_of(SETUP, ARM, SOURCE, 0), key()
    assert key(arm=replace(ARM, options={**ARM.options, "residual": True})) == before
    assert key(arm=replace(ARM, options={**ARM.options, "residual": False})) != before
    told: list[str] = []
    dumps = json.dumps
    monkeypatch.setattr(cells.json, "dumps", lambda *args, **more: told.append(dumps(*args, **more)) or told[-1])
    assert replace(cell).key == before
    (text,) = told
    assert all(f'"{one.name}":' in text for one in dataclasses.fields(OptimiserConfig))
    assert '"stem_stride":' in text


@pytest.mark.parametrize(("name", "value"), [("_torch", lambda: "2.9"), ("_SEMANTICS", -1)])
def test_what_decides_without_being_an_entry(name: str, value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    before = key()
    monkeypatch.setattr(cells, name, value)
    assert key() != before


def test_an_early_epoch_is_part_of_it() -> None:
    """A quarter of the epochs, rounded up; without its answers a cell is another one."""
    cell = cell_of(replace(SETUP, epochs=12), ARM, SOURCE, 0)
    assert (cell.early, cell_of(replace(SETUP, epochs=8), ARM, SOURCE, 0).early) == (3, 2)
    assert cell_of(replace(SETUP, epochs=9), ARM, SOURCE, 0).early == 3
    assert cell_of(SETUP, ARM, SOURCE, None).early is None
    assert replace(cell, early=2).key != cell.key


def test_recipes() -> None:
    setup = replace(SETUP, changes={"optimiser.learning_rate": 0.01, "optimiser.head_learning_rate": 0.1})
    arm = replace(ARM, recipe={"optimiser.learning_rate": 0.02})
    recipe = recipe_of(replace(setup, arm_changes={"Xception": {"augment.flip": True}}), arm, 3.0)
    assert (recipe.optimiser.learning_rate, recipe.optimiser.head_learning_rate) == pytest.approx((0.06, 0.3))
    assert recipe.augment.flip
    assert recipe.epochs == setup.epochs


def test_evaluations_of_the_same_networks_are_the_same() -> None:
    trained = cell_of(SETUP, ARM, SOURCE, 0)
    crops = replace(ARM, like="Xception", crops=12)
    assert evaluation_of(trained, ("a",), crops).key == evaluation_of(trained, ("a",), replace(crops, name="x")).key
    assert evaluation_of(trained, ("a",), crops).key != evaluation_of(trained, ("a", "b"), crops).key
    assert evaluation_of(trained, ("a",), crops).key != evaluation_of(trained, ("a",), replace(crops, crops=144)).key


def test_counts() -> None:
    """1610.02357, table 3."""
    counts = published_counts(Arm("Xception", "xception"))
    assert counts is not None
    assert (counts.parameters, counts.side) == (22_855_952, 299)
    with_jft = published_counts(Arm("JFT", "xception", {"num_classes": 17_000}))
    assert with_jft is not None
    assert with_jft.parameters == 22_855_952 + 16_000 * 2049
    narrow = scaled_counts(SETUP, Arm("Xception", "xception"), 10)
    assert narrow.side == 32
    assert narrow.parameters < 20_000
