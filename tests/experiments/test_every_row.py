"""Every row of every table and figure at smoke scale, as somebody types it: one command, one home, a process a core."""

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from separable.experiments.catalog import EXPERIMENTS
from separable.experiments.results import Result, read_result
from separable.experiments.schema import Experiment
from separable.experiments.wording import TIMED, trained_measures

pytest.importorskip("sklearn")

experiments = pytest.mark.parametrize("experiment", EXPERIMENTS.values(), ids=lambda one: one.name)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("every row")
    command = [sys.executable, "-m", "separable", "reproduce", "--all", "--scale", "smoke", "--home", str(home)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr[-2000:]
    document = json.loads(done.stdout)
    assert document["refused"] == {}
    assert [result["experiment"] for result in document["results"]] == list(EXPERIMENTS)
    (home / "seconds").write_text(f"{after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime}")
    return home


def result_of(home: Path, experiment: Experiment) -> Result:
    found = read_result(home / experiment.name / "smoke" / "result.json")
    assert found is not None
    return found


@experiments
def test_every_row_is_there(home: Path, experiment: Experiment) -> None:
    result, setup = result_of(home, experiment), experiment.setups["smoke"]
    assert result.finished
    assert result.problems == ()
    assert [arm.name for arm in result.arms] == [arm.name for arm in experiment.arms]
    trained = [] if experiment.kind == "count" else trained_measures(experiment.measures)
    timed = {name for name in experiment.measures if name in TIMED}
    for arm, row in zip(experiment.arms, result.arms, strict=True):
        seeds = setup.seeds[:1] if arm.ensemble else setup.seeds
        assert [one.seed for one in row.seeds] == (list(seeds) if trained else [])
        assert [one.failed for one in row.seeds if one.failed] == []
        assert set(trained) <= set(row.mean)
        assert set(row.timing) == timed
        assert row.parameters
        assert row.macs


@experiments
def test_every_claim_is_looked_at(home: Path, experiment: Experiment) -> None:
    result = result_of(home, experiment)
    assert [claim.text for claim in result.claims] == [claim.text for claim in experiment.claims]
    assert [claim.sentence for claim in result.claims if claim.verdict == "not measured"] == []


@experiments
def test_every_page_says_its_scale(home: Path, experiment: Experiment) -> None:
    for name in ("result.md", "report.html"):
        text = (home / experiment.name / "smoke" / name).read_text(encoding="utf-8")
        assert "smoke scale: seconds of training, not the published setting" in text


def test_what_tables_share_is_trained_once(home: Path) -> None:
    seeds = [one.cell for experiment in EXPERIMENTS.values() for arm in result_of(home, experiment).arms
             for one in arm.seeds]  # fmt: skip
    trained = {path.parent.name for path in home.glob("cells/*/outcome.json")}
    assert set(seeds) <= trained
    assert len(set(seeds)) < 0.8 * len(seeds)


def test_it_stays_cheap(home: Path) -> None:
    """Processor seconds: about 90 where this was written."""
    assert float((home / "seconds").read_text()) < 300
