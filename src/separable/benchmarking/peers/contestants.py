"""Each peer's contestants: the settings in which its users run it, or in which a fair comparison has to.

Where a peer is run "as its users run it", nothing of ours is set in its process: neither the allocator nor threads nor
layout. Nothing here imports a peer.
"""

import importlib.util
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from separable.benchmarking.contest import Contestant, Task
from separable.benchmarking.peers.keras_environment import demand_keras, keras_interpreter
from separable.errors import MissingExtraError

__all__ = [
    "compiled",
    "compiled_tuned",
    "demand_compiler",
    "demand_keras_torch",
    "demand_nothing",
    "demand_timm",
    "demand_torchvision",
    "keras_contestant",
    "keras_demand",
    "keras_tensorflow",
    "keras_torch",
    "ours",
    "timm_amp",
    "timm_eager",
    "torch_in",
    "torchvision_eager",
]

_OPEN = "separable.benchmarking.peers.opening:open_torch"
_PRECISIONS = ("fp32", "bf16")
_AUTOCAST = {"fp32": "", "bf16": ", bf16 autocast"}
_TUNED = "channels_last{}, freed memory kept, a thread for each core"
_KERAS_WIDTH = {"mobilenet_v1": {"dropout": 0.0}}
_EXAMPLE = "unet_xception"
"""Of Keras' segmentation example, which no module of Keras has."""


def ours(network: str, precision: str, task: Task) -> Sequence[Contestant]:
    """This package as `separable train` and `predict` set it up; of a network of timm's, `accelerate` on it."""
    settings = _TUNED.format(_AUTOCAST.get(precision)) + ", accelerated"
    return _own("separable", "ours", settings, network, precision, channels_last=True, tuned=True, accelerated=True)


def torch_in(kind: str) -> Callable[[str, str, Task], Sequence[Contestant]]:
    """The same networks in plain torch, by peer: "torch-eager", "torch-channels-last", or "torch-tuned", which has the
    settings that ours has, layout, allocator and threads, and so is the yardstick for the kernels."""
    name, settings, options = {
        "torch-eager": ("torch, default layout", "default layout{}", {}),
        "torch-channels-last": ("torch, channels_last", "channels_last{}", {"channels_last": True}),
        "torch-tuned": ("torch, tuned", _TUNED, {"channels_last": True, "tuned": True}),
    }[kind]

    def contestants(network: str, precision: str, task: Task) -> Sequence[Contestant]:
        return _own(name, kind, settings.format(_AUTOCAST.get(precision)), network, precision, **options)

    return contestants


def timm_eager(network: str, precision: str, task: Task) -> Sequence[Contestant]:
    """timm's network as its scripts run it by default: fp32, default layout; in bf16 with their `--amp`."""
    settings = f"timm's defaults{_AUTOCAST.get(precision)}"
    return _framework("timm", "timm", "timm", settings, network, precision)


def timm_amp(network: str, precision: str, task: Task) -> Sequence[Contestant]:
    """timm's network with its scripts' `--channels-last`, and in bf16 `--amp`."""
    settings = f"timm with --channels-last{_AUTOCAST.get(precision)}"
    name = "timm, channels_last"
    return _framework("timm", name, "timm-channels-last", settings, network, precision, channels_last=True)


def torchvision_eager(network: str, precision: str, task: Task) -> Sequence[Contestant]:
    """torchvision's network as its reference scripts run it, without the auxiliary head."""
    settings = f"torchvision's defaults{_AUTOCAST.get(precision)}"
    return _framework("torchvision", "torchvision", "torchvision", settings, network, precision)


def compiled(network: str, precision: str, task: Task) -> Sequence[Contestant]:
    """`torch.compile`, default settings, of timm's network, or of ours where timm has none.

    channels_last in either precision, and in bf16 autocast, which it gains most from; nothing of ours is set.
    """
    settings = f"torch.compile, default settings, channels_last{_AUTOCAST.get(precision)}"
    return _compiled("torch.compile", "torch-compile", settings, network, precision)


def compiled_tuned(network: str, precision: str, task: Task) -> Sequence[Contestant]:
    """The same with our allocator and threads: what settings and a compiler can do together."""
    settings = f"torch.compile, default settings, {_TUNED.format(_AUTOCAST.get(precision))}"
    return _compiled("torch.compile, tuned", "torch-compile-tuned", settings, network, precision, tuned=True)


def keras_tensorflow(python: Path | str | None = None) -> Callable[[str, str, Task], Sequence[Contestant]]:
    """Keras on TensorFlow: the compiled step of `fit`, and a traced call for inference.

    Args:
        python: the interpreter of its environment; None looks where `make_keras_environment` makes it.
    """

    def contestants(network: str, precision: str, task: Task) -> Sequence[Contestant]:
        policy = {"fp32": "", "bf16": ", mixed_bfloat16"}.get(precision)
        found = keras_contestant(network, precision, task, "tensorflow", str(keras_interpreter(python)))
        settings = f"the compiled step of fit{policy}" if task.verb == "train" else f"tf.function{policy}"
        return [] if found is None or policy is None else [_with(found, settings)]

    return contestants


def keras_torch(network: str, precision: str, task: Task) -> Sequence[Contestant]:
    """The same on torch, in this environment: the step that `fit` takes there, which is not compiled."""
    policy = {"fp32": "", "bf16": ", mixed_bfloat16"}.get(precision)
    found = keras_contestant(network, precision, task, "torch")
    settings = f"the step of fit{policy}" if task.verb == "train" else f"predict_on_batch{policy}"
    return [] if found is None or policy is None else [_with(found, settings)]


def keras_contestant(network: str, precision: str, task: Task, backend: str, python: str = "") -> Contestant | None:
    """keras.applications' network, or the segmentation example's, on any backend; None where Keras has none."""
    from separable.weights.reference import KERAS_NETWORKS

    if network not in (*KERAS_NETWORKS, _EXAMPLE):
        return None
    options = {
        "backend": backend,
        "channels_last": True,
        "network": "" if network == _EXAMPLE else KERAS_NETWORKS[network][1],
        "arguments": _KERAS_WIDTH.get(network, {}),
        "weights": f"{network}-keras.weights.h5",
        "variables": f"{network}-keras.json",
    }
    return Contestant(
        name=f"Keras, {'TensorFlow' if backend == 'tensorflow' else backend}",
        peer="keras-tf" if backend == "tensorflow" else f"keras-{backend}",
        network=network,
        precision=precision,
        factory="separable.benchmarking.peers.keras_runner:open_keras",
        options=options,
        prepare="separable.benchmarking.peers.keras_given:prepare_keras",
        python=python,
    )


def keras_demand(python: Path | str | None = None) -> Callable[[], None]:
    """What to call to see whether the environment is there."""
    return lambda: demand_keras(python)


def demand_keras_torch() -> None:
    """Keras beside torch.

    Raises:
        MissingExtraError: it is not installed.
    """
    if importlib.util.find_spec("keras") is None:
        raise MissingExtraError("Keras is not installed", fix='pip install "separable[bench]"')


def demand_nothing() -> None:
    """torch is there in any case."""


def demand_timm() -> None:
    """See `import_framework`."""
    _import("timm")


def demand_torchvision() -> None:
    """See `import_framework`."""
    _import("torchvision")


def demand_compiler() -> None:
    """torch.compile writes C++ for the processor, and has nothing of its own to translate it with.

    Raises:
        MissingExtraError: there is no compiler.
    """
    wanted = [name for name in (os.environ.get("CXX"), "g++", "clang++", "cl") if name]
    if not any(shutil.which(name) for name in wanted):
        raise MissingExtraError(
            "torch.compile needs a C++ compiler, and none was found",
            got=f"none of {', '.join(wanted)} in PATH",
            fix="Install g++ (Debian, Ubuntu: apt-get install g++), or leave torch-compile out of --peers",
        )


def _own(name: str, peer: str, settings: str, network: str, precision: str, **options: Any) -> list[Contestant]:
    from separable.benchmarking.peers.networks import is_borrowed

    if precision not in _PRECISIONS:
        return []
    source = "timm" if is_borrowed(network) else "separable"
    numerics = "timm" if is_borrowed(network) else "keras"
    options = {"source": source, **options}
    return [Contestant(name, peer, network, precision, _OPEN, settings, options, numerics)]


def _compiled(name: str, peer: str, settings: str, network: str, precision: str, **more: Any) -> list[Contestant]:
    options = {"compiled": True, "channels_last": True, **more}
    found = _framework("timm", name, peer, f"timm's network, {settings}", network, precision, **options)
    return found or _own(name, peer, settings, network, precision, **options)


def _framework(
    framework: str, name: str, peer: str, settings: str, network: str, precision: str, **options: Any
) -> list[Contestant]:
    from separable.benchmarking.peers.networks import find_port, is_borrowed

    there = framework == "timm" if is_borrowed(network) else find_port(framework, network) is not None
    if not there or precision not in _PRECISIONS or importlib.util.find_spec(framework) is None:
        return []
    options = {"source": framework, **options}
    return [Contestant(name, peer, network, precision, _OPEN, settings, options, framework)]


def _import(framework: str) -> None:
    from separable.weights.reference import import_framework

    import_framework(framework)


def _with(contestant: Contestant, settings: str) -> Contestant:
    from dataclasses import replace

    return replace(contestant, settings=settings)
