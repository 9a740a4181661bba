"""A training step of Xception, accelerated against tuned torch: same precision, channels_last, allocator and threads.

    python benchmarks/accelerated_step.py [--precision bf16 fp32] [--batch 16] [--pairs 9] [--side 299]

A contest of `separable bench train` for each precision: a gate against fp64 first, then a step of each in turns, and
the median of the pairs' ratios; the ceilings are measured in the same run. Writes JSON, a table and a plot to results/.
"""

import argparse
from pathlib import Path

from separable.cli import main as separable

RESULTS = Path(__file__).parent / "results"
_FOREVER = "1e9"
"""Seconds: all pairs are made."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--precision", nargs="+", choices=("bf16", "fp32"), default=["bf16", "fp32"])
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--side", type=int, default=299)
    parser.add_argument("--pairs", type=int, default=9)
    chosen = parser.parse_args()
    for precision in chosen.precision:
        sizes = ["--batch", str(chosen.batch), "--side", str(chosen.side)]
        length = ["--rounds", str(chosen.pairs), "--seconds", _FOREVER]
        who = ["--peers", "torch-tuned", "--precision", precision]
        try:
            separable(["bench", "train", "xception", *who, *sizes, *length, "--out", str(RESULTS)])
        except SystemExit as end:
            if end.code:
                raise


if __name__ == "__main__":
    main()
