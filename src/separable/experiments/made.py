"""With what and on what figures were made: cells of one table may come from several machines and versions."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from separable.experiments.outcomes import Outcome
from separable.machine.environment import package_versions
from separable.machine.processor import read_processor

__all__ = ["distinct", "machine_of", "made_here", "mixed"]


def made_here(device: str) -> dict[str, Any]:
    """What an outcome keeps: "versions", "machine" and "device"."""
    return {"versions": package_versions(), "machine": machine_of(device), "device": device}


def machine_of(device: str) -> dict[str, Any]:
    """What figures of speed depend on."""
    processor = read_processor()
    machine: dict[str, Any] = {
        "processor": processor.model,
        "cores": processor.usable_cores,
        "memory": processor.memory_bytes,
    }
    if device.startswith("cuda"):
        import torch

        machine["gpu"] = torch.cuda.get_device_name()
    return machine


def distinct(outcomes: Iterable[Outcome]) -> list[dict[str, Any]]:
    """What outcomes were made with, the commonest first, and by how many "cells"; {} of files that do not say it."""
    found: dict[str, dict[str, Any]] = {}
    for outcome in outcomes:
        key = json.dumps(outcome.made, sort_keys=True)
        found.setdefault(key, {**outcome.made, "cells": 0})["cells"] += 1
    return sorted(found.values(), key=lambda one: -one["cells"])


def mixed(made: Sequence[dict[str, Any]]) -> list[str]:
    """Sentences on what differs among what `distinct` found."""
    whole = [one for one in made if "versions" in one]
    said = []
    for package in sorted({name for one in whole for name in one["versions"]}):
        versions = dict.fromkeys(str(one["versions"].get(package) or "none") for one in whole)
        if len(versions) > 1:
            said.append(f"Trainings come from several versions of {package}: {', '.join(versions)}.")
    machines = dict.fromkeys(_named(one) for one in whole)
    if len(machines) > 1:
        said.append(f"Trainings come from several machines: {'; '.join(machines)}.")
    unknown = sum(one["cells"] for one in made if "versions" not in one)
    if unknown:
        said.append(f"Of {unknown} trainings it is not known with which versions and on which machine they were made.")
    return said


def _named(one: dict[str, Any]) -> str:
    machine = one["machine"]
    return f"{machine.get('gpu') or machine.get('processor')} ({one['device']})"
