"""What the scripts behind the tables of training and segmentation share: rows, how they are read, and the file.

A row holds one contestant against the fastest of others; all of them take turns in one contest (`separable bench` is
the same harness), and every figure is read off steps of the same rounds.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from separable.benchmarking.contest import Contestant, Task
from separable.benchmarking.gate import Verdict
from separable.benchmarking.network_contest import bench_networks, named_apart
from separable.benchmarking.outcome import ContestResult, Entry, Spread
from separable.benchmarking.peers import PEERS, keras_peer
from separable.benchmarking.peers.keras_environment import make_keras_environment
from separable.benchmarking.report import Report
from separable.benchmarking.run import Listener, Rules
from separable.benchmarking.session import measured
from separable.errors import MissingExtraError
from separable.files import write_text_atomically

RESULTS = Path(__file__).parent / "results"
Wanted = tuple[str, str, str]
"""Peer, network, precision."""


@dataclass(frozen=True)
class Row:
    """One line of the table: how many times `ours` is as fast as `against`, or how much memory it takes of theirs."""

    what: str
    target: str
    ours: Wanted
    against: tuple[Wanted, ...]
    memory: bool = False


class Lines(Listener):
    """A line for everything that happens."""

    def __init__(self) -> None:
        self._begun = time.monotonic()

    def opening(self, name: str) -> None:
        self._say(f"opening {name}")

    def judged(self, name: str, verdict: Verdict) -> None:
        self._say(f"{name}: {verdict.error:.2g} from fp64 (torch: {verdict.yardstick:.2g})")

    def failed(self, name: str, reason: str) -> None:
        self._say(f"{name} is out: {reason}")

    def step(self, name: str, done: int, rounds: int, seconds: float) -> None:
        self._say(f"round {done} of {rounds}: {name} {seconds:.3f} s")

    def _say(self, text: str) -> None:
        print(f"{time.monotonic() - self._begun:7.1f} s  {text}", flush=True)


def add_options(parser: argparse.ArgumentParser, rounds: int) -> None:
    """What both scripts take."""
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--keras-python", type=Path, help="of an environment with TensorFlow and Keras")
    parser.add_argument("--make-keras", action="store_true", help="make that environment, some 2 GB, if it is missing")
    parser.add_argument("--quick", action="store_true", help="small pictures and two rounds: only to see that it runs")
    parser.add_argument("--out", type=Path, default=RESULTS)


def contest(wanted: Sequence[Wanted], task: Task, chosen: argparse.Namespace) -> ContestResult:
    """Of all who are wanted and there; the first is the baseline."""
    named = named_apart([one for each in wanted for one in found(each, task, chosen)])
    rules = Rules(rounds=2 if chosen.quick else chosen.rounds)
    return bench_networks(task, named, baseline=named[0].name, rules=rules, listener=Lines())


def found(wanted: Wanted, task: Task, chosen: argparse.Namespace) -> Sequence[Contestant]:
    """The contestant, or nobody and a sentence."""
    name, network, precision = wanted
    peer = keras_peer(chosen.keras_python) if name == "keras-tf" else PEERS[name]
    try:
        peer.demand()
    except MissingExtraError as error:
        print(f"Without {name}: {error}")
        return []
    return peer.contestants(network, precision, task)


def entry_of(result: ContestResult, wanted: Wanted) -> Entry | None:
    """What became of it."""
    return next((one for one in result.entries if (one.peer, one.subject, one.precision) == wanted), None)


def read(row: Row, result: ContestResult) -> dict[str, Any]:
    """The row's figure against the best of those it is against; ratios are of steps of the same round.

    Whoever was not timed cannot be the best, and is named; so is a ratio of medians of two heats.
    """
    ours = entry_of(result, row.ours)
    entries = {one: entry_of(result, one) for one in row.against}
    others = [entry for entry in entries.values() if entry and entry.spread]
    absent = [" ".join(one) for one, entry in entries.items() if entry is None or entry.spread is None]
    line: dict[str, Any] = {"what": row.what, "target": row.target, "ratio": None, "absent": absent}
    if ours is None or ours.spread is None or not others:
        return line
    if row.memory:
        other = others[0]
        ratio = ours.memory / other.memory if ours.memory and other.memory else None
        return line | {"ratio": ratio, "against": other.name, "bytes": [ours.memory, other.memory]}
    best = min(others, key=lambda entry: entry.spread.median / max(1, entry.work.pictures))  # type: ignore[union-attr]
    spread: Spread | None = result.rebased(best.name).ratio(ours)
    rates = [entry.work.pictures / entry.spread.median for entry in (ours, best)]  # type: ignore[union-attr]
    line |= {
        "ratio": spread.median if spread else rates[0] / rates[1],
        "against": best.name,
        "precisions": [ours.precision, best.precision],
        "images_per_second": rates,
        "paired": spread is not None,
    }
    return line | ({"quartiles": [spread.low, spread.high]} if spread else {})


def shown(line: dict[str, Any]) -> str:
    """A line of the table."""
    figure = "nothing was measured" if line["ratio"] is None else f"{line['ratio']:.2f}"
    against = f"{line['against']}, {' against '.join(line['precisions'])}" if "precisions" in line else ""
    notes = [against or line.get("against", ""), "" if line.get("paired", True) else "unpaired: two heats"]
    notes += [f"without {', '.join(line['absent'])}" if line["absent"] else ""]
    return f"{line['what']:70} {figure:>6}   ({line['target']})   {'; '.join(filter(None, notes))}"


def parameters(result: ContestResult) -> str:
    """Trainable ones: a line that says whether all contestants have as many."""
    counts = {one.name: int(one.description["parameters"]) for one in result.entries if "parameters" in one.description}
    if len(set(counts.values())) == 1:
        return f"{result.title}: {next(iter(counts.values())):,} trainable parameters each"
    return f"{result.title}: trainable parameters {', '.join(f'{name} {count:,}' for name, count in counts.items())}"


def measure(
    script: str, contests: Iterable[tuple[list[Row], ContestResult]], chosen: argparse.Namespace, name: str
) -> None:
    """Run everything between two measurements of the ceilings, print the table, and write the file `name`."""
    if chosen.make_keras:
        chosen.keras_python = make_keras_environment(say=print)
    begun = time.monotonic()
    pairs: list[tuple[list[Row], ContestResult]] = []

    def all_contests() -> Iterator[ContestResult]:
        for rows, result in contests:
            pairs.append((rows, result))
            yield result

    command = f"python benchmarks/{Path(script).name} {' '.join(sys.argv[1:])}".strip()
    report: Report = measured("train", command, all_contests(), ("fp32", "bf16"))
    table = [read(row, result) for rows, result in pairs for row in rows]
    print(report.to_text())
    print(*map(shown, table), *(parameters(result) for _, result in pairs), sep="\n")
    document = {"rows": table, "seconds": time.monotonic() - begun, "quick": chosen.quick, **report.to_json()}
    chosen.out.mkdir(parents=True, exist_ok=True)
    path = chosen.out / name
    write_text_atomically(path, json.dumps(document, indent=1, default=str) + "\n")
    print(f"{document['seconds']:.0f} s; written: {path}")
