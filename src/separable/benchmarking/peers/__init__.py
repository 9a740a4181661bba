"""Who takes part in `separable bench train` and `infer`: us, torch in several settings, and other people's tools."""

from pathlib import Path

from separable.benchmarking.contest import Peer
from separable.benchmarking.peers.contestants import (
    compiled,
    compiled_tuned,
    demand_compiler,
    demand_keras_torch,
    demand_nothing,
    demand_timm,
    demand_torchvision,
    keras_demand,
    keras_tensorflow,
    keras_torch,
    ours,
    timm_amp,
    timm_eager,
    torch_in,
    torchvision_eager,
)

__all__ = ["PEERS", "keras_peer"]


def keras_peer(python: Path | str | None = None) -> Peer:
    """The peer "keras-tf" with another interpreter than that of its environment in the cache."""
    return Peer(
        "keras-tf",
        "Keras' networks on TensorFlow, in an environment of its own",
        keras_tensorflow(python),
        keras_demand(python),
    )


PEERS: dict[str, Peer] = {
    "ours": Peer("ours", "this package, as `separable train` and `predict` set it up", ours, demand_nothing),
    "torch-tuned": Peer(
        "torch-tuned",
        "our networks in plain torch: channels_last, the same allocator and threads",
        torch_in("torch-tuned"),
        demand_nothing,
    ),
    "torch-channels-last": Peer(
        "torch-channels-last",
        "our networks in plain torch, channels_last, nothing else set",
        torch_in("torch-channels-last"),
        demand_nothing,
    ),
    "torch-eager": Peer(
        "torch-eager", "our networks in plain torch, nothing set", torch_in("torch-eager"), demand_nothing
    ),
    "torch-compile": Peer(
        "torch-compile", "torch.compile of timm's network, default settings, channels_last", compiled, demand_compiler
    ),
    "torch-compile-tuned": Peer(
        "torch-compile-tuned",
        "the same with our allocator and threads",
        compiled_tuned,
        demand_compiler,
    ),
    "timm": Peer("timm", "timm's networks as its scripts run them", timm_eager, demand_timm),
    "timm-channels-last": Peer(
        "timm-channels-last", "timm's networks with its scripts' --channels-last", timm_amp, demand_timm
    ),
    "torchvision": Peer(
        "torchvision", "torchvision's networks as its scripts run them", torchvision_eager, demand_torchvision
    ),
    "keras-tf": keras_peer(),
    "keras-torch": Peer("keras-torch", "Keras' networks on torch, beside ours", keras_torch, demand_keras_torch),
}
"""By the name that `--peers` takes."""
