"""The report of a classification as one file: sections in the order a reader asks for them."""

from pathlib import Path

from separable.analysis.page.wording import count_of
from separable.analysis.plots.markup import Markup
from separable.training.report.classes import class_section
from separable.training.report.commands import predict_command
from separable.training.report.confidence import confidence_section
from separable.training.report.confusion import Confusion, confusion_section
from separable.training.report.data_check import data_section, unreadable_section
from separable.training.report.frame import check_roots, picture_roots, write_page
from separable.training.report.headline import headline
from separable.training.report.learning import Curve, learning_section
from separable.training.report.opening import use_section
from separable.training.report.pictures import mistakes_section, sample_section, suspects_section
from separable.training.report.reading import RunReader, read_answers, read_record
from separable.training.report.record import Answers, Evaluation, RunRecord
from separable.training.report.setup import cost_section, setup_section
from separable.training.report.thumbnails import Gallery

__all__ = ["write_report"]

_CURVES = (Curve("right at the first guess", "val_top1", "train_top1"),)


def write_report(run: Path) -> Path:
    """Write `run`/report.html from the run's files and the pictures they name, and return its path.

    The page needs no network and no other file. Whatever the run does not have (it was interrupted, there was no
    held-out set, pictures are gone) is left out or said; it is a few hundred kB and at most a few MB.

    Raises:
        RunFolderError: `run` is not a run folder.
        OutputError: the report cannot be written.
    """
    reader = RunReader(Path(run))
    answers = read_answers(reader)
    record = read_record(reader)
    return write_page(record, headline(record, answers.measured), _sections(record, answers))


def _sections(record: RunRecord, answers: Answers) -> list[tuple[str, str, Markup | None]]:
    evaluation, predictions = answers.measured, answers.predictions
    held_out, training = (Gallery(picture_roots(record, key)) for key in ("val_root", "train_root"))
    use = ("Name what is on pictures: these, or any others", predict_command(record))
    bad = answers.evaluation.bad if answers.evaluation else ()
    return [
        ("use", "Use it", use_section(record, [use])),
        ("learning", "Learning", learning_section(record, _CURVES, evaluation is not None)),
        ("confusion", "Confusion", confusion_section(_confusion(evaluation)) if evaluation else None),
        ("classes", "Classes", class_section(evaluation) if evaluation else None),
        ("confidence", "Confidence", confidence_section(answers)),
        ("wrong", "Confidently wrong", mistakes_section(predictions, held_out)),
        ("sample", "Sample", sample_section(predictions, held_out)),
        ("labels", "Labels", suspects_section(record, answers.suspects, training)),
        ("data", "Data", data_section(record.check, Gallery(check_roots(record))) if record.check else None),
        ("unreadable", "Unreadable", unreadable_section(record, bad)),
        ("cost", "Cost", cost_section(record.profile)),
        ("setup", "Setup", setup_section(record)),
    ]


def _confusion(evaluation: Evaluation) -> Confusion:
    none = f"Not one of {count_of(evaluation.n, 'picture')} was taken for another class."
    return Confusion(evaluation.confusion, evaluation.class_names, "pictures", none)
