"""Pictures that cannot be read: listed, tolerated up to a share, and no way round that."""

from dataclasses import replace
from pathlib import Path

import pytest

from separable.data.folder import read_folder
from separable.data.quarantine import Quarantine
from separable.errors import (
    TooManyBadPicturesError,
)
from separable.training.config import TrainConfig
from separable.training.loop import train
from separable.training.report.data_check import unreadable_section
from separable.training.report.reading import RunReader, read_answers, read_record
from tests.training.killable import small_config, write_pictures
from tests.training.recorded import Recorder


def test_too_many_unreadable_pictures_stop_the_run(tmp_path: Path) -> None:
    root = write_pictures(tmp_path / "data")
    for i in range(1, 12):
        (root / "train" / "light" / f"{i}.{'jpg' if i % 2 else 'png'}").write_bytes(b"")
    config = small_config(tmp_path / "run", root, threads=1)
    config = replace(config, data=replace(config.data, max_bad=0.1))
    with pytest.raises(TooManyBadPicturesError, match=r"Too many pictures cannot be read.*of 60.*at most 10.0%"):
        train(config, read_folder(root))
    assert "light/" in (tmp_path / "run" / "quarantine.csv").read_text()


def test_a_resume_does_not_get_past_max_bad(tmp_path: Path) -> None:
    root = write_pictures(tmp_path / "data")
    for i in range(1, 12):
        (root / "train" / "light" / f"{i}.{'jpg' if i % 2 else 'png'}").write_bytes(b"")
    config = small_config(tmp_path / "run", root, threads=1)
    config = replace(config, data=replace(config.data, max_bad=0.1))
    texts = []
    for resume in (False, True, True):
        with pytest.raises(TooManyBadPicturesError, match="Too many pictures cannot be read") as caught:
            train(config, read_folder(root), resume=resume)
        texts.append(str(caught.value))
    assert len(set(texts)) == 1, "no step further"
    # The advice can be followed: mended pictures are taken off the list.
    whole = (root / "train" / "light" / "0.png").read_bytes()
    for i in range(1, 12):
        (root / "train" / "light" / f"{i}.{'jpg' if i % 2 else 'png'}").write_bytes(whole)
    recorder = Recorder(stop_after=3)
    assert train(config, read_folder(root), resume=True, display=recorder, stop=recorder.stop).interrupted
    assert set(Quarantine(tmp_path / "run" / "quarantine.csv").causes) <= {"train/dark/0.png"}


def test_the_same_name_in_both_sets_is_two_unreadable_pictures(tmp_path: Path) -> None:
    root = write_pictures(tmp_path / "data")
    (root / "val" / "dark" / "0.png").write_bytes(b"")
    run = tmp_path / "run"
    train(small_config(run, root, epochs=1, threads=1), read_folder(root))
    assert list(Quarantine(run / "quarantine.csv").causes) == ["train/dark/0.png", "val/dark/0.png"]
    reader = RunReader(run)
    evaluation = read_answers(reader).evaluation
    assert evaluation is not None
    shown = str(unreadable_section(read_record(reader), evaluation.bad))
    assert "2 pictures could not be read" in shown
    assert "val/dark/0.png" in shown


def test_the_advice_to_allow_more_unreadable_pictures_can_be_followed(tmp_path: Path) -> None:
    root = write_pictures(tmp_path / "data")
    config = small_config(tmp_path / "run", root, epochs=1, threads=1)
    strict = replace(config, data=replace(config.data, max_bad=0.0))
    with pytest.raises(TooManyBadPicturesError, match="or allow more with --max-bad"):
        train(strict, read_folder(root))
    assert train(config, read_folder(root), resume=True).steps == 6
    assert TrainConfig.from_yaml(tmp_path / "run" / "config.yaml") == config
