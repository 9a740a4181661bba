"""What training and inference gain here: ours against tuned torch and against other people's tools, in one go.

    python benchmarks/show_training.py                      # everything; --make-keras makes TensorFlow's environment
    python benchmarks/show_training.py --only steps fp32    # some of: steps fp32 accelerate-train accelerate-infer
    python benchmarks/show_training.py --quick              # small pictures, two rounds: does it all run?

    steps             Xception's training step, ours in bf16 against everybody; Inception V3's beside it
    fp32              the same step in fp32, ours against tuned torch
    accelerate-train  `accelerate` on timm's networks: against their defaults, and against tuned torch
    accelerate-infer  the same for inference; both in bf16, with --thorough in fp32 too

Contestants are processes of their own that take turns, behind a gate against fp64 (`separable bench` is the same
harness). Writes results/<date>-show-training.json: every row with what it should reach, and the contests it is from.
"""

import argparse
import datetime
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from separable.benchmarking.contest import Contestant, Task, Verb
from separable.benchmarking.gate import Verdict
from separable.benchmarking.network_contest import bench_networks, named_apart
from separable.benchmarking.outcome import ContestResult, Entry, Spread
from separable.benchmarking.peers import PEERS, keras_peer
from separable.benchmarking.peers.keras_environment import make_keras_environment
from separable.benchmarking.report import Report
from separable.benchmarking.run import Listener, Rules
from separable.benchmarking.session import measured
from separable.errors import MissingExtraError

RESULTS = Path(__file__).parent / "results"
STOCK = ("timm", "torch-compile", "keras-tf")
SIDES = {
    "timm:mobilenetv1_100": 224,
    "timm:efficientnet_b0": 224,
    "timm:convnext_tiny": 224,
    "timm:legacy_xception": 299,
}
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


STEPS = [("ours", "xception", "bf16"), ("torch-tuned", "xception", "bf16"), ("torch-channels-last", "xception", "bf16")]
STEPS += [(peer, "xception", "fp32") for peer in STOCK] + [(peer, "inception_v3", "fp32") for peer in STOCK]
STEPS += [("ours", "inception_v3", "bf16"), ("torch-tuned", "inception_v3", "bf16")]
FP32 = [("ours", "xception", "fp32"), ("torch-tuned", "xception", "fp32")]
ROWS = {
    "steps": [
        Row("training step, bf16, against tuned torch", ">= 1.22", STEPS[0], (STEPS[1],)),
        Row("peak memory of it, of torch eager's", "<= 0.6", STEPS[0], (STEPS[2],), memory=True),
        Row("ours against the best stock peer", ">= 2.6", STEPS[0], tuple(STEPS[3:6])),
        Row("ours against the best stock peer's Inception V3", ">= 1.4", STEPS[0], tuple(STEPS[6:9])),
        Row("ours against our Inception V3", ">= 0.75", STEPS[0], (STEPS[9],)),
        Row("our Inception V3 against tuned torch's", ">= 1.0", STEPS[9], (STEPS[10],)),
    ],
    "fp32": [Row("training step, fp32, against tuned torch", ">= 1.15", FP32[0], (FP32[1],))],
}


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


def wanted_by(part: str, network: str, thorough: bool = True) -> list[Wanted]:
    """Who takes part; the first is the baseline. Of the accelerate parts in bf16 alone, unless `thorough`."""
    if part == "steps":
        return STEPS
    if part == "fp32":
        return FP32
    precisions = ("bf16", "fp32") if thorough else ("bf16",)
    rivals = [(peer, network, precision) for precision in precisions for peer in ("ours", "torch-tuned")]
    return [*rivals, ("timm", network, "fp32")]


def rows_of(part: str, network: str) -> list[Row]:
    """What is read off the contest."""
    if part in ROWS:
        return ROWS[part]
    ours, tuned, ours_fp32, tuned_fp32, stock = wanted_by(part, network)
    what = f"{part} {network}"
    return [
        Row(f"{what}, bf16, against its defaults", ">= 1.5 on three of four", ours, (stock,)),
        Row(f"{what}, fp32, against its defaults", ">= 1.0", ours_fp32, (stock,)),
        Row(f"{what}, bf16, against tuned torch", ">= 1.0; >= 1.1 on two of four", ours, (tuned,)),
        Row(f"{what}, fp32, against tuned torch", ">= 1.0; >= 1.1 on two of four", ours_fp32, (tuned_fp32,)),
    ]


def contests(part: str, chosen: argparse.Namespace) -> Iterator[tuple[list[Row], ContestResult]]:
    """Run a part of the table."""
    verb: Verb = "infer" if part == "accelerate-infer" else "train"
    for network in list(SIDES) if part.startswith("accelerate") else [""]:
        if network and chosen.networks and network.removeprefix("timm:") not in chosen.networks:
            continue
        side = 96 if chosen.quick else SIDES.get(network, 299)
        task = Task(verb, 4 if chosen.quick else chosen.batch, side)
        wanted = wanted_by(part, network, chosen.thorough)
        taking_part = [one for each in wanted for one in found(each, task, chosen)]
        rules = Rules(rounds=2 if chosen.quick else chosen.rounds)
        named = named_apart(taking_part)
        result = bench_networks(task, named, baseline=named[0].name, rules=rules, listener=Lines())
        rows = [row for row in rows_of(part, network) if row.ours in wanted]
        yield rows, replace(result, title=f"{part} {network}".strip())
        if result.interrupted:
            return


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


def read(row: Row, result: ContestResult) -> dict[str, Any]:
    """The row's figure against the best of those it is against; ratios are of steps of the same round."""
    ours = entry_of(result, row.ours)
    others = [entry for entry in (entry_of(result, one) for one in row.against) if entry and entry.spread]
    line: dict[str, Any] = {"what": row.what, "target": row.target, "ratio": None}
    if ours is None or ours.spread is None or not others:
        return line
    if row.memory:
        other = others[0]
        ratio = ours.memory / other.memory if ours.memory and other.memory else None
        return line | {"ratio": ratio, "against": other.name, "bytes": [ours.memory, other.memory]}
    best = min(others, key=lambda entry: entry.spread.median / max(1, entry.work.pictures))  # type: ignore[union-attr]
    spread: Spread | None = result.rebased(best.name).ratio(ours)
    rates = [entry.work.pictures / entry.spread.median for entry in (ours, best)]  # type: ignore[union-attr]
    if spread is None:  # they were in two heats
        return line | {"ratio": rates[0] / rates[1], "against": best.name, "images_per_second": rates}
    return line | {
        "ratio": spread.median,
        "quartiles": [spread.low, spread.high],
        "against": best.name,
        "images_per_second": rates,
    }


def entry_of(result: ContestResult, wanted: Wanted) -> Entry | None:
    return next((one for one in result.entries if (one.peer, one.subject, one.precision) == wanted), None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = ("steps", "fp32", "accelerate-train", "accelerate-infer")
    parser.add_argument("--only", nargs="+", choices=parts, default=parts)
    parser.add_argument("--networks", nargs="+", help="of the accelerate parts, such as efficientnet_b0; default all")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--keras-python", type=Path, help="of an environment with TensorFlow and Keras")
    parser.add_argument("--make-keras", action="store_true", help="make that environment, some 2 GB, if it is missing")
    parser.add_argument("--thorough", action="store_true", help="the accelerate parts in fp32 too")
    parser.add_argument("--quick", action="store_true", help="small pictures and two rounds: only to see that it runs")
    parser.add_argument("--out", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    if chosen.make_keras:
        chosen.keras_python = make_keras_environment(say=print)
    begun = time.monotonic()
    pairs: list[tuple[list[Row], ContestResult]] = []

    def all_contests() -> Iterator[ContestResult]:
        for part in chosen.only:
            for rows, result in contests(part, chosen):
                pairs.append((rows, result))
                yield result

    report: Report = measured(
        "train",
        f"python benchmarks/{Path(__file__).name} {' '.join(sys.argv[1:])}".strip(),
        all_contests(),
        ("fp32", "bf16"),
    )
    table = [read(row, result) for rows, result in pairs for row in rows]
    print(report.to_text())
    for line in table:
        figure = "nothing was measured" if line["ratio"] is None else f"{line['ratio']:.2f}"
        print(f"{line['what']:62} {figure:>6}   ({line['target']})   {line.get('against', '')}")
    document = {"rows": table, "seconds": time.monotonic() - begun, "quick": chosen.quick, **report.to_json()}
    chosen.out.mkdir(parents=True, exist_ok=True)
    path = chosen.out / f"{datetime.date.today().isoformat()}-show-training.json"
    path.write_text(json.dumps(document, indent=1, default=str) + "\n")
    print(f"{document['seconds']:.0f} s; written: {path}")


if __name__ == "__main__":
    main()
