"""The report as one file: sections in the order a reader asks for them."""

from datetime import UTC, datetime
from pathlib import Path

from separable import __version__
from separable.analysis.page import Section, document
from separable.analysis.plots.markup import Markup, join
from separable.files import write_text_atomically
from separable.training.report.classes import class_section, confusion_section
from separable.training.report.confidence import confidence_section
from separable.training.report.data_check import data_section, unreadable_section
from separable.training.report.headline import headline, use_section
from separable.training.report.learning import learning_section
from separable.training.report.pictures import mistakes_section, sample_section, suspects_section
from separable.training.report.reading import read_run
from separable.training.report.record import RunRecord, value_at
from separable.training.report.setup import cost_section, setup_section
from separable.training.report.thumbnails import Gallery

__all__ = ["write_report"]


def write_report(run: Path) -> Path:
    """Write `run`/report.html from the run's files and the pictures they name, and return its path.

    The page needs no network and no other file. Whatever the run does not have (it was interrupted, there was no
    held-out set, pictures are gone) is left out or said; it is a few hundred kB and at most a few MB.

    Raises:
        RunFolderError: `run` is not a run folder.
        OutputError: the report cannot be written.
    """
    run = Path(run)
    page = _page(read_run(run))
    target = run / "report.html"
    write_text_atomically(target, page)
    return target


def _page(record: RunRecord) -> str:
    return document(f"{record.run.name}: training report", headline(record), _sections(record), _footer())


def _sections(record: RunRecord) -> list[Section]:
    evaluation = record.measured
    held_out = Gallery(_roots(record, "val_root"))
    training = Gallery(_roots(record, "train_root"))
    built = [
        ("use", "Use it", use_section(record)),
        ("learning", "Learning", learning_section(record)),
        ("confusion", "Confusion", confusion_section(evaluation) if evaluation else None),
        ("classes", "Classes", class_section(evaluation) if evaluation else None),
        ("confidence", "Confidence", confidence_section(record)),
        ("wrong", "Confidently wrong", mistakes_section(record.predictions, held_out)),
        ("sample", "Sample", sample_section(record.predictions, held_out)),
        ("labels", "Labels", suspects_section(record, training)),
        ("data", "Data", data_section(record.check, Gallery(_check_roots(record))) if record.check else None),
        ("unreadable", "Unreadable", unreadable_section(record)),
        ("cost", "Cost", cost_section(record.profile)),
        ("setup", "Setup", setup_section(record)),
    ]
    return [(anchor, title, content) for anchor, title, content in built if content is not None]


def _roots(record: RunRecord, first: str) -> tuple[Path, ...]:
    """Where pictures may lie; a relative folder is relative to where the training ran, usually here."""
    named = [value_at(record.config, "data", key) for key in (first, "val_root", "train_root", "root")]
    return tuple(dict.fromkeys(Path(str(name)) for name in named if name))


def _check_roots(record: RunRecord) -> tuple[Path, ...]:
    root = record.check.root if record.check else ""
    return (*([Path(root)] if root else []), *_roots(record, "root"))


def _footer() -> Markup:
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return join(
        f"Written by separable {__version__} on {when} from the files of the run folder. "
        "Thumbnails are at most 160 pixels wide or high. Nothing on this page was fetched from a network."
    )
