"""A trained run measured and corrected again: on its own pictures, on changed ones, and over several rounds."""

import csv
import json
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
