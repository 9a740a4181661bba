"""Runs to report on."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from separable.segmentation.report import write_report
from tests.segmentation.report.made_run import Made, make_run


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A finished run over 40 pictures, reported; tests that change it take `copied`."""
    run = make_run(tmp_path_factory.mktemp("made"))
    write_report(run.run)
    return run


@pytest.fixture
def copied(made: Made, tmp_path: Path) -> Made:
    return replace(made, run=Path(shutil.copytree(made.run, tmp_path / "run")))
