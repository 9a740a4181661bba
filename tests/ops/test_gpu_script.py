"""The script that measures on a GPU, walked through where there is none."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu.py"
installed = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None,
    reason="Triton is not installed: benchmarks/gpu.py was not walked through",
)


def run(tmp_path: Path, *arguments: str) -> tuple[subprocess.CompletedProcess[str], dict[str, object]]:
    environment = {**os.environ, "OUT": str(tmp_path), "SEPARABLE_CACHE": str(tmp_path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(SCRIPT), "--dry-run", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return done, json.loads((tmp_path / "gpu.json").read_text())


@installed
@pytest.mark.slow
def test_every_section_runs(tmp_path: Path) -> None:
    done, report = run(tmp_path)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert report["dry_run"]
    assert report["failures"] == {}
    assert report["gate"]
    assert report["gate_failures"] == []
    for name in ("machine", "ceilings", "depthwise", "units", "networks", "byte_model"):
        assert report[name], name
    networks = report["networks"]
    assert isinstance(networks, list)
    assert [row.get("failure") for row in networks] == [None] * len(networks)
    assert all(row["train"]["images_s"] > 0 and row["infer"]["images_s"] > 0 for row in networks)
    assert {row["network"]: row["modules"] for row in networks if "modules" in row} == {
        "xception": 6,
        "mobilenet_v1": 13,
    }


@installed
def test_out_of_time_there_is_a_result_all_the_same(tmp_path: Path) -> None:
    done, report = run(tmp_path, "--seconds", "0.5", "--sections", "machine,ceilings,correctness,byte_model")
    assert done.returncode == 1
    assert "machine" in report
    assert "OutOfTimeError" in json.dumps(report["failures"])
    assert "gate_failures" in report
    assert "byte_model" in report, "sections after the one that took too long had their turn"
    assert "networks" not in report
