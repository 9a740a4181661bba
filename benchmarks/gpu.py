"""Everything that a GPU has to tell about the Triton kernels, in one call of under ten minutes.

    OUT=/tmp/out python benchmarks/gpu.py       # on a machine with a CUDA device; needs torch, triton, numpy and timm
    python benchmarks/gpu.py --dry-run          # every line of it here, tiny, in Triton's interpreter

Sections, each in a time box, so that a result is always written: what the machine is; the ceilings (copy, products);
the correctness gate on every kernel; the share of the copy's bandwidth that each reaches, torch's own beside it, and
what tuning finds and costs; the fused unit by plan; training and inference of Xception, Inception V3 and MobileNet V1
by contestant, peak memory; the byte model beside what was measured. A failed gate is reported first: then no figure
of a kernel counts.
Written after every section to $OUT/gpu.json (or --out); the tables are printed.
"""

import argparse
import json
import os
import platform
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

DRY = "--dry-run" in sys.argv
if DRY:
    os.environ["TRITON_INTERPRET"] = "1"  # before Triton is imported
sys.path[:0] = [str(Path(__file__).resolve().parent.parent / "src"), str(Path(__file__).resolve().parent)]

import torch  # noqa: E402
from gpu_gate import gate  # noqa: E402
from gpu_kernels import ceilings, depthwise, units  # noqa: E402
from gpu_networks import CONTESTANTS, check_network, time_network  # noqa: E402

from separable.ops.triton.language import triton_version  # noqa: E402

MODEL_MB = {
    "xception": {"eager": 998, "compiled": 817, "ours": 525, "ours_window": 466, "floor": 295},
    "inception_v3": {"eager": 470, "floor": 128},
}
"""Bytes a picture of a training step in bf16, every tensor passed once through memory: the model's prediction."""
Report = dict[str, Any]


class OutOfTimeError(BaseException):
    """A section's time box is over; no exception that anything on the way would catch."""


@contextmanager
def time_box(seconds: float) -> Iterator[None]:
    def ring(*_: object) -> None:
        raise OutOfTimeError(f"after {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.01))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def machine(report: Report) -> None:
    report["machine"] = {
        "device": "interpreter" if DRY else torch.cuda.get_device_name(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "triton": triton_version(),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "memory_gb": 0 if DRY else torch.cuda.get_device_properties(0).total_memory / 1e9,
        "multiprocessors": 0 if DRY else torch.cuda.get_device_properties(0).multi_processor_count,
    }


def correctness(report: Report) -> None:
    report["gate"] = checks = []
    try:
        checks.append(check_network())
        gate(checks, "cpu" if DRY else "cuda", DRY)
    finally:  # out of time, too
        report["gate_failures"] = [check for check in checks if not check["passed"]]


def networks(report: Report, left: Callable[[], float]) -> None:
    report["networks"] = rows = []
    for number, (name, contestant) in enumerate(CONTESTANTS):
        if left() < (0 if DRY else 20):
            rows.append({"network": name, "contestant": contestant, "failure": "no time was left"})
            continue
        share = 110 if contestant == "compiled" else 45
        row: Report = {"network": name, "contestant": contestant}
        rows.append(row)
        try:
            with time_box(min(share, left())):
                time_network(row, name, contestant)
        except (Exception, OutOfTimeError) as error:
            row["failure"] = f"{type(error).__name__}: {error}"[:2000]
        print(f"  {number + 1}/{len(CONTESTANTS)} {row}", flush=True)
        if not DRY:
            torch.cuda.empty_cache()


def byte_model(report: Report) -> None:
    """Images a second that the model's bytes allow at the copy's rate, beside what was measured."""
    rate = report.get("ceilings", {}).get("copy_tb_s")
    measured = {(row["network"], row["contestant"]): row.get("train", {}) for row in report.get("networks", [])}
    report["byte_model"] = [
        {
            "network": name,
            "contestant": contestant,
            "mb_per_image": megabytes,
            "bound_images_s": None if rate is None else rate * 1e6 / megabytes,
            "measured_images_s": measured.get((name, contestant), {}).get("images_s"),
            "measured_graph_images_s": measured.get((name, f"{contestant}_graph"), {}).get("images_s"),
        }
        for name, by in MODEL_MB.items()
        for contestant, megabytes in by.items()
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dry-run", action="store_true", help="tiny, on the CPU, in Triton's interpreter")
    parser.add_argument("--seconds", type=float, default=570, help="for everything together (default 570)")
    parser.add_argument("--out", type=Path, default=Path(os.environ.get("OUT", ".")) / "gpu.json")
    parser.add_argument("--sections", default="", help="some of them, by name, divided by commas (default: all)")
    options = parser.parse_args()
    torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32 = True, False
    started = time.perf_counter()
    left = lambda: options.seconds - (time.perf_counter() - started)  # noqa: E731
    report: Report = {"dry_run": DRY, "seconds": {}, "failures": {}}
    sections: list[tuple[str, Callable[[Report], None], float]] = [
        ("machine", machine, 10),
        ("ceilings", ceilings, 20),
        ("correctness", correctness, 120),
        ("depthwise", depthwise, 110),
        ("units", units, 60),
        ("networks", lambda report: networks(report, lambda: left() - 5), options.seconds),  # has boxes of its own
        ("byte_model", byte_model, 5),
    ]
    wanted = set(filter(None, options.sections.split(","))) or {name for name, _, _ in sections}
    for name, section, seconds in (entry for entry in sections if entry[0] in wanted):
        began = time.perf_counter()
        try:
            with time_box(max(min(seconds, left()), 1)):
                section(report)
        except (
            Exception,
            OutOfTimeError,
        ) as error:  # the rest can still be measured, and what there is must be written
            report["failures"][name] = {"error": repr(error)[:2000], "trace": traceback.format_exc()[-4000:]}
        report["seconds"][name] = time.perf_counter() - began
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(report, indent=1, default=str) + "\n")
        print(f"{name}: {report['seconds'][name]:.1f} s", report["failures"].get(name, {}).get("error", ""), flush=True)
    print_tables(report)
    return 1 if report["failures"] or report.get("gate_failures") else 0


def print_tables(report: Report) -> None:
    """What fits on a screen; the file has everything."""
    print(json.dumps({"machine": report.get("machine"), "ceilings": report.get("ceilings")}))
    wrong = report.get("gate_failures", [])
    print(f"gate: {len(report.get('gate', []))} checks, {len(wrong)} failed")
    for check in wrong[:12]:
        print("  WRONG", json.dumps(check)[:300])
    for row in report.get("depthwise", []):
        print(
            "depthwise",
            row["shape"],
            *(f"{k}={row['tuned_ms'].get(k, 0):.3f}ms/{v:.2f}" for k, v in row["share"].items()),
        )
    for row in report.get("units", []):
        pairs = (
            f"{plan}={row['forward_ms'][plan]:.3f}/{row['both_ms'].get(plan, 0):.3f}ms" for plan in row["forward_ms"]
        )
        print("unit", row["shape"], *pairs)
    for row in report.get("networks", []):
        rates = (f"{k}={row[k]['images_s']:.0f}/s {row[k]['peak_gb']:.1f}GB" for k in ("train", "infer") if k in row)
        print("network", row["network"], row["contestant"], *rates, row.get("failure", "")[:100])
    for row in report.get("byte_model", []):
        print("model", json.dumps(row))
    for name, failure in report["failures"].items():
        print("FAILED", name, failure["error"][:200])


if __name__ == "__main__":
    sys.exit(main())
