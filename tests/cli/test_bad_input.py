"""Everything that people get wrong, each with its own message through the real command line."""

import json
import resource
import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import QUICK, TRAINED, Cli, Outcome, write_pictures


def refused(outcome: Outcome, *said: str, code: int = 1) -> None:
    """Ended with `code`, nothing on standard output but what came before, and the words on standard error."""
    assert outcome.code == code, outcome.err
    message = outcome.err[outcome.err.index("separable: ") :]
    for words in said:
        assert words in message, message
    assert "went wrong that should not have" not in message


def test_no_such_folder(cli: Cli) -> None:
    refused(cli("train", "flowrs", *QUICK), "There is no folder flowrs", "typing mistake")


def test_an_empty_folder(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    refused(cli("train", "empty", *QUICK), "empty holds no pictures", "got       an empty folder", "one sub-folder")


def test_pictures_without_class_folders(cli: Cli, tmp_path: Path) -> None:
    write_pictures(tmp_path / "flat", 2, 0.1)
    refused(cli("train", "flat", *QUICK), "flat holds pictures but no class folders", "2 pictures directly inside")


def test_one_class(cli: Cli, tmp_path: Path) -> None:
    write_pictures(tmp_path / "one" / "red", 3, 0.0)
    refused(cli("train", "one", *QUICK), "one holds one class", "only 'red'", "at least two classes")


def test_a_class_with_one_picture(cli: Cli, tmp_path: Path) -> None:
    write_pictures(tmp_path / "few" / "red", 3, 0.0)
    write_pictures(tmp_path / "few" / "blue", 1, 0.6)
    refused(cli("train", "few", *QUICK), "Class 'blue' has one picture", "at least two pictures in each class")


def test_val_classes_that_train_lacks(cli: Cli, tmp_path: Path) -> None:
    for part, name in (("train", "red"), ("train", "blue"), ("val", "red"), ("val", "violet")):
        write_pictures(tmp_path / "split" / part / name, 2, 0.5)
    refused(cli("train", "split", *QUICK), "has classes that", "train lacks", "got       violet", "Rename or move")


def test_a_file_where_a_folder_should_be(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "flowers.zip").write_bytes(b"PK")
    refused(cli("train", "flowers.zip", *QUICK), "flowers.zip is a file, not a folder", "Unpack it first")


def test_an_output_that_cannot_be_written(cli: Cli, colours: Path, tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file in the way")
    refused(cli("train", colours, *QUICK), "Cannot write", "runs", "to do")


def test_a_run_that_is_there(cli: Cli, colours: Path, trained: Path) -> None:
    refused(cli("train", colours, "--run", trained, *QUICK), "already holds a run", "--resume")


def test_a_run_folder_that_is_none(cli: Cli, colours: Path, tmp_path: Path) -> None:
    (tmp_path / "site" / "model").mkdir(parents=True)
    (tmp_path / "site" / "report.html").write_text("mine")
    refused(
        cli("train", colours, "--run", "./site", *QUICK), "site is not empty and holds no run", "model, report.html"
    )
    refused(cli("train", colours, "--run", "", *QUICK), "--run is empty", "a name below runs/, or a path", code=2)
    refused(cli("train", colours, "--run", colours, *QUICK), "is the folder of pictures", "Choose another folder")
    assert sorted(path.name for path in colours.iterdir()) == ["blue", "green", "red"]
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == [
        "site",
        "site/model",
        "site/report.html",
    ]


def test_a_model_that_is_not_there(cli: Cli, colours: Path) -> None:
    outcome = cli("train", colours, "--model", "mobilnet", "--weights", "none")
    refused(outcome, "There is no model 'mobilnet'", "mobilenet_v1", code=2)
    refused(cli("train", colours, *QUICK, "--recipe", "smal"), "Unknown recipe 'smal'", "'small'", code=2)
    refused(cli("train", colours, *QUICK, "--set", "recipe.optimizer.name=sgd"), "no section 'optimizer'", code=2)
    refused(cli("train", colours, *QUICK, "--set", "seeds=1"), "Unknown key 'seeds'", "'seed'", code=2)
    refused(cli("train", colours, *QUICK, "--option", "depth=2"), "xception has no option depth", code=2)
    refused(cli("train", colours, *QUICK, "--image-size", "8"), "too small for xception", "32 or more", code=2)


def test_numbers_that_cannot_be(cli: Cli, colours: Path) -> None:
    refused(cli("train", colours, *QUICK, "--batch", "0"), "'--batch': 0 is not in the range x>=1", code=2)
    refused(cli("train", colours, *QUICK, "--workers", "-1"), "'--workers': -1 is not in the range x>=0", code=2)
    refused(cli("train", colours, *QUICK, "--max-bad", "1.2"), "'--max-bad': 1.2 is not in the range 0<=x<=1", code=2)
    refused(cli("profile", "xception", "--batch", "0"), "'--batch': 0 is not in the range x>=1", code=2)
    refused(cli("train", colours, *QUICK, "--image-size", "10000"), "model.image_size is out of range", code=2)
    outcome = cli("train", colours, *QUICK, "--set", "model.crop_fraction=7")
    refused(outcome, "model.crop_fraction is out of range", "got       7.0", "above 0, at most 1", code=2)


def test_settings_that_have_an_option_of_their_own(cli: Cli, colours: Path, tmp_path: Path) -> None:
    for setting, instead in (("run=", "--run"), ("data.root=", "DATA"), ("device=tpu", "--device")):
        outcome = cli("train", colours, *QUICK, "--set", setting)
        refused(outcome, f"--set {setting.partition('=')[0]} comes too late", f"Give {instead} instead", code=2)
    assert not (tmp_path / "runs").exists()


@pytest.fixture
def stopped(trained: Path, tmp_path: Path) -> Path:
    """A copy of the run as it is a moment before its end: its model and results are not there yet."""
    run = tmp_path / "stopped"
    shutil.copytree(trained, run)
    shutil.rmtree(run / "model")
    (run / "evaluation.json").unlink()
    return run


def checkpoints(run: Path) -> list[Path]:
    return sorted((run / "checkpoints").glob("step-*"))


def test_a_full_disk_keeps_the_checkpoint_whole(cli: Cli, colours: Path, stopped: Path) -> None:
    before = {path: path.read_bytes() for path in checkpoints(stopped)[-1].iterdir()}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))  # writing more fails, as on a full disk
    try:
        outcome = cli("train", colours, "--run", stopped, "--resume", *TRAINED)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    refused(outcome, "No space left to write", "free some space")
    assert {path: path.read_bytes() for path in checkpoints(stopped)[-1].iterdir()} == before
    assert cli("train", colours, "--run", stopped, "--resume", *TRAINED).code == 0
    assert (stopped / "model" / "model.safetensors").is_file()


@pytest.mark.filterwarnings("default")
def test_a_damaged_checkpoint_falls_back_and_all_damaged_stops(cli: Cli, colours: Path, stopped: Path) -> None:
    oldest, newest = checkpoints(stopped)[0], checkpoints(stopped)[-1]
    assert oldest != newest
    (newest / "model.safetensors").write_bytes(b"half a file")
    outcome = cli("train", colours, "--run", stopped, "--resume", *TRAINED)
    assert outcome.code == 0
    assert "is damaged" in outcome.err
    for folder in checkpoints(stopped):
        (folder / "training.safetensors").write_bytes(b"half a file")
    outcome = cli("train", colours, "--run", stopped, "--resume", *TRAINED)
    refused(outcome, "Every checkpoint in", "is damaged", "Start again")


def test_a_checkpoint_of_another_model(cli: Cli, colours: Path, stopped: Path) -> None:
    other = [*TRAINED]
    other[other.index("0.0625")] = "0.125"
    outcome = cli("train", colours, "--run", stopped, "--resume", *other)
    refused(outcome, "belongs to another training", "width: 0.0625, not 0.125", "command the run was started with")


@pytest.mark.filterwarnings("default")
def test_class_counts_that_do_not_match(cli: Cli, colours: Path, stopped: Path, tmp_path: Path) -> None:
    more = tmp_path / "more"
    shutil.copytree(colours, more)
    write_pictures(more / "violet", 3, 0.8)
    outcome = cli("train", more, "--run", stopped, "--resume", *TRAINED)
    refused(outcome, "belongs to another training", "violet")
    refused(cli("evaluate", stopped, more), "has classes that the model does not know", "got       violet")


def test_a_loss_that_is_no_number_names_the_pictures(cli: Cli, colours: Path) -> None:
    outcome = cli("train", colours, *QUICK, "--epochs", "3", "--set", "recipe.optimiser.learning_rate=1e30")
    refused(outcome, "at step ", "on the pictures ", ".png", "lower the learning rate")


def test_too_many_bad_pictures(cli: Cli, colours: Path, tmp_path: Path) -> None:
    data = tmp_path / "rotten"
    shutil.copytree(colours, data)
    for name in ("blue/0.png", "blue/1.png", "red/3.png"):
        (data / name).write_bytes(b"no picture at all")
    outcome = cli("train", data, *QUICK, "--max-bad", "0.01")
    refused(outcome, "--max-bad")
    assert "not a picture" in (tmp_path / "runs" / "rotten" / "quarantine.csv").read_text()
    assert cli("train", data, "--run", "again", *QUICK, "--max-bad", "0.2").code == 0


def test_an_unknown_run_names_those_there_are(cli: Cli, trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained, tmp_path / "runs" / "colours")
    refused(cli("predict", "colors", "x.png"), "No run or model is called 'colors'", "Did you mean 'colours'", code=2)
    (tmp_path / "notes").mkdir()
    refused(cli("predict", "notes", "x.png"), "notes is neither a run nor a model", "a folder with nothing in it")


def test_predict_refuses_before_it_works(cli: Cli, trained: Path, tmp_path: Path) -> None:
    refused(cli("predict", trained, "x.png", "--backend", "onnx"), "Unknown backend 'onnx'", "auto or torch", code=2)
    refused(cli("predict", trained, "x.png", "--out", "x.xlsx"), "Cannot tell the format", ".parquet", code=2)
    refused(cli("predict", trained, "x.png", "--top", "0"), "At least one class", code=2)
    refused(cli("predict", trained, "no*.png"), "No picture matches no*.png")
    (tmp_path / "empty").mkdir()
    refused(cli("predict", trained, "empty"), "The folder empty holds no picture")
    (tmp_path / "file").write_text("in the way")
    colour = tmp_path / "red"
    write_pictures(colour, 1, 0.0)
    refused(cli("predict", trained, colour, "--out", "file/x.csv"), "Cannot write file")
    assert (tmp_path / "file").read_text() == "in the way"


def test_reject_needs_a_calibrated_confidence(cli: Cli, trained: Path, tmp_path: Path) -> None:
    run = tmp_path / "uncalibrated"
    shutil.copytree(trained, run)
    stored = json.loads((run / "evaluation.json").read_text())
    stored["calibration"]["reject_threshold"] = None
    (run / "evaluation.json").write_text(json.dumps(stored))
    refused(cli("predict", run, "x.png", "--reject"), "has no calibrated confidence", "leave --reject out", code=2)


def test_a_missing_extra_names_its_command(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "sklearn.datasets", None)
    refused(cli("demo"), "come with scikit-learn", 'pip install "separable[demo]"')


def test_an_unexpected_error_says_how_to_report_it(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    from separable.machine import doctor

    monkeypatch.setattr(doctor, "diagnose", lambda: 1 // 0)
    outcome = cli("doctor")
    assert outcome.code == 1
    assert "ZeroDivisionError" in outcome.err
    assert "--debug" in outcome.err
