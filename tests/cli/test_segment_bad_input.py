"""What people get wrong with pictures and masks, each with its own message through the real command line."""

import shutil
from pathlib import Path

import pytest
from PIL import Image

from tests.cli.conftest import Cli, write_pictures
from tests.cli.test_bad_input import refused
from tests.segmentation.made import write_pairs
from tests.segmentation.test_folders import write_coco


@pytest.fixture
def masked(tmp_path: Path) -> Path:
    write_pairs(tmp_path / "cats", 4)
    return Path("cats")


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    for name in ("a", "b"):
        write_pictures(tmp_path / "flowers" / name, 2, 0.3)
    return Path("flowers")


@pytest.mark.parametrize("verb", ["train", "check"])
def test_an_empty_folder(cli: Cli, tmp_path: Path, verb: str) -> None:
    (tmp_path / "empty").mkdir()
    refused(cli(verb, "empty", "--task", "segment"), "empty is not laid out as pictures with masks", "no folder in it")
    refused(cli(verb, "nowhere", "--task", "segment"), "There is no folder nowhere")


@pytest.mark.parametrize("half", ["images", "masks"])
def test_one_half_alone(cli: Cli, masked: Path, half: str) -> None:
    shutil.rmtree(masked / ({"images", "masks"} - {half}).pop())
    said = ("cats is not laid out as pictures with masks", f"got       {half}/", "images/ with masks/ beside it")
    refused(cli("train", masked), *said)
    refused(cli("check", masked), *said)


def test_masks_without_their_pictures(cli: Cli, masked: Path) -> None:
    for path in (masked / "images").iterdir():
        path.rename(path.with_stem(f"photo_{path.stem}"))
    said = ("No mask in cats/masks has the name of a picture in cats/images", "Rename the masks after their pictures")
    refused(cli("train", masked), *said)
    shutil.rmtree(masked / "images")
    (masked / "images").mkdir()
    refused(cli("train", masked), "No mask in cats/masks", "no picture file against 000.png (4 files, .png)")


def test_one_pair(cli: Cli, tmp_path: Path) -> None:
    write_pairs(tmp_path / "one", 1)
    refused(cli("train", "one"), "one/images has one picture with a mask", "one to train on and one to validate on")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("classes: 3", "it has no list of classes"),
        ("classes: [{name: sky}]", "class 1 (sky) needs either a colour or a value"),
        ("classes: [{name: sky, value: 0}, {name: cat, value: 0}]", "stands for two classes"),
        ("{", "it is not YAML"),
    ],
)
def test_a_wrong_classes_file(cli: Cli, masked: Path, text: str, said: str) -> None:
    (masked / "classes.yaml").write_text(text)
    refused(cli("train", masked), "cats/classes.yaml: ", said, "expected")


def test_masks_that_nothing_explains(cli: Cli, masked: Path) -> None:
    for number, colour in enumerate(((255, 0, 0), (0, 0, 255), (255, 0, 0), (0, 0, 255))):
        Image.new("RGB", (30, 24), colour).save(masked / f"masks/{number:03d}.png")
    refused(cli("train", masked), "The masks have colours, and nothing says what they mean", "colour: '#ff0000'")


def test_a_broken_file_of_outlines(cli: Cli, tmp_path: Path) -> None:
    source = write_coco(tmp_path / "coco/annotations.json", tmp_path / "coco/images", 2)
    source.write_text(source.read_text()[:-40])
    refused(cli("train", source), "annotations.json is not JSON")
    source.write_text('{"images": [], "annotations": [], "categories": [{"id": 1, "name": "cat"}]}')
    refused(cli("check", source), "has none of the pictures that", "no picture in the file")


@pytest.mark.parametrize(
    ("options", "said", "fix"),
    [
        (("--task", "segment"), "(--task segment)", "leave out --task segment"),
        (
            ("--model", "unet"),
            "(unet answers for every pixel)",
            "leave out --model unet or choose a network that classifies, such as xception",
        ),
        (("--task", "segment", "--model", "unet"), "(--task segment)", "leave out --task segment and --model unet"),
    ],
)
def test_classes_where_masks_are_asked_for(
    cli: Cli, classes: Path, options: tuple[str, ...], said: str, fix: str
) -> None:
    outcome = cli("train", classes, *options)
    what = f"flowers is not laid out as pictures with masks {said}"
    refused(
        outcome, what, "got       a/, b/: that looks like a folder for each class", f"For one answer a picture {fix}"
    )
    assert ("--task segment" in outcome.err) == ("--task" in options), "advice fits what was typed"


def test_parts_of_classes_where_masks_are_asked_for(cli: Cli, tmp_path: Path) -> None:
    for part in ("train", "val"):
        for name in ("daisy", "dandelion"):
            write_pictures(tmp_path / "flowers" / part / name, 2, 0.3)
    looks = "got       train/, val/, and train/ holds daisy/, dandelion/: that looks like a folder for each class"
    refused(cli("train", "flowers", "--task", "segment"), looks)


@pytest.mark.parametrize(
    ("options", "got", "fix"),
    [
        (("--task", "classify"), "--task classify", "leave out --task classify"),
        (("--model", "xception"), "classifies pictures", "leave out --model xception or choose a network such as unet"),
    ],
)
def test_masks_where_classes_are_asked_for(
    cli: Cli, masked: Path, options: tuple[str, ...], got: str, fix: str
) -> None:
    refused(cli("train", masked, *options), "cats holds pictures with masks", got, f"For one answer a pixel {fix}")


@pytest.mark.parametrize("verb", ["train", "check"])
def test_a_folder_that_is_not_there_has_both_layouts_to_choose_from(cli: Cli, verb: str) -> None:
    said = ("a folder of pictures for each class, in train/ and val/ or not", "images/ with masks/ beside it")
    refused(cli(verb, "nonexistent"), "There is no folder nonexistent", *said, "Check the path")


@pytest.mark.parametrize(
    ("task", "model", "got"),
    [("classify", "unet_xception", "answers for every pixel"), ("segment", "xception", "classifies pictures")],
)
def test_a_network_of_the_other_task(cli: Cli, masked: Path, task: str, model: str, got: str) -> None:
    outcome = cli("train", masked, "--task", task, "--model", model)
    refused(outcome, f"--task {task} needs another network", f"{model}, which {got}", code=2)
    assert outcome.out == "", "before the pictures are looked for"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--labels", "x.csv"), "--labels corrects the class of a picture, and pictures with masks have none"),
        (("--budget-ms", "5"), "--budget-ms chooses among networks that classify"),
        (("--loss", "dicee"), "Cannot read this loss"),
        (("--class-weights", "some"), "Unknown class weights 'some'"),
        (("--recipe", "small", "--weights", "none"), "Labels of pixels are not smoothed"),
        (("--task", "detect"), "Unknown task 'detect'"),
    ],
)
def test_options_without_a_meaning_for_masks(cli: Cli, masked: Path, options: tuple[str, ...], said: str) -> None:
    refused(cli("train", masked, *options), said, code=2)


@pytest.mark.parametrize("options", [("--loss", "dice"), ("--class-weights", "balanced")])
def test_options_without_a_meaning_for_classes(cli: Cli, classes: Path, options: tuple[str, ...]) -> None:
    refused(cli("train", classes, *options), f"{options[0]} is for pictures with masks", code=2)
    refused(
        cli("train", classes, "--recipe", "segment", "--weights", "none"), "A training that classifies has no", code=2
    )


def test_what_has_no_meaning_for_a_run_of_the_other_task(cli: Cli, masked: Path, classes: Path, tmp_path: Path) -> None:
    from dataclasses import replace

    from separable.models import build_model
    from separable.weights import save_model

    for name, options in (("unet_xception", {"width": 0.25, "depth": 1}), ("mobilenet_v1", {"width": 0.125})):
        model = build_model(name, 2, **options)  # type: ignore[arg-type]
        model.input_contract = replace(model.input_contract, class_names=("0", "1"))
        save_model(model, tmp_path / name)
    labels = cli("check", "--labels", "unet_xception")
    refused(labels, "--labels lists pictures whose class is doubtful", "pictures.csv", code=2)
    said = "(unet_xception answers for every pixel)"
    refused(cli("evaluate", "./unet_xception", classes, "--out", "o"), "flowers is not laid out", said)
    refused(cli("evaluate", "./mobilenet_v1", masked, "--out", "o"), "cats holds pictures with masks")
    flips = cli("evaluate", "./mobilenet_v1", classes, "--flips", "all", "--out", "o")
    refused(flips, "--flips is for networks that answer for every pixel", code=2)
    refused(cli("evaluate", "./unet_xception", masked, "--flips", "twice", "--out", "o"), "Unknown --flips", code=2)
