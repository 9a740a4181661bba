"""keras.applications as a contestant, on Keras' torch backend, which runs the same file as TensorFlow's does."""

import importlib
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch

from separable.benchmarking.contest import Answer, Contestant, Given, Task, Verb
from separable.benchmarking.gate import distance, judge
from separable.benchmarking.peers.contestants import keras_contestant, keras_tensorflow
from separable.benchmarking.peers.keras_environment import demand_keras
from separable.benchmarking.peers.keras_example import example_unet
from separable.benchmarking.peers.keras_given import prepare_keras
from separable.benchmarking.peers.keras_runner import open_keras
from separable.benchmarking.peers.networks import build_network
from separable.benchmarking.referee import answer_of, give, give_weights
from separable.benchmarking.remote import RemoteRunner
from separable.errors import MissingExtraError
from tests.parity.keras_unet import build_keras_unet
from tests.tolerances import CONTEST_GRADIENTS, CONTEST_LOSS

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:keras.*")

TRAIN, INFER = Task("train", 4, 64, classes=10), Task("infer", 4, 64, classes=10)


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Given:
    found = give(TRAIN, tmp_path_factory.mktemp("given"))
    give_weights(TRAIN, found, "mobilenet_v1", "keras")
    prepare_keras(contestant(), TRAIN, found)
    return found


def contestant(precision: str = "fp32") -> Contestant:
    one = keras_contestant("mobilenet_v1", precision, TRAIN, "torch")
    assert one is not None
    return one


def answer(task: Task, given: Given, precision: str) -> dict[str, np.ndarray]:
    model = build_network("mobilenet_v1", 10)
    model.load_state_dict(safetensors.torch.load_file(given.weights("mobilenet_v1")))
    return answer_of(model.double() if precision == "fp64" else model, task, given, precision)


def check_step(got: Answer, expected: Answer, own: Answer) -> None:
    """By the contest's gate."""
    verdict = judge(got, expected, own, "fp32", least=CONTEST_GRADIENTS)
    assert verdict.passed, verdict.reason


@pytest.mark.parametrize("task", [TRAIN, INFER], ids=["train", "infer"])
def test_keras_gives_our_loss_our_gradients_and_our_logits(task: Task, given: Given) -> None:
    runner = open_keras(contestant(), task, given)
    got, expected = runner.answer(), answer(task, given, "fp64")
    assert set(got) == set(expected)
    if task.verb == "infer":
        verdict = judge(got, expected, answer(task, given, "fp32"), "fp32")
        assert verdict.passed, verdict.reason
    else:
        check_step(got, expected, answer(task, given, "fp32"))
    assert runner.step() > 0


def test_asking_changes_nothing_and_a_step_trains(given: Given) -> None:
    """Gradients are read off a step of a huge rate, which has to be taken back, momentum and all."""
    runner = open_keras(contestant(), TRAIN, given)
    first, again = runner.answer(), runner.answer()
    assert distance(again, first, list(first)) <= CONTEST_LOSS
    for _ in range(3):
        runner.step()
    assert distance(runner.answer(), first, list(first)) > 10 * CONTEST_LOSS


def test_what_it_says_of_itself_is_plain(given: Given) -> None:
    found = open_keras(contestant(), INFER, given).describe()
    assert set(found["versions"]) == {"keras", "torch"}
    assert found["parameters"] == sum(value.numel() for value in build_network("mobilenet_v1", 10).parameters())


def test_a_network_that_keras_lacks_gives_no_contestant() -> None:
    assert keras_contestant("inception_v4", "fp32", TRAIN, "torch") is None


def test_it_runs_in_a_process_of_its_own(given: Given) -> None:
    with RemoteRunner(contestant(), INFER, given) as runner:
        got = runner.answer()["logits"]
        assert runner.step() > 0
    expected = answer(INFER, given, "fp64")["logits"]
    assert np.abs(got - expected).max() <= 1e-4 * np.abs(expected).max()


@pytest.mark.slow
@pytest.mark.parametrize("task", [TRAIN, INFER], ids=["train", "infer"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_tensorflow_passes_the_gate(precision: str, task: Task, given: Given) -> None:
    """In its own environment, `KERAS_PYTHON` or the one in the cache."""
    python = os.environ.get("KERAS_PYTHON")
    try:
        demand_keras(python)
    except MissingExtraError as error:
        pytest.skip(str(error))
    (one,) = keras_tensorflow(python)("mobilenet_v1", precision, task)
    with RemoteRunner(one, task, given) as runner:
        got, expected = runner.answer(), answer(task, given, "fp64")
        assert runner.step() > 0
    if task.verb == "train" and precision == "fp32":
        check_step(got, expected, answer(task, given, "fp32"))
    else:
        verdict = judge(got, expected, answer(task, given, precision), precision)
        assert verdict.passed, verdict.reason


def test_the_files_are_written_once(given: Given) -> None:
    path = Path(given.folder / "mobilenet_v1-keras.weights.h5")
    before = path.stat().st_mtime_ns
    prepare_keras(contestant("bf16"), TRAIN, given)
    assert path.stat().st_mtime_ns == before


SEGMENT = Task("train", 2, 64, classes=3, kind="segment")


@pytest.mark.parametrize("verb", ["train", "infer"])
def test_the_segmentation_example_is_our_unet(verb: Verb, tmp_path: Path) -> None:
    """Every gradient under our name and in our shape, turned kernels and biases too, and every pixel's logits."""
    task = replace(SEGMENT, verb=verb)
    found = give(task, tmp_path)
    give_weights(task, found, "unet_xception", "keras")
    one = keras_contestant("unet_xception", "fp32", task, "torch")
    assert one is not None
    prepare_keras(one, task, found)
    got = open_keras(one, task, found).answer()
    model = build_network("unet_xception", 3)
    model.load_state_dict(safetensors.torch.load_file(found.weights("unet_xception")))
    own = answer_of(model, task, found, "fp32")
    model.zero_grad()
    expected = answer_of(model.double(), task, found, "fp64")
    assert set(got) == set(expected) == ({"loss", *dict(model.named_parameters())} if verb == "train" else {"logits"})
    verdict = judge(got, expected, own, "fp32", least=CONTEST_GRADIENTS)
    assert verdict.passed, verdict.reason
    if verb == "infer":
        assert got["logits"].shape == (2, 3, 64, 64)
        return
    turned = got["up2.conv1.conv.weight"]
    for mutant in (turned[..., ::-1, ::-1], turned.swapaxes(0, 1), 0.95 * turned):
        assert not judge(got | {"up2.conv1.conv.weight": mutant}, expected, own, "fp32", least=CONTEST_GRADIENTS).passed


def test_the_example_has_the_layers_of_the_oracle() -> None:
    """Written twice from the same page, once for the tests of parity and once for contests."""
    built = (example_unet(importlib.import_module("keras"), 96, 3), build_keras_unet((96, 96)))
    ours, oracle = ([(type(one).__name__, one.output.shape, one.count_params()) for one in net.layers] for net in built)
    assert ours == oracle
    assert built[0].count_params() == 2_058_979
