"""A trained run measured and corrected again: on its own pictures, on changed ones, and over several rounds."""

import csv
import json
import shlex
import shutil
from pathlib import Path

import pytest
import yaml

from tests.cli.conftest import Cli


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy of the trained run."""
    shutil.copytree(trained, tmp_path / "run")
    return tmp_path / "run"


def test_evaluate_says_that_few_pictures_correct_no_confidence(cli: Cli, run: Path) -> None:
    outcome = cli("evaluate", run)
    assert "; predict leaves them as they are. 3 pictures to fit a correction on are too few: it takes 100. " in (
        outcome.out
    )


def pin_data(run: Path, data: Path, **fields: str) -> None:
    """Make the run's configuration name `data`; where the pictures lie is no part of what they are."""
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["data"] |= {"root": str(data), **fields}
    (run / "config.yaml").write_text(yaml.safe_dump(config))


@pytest.mark.parametrize("checkpoints", [True, False], ids=["by the checkpoint", "by predictions.csv"])
@pytest.mark.parametrize("change", ["nothing", "a deletion", "a label"])
def test_evaluate_keeps_the_runs_figures_when_its_pictures_changed(
    change: str, checkpoints: bool, cli: Cli, run: Path, colours: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    shutil.copytree(colours, data)
    with (run / "predictions.csv").open(newline="") as handle:
        first = next(csv.DictReader(handle))["path"]
    assert first.startswith("blue/")
    corrections = {}
    if change == "a deletion":
        for path in (data / "blue").glob("*.png"):
            if path.name != Path(first).name and int(path.stem) < 9:
                path.unlink()
    if change == "a label":
        (tmp_path / "labels.csv").write_text(f"path,label\n{first},red\n")
        corrections["labels_csv"] = str(tmp_path / "labels.csv")
    pin_data(run, data, **corrections)
    if not checkpoints:
        shutil.rmtree(run / "checkpoints")
    own = [run / name for name in ("evaluation.json", "predictions.csv", "report.html")]
    for path in own:
        path.touch()
    before = [(path.read_bytes(), path.stat().st_mtime_ns) for path in own]
    outcome = cli("evaluate", run, "--json")
    assert outcome.code == 0
    told = json.loads(outcome.out)
    if change == "nothing":
        assert told["out"] == str(run)
        assert "These are not" not in outcome.err
        assert [path.stat().st_mtime_ns for path in own] != [time for _, time in before]
        return
    assert told["out"] == str(run / "evaluations" / "val-changed")
    assert (run / "evaluations" / "val-changed" / "predictions.csv").exists()
    assert [(path.read_bytes(), path.stat().st_mtime_ns) for path in own] == before
    said = "6 pictures then, 5 now" if change == "a deletion" else "6 pictures as then, but other files or other labels"
    assert f"These are not the pictures that the run was measured on ({said})" in outcome.err


def suggested(out: str) -> list[str]:
    """The command that `check --labels` ends with, word by word."""
    line = out.rstrip("\n").splitlines()[-1]
    assert line.startswith("  separable train ")
    return shlex.split(line)[1:]


def test_the_first_round_of_labels_trains_as_the_run_did(cli: Cli, run: Path, colours: Path) -> None:
    (run / "suspects.csv").write_text("path,label,suggested,score\nred/3.png,red,blue,0.98\n")
    command = suggested(cli("check", "--labels", run).out)
    assert command[command.index("--labels") + 1] == str(run / "suspects.csv")
    assert not (run / "labels.csv").exists()
    told = json.loads(cli(*command, "--dry-run", "--json").out)["config"]
    then = yaml.safe_load((run / "config.yaml").read_text())
    assert (told["epochs"], told["model"], told["recipe"]) == (then["epochs"], then["model"], then["recipe"])
    document = json.loads(cli("check", "--labels", run, "--json").out)
    assert document["to_correct"] == str(run / "suspects.csv")
    assert shlex.split(document["then"])[1:] == command
    elsewhere = suggested(cli("check", colours, "--labels", run).out)
    assert elsewhere[1] == str(colours)


def test_a_second_round_of_labels_keeps_the_first(cli: Cli, run: Path, colours: Path, tmp_path: Path) -> None:
    earlier = tmp_path / "earlier.csv"
    earlier.write_text("path,label\nblue/1.png,green\nblue/2.png,\n")
    pin_data(run, colours, labels_csv=str(earlier))
    (run / "suspects.csv").write_text("path,label,suggested,score\nred/3.png,red,blue,0.98\n")
    command = suggested(cli("check", "--labels", run).out)
    assert command[command.index("--labels") + 1] == str(run / "labels.csv")
    lines = ["path,label,suggested,score", "red/3.png,red,blue,0.98", "blue/1.png,green,,", "blue/2.png,,,"]
    assert (run / "labels.csv").read_text().splitlines() == lines
    told = json.loads(cli(*command, "--dry-run", "--json").out)["config"]
    assert told["data"]["labels_csv"] == str(run / "labels.csv")
    (run / "labels.csv").write_text("\n".join(lines).replace("red/3.png,red", "red/3.png,blue"))
    assert suggested(cli("check", "--labels", run).out) == command
    assert "red/3.png,blue" in (run / "labels.csv").read_text(), "what was corrected by hand stays"
    (run / "labels.csv").unlink()
    earlier.unlink()
    outcome = cli("check", "--labels", run)
    assert f"trained with the corrections in {earlier}, which is not here: copy its rows" in outcome.out
    assert suggested(outcome.out)[command.index("--labels") + 1] == str(run / "suspects.csv")


def test_an_edited_list_of_suspects_is_shown_as_it_is(cli: Cli, run: Path) -> None:
    (run / "suspects.csv").write_text("path,label\nred/3.png,blue\n")
    assert "red/3.png\tblue\t\t\n" in cli("check", "--labels", run).out
    (run / "suspects.csv").write_text("path;label;suggested;score\nred/3.png;blue;red;0,98\n")
    outcome = cli("check", "--labels", run)
    assert outcome.code == 1
    assert "is not a list of suspicious labels" in outcome.err
