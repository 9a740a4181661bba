"""The report as one file: sections in the order a reader asks for them."""

from pathlib import Path

from separable.analysis.plots.markup import Markup
from separable.training.report.commands import predict_command
from separable.training.report.data_check import data_section, unreadable_section
from separable.training.report.frame import check_roots, picture_roots, write_page
from separable.training.report.learning import Curve, learning_section
from separable.training.report.opening import use_section
from separable.training.report.reading import RunReader, read_record
from separable.training.report.record import RunRecord
from separable.training.report.setup import cost_section, setup_section
from separable.training.report.spread import spread_section
from separable.training.report.thumbnails import Gallery
from separable.training.tag_report.classes import class_section
from separable.training.tag_report.deciding import deciding_section
from separable.training.tag_report.headline import headline
from separable.training.tag_report.pictures import STYLE, sample_section, worst_section
from separable.training.tag_report.reading import read_measured
from separable.training.tag_report.record import TagMeasured

__all__ = ["write_report"]

_CURVES = (
    Curve("MAP@100", "val_map100", said="MAP@100 "),
    Curve("weighted MAP@100", "val_weighted_map100", said="weighted MAP@100 "),
    Curve("top tag right", "val_precision1", "train_precision1", "top tag right, "),
)
_SPREAD = "Each labelled picture by itself: how early its labels come in the list of all classes, best first."


def write_report(run: Path) -> Path:
    """Write `run`/report.html from the run's files and the pictures they name, and return its path.

    The page needs no network and no other file. Whatever the run does not have (it was interrupted, there was no
    held-out set, pictures are gone) is left out or said; it is a few hundred kB and at most a few MB.

    Raises:
        RunFolderError: `run` is not a run folder.
        OutputError: the report cannot be written.
    """
    reader = RunReader(Path(run))
    measured = read_measured(reader)
    record = read_record(reader)
    return write_page(record, headline(record, measured), _sections(record, measured), STYLE)


def _sections(record: RunRecord, measured: TagMeasured) -> list[tuple[str, str, Markup | None]]:
    bad = measured.evaluation.bad if measured.evaluation else ()
    tags = predict_command(record, "--out", f"{record.run.name}-tags.csv")
    uses: list[tuple[str, str | None]] = [
        ("Give tags to pictures: these, or any others", predict_command(record)),
        ("Into a list that can be corrected, and trained on again", tags),
    ]
    return [
        ("use", "Use it", use_section(record, uses)),
        ("learning", "Learning", learning_section(record, _CURVES, measured.scores is not None)),
        *(_measured_sections(record, measured) if measured.scores is not None else ()),
        ("data", "Data", data_section(record.check, Gallery(check_roots(record))) if record.check else None),
        ("unreadable", "Unreadable", unreadable_section(record, bad)),
        ("cost", "Cost", cost_section(record.profile)),
        ("setup", "Setup", setup_section(record)),
    ]


def _measured_sections(record: RunRecord, measured: TagMeasured) -> list[tuple[str, str, Markup | None]]:
    scores, pictures = measured.scores, measured.pictures
    assert scores is not None, "asked for by the caller"
    gallery = Gallery(picture_roots(record, "val_root"))
    spread = spread_section([row.average_precision for row in pictures], "average precision", _SPREAD)
    return [
        ("classes", "Classes", class_section(scores)),
        ("worst", "Worst pictures", worst_section(pictures, measured.threshold, gallery)),
        ("sample", "Sample", sample_section(pictures, measured.threshold, gallery)),
        ("spread", "Spread", spread),
        ("deciding", "Threshold", deciding_section(measured)),
    ]
