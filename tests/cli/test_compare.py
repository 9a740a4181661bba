"""`separable compare` from the command line."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from separable.cli.app import app
from separable.data.folder import read_folder
from separable.errors import SeparableError, UsageError
from separable.experiments.trained import compare_trained
from separable.models import build_model
from separable.training.config import DataConfig, Recipe, TrainConfig
from separable.weights import save_model

FACTORY = """
from torch import nn
def small(num_classes):
    pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return nn.Sequential(nn.Conv2d(3, 6, 3, 2), nn.ReLU(), pool, nn.Linear(6, num_classes))
def blind(num_classes):
    return nn.Sequential(nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(3, num_classes))
"""


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Narrow networks wait for a second thread longer than they compute, where the machine is busy."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for part, count in (("train", 12), ("val", 8)):
        for label, name in enumerate(("dark", "light")):
            (tmp_path / "pictures" / part / name).mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(0, 100, (24, 24, 3)) + 130 * label
                Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "pictures" / part / name / f"{number}.png")
    return tmp_path / "pictures"


def refused(arguments: list[str]) -> str:
    with pytest.raises(UsageError) as caught:
        CliRunner().invoke(app, ["compare", *arguments], catch_exceptions=False, standalone_mode=False)
    return str(caught.value)


def test_refusals(pictures: Path) -> None:
    where = ["--data", str(pictures)]
    assert "needs two networks" in refused(["xception", *where])
    assert "stands there twice" in refused(["xception", "xception", *where])
    assert "--pixels is for networks" in refused(["xception", "vgg16", "--pixels", "0..1", *where])
    assert "has no option widht" in refused(["xception:widht=1", "vgg16", *where])
    assert "cannot be read" in refused(["xception", "nowhere.py:f", *where])
    small = refused(["xception", "vgg16", "--image-size", "16", "--home", str(pictures.parent / "home"), *where])
    assert "too small" in small
    assert not list((pictures.parent / "home").glob("cells/*")), "nothing was trained"


def test_runs_are_compared_as_they_are(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("one", "other", "strange")):
        torch.manual_seed(seed)
        model = build_model("mobilenet_v1", 2, width=0.0625, stem_stride=1)
        names = ("dark", "light") if name != "strange" else ("light", "pale")
        model.input_contract = replace(model.input_contract, size=(32, 32), class_names=names)
        save_model(model, tmp_path / name)
    arguments = ["compare", "one", "other", "--data", "pictures", "--home", "home", "--json"]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    found = json.loads(result.stdout)
    assert [arm["name"] for arm in found["arms"]] == ["one", "other"]
    assert found["data"]["held_out"] == 16, "the held-out pictures alone"
    assert (tmp_path / found["out"] / "report.html").is_file()
    where = ["--data", "pictures"]
    assert "compared with its like alone" in refused(["one", "xception", *where])
    assert "stands there twice" in refused(["one", "one", *where])
    with pytest.raises(SeparableError, match="pale"):
        refused(["one", "strange", *where])


def run_of(folder: Path, pictures: Path, split_seed: int, seed: int) -> None:
    """A run that was trained from `pictures`, without the training."""
    torch.manual_seed(seed)
    model = build_model("mobilenet_v1", 2, width=0.0625, stem_stride=1)
    model.input_contract = replace(model.input_contract, size=(32, 32), class_names=("dark", "light"))
    save_model(model, folder / "model")
    data = DataConfig(str(pictures), str(pictures), str(pictures), split_seed=split_seed)
    recipe = Recipe("mine", "nobody", global_batch=8, epochs=1)
    TrainConfig(str(folder), recipe, data).to_yaml(folder / "config.yaml")


def compared_on(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> tuple[set[str], dict[str, Any]]:
    """The pictures that were measured on, and what was printed."""
    measured: list[set[str]] = []

    def watched(models: Any, pictures: Any, *args: Any, **more: Any) -> Any:
        measured.append(set(pictures.paths))
        return compare_trained(models, pictures, *args, **more)

    monkeypatch.setattr("separable.experiments.trained.compare_trained", watched)
    result = CliRunner().invoke(app, ["compare", *arguments, "--json"], catch_exceptions=False)
    return measured[0], json.loads(result.stdout)


def test_runs_are_never_compared_on_what_they_learnt_from(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    whole = pictures / "train"
    for seed, (name, split) in enumerate((("one", 0), ("twin", 0), ("other", 3), ("third", 6))):
        run_of(tmp_path / name, whole, split, seed)
    held = {seed: set(read_folder(whole, seed=seed).val.paths) for seed in (0, 3, 6)}
    assert held[0] & held[3], "as the hash of the paths has it"
    assert not held[3] & held[6]
    seen, found = compared_on(["one", "twin", "--data", "pictures/train"], monkeypatch)
    assert seen == held[0]
    assert not found["problems"]
    seen, found = compared_on(["one", "other/model", "--data", "pictures/train"], monkeypatch)
    assert seen == held[0] & held[3]
    assert "The runs held out other pictures each" in found["problems"][0]
    assert "one has not seen, another has learnt from" in refused(["other", "third", "--data", "pictures/train"])


def test_what_runs_learnt_from_elsewhere_is_left_out(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("one", "twin")):
        run_of(tmp_path / name, pictures / "train", 0, seed)
    learnt = read_folder(pictures / "train").train.paths
    seen, found = compared_on(["one", "twin", "--data", "pictures/val"], monkeypatch)
    assert len(seen) == 16
    assert not found["problems"]
    shutil.copy(pictures / "train" / learnt[0], pictures / "val" / "dark" / "copy.png")
    seen, found = compared_on(["one", "twin", "--data", "pictures/val"], monkeypatch)
    assert len(seen) == 16
    assert "dark/copy.png" not in seen
    assert found["problems"] == ["one has learnt from 1 of 17 pictures: they are left out."]
    for path in learnt:
        (tmp_path / "copies" / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(pictures / "train" / path, tmp_path / "copies" / path)
    assert "one has learnt from all of these pictures. Got: 20" in refused(["one", "twin", "--data", "copies"])
    shutil.rmtree(pictures / "train")
    _, found = compared_on(["one", "twin", "--data", "copies"], monkeypatch)
    assert "The pictures that one was trained on are not in" in found["problems"][0]


def test_comparisons_of_namesakes_do_not_overwrite_each_other(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate(("one", "twin")):
        run_of(tmp_path / name, pictures / "train", 0, seed)
    shutil.copytree(pictures / "val", tmp_path / "again" / "val")
    outs = {
        compared_on(["one", "twin", "--data", data], monkeypatch)[1]["out"] for data in ("pictures/val", "again/val")
    }
    outs.add(compared_on(["one", "twin", "--data", "pictures/val"], monkeypatch)[1]["out"])
    assert len(outs) == 2


@pytest.mark.slow
def test_two_networks_of_a_file(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my.py").write_text(FACTORY)
    monkeypatch.chdir(tmp_path)
    arguments = ["compare", "my.py:small", "my.py:blind", "--data", "pictures", "--image-size", "24", "--epochs", "2"]
    arguments += ["--batch", "8", "--seeds", "2", "--home", "home", "--json"]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert [arm["parameters"] for arm in found["arms"]] == [6 * 27 + 6 + 14, 3 * 2 + 2]
    assert all({"top1", "parameters", "macs", "milliseconds", "memory"} <= set(arm["mean"]) for arm in found["arms"])
    assert [len(arm["seeds"]) for arm in found["arms"]] == [2, 2]
    assert len(found["claims"]) == 1
    assert found["finished"]
    folder = tmp_path / found["out"]
    assert {"report.html", "result.md", "comparison.json"} <= {path.name for path in folder.iterdir()}
    again = json.loads(CliRunner().invoke(app, arguments, catch_exceptions=False).stdout)
    assert again == found, "the same command finds everything done"
