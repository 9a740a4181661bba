import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from separable.data.folder import FolderData
from separable.errors import UsageError
from separable.models import build_model, model_spec
from separable.training import estimate as estimate_module
from separable.training.budget import CANDIDATES, Candidate, choose_network
from separable.training.config import ModelConfig
from separable.training.display import resident_memory
from separable.training.estimate import estimate
from separable.weights import save_model
from tests.training.killable import small_config


def test_what_is_estimated(data: FolderData, tmp_path: Path) -> None:
    config = small_config(tmp_path / "run", data.train.root.parent)
    found = estimate(config, data)
    model = build_model("xception", 3, width=0.125, stem_stride=1, middle_blocks=1)
    assert found.parameters == sum(p.numel() for p in model.parameters())
    assert (found.batch_size, found.steps_per_epoch, found.epochs) == (8, 6, 4)
    assert found.seconds == pytest.approx(4 * found.seconds_per_epoch)
    assert found.fits
    assert json.loads(json.dumps(found.to_json()))["input_size"] == [32, 32]
    text = found.to_text()
    assert f"xception at 32x32: {found.parameters:,} parameters" in text
    assert "6 steps of" in text
    assert "4 epochs: an estimate, measured just now on this machine.\n" in f"{text}\n"
    single = replace(found, batch_size=1, steps_per_epoch=1, epochs=1).to_text()
    assert "1 picture a step" in single
    assert "(1 step of" in single
    assert "1 epoch:" in single
    assert not (tmp_path / "run").exists()
    tight = replace(found, memory=found.memory_limit)
    assert "That may not fit: use a smaller --batch" in tight.to_text()


def test_the_size_is_that_of_the_starting_weights(data: FolderData, tmp_path: Path) -> None:
    trained = build_model("mobilenet_v1", 10, width=0.25)
    trained.input_contract = replace(trained.input_contract, size=(64, 96))
    save_model(trained, tmp_path / "start")
    config = small_config(tmp_path / "run", data.train.root.parent)
    config = replace(config, model=ModelConfig("mobilenet_v1", {"width": 0.25}, str(tmp_path / "start")))
    found = estimate(config, data)
    assert found.input_size == (64, 96)
    assert "mobilenet_v1 at 64x96" in found.to_text()


@pytest.mark.skipif(not resident_memory(), reason="the system does not say how much memory a process holds")
def test_the_memory_is_within_a_quarter_of_the_measured_peak(data: FolderData, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.training.memory_probe", str(data.train.root.parent), str(tmp_path)]
    ended = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    bytes_ = json.loads(ended.stdout)
    assert bytes_["trial"] < bytes_["measured"], "the trial needs as much as the real step"
    assert 0.75 < bytes_["predicted"] / bytes_["measured"] < 1.35


def test_the_most_accurate_candidate_within_the_budget_is_taken() -> None:
    times = {"a": 90.0, "b": 30.0, "c": 10.0, "d": 1.0}
    candidates = tuple(Candidate(name, 224, top1, "") for name, top1 in (("d", 50), ("b", 75), ("a", 80), ("c", 70)))
    found = choose_network(20, 5, candidates=candidates, measure=lambda candidate, _: times[candidate.name])
    assert found.chosen.name == "c"
    assert [trial.candidate.name for trial in found.tried] == ["a", "b", "c"]
    assert found.to_text().splitlines() == [
        "Looking for the most accurate network that answers within 20 ms here (one picture):",
        "  a at 224: 90.0 ms, 80.0 % on ImageNet as published",
        "  b at 224: 30.0 ms, 75.0 % on ImageNet as published",
        "  c at 224: 10.0 ms, 70.0 % on ImageNet as published",
        "Taking c at 224.",
    ]
    json.dumps(found.to_json())


def test_a_budget_that_nothing_keeps_names_the_fastest() -> None:
    candidates = (Candidate("a", 224, 80, ""), Candidate("b", 128, 70, "", {"width": 0.5}))
    times = {"a": 9.0, "b": 4.0}
    with pytest.raises(UsageError, match=r"within 2 ms.*Got: 4\.0 ms for b width 0\.5 at 128, the fastest of 2"):
        choose_network(2, 5, candidates=candidates, measure=lambda candidate, _: times[candidate.name])
    with pytest.raises(UsageError, match="has to be positive"):
        choose_network(0, 5)


def test_every_candidate_is_a_network_and_one_is_really_measured() -> None:
    for candidate in CANDIDATES:
        spec = model_spec(candidate.name)
        assert set(candidate.options) <= set(spec.options)
        assert candidate.size >= spec.min_size
    found = choose_network(60_000, 5, candidates=CANDIDATES[-1:])
    assert 0 < found.tried[0].milliseconds < 60_000


def test_a_slow_step_is_timed_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first is slower by what it meets cold; the better of both counts."""
    moments = iter([0.0, 9.0, 10.0, 12.0])
    monkeypatch.setattr(estimate_module, "time", SimpleNamespace(perf_counter=lambda: next(moments)))
    model: Any = SimpleNamespace(input_contract=SimpleNamespace(size=(8, 8)))
    stepper: Any = SimpleNamespace(run=lambda *_: None, objective=SimpleNamespace(blank=lambda *_: None))
    assert estimate_module._seconds_per_picture(model, stepper, 4, 32) == 0.5
