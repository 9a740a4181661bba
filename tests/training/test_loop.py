"""The loop's conduct: stopping, refusing, diverging, and what it leaves behind."""

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from separable.data.folder import FolderData, read_folder
from separable.data.loader import Batch
from separable.data.quarantine import Quarantine
from separable.errors import (
    CheckpointError,
    DivergedError,
    OutputError,
    RunFolderError,
    TooManyBadPicturesError,
)
from separable.machine.environment import package_versions
from separable.machine.processor import read_processor
from separable.models import build_model
from separable.training import chosen
from separable.training import session as session_module
from separable.training.checkpoint import CheckpointStore
from separable.training.config import MachineConfig, ModelConfig, TrainConfig
from separable.training.display import Display, StepView
from separable.training.evaluate import EvaluationSet
from separable.training.journal import read_journal
from separable.training.loop import train
from separable.training.report.data_check import unreadable_section
from separable.training.report.reading import read_run
from separable.training.signals import StopRequest
from separable.weights import load_model, save_model
from tests.training.killable import Server, order, small_config, write_pictures
from tests.training.test_lock_and_signals import ended, holder


class Recorder(Display):
    """Remembers what was said, and asks to stop after a given step."""

    def __init__(self, stop_after: int = 0) -> None:
        self.notes: list[str] = []
        self.views: list[StepView] = []
        self.rows: list[dict[str, Any]] = []
        self.stop, self._stop_after = StopRequest(), stop_after

    def note(self, text: str) -> None:
        self.notes.append(text)

    def warn(self, text: str) -> None:
        self.notes.append(f"Warning: {text}")

    def step(self, view: StepView) -> None:
        self.views.append(view)
        if view.step == self._stop_after:
            self.stop.request()

    def epoch(self, row: dict[str, Any]) -> None:
        self.rows.append(row)

    def close(self) -> None:
        self.notes.append("closed")


def losses(run: Path) -> list[tuple[Any, ...]]:
    return [
        (row["kind"], row["step"], row.get("loss"), row.get("train_loss"), row.get("val_loss"))
        for row in read_journal(run / "metrics.jsonl")
    ]


@pytest.fixture(scope="module")
def whole(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two epochs."""
    run = tmp_path_factory.mktemp("run") / "whole"
    train(small_config(run, pictures, epochs=2, threads=1), read_folder(pictures))
    return run


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


def test_a_stop_during_validation_is_heard(whole: Path, data: FolderData, tmp_path: Path) -> None:
    """The epoch is validated anew when the run goes on."""
    config = small_config(tmp_path, data.train.root.parent, epochs=2, threads=1)
    recorder = Recorder()

    class Interrupting(EvaluationSet):
        def batches(self) -> Iterator[Batch]:
            recorder.stop.request()
            return super().batches()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("separable.training.loop.EvaluationSet", Interrupting)
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


def test_leftovers_of_killed_writes_are_swept(whole: Path, data: FolderData) -> None:
    left = [
        whole / ".x.1.tmp",
        whole / "model" / ".model.safetensors.1.tmp",
        whole / "checkpoints" / "best" / ".y.1.tmp",
    ]
    for path in left:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"half")
    train(small_config(whole, data.train.root.parent, epochs=2, threads=1), data, resume=True)
    assert not list(whole.rglob("*.tmp"))


def test_an_occupied_folder_is_refused(whole: Path, data: FolderData) -> None:
    with pytest.raises(RunFolderError, match=r"already holds a run.*--resume, or choose another folder with --run"):
        train(small_config(whole, data.train.root.parent), data)


@pytest.mark.parametrize("resume", [False, True])
def test_a_folder_of_other_things_is_refused_and_left_as_it_is(resume: bool, data: FolderData, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("mine")
    (tmp_path / "config.yaml").write_text("tool: another\n")
    (tmp_path / ".draft.tmp").write_text("mine too")
    config = small_config(tmp_path, data.train.root.parent)
    message = "is not empty and holds no run" if resume else "already holds a run"
    with pytest.raises(RunFolderError, match=message):
        train(config, data, resume=resume)
    (tmp_path / "config.yaml").unlink()
    with pytest.raises(
        RunFolderError,
        match=r"is not empty and holds no run\. Got: \.draft\.tmp, report\.html\. Expected: an empty or a new folder.*"
        "Choose another folder with --run",
    ):
        train(config, data, resume=resume)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "report.html": "mine",
        ".draft.tmp": "mine too",
    }


def test_the_folder_of_pictures_is_no_run(data: FolderData) -> None:
    root = data.train.root.parent
    before = sorted(root.rglob("*"))
    with pytest.raises(RunFolderError, match=r"is the folder of pictures\. Expected: a folder of its own for the run"):
        train(small_config(root / "train" / "..", root), data, resume=True)
    assert sorted(root.rglob("*")) == before


def test_what_ended_before_its_first_checkpoint_is_no_obstacle(data: FolderData, tmp_path: Path) -> None:
    for name in (".lock", "check.json", "check.csv", ".check.json.12.tmp"):
        (tmp_path / name).write_text("")
    recorder = Recorder(stop_after=1)
    train(small_config(tmp_path, data.train.root.parent, threads=1), data, display=recorder, stop=recorder.stop)
    assert not list(tmp_path.glob(".*.tmp"))


def test_a_run_that_lost_its_configuration_goes_on_and_nothing_else_is_said(data: FolderData, tmp_path: Path) -> None:
    config = small_config(tmp_path, data.train.root.parent, threads=1)
    first = Recorder(stop_after=2)
    train(config, data, display=first, stop=first.stop)
    (tmp_path / "config.yaml").unlink()
    with pytest.raises(RunFolderError, match="already holds a run"):
        train(config, data)
    second = Recorder(stop_after=1)
    train(config, data, resume=True, display=second, stop=second.stop)
    assert not any("nothing to resume" in note for note in second.notes)
    assert any("after step 2 of" in note for note in second.notes)


def test_a_place_that_cannot_be_written_is_named(data: FolderData, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match=r"Cannot write .*file/run"):
        train(small_config(tmp_path / "file" / "run", data.train.root.parent), data)


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


def test_too_many_unreadable_pictures_stop_the_run(tmp_path: Path) -> None:
    root = write_pictures(tmp_path / "data")
    for i in range(1, 12):
        (root / "train" / "light" / f"{i}.{'jpg' if i % 2 else 'png'}").write_bytes(b"")
    config = small_config(tmp_path / "run", root, threads=1)
    config = replace(config, data=replace(config.data, max_bad=0.1))
    with pytest.raises(TooManyBadPicturesError, match=r"Too many pictures cannot be read.*of 60.*at most 10.0%"):
        train(config, read_folder(root))
    assert "light/" in (tmp_path / "run" / "quarantine.csv").read_text()


def test_a_resume_does_not_get_past_max_bad(tmp_path: Path) -> None:
    root = write_pictures(tmp_path / "data")
    for i in range(1, 12):
        (root / "train" / "light" / f"{i}.{'jpg' if i % 2 else 'png'}").write_bytes(b"")
    config = small_config(tmp_path / "run", root, threads=1)
    config = replace(config, data=replace(config.data, max_bad=0.1))
    texts = []
    for resume in (False, True, True):
        with pytest.raises(TooManyBadPicturesError, match="Too many pictures cannot be read") as caught:
            train(config, read_folder(root), resume=resume)
        texts.append(str(caught.value))
    assert len(set(texts)) == 1, "no step further"
    # The advice can be followed: mended pictures are taken off the list.
    whole = (root / "train" / "light" / "0.png").read_bytes()
    for i in range(1, 12):
        (root / "train" / "light" / f"{i}.{'jpg' if i % 2 else 'png'}").write_bytes(whole)
    recorder = Recorder(stop_after=3)
    assert train(config, read_folder(root), resume=True, display=recorder, stop=recorder.stop).interrupted
    assert set(Quarantine(tmp_path / "run" / "quarantine.csv").causes) <= {"train/dark/0.png"}


def test_the_same_name_in_both_sets_is_two_unreadable_pictures(tmp_path: Path) -> None:
    root = write_pictures(tmp_path / "data")
    (root / "val" / "dark" / "0.png").write_bytes(b"")
    run = tmp_path / "run"
    train(small_config(run, root, epochs=1, threads=1), read_folder(root))
    assert list(Quarantine(run / "quarantine.csv").causes) == ["train/dark/0.png", "val/dark/0.png"]
    shown = str(unreadable_section(read_run(run)))
    assert "2 pictures could not be read" in shown
    assert "val/dark/0.png" in shown


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


def test_the_advice_to_allow_more_unreadable_pictures_can_be_followed(tmp_path: Path) -> None:
    root = write_pictures(tmp_path / "data")
    config = small_config(tmp_path / "run", root, epochs=1, threads=1)
    strict = replace(config, data=replace(config.data, max_bad=0.0))
    with pytest.raises(TooManyBadPicturesError, match="or allow more with --max-bad"):
        train(strict, read_folder(root))
    assert train(config, read_folder(root), resume=True).steps == 6
    assert TrainConfig.from_yaml(tmp_path / "run" / "config.yaml") == config


def test_after_a_move_of_the_pictures_the_run_knows_their_place(tmp_path: Path) -> None:
    old, new = write_pictures(tmp_path / "old"), tmp_path / "new"
    recorder = Recorder(stop_after=2)
    train(small_config(tmp_path / "run", old, epochs=1), read_folder(old), display=recorder, stop=recorder.stop)
    old.rename(new)
    assert train(small_config(tmp_path / "run", new, epochs=1), read_folder(new), resume=True).steps == 6
    found = TrainConfig.from_yaml(tmp_path / "run" / "config.yaml").data
    assert (found.root, found.train_root, found.val_root) == (str(new), str(new / "train"), str(new / "val"))


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


def test_two_trainings_in_one_folder(data: FolderData, tmp_path: Path) -> None:
    process = holder(tmp_path)
    try:
        with pytest.raises(RunFolderError, match=f"Another training is running in .*process {process.pid} holds it"):
            train(small_config(tmp_path, data.train.root.parent), data, resume=True)
    finally:
        ended(process)
