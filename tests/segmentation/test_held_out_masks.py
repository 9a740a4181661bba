"""What an epoch's end measures: in the precision of the training, and from memory only where the set fits."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from separable.data.loader import LoaderConfig
from separable.models import SegmentationModel, build_model
from separable.segmentation.coding import MaskCoding
from separable.segmentation.evaluate import PairEvaluationSet, evaluate_masks
from separable.segmentation.losses import LossTerms
from separable.segmentation.pairs import PairsData, read_pairs
from separable.segmentation.task import MaskObjective, SegmentTask
from tests.segmentation.made import write_pairs

LOADER = LoaderConfig(batch_size=2)
SIZE = (16, 24)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> PairsData:
    return read_pairs(write_pairs(tmp_path_factory.mktemp("pairs"), 10), coding=MaskCoding.indices(["a", "b"]))


@pytest.fixture(scope="module")
def model() -> SegmentationModel:
    torch.manual_seed(0)
    built = build_model("unet_xception", 2, width=0.25, depth=1)
    built.input_contract = replace(built.input_contract, size=SIZE)
    assert isinstance(built, SegmentationModel)
    return built.eval()


def test_an_epoch_is_measured_in_the_precision_of_the_training(model: SegmentationModel, data: PairsData) -> None:
    task, objective = SegmentTask(), MaskObjective(LossTerms())
    held_out = task.held_out(data, model.input_contract, LOADER)
    found = {one: task.measure(model, held_out, objective, one, lambda: False).loss for one in ("fp32", "bf16")}
    assert found["fp32"] != found["bf16"]
    assert found == {one: evaluate_masks(model, held_out, precision=one).loss for one in found}


@pytest.mark.parametrize("short", [0, 1])
def test_masks_count_towards_what_fits_memory(
    short: int, model: SegmentationModel, data: PairsData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two pairs of three bytes of picture and two of mask a pixel; what is a byte too large is read again."""
    assert len(data.val) == 2
    monkeypatch.setattr("separable.training.held_out._CACHE_BYTES", 2 * (3 + 2) * SIZE[0] * SIZE[1] - short)
    held_out = PairEvaluationSet(data.val, model.input_contract, LOADER)
    first = evaluate_masks(model, held_out)
    assert (held_out._kept is None) == bool(short)
    if not short:
        held_out.pairs = data.train  # not looked at any more
    again = evaluate_masks(model, held_out)
    assert (again.loss, again.counts.confusion.tolist()) == (first.loss, first.counts.confusion.tolist())


def test_a_given_coding_comes_before_the_folders_classes(tmp_path: Path) -> None:
    """Its classes are put in the order of a model's, as they are where the folder names none."""
    write_pairs(tmp_path, 4)
    (tmp_path / "classes.yaml").write_text("classes: [sea, land]\n")
    given = read_pairs(tmp_path, coding=MaskCoding.indices(["0", "1"]), class_names=["rock", "ice"])
    assert given.class_names == given.train.class_names == ("rock", "ice")


def test_masks_with_too_many_pixels_do_not_tell_the_coding(tmp_path: Path) -> None:
    write_pairs(tmp_path, 4)
    write_pairs(tmp_path / "larger", 1, size=(40, 40), classes=3)
    for name in ("images/000.jpg", "masks/000.png"):
        (tmp_path / "larger" / name).rename(tmp_path / name)
    assert read_pairs(tmp_path).class_names == ("0", "1", "2")
    assert read_pairs(tmp_path, max_pixels=24 * 30).class_names == ("0", "1")
