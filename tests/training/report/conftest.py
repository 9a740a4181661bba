"""Runs to report on."""

import shutil
from pathlib import Path

import pytest

from separable.training.report import write_report
from tests.training.synthetic_run import FLOWERS, draw_pictures, write_run


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run over 60 pictures; tests that change it copy it first."""
    base = tmp_path_factory.mktemp("finished")
    pictures = draw_pictures(base / "flowers" / "val", FLOWERS, 12, side=220)
    run = write_run(base / "runs" / "flowers", pictures, val_root=base / "flowers" / "val")
    write_report(run)
    return run


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose pictures were never there, quickly reported."""
    base = tmp_path_factory.mktemp("small")
    return write_run(base / "run", [(f"{n}/1.jpg", i) for i, n in enumerate(FLOWERS)], val_root=base, epochs=2)


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "flowers"))
