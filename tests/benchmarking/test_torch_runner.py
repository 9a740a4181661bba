"""Contestants in torch, in this process: what they answer, what they do in a step, how they are set up."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from separable.benchmarking.contest import Answer, Contestant, Given, Task
from separable.benchmarking.gate import Verdict, judge
from separable.benchmarking.peers import PEERS
from separable.benchmarking.peers.networks import build_network
from separable.benchmarking.peers.opening import open_torch
from separable.benchmarking.peers.torch_runner import TorchRunner
from separable.benchmarking.referee import Referee, answer_of, give, give_weights
from separable.blocks.accelerate import settle as settling
from separable.errors import UsageError
from tests.tolerances import CONTEST_GRADIENTS

TRAIN, INFER = Task("train", 4, 64, classes=10), Task("infer", 4, 64, classes=10)


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Given:
    found = give(TRAIN, tmp_path_factory.mktemp("given"))
    for network, numerics in (("mobilenet_v1", "keras"), ("mobilenet_v1", "timm"), ("timm:mobilenetv1_100", "timm")):
        give_weights(TRAIN, found, network, numerics)
    return found


def contestant(peer: str, network: str = "mobilenet_v1", precision: str = "fp32") -> Contestant:
    (one,) = PEERS[peer].contestants(network, precision, TRAIN)
    return replace(one, options={**one.options, "tuned": False})  # which would set up the tests' own process


def truth(one: Contestant, task: Task, given: Given, precision: str) -> dict[str, np.ndarray]:
    model = build_network(one.network, task.classes, one.numerics)
    model.load_state_dict(safetensors.torch.load_file(given.weights(one.network, one.numerics)))
    layout = torch.channels_last if one.options.get("channels_last") else torch.contiguous_format
    return answer_of(model.double() if precision == "fp64" else model, task, given, precision, layout)


def verdict(answer: Answer, one: Contestant, task: Task, given: Given) -> Verdict:
    """The contest's own, without its processes."""
    referee = Referee(task, given)
    for precision, last in (("fp64", True), (one.precision, bool(one.options.get("channels_last")))):
        referee._answers[one.network, one.numerics, precision, last] = truth(one, task, given, precision)
    return referee.judge(one, answer)


def is_right(answer: Answer, one: Contestant, task: Task, given: Given) -> bool:
    return verdict(answer, one, task, given).passed


@pytest.mark.parametrize("task", [TRAIN, INFER], ids=["train", "infer"])
@pytest.mark.parametrize(
    ("peer", "network"),
    [("torch-eager", "mobilenet_v1"), ("timm", "mobilenet_v1"), ("torch-tuned", "timm:mobilenetv1_100")],
)
def test_the_gate_lets_every_way_of_running_pass(peer: str, network: str, task: Task, given: Given) -> None:
    one = contestant(peer, network)
    answer = TorchRunner(one, task, given).answer()
    assert is_right(answer, one, task, given)
    names = {name for name, _ in build_network(one.network, 10, one.numerics).named_parameters()}
    assert set(answer) == ({"loss"} | names if task.verb == "train" else {"logits"})


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_gate_sees_one_layers_gradient_that_is_a_quarter_too_short(precision: str, given: Given) -> None:
    """Of every parameter by itself."""
    one = contestant("torch-channels-last", precision=precision)
    answer = TorchRunner(one, TRAIN, given).answer()
    exact, own = (truth(one, TRAIN, given, name) for name in ("fp64", precision))
    assert is_right(answer, one, TRAIN, given)
    passed = [
        name
        for name in exact
        if name != "loss"
        and judge(answer | {name: 0.75 * answer[name]}, exact, own, precision, least=CONTEST_GRADIENTS).passed
    ]
    assert not passed


def test_the_gate_sees_the_numerics_of_another(given: Given) -> None:
    """timm's network, asked to be Keras': other borders and another epsilon do not pass."""
    one = contestant("timm")
    answer = TorchRunner(one, INFER, given).answer()
    assert not is_right(answer, replace(one, numerics="keras"), INFER, given)
    trained = TorchRunner(one, TRAIN, given).answer()
    assert not is_right(trained, replace(one, numerics="keras"), TRAIN, given)


def test_bf16_is_autocast_and_shows(given: Given) -> None:
    exact = TorchRunner(contestant("torch-channels-last"), INFER, given).answer()["logits"]
    low = TorchRunner(contestant("torch-channels-last", precision="bf16"), INFER, given).answer()["logits"]
    assert low.dtype == np.float32
    assert np.abs(low - exact).max() > 1e-4 * np.abs(exact).max()


def test_answering_changes_no_weight_and_a_step_changes_every_one(given: Given) -> None:
    runner = TorchRunner(contestant("torch-channels-last"), TRAIN, given)
    start = {name: value.detach().clone() for name, value in runner.network.named_parameters()}
    first = runner.answer()
    assert all(torch.equal(value, start[name]) for name, value in runner.network.named_parameters())
    assert runner.step() > 0
    for name, value in runner.network.named_parameters():  # one step of SGD from rest is rate times gradient
        moved = (start[name] - value.detach()).numpy() / 1e-3
        rounded = np.spacing(start[name].abs().max().numpy()) / 1e-3  # a beta of 3 has no finer numbers round it
        assert np.abs(moved - first[name]).max() <= 1e-4 + rounded + 1e-3 * np.abs(first[name]).max(), name
        assert value.grad is None


def test_momentum_is_09(given: Given) -> None:
    runner = TorchRunner(contestant("torch-eager"), TRAIN, given)
    before, moves = runner.network.head.classifier.bias.detach().clone(), []  # type: ignore[union-attr]
    gradients = []
    for _ in range(2):
        gradients.append(runner.answer()["head.classifier.bias"])
        runner.step()
        after = runner.network.head.classifier.bias.detach().clone()  # type: ignore[union-attr]
        moves.append((before - after).numpy() / 1e-3)
        before = after
    np.testing.assert_allclose(moves[1], gradients[1] + 0.9 * moves[0], atol=1e-4)


def test_inference_trains_nothing(given: Given) -> None:
    runner = TorchRunner(contestant("torch-eager"), INFER, given)
    start = {name: value.clone() for name, value in runner.network.state_dict().items()}
    assert runner.answer()["logits"].shape == (4, 10)
    runner.step()
    assert all(torch.equal(value, start[name]) for name, value in runner.network.state_dict().items())


def test_layouts_are_those_of_the_settings(given: Given) -> None:
    for peer, expected in (("torch-eager", False), ("torch-channels-last", True), ("timm", False)):
        runner = TorchRunner(contestant(peer), INFER, given)
        seen: list[bool] = []
        runner.network.register_forward_pre_hook(
            lambda _, arguments, seen=seen: seen.append(arguments[0].is_contiguous(memory_format=torch.channels_last))
        )
        runner.step()
        assert seen == [expected], peer


def test_what_it_says_of_itself_is_plain(given: Given) -> None:
    runner = TorchRunner(contestant("timm"), TRAIN, given)
    runner.answer()
    found = runner.describe()
    assert set(found["versions"]) == {"torch", "timm"}
    assert found["parameters"] == sum(value.numel() for value in build_network("mobilenet_v1", 10).parameters())
    assert found["first_answer_seconds"] > 0
    assert runner.peak_memory() is None


def test_ours_is_accelerated_as_training_does_it(given: Given, monkeypatch: pytest.MonkeyPatch) -> None:
    """Timed once on pictures of the batch, in the contest's precision; afterwards the choices are frozen."""
    calls: list[dict[str, Any]] = []
    plain = settling.accelerate

    def accelerate(model: Any, **options: Any) -> Any:
        calls.append({**options, "autocast": torch.is_autocast_enabled("cpu"), "training": model.training})
        return plain(model, inplace=True, implementation="reference")

    monkeypatch.setattr(settling, "accelerate", accelerate)
    found = TorchRunner(contestant("ours", precision="bf16"), TRAIN, given).describe()
    timed, frozen = calls
    assert timed["example"].shape == (4, 3, 64, 64)
    assert (timed["autocast"], timed["training"], timed["inplace"]) == (True, True, True)
    assert frozen["choices"] == {}
    assert found["accelerated"]["seconds"] > 0


def test_a_tuned_contestant_is_set_up_before_anything_else(given: Given, monkeypatch: pytest.MonkeyPatch) -> None:
    class Tuned:
        @staticmethod
        def to_json() -> dict[str, Any]:
            return {"bf16": True}

    monkeypatch.setattr("separable.machine.runtime.tune_runtime", Tuned)
    (one,) = PEERS["torch-tuned"].contestants("mobilenet_v1", "fp32", INFER)
    assert open_torch(one, INFER, given).describe()["runtime"] == {"bf16": True}
    (stock,) = PEERS["timm"].contestants("mobilenet_v1", "fp32", INFER)
    assert "runtime" not in open_torch(stock, INFER, given).describe()


def test_an_option_that_means_nothing_is_refused(given: Given) -> None:
    one = replace(contestant("timm"), options={"source": "timm", "compile": True})
    with pytest.raises(UsageError, match=r"Unknown options of a contestant. Got: compile"):
        TorchRunner(one, INFER, given)


@pytest.mark.slow
@pytest.mark.compiles
@pytest.mark.parametrize("task", [TRAIN, INFER], ids=["train", "infer"])
def test_a_compiled_contestant_passes_the_gate_and_compiles_once(task: Task, given: Given) -> None:
    one = contestant("torch-compile")
    runner = TorchRunner(one, task, given)
    assert is_right(runner.answer(), one, task, given)
    runner.step()
    assert runner.step() < runner.describe()["first_answer_seconds"] / 3
