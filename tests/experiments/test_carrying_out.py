"""Cells one by one: what they leave, what they were made with, and what mends itself."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from separable.errors import UsageError
from separable.experiments import timekeeping
from separable.experiments.campaign import Campaign
from separable.experiments.carrying_out import CellPlace, carry_out
from separable.experiments.catalog import find_experiment
from separable.experiments.cells import Cell, cell_of
from separable.experiments.describing import described
from separable.experiments.made import distinct, mixed
from separable.experiments.outcomes import Outcome, read_outcome
from separable.experiments.sources import Source, own_source, prepare
from separable.experiments.timekeeping import Timekeeper
from separable.machine.environment import package_versions
from separable.training.signals import StopRequest
from tests.experiments.test_cells import ARM, SOURCE
from tests.experiments.tiny import SETUP, tiny

EPOCH = replace(SETUP, epochs=1)


def write_pictures(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    for part, count in (("train", 8), ("val", 6)):
        for label, name in enumerate(("dark", "light")):
            (folder / part / name).mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(0, 100, (32, 32, 3)) + 130 * label
                Image.fromarray(pixels.astype(np.uint8)).save(folder / part / name / f"{number}.png")
    return folder


def one_cell(tmp_path: Path, **changes: Any) -> Cell:
    source = own_source("classify", write_pictures(tmp_path / "pictures"))
    return cell_of(replace(EPOCH, **changes), ARM, source, 0)


def done(cell: Cell, home: Path) -> Outcome:
    assert carry_out(cell, home, StopRequest())
    found = CellPlace(home, cell.key).read()
    assert found is not None
    return found


def test_a_cell_says_what_it_was_made_with(tmp_path: Path) -> None:
    outcome = done(one_cell(tmp_path), tmp_path / "home")
    assert outcome.made["versions"] == package_versions()
    assert outcome.made["device"] == "cpu"
    assert outcome.made["machine"]["cores"] >= 1
    assert outcome.measures["early_top1"] == outcome.measures["top1"]


def test_a_finished_run_without_its_files_mends_itself(tmp_path: Path) -> None:
    cell, home = one_cell(tmp_path), tmp_path / "home"
    whole = done(cell, home)
    place = CellPlace(home, cell.key)
    for damage in (lambda path: path.unlink(), lambda path: path.write_text("{"), lambda path: path.write_text("[]")):
        place.outcome.unlink()
        damage(place.run / "early.json")
        again = done(cell, home)
        assert again.measures == {name: value for name, value in whole.measures.items() if name != "early_top1"}
        (place.run / "early.json").write_text(json.dumps(whole.pictures["early_top1"]))
    place.outcome.unlink()
    assert done(cell, home).measures == whole.measures


def test_early_and_last_are_measured_alike(tmp_path: Path) -> None:
    """At the first of one epochs both are of the same weights, whatever the training is rounded to."""
    outcome = done(one_cell(tmp_path, precision="bf16"), tmp_path / "home")
    assert outcome.pictures["early_top1"] == outcome.pictures["top1"]
    assert outcome.curve["loss"] == (pytest.approx(outcome.measures["loss"], rel=1e-6),)


def test_old_outcomes_are_read(tmp_path: Path) -> None:
    (tmp_path / "outcome.json").write_text('{"measures": {"top1": 0.5}}')
    found = read_outcome(tmp_path / "outcome.json")
    assert found is not None
    assert found.made == {}


def made(torch: str = "2.9.0", processor: str = "One") -> dict[str, Any]:
    return {"versions": {"torch": torch, "numpy": "2"}, "machine": {"processor": processor}, "device": "cpu"}


def test_a_mixed_table_says_so(tmp_path: Path) -> None:
    campaign = Campaign(tiny(), SETUP, (0, 1), SOURCE, tmp_path)
    cells = [cell_of(SETUP, arm, SOURCE, seed) for arm in campaign.experiment.arms for seed in (0, 1)]
    for cell, one in zip(cells, (made(), made("2.9.1"), made(processor="Other"), {}), strict=True):
        CellPlace(tmp_path, cell.key).run.mkdir(parents=True)
        Outcome({"top1": 0.5}, made=one).write(CellPlace(tmp_path, cell.key).outcome)
    assert mixed(distinct(campaign.outcomes())) == [
        "Trainings come from several versions of torch: 2.9.0, 2.9.1.",
        "Trainings come from several machines: One (cpu); Other (cpu).",
        "Of 1 trainings it is not known with which versions and on which machine they were made.",
    ]
    entries = described(campaign, "smoke", None)
    assert entries["versions"] == {"torch": "2.9.0", "numpy": "2"}, "not those of whoever puts it together"
    assert len(entries["machine"]["made"]) == 4
    alike = [Outcome(made=made())] * 3
    assert distinct(alike) == [{**made(), "cells": 3}]
    assert mixed(distinct(alike)) == []


@pytest.mark.parametrize(("measure", "best"), [("top1", 0.3), ("top1_error", 1.0), ("loss", 1.0)])
def test_tuning_takes_the_least_error(measure: str, best: float, tmp_path: Path) -> None:
    setup = replace(SETUP, learning_rates=(0.3, 1.0, 3.0))
    campaign = Campaign(tiny(measures=(measure, "parameters"), setup=setup, claims=()), setup, (0,), SOURCE, tmp_path)
    arm = campaign.experiment.arms[0]
    for factor, score in ((0.3, 0.9), (1.0, 0.2), (3.0, 0.5)):
        place = CellPlace(tmp_path, campaign.trial(arm, factor).key)
        place.run.mkdir(parents=True)
        Outcome({measure: score}).write(place.outcome)
    assert campaign.factor(arm) == best


def test_who_waited_for_the_lock_does_not_time_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    campaign = Campaign(tiny(measures=("milliseconds",), claims=()), SETUP, (0,), SOURCE, tmp_path)
    keeper, theirs = (Timekeeper(campaign, tmp_path, smoke=True) for _ in range(2))
    rounds = {arm.name: {"milliseconds": [1.0, 2.0]} for arm in campaign.experiment.arms}
    timed: list[int] = []

    def time_arms(*args: Any, **more: Any) -> Any:
        timed.append(1)
        return rounds

    @contextmanager
    def waited(home: Path, stop: StopRequest) -> Iterator[None]:
        """Meanwhile somebody else has timed them."""
        monkeypatch.setattr(timekeeping, "all_alone", original)
        theirs.measure(StopRequest(), lambda done, total: None)
        yield

    original = timekeeping.all_alone
    monkeypatch.setattr(timekeeping, "time_arms", time_arms)
    monkeypatch.setattr(timekeeping, "all_alone", waited)
    keeper.measure(StopRequest(), lambda done, total: None)
    assert keeper.rounds == rounds
    assert len(timed) == 1


def test_what_trains_nothing_needs_no_pictures(tmp_path: Path) -> None:
    experiment = find_experiment("xception/table3")
    source = prepare(experiment, experiment.setups["paper"], tmp_path, None)
    assert len(source.class_names) == 1000
    trained = find_experiment("xception/table1")
    with pytest.raises(UsageError, match="xception/table1 needs pictures at this scale"):
        prepare(trained, trained.setups["paper"], tmp_path, None)


def test_the_decoder_is_known_where_it_decides(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "pictures")
    assert own_source("classify", folder).decoder == ""
    picture = next(folder.rglob("*.png"))
    picture.rename(picture.with_suffix(".jpg"))
    source = own_source("classify", folder)
    assert source.decoder in ("pillow", "turbo")
    assert source.identity["decoder"] == source.decoder
    assert Source("classify", "", "").identity["decoder"] == ""
