"""`separable demo --task segment`, cut down to seconds: a few scenes, one epoch."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import typer.main
from PIL import Image

from separable.cli import demo_segment
from separable.cli.app import app
from separable.data.scenes import SCENES
from separable.segmentation.classes_file import read_classes
from separable.segmentation.digit_scenes import CLASSES
from separable.segmentation.palette import class_colours
from tests.cli.conftest import Cli


@pytest.fixture(autouse=True)
def cut_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_segment, "_SCENES", {"train": 16, "val": 8})
    setup = replace(demo_segment.SETUP, epochs=1, batch_size=8, side=32, options={"width": 0.25, "depth": 1})
    monkeypatch.setattr(demo_segment, "SETUP", setup)


def test_demo_draws_trains_measures_predicts_and_says_what_next(cli: Cli, tmp_path: Path) -> None:
    outcome = cli("demo", "--task", "segment")
    assert outcome.code == 0
    for words in (
        "24 scenes of scanned digits on photographs, as pictures with masks in runs/demo/data/scenes:",
        "16 to learn from, 8 held out, with other digits on other parts of the photographs.",
        "under CC BY 2.0: see runs/demo/data/scenes/CREDIT.txt",
        "Some of the held-out scenes",
        "The same as pictures, each with its truth and its answer: runs/demo/scenes/answers",
        "What it is worth: on the 8 held-out scenes the network has a mean IoU of ",
        "Calling everything background has ",
        "by the colour of a pixel alone, learnt from the same 16 scenes, has ",
        "What happened: pictures and masks were checked; a narrow `unet_xception` (",
        "cells/images/1.jpg ...   cells/masks/1.png ...",
        "cells/classes.yaml",
        "separable check cells/ ",
        "separable train cells/ --task segment ",
        "separable predict runs/cells new.jpg",
    ):
        assert words in outcome.out, outcome.out
    assert outcome.out.count(".png\t") == 8
    run = tmp_path / "runs" / "demo" / "scenes"
    assert (run / "report.html").is_file()
    assert "runs/demo/scenes/report.html" in outcome.out


def test_answers_are_written_as_masks_and_as_pictures(cli: Cli, tmp_path: Path) -> None:
    assert cli("demo", "--task", "segment").code == 0
    answers = tmp_path / "runs" / "demo" / "scenes" / "answers"
    assert sorted(path.name for path in answers.iterdir()) == sorted(
        f"{number:04d}_{kind}.png" for number in range(8) for kind in ("mask", "shown")
    )
    with Image.open(answers / "0003_mask.png") as mask, Image.open(answers / "0003_shown.png") as shown:
        assert (mask.mode, mask.size) == ("P", (SCENES.side, SCENES.side))
        assert np.asarray(mask).max() < len(CLASSES)
        assert mask.getpalette()[: 3 * len(CLASSES)] == [part for one in class_colours(len(CLASSES)) for part in one]
        first = np.asarray(shown)[::2, : 2 * SCENES.side : 2]
    with Image.open(tmp_path / "runs/demo/data/scenes/val/images/0003.png") as picture:
        np.testing.assert_array_equal(first, np.asarray(picture))


def test_a_second_demo_leaves_the_first_alone(cli: Cli, tmp_path: Path) -> None:
    home = tmp_path / "runs" / "demo"
    (home / "scenes").mkdir(parents=True)
    (home / "scenes" / "keep.txt").write_text("mine")
    outcome = cli("demo", "--task", "segment", "--seed", "3", "--json")
    document = json.loads(outcome.out)
    assert document["run"] == "runs/demo/scenes-2"
    assert 0 <= document["metrics"]["val_miou"] <= 1
    assert "An earlier demo stays in runs/demo/scenes; this one goes to runs/demo/scenes-2." in outcome.err
    assert [path.name for path in (home / "scenes").iterdir()] == ["keep.txt"]
    config = (home / "scenes-2" / "config.yaml").read_text()
    for line in ("task: segment", "seed: 3", "flip: false"):
        assert line in config


def test_a_stopped_demo_starts_anew(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    from separable.training import signals

    @contextmanager
    def stopped_at_once(_: object) -> Iterator[signals.StopRequest]:
        stop = signals.StopRequest()
        stop.request()
        yield stop

    monkeypatch.setattr(signals, "stop_on_signals", stopped_at_once)
    outcome = cli("demo", "--task", "segment")
    assert outcome.code == 130
    assert "A demo that was stopped is not gone on with: the next one starts anew" in outcome.out
    assert "What it is worth" not in outcome.out
    assert "--resume" not in outcome.out + outcome.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--task", "sort"), ("Unknown --task", "classify or segment")),
        (("--task", "segment", "--photos"), ("The flower photos have no masks", "Leave one out")),
    ],
)
def test_what_the_demo_cannot_do_is_said_before_anything_is_drawn(
    cli: Cli, tmp_path: Path, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    outcome = cli("demo", *arguments)
    assert outcome.code == 2
    assert all(one in outcome.err for one in words), outcome.err
    assert not list(tmp_path.iterdir())


def test_the_closing_words_can_be_followed(tmp_path: Path) -> None:
    line = next(line for line in demo_segment._CLOSING.splitlines() if line.strip().startswith("classes:"))
    (tmp_path / "classes.yaml").write_text(line.strip())
    assert read_classes(tmp_path / "classes.yaml").class_names == ("background", "nucleus")
    for command in re.findall(r"separable (\S+)((?: \S+)+)", demo_segment._CLOSING):
        verb = typer.main.get_command(app).commands[command[0]]  # type: ignore[attr-defined]
        known = {name for parameter in verb.params for name in parameter.opts}
        assert {word for word in command[1].split() if word.startswith("--")} <= known
