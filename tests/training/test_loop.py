"""The loop's conduct: what it leaves behind, diverging, stopping, and how the process is found afterwards."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from separable.data.folder import FolderData, read_folder
from separable.errors import (
    DivergedError,
)
from separable.machine.runtime import Settings, tune_runtime
from separable.training import loop
from separable.training import session as session_module
from separable.training.checkpoint import CheckpointStore
from separable.training.config import TrainConfig
from separable.training.journal import read_journal
from separable.training.loop import train
from separable.weights import load_model
from tests.training.killable import Server, order, small_config, write_pictures
from tests.training.recorded import Recorder, losses


def test_a_finished_run_is_complete(whole: Path, data: FolderData) -> None:
    names = {path.name for path in whole.iterdir()}
    files = {"config.yaml", "metrics.jsonl", "evaluation.json", "predictions.csv", "profile.json", "environment.json"}
    assert files | {"model", "checkpoints", "quarantine.csv"} <= names
    evaluation = json.loads((whole / "evaluation.json").read_text())
    assert (evaluation["n"], evaluation["set"], evaluation["class_names"]) == (12, "val", list(data.class_names))
    assert sum(map(sum, evaluation["confusion"])) == 12
    last = [row for row in read_journal(whole / "metrics.jsonl") if row["kind"] == "epoch"][-1]
    assert (last["val_top1"], last["step"]) == (evaluation["top1"], 12)
    assert last["val_loss"] == pytest.approx(evaluation["loss"], rel=1e-9)
    model = load_model(whole / "model")
    assert model.input_contract.class_names == data.class_names
    assert (model.input_contract.size, model.input_contract.crop_fraction) == ((32, 32), 1.0)
    environment = json.loads((whole / "environment.json").read_text())
    assert environment["chosen"]["threads"] == 1
    assert environment["chosen"]["decoder"] in ("turbo", "pillow")
    assert environment["seeds"] == {"training": 0, "split": 0}
    assert json.loads((whole / "profile.json").read_text())["parameters"] == sum(p.numel() for p in model.parameters())
    assert TrainConfig.from_yaml(whole / "config.yaml") == small_config(
        whole, Path(TrainConfig.from_yaml(whole / "config.yaml").data.root), epochs=2, threads=1
    )


def test_fewer_pictures_than_a_batch(tmp_path: Path) -> None:
    root = write_pictures(tmp_path / "data", train=2, val=1)
    config = replace(small_config(tmp_path / "run", root, epochs=1, threads=1), batch_size=64)
    assert train(config, read_folder(root)).steps == 1


def test_select_best_keeps_the_best_epochs_weights(data: FolderData, tmp_path: Path) -> None:
    config = small_config(tmp_path, data.train.root.parent, epochs=3, threads=1)
    recipe = replace(config.recipe, select="best", regularisation=replace(config.recipe.regularisation, ema_decay=0.0))
    result = train(replace(config, recipe=recipe), data)
    rows = [row for row in read_journal(tmp_path / "metrics.jsonl") if row["kind"] == "epoch"]
    best = max(rows, key=lambda row: (row["val_top1"], -row["val_loss"]))
    assert result.metrics["best"]["epoch"] == best["epoch"]
    assert result.metrics["val_top1"] == best["val_top1"]


def test_divergence_names_the_step_and_the_pictures(data: FolderData, tmp_path: Path) -> None:
    config = small_config(tmp_path, data.train.root.parent, threads=1)
    optimiser = replace(config.recipe.optimiser, learning_rate=1e38)
    rules = replace(config.recipe.regularisation, clip_norm=None)
    config = replace(config, recipe=replace(config.recipe, optimiser=optimiser, regularisation=rules))
    with pytest.raises(DivergedError) as caught:
        train(config, data)
    text = str(caught.value)
    assert "is not finite at step 2." in text
    named = [path for path in data.train.paths if path in text]
    assert len(named) == 8
    assert "the checkpoint of step 0 is kept" in text
    store = CheckpointStore(tmp_path / "checkpoints", session_module._identity(config, data))
    assert store.progress() is not None
    weights = load_model(tmp_path / "checkpoints" / "step-00000000").state_dict()
    assert all(tensor.isfinite().all() for tensor in weights.values() if tensor.is_floating_point())


def test_ctrl_c_in_a_real_process_group(server: Server, pictures: Path, whole: Path, tmp_path: Path) -> None:
    """The data workers get the signal too, as on a terminal, and must not die of it."""
    run = tmp_path / "run"
    server.start(**order(pictures, run, epochs=2, threads=1, workers=2, action="interrupt", at_step=3))
    assert server.wait() == 0
    assert (tmp_path / "run.notes").read_text().splitlines()[-2:] == [
        "Stopping after this step; once more to stop at once.",
        f"Stopped after step 3 of 12 and saved in {run}.",
    ]
    assert (run / "checkpoints" / "step-00000003").is_dir()
    server.start(**order(pictures, run, epochs=2, threads=1, workers=1))
    assert server.wait() == 0
    assert losses(run) == losses(whole)


def test_a_full_disk_keeps_the_checkpoint_and_the_run_goes_on(
    server: Server, pictures: Path, whole: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    server.start(**order(pictures, run, epochs=2, threads=1, action="fill the disk", at_step=5))
    assert server.wait() == 1
    message = (tmp_path / "run.notes").read_text().splitlines()[-1]
    assert message.startswith("No space left to write the checkpoint of step 6")
    assert "The checkpoint of step 4 is whole: free some space and run the same command with --resume." in message
    server.start(**order(pictures, run, epochs=2, threads=1))
    assert server.wait() == 0
    assert f"Resuming {run} after step 4 of 12." in (tmp_path / "run.notes").read_text()
    assert losses(run) == losses(whole)


@pytest.mark.parametrize("ends", ["choosing", "a foreign checkpoint", "environment.json"])
def test_a_training_that_ends_before_its_first_step_leaves_the_process_as_it_was(
    ends: str, data: FolderData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threads and cores are set before there is anything to train; Ctrl-C may come while kernels are timed."""

    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    config = small_config(tmp_path, data.train.root.parent, threads=1)
    torch.set_num_threads(2)
    before = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    pinned: list[Settings] = []
    monkeypatch.setattr(session_module, "tune_runtime", lambda **o: pinned.append(tune_runtime(**o)) or pinned[-1])
    if ends == "a foreign checkpoint":
        monkeypatch.setattr(CheckpointStore, "restore", interrupted)
    elif ends == "choosing":
        monkeypatch.setattr(session_module, "choose_acceleration", interrupted)
    else:
        monkeypatch.setattr(loop, "write_environment", interrupted)
    recorder = Recorder()
    with pytest.raises(KeyboardInterrupt):
        train(config, data, display=recorder)
    assert next(one for one in pinned[0].settings if one.name == "threads").changed
    assert torch.get_num_threads() == 2
    assert before is None or os.sched_getaffinity(0) == before
    assert recorder.notes[-1] == "closed"
