"""Stopping and going on: to the same bits, or with a sentence on why that cannot be."""

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from separable.data.folder import FolderData, read_folder
from separable.data.loader import Batch
from separable.errors import (
    CheckpointError,
)
from separable.machine.environment import package_versions
from separable.machine.processor import read_processor
from separable.models import build_model
from separable.training import checkpoint, chosen
from separable.training.config import MachineConfig, ModelConfig, TrainConfig
from separable.training.evaluate import EvaluationSet
from separable.training.loop import train
from separable.weights import load_model, save_model
from tests.training.killable import small_config, write_pictures
from tests.training.recorded import Recorder, losses
from tests.training.test_resume import trace


@pytest.mark.parametrize("after", [4, 6])
def test_a_stop_saves_says_how_to_go_on_and_goes_on(after: int, whole: Path, data: FolderData, tmp_path: Path) -> None:
    """After step 6 the epoch is over and not yet validated."""
    config = replace(
        small_config(tmp_path, data.train.root.parent, epochs=2, threads=1), machine=MachineConfig(workers=0)
    )
    first = Recorder(stop_after=after)
    result = train(config, data, display=first, stop=first.stop)
    assert (result.interrupted, result.steps) == (True, after)
    assert first.notes[-2:] == [
        f"Stopped after step {after} of 12 and saved in {tmp_path}.",
        "closed",
    ]
    assert not (tmp_path / "model").exists()
    second = Recorder()
    result = train(config, data, resume=True, display=second)
    assert (result.interrupted, result.steps) == (False, 12)
    assert f"Resuming {tmp_path} after step {after} of 12." in second.notes
    assert [view.step for view in second.views] == list(range(after + 1, 13))
    assert losses(tmp_path) == losses(whole)
    assert (tmp_path / "evaluation.json").read_text() == (whole / "evaluation.json").read_text()


def test_a_resume_keeps_the_input_contract_of_the_starting_weights(data: FolderData, tmp_path: Path) -> None:
    """Size, normalisation and resizing came with a file that is not read again."""
    trained = build_model("mobilenet_v1", 10, width=0.25)
    changes = {"size": (64, 64), "mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0), "resize": "squash"}
    trained.input_contract = replace(trained.input_contract, **changes)
    save_model(trained, tmp_path / "start")
    network = ModelConfig("mobilenet_v1", {"width": 0.25}, str(tmp_path / "start"))
    configs = {
        name: replace(small_config(tmp_path / name, data.train.root.parent, epochs=1, threads=1), model=network)
        for name in ("whole", "stopped")
    }
    train(configs["whole"], data)
    recorder = Recorder(stop_after=3)
    assert train(configs["stopped"], data, display=recorder, stop=recorder.stop).interrupted
    shutil.rmtree(tmp_path / "start")
    train(configs["stopped"], data, resume=True)
    assert losses(tmp_path / "stopped") == losses(tmp_path / "whole")
    for name in ("model/config.json", "model/model.safetensors", "evaluation.json", "predictions.csv"):
        assert (tmp_path / "stopped" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    contract = load_model(tmp_path / "stopped" / "model").input_contract
    assert {name: getattr(contract, name) for name in changes} == changes


def test_a_resume_of_nothing_says_so_and_starts(data: FolderData, tmp_path: Path) -> None:
    recorder = Recorder(stop_after=1)
    config = small_config(tmp_path / "run", data.train.root.parent, threads=1)
    assert train(config, data, resume=True, display=recorder, stop=recorder.stop).steps == 1
    assert recorder.notes[0] == f"There is nothing to resume in {tmp_path / 'run'}: starting from the beginning."


def test_a_run_begun_before_there_were_tasks_goes_on_to_the_same_bits(
    whole: Path, data: FolderData, tmp_path: Path
) -> None:
    """Its checkpoints know of no task, no losses of pixels and no count of answers; its configuration neither."""
    config = small_config(tmp_path, data.train.root.parent, epochs=2, threads=1)
    first = Recorder(stop_after=4)
    train(config, data, display=first, stop=first.stop)
    for path in (tmp_path / "checkpoints").glob("step-*/state.json"):
        body = json.loads(path.read_text())["body"]
        assert body["progress"].pop("judged") == body["progress"]["seen"]
        told = body["identity"]["config"]
        assert not {"task", "accelerate"} & set(told)
        assert not {"loss", "class_weights"} & set(told["recipe"])
        assert "encoder_weights" not in told["model"]
        path.write_text(json.dumps({"digest": checkpoint._digest(body), "body": body}))
    written = yaml.safe_load((tmp_path / "config.yaml").read_text())
    del (
        written["task"],
        written["recipe"]["loss"],
        written["recipe"]["class_weights"],
        written["model"]["encoder_weights"],
    )
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(written))
    train(TrainConfig.from_yaml(tmp_path / "config.yaml"), data, resume=True)
    assert trace(tmp_path) == trace(whole)
    assert (tmp_path / "evaluation.json").read_text() == (whole / "evaluation.json").read_text()


def test_a_stop_during_validation_is_heard(whole: Path, data: FolderData, tmp_path: Path) -> None:
    """The epoch is validated anew when the run goes on."""
    config = small_config(tmp_path, data.train.root.parent, epochs=2, threads=1)
    recorder = Recorder()

    class Interrupting(EvaluationSet):
        def read(self) -> Iterator[Batch]:
            recorder.stop.request()
            return super().read()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("separable.training.classification.EvaluationSet", Interrupting)
        result = train(config, data, display=recorder, stop=recorder.stop)
    assert (result.interrupted, result.steps, recorder.rows) == (True, 6, [])
    train(config, data, resume=True)
    assert losses(tmp_path) == losses(whole)


def test_resuming_a_finished_run_trains_no_more(whole: Path, data: FolderData) -> None:
    before = losses(whole)
    recorder = Recorder()
    config = small_config(whole, data.train.root.parent, epochs=2, threads=1)
    result = train(config, data, resume=True, display=recorder)
    assert (result.steps, result.interrupted, recorder.views) == (12, False, [])
    assert losses(whole) == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 5}, r"config\.seed: 0, not 5"),
        ({"epochs": 9}, r"config\.epochs: 2, not 9"),
        ({"batch_size": 4}, r"config\.batch_size: 8, not 4"),
    ],
)
def test_a_resume_with_another_command_names_the_difference(
    change: dict[str, Any], message: str, whole: Path, data: FolderData
) -> None:
    config = replace(small_config(whole, data.train.root.parent, epochs=2, threads=1), **change)
    with pytest.raises(CheckpointError, match="belongs to another training.*" + message):
        train(config, data, resume=True)


def test_a_resume_with_another_network_or_other_pictures_names_the_difference(whole: Path, data: FolderData) -> None:
    config = small_config(whole, data.train.root.parent, epochs=2, threads=1)
    other = replace(config, model=replace(config.model, name="mobilenet_v1", options={}))
    with pytest.raises(CheckpointError, match=r"config\.model\.name: 'xception', not 'mobilenet_v1'"):
        train(other, data, resume=True)
    renamed = replace(data, class_names=("a", "b", "c"))
    with pytest.raises(CheckpointError, match=r"classes: \['dark', 'light', 'striped'\], not \['a', 'b', 'c'\]"):
        train(config, renamed, resume=True)
    fewer = replace(data, train=replace(data.train, paths=data.train.paths[:-1], labels=data.train.labels[:-1]))
    with pytest.raises(CheckpointError, match=r"training pictures: '48 \(.*\)', not '47 \(.*\)'"):
        train(config, fewer, resume=True)


def test_a_resume_elsewhere_says_that_the_bits_may_differ(
    data: FolderData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small_config(tmp_path, data.train.root.parent, threads=1)
    first = Recorder(stop_after=1)
    train(config, data, display=first, stop=first.stop)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "ELSEWHERE")
    here = replace(read_processor(), model="Another 9000")
    monkeypatch.setattr(chosen, "read_processor", lambda: here)
    monkeypatch.setattr(chosen, "package_versions", lambda: package_versions() | {"pillow": "0.0"})
    again = Recorder(stop_after=2)
    train(config, data, resume=True, display=again, stop=again.stop)
    warning = next(note for note in again.notes if note.startswith("Warning: "))
    changes = r"processor .* then, Another 9000 now; instructions \w+ then, ELSEWHERE now; pillow [\d.]+ then, 0\.0 now"
    assert re.search(rf"Resuming elsewhere \({changes}\): from here on the run is not identical to the bit", warning)


def test_another_device_is_announced_and_goes_on(data: FolderData, tmp_path: Path) -> None:
    config = small_config(tmp_path, data.train.root.parent, threads=1)
    first = Recorder(stop_after=1)
    train(config, data, display=first, stop=first.stop)
    again = Recorder(stop_after=2)
    result = train(replace(config, device="cpu:0"), data, resume=True, display=again, stop=again.stop)
    assert result.steps == 2
    announced = "Resuming elsewhere (device cpu then, cpu:0 now): from here on the run is not identical to the bit."
    assert f"Warning: {announced}" in again.notes
    assert TrainConfig.from_yaml(tmp_path / "config.yaml").device == "cpu:0"


def test_after_a_move_of_the_pictures_the_run_knows_their_place(tmp_path: Path) -> None:
    old, new = write_pictures(tmp_path / "old"), tmp_path / "new"
    recorder = Recorder(stop_after=2)
    train(small_config(tmp_path / "run", old, epochs=1), read_folder(old), display=recorder, stop=recorder.stop)
    old.rename(new)
    assert train(small_config(tmp_path / "run", new, epochs=1), read_folder(new), resume=True).steps == 6
    found = TrainConfig.from_yaml(tmp_path / "run" / "config.yaml").data
    assert (found.root, found.train_root, found.val_root) == (str(new), str(new / "train"), str(new / "val"))
