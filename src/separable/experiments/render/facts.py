"""What stands beside a result's tables: what is missing, what was trained, and how to repeat it."""

from collections.abc import Mapping
from typing import Any

from separable.analysis.page.wording import count_of, listed
from separable.experiments.results import Result
from separable.experiments.wording import DASH, setting_text

__all__ = ["arms_in_words", "facts", "missing"]


def missing(result: Result) -> list[str]:
    """Sentences on what is not there."""
    unfinished = [] if result.finished else ["Not finished: the same command goes on from here."]
    failed = [
        f"{arm.name}, seed {one.seed}: {one.failed}"
        for arm in result.arms
        for one in arm.seeds
        if one.failed is not None
    ]
    return [*unfinished, *result.problems, *failed]


def arms_in_words(result: Result) -> list[tuple[str, str]]:
    """Each row's network with its options, and the note on it."""
    said = []
    for arm in result.arms:
        options = ", ".join(f"{name}={value}" for name, value in arm.options.items())
        network = f"{arm.model} ({options})" if options else arm.model
        said.append((arm.name, f"{network}. {arm.note}" if arm.note else network))
    return said


def facts(result: Result) -> list[tuple[str, str]]:
    """How to repeat it: data, settings, versions, machine."""
    data, setup = result.data, result.setup
    seeds = setup.get("seeds", ())
    factors = [value for value in setup.get("learning_rates", ()) if value != 1.0]
    pairs = [
        ("scale", setting_text(result)),
        ("pictures", _pictures(data)),
        ("recipe", _recipe(setup)),
        ("changed", _mapping(setup.get("changes"), missing="none")),
        ("narrower", _mapping(_options(result))),
        ("widths", _solved(setup)),
        ("seeds", listed([str(seed) for seed in seeds])),
        ("learning rates", f"each arm tried {listed([f'{one:g}' for one in setup['learning_rates']])} times the "
         "recipe's on pictures held out of the training ones" if factors else ""),
        ("precision", str(setup.get("precision", ""))),
        ("date", result.date),
        ("versions", _mapping(result.versions)),
        ("machine", _machine(result.machine)),
        ("data's fingerprint", str(data.get("fingerprint", ""))),
    ]  # fmt: skip
    return [(name, text) for name, text in pairs if text and text != DASH]


def _recipe(setup: Mapping[str, Any]) -> str:
    """Nothing of networks that were trained before."""
    if "recipe" not in setup:
        return ""
    return (
        f"{setup['recipe']}, {count_of(int(setup['epochs']), 'epoch')}, batch {setup['batch_size']}, pictures of "
        f"{_sides(setup.get('image_size'))}"
    )


def _solved(setup: Mapping[str, Any]) -> str:
    """Where widths were solved for, if any were."""
    solved = setup.get("solved")
    return f"solved for on {_machine(solved['machine'])}, at {solved['date']}" if solved else ""


def _options(result: Result) -> dict[str, Any]:
    """What the scale lays over the options of the networks that are in it."""
    there = {arm.model for arm in result.arms}
    return {name: options for name, options in (result.setup.get("options") or {}).items() if name in there}


def _machine(machine: Mapping[str, Any]) -> str:
    """With its memory in a unit that can be read; of several that made a table the first, and a problem names all."""
    memory, machine = machine.get("memory"), {key: entry for key, entry in machine.items() if key != "made"}
    shown = {**machine, "memory": f"{memory / 2**30:.0f} GiB"} if isinstance(memory, int) else machine
    return _mapping(dict(shown))


def _mapping(value: object, missing: str = "") -> str:
    """ "one 1, other (a=2)"; entries that are None are left out, or said to be `missing`."""
    if not isinstance(value, dict):
        return "" if value is None else str(value)
    shown = {key: missing if entry is None else _inner(entry) for key, entry in value.items() if entry not in ({}, ())}
    return ", ".join(f"{key} {text}" for key, text in shown.items() if text)


def _inner(value: object) -> str:
    return f"({', '.join(f'{key}={entry}' for key, entry in value.items())})" if isinstance(value, dict) else str(value)


def _pictures(data: dict[str, object]) -> str:
    what = str(data.get("what", "") or "")
    counts = [f"{int(str(data[key])):,} {said}" for key, said in (("train", "to train on"), ("held_out", "held out"),
              ("classes", "classes")) if data.get(key) is not None]  # fmt: skip
    return ": ".join(part for part in (what, ", ".join(counts)) if part)


def _sides(value: object) -> str:
    return "the published side" if value is None else f"{value} pixels"
