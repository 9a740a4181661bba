"""What training and inference gain here: ours against tuned torch and against other people's tools, in one go.

    python benchmarks/show_training.py                      # the table; --make-keras makes TensorFlow's environment
    python benchmarks/show_training.py --thorough           # with what takes long to open, about twice the time
    python benchmarks/show_training.py --only steps fp32    # some of: steps fp32 accelerate-train accelerate-infer
    python benchmarks/show_training.py --quick              # small pictures, two rounds: does it all run?

    steps             Xception's training step, ours in bf16 against everybody as they come, in fp32; Inception V3's too
    fp32              the same step in fp32, ours against tuned torch
    accelerate-train  `accelerate` on timm's networks in bf16: against their defaults in fp32, and against tuned torch
    accelerate-infer  the same for inference

--thorough adds stock peers in bf16, torch.compile with our settings and of Inception V3, the larger of timm's networks,
and `accelerate` in fp32. Contestants are processes of their own that take turns, behind a gate against fp64 (`separable
bench` is the same harness). Writes results/<date>-show-training.json, with the names of the parts in its own where not
all were run: every row with what it should reach, who of those it is against was missing, and the contests.
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
from separable.files import write_text_atomically

RESULTS = Path(__file__).parent / "results"
SIDES = {
    "timm:mobilenetv1_100": 224,
    "timm:efficientnet_b0": 224,
    "timm:convnext_tiny": 224,
    "timm:legacy_xception": 299,
}
LARGE = ("timm:convnext_tiny", "timm:legacy_xception")
QUICK_SIDE = 139
"""On less Inception V3 ends in maps of one pixel, whose gradients bf16 loses."""
PARTS = ("steps", "fp32", "accelerate-train", "accelerate-infer")
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


OURS, TUNED, EAGER = ((peer, "xception", "bf16") for peer in ("ours", "torch-tuned", "torch-channels-last"))
STOCK = tuple((peer, "xception", "fp32") for peer in ("timm", "torch-compile", "keras-tf"))
STOCK_BF16 = tuple((peer, "xception", "bf16") for peer in ("timm-channels-last", "torch-compile", "keras-tf"))
COMPILED = ("torch-compile-tuned", "xception", "bf16")
INCEPTION = tuple((peer, "inception_v3", "fp32") for peer in ("timm", "torch-compile", "keras-tf"))
OUR_INCEPTION, TUNED_INCEPTION = ((peer, "inception_v3", "bf16") for peer in ("ours", "torch-tuned"))
STEPS = [OURS, TUNED, EAGER, *STOCK, *INCEPTION, OUR_INCEPTION, TUNED_INCEPTION, *STOCK_BF16, COMPILED]
SLOW_TO_OPEN = {*STOCK_BF16, COMPILED, ("torch-compile", "inception_v3", "fp32")}
FP32 = [("ours", "xception", "fp32"), ("torch-tuned", "xception", "fp32")]
ROWS = {
    "steps": [
        Row("training step, bf16, against tuned torch in bf16", ">= 1.22", OURS, (TUNED,)),
        Row("peak memory of it, of torch eager's in bf16", "<= 0.6", OURS, (EAGER,), memory=True),
        Row("ours in bf16 against the best stock peer in fp32", ">= 2.6", OURS, STOCK),
        Row("ours in bf16 against the best stock peer in bf16", "no aim", OURS, STOCK_BF16),
        Row("ours against torch.compile with our settings, both bf16", "no aim", OURS, (COMPILED,)),
        Row("ours in bf16 against the best stock Inception V3 in fp32", ">= 1.4", OURS, INCEPTION),
        Row("ours against our Inception V3, both bf16", ">= 0.75", OURS, (OUR_INCEPTION,)),
        Row("our Inception V3 against tuned torch's, both bf16", ">= 1.0", OUR_INCEPTION, (TUNED_INCEPTION,)),
    ],
    "fp32": [Row("training step, fp32, against tuned torch in fp32", ">= 1.15", FP32[0], (FP32[1],))],
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
        return [one for one in STEPS if thorough or one not in SLOW_TO_OPEN]
    if part == "fp32":
        return FP32
    precisions = ("bf16", "fp32") if thorough else ("bf16",)
    rivals = [(peer, network, precision) for precision in precisions for peer in ("ours", "torch-tuned")]
    return [*rivals, ("timm", network, "fp32")]


def rows_of(part: str, network: str, thorough: bool = True) -> list[Row]:
    """What is read off the contest: every row that somebody in it can be held against."""
    if part in ROWS:
        rows = ROWS[part]
    else:
        ours, tuned, ours_fp32, tuned_fp32, stock = wanted_by(part, network)
        what = f"{part} {network}"
        rows = [
            Row(f"{what}, bf16 against its defaults in fp32", ">= 1.5 on three of four", ours, (stock,)),
            Row(f"{what}, fp32 against its defaults in fp32", ">= 1.0", ours_fp32, (stock,)),
            Row(f"{what}, against tuned torch, both bf16", ">= 1.0; >= 1.1 on two of four", ours, (tuned,)),
            Row(f"{what}, against tuned torch, both fp32", ">= 1.0; >= 1.1 on two of four", ours_fp32, (tuned_fp32,)),
        ]
    there = wanted_by(part, network, thorough)
    return [row for row in rows if row.ours in there and set(row.against) & set(there)]


def networks_of(part: str, chosen: argparse.Namespace) -> list[str]:
    """Whose contests a part is; "" where it is one."""
    if not part.startswith("accelerate"):
        return [""]
    if chosen.networks:
        return [name for name in SIDES if name.removeprefix("timm:") in chosen.networks]
    return [name for name in SIDES if chosen.thorough or name not in LARGE]


def contests(part: str, chosen: argparse.Namespace) -> Iterator[tuple[list[Row], ContestResult]]:
    """Run a part of the table."""
    verb: Verb = "infer" if part == "accelerate-infer" else "train"
    for network in networks_of(part, chosen):
        side = QUICK_SIDE if chosen.quick else SIDES.get(network, 299)
        task = Task(verb, 4 if chosen.quick else chosen.batch, side)
        wanted = wanted_by(part, network, chosen.thorough)
        taking_part = [one for each in wanted for one in found(each, task, chosen)]
        rules = Rules(rounds=2 if chosen.quick else chosen.rounds)
        named = named_apart(taking_part)
        result = bench_networks(task, named, baseline=named[0].name, rules=rules, listener=Lines())
        yield rows_of(part, network, chosen.thorough), replace(result, title=f"{part} {network}".strip())
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


def file_name(chosen: argparse.Namespace, day: datetime.date) -> str:
    """Parts of one day do not overwrite each other."""
    parts = [] if set(chosen.only) == set(PARTS) else [part for part in PARTS if part in chosen.only]
    words = [*parts, *(chosen.networks or []), *(name for name in ("thorough", "quick") if getattr(chosen, name))]
    return "-".join([day.isoformat(), "show-training", *words]) + ".json"


def entry_of(result: ContestResult, wanted: Wanted) -> Entry | None:
    return next((one for one in result.entries if (one.peer, one.subject, one.precision) == wanted), None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    names = [name.removeprefix("timm:") for name in SIDES]
    parser.add_argument("--networks", nargs="+", choices=names, help="of the accelerate parts; default the small ones")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--keras-python", type=Path, help="of an environment with TensorFlow and Keras")
    parser.add_argument("--make-keras", action="store_true", help="make that environment, some 2 GB, if it is missing")
    parser.add_argument("--thorough", action="store_true", help="with everybody who takes long to open")
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
    print(*map(shown, table), sep="\n")
    document = {"rows": table, "seconds": time.monotonic() - begun, "quick": chosen.quick, **report.to_json()}
    chosen.out.mkdir(parents=True, exist_ok=True)
    path = chosen.out / file_name(chosen, datetime.date.today())
    write_text_atomically(path, json.dumps(document, indent=1, default=str) + "\n")
    print(f"{document['seconds']:.0f} s; written: {path}")


if __name__ == "__main__":
    main()
