"""What every report is put into: the document with its footer, and the folders that its pictures lie in."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from separable import __version__
from separable.analysis.page import document
from separable.analysis.plots.markup import Markup
from separable.files import write_text_atomically
from separable.training.report.record import RunRecord, value_at

__all__ = ["check_roots", "picture_roots", "write_page"]


def write_page(
    record: RunRecord,
    header: Markup,
    sections: Sequence[tuple[str, str, Markup | None]],
    style: str = "",
    thumbnails: str = "Thumbnails are at most 160 pixels wide or high.",
) -> Path:
    """Write report.html into the run and return its path.

    Args:
        record: of the run.
        header: above the links to the sections.
        sections: (anchor, what the link to it says, content); those without content are left out.
        style: rules of this page alone.
        thumbnails: a sentence about them, for the footer.

    Raises:
        OutputError: the file cannot be written.
    """
    shown = [(anchor, title, content) for anchor, title, content in sections if content is not None]
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    footer = (
        f"Written by separable {__version__} on {when} from the files of the run folder. {thumbnails} "
        "Nothing on this page was fetched from a network."
    )
    target = record.run / "report.html"
    write_text_atomically(target, document(f"{record.run.name}: training report", header, shown, footer, style))
    return target


def picture_roots(record: RunRecord, first: str) -> tuple[Path, ...]:
    """Where pictures may lie; a relative folder is relative to where the training ran, usually here."""
    named = [value_at(record.config, "data", key) for key in (first, "val_root", "train_root", "root")]
    return tuple(dict.fromkeys(Path(str(name)) for name in named if name))


def check_roots(record: RunRecord) -> tuple[Path, ...]:
    """Where the pictures lie that the check of the data names."""
    root = record.check.root if record.check else ""
    return (*([Path(root)] if root else []), *picture_roots(record, "root"))
