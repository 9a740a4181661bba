"""Lists of labels that are wrong, and options that have no meaning there: one sentence each, before any work."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from separable.cli.tasks import laid_out_for, tell_task
from separable.models import build_model
from separable.weights import save_model
from tests.cli.conftest import Cli, Outcome, write_pictures
from tests.segmentation.made import write_pairs

NAMES = ("cat", "dog", "owl")


def refused(outcome: Outcome, *said: str, code: int = 1) -> None:
    assert outcome.code == code, outcome.err
    for words in said:
        assert words in outcome.err, outcome.err
    assert "Traceback" not in outcome.err


@pytest.fixture
def album(tmp_path: Path) -> Path:
    write_pictures(tmp_path / "album/images", 4, 0.3)
    rows = "".join(f"images/{number}.png,{labels}\n" for number, labels in enumerate(("cat", "cat;dog", "", "owl")))
    (tmp_path / "album/labels.csv").write_text("path,labels\n" + rows)
    return Path("album")


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    for name in ("a", "b"):
        write_pictures(tmp_path / "flowers" / name, 2, 0.3)
    return Path("flowers")


@pytest.fixture
def masked(tmp_path: Path) -> Path:
    return write_pairs(tmp_path / "cats", 4)


@pytest.fixture
def tagger(tmp_path: Path) -> Path:
    """A model folder, of a network that was not trained."""
    torch.manual_seed(0)
    network = build_model("mobilenet_v1", len(NAMES), width=0.25)
    contract = replace(network.input_contract, size=(32, 32), class_names=NAMES, answer="sigmoid")
    network.adopt(contract)
    save_model(network, tmp_path / "tagger")
    return Path("tagger")


def test_the_task_is_told_by_how_the_data_lies(cli: Cli, album: Path, classes: Path, masked: Path) -> None:
    assert [tell_task(one) for one in (album, album / "labels.csv", classes, masked)] == [
        "tag", "tag", "classify", "segment",
    ]  # fmt: skip
    assert tell_task(album, model="xception") == "tag", "a network that classifies gives tags too"
    assert tell_task(album, "tag", "mobilenet_v1") == "tag"
    assert [laid_out_for(one) for one in (classes, Path("nothing"), masked)] == [None, None, "segment"]


def test_other_tables_are_no_lists_of_labels(cli: Cli, classes: Path, masked: Path) -> None:
    """Corrections of a training (path,label), and whatever lies about beside classes and masks."""
    (classes / "labels.csv").write_text("path,label\na/0.png,b\n")
    assert tell_task(classes) == "classify"
    (classes / "train.csv").write_text("name;price\n")
    assert tell_task(classes) == "classify"
    (masked / "labels.csv").write_text("path,labels\nimages/000.jpg,cat\n")
    assert tell_task(masked) == "segment", "as before there were tags"


def test_a_folder_of_classes_with_a_list_can_be_either(cli: Cli, classes: Path) -> None:
    (classes / "labels.csv").write_text("path,labels\na/0.png,x;y\na/1.png,y\n")
    assert tell_task(classes) == "tag"
    assert tell_task(classes, "classify") == "classify"


def test_a_list_where_something_else_is_asked_for(cli: Cli, album: Path) -> None:
    fix = "For several labels a picture leave out --task classify"
    for data, is_there in ((album, "holds"), (album / "labels.csv", "is")):
        refused(
            cli("train", data, "--task", "classify"), f"{data} {is_there} a list of pictures with their labels", fix
        )
        refused(
            cli("train", data, "--model", "unet"),
            "(unet answers for every pixel)",
            "For several labels a picture leave out --model unet or choose a network that classifies, such as xception",
        )
        refused(cli("check", data, "--task", "segment"), "(--task segment)", "leave out --task segment")


def test_tags_where_there_is_no_list(cli: Cli, classes: Path, masked: Path) -> None:
    said = ("flowers has no list of labels (--task tag)", "labels.csv with the columns path and labels")
    refused(cli("train", classes, "--task", "tag"), *said, "For one answer a picture leave out --task tag")
    refused(cli("train", masked, "--task", "tag"), "(--task tag)", "For one answer a pixel leave out --task tag")
    refused(cli("train", "nothing", "--task", "tag"), "There is no folder nothing", "Check the path")
    refused(
        cli("train", "nothing"), "There is no folder nothing", "for several labels a picture, a folder with labels.csv"
    )


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (("--labels", "x.csv"), "--labels corrects the one class of a picture, and pictures with tags have several"),
        (("--loss", "dice"), "--loss is for pictures with masks"),
        (("--class-weights", "balanced", "--loss", "dice"), "--loss and --class-weights are for pictures with masks"),
        (("--task", "tag", "--model", "unet"), "--task tag needs another network"),
        (("--task", "tags"), "Unknown task 'tags'"),
        (("--recipe", "segment", "--weights", "none"), "A training that tags has no"),
        (("--val-fraction", "2"), "val_fraction"),
    ],
)
def test_options_without_a_meaning(cli: Cli, album: Path, options: tuple[str, ...], what: str) -> None:
    said = cli("train", album, *options)
    assert said.code in (1, 2)
    refused(said, what, code=said.code)
    assert not Path("runs").exists()


def test_a_faulty_list_names_the_line(cli: Cli, album: Path) -> None:
    text = (album / "labels.csv").read_text()
    (album / "labels.csv").write_text(text + "images/9.png,cat\n")
    refused(cli("train", album), "labels.csv names files that are not there", "images/9.png (line 6)")
    (album / "labels.csv").write_text(text + "images/0.png,dog\n")
    refused(cli("check", album), "line 6, names a picture a second time")
    assert not Path("runs").exists()


@pytest.mark.parametrize("named", ["album", "album/labels.csv"])
def test_a_list_with_other_columns(cli: Cli, album: Path, named: str) -> None:
    (album / "labels.csv").write_text("image,tags\nimages/0.png,cat\n")
    refused(cli("train", named), "labels.csv is not a list of labels", "image, tags", "path and labels")
    (album / "labels.csv").rename(album / "labels.jsonl")
    refused(cli("check", named.replace(".csv", ".jsonl")), "labels.jsonl, line 1, is not JSON", '"labels": ["cat"')


def test_other_classes_than_the_models(cli: Cli, album: Path, tagger: Path) -> None:
    assert cli("evaluate", tagger, album, "--out", "o").code == 0
    (album / "labels.csv").write_text("path,labels\nimages/0.png,cat;gnu\nimages/1.png,dog\n")
    refused(cli("evaluate", tagger, album, "--out", "o"), "names a class that the model does not have", "'gnu'")


@pytest.mark.parametrize(
    ("verb", "what"),
    [
        (("evaluate", "--flips", "all"), "--flips is for networks that answer for every pixel"),
        (("evaluate", "--crops", "12"), "one that gives pictures tags"),
        (("predict", "--reject"), "--reject is for networks that name one class a picture"),
        (("predict", "--tile", "64", "--overlay", "o"), "--tile and --overlay are for networks that answer for every"),
        (("predict", "--threshold", "1.5"), "1.5 is not in the range"),
        (("predict", "--top", "0"), "At least one tag has to be shown"),
        (("predict", "--out", "tags.txt"), "Cannot tell the format of tags.txt"),
    ],
)
def test_options_of_other_networks(cli: Cli, album: Path, tagger: Path, verb: tuple[str, ...], what: str) -> None:
    name, *options = verb
    pictures = album if name == "evaluate" else album / "images"
    refused(cli(name, tagger, pictures, *options, *(("--out", "o") if name == "evaluate" else ())), what, code=2)


def test_a_threshold_is_for_tags_alone(cli: Cli, tmp_path: Path) -> None:
    save_model(build_model("mobilenet_v1", 2, width=0.25), tmp_path / "plain")
    said = ("--threshold is for networks that give pictures tags", "plain classifies pictures", "Leave --threshold out")
    refused(cli("predict", "plain", "x.png", "--threshold", "0.3"), *said, code=2)


def test_evaluating_on_another_kind_of_data(cli: Cli, album: Path, classes: Path, tagger: Path, tmp_path: Path) -> None:
    refused(
        cli("evaluate", tagger, classes, "--out", "o"), "flowers has no list of labels (tagger gives pictures tags)"
    )
    save_model(build_model("mobilenet_v1", 2, width=0.25), tmp_path / "plain")
    refused(cli("evaluate", "plain", album, "--out", "o"), "album holds a list of pictures with their labels")


def test_no_list_of_doubtful_labels(cli: Cli, tagger: Path) -> None:
    refused(cli("check", "--labels", tagger), "pictures with tags have several", "gives pictures tags", code=2)


def test_the_table_of_a_list_is_json_too(cli: Cli, album: Path) -> None:
    (album / "labels.csv").unlink()
    rows = [{"path": f"images/{k}.png", "labels": ["cat"] if k else ["dog", "owl"]} for k in range(4)]
    (album / "labels.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert tell_task(album) == "tag"
