"""A training on tags: what it leaves, the same bits after a stop, after kills and with any workers, faulty files."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from separable.data.manifest import read_manifest
from separable.data.manifest_set import TagData
from separable.errors import CheckpointError, DivergedError, TooManyBadPicturesError
from separable.training.config import TrainConfig
from separable.training.journal import read_journal
from separable.training.loop import TrainResult, train
from separable.training.tag_evaluation import TagEvaluationSet
from separable.training.tagging import Tagging
from separable.weights import load_model
from tests.training.killable import Server
from tests.training.recorded import Recorder, stopping_while_measuring
from tests.training.taggable import NAMES, tag_config, write_tagged_pictures
from tests.training.test_resume import assert_same, results, trace, train_with_kills, uninterrupted

TASK = Tagging()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tagged_pictures(tmp_path_factory.mktemp("tags") / "data")


@pytest.fixture(scope="module")
def data(root: Path) -> TagData:
    return read_manifest(root)


@pytest.fixture(scope="module")
def finished(root: Path, data: TagData, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TrainResult, Recorder]:
    run, said = tmp_path_factory.mktemp("run") / "whole", Recorder()
    return run, train(tag_config(run, root, epochs=3), data, task=TASK, display=said), said


@pytest.fixture(scope="module")
def whole(finished: tuple[Path, TrainResult, Recorder]) -> Path:
    return finished[0]


def rows_of(run: Path, kind: str) -> list[dict[str, Any]]:
    return [row for row in read_journal(run / "metrics.jsonl") if row["kind"] == kind]


def test_a_finished_run_is_complete(finished: tuple[Path, TrainResult, Recorder], data: TagData) -> None:
    run, result, said = finished
    names = {path.name for path in run.iterdir()}
    assert {"config.yaml", "metrics.jsonl", "evaluation.json", "predictions.csv", "class_weights.csv"} <= names
    assert {"profile.json", "environment.json", "model", "checkpoints", "quarantine.csv"} <= names
    assert "suspects.csv" not in names
    steps, epochs = rows_of(run, "step"), rows_of(run, "epoch")
    assert [row["step"] for row in steps] == list(range(1, 10))
    assert list(steps[0]) == ["kind", "step", "epoch", "loss", "learning_rate", "precision1", "timing"]
    scores = ["val_loss", "val_map100", "val_weighted_map100", "val_precision1"]
    assert list(epochs[0]) == ["kind", "epoch", "step", "train_loss", "train_precision1", *scores, "seconds"]
    evaluation = json.loads((run / "evaluation.json").read_text())
    assert evaluation["class_names"] == list(data.class_names) == list(NAMES)
    for name in scores:
        assert epochs[-1][name] == pytest.approx(evaluation[name.removeprefix("val_")], rel=1e-6)
        assert result.metrics[name] == evaluation[name.removeprefix("val_")]
    best = max(epochs, key=lambda row: (row["val_map100"], -row["val_loss"]))
    keys = ("epoch", "val_map100", "val_weighted_map100", "val_loss")
    assert result.metrics["best"] == {key: best[key] for key in keys}
    assert TrainConfig.from_yaml(run / "config.yaml").task == "tag"
    model = load_model(run / "model")
    assert (model.input_contract.class_names, model.input_contract.answer) == (NAMES, "sigmoid")
    with (run / "class_weights.csv").open(newline="") as handle:
        assert [float(row["weight"]) for row in csv.DictReader(handle)] == data.weights.tolist()
    with (run / "quarantine.csv").open(newline="") as handle:
        assert {(row["path"], row["cause"]) for row in csv.DictReader(handle)} == {
            ("images/train0.png", "not a picture")
        }
    assert len(said.rows) == 3


def test_the_loss_starts_at_one_decision_by_chance_for_each_class(whole: Path) -> None:
    """Logits near 0 cost log 2 a class: the sum over the five of them, not their mean."""
    assert rows_of(whole, "step")[0]["loss"] == pytest.approx(5 * np.log(2), rel=0.3)


def test_an_epoch_in_words(whole: Path) -> None:
    row = rows_of(whole, "epoch")[0] | {"seconds": 2.0, "train_loss": 3.21987, "val_loss": 1.5}
    row |= {"train_precision1": 0.5, "val_map100": 0.12345, "val_weighted_map100": 0.2}
    assert TASK.epoch_text(row) == (
        "epoch 1: loss 3.2199, top tag right 50.00 %; held out 1.5000, MAP@100 12.35 %, weighted 20.00 %; 2.0 s"
    )
    nothing = dict.fromkeys(("train_precision1", "val_map100", "val_weighted_map100", "train_loss", "val_loss"))
    assert TASK.epoch_text(row | nothing).startswith(
        "epoch 1: loss ?, top tag right ?; held out ?, MAP@100 ?, weighted ?"
    )


@pytest.mark.parametrize("after", [1, 3, 6, 8])
def test_a_stop_and_a_resume_with_other_workers_change_nothing(
    after: int, whole: Path, root: Path, data: TagData, tmp_path: Path
) -> None:
    """After step 3 and 6 an epoch is over and not yet measured."""
    first = Recorder(stop_after=after)
    result = train(tag_config(tmp_path / "run", root, epochs=3), data, task=TASK, display=first, stop=first.stop)
    assert (result.interrupted, result.steps) == (True, after)
    train(tag_config(tmp_path / "run", root, epochs=3, workers=after % 3), data, task=TASK, resume=True)
    assert trace(tmp_path / "run") == trace(whole)
    assert results(tmp_path / "run") == results(whole)


def test_a_stop_while_measuring_changes_nothing(whole: Path, root: Path, data: TagData, tmp_path: Path) -> None:
    config, said = tag_config(tmp_path / "run", root, epochs=3), Recorder()
    with stopping_while_measuring(said, TagEvaluationSet):
        result = train(config, data, task=TASK, display=said, stop=said.stop)
    assert (result.interrupted, result.steps, said.rows) == (True, 3, [])
    train(config, data, task=TASK, resume=True)
    assert trace(tmp_path / "run") == trace(whole)
    assert results(tmp_path / "run") == results(whole)


def test_three_kills_change_nothing(server: Server, root: Path, tmp_path: Path) -> None:
    once = uninterrupted(server, root, tmp_path / "whole", epochs=4, per_epoch=3, task="tag")
    train_with_kills(server, root, tmp_path / "killed", epochs=4, kills=3, seed=5, task="tag")
    assert_same(tmp_path / "killed", once)
    assert "predictions.csv" in results(once)
    assert "images/train0.png,not a picture" in (tmp_path / "killed" / "quarantine.csv").read_text()


def test_other_weights_of_classes_are_another_run(whole: Path, root: Path, data: TagData, tmp_path: Path) -> None:
    run = tmp_path / "run"
    said = Recorder(stop_after=2)
    train(tag_config(run, root, epochs=3), data, task=TASK, display=said, stop=said.stop)
    other = replace(data, given_weights=data.weights + 0.5 * (np.arange(5) == 1))
    with pytest.raises(CheckpointError) as caught:
        train(tag_config(run, root, epochs=3), other, task=TASK, resume=True)
    then, now = data.weights[1], data.weights[1] + 0.5
    assert str(caught.value) == (
        f"The run {run} began with other weights of classes. Got: others by now for 1 classes, such as green: {now:g}, "
        f"then {then:g}. Expected: those in its class_weights.csv. Put class_weights.csv beside the data back as it "
        "was, or train in another run folder."
    )
    (run / "class_weights.csv").unlink()  # as if it had been killed right after checkpoint 0
    train(tag_config(run, root, epochs=3), data, task=TASK, resume=True)
    assert (run / "class_weights.csv").read_text() == (whole / "class_weights.csv").read_text()


def test_other_labels_are_another_run(whole: Path, root: Path, data: TagData) -> None:
    other = data.train.indices.copy()
    other[0] = 4
    changed = replace(data, train=replace(data.train, indices=other))
    with pytest.raises(CheckpointError, match=r"training pictures: '18 \(.*\)', not '18 \(.*\)'"):
        train(tag_config(whole, root, epochs=3), changed, task=TASK, resume=True)


def test_too_many_faulty_pictures_stop_and_mended_ones_go_on(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root, tmp_path / "data")
    for number in range(1, 6):
        (tmp_path / f"data/images/train{number}.{'jpg' if number % 2 else 'png'}").write_bytes(b"no picture")
    data, config = read_manifest(tmp_path / "data"), tag_config(tmp_path / "run", tmp_path / "data", epochs=2)
    config = replace(config, data=replace(config.data, max_bad=0.1))
    with pytest.raises(TooManyBadPicturesError):
        train(config, data, task=TASK)
    with pytest.raises(TooManyBadPicturesError):
        train(config, data, task=TASK, resume=True)
    for path in root.glob("images/*"):
        if path.name != "train0.png":
            shutil.copy(path, tmp_path / "data/images")
    assert not train(config, data, task=TASK, resume=True).interrupted


def test_divergence_names_the_pictures(root: Path, data: TagData, tmp_path: Path) -> None:
    config = tag_config(tmp_path / "run", root)
    wild = replace(config.recipe, optimiser=replace(config.recipe.optimiser, name="sgd", learning_rate=1e30))
    schedule = replace(config.recipe.schedule, kind="constant", warm_up_epochs=0.0)
    with pytest.raises(DivergedError, match=r"is not finite at step .*images/train"):
        train(replace(config, recipe=replace(wild, schedule=schedule)), data, task=TASK)


@pytest.mark.parametrize("select", ["best", "lowest_loss"])
def test_the_chosen_epochs_weights_are_kept(select: Any, root: Path, data: TagData, tmp_path: Path) -> None:
    config = tag_config(tmp_path / "run", root, epochs=4)
    result = train(replace(config, recipe=replace(config.recipe, select=select)), data, task=TASK)
    epochs = rows_of(tmp_path / "run", "epoch")
    by_map = max(epochs, key=lambda row: (row["val_map100"], -row["val_loss"]))
    best = by_map if select == "best" else min(epochs, key=lambda row: row["val_loss"])
    for name in ("val_map100", "val_loss"):
        assert result.metrics["best"][name] == best[name]
        assert result.metrics[name] == pytest.approx(best[name], rel=1e-5)


def test_undefined_scores_rank_last() -> None:
    low = TASK.rank({"val_map100": None, "val_loss": None})
    assert low < TASK.rank({"val_map100": 0.0, "val_loss": 9.0}) < TASK.rank({"val_map100": 0.0, "val_loss": 8.0})
