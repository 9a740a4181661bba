"""`evaluate --crops` and `--ensemble`, as a user has them."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from separable.data.folder import read_folder
from separable.data.loader import LoaderConfig
from separable.models import build_model
from separable.training.crops import evaluate_crops
from separable.training.evaluate import evaluate
from separable.weights import load_model, save_model
from tests.cli.conftest import Cli, write_pictures


def document(text: str) -> Any:
    return json.loads(text)


@pytest.fixture
def runs(trained: Path, tmp_path: Path) -> tuple[Path, Path, Path]:
    """Three runs that answer differently."""
    made = [Path(shutil.copytree(trained, tmp_path / name)) for name in ("one", "two", "three")]
    for number, run in enumerate(made[1:]):
        model = load_model(run / "model")
        with torch.no_grad():
            model.get_classifier().weight.mul_(0.1).add_(0.01 * number)
        save_model(model, run / "model")
    return made[0], made[1], made[2]


def test_an_ensemble_over_crops(cli: Cli, runs: tuple[Path, Path, Path], colours: Path) -> None:
    one, two, three = runs
    own = {name: (one / name).read_bytes() for name in ("evaluation.json", "predictions.csv", "report.html")}
    said = cli("evaluate", one, "--ensemble", two, three, "--crops", "12")
    assert said.code == 0, said.err
    assert "The run's own figures are those of one network and one crop a picture, and stay as they are." in said.out
    assert f"Answers are means over 12 crops of each picture and 3 networks: {one}, {two}, {three}.\n" in said.out
    assert "held out other pictures" not in said.out
    folder = one / "evaluations" / "val-crops-12-ensemble-two-three"
    assert f"Written to {folder}: evaluation.json, predictions.csv." in said.out
    assert own == {name: (one / name).read_bytes() for name in own}
    stored = document((folder / "evaluation.json").read_text())
    assert (stored["crops"], stored["ensemble"]) == (12, [str(one), str(two), str(three)])
    pictures, models = read_folder(colours).val, [load_model(run / "model") for run in runs]
    expected = evaluate_crops(models, pictures, LoaderConfig(32), crops=12)
    assert stored["loss"] == pytest.approx(expected.loss, abs=1e-6)
    alone = evaluate(models[0], pictures, LoaderConfig(32))
    assert abs(expected.loss - alone.loss) > 1e-3
    assert len({tuple(evaluate(model, pictures, LoaderConfig(32)).probabilities[:, 0]) for model in models}) == 3


def test_crops_alone_and_of_other_pictures(cli: Cli, runs: tuple[Path, Path, Path], tmp_path: Path) -> None:
    one, two, _ = runs
    told = document(cli("evaluate", one, "--crops", "10", "--json").out)
    assert (told["out"], told["crops"], told["ensemble"]) == (f"{one}/evaluations/val-crops-10", 10, [])
    train = document(cli("evaluate", one, "--part", "train", "--ensemble", two, "--json").out)
    assert (train["out"], train["crops"], train["n"]) == (f"{one}/evaluations/train-ensemble-two", 1, 30)
    write_pictures(tmp_path / "more" / "red", 3, 0.0)
    write_pictures(tmp_path / "more" / "blue", 3, 0.6)
    said = cli("evaluate", one, tmp_path / "more", "--crops", "144")
    assert "6 pictures:" in said.out
    assert f"Written to {one}/evaluations/more-crops-144: " in said.out
    many = [Path(shutil.copytree(two, tmp_path / f"a_run_with_a_name_of_its_own_{number}")) for number in range(3)]
    told = document(cli("evaluate", one, "--ensemble", *many, "--json").out)
    assert Path(told["out"]).name.startswith("val-ensemble-3-")
    assert len(Path(told["out"]).name) < 30


def test_what_makes_no_mean(cli: Cli, runs: tuple[Path, Path, Path], colours: Path, tmp_path: Path) -> None:
    one, two, _ = runs

    def refused(*arguments: str | Path, code: int = 2) -> str:
        outcome = cli("evaluate", one, *arguments)
        assert outcome.code == code, outcome.err
        return outcome.err

    assert "There is no such number of crops\n  got       11\n  expected  1, 10, 12 or 144" in refused("--crops", "11")
    assert f"{one}/ would be in the ensemble twice" in refused("--ensemble", f"{one}/")
    assert "mobilenet_v1 is not something that was trained" in refused("--ensemble", "mobilenet_v1")
    assert "is neither a run nor a model" in refused("--ensemble", colours, code=1)
    config = two / "model" / "config.json"
    config.write_text(config.read_text().replace('"red"', '"violet"'))
    said = refused("--ensemble", two)
    assert f"{two} has other classes than the pictures\n  got       violet only there; red not there" in said
    assert not (one / "evaluations").exists()


def test_a_run_that_may_have_seen_the_pictures(cli: Cli, runs: tuple[Path, Path, Path]) -> None:
    one, two, _ = runs
    for state in (two / "checkpoints").glob("step-*/state.json"):
        stored = document(state.read_text())
        stored["body"]["identity"]["validation pictures"] = "6 (0123456789abcdef)"
        state.write_text(json.dumps(stored))
    said = cli("evaluate", one, "--ensemble", two)
    assert f"{two} held out other pictures than these (" in said.out
    assert "it may have been trained on some of them" in said.out


def test_masks_have_neither(cli: Cli, tmp_path: Path) -> None:
    save_model(build_model("unet_xception", 2, width=0.25), tmp_path / "masks")
    outcome = cli("evaluate", "./masks", "--crops", "10")
    assert outcome.code == 2
    assert "--crops and --ensemble are for networks that choose one class a picture" in outcome.err
    assert "got       one that answers for every pixel" in outcome.err
