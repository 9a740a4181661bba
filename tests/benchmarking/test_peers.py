"""Who takes part in a contest, and what is said where a peer is not there."""

import subprocess
import sys
from pathlib import Path

import pytest

from separable.benchmarking.contest import Task
from separable.benchmarking.peers import PEERS, keras_peer
from separable.benchmarking.peers import contestants as module
from separable.benchmarking.peers.keras_environment import (
    KERAS_PACKAGES,
    demand_keras,
    keras_folder,
    keras_interpreter,
    make_keras_environment,
)
from separable.benchmarking.worker import called
from separable.errors import MissingExtraError, OutputError, UnknownModelError

TASK = Task("train", 4, 64)


def test_a_peer_is_listed_under_its_own_name() -> None:
    assert all(name == peer.name for name, peer in PEERS.items())
    assert "ours" in PEERS
    assert "torch-tuned" in PEERS


def test_listing_the_peers_imports_none_of_them() -> None:
    code = (
        "import sys; import separable.benchmarking.peers as p; "
        "sys.exit(any(name in sys.modules for name in ('torch', 'timm', 'keras', 'torchvision', 'tensorflow')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(
    "network", ["xception", "inception_v3", "mobilenet_v1", "timm:efficientnet_b0", "unet_xception"]
)
def test_every_contestant_can_be_opened_by_what_it_names(network: str, precision: str) -> None:
    found = [one for peer in PEERS.values() for one in peer.contestants(network, precision, TASK)]
    assert len({one.name for one in found}) == len(found)
    for one in found:
        assert (one.network, one.precision) == (network, precision)
        assert PEERS[one.peer]
        assert one.settings
        assert callable(called(one.factory))
        assert not one.prepare or callable(called(one.prepare))
    lacking = {
        "xception": {"torchvision"},
        "inception_v3": set(),
        "mobilenet_v1": {"torchvision"},
        "timm:efficientnet_b0": {"torchvision", "keras-tf", "keras-torch"},
        "unet_xception": {"timm", "timm-channels-last", "torchvision"},
    }[network]
    assert set(PEERS) - {one.peer for one in found} == lacking


def test_a_precision_that_nobody_has_gives_nobody() -> None:
    for peer in PEERS.values():
        assert list(peer.contestants("xception", "int8", TASK)) == []


def test_stock_peers_are_run_without_our_settings() -> None:
    for name in ("timm", "torchvision", "torch-eager", "torch-compile"):
        for one in PEERS[name].contestants("inception_v3", "fp32", TASK):
            assert not any(one.options.get(setting) for setting in ("tuned", "accelerated"))
            assert bool(one.options.get("channels_last")) == (name == "torch-compile")  # slower there without
            assert one.variables == {}


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_compiled_network_can_have_our_settings_too(precision: str) -> None:
    (plain,), (tuned,) = (
        PEERS[name].contestants("xception", precision, TASK) for name in ("torch-compile", "torch-compile-tuned")
    )
    assert tuned.options == {**plain.options, "tuned": True}
    assert plain.options["channels_last"]


def test_ours_and_the_yardstick_differ_by_the_kernels_alone() -> None:
    for network in ("xception", "timm:mobilenetv1_100"):
        (ours,), (tuned,) = (PEERS[name].contestants(network, "bf16", TASK) for name in ("ours", "torch-tuned"))
        assert ours.options == {**tuned.options, "accelerated": True}
        assert (ours.numerics, ours.factory) == (tuned.numerics, tuned.factory)


def test_a_missing_peer_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(MissingExtraError, match=r'timm is not installed\. pip install "separable\[bench\]"'):
        PEERS["timm"].demand()


def test_no_compiler_is_said_in_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(MissingExtraError, match=r"needs a C\+\+ compiler, and none was found.*apt-get install g\+\+"):
        module.demand_compiler()


def test_without_timm_torch_compile_takes_our_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    (one,) = PEERS["torch-compile"].contestants("xception", "fp32", TASK)
    assert one.options == {"source": "separable", "compiled": True, "channels_last": True}
    assert list(PEERS["timm"].contestants("xception", "fp32", TASK)) == []


def interpreter(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_without_its_environment_keras_says_how_to_make_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SEPARABLE_CACHE", str(tmp_path))
    python = tmp_path / "keras-tf" / "bin" / "python"
    expected = (
        f"Keras on TensorFlow needs an environment of its own. Got: {python}: no such interpreter. "
        f"python -m venv {tmp_path / 'keras-tf'} && {python} -m pip install {' '.join(KERAS_PACKAGES)}."
    )
    with pytest.raises(MissingExtraError) as caught:
        PEERS["keras-tf"].demand()
    assert str(caught.value) == expected


def test_no_folder_is_guessed_from_what_is_no_environment() -> None:
    with pytest.raises(MissingExtraError) as refusal:
        demand_keras("/nope")
    assert f"python -m venv {keras_folder()} && {keras_interpreter()} -m pip install" in str(refusal.value)


def test_an_interpreter_without_tensorflow_is_told_apart(tmp_path: Path) -> None:
    error = "importlib.metadata.PackageNotFoundError: No package metadata was found for tensorflow"
    python = interpreter(tmp_path / "env" / "bin" / "python", f"echo '{error}' >&2; exit 1")
    with pytest.raises(MissingExtraError, match="No package metadata was found for tensorflow"):
        keras_peer(python).demand()


def test_the_interpreter_that_was_named_is_used(tmp_path: Path) -> None:
    python = interpreter(tmp_path / "env" / "bin" / "python", "echo 2.21.0 3.15.1")
    keras_peer(python).demand()
    (one,) = keras_peer(python).contestants("xception", "fp32", TASK)
    assert one.python == str(python)


def test_the_environment_is_made_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SEPARABLE_CACHE", str(tmp_path))
    commands: list[list[str]] = []

    def run(command: list[str]) -> None:
        commands.append(command)
        if "pip" in command:
            interpreter(Path(command[0]), "echo 2.21.0 3.15.1")

    monkeypatch.setattr("separable.benchmarking.peers.keras_environment._run", run)
    said: list[str] = []
    python = make_keras_environment(say=said.append)
    assert commands == [
        [sys.executable, "-m", "venv", str(keras_folder())],
        [str(python), "-m", "pip", "install", "--quiet", *KERAS_PACKAGES],
    ]
    assert len(said) == 1
    demand_keras(python)
    make_keras_environment(say=said.append)
    assert (len(commands), len(said)) == (2, 1)


def test_a_failed_installation_is_told_with_its_last_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(
        sys, "executable", str(interpreter(tmp_path / "python", "echo 'No module named venv' >&2; exit 1"))
    )
    with pytest.raises(OutputError, match=r"could not be made.*ended with 1: No module named venv"):
        make_keras_environment(tmp_path / "env")


def test_networks_that_nobody_has_are_refused() -> None:
    from separable.benchmarking.peers.networks import build_network

    with pytest.raises(UnknownModelError, match="timm has no 'no_such_network'"):
        build_network("timm:no_such_network")
