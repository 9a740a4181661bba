"""Pictures to train on, and threads put back after a training that settled its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from separable.data.folder import FolderData, read_folder
from separable.training.loop import train
from tests.training.killable import Server, small_config, write_pictures


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """train/ and val/ of three classes, 48 and 12 pictures, one of them unreadable."""
    return write_pictures(tmp_path_factory.mktemp("pictures") / "data")


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """Starts trainings that can be killed, quickly."""
    running = Server()
    yield running
    running.close()


@pytest.fixture(scope="session")
def whole(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two epochs."""
    run = tmp_path_factory.mktemp("run") / "whole"
    train(small_config(run, pictures, epochs=2, threads=1), read_folder(pictures))
    return run


@pytest.fixture
def data(pictures: Path) -> FolderData:
    return read_folder(pictures)


@pytest.fixture(autouse=True)
def threads_are_put_back() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)
