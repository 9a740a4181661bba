"""MAP@100, plain and weighted, at the size of FastEval14k: 14,000 pictures x 17,000 classes of random scores, streamed.

    python benchmarks/mean_average_precision.py [--rounds 5] [--pictures 14000] [--classes 17000]

Scores are drawn batch by batch; the time is that of ranking and scoring alone: `MeanAveragePrecision.add` of every
batch and `result`. 36.5 labels a picture on average, of 6,000 of the classes. "Tied" scores are the same ones rounded
to bfloat16, as a network in that precision gives them: then the hundredth place is tied in most pictures.

The gate before: pictures of the first batch against the definition in plain Python, which sorts everything.

Memory is what scoring holds at most beside the batch of scores, and what it keeps of the pictures at the end, counted
as it is asked for; beside it the peak of the process, which draws the scores and has imported torch.

What selects the first hundred is timed apart, in turns on the same batches: the threshold of `top_classes`,
numpy.argpartition and torch.topk, of which the latter two leave open who wins a tie.

Times are medians over rounds, by the clock; the processor's time of the thread beside them is disturbed less by other
work on the machine. Writes results/<date>-mean-average-precision.json.
"""

import argparse
import datetime
import json
import resource
import statistics
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from separable.analysis.average_precision import AveragePrecision, MeanAveragePrecision, top_classes
from separable.files import write_text_atomically
from separable.machine.environment import describe_environment

RESULTS = Path(__file__).parent / "results"
BATCH = 250
OCCURRING = 6000
LABELS = 36.5
GATE_PICTURES = 20
GATE_DIFFERENCE = 1e-12

Batch = tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]
"""Scores (pictures, classes), labels end to end, offsets."""


def batches(pictures: int, classes: int, tied: bool) -> Iterator[Batch]:
    """Common classes have low numbers: the k-th is drawn in proportion to 1 / (k + 50)."""
    occurring = min(OCCURRING, classes)
    share = 1 / (np.arange(occurring) + 50.0)
    for start in range(0, pictures, BATCH):
        rng = np.random.default_rng([0, start])
        count = min(BATCH, pictures - start)
        scores = rng.standard_normal((count, classes), dtype=np.float32)
        if tied:
            scores = torch.from_numpy(scores).bfloat16().float().numpy()
        wanted = np.minimum(rng.poisson(LABELS, count), occurring)
        # The largest of keys u^(1/share) are a draw without replacement in proportion to the shares.
        keys = np.log(rng.random((count, occurring))) / share
        order = np.argsort(-keys, axis=1)
        labels = [np.sort(row[:number]) for row, number in zip(order, wanted, strict=True)]
        yield scores, np.concatenate([*labels, np.zeros(0, np.int64)]), np.concatenate([[0], np.cumsum(wanted)])


def by_definition(scores: list[float], shown: set[int], weights: list[float]) -> float:
    order = sorted(range(len(scores)), key=lambda c: (-scores[c], c))[:100]
    passed = gained = total = 0.0
    for c in order:
        passed += weights[c]
        if c in shown:
            gained += weights[c]
            total += weights[c] * (gained / passed if passed else 0.0)
    return total / sum(sorted((weights[c] for c in shown), reverse=True)[:100])


def gate(classes: int, tied: bool) -> float:
    """The largest difference; ends the benchmark where it is no rounding."""
    scores, labels, offsets = next(batches(GATE_PICTURES, classes, tied))
    # A picture's own classes come early now and then: by chance alone hardly one would.
    for row in range(GATE_PICTURES):
        scores[row, labels[offsets[row] : offsets[row + 1]][::3]] += 4
    metric = MeanAveragePrecision(classes)
    metric.add(scores, labels, offsets)
    weights = 1 / (np.arange(classes) + 1.0)
    found, apart = metric.result(weights), []
    for row in range(GATE_PICTURES):
        shown = set(labels[offsets[row] : offsets[row + 1]].tolist())
        for ours, one in ((found.pictures, [1.0] * classes), (found.weighted_pictures, weights.tolist())):
            apart.append(abs(float(ours[row]) - by_definition(scores[row].tolist(), shown, one)))
    if not max(apart) <= GATE_DIFFERENCE:
        raise SystemExit(f"The gate is shut: MAP@100 is {max(apart)} from its definition.")
    return max(apart)


def score(pictures: int, classes: int, tied: bool) -> tuple[AveragePrecision, float, float]:
    """The result, seconds by the clock, seconds of the processor."""
    metric, clock, processor = MeanAveragePrecision(classes), 0.0, 0.0

    def timed(call: Callable[[], Any]) -> Any:
        nonlocal clock, processor
        begun, begun_here = time.perf_counter(), time.thread_time()
        answer = call()
        clock, processor = clock + time.perf_counter() - begun, processor + time.thread_time() - begun_here
        return answer

    for batch in batches(pictures, classes, tied):
        timed(partial(metric.add, *batch))
    found = timed(metric.result)
    return found, clock, processor


def timings(pictures: int, classes: int, rounds: int) -> Iterator[dict[str, Any]]:
    for tied in (False, True):
        runs = [score(pictures, classes, tied) for _ in range(rounds)]
        found = runs[0][0]
        row = {
            "scores": "tied" if tied else "float32",
            "seconds": round(statistics.median(clock for _, clock, _ in runs), 3),
            "processor_seconds": round(statistics.median(busy for _, _, busy in runs), 3),
            "map100": found.mean,
            "weighted_map100": found.weighted_mean,
        }
        print(json.dumps(row), flush=True)
        yield row


def selections(pictures: int, classes: int, rounds: int) -> list[dict[str, Any]]:
    """Seconds for all pictures, of the selection alone; the processor's are of all threads."""
    scores, _, _ = next(batches(BATCH, classes, False))
    ways: dict[str, Callable[[], Any]] = {
        "top_classes": lambda: top_classes(scores),
        "numpy.argpartition": lambda: np.argpartition(scores, classes - 100, axis=1)[:, -100:],
        f"torch.topk, {torch.get_num_threads()} threads": lambda: torch.topk(torch.from_numpy(scores), 100, dim=1),
    }
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(5 * rounds):
        for name, way in ways.items():
            begun, busy = time.perf_counter(), time.process_time()
            way()
            times[name].append((time.perf_counter() - begun, time.process_time() - busy))
    rows = []
    for name, each in times.items():
        clock, processor = (statistics.median(one) * pictures / BATCH for one in zip(*each, strict=True))
        rows.append({"way": name, "seconds": round(clock, 3), "processor_seconds": round(processor, 3)})
        print(json.dumps(rows[-1]), flush=True)
    return rows


def memory_child(pictures: int, classes: int) -> None:
    """Bytes that scoring held at most, and at the end, by what numpy asked for; the scores themselves are not in it."""
    tracemalloc.start()
    metric, kept, most = MeanAveragePrecision(classes), 0, 0

    def traced(call: Callable[[], Any]) -> Any:
        nonlocal kept, most
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        answer = call()
        after, peak = tracemalloc.get_traced_memory()
        most = max(most, kept + peak - before)
        kept += after - before
        return answer

    for batch in batches(pictures, classes, False):
        traced(partial(metric.add, *batch))
    found = traced(metric.result)
    assert len(found.pictures) == pictures
    process = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    print(json.dumps({"scoring_peak_bytes": most, "kept_bytes": kept, "process_peak_bytes": process}))


def memory(pictures: int, classes: int) -> dict[str, Any]:
    command = [sys.executable, __file__, "--memory", "--pictures", str(pictures), "--classes", str(classes)]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    row = found | {"batch_of_scores_bytes": BATCH * classes * 4, "table_of_scores_bytes": pictures * classes * 4}
    print(json.dumps(row), flush=True)
    return dict(row)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pictures", type=int, default=14_000)
    parser.add_argument("--classes", type=int, default=17_000)
    parser.add_argument("--memory", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help="the result, else results/<date>-mean-average-precision.json")
    chosen = parser.parse_args()
    if chosen.memory:
        memory_child(chosen.pictures, chosen.classes)
        return
    today = datetime.date.today().isoformat()
    apart = max(gate(chosen.classes, tied) for tied in (False, True))
    result = {
        **describe_environment(command="benchmarks/mean_average_precision.py", date=today),
        "pictures": chosen.pictures,
        "classes": chosen.classes,
        "batch": BATCH,
        "rounds": chosen.rounds,
        "gate": {"pictures": GATE_PICTURES, "largest_difference": apart, "allowed": GATE_DIFFERENCE},
        "scoring": list(timings(chosen.pictures, chosen.classes, chosen.rounds)),
        "selection": selections(chosen.pictures, chosen.classes, chosen.rounds),
        "memory": memory(chosen.pictures, chosen.classes),
    }
    out = chosen.out or RESULTS / f"{today}-mean-average-precision.json"
    write_text_atomically(out, json.dumps(result, indent=2) + "\n")
    print(out)


if __name__ == "__main__":
    main()
