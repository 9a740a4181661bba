"""Results for people: lines on a terminal, Markdown, and a page with plots."""

from pathlib import Path

from separable.experiments.render.markdown import to_markdown
from separable.experiments.render.page import write_page
from separable.experiments.render.terminal import to_text
from separable.experiments.results import Result
from separable.files import write_text_atomically

__all__ = ["to_markdown", "to_text", "write_page", "write_pages"]


def write_pages(result: Result, folder: Path) -> None:
    """Write `result.md` and `report.html` into `folder`, which is there.

    Raises:
        OutputError: they cannot be written.
    """
    write_text_atomically(folder / "result.md", to_markdown(result))
    write_page(result, folder / "report.html")
