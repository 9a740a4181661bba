"""Contests over networks: names, memory, the referee, and one small contest from end to end."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch

from separable.benchmarking.contest import Contestant, Given, Runner, Task, Verb
from separable.benchmarking.network_contest import bench_networks, has_room, named_apart
from separable.benchmarking.peers.networks import build_network, task_for
from separable.benchmarking.referee import answer_of, give, give_weights, work_of
from separable.benchmarking.run import Rules
from separable.benchmarking.worker import called
from separable.errors import UsageError
from separable.models import model_spec

SMALL = Task("infer", 6, 32, classes=10)
PLAIN = Contestant("plain", "plain", "mobilenet_v1", "fp32", "separable.benchmarking.peers.opening:open_torch")


def test_names_tell_contestants_apart() -> None:
    two = replace(PLAIN, network="xception")
    low = replace(PLAIN, precision="bf16")
    assert [one.name for one in named_apart([PLAIN])] == ["plain"]
    assert [one.name for one in named_apart([PLAIN, two])] == ["plain, mobilenet_v1", "plain, xception"]
    assert [one.name for one in named_apart([PLAIN, low])] == [
        "plain, mobilenet_v1, fp32",
        "plain, mobilenet_v1, bf16",
    ]


@pytest.mark.parametrize(("needed", "fits"), [(10 << 20, True), (80 << 20, False), (0, False)])
def test_room_is_what_is_available_with_some_to_spare(tmp_path: Path, needed: int, fits: bool) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 999999999 kB\nMemAvailable: 102400 kB\n")
    assert has_room(needed, meminfo, tmp_path) == fits


def test_a_containers_limit_counts(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("1000000\n")
    (tmp_path / "memory.current").write_text("900000\n")
    assert not has_room(90_000, tmp_path / "none", tmp_path)
    assert has_room(70_000, tmp_path / "none", tmp_path)
    assert has_room(1 << 60, tmp_path / "none", tmp_path / "none")


def test_pictures_repeat_the_distinct_ones(tmp_path: Path) -> None:
    assert [Task("infer", n, 8).distinct for n in (1, 2, 3, 4, 5, 6, 16)] == [1, 2, 3, 4, 1, 3, 4]
    given = give(SMALL, tmp_path)
    pictures, labels = given.pictures(), given.labels()
    assert (pictures.shape, pictures.dtype, labels.dtype) == ((6, 3, 32, 32), np.float32, np.int64)
    assert np.array_equal(pictures[:3], pictures[3:])
    assert np.array_equal(labels[:3], labels[3:])
    assert not np.array_equal(pictures[0], pictures[1])


def test_the_logits_that_are_compared_depend_on_the_picture(tmp_path: Path) -> None:
    given = give(SMALL, tmp_path)
    give_weights(SMALL, given, "mobilenet_v1", "keras")
    model = build_network("mobilenet_v1", 10)
    model.load_state_dict(safetensors.torch.load_file(given.weights("mobilenet_v1")))
    exact = answer_of(model.double(), SMALL, given, "fp64")["logits"]
    assert exact.shape == (3, 10)
    assert np.abs(exact[0] - exact[1]).max() > 0.02 * np.abs(exact).max()


def test_work_is_the_catalogues_count() -> None:
    spec = model_spec("mobilenet_v1")
    task = Task("train", 2, spec.input.size[0])
    assert work_of("mobilenet_v1", task).flops == 2 * spec.macs * 2 * 3


def test_a_contest_from_end_to_end() -> None:
    """Plain torch in two layouts passes, and a peer that is not there spoils nothing."""
    layout = replace(PLAIN, name="channels_last", options={"source": "separable", "channels_last": True})
    plain = replace(PLAIN, options={"source": "separable"})
    absent = replace(PLAIN, name="absent", factory="no_such_module:open")
    result = bench_networks(SMALL, [plain, layout, absent], baseline="plain", rules=Rules(2))
    assert [len(one.seconds) for one in result.entries] == [2, 2, 0]
    assert [one.failure for one in result.entries[:2]] == ["", ""]
    assert result.entries[2].failure == "ModuleNotFoundError: No module named 'no_such_module'"
    assert result.title == "Inference of mobilenet_v1 in fp32, batch 6, 32x32"
    assert all(one.memory and one.memory > 50 << 20 for one in result.entries[:2])


def test_weights_are_written_once(tmp_path: Path) -> None:
    given = Given(tmp_path)
    given.weights("timm:net", "timm").write_bytes(b"there")
    give_weights(SMALL, given, "timm:net", "timm")
    assert given.weights("timm:net", "timm").name == "timm-net-timm.safetensors"
    assert given.weights("timm:net", "timm").read_bytes() == b"there"


def test_pixels_of_a_segmentation_have_labels_in_patches(tmp_path: Path) -> None:
    task = task_for("unet_xception", "train", 4, 40 + 8)
    given = give(task, tmp_path)
    labels = given.labels()
    assert (labels.shape, labels.dtype, labels.max()) == ((4, 48, 48), np.int64, 2)
    patches = labels.reshape(4, 8, 6, 8, 6)
    assert (patches == patches[:, :, :1, :, :1]).all()
    assert not np.array_equal(labels[0], labels[1])


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        ("unet_xception", Task("infer", 2, 160, 3, kind="segment")),
        ("deeplab_xception65", Task("infer", 2, 513, 21, kind="segment")),
        ("mobilenet_v1", Task("infer", 2, 224)),
        ("timm:efficientnet_b0", Task("infer", 2, 224)),
    ],
)
def test_the_task_is_the_networks_own(network: str, expected: Task) -> None:
    assert task_for(network, "infer", 2) == expected


def test_a_side_that_leaves_other_pixels_is_refused() -> None:
    with pytest.raises(UsageError, match=r"Got: a side of 100\. Expected: a multiple of 16"):
        task_for("unet_xception", "train", 2, 100)
    assert task_for("deeplab", "train", 2, 100).side == 100


@pytest.mark.parametrize("verb", ["train", "infer"])
def test_a_contest_of_a_segmentation_network(verb: Verb, monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process; the referee's and the contestant's own answers are over every pixel."""
    monkeypatch.setattr(
        "separable.benchmarking.referee.RemoteRunner", lambda one, *rest: called(one.factory)(one, *rest[:2])
    )
    monkeypatch.setattr(
        "separable.benchmarking.network_contest.RemoteRunner", lambda one, *rest: called(one.factory)(one, *rest)
    )
    task = task_for("unet_xception", verb, 2, 32)
    plain = replace(PLAIN, network="unet_xception", options={"source": "separable", "channels_last": True})
    wrong = replace(plain, name="wrong", factory=f"{__name__}:open_wrong")
    result = bench_networks(task, [plain, wrong], baseline="plain", rules=Rules(1))
    assert result.entries[0].failure == ""
    assert result.entries[0].verdict is not None
    assert result.entries[0].verdict.passed
    assert result.entries[1].failure.startswith("wrong answer: ")


def open_wrong(contestant: Contestant, task: Task, given: Given) -> Runner:
    """Its masks are upside down, or its logits are."""
    runner = called("separable.benchmarking.peers.opening:open_torch")(contestant, task, given)
    if task.verb == "train":
        runner._labels = runner._labels.flip(1)
    else:
        run = runner._run
        runner._run = lambda x: run(x).flip(2)
    return runner
