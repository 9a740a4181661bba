"""`separable check`."""

import csv
from pathlib import Path
from typing import Annotated, Any

import typer

from separable.cli.options import Debug, Json
from separable.cli.output import Output, counter
from separable.errors import RunFolderError, UsageError

EXAMPLES = """
separable check flowers/
separable check --labels runs/flowers
separable check flowers/ --json > check.json
"""
_HOME = Path("runs") / "checks"
_SHOWN = 20


def check(
    data: Annotated[Path | None, typer.Argument(metavar="[DATA]", help="A folder of pictures, as for train.")] = None,
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
    this would mislead. With --labels, the pictures whose label is probably wrong, most likely first.
    """
    if data is None and labels is None:
        raise UsageError("Nothing to check", expected="a folder of pictures, or --labels with a run")
    misleading, document = False, {}
    with Output(json) as output:
        if data is not None:
            from separable.data.check import check_folder

            report = check_folder(data, workers, counter("pictures"))
            folder = out or _HOME / (data.resolve().name or "data")
            report.write(folder)
            output.show(report.to_text())
            output.show(f"Written to {folder}: check.json, check.csv.")
            misleading, document = report.misleading, {**report.to_json(), "out": str(folder)}
        if labels is not None:
            document["suspects"] = _suspects(output, labels, data)
        output.document(document)
    if misleading:
        raise typer.Exit(1)


def _suspects(output: Output, run: Path, data: Path | None) -> list[dict[str, Any]]:
    """What the run's training found, most improbable label first."""
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
        return rows
    output.show(f"{len(rows):,} labels are probably wrong, most likely first:\n")
    cells = [(row["path"], row["label"], row["suggested"], f"{float(row['score']):.3f}") for row in rows[:_SHOWN]]
    output.table(("picture", "labelled", "looks like", "score"), cells, right=(3,))
    if len(rows) > _SHOWN:
        output.show(f"and {len(rows) - _SHOWN:,} more")
    output.show(
        f"\nAll of them: {listed}. Correct its column label (empty leaves a picture out), remove the lines that are"
        f" right, and\n  separable train {data or _data_of(listed.parent)} --labels {listed}"
    )
    return rows


def _data_of(run: Path) -> str:
    """The folder that the run was trained on."""
    import yaml

    try:
        return str(yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))["data"]["root"])
    except (OSError, yaml.YAMLError, KeyError, TypeError):
        return "DATA"
