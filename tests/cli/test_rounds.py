"""A trained run measured and corrected again: on its own pictures, on changed ones, and over several rounds."""

import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import Cli


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy of the trained run."""
    shutil.copytree(trained, tmp_path / "run")
    return tmp_path / "run"


def test_evaluate_says_that_few_pictures_correct_no_confidence(cli: Cli, run: Path) -> None:
    outcome = cli("evaluate", run)
    assert "; predict leaves them as they are. 3 pictures to fit a correction on are too few: it takes 100. " in (
        outcome.out
    )
