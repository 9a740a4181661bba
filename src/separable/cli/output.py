"""Where a verb's words go: people read standard output; with --json it holds one document and nothing else."""

import contextlib
import json
import math
import re
import shutil
import sys
import textwrap
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self, TextIO

__all__ = ["Output", "counter", "human_bytes", "human_count", "human_seconds", "write_lines"]

# What a continued line is indented by: its own indentation, or where the text of `  got       text` begins.
_COLUMN = re.compile(r" +(\w+(?: \w+)? {2,})?")


class Output:
    """Use as a context manager round a verb's body. With `json`, everything printed inside goes to standard error."""

    def __init__(self, json: bool) -> None:
        self._json = json
        self._stack = contextlib.ExitStack()
        self._stdout = sys.stdout

    def __enter__(self) -> Self:
        self._stdout = sys.stdout
        if self._json:
            self._stack.enter_context(contextlib.redirect_stdout(sys.stderr))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def show(self, text: str = "") -> None:
        """What was asked for, as text for people; with --json the document has it."""
        if not self._json:
            self.say(text)

    def say(self, text: str = "") -> None:
        """A line for people on what is happening; with --json on standard error."""
        write_lines(sys.stdout, text)

    def table(
        self,
        header: Sequence[str],
        rows: Sequence[Sequence[str]],
        right: Sequence[int] = (),
        whole: Sequence[int] = (),
    ) -> None:
        """Rows under a header on a terminal, tab-separated lines elsewhere, nothing with --json.

        `right` lists the columns of numbers, `whole` those whose words are never broken.
        """
        if self._json:
            return
        if not sys.stdout.isatty():
            for row in rows:
                self.say("\t".join(row))
            return
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
        for index, name in enumerate(header):
            table.add_column(
                name, justify="right" if index in right else "left", overflow="fold", no_wrap=index in whole
            )
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))
        Console(highlight=False).print(table)

    def document(self, value: Any) -> None:
        """The one JSON document of --json; without it nothing is printed."""
        if self._json:
            self._stdout.write(json.dumps(_plain(value), indent=2, ensure_ascii=False) + "\n")


def write_lines(stream: TextIO, text: str) -> None:
    """Write `text`; on a terminal, lines break between words and go on under their own indentation.

    Paths and commands are never broken, and what is not a terminal gets the lines as they are.
    """
    if stream.isatty():
        width = shutil.get_terminal_size().columns
        text = "\n".join(_wrapped(line, width) for line in text.splitlines())
    stream.write(f"{text}\n")
    stream.flush()


def _wrapped(line: str, width: int) -> str:
    if len(line) <= width:
        return line
    start = _COLUMN.match(line)
    indent = " " * (start.end() if start else 0)
    options: dict[str, Any] = {"break_long_words": False, "break_on_hyphens": False, "drop_whitespace": True}
    return textwrap.fill(line, width, subsequent_indent=indent, replace_whitespace=False, **options)


def _plain(value: Any) -> Any:
    """JSON has neither NaN nor numpy's numbers nor paths: null, Python's numbers and text instead."""
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | int) else str(value)


def counter(what: str, show: Callable[[int], str] = "{:,}".format) -> Callable[[int, int | None], None]:
    """A progress callback (done, in all) that rewrites one line on a terminal's standard error; silent elsewhere."""
    last = 0.0

    def progress(done: int, total: int | None) -> None:
        nonlocal last
        now, ended = time.monotonic(), done == total
        if sys.stderr.isatty() and (ended or now - last > 0.1):
            last = now
            of = f" of {show(total)}" if total else ""
            sys.stderr.write("\r\033[K" if ended else f"\r{show(done)}{of} {what}\033[K")
            sys.stderr.flush()

    return progress


def human_count(number: float) -> str:
    """1234 -> '1,234', 22855952 -> '22.86 M', 8.36e9 -> '8.36 G'."""
    for limit, letter in ((1e9, "G"), (1e6, "M")):
        if number >= limit:
            return f"{number / limit:.2f} {letter}"
    return f"{number:,.0f}"


def human_bytes(number: float) -> str:
    """1536 -> '1.5 KiB'."""
    for letter in ("B", "KiB", "MiB", "GiB"):
        if number < 1024 or letter == "GiB":
            return f"{number:.0f} {letter}" if letter == "B" else f"{number:.1f} {letter}"
        number /= 1024
    raise AssertionError("unreachable")


def human_seconds(seconds: float) -> str:
    """75 -> '1 min 15 s', 7300 -> '2 h 2 min'."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
