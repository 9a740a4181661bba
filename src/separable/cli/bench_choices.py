"""What `separable bench` was asked for, checked, before anything takes time."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from separable.errors import UsageError

if TYPE_CHECKING:
    from separable.benchmarking.contest import Contestant, Peer, Task

__all__ = [
    "baseline_of",
    "check",
    "check_networks",
    "contestants_of",
    "peers_of",
    "precisions_of",
]

_USUAL = ("torch-tuned", "timm")
_OURS = "ours"


def check(device: str, out: Path | None) -> None:
    from separable.files import make_directory
    from separable.training.device import demand_device

    if device != "cpu" and not device.startswith("cuda"):
        raise UsageError("Unknown --device", got=device, expected="cpu or cuda")
    demand_device(device)
    if out is not None:
        make_directory(out)


def precisions_of(given: list[str] | None) -> list[str]:
    from separable.machine.ceilings import PRECISIONS, has_fast_bf16

    if not given:
        return ["bf16" if has_fast_bf16() else "fp32"]
    unknown = [name for name in given if name not in PRECISIONS]
    if unknown:
        raise UsageError("Unknown --precision", got=unknown[0], expected=" or ".join(PRECISIONS))
    return list(dict.fromkeys(given))


def check_networks(names: Sequence[str], task: "Task") -> None:
    """Whatever is wrong with a name or a size is said before anything takes time."""
    from separable.benchmarking.peers.networks import task_for
    from separable.benchmarking.referee import work_of

    for name in names:
        if task_for(name, task.verb, task.batch, task.side).kind != task.kind:
            raise UsageError(
                "One contest is over one kind of answer",
                got=f"{names[0]} and {name}, of which one answers for every pixel",
                expected="networks that all classify pictures, or all segment them",
                fix="Run `separable bench` once for each",
            )
        work_of(name, task)


def peers_of(given: list[str] | None, baseline: str | None, keras_python: Path | None) -> "list[Peer]":
    """Ours, and those asked for; a usual one that is not installed is left out."""
    from separable.benchmarking.peers import PEERS, keras_peer
    from separable.errors import MissingExtraError

    known = {**PEERS, "keras-tf": keras_peer(keras_python)}
    asked = [_OURS, *(given or _USUAL), *([baseline] if baseline else [])]
    unknown = [name for name in asked if name not in known]
    if unknown:
        raise UsageError("There is no such peer", got=unknown[0], expected=", ".join(known))
    found = []
    for name in dict.fromkeys(asked):
        try:
            known[name].demand()
        except MissingExtraError:
            if given is not None or name == baseline:
                raise
            continue
        found.append(known[name])
    return found


def contestants_of(
    names: Sequence[str], precisions: Sequence[str], task: "Task", peers: "Sequence[Peer]"
) -> "list[Contestant]":
    from separable.benchmarking.network_contest import named_apart

    found = [
        contestant
        for network in names
        for precision in precisions
        for peer in peers
        for contestant in peer.contestants(network, precision, task)
    ]
    absent = [peer.name for peer in peers if not any(one.peer == peer.name for one in found)]
    if absent:
        there = [peer.name for peer in peers if peer.name not in (_OURS, *absent)]
        raise UsageError(
            f"{absent[0]} has none of these networks",
            got=f"{', '.join(names)} in {' and '.join(precisions)}",
            expected=f"peers that have one: {', '.join(there)}" if there else None,
            fix=f"Leave {absent[0]} out of --peers, or name a network that it has",
        )
    return named_apart(found)


def baseline_of(contestants: "Sequence[Contestant]", asked: str | None) -> str:
    """The name of a contestant: of the peer asked for, of tuned torch, or the first that is not ours."""
    for peer in (asked, "torch-tuned"):
        found = [one.name for one in contestants if one.peer == peer]
        if found:
            return found[0]
    return next((one.name for one in contestants if one.peer != _OURS), contestants[0].name)
