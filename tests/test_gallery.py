"""The gallery is what its script makes: drawings to the byte, a page that names every file, nothing large."""

import re
import shutil
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest
import typer

from separable.cli import main
from separable.cli.app import app
from tests.docs.scripts import DOCS, load

GALLERY = DOCS / "gallery"
FILES = sorted(path for path in GALLERY.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
DRAWINGS = [path.name for path in FILES if path.suffix == ".svg"]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return load("make_gallery")


def made_again(command: list[str], file: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    shutil.copy(GALLERY / "figure_9.py", folder)
    monkeypatch.chdir(folder)
    with pytest.raises(SystemExit) as end:
        main(command)
    assert end.value.code == 0
    return (folder / file).read_text(encoding="utf-8")


def test_the_page_is_the_scripts(script: ModuleType) -> None:
    assert (GALLERY / "README.md").read_text(encoding="utf-8") == script.page(), "run docs/make_gallery.py"


def test_every_file_is_on_the_page(script: ModuleType) -> None:
    """Each is linked, or lies in the folder of the explanation's pictures, which is."""
    linked = {target.rstrip("/") for target in re.findall(r"\]\(([^)]+)\)", script.page())}
    names = [str(path.relative_to(GALLERY)) for path in FILES if path.name != "README.md"]
    assert not [name for name in names if name not in linked and name.split("/")[0] not in linked]
    assert len(names) > len(script.DRAWINGS) + len(script.PROFILES)


def test_what_is_measured_is_said_as_it_is_run(script: ModuleType) -> None:
    verbs = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for entry in (*script.PROFILES, script.DOCTOR):
        verb, *rest = entry.command
        verbs[verb].make_context(verb, rest)
        assert (GALLERY / entry.file).is_file()


@pytest.mark.parametrize("file", DRAWINGS)
def test_drawings_are_made_again_to_the_byte(
    file: str, script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A drawing that is out of date says so here: `python docs/make_gallery.py --only draw` makes all anew."""
    entry = next(entry for entry in script.DRAWINGS if entry.file == file)
    made = made_again(entry.command, file, tmp_path, monkeypatch)
    assert made == (GALLERY / file).read_text(encoding="utf-8"), "run docs/make_gallery.py --only draw"


def test_counts_are_made_again_but_for_date_and_versions(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = script.COUNTED
    made = made_again(entry.command, entry.file, tmp_path, monkeypatch)
    kept = (GALLERY / entry.file).read_text(encoding="utf-8")
    setup = '<section id="setup">'
    assert made.partition(setup)[0] == kept.partition(setup)[0], "run docs/make_gallery.py --only profile"
    assert made.count(setup) == 1
    assert "Principle 1, avoid representational bottlenecks" in made


def test_another_date_alone_is_no_news(script: ModuleType, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    old, new = ("<p>Written on 2026-11-22 10:48 UTC.</p>", "<p>Written on 2027-01-02 03:04 UTC.</p>")
    script.keep(page, old, new)
    assert page.read_text() == old
    script.keep(page, old, new.replace("Written", "Made"))
    assert page.read_text() == new.replace("Written", "Made")


def test_the_bad_example_is_marked_and_the_good_one_is_not() -> None:
    bad, good = ((GALLERY / name).read_text(encoding="utf-8") for name in ("figure_9_left.svg", "figure_10.svg"))
    found = re.findall(r">(to\d+\.0): Avoid representational bottlenecks", bad)
    assert found == ["to17.0", "to8.0"]
    assert "bottleneck" not in good


@pytest.mark.parametrize(
    "path", [path for path in FILES if path.suffix in (".svg", ".html")], ids=lambda path: path.name
)
def test_pictures_and_pages_are_whole(path: Path) -> None:
    """XML that parses, needs no other file, and names no folder of the machine that made it."""
    text = path.read_text(encoding="utf-8")
    root = ElementTree.fromstring(text.encode("utf-8"))
    for node in root.iter():
        for key in ("src", "href", "{http://www.w3.org/1999/xlink}href"):
            value = node.get(key, "#")
            assert value.startswith(("#", "data:image/")) or (node.tag.endswith("}a") and value.startswith("https://"))
    assert not re.search(r"[\"' >](/(?:home|root|tmp|usr|work|Users|mnt)/|[A-Z]:\\)", text)


def test_the_photograph_is_credited() -> None:
    """CC BY 2.0 asks for the author, the source, the licence and what was changed, wherever the picture is shown."""
    for name in ("README.md", "china.html"):
        text = (GALLERY / name).read_text(encoding="utf-8")
        for needed in ("danielbuechele", "photos/danielbuechele/6061409035", "licenses/by/2.0", "Cropped"):
            assert needed in text, f"{name} lacks {needed}"


def test_the_gallery_is_small() -> None:
    sizes = {path.name: path.stat().st_size for path in FILES}
    assert max(sizes.values()) < 500_000, max(sizes, key=lambda name: sizes[name])
    assert sum(sizes.values()) < 3_000_000
