"""The CPU kernels in a training: chosen before the first step, without a trace, and replayed to the bit."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from separable.blocks.accelerate import choices_of, swapped
from separable.data.folder import FolderData
from separable.ops.cpu import KernelStatus, build, load_kernels
from separable.ops.dispatch import choose
from separable.training import acceleration
from separable.training.acceleration import choose_acceleration, replay_acceleration
from separable.training.config import RegularisationConfig, TrainConfig
from separable.training.loop import train
from separable.training.step import prepare_for_training, set_train_mode
from tests.training.killable import let_kernels_win, small_config
from tests.training.recorded import Recorder, losses
from tests.training.test_step import config_with, fake_batch, narrow, stepper_for

MODES = {"train backward float32", "eval forward float32"}
NO_COMPILER = KernelStatus(False, "no C++ compiler was found")
UNBUILT = KernelStatus(False, "not built yet", Path("cpu-0123.so"))


@pytest.fixture
def winning(monkeypatch: pytest.MonkeyPatch) -> None:
    if not load_kernels(automatic=False).available:
        pytest.skip("the CPU kernels cannot be built here")
    let_kernels_win(monkeypatch.setattr)


def small(run: Path, data: FolderData, **changes: Any) -> TrainConfig:
    return small_config(run, data.train.root.parent, threads=1, epochs=2, **changes)


def chosen_in(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "environment.json").read_text())["chosen"]
    return found


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.usefixtures("winning")
def test_choosing_leaves_no_trace(frozen: bool) -> None:
    config = config_with(RegularisationConfig(freeze_batch_norm=frozen))
    model = narrow(dropout=0.5)
    prepare_for_training(model, config)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state = torch.get_rng_state()
    found = choose_acceleration(model, config, Recorder(), batch_size=8, steps=10)
    assert set(found["choices"]["block2"]) == MODES
    assert found["library"] == load_kernels(automatic=False).library.name
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    norms = [module.training for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms == [not frozen] * len(norms)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        model.eval()(torch.randn(2, 3, 32, 32).contiguous(memory_format=torch.channels_last))
    assert choices_of(model) == found["choices"], "a mode that was not timed is not timed later"


@pytest.mark.usefixtures("winning")
def test_a_replay_steps_to_the_same_bits_and_times_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    config = config_with()
    models = [narrow(dropout=0.5) for _ in range(3)]
    for model in models:
        prepare_for_training(model, config)
    found = choose_acceleration(models[0], config, Recorder(), batch_size=8, steps=10)
    monkeypatch.setattr(swapped, "_time_both", None)  # would be called
    replay_acceleration(models[1], config, json.loads(json.dumps({"acceleration": found})), Recorder())
    assert choices_of(models[1]) == choices_of(models[0])
    outcomes = [stepper_for(config, model).run(fake_batch(), 0) for model in models]
    assert outcomes[0] == outcomes[1]
    first, second, plain = (model.state_dict() for model in models)
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())
    assert not all(torch.equal(tensor, plain[name]) for name, tensor in first.items()), "the kernels have other bits"
    torch.testing.assert_close(first["block1.conv1.conv.weight"], plain["block1.conv1.conv.weight"], atol=1e-4, rtol=0)


VARIANTS: dict[str, Callable[[TrainConfig], TrainConfig]] = {
    "accumulate": lambda config: replace(config, accumulate=2),
    "checkpointing": lambda config: replace(config, gradient_checkpointing=True),
    "frozen": lambda config: replace(
        config,
        recipe=replace(config.recipe, regularisation=replace(config.recipe.regularisation, freeze_batch_norm=True)),
    ),
    "bf16": lambda config: replace(config, precision="bf16"),
}


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.usefixtures("winning")
def test_a_resume_is_identical_in_every_kind_of_training(
    variant: str, data: FolderData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Averaged weights, dropout and mixing are on in all; the last held-out batch is a smaller one."""
    config = VARIANTS[variant](small(tmp_path / "whole", data))
    train(config, data)
    chosen = chosen_in(tmp_path / "whole")["acceleration"]
    numbers = "bfloat16" if variant == "bf16" else "float32"
    assert set(chosen["choices"]["block2"]) == {f"train backward {numbers}", f"eval forward {numbers}"}
    again, stopping = replace(config, run=str(tmp_path / "again")), Recorder(stop_after=3)
    train(again, data, display=stopping, stop=stopping.stop)
    monkeypatch.setattr(swapped, "_time_both", None)
    train(again, data, resume=True)
    assert losses(tmp_path / "again") == losses(tmp_path / "whole")
    weights = [(tmp_path / run / "model" / "model.safetensors").read_bytes() for run in ("again", "whole")]
    assert weights[0] == weights[1]


def test_an_auxiliary_head_is_timed_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """No network here has both that and depthwise convolutions, somebody's may."""

    class Two(nn.Module):
        input_contract = SimpleNamespace(size=(8, 8))

        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 3, groups=3, padding=1)

        def forward(self, x: torch.Tensor) -> Any:
            y = self.conv(x).mean((2, 3))
            return (y, 2 * y) if self.training else y

    if not load_kernels(automatic=False).available:
        pytest.skip("the CPU kernels cannot be built here")
    let_kernels_win(monkeypatch.setattr)
    model: Any = Two().to(memory_format=torch.channels_last)
    found = choose_acceleration(model, config_with(), Recorder(), batch_size=4, steps=1)
    assert set(found["choices"]["conv"]) == MODES


def test_what_the_process_uses_elsewhere_is_no_part_of_a_training(
    data: FolderData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that called `load_kernels()` trains to the bits of one that did not, on a resume too."""
    config = small(tmp_path / "plain", data, accelerate=False)
    train(config, data)
    if not load_kernels(automatic=False).available:
        pytest.skip("the CPU kernels cannot be built here")
    monkeypatch.setattr(build, "_automatic", True)
    assert build.kernels_in_use()
    train(replace(config, run=str(tmp_path / "within")), data)
    assert losses(tmp_path / "within") == losses(tmp_path / "plain")
    images = torch.randn(2, 8, 9, 9).contiguous(memory_format=torch.channels_last)
    assert choose("auto", images, torch.randn(8, 1, 3, 3)) == "cpu", "and the program's own work goes on as before"


@pytest.mark.usefixtures("winning")
def test_a_run_from_before_the_kernels_goes_on_without_them(data: FolderData, tmp_path: Path) -> None:
    config = small(tmp_path / "old", data)
    train(replace(config, run=str(tmp_path / "plain"), accelerate=False), data)
    first = Recorder(stop_after=3)
    train(replace(config, accelerate=False), data, display=first, stop=first.stop)
    state = tmp_path / "old" / "checkpoints" / "step-00000003" / "state.json"
    body = json.loads(state.read_text())["body"]
    assert "accelerate" not in body["identity"]["config"]
    for key in ("acceleration", "runtime"):
        del body["progress"]["chosen"][key]
    digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
    state.write_text(json.dumps({"digest": digest, "body": body}))
    again = Recorder()
    train(config, data, resume=True, display=again)
    assert losses(tmp_path / "old") == losses(tmp_path / "plain")
    assert not [note for note in again.notes if "Warning" in note]


@pytest.mark.usefixtures("winning")
def test_a_resume_without_the_kernels_says_so(
    data: FolderData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small(tmp_path, data)
    first = Recorder(stop_after=1)
    train(config, data, display=first, stop=first.stop)
    assert any(note.startswith("The CPU kernels serve ") for note in first.notes)
    library = load_kernels(automatic=False).library.name

    def resumed(config: TrainConfig, step: int) -> list[str]:
        again = Recorder(stop_after=step)
        train(config, data, resume=True, display=again, stop=again.stop)
        return [note for note in again.notes if note.startswith("Warning: Resuming")]

    without = "Warning: Resuming without the CPU kernels that the run was begun with ({}): from here on the run is not "
    identical = "identical to the bit."
    assert resumed(replace(config, accelerate=False), 2) == [without.format("switched off") + identical]
    with monkeypatch.context() as patch:
        other = KernelStatus(True, "built", Path("/cache/cpu-0123.so"))
        patch.setattr(acceleration, "kernel_status", lambda: other)
        moved = f"Warning: Resuming elsewhere (kernels {library} then, cpu-0123.so now): from here on the run is not "
        assert resumed(config, 3) == [moved + identical]
        patch.setattr(acceleration, "kernel_status", lambda: NO_COMPILER)
        patch.setattr(acceleration, "load_kernels", lambda **_: NO_COMPILER)
        moved = moved.replace("cpu-0123.so now", "none now")
        assert resumed(config, 4) == [moved + identical, without.format(NO_COMPILER.reason) + identical]
    assert resumed(config, 5) == []


def test_without_a_compiler_a_note_and_plain_torch(
    data: FolderData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_kernels_win(monkeypatch.setattr)
    monkeypatch.setattr(acceleration, "kernel_status", lambda: NO_COMPILER)
    display = Recorder(stop_after=1)
    train(small(tmp_path, data), data, display=display, stop=display.stop)
    assert display.notes.count("This training is by plain torch alone: no C++ compiler was found.") == 1
    assert chosen_in(tmp_path)["acceleration"] == {"choices": {}, "library": None, "why": NO_COMPILER.reason}


@pytest.mark.parametrize(
    ("step_seconds", "steps", "status", "considered"),
    [
        (1.0, 399, "built", False),  # timing would take more than a twentieth of it
        (1.0, 400, "built", True),
        (0.1, 1000, "built", False),  # less than two minutes in all
        (1.0, 2100, "unbuilt", False),  # building, a minute and a half, and timing
        (1.0, 2300, "unbuilt", True),
        (1.0, 10**6, "none", False),
    ],
)
def test_when_the_kernels_are_considered(
    step_seconds: float, steps: int, status: str, considered: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = {"built": KernelStatus(True, "built", Path("cpu-0123.so")), "unbuilt": UNBUILT, "none": NO_COMPILER}[status]
    reached = []
    monkeypatch.setattr(acceleration, "kernel_status", lambda: told)
    monkeypatch.setattr(acceleration, "_seconds", lambda *_: step_seconds)
    monkeypatch.setattr(acceleration, "load_for", lambda _: reached.append(True) or NO_COMPILER)
    display = Recorder()
    found = choose_acceleration(narrow(), config_with(), display, batch_size=8, steps=steps)
    assert (found["choices"], found["library"]) == ({}, None)
    assert bool(reached) == considered
    assert len(display.notes) == (considered or status == "none"), "a training that is too short says nothing of it"


def test_the_second_pass_is_the_one_that_counts() -> None:
    model, moments = narrow(), iter([0.0, 100.0, 200.0, 207.0])
    example = torch.randn(2, 3, 32, 32)
    assert acceleration._seconds(model, config_with(), example, lambda: next(moments)) == 7.0
    assert next(moments, None) is None


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"accelerate": False}, "switched off"),
        ({"device": "cuda"}, "the CPU kernels do not serve cuda"),
        ({"channels_last": False}, "the CPU kernels need channels_last"),
    ],
)
def test_what_is_not_considered_costs_nothing(changes: dict[str, Any], why: str, monkeypatch: Any) -> None:
    monkeypatch.setattr(acceleration, "kernel_status", None)
    found = choose_acceleration(narrow(), config_with(**changes), Recorder(), batch_size=8, steps=10**6)
    assert found["why"] == why
    dense: Any = nn.Conv2d(3, 3, 3)
    found = choose_acceleration(dense, config_with(), Recorder(), batch_size=8, steps=10**6)
    assert found["why"] == "the network has no depthwise convolution and no batch norm"


def test_a_network_of_batch_norms_alone_is_considered() -> None:
    dense: Any = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    assert acceleration._obstacle(dense, config_with()) == ""


@pytest.mark.parametrize("ends", [KernelStatus(True, "built", Path("cpu-0123.so")), KernelStatus(False, "no space")])
def test_building_is_announced_and_never_fails_a_run(ends: KernelStatus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acceleration, "kernel_status", lambda: UNBUILT)
    monkeypatch.setattr(acceleration, "load_kernels", lambda **_: ends)
    monkeypatch.setattr(acceleration, "_seconds", lambda *_: 1.0)
    monkeypatch.setattr(acceleration, "_measure", lambda *_: ({}, "Plain torch is the faster one here"))
    display = Recorder()
    found = choose_acceleration(narrow(), config_with(), display, batch_size=8, steps=10_000)
    assert display.notes[0] == "Building the CPU kernels for this machine, which is done once: a minute or two ..."
    if ends.available:
        assert display.notes[1].startswith("Built in ")
        assert display.notes[2].endswith("against plain torch, module by module: about 20.0 s ...")
    else:
        assert display.notes[1:] == ["This training is by plain torch alone: no space."]
        assert found["why"] == "no space"


def test_frozen_batch_norm_stays_in_evaluation_mode() -> None:
    model = narrow()
    set_train_mode(model, config_with(RegularisationConfig(freeze_batch_norm=True)))
    assert model.training
    assert not any(module.training for module in model.modules() if isinstance(module, nn.BatchNorm2d))
