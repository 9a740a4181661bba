"""A training on pictures with masks: what it leaves, the same bits after a stop and with any workers, faulty files."""

import csv
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from separable.errors import DivergedError, TooManyBadPicturesError
from separable.segmentation.balance import class_pixels, median_frequency_weights
from separable.segmentation.evaluate import PairEvaluationSet
from separable.segmentation.pairs import PairsData, read_pairs
from separable.segmentation.task import SegmentTask
from separable.training.config import TrainConfig
from separable.training.journal import read_journal
from separable.training.loop import TrainResult, train
from separable.weights import load_model
from tests.segmentation.trainable import CLASSES, FAULTS, segment_config, write_training_pairs
from tests.training.recorded import Recorder, stopping_while_measuring
from tests.training.test_resume import results, trace

TASK = SegmentTask()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_training_pairs(tmp_path_factory.mktemp("pairs") / "data")


@pytest.fixture(scope="module")
def data(root: Path) -> PairsData:
    return read_pairs(root)


@pytest.fixture(scope="module")
def finished(
    root: Path, data: PairsData, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, TrainResult, Recorder]:
    run, said = tmp_path_factory.mktemp("run") / "whole", Recorder()
    return run, train(segment_config(run, root, epochs=3), data, task=TASK, display=said), said


@pytest.fixture(scope="module")
def whole(finished: tuple[Path, TrainResult, Recorder]) -> Path:
    return finished[0]


@pytest.fixture(autouse=True)
def threads_are_put_back() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def rows_of(run: Path, kind: str) -> list[dict[str, Any]]:
    return [row for row in read_journal(run / "metrics.jsonl") if row["kind"] == kind]


def test_a_finished_run_is_complete(finished: tuple[Path, TrainResult, Recorder], data: PairsData) -> None:
    run, result, said = finished
    names = {path.name for path in run.iterdir()}
    assert {"config.yaml", "metrics.jsonl", "evaluation.json", "pictures.csv", "predictions", "profile.json"} <= names
    assert {"environment.json", "model", "checkpoints", "quarantine.csv"} <= names
    assert not {"predictions.csv", "suspects.csv"} & names
    steps, epochs = rows_of(run, "step"), rows_of(run, "epoch")
    assert [row["step"] for row in steps] == list(range(1, 10))
    assert list(steps[0]) == ["kind", "step", "epoch", "loss", "learning_rate", "pixel_accuracy", "timing"]
    scores = ["val_loss", "val_miou", "val_dice", "val_pixel_accuracy"]
    assert list(epochs[0]) == ["kind", "epoch", "step", "train_loss", "train_pixel_accuracy", *scores, "seconds"]
    evaluation = json.loads((run / "evaluation.json").read_text())
    assert [epochs[-1][name] for name in scores] == [
        evaluation[name] for name in ("loss", "miou", "mean_dice", "pixel_accuracy")
    ]
    assert result.metrics == {
        **{name: epochs[-1][name] for name in scores},
        "val_boundary_f1": evaluation["boundary_f1"],
        "best": max(
            ({"epoch": row["epoch"], "val_miou": row["val_miou"], "val_loss": row["val_loss"]} for row in epochs),
            key=lambda best: (best["val_miou"], -best["val_loss"]),
        ),
    }
    losses, counting = [row["loss"] for row in steps[:3]], product((3, 4, 5), repeat=3)  # pictures with a label
    assert any(epochs[0]["train_loss"] == pytest.approx(np.average(losses, weights=one)) for one in counting)
    assert (evaluation["n"], evaluation["class_names"], evaluation["input"]) == (5, list(CLASSES), [30, 36])
    model = load_model(run / "model")
    assert (model.task, model.input_contract.class_names, model.input_contract.size) == ("segment", CLASSES, (30, 36))
    assert json.loads((run / "profile.json").read_text())["parameters"] == sum(p.numel() for p in model.parameters())
    config = TrainConfig.from_yaml(run / "config.yaml")
    assert (config.task, config.recipe.loss) == ("segment", "cross_entropy + 0.5 dice")
    assert said.views[0].measure == "pixels right"
    assert said.notes[:2] == ["Starting unet_xception from scratch.", "Counting the pixels of every class ..."]


def test_an_epoch_in_words(whole: Path) -> None:
    row = rows_of(whole, "epoch")[0] | {"train_loss": 0.51234, "train_pixel_accuracy": 0.7512, "seconds": 61.0}
    row |= {"val_loss": 0.25, "val_miou": 0.613, "val_pixel_accuracy": 0.901}
    assert TASK.epoch_text(row) == (
        "epoch 1: loss 0.5123, pixels right 75.1 %; held out 0.2500, mean IoU 61.3 %, pixels 90.1 %; 1 min 01 s"
    )
    empty = dict.fromkeys(("train_pixel_accuracy", "val_loss", "val_miou", "val_pixel_accuracy"))
    assert "pixels right ?; held out ?, mean IoU ?, pixels ?;" in TASK.epoch_text(row | empty)


def test_the_weights_of_the_classes_are_settled_at_the_beginning(
    whole: Path, root: Path, data: PairsData, tmp_path: Path
) -> None:
    """What the masks say later changes nothing: a resume learns by what the run was begun with."""
    weights = json.loads((whole / "environment.json").read_text())["chosen"]["class_weights"]
    assert weights == list(median_frequency_weights(class_pixels(data.train)))
    assert len(set(weights)) == 3
    first = Recorder(stop_after=4)
    config = segment_config(tmp_path / "run", root, epochs=3)
    train(config, data, task=TASK, display=first, stop=first.stop)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("separable.segmentation.task.class_pixels", None)  # would be called
        train(config, data, task=TASK, resume=True)
    assert results(tmp_path / "run") == results(whole)


@pytest.mark.parametrize("after", [1, 3, 6, 8])
def test_a_stop_and_a_resume_with_other_workers_change_nothing(
    after: int, whole: Path, root: Path, data: PairsData, tmp_path: Path
) -> None:
    """After step 3 and 6 an epoch is over and not yet measured."""
    first = Recorder(stop_after=after)
    result = train(segment_config(tmp_path / "run", root, epochs=3), data, task=TASK, display=first, stop=first.stop)
    assert (result.interrupted, result.steps) == (True, after)
    train(segment_config(tmp_path / "run", root, epochs=3, workers=after % 3), data, task=TASK, resume=True)
    assert trace(tmp_path / "run") == trace(whole)
    assert results(tmp_path / "run") == results(whole)


def test_a_stop_while_measuring_changes_nothing(whole: Path, root: Path, data: PairsData, tmp_path: Path) -> None:
    config, said = segment_config(tmp_path / "run", root, epochs=3), Recorder()
    with stopping_while_measuring(said, PairEvaluationSet):
        result = train(config, data, task=TASK, display=said, stop=said.stop)
    assert (result.interrupted, result.steps, said.rows) == (True, 3, [])
    train(config, data, task=TASK, resume=True)
    assert trace(tmp_path / "run") == trace(whole)
    assert results(tmp_path / "run") == results(whole)


def test_faulty_pairs_are_set_aside_by_name(whole: Path) -> None:
    with (whole / "quarantine.csv").open(newline="") as handle:
        assert {row["path"]: row["cause"] for row in csv.DictReader(handle)} == FAULTS


def test_too_many_faulty_pairs_stop_and_mended_ones_go_on(root: Path, tmp_path: Path) -> None:
    own = tmp_path / "data"
    shutil.copytree(root, own)
    config = segment_config(tmp_path / "run", own, epochs=3)
    config = replace(config, data=replace(config.data, max_bad=0.05))
    with pytest.raises(TooManyBadPicturesError, match=r"of 21, the first: train/images/0.*at most 5\.0% of them"):
        train(config, read_pairs(own), task=TASK)
    with pytest.raises(TooManyBadPicturesError):
        train(config, read_pairs(own), task=TASK, resume=True)
    for name in ("00", "01", "02"):
        ending = "jpg" if name == "01" else "png"
        Image.new("RGB", (44, 40)).save(own / f"train/images/{name}.{ending}")
        Image.new("L", (44, 40)).save(own / f"train/masks/{name}.png")
    assert train(config, read_pairs(own), task=TASK, resume=True).steps == 9


def test_a_pair_is_mended_where_both_sides_can_be_read(root: Path, data: PairsData) -> None:
    is_readable = TASK.mended(root, data, "pillow")
    assert [is_readable(path) for path in FAULTS] == [False] * 3
    assert is_readable("train/images/04.png")
    assert is_readable("val/images/01.jpg")
    assert not is_readable("04.png"), "no pair of this set goes by that name"


def test_divergence_names_the_step_and_the_pictures(root: Path, data: PairsData, tmp_path: Path) -> None:
    config = segment_config(tmp_path, root)
    recipe = replace(
        config.recipe,
        optimiser=replace(config.recipe.optimiser, learning_rate=1e38),
        regularisation=replace(config.recipe.regularisation, clip_norm=None),
    )
    with pytest.raises(DivergedError, match=r"is not finite at step \d") as caught:
        train(replace(config, recipe=recipe), data, task=TASK)
    assert sum(path in str(caught.value) for path in data.train.paths) == 5
    assert "the checkpoint of step" in str(caught.value)


@pytest.mark.parametrize(("select", "column", "sign"), [("lowest_loss", "val_loss", 1), ("best", "val_miou", -1)])
def test_the_chosen_epochs_weights_are_kept(
    select: str, column: str, sign: int, root: Path, data: PairsData, tmp_path: Path
) -> None:
    config = segment_config(tmp_path / "run", root, epochs=3)
    rules = replace(config.recipe.regularisation, ema_decay=0.0)
    optimiser = replace(config.recipe.optimiser, learning_rate=0.03)
    recipe = replace(config.recipe, select=select, regularisation=rules, optimiser=optimiser)
    result = train(replace(config, recipe=recipe), data, task=TASK)
    epochs = rows_of(tmp_path / "run", "epoch")
    wanted = min(epochs, key=lambda row: sign * row[column])
    assert result.metrics["best"]["epoch"] == wanted["epoch"]
    assert result.metrics[column] == wanted[column]
    assert json.loads((tmp_path / "run" / "evaluation.json").read_text())["loss"] == wanted["val_loss"]


def test_nothing_labelled_is_null_and_not_nan(root: Path, tmp_path: Path) -> None:
    own = tmp_path / "data"
    shutil.copytree(root, own)
    for path in [*(own / "val/masks").iterdir(), *(own / "train/masks").iterdir()]:
        Image.new("L", (44, 40), 255).save(path)
    config = segment_config(tmp_path / "run", own, epochs=2)
    config = replace(config, recipe=replace(config.recipe, class_weights="none"))
    result = train(config, read_pairs(own), task=TASK)
    best = result.metrics.pop("best")
    assert best == {"epoch": 0, "val_miou": None, "val_loss": None}
    assert set(result.metrics.values()) == {None}
    rows = [
        json.loads(line, parse_constant=pytest.fail)
        for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    ]
    assert {row["loss"] for row in rows if row["kind"] == "step"} == {0.0}
    assert {row.get("pixel_accuracy", row.get("train_pixel_accuracy")) for row in rows} == {None}
