"""From a list of labels to a report and to tags of other pictures, as a user has it."""

import csv
import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from separable.analysis.average_precision import MeanAveragePrecision
from separable.cli import main
from separable.data.loader import LoaderConfig
from separable.data.manifest import read_manifest
from separable.runtime import TagPredictor, load_predictor
from separable.training.codec import from_plain
from separable.training.config import TrainConfig
from separable.training.report.commands import repeat_command
from separable.training.report.reading import read_run
from separable.training.tag_evaluation import evaluate_tags
from separable.weights import load_model
from tests.cli.conftest import NETWORK, Cli
from tests.tolerances import EVALUATION_BATCHING
from tests.training.taggable import NAMES, write_tagged_pictures

QUICK = (
    *NETWORK,
    *("--image-size", "32", "--weights", "none", "--precision", "fp32", "--batch", "6", "--epochs", "2"),
    *("--workers", "0", "--no-accelerate", "--max-bad", "0.2"),
)


@pytest.fixture(scope="session")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """18 pictures to train on, of which one cannot be read, 7 held out; tests that change it copy it first."""
    return write_tagged_pictures(tmp_path_factory.mktemp("data") / "album")


@pytest.fixture(scope="session")
def tagger(album: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run; tests that change it copy it first."""
    run = tmp_path_factory.mktemp("tagger") / "run"
    with pytest.raises(SystemExit) as exited:
        main(["train", str(album), "--run", str(run), *QUICK])
    assert exited.value.code == 0
    return run


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def test_one_command_from_a_list_to_a_report(cli: Cli, album: Path) -> None:
    said = cli("train", album, *QUICK)
    assert said.code == 0, said.err
    assert (
        "25 pictures with tags of 5 classes (red, green, blue; dark, white, never): 18 to train on, 7 held out.\n"
        in said.out
    )
    assert "warning: 1 picture of 25 cannot be read (4 %)." in said.out
    assert "Recipe tags; everything goes to runs/album." in said.out
    assert "MAP@100" in said.err, "the epochs' lines"
    run = Path("runs/album")
    stored = read(run / "evaluation.json")
    plain, weighted = (f"{100 * stored[name]:.1f} %" for name in ("map100", "weighted_map100"))
    assert (
        f": MAP@100 {plain} on the 7 held-out pictures, {weighted} with frequent classes counting more.\n" in said.out
    )
    assert "  use it        separable predict runs/album PICTURES...\n" in said.out
    assert "MAP@100" in (run / "report.html").read_text()
    assert read(run / "check.json")["classes"][0]["name"] == "red"
    config = TrainConfig.from_yaml(run / "config.yaml")
    assert (config.task, config.model.name, config.recipe.name) == ("tag", "xception", "tags")
    contract = read(run / "model/config.json")["input"]
    assert (contract["answer"], contract["class_names"]) == ("sigmoid", list(NAMES))
    again = cli("train", album, *QUICK, "--resume", "--json")
    assert again.code == 0, again.err
    assert "after step 6 of 6" in again.err
    assert json.loads(again.out)["metrics"]["val_map100"] == stored["map100"]


def test_a_dry_run_and_forced_tasks(cli: Cli, album: Path, tmp_path: Path) -> None:
    told = json.loads(cli("train", album, *QUICK, "--dry-run", "--task", "tag", "--json").out)
    assert (told["config"]["task"], told["config"]["data"]["root"]) == ("tag", str(album))
    assert told["estimate"]["steps_per_epoch"] == 3
    listed = shutil.copytree(album, tmp_path / "listed") / "train.csv"
    told = json.loads(cli("train", listed, *QUICK, "--dry-run", "--json").out)
    assert (told["config"]["task"], told["run"]) == ("tag", "runs/listed")
    assert not Path("runs").exists()


def test_the_repeated_command_is_the_same_training(cli: Cli, tagger: Path) -> None:
    command = repeat_command(read_run(tagger))
    assert command is not None
    assert "--task tag" in command
    told = json.loads(cli(*shlex.split(command)[1:], "--dry-run", "--json").out)
    stored = TrainConfig.from_yaml(tagger / "config.yaml")
    again = from_plain(TrainConfig, told["config"])
    assert again.differences(stored) == []


def test_evaluate_renews_the_runs_own_figures(cli: Cli, tagger: Path, tmp_path: Path) -> None:
    run = shutil.copytree(tagger, tmp_path / "run")
    before = read(run / "evaluation.json")
    (run / "evaluation.json").unlink()
    (run / "report.html").unlink()
    said = cli("evaluate", run)
    assert said.code == 0, said.err
    assert read(run / "evaluation.json") == before, "to the bit: the same weights of classes, the same pictures"
    assert (run / "report.html").exists()
    figures = {"MAP@100": "map100", "weighted by class": "weighted_map100", "top tag right": "precision1"}
    words = ", ".join(f"{name} {100 * before[key]:.1f} %" for name, key in figures.items())
    assert f"7 pictures with {before['tags']} tags: {words}, loss {before['loss']:.4f}.\n" in said.out
    frequent = before["per_class"][0]
    assert f"{frequent['name']}\t{frequent['support']}\t{100 * frequent['average_precision']:.1f} %\n" in said.out
    assert f"Tags of {before['decision']['threshold']:.2f} or more, which is what predict gives: " in said.out


def test_evaluate_elsewhere(cli: Cli, tagger: Path, album: Path, tmp_path: Path) -> None:
    run = shutil.copytree(tagger, tmp_path / "run")
    other = write_tagged_pictures(tmp_path / "other", train=5, val=5)
    whole = json.loads(cli("evaluate", run, other, "--part", "all", "--json").out)
    assert whole["out"] == str(run / "evaluations/other")
    assert (whole["n"], len(whole["bad"])) == (9, 1)
    only = json.loads(cli("evaluate", run, other / "val.jsonl", "--json").out)
    assert only["n"] == 5, "a list of its own, of which nobody held a part out: all of it"
    moved = json.loads(cli("evaluate", run / "model", album, "--out", "here", "--json").out)
    assert moved["map100"] == read(tagger / "evaluation.json")["map100"]
    (run / "class_weights.csv").unlink()
    said = cli("evaluate", run)
    assert (
        "has lost its class_weights.csv: in the weighted figure a class counts by how many of these pictures"
        in said.out
    )
    assert (run / "evaluations/val-unweighted/evaluation.json").exists()


def test_changed_labels_do_not_renew_the_runs_figures(cli: Cli, album: Path, tagger: Path, tmp_path: Path) -> None:
    run, data = shutil.copytree(tagger, tmp_path / "run"), shutil.copytree(album, tmp_path / "album")
    config = TrainConfig.from_yaml(run / "config.yaml")
    text = (run / "config.yaml").read_text().replace(config.data.root, str(data))
    (run / "config.yaml").write_text(text)
    assert cli("evaluate", run).out.count("Written to " + str(run) + ": ") == 1
    lines = (data / "val.jsonl").read_text().splitlines()
    (data / "val.jsonl").write_text("\n".join([json.dumps({**json.loads(lines[0]), "labels": ["never"]}), *lines[1:]]))
    expected = "These are not the pictures that the run was measured on (7 pictures as then, but other files or other"
    assert expected in cli("evaluate", run).out
    for state in run.glob("checkpoints/step-*/state.json"):
        state.unlink()
    said = cli("evaluate", run)
    assert "(7 pictures as then, but other files or other labels)" in said.out, "by predictions.csv too"
    assert (run / "evaluations/val-changed/evaluation.json").exists()


def test_the_figures_are_those_of_the_network(tagger: Path, album: Path) -> None:
    data, model = read_manifest(album), load_model(tagger / "model")
    stored = read(tagger / "evaluation.json")
    found = evaluate_tags(model, data.val, LoaderConfig(batch_size=7, workers=0), weights=data.weights)
    assert found.map100 == pytest.approx(stored["map100"])
    predictor = load_predictor(tagger)
    assert isinstance(predictor, TagPredictor)
    assert predictor.threshold == stored["decision"]["threshold"]
    answers = predictor([data.val.root / path for path in data.val.paths], top=5)
    scores = np.array([[dict(zip(a.tags, a.probabilities, strict=True))[name] for name in NAMES] for a in answers])
    ranking = MeanAveragePrecision(len(NAMES))
    ranking.add(scores, data.val.indices, data.val.offsets)
    assert ranking.result().mean == pytest.approx(stored["map100"])
    with (tagger / "predictions.csv").open(newline="") as handle:
        rows = {row["path"]: row for row in csv.DictReader(handle)}
    for path, answer in zip(data.val.paths, answers, strict=True):
        first = float(rows[path]["confidence"].split(";")[0])
        assert answer.probabilities[0] == pytest.approx(first, abs=EVALUATION_BATCHING)
    given = [answer.tags for answer in predictor([data.val.root / path for path in data.val.paths])]
    labels = [{NAMES[k] for k in data.val.tags(sample)} for sample in range(len(data.val))]
    right = sum(len(labels[k] & set(given[k])) for k in range(len(given)))
    assert stored["decision"]["precision"] == pytest.approx(right / sum(map(len, given)))
    assert stored["decision"]["recall"] == pytest.approx(right / sum(map(len, labels)))


def test_predict_prints_and_writes(cli: Cli, tagger: Path, album: Path) -> None:
    pictures = sorted(album.glob("images/val*"))
    lines = cli("predict", tagger, *pictures, "--top", "2").out.splitlines()
    assert len(lines) == len(pictures)
    for line, path in zip(lines, pictures, strict=True):
        source, *cells = line.split("\t")
        assert source == str(path)
        assert len(cells) == 4
        assert float(cells[1]) >= float(cells[3])
    none = cli("predict", tagger, pictures[0], "--threshold", "1", "--json")
    assert json.loads(none.out) == [{"path": str(pictures[0]), "labels": [], "probabilities": [], "error": None}]
    every = json.loads(cli("predict", tagger, pictures[0], "--threshold", "0", "--json").out)
    assert sorted(every[0]["labels"]) == sorted(NAMES)
    said = cli("predict", tagger, album / "images", "--threshold", "0", "--out", "tags.csv")
    assert said.out == "tags.csv: 24 pictures with tags, 1 could not be read (their rows say why)\n"
    document = json.loads(cli("predict", tagger, album / "images", "--out", "tags.jsonl", "--json").out)
    assert (document["out"], document["pictures"], document["failed"]) == ("tags.jsonl", 25, 1)
    assert cli("predict", tagger, album / "images/train0.png").code == 1, "every one failed"


def test_what_was_predicted_can_be_trained_on(cli: Cli, tagger: Path, album: Path) -> None:
    shutil.copytree(album / "images", "images")
    cli("predict", tagger, "images", "--threshold", "0.1", "--out", "again.csv")
    data = read_manifest("again.csv")
    assert len(data.train) + len(data.val) == 25
    assert set(data.class_names) <= set(NAMES)


@pytest.mark.parametrize("verb", ["explain", "draw", "profile"])
def test_other_verbs_take_such_a_run(cli: Cli, tagger: Path, album: Path, verb: str) -> None:
    arguments = {
        "explain": (album / "images/val1.jpg", "--method", "gradcam", "--out", "why.html", "--json"),
        "draw": ("--out", "drawn.svg"),
    }
    said = cli(verb, tagger, *arguments.get(verb, ()))
    assert said.code == 0, said.err
    if verb == "explain":
        (row,) = json.loads(said.out)
        predicted = json.loads(cli("predict", tagger, album / "images/val1.jpg", "--top", "5", "--json").out)[0]
        assert [one["class"] for one in row["top"]] == predicted["labels"]
        found = [one["probability"] for one in row["top"]]
        assert found == pytest.approx(predicted["probabilities"], abs=1e-4)


def test_check_before_a_training(cli: Cli, album: Path) -> None:
    said = cli("check", album)
    assert said.code == 0, said.err
    assert "18 pictures to train on (of which 1 cannot be used), 7 to validate on, 5 classes." in said.out
    assert "WARNING  1 class has no readable picture.\n    never\n" in said.out
    assert "Written to runs/checks/album: check.json, check.csv." in said.out
    stored = json.loads(cli("check", album / "val.jsonl", "--json", "--workers", "1").out)
    assert stored["pictures"]["train"] + stored["pictures"]["val"] == 7


def test_a_network_within_milliseconds(cli: Cli, album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from separable.training import budget

    chosen = type("Chosen", (), {"name": "mobilenet_v1", "options": {"width": 0.25}, "size": 64})
    choice = type("Choice", (), {"chosen": chosen, "to_text": lambda self: "chosen"})
    monkeypatch.setattr(budget, "choose_network", lambda budget_ms, classes: choice())
    told = json.loads(cli("train", album, "--budget-ms", "5", "--weights", "none", "--dry-run", "--json").out)
    assert (told["config"]["model"]["name"], told["estimate"]["input_size"]) == ("mobilenet_v1", [64, 64])
