"""SIGKILL at any moment, resume with other workers: the same losses and the same weights, to the bit."""

import hashlib
import json
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from separable.ops.cpu import load_kernels
from separable.training.journal import read_journal
from tests.segmentation.trainable import FAULTS, write_training_pairs
from tests.training.killable import Server, order


def trace(run: Path) -> list[dict[str, Any]]:
    """Everything of `metrics.jsonl` but the times."""
    return [
        {key: value for key, value in row.items() if key not in ("timing", "seconds")}
        for row in read_journal(run / "metrics.jsonl")
    ]


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def results(run: Path) -> dict[str, str]:
    """Hashes of every result: files, and tensor by tensor the model, the optimiser and the weights before averaging."""
    tables = (run / "predictions.csv", run / "pictures.csv", *run.glob("predictions/*"))
    names = ["model/config.json", "evaluation.json", *(str(p.relative_to(run)) for p in tables if p.is_file())]
    found = {name: digest(run / name) for name in names}
    newest = max((run / "checkpoints").glob("step-*"))
    for path in (run / "model" / "model.safetensors", newest / "training.safetensors"):
        for name, tensor in load_file(path).items():
            found[name] = hashlib.sha256(tensor.numpy().tobytes()).hexdigest()
    return found


def train_with_kills(
    server: Server, pictures: Path, run: Path, epochs: int, kills: int, seed: int, **more: Any
) -> dict[str, int]:
    """Kill the process group `kills` times at keyed random moments, then let it finish. Where the kills fell."""
    draw, fell = random.Random(seed), {"in a checkpoint": 0, "elsewhere": 0}
    for life in range(kills):
        workers = draw.choice([0, 1, 2, 3])
        process = server.start(
            **order(pictures, run, epochs=epochs, workers=workers, delay_seed=1000 * seed + life, slowest=0.02, **more)
        )
        steps = sum(row["kind"] == "step" for row in read_journal(run / "metrics.jsonl"))
        wanted = steps + draw.choice([-1, 0, 1, 2, 3, 4])
        deadline = time.monotonic() + 120
        while sum(row["kind"] == "step" for row in read_journal(run / "metrics.jsonl")) < wanted:
            assert time.monotonic() < deadline, "the training does not move"
            time.sleep(0.003)
        time.sleep(draw.uniform(0.0, 0.15))
        os.killpg(process, signal.SIGKILL)
        assert server.wait() == -signal.SIGKILL
        writing = any((run / "checkpoints").glob(".step-*"))
        fell["in a checkpoint" if writing else "elsewhere"] += 1
    server.start(**order(pictures, run, epochs=epochs, workers=draw.choice([0, 1, 2, 3]), **more))
    assert server.wait() == 0
    return fell


def assert_same(killed: Path, whole: Path) -> None:
    assert trace(killed) == trace(whole)
    assert results(killed) == results(whole)
    assert not list((killed / "checkpoints").glob(".*")), "rubbish of killed checkpoints is left"
    assert not list(killed.glob(".*.tmp")), "rubbish of killed writes is left"


def uninterrupted(server: Server, pictures: Path, run: Path, epochs: int, *, per_epoch: int = 6, **more: Any) -> Path:
    server.start(**order(pictures, run, epochs=epochs, **more))
    assert server.wait() == 0
    steps = [row["step"] for row in read_journal(run / "metrics.jsonl") if row["kind"] == "step"]
    assert steps == list(range(1, per_epoch * epochs + 1))
    return run


def test_five_kills_change_nothing(server: Server, pictures: Path, tmp_path: Path) -> None:
    whole = uninterrupted(server, pictures, tmp_path / "whole", epochs=4)
    train_with_kills(server, pictures, tmp_path / "killed", epochs=4, kills=5, seed=1)
    assert_same(tmp_path / "killed", whole)
    assert "dark/0.png" in (tmp_path / "killed" / "quarantine.csv").read_text()


def test_three_kills_change_nothing_where_the_kernels_compute(server: Server, pictures: Path, tmp_path: Path) -> None:
    """The choices go with checkpoint 0; a kill before it lets them be made anew, here to the same end."""
    if not load_kernels(automatic=False).available:
        pytest.skip("the CPU kernels cannot be built here")
    whole = uninterrupted(server, pictures, tmp_path / "whole", epochs=3, kernels=True)
    train_with_kills(server, pictures, tmp_path / "killed", epochs=3, kills=3, seed=3, kernels=True)
    assert_same(tmp_path / "killed", whole)
    chosen = json.loads((whole / "environment.json").read_text())["chosen"]["acceleration"]
    assert {"eval forward float32", "train backward float32"} <= set(chosen["choices"]["block2"])
    plain = uninterrupted(server, pictures, tmp_path / "plain", epochs=3)
    assert trace(plain) != trace(whole), "the kernels did not compute: their bits are others"


def test_three_kills_change_nothing_in_a_segmentation(server: Server, tmp_path: Path) -> None:
    pairs = write_training_pairs(tmp_path / "pairs")
    whole = uninterrupted(server, pairs, tmp_path / "whole", epochs=4, per_epoch=3, task="segment")
    train_with_kills(server, pairs, tmp_path / "killed", epochs=4, kills=3, seed=4, task="segment")
    assert_same(tmp_path / "killed", whole)
    assert {f"predictions/{k:04d}{side}.png" for k in range(5) for side in ("", "_truth")} <= set(results(whole))
    listed = (tmp_path / "killed" / "quarantine.csv").read_text()
    assert all(f"{path},{cause}" in listed.replace('"', "") for path, cause in FAULTS.items())


@pytest.mark.slow
def test_twenty_five_kills_change_nothing(server: Server, pictures: Path, tmp_path: Path) -> None:
    whole = uninterrupted(server, pictures, tmp_path / "whole", epochs=12)
    fell = train_with_kills(server, pictures, tmp_path / "killed", epochs=12, kills=25, seed=2)
    assert_same(tmp_path / "killed", whole)
    assert fell["in a checkpoint"] >= 3, fell
    assert fell["elsewhere"] >= 3, fell
