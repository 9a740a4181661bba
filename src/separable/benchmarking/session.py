"""One run of the harness from its first ceiling to its last: what `separable bench` calls."""

import datetime
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch

from separable.benchmarking.outcome import ContestResult
from separable.benchmarking.report import Kind, Report
from separable.files import write_text_atomically
from separable.machine.ceilings import PRECISIONS, Ceilings, measure_ceilings
from separable.machine.environment import describe_environment
from separable.machine.processor import read_processor

__all__ = ["measured", "written"]


def measured(
    kind: Kind,
    command: str,
    contests: Iterable[ContestResult],
    precisions: Sequence[str],
    device: str = "cpu",
    **environment: Any,
) -> Report:
    """Run `contests` as they are asked for, between two measurements of the ceilings, of which the higher count.

    A contest that Ctrl-C ended is the last, and what was measured until then is the report.

    Args:
        command: what a reader types to do the same.
        precisions: whose products are measured.
        environment: more for the report's own.
    """
    before = _ceilings(precisions, device)
    found: list[ContestResult] = []
    try:
        for contest in contests:
            found.append(contest)
            if contest.interrupted:
                break
    except KeyboardInterrupt:
        if not found:
            raise
        found[-1] = ContestResult(found[-1].title, found[-1].baseline, found[-1].entries, interrupted=True)
    interrupted = any(contest.interrupted for contest in found)
    ceilings = before if interrupted else before.higher(_ceilings(precisions, device))
    return Report(
        kind=kind,
        command=command,
        date=datetime.date.today().isoformat(),
        ceilings=ceilings.to_json(),
        environment=describe_environment(**environment),
        contests=tuple(found),
    )


def written(report: Report, folder: Path, name: str = "") -> list[Path]:
    """Write the result as JSON, with a table in Markdown and a plot beside it; nothing is ever overwritten.

    Args:
        name: of the files, between the date and the processor; "bench-train" and the like if it is empty.

    Raises:
        OutputError: the folder or a file cannot be written.
    """
    import json

    machine = re.sub(r"[^a-z0-9]+", "-", str(report.ceilings["processor"]).lower()).strip("-") or "unknown"
    stem, number = f"{report.date}-{name or f'bench-{report.kind}'}-{machine}", 1
    file = stem
    while (folder / f"{file}.json").exists():
        number += 1
        file = f"{stem}-{number}"
    document = json.dumps(report.to_json(), indent=1, ensure_ascii=False, allow_nan=False, default=str)
    texts = {"json": f"{document}\n", "md": report.to_markdown(), "svg": report.to_svg()}
    paths = []
    for ending, text in texts.items():
        paths.append(folder / f"{file}.{ending}")
        write_text_atomically(paths[-1], text)
    return paths


def _ceilings(precisions: Sequence[str], device: str) -> Ceilings:
    threads = min(torch.get_num_threads(), read_processor().usable_cores)
    return measure_ceilings([PRECISIONS[name] for name in precisions], threads, device)
