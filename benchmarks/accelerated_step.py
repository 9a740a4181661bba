"""A training step of Xception, accelerated against tuned torch: same precision, channels_last, allocator and threads.

    python benchmarks/accelerated_step.py [--precision bf16 fp32] [--batch 16] [--pairs 9] [--side 299]

First the gate: the gradient of one step of both from the same weights, against fp64. Then steps in
pairs, one of each, and the median of the pairs' ratios. The ceilings are measured in the same run. Writes
results/<date>-accelerated-step.json.
"""

import argparse
import copy
import datetime
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import separable
from separable.machine.ceilings import measure_ceilings
from separable.machine.environment import package_versions
from separable.machine.processor import read_processor

RESULTS = Path(__file__).parent / "results"


def step_of(model: nn.Module, x: Tensor, labels: Tensor, precision: str, rate: float = 0.01) -> Callable[[], float]:
    optimiser = torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9)

    def step() -> float:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            loss = nn.functional.cross_entropy(model(x), labels)
        loss.backward()
        optimiser.step()
        return loss.item()

    def timed() -> float:
        begun = time.perf_counter()
        step()
        optimiser.zero_grad(set_to_none=True)
        return time.perf_counter() - begun

    timed.step = step  # type: ignore[attr-defined]
    return timed


def gate(plain: nn.Module, fast: nn.Module, x: Tensor, labels: Tensor, precision: str) -> dict[str, float]:
    """How far both gradients are from fp64's; raises where ours is more than twice as far as plain torch's own."""
    found = {}
    exact = copy.deepcopy(plain).double()
    for name, model, pictures in (("truth", exact, x.double()), ("plain", plain, x), ("accelerated", fast, x)):
        kind = "fp64" if name == "truth" else precision
        step_of(model, pictures, labels, kind, rate=0.0).step()  # type: ignore[attr-defined]
        found[name] = torch.cat([p.grad.double().flatten() for p in model.parameters() if p.grad is not None])
        model.zero_grad(set_to_none=True)
    truth = found.pop("truth")
    distances = {name: ((gradient - truth).norm() / truth.norm()).item() for name, gradient in found.items()}
    if distances["accelerated"] > 2 * distances["plain"]:
        raise SystemExit(f"NOT THE SAME FUNCTION: distances from fp64 {distances}; nothing was timed")
    return distances


def measure(precision: str, batch: int, side: int, pairs: int) -> dict[str, Any]:
    torch.manual_seed(0)
    plain = separable.create_model("xception", dropout=0.0).to(memory_format=torch.channels_last).train()
    x = torch.randn(batch, 3, side, side).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, 1000, (batch,))
    fast, report = separable.accelerate(copy.deepcopy(plain), inplace=True, implementation="cpu")
    checked = gate(plain, fast, x[:4], labels[:4], precision)
    steps = [step_of(model, x, labels, precision) for model in (plain, fast)]
    for step in steps:
        step()
    times = [tuple(step() for step in steps) for _ in range(pairs)]
    ratios = sorted(a / b for a, b in times)
    rates = [batch / statistics.median(column) for column in zip(*times, strict=True)]
    return {
        "precision": precision,
        "batch": batch,
        "side": side,
        "gate": checked,
        "report": report.to_text(),
        "plain_images_per_second": rates[0],
        "accelerated_images_per_second": rates[1],
        "ratio_median": statistics.median(ratios),
        "ratio_range": [ratios[0], ratios[-1]],
        "pairs_seconds": times,
        "gflop_per_image": 6 * separable.model_spec("xception").macs / 1e9,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--precision", nargs="+", choices=("bf16", "fp32"), default=["bf16", "fp32"])
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--side", type=int, default=299)
    parser.add_argument("--pairs", type=int, default=9)
    chosen = parser.parse_args()
    settings = separable.tune_runtime()
    ceilings = measure_ceilings().to_json()
    rows = [measure(precision, chosen.batch, chosen.side, chosen.pairs) for precision in chosen.precision]
    for row in rows:
        before, after = row["plain_images_per_second"], row["accelerated_images_per_second"]
        low, high = row["ratio_range"]
        spread = f"{low:.2f} to {high:.2f}"
        print(f"{row['precision']}: {before:.2f} -> {after:.2f} images/s, {row['ratio_median']:.2f} ({spread})")
    document = {
        "command": "benchmarks/accelerated_step.py",
        "date": datetime.date.today().isoformat(),
        "processor": read_processor().to_json(),
        "versions": package_versions(),
        "runtime": settings.to_json(),
        "ceilings": ceilings,
        "rows": rows,
    }
    path = RESULTS / f"{document['date']}-accelerated-step.json"
    path.write_text(json.dumps(document, indent=2, default=str) + "\n")
    print(f"written: {path}")


if __name__ == "__main__":
    main()
