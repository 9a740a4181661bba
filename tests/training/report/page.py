"""Reading a report's page and a run's tables."""

import base64
import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree

from PIL import Image

Element = ElementTree.Element
HTML = "{http://www.w3.org/1999/xhtml}"
SVG = "{http://www.w3.org/2000/svg}"


def parse(report: Path) -> Element:
    text = report.read_text(encoding="utf-8")
    assert text.startswith("<!DOCTYPE html>\n")
    return ElementTree.fromstring(text.encode("utf-8"))


def words(element: Element | None) -> str:
    assert element is not None
    return " ".join(" ".join(element.itertext()).split())


def part(page: Element, anchor: str) -> Element | None:
    return next((node for node in page.iter(HTML + "section") if node.get("id") == anchor), None)


def shots(element: Element | None) -> list[Element]:
    assert element is not None
    return [item for grid in element.iter(HTML + "ul") if "shots" in (grid.get("class") or "").split() for item in grid]


def thumbnails(element: Element | None) -> Iterator[Image.Image]:
    assert element is not None
    for image in element.iter(HTML + "img"):
        kind, data = (image.get("src") or "").split(",")
        assert kind == "data:image/jpeg;base64"
        assert image.get("alt")
        yield Image.open(io.BytesIO(base64.b64decode(data)))


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as handle:
        return list(csv.DictReader(handle))


def write_rows(path: Path, rows: Sequence[dict[str, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
