"""`separable demo`, cut down to seconds: a few digits, one epoch."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from separable.cli import demo_classify
from separable.data import digits, photos
from separable.errors import DownloadError
from tests.cli.conftest import Cli, write_pictures


@pytest.fixture(autouse=True)
def cut_down(monkeypatch: pytest.MonkeyPatch) -> None:
    images, labels = digits.load_digits()
    monkeypatch.setattr(digits, "load_digits", lambda: (images[:150], labels[:150]))
    monkeypatch.setattr(digits, "_COUNT", 150)
    small = {"width": 0.0625, "middle_blocks": 0, "stem_stride": 1}
    for kind, setup in demo_classify.SETUPS.items():
        monkeypatch.setitem(demo_classify.SETUPS, kind, replace(setup, epochs=1, side=32, options=small))


def test_demo_trains_measures_predicts_and_says_what_next(cli: Cli, tmp_path: Path) -> None:
    outcome = cli("demo")
    assert outcome.code == 0
    for words in (
        "150 scanned handwritten digits of 10 classes, as pictures in runs/demo/data/digits:",
        "held-out pictures named right",
        "Some of the held-out pictures",
        "What happened: the pictures were checked; a narrow Xception (",
        "separable train flowers/",
    ):
        assert words in outcome.out, outcome.out
    assert outcome.out.count(".png\t") == 8
    assert (tmp_path / "runs" / "demo" / "digits" / "report.html").is_file()
    config = (tmp_path / "runs" / "demo" / "digits" / "config.yaml").read_text()
    assert "flip: false" in config


def test_a_second_demo_leaves_the_first_alone(cli: Cli, tmp_path: Path) -> None:
    home = tmp_path / "runs" / "demo"
    (home / "digits").mkdir(parents=True)
    (home / "digits" / "keep.txt").write_text("mine")
    outcome = cli("demo", "--seed", "3", "--json")
    assert json.loads(outcome.out)["run"] == "runs/demo/digits-2"
    assert "An earlier demo stays in runs/demo/digits; this one goes to runs/demo/digits-2." in outcome.err
    assert [path.name for path in (home / "digits").iterdir()] == ["keep.txt"]


def test_photos_that_cannot_be_had_fall_back_to_digits(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> Path:
        raise DownloadError("Could not download the photos", got="no network")

    monkeypatch.setattr(photos, "fetch", refuse)
    outcome = cli("demo", "--photos")
    assert outcome.code == 0
    assert "cannot be had (Could not download the photos): the scanned digits take their place." in outcome.out
    assert "150 scanned handwritten digits" in outcome.out


def test_photos_that_are_there_are_used(cli: Cli, tmp_path: Path) -> None:
    for name, hue in (("daisy", 0.1), ("rose", 0.9)):
        write_pictures(tmp_path / "runs" / "demo" / "data" / "photos" / name, 10, hue)
    outcome = cli("demo", "--photos")
    assert outcome.code == 0
    assert "20 flower photos of 2 classes" in outcome.out
    assert "separable predict runs/demo/photos PICTURES..." in outcome.out


def test_a_stopped_demo_starts_anew(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    from separable.training import signals

    @contextmanager
    def stopped_at_once(_: object) -> Iterator[signals.StopRequest]:
        stop = signals.StopRequest()
        stop.request()
        yield stop

    monkeypatch.setattr(signals, "stop_on_signals", stopped_at_once)
    outcome = cli("demo")
    assert outcome.code == 130
    assert "A demo that was stopped is not gone on with: the next one starts anew" in outcome.out
    assert "--resume" not in outcome.out + outcome.err
