"""`separable check`."""

import csv
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from separable.cli.options import Debug, Json
from separable.cli.output import Output, counter
from separable.errors import RunFolderError, UsageError

EXAMPLES = """
separable check flowers/
separable check cats/ --workers 2
separable check album/labels.csv
separable check --labels runs/flowers
separable check flowers/ --json > check.json
"""
_HOME = Path("runs") / "checks"
_SHOWN = 20


def check(
    data: Annotated[
        Path | None, typer.Argument(metavar="[DATA]", help="A folder or a list of labels, as for train.")
    ] = None,
    task: Annotated[
        str,
        typer.Option(
            metavar="WHICH", help="classify, tag (several labels a picture), segment (with masks), or auto: by DATA."
        ),
    ] = "auto",
    labels: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="List the labels that this run finds improbable.", show_default=False),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="For check.json and check.csv.", show_default="runs/checks/NAME"),
    ] = None,
    workers: Annotated[int, typer.Option(metavar="N", help="Processes that read pictures; 0: this one.")] = 0,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Look for what would spoil a training: before it in the pictures, after it in the labels.

    Unreadable files, copies (also between train and val), odd sizes and modes, imbalance; exit code 1 when training on
    this would mislead. Where pictures have several labels each, also labels that occur once, classes without a picture,
    labels that differ in their spelling alone. Where they have masks, also files without their other half, sizes that
    differ, values that no class has, EXIF that turns one of the two, classes of few pixels.
    With --labels, the pictures whose label is probably wrong, most likely first.
    """
    if data is None and labels is None:
        raise UsageError("Nothing to check", expected="a folder of pictures, or --labels with a run")
    if labels is not None:
        _demand_labels(labels)
    misleading, document = False, {}
    with Output(json) as output:
        if data is not None:
            from separable.cli.job import job_for
            from separable.cli.settings import Wishes, base_name
            from separable.cli.tasks import tell_task

            job = job_for(tell_task(data, task))
            report = job.check(job.read(data, Wishes(job.network)), workers, counter("pictures"))
            folder = out or _HOME / base_name(data)
            report.write(folder)
            output.show(report.to_text())
            output.show(f"Written to {folder}: check.json, check.csv.")
            misleading, document = report.misleading, {**report.to_json(), "out": str(folder)}
        if labels is not None:
            document |= _suspects(output, labels, data)
        output.document(document)
    if misleading:
        raise typer.Exit(1)


def _demand_labels(run: Path) -> None:
    """
    Raises:
        UsageError: pictures of this run have no label, but masks, or several labels.
    """
    from separable.cli.tasks import SAID
    from separable.runtime.locate import locate
    from separable.runtime.task import task_of

    task = task_of(locate(run))
    if task == "segment":
        raise UsageError(
            "--labels lists pictures whose class is doubtful, and pictures with masks have none",
            got=f"{run}, which {SAID[task]}",
            fix="Look at the pictures that it gets worst: they come first in its report.html, and `pictures.csv` has "
            "them all; `separable check DATA` finds masks that do not fit",
        )
    if task == "tag":
        raise UsageError(
            "--labels lists pictures whose one class is doubtful, and pictures with tags have several",
            got=f"{run}, which {SAID[task]}",
            fix="Look at the pictures that it gets worst: they come first in its report.html, and `predictions.csv` "
            "has them all; `separable check DATA` finds labels that look like slips",
        )


def _suspects(output: Output, run: Path, data: Path | None) -> dict[str, Any]:
    """What the run's training found, most improbable label first, and how to mend it."""
    from separable.runtime.locate import locate

    located = locate(run)
    listed = (located.path or run) / "suspects.csv"
    try:
        with open(listed, newline="", encoding="utf-8", errors="surrogateescape") as handle:
            rows: list[dict[str, Any]] = list(csv.DictReader(handle))
    except FileNotFoundError as error:
        raise RunFolderError(
            f"{run} has no list of suspicious labels",
            expected=f"{listed}, which a training writes when it ends",
            fix="Let it end, with --resume if it was stopped, and without --set machine.label_check=false",
        ) from error
    if not rows:
        output.show("No label looks wrong.")
        return {"suspects": []}
    if not {"path", "label"} <= set(rows[0]):
        raise RunFolderError(
            f"{listed} is not a list of suspicious labels",
            got=", ".join(str(name) for name in rows[0])[:80],
            expected="the columns path and label, separated by commas",
        )
    output.show(f"{len(rows):,} labels are probably wrong, most likely first:\n")
    cells = [(*(row.get(key) or "" for key in ("path", "label", "suggested")), _score(row)) for row in rows[:_SHOWN]]
    output.table(("picture", "labelled", "looks like", "score"), cells, right=(3,))
    if len(rows) > _SHOWN:
        output.show(f"and {len(rows) - _SHOWN:,} more")
    return {"suspects": rows, **_how_to_mend(output, listed, data)}


def _score(row: Mapping[str, Any]) -> str:
    """With three places; as it is where somebody has written something else there."""
    try:
        return f"{float(row.get('score') or ''):.3f}"
    except (TypeError, ValueError):
        return str(row.get("score") or "")


def _how_to_mend(output: Output, listed: Path, data: Path | None) -> dict[str, str]:
    """Which file to correct and what to train with it; a run that had corrections keeps them."""
    from separable.training.report.commands import corrected_command
    from separable.training.report.reading import read_run
    from separable.training.report.record import value_at

    record = read_run(listed.parent)
    name, said = _file_to_correct(listed, record.config)
    if data is not None and value_at(record.config, "data", "root"):
        record = replace(record, config={**record.config, "data": {**record.config["data"], "root": str(data)}})
    command = corrected_command(record, name) or f"separable train {data or 'DATA'} --labels {listed.parent / name}"
    output.show(
        f"\n{said} Correct its column label (empty leaves a picture out); lines left as they are change nothing. Then"
        f"\n  {command}"
    )
    return {"to_correct": str(listed.parent / name), "then": command}


def _file_to_correct(listed: Path, config: Mapping[str, Any]) -> tuple[str, str]:
    """(its name in the run, a sentence about it): the suspects, together with the corrections that the run had."""
    from separable.data.corrections import merge_corrections
    from separable.training.report.record import value_at

    earlier = value_at(config, "data", "labels_csv")
    if not earlier:
        return listed.name, f"All of them: {listed}."
    merged = listed.parent / "labels.csv"
    if merged.exists():  # it may have been corrected already
        return merged.name, f"All of them, with the corrections that the run had, since an earlier check: {merged}."
    if not Path(earlier).is_file():
        return listed.name, (
            f"All of them: {listed}. The run was trained with the corrections in {earlier}, which is not here: copy its"
            " rows into that file, or they are lost."
        )
    merge_corrections(Path(earlier), listed, merged)
    return merged.name, f"All of them, and after them the corrections of {earlier}: {merged}."
