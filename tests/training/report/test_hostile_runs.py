"""Reports of hostile and of huge runs."""

import base64
import io
import json
from pathlib import Path, PurePosixPath, PureWindowsPath
from xml.etree import ElementTree

import pytest
from PIL import Image

from separable.training.report import write_report
from separable.training.report.reading import RunReader, read_answers
from separable.training.report.thumbnails import Gallery, leads_outside
from tests.training.report.page import HTML, SVG, parse, part, thumbnails, words, write_rows
from tests.training.synthetic_run import write_run

HOSTILE = [
    '<script>alert("1")</script>',
    '"><img src=x onerror=alert(1)>',
    "</style></svg></title><iframe src='http://example.org'>",
    "javascript:alert(1)&lt;b&gt;",
    "日本語の長いクラス名",
    "a" * 300,
    "\u202enoitcerid eht snrut\u202c]]>",
    "line\nbreak\x1b[31m",
]


def test_names_cannot_inject_anything(tmp_path: Path) -> None:
    pictures = [(f"{name}/{k}{name}.jpg", label) for label, name in enumerate(HOSTILE) for k in range(3)]
    run = write_run(tmp_path / "run", pictures, val_root=tmp_path / HOSTILE[0] / HOSTILE[1], class_names=HOSTILE)
    write_rows(run / "quarantine.csv", [{"path": n, "cause": n, "first_seen": n} for n in HOSTILE])
    group = {"kind": "leak", "severity": "error", "what": HOSTILE[0], "fix": HOSTILE[1], "count": 9}
    group["examples"] = [{"path": name, "other": name, "detail": name} for name in HOSTILE]
    check = {"root": HOSTILE[0], "groups": [group, {**group, "kind": HOSTILE[2]}], "notes": HOSTILE, "misleading": True}
    (run / "check.json").write_text(json.dumps(check))
    (run / "environment.json").write_text(json.dumps({n: n for n in HOSTILE}))
    with (run / "config.yaml").open("a", encoding="utf-8") as config:
        config.write("# " + HOSTILE[2] + "\n")
    page = parse(write_report(run))
    tags = {node.tag for node in page.iter()}
    assert len(list(page.iter(HTML + "script"))) == 1
    assert tags.isdisjoint({HTML + name for name in ("iframe", "object", "embed", "base", "form", "input")})
    assert tags.isdisjoint({SVG + name for name in ("script", "foreignObject", "a", "image", "use", "style")})
    for node in page.iter():
        assert not [name for name in node.attrib if name.lower().startswith("on")]
        assert not (node.get("src") or "data:image/jpeg").removeprefix("data:image/jpeg").startswith("http")
        assert (node.get("href") or "#").startswith("#")
    assert HOSTILE[0] in words(part(page, "classes"))
    assert "\u202e" not in "".join(page.itertext())


def test_a_thousand_classes_stay_readable_and_small(tmp_path: Path) -> None:
    names = [f"n{i:08d} {'very ' * (i % 40)}long name" for i in range(1000)]
    pictures = [(f"{name}/{k}.jpg", label) for label, name in enumerate(names) for k in range(2)]
    run = write_run(tmp_path / "run", pictures, val_root=tmp_path, class_names=names, epochs=90, accuracy=0.7)
    report = write_report(run)
    assert report.stat().st_size < 600_000
    page = parse(report)
    confusion = part(page, "confusion")
    assert not list(confusion.iter(SVG + "svg"))  # type: ignore[union-attr]
    assert "A matrix of 1,000 classes could not be read" in words(confusion)
    assert len(list(confusion.iter(HTML + "tr"))) == 1 + 15  # type: ignore[union-attr]
    assert "The 300 weakest of 1,000 classes; evaluation.json has them all." in words(part(page, "classes"))
    content = json.loads((run / "evaluation.json").read_text())
    weakest = min(content["per_class"], key=lambda row: (row["f1"] if row["f1"] is not None else -1, row["name"]))
    rows = part(page, "classes").find(f".//{HTML}tbody")  # type: ignore[union-attr]
    assert len(rows) == 300  # type: ignore[arg-type]
    assert words(rows[0][0]).startswith(weakest["name"][:9])  # type: ignore[index]


def test_file_names_that_are_not_utf8_are_shown(tmp_path: Path) -> None:
    name = b"caf\xe9.jpg".decode("utf-8", "surrogateescape")
    (tmp_path / "val" / "a").mkdir(parents=True)
    try:
        Image.new("RGB", (40, 30), "red").save(tmp_path / "val" / "a" / name)
    except (OSError, UnicodeError):
        pytest.skip("this file system takes UTF-8 names only")
    run = write_run(tmp_path / "run", [(f"a/{name}", 0)], val_root=tmp_path / "val", class_names=("a", "b"))
    section = part(parse(write_report(run)), "sample")
    assert len(list(thumbnails(section))) == 1
    assert next(section.iter(HTML + "img")).get("title") == "a/caf\N{REPLACEMENT CHARACTER}.jpg"  # type: ignore[union-attr]


@pytest.mark.parametrize("named", ["../secret.png", "a/../../secret.png", "{absolute}"])
def test_a_run_folder_cannot_pull_in_other_files(named: str, tmp_path: Path) -> None:
    Image.new("RGB", (40, 30), "red").save(tmp_path / "secret.png")
    (tmp_path / "val" / "a").mkdir(parents=True)
    path = named.format(absolute=tmp_path / "secret.png")
    assert "img" not in Gallery((tmp_path / "val",)).show(path, "")


@pytest.mark.parametrize(
    "named", ["C:/x.png", "C:x.png", "\\\\server\\share\\x.png", "/x.png", "a\\..\\x.png", "a/../x.png"]
)
def test_what_leads_out_of_a_folder_on_windows(named: str) -> None:
    assert leads_outside(PureWindowsPath(named))


def test_a_colon_is_a_letter_like_others_elsewhere(tmp_path: Path) -> None:
    assert not leads_outside(PurePosixPath("C:/12:30.png"))
    assert not leads_outside(PureWindowsPath("a/x..png"))


@pytest.mark.parametrize("name", ["li\u2028ne.jpg", "form\x0cfeed.jpg", "next\x85.jpg", 'a,"b"\nc\r.jpg'])
def test_rows_end_where_csv_says(name: str, tmp_path: Path) -> None:
    """And not at everything that Python's `splitlines` takes for the end of a line."""
    run = write_run(tmp_path / "run", [(f"a/{name}", 0), ("b/x.jpg", 1)], val_root=tmp_path, class_names=("a", "b"))
    reader = RunReader(run)
    assert [row.path for row in read_answers(reader).predictions] == [f"a/{name}", "b/x.jpg"]
    assert reader.complaints == []


@pytest.mark.parametrize(("size", "expected"), [((8, 8), (160, 160)), ((1, 3000), (1, 160)), ((600, 300), (160, 80))])
def test_thumbnails_of_odd_sizes(size: tuple[int, int], expected: tuple[int, int], tmp_path: Path) -> None:
    Image.new("RGB", size, "green").save(tmp_path / "x.png")
    shown = ElementTree.fromstring(Gallery((tmp_path,)).show("x.png", "a picture"))
    image = Image.open(io.BytesIO(base64.b64decode((shown[0].get("src") or "").split(",")[1])))
    assert image.size == expected
