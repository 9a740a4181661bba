"""The documentation names only what exists: commands that parse, tests that are there, links that lead somewhere."""

import ast
import re
import shlex
from pathlib import Path

import pytest
import typer

from separable.cli.app import app
from separable.models import list_models

DOCS = Path(__file__).parent.parent / "docs"
PAGES = [DOCS.parent / "README.md", *sorted(DOCS.rglob("*.md"))]
COMMAND = re.compile(r"(?:^|\| )(separable [^|\n]+)", re.MULTILINE)


def commands() -> list[tuple[str, str]]:
    blocks = [
        (page.name, block)
        for page in PAGES
        for block in re.findall(r"```bash\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    ]
    return [(name, line.strip()) for name, block in blocks for line in COMMAND.findall(block)]


def test_there_are_commands_to_check() -> None:
    assert len(commands()) > 15


@pytest.mark.parametrize(("page", "command"), commands())
def test_every_command_is_understood(page: str, command: str) -> None:
    _, verb, *rest = shlex.split(command, comments=True)
    verbs = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    assert verb in verbs, f"{page}: {command}"
    verbs[verb].make_context(verb, rest)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_test_named_is_there(page: Path) -> None:
    """`tests/file.py::name`, and `::name` for another one of the file named last."""
    file, missing = None, []
    for named, test in re.findall(r"`(tests/[\w/]+\.py)?(?:::(\w+))?`", page.read_text(encoding="utf-8")):
        file = DOCS.parent / named if named else file
        if file is None or not (named or test):
            continue
        defined = (
            {node.name for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.FunctionDef)}
            if file.is_file()
            else set()
        )
        if not file.is_file() or (test and test not in defined):
            missing.append(f"{file.name}::{test}")
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
        assert target.startswith("https://") or (page.parent / target).exists(), target


def anchors(page: Path) -> set[str]:
    """What GitHub makes of a page's headings, and those that stand there."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    written = re.findall(r'<a id="([^"]+)">', text)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings} | {*written}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_heading_linked_to_is_there(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", page.read_text(encoding="utf-8")):
        assert anchor in anchors(page.parent / target if target else page), f"{target}#{anchor}"


def test_the_readmes_table_is_the_one_that_was_measured() -> None:
    text = PAGES[0].read_text(encoding="utf-8")
    table = text.split("<!-- model table: begin", 1)[1].split("\n", 1)[1].split("<!-- model table: end", 1)[0]
    assert table == (DOCS.parent / "benchmarks" / "results" / "model_table.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in table for name in list_models("classify"))
    assert all(f"`{name}`" in text for name in list_models())
