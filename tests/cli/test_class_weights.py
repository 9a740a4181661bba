"""Where `evaluate` finds the class weights of a balanced run, and what it says where they are gone."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from separable.cli.measuring import _loss_of, measuring_for
from separable.training import signals
from tests.cli.conftest import Cli
from tests.cli.test_segment_train import QUICK
from tests.segmentation.made import write_pairs
from tests.segmentation.trainable import segment_config


@pytest.fixture
def run(tmp_path: Path) -> Path:
    run = tmp_path / "run"
    for step, weights in ((2, [1.0, 4.0, 4.0]), (4, [1.0, 2.0, 3.0])):
        folder = run / f"checkpoints/step-{step:08d}"
        folder.mkdir(parents=True)
        body = {"progress": {"chosen": {"class_weights": weights}}}
        (folder / "state.json").write_text(json.dumps({"body": body}))
    (run / "environment.json").write_text(json.dumps({"chosen": {"class_weights": [7, 8, 9]}}))
    segment_config(run, tmp_path).to_yaml(run / "config.yaml")
    return run


def test_the_newest_checkpoint_comes_first_then_the_environment(run: Path) -> None:
    measuring = measuring_for("segment", "none")
    assert _loss_of(run).class_weights == (1.0, 2.0, 3.0)
    (run / "checkpoints/step-00000004/state.json").write_text("{")
    assert _loss_of(run).class_weights == (1.0, 4.0, 4.0)
    (run / "checkpoints/step-00000002/state.json").unlink()
    assert _loss_of(run).class_weights == (7.0, 8.0, 9.0)
    assert measuring.lacking(run) is None
    (run / "environment.json").unlink()
    assert measuring.lacking(run) == (
        f"Neither a checkpoint of {run} nor its environment.json has the class weights that it was trained with: "
        "the loss is the one without them."
    )


def test_a_run_without_weights_lacks_none(run: Path) -> None:
    config = segment_config(run, run)
    replace(config, recipe=replace(config.recipe, class_weights="none")).to_yaml(run / "config.yaml")
    assert _loss_of(run).class_weights is None
    (run / "environment.json").unlink()
    assert measuring_for("segment", "none").lacking(run) is None


def test_a_stop_while_pixels_are_counted_is_said_and_can_be_resumed(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def stopped_at_once(_: object) -> Iterator[signals.StopRequest]:
        stop = signals.StopRequest()
        stop.request()
        yield stop

    command = ("train", write_pairs(tmp_path / "blobs", 8), "--run", tmp_path / "run", *QUICK)
    command = (*command, "--class-weights", "balanced", "--epochs", "1")
    with monkeypatch.context() as patch:
        patch.setattr(signals, "stop_on_signals", stopped_at_once)
        outcome = cli(*command)
    assert outcome.code == 130
    assert "Stopped before the first step: there is nothing of the training in" in outcome.err
    assert f"these options:  --run {tmp_path / 'run'} --resume" in outcome.out
    assert not (tmp_path / "run" / "report.html").exists()
    assert cli(*command, "--resume").code == 0
    assert (tmp_path / "run" / "report.html").exists()
