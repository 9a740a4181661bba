"""The folder of a run: whose it is, what may lie in it, and what is left alone."""

from pathlib import Path

import pytest

from separable.data.folder import FolderData
from separable.errors import (
    OutputError,
    RunFolderError,
)
from separable.training.loop import train
from tests.training.killable import small_config
from tests.training.recorded import Recorder
from tests.training.test_lock_and_signals import ended, holder


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


def test_two_trainings_in_one_folder(data: FolderData, tmp_path: Path) -> None:
    process = holder(tmp_path)
    try:
        with pytest.raises(RunFolderError, match=f"Another training is running in .*process {process.pid} holds it"):
            train(small_config(tmp_path, data.train.root.parent), data, resume=True)
    finally:
        ended(process)
