"""The report page: well-formed, self-contained, bounded, and true to the run folder whatever state that is in."""

import base64
import csv
import hashlib
import io
import json
import math
import re
import shlex
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath, PureWindowsPath
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import typer
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.stats import binomtest

from separable.analysis.page.wording import amount, count_of, duration, listed, percent, wilson_interval
from separable.cli.app import app
from separable.cli.settings import configure
from separable.cli.training import Plan
from separable.errors import RunFolderError
from separable.training.config import DataConfig, ModelConfig, TrainConfig
from separable.training.recipes import RECIPES
from separable.training.report import write_report
from separable.training.report.commands import repeat_command
from separable.training.report.confidence import coverage_curve
from separable.training.report.learning import thinned
from separable.training.report.reading import read_run
from separable.training.report.record import Predicted
from separable.training.report.thumbnails import Gallery, leads_outside
from tests.training.synthetic_run import FLOWERS, draw_pictures, write_run

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


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run over 60 pictures; tests that change it copy it first."""
    base = tmp_path_factory.mktemp("finished")
    pictures = draw_pictures(base / "flowers" / "val", FLOWERS, 12, side=220)
    run = write_run(base / "runs" / "flowers", pictures, val_root=base / "flowers" / "val")
    write_report(run)
    return run


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose pictures were never there, quickly reported."""
    base = tmp_path_factory.mktemp("small")
    return write_run(base / "run", [(f"{n}/1.jpg", i) for i, n in enumerate(FLOWERS)], val_root=base, epochs=2)


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "flowers"))


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as handle:
        return list(csv.DictReader(handle))


def write_rows(path: Path, rows: Sequence[dict[str, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


# the whole page


def test_every_section_of_a_finished_run_is_there(finished: Path) -> None:
    page = parse(finished / "report.html")
    found = [node.get("id") for node in page.iter(HTML + "section")]
    assert found == [
        "use", "learning", "confusion", "classes", "confidence", "wrong", "sample", "labels", "data",
        "unreadable", "cost", "setup",
    ]  # fmt: skip
    links = [a.get("href") for a in page.iter(HTML + "a")]
    assert links == [f"#{anchor}" for anchor in found]
    assert all(words(node.find(f"{HTML}div/{HTML}h2")) and words(node) for node in page.iter(HTML + "section"))


def test_the_headline_tells_the_result_and_its_interval(finished: Path) -> None:
    rows = rows_of(finished / "predictions.csv")
    right = sum(row["label"] == row["predicted"] for row in rows)
    interval = binomtest(right, len(rows)).proportion_ci(method="wilson")
    head = words(parse(finished / "report.html").find(f".//{HTML}header"))
    assert f"{100 * right / len(rows):.1f}% right on 60 pictures it never trained on" in head
    assert f"between {100 * interval.low:.1f}% and {100 * interval.high:.1f}%" in head
    assert "always answering the largest class would give 20.0%" in head
    assert "mobilenet_v1 (width 0.5) learned 5 classes from 600 pictures in 2 min 38 s" in head
    assert "on AMD EPYC 9V74 80-Core Processor (2 cores)" in head


def test_the_page_needs_nothing_but_itself(finished: Path) -> None:
    page = parse(finished / "report.html")
    for node in page.iter():
        for name, value in node.attrib.items():
            own = value.removeprefix("data:image/jpeg;base64,")
            assert own != value or not re.search(r"https?:|//|url\(|@import", value), name
    style = words(page.find(f".//{HTML}style"))
    assert not re.search(r"url\(|@import|https?:", style)
    assert not list(page.iter(HTML + "link"))
    policy = next(m.get("content") or "" for m in page.iter(HTML + "meta") if m.get("http-equiv"))
    script = page.find(f".//{HTML}script")
    assert script is not None
    digest = base64.b64encode(hashlib.sha256((script.text or "").encode()).digest()).decode()
    assert policy == f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"


def test_numbers_on_the_page_are_those_of_the_files(finished: Path) -> None:
    page = parse(finished / "report.html")
    table = part(page, "classes").find(f".//{HTML}tbody")  # type: ignore[union-attr]
    shown = {words(row[0]): [words(cell) for cell in row[1:]] for row in table}  # type: ignore[union-attr]
    rows = rows_of(finished / "predictions.csv")
    for name in FLOWERS:
        both = sum(r["label"] == r["predicted"] == name for r in rows)
        said, true = (sum(r[key] == name for r in rows) for key in ("predicted", "label"))
        expected = [str(true), f"{both / said:.3f}", f"{both / true:.3f}", f"{2 * both / (said + true):.3f}"]
        assert shown[name] == expected
    counts = [
        node.text
        for node in part(page, "confusion").iter(SVG + "text")  # type: ignore[union-attr]
        if "on-" in (node.get("class") or "")
    ]
    assert sum(int(count or 0) for count in counts) == len(rows)


def test_pairs_of_the_confusion_table_are_sorted_and_complete(finished: Path) -> None:
    rows = [r for r in rows_of(finished / "predictions.csv") if r["label"] != r["predicted"]]
    body = part(parse(finished / "report.html"), "confusion").find(f".//{HTML}tbody")  # type: ignore[union-attr]
    shown = [(words(r[0]), words(r[1]), int(words(r[2]))) for r in body]  # type: ignore[union-attr]
    assert sum(count for _, _, count in shown) == len(rows)
    assert [count for *_, count in shown] == sorted((count for *_, count in shown), reverse=True)
    for truth, predicted, count in shown:
        assert sum(r["label"] == truth and r["predicted"] == predicted for r in rows) == count


def test_confidently_wrong_starts_with_the_surest_mistake(finished: Path) -> None:
    wrong = [r for r in rows_of(finished / "predictions.csv") if r["label"] != r["predicted"]]
    surest = max(wrong, key=lambda r: float(r["confidence"]))
    items = shots(part(parse(finished / "report.html"), "wrong"))
    assert len(items) == min(20, len(wrong))
    assert f"truly {surest['label']}" in words(items[0])
    assert surest["predicted"] in words(items[0])
    assert (next(items[0].iter(HTML + "img")).get("alt") or "").startswith(surest["path"] + ":")


def test_thumbnails_are_small_jpegs_of_the_named_pictures(finished: Path) -> None:
    section = part(parse(finished / "report.html"), "sample")
    made = list(thumbnails(section))
    assert len(made) == 30
    for item, small in zip(shots(section), made, strict=True):
        assert max(small.size) == 160
        name = (next(item.iter(HTML + "img")).get("title")) or ""
        original = Image.open(finished.parent.parent / "flowers" / "val" / name)
        colours = [np.asarray(image.convert("RGB"), np.float64).mean(axis=(0, 1)) for image in (small, original)]
        assert np.abs(colours[0] - colours[1]).max() < 3


def test_the_sample_does_not_depend_on_the_order_of_the_file(finished: Path, run: Path) -> None:
    rows = rows_of(run / "predictions.csv")
    write_rows(run / "predictions.csv", rows[::-1])
    before, after = (
        [words(item) for item in shots(part(parse(path), "sample"))]
        for path in (finished / "report.html", write_report(run))
    )
    assert before == after


def test_quarantined_pictures_are_listed_with_their_cause(finished: Path) -> None:
    section = words(part(parse(finished / "report.html"), "unreadable"))
    assert "1 picture could not be read" in section
    assert "daisy/broken.jpg truncated: 1,204 of 30,118 bytes" in section


def test_the_data_check_shows_the_worst_with_its_pictures(finished: Path) -> None:
    section = part(parse(finished / "report.html"), "data")
    text = words(section)
    assert "Training on these pictures misleads (leak)" in text
    assert "600 to learn from, 60 held out" in text
    assert "5, of 116 (tulips) to 120 (daisy) pictures to learn from" in text
    assert "9 held-out pictures are in training too (4.5 %). Remove them from one of the two." in text
    assert len(shots(section)) == 4
    assert len(list(thumbnails(section))) == 8
    assert "3 pictures are palettes" in text


COMMANDS = [
    TrainConfig(run="runs/a", recipe=RECIPES["small"], data=DataConfig(root="flowers", val_fraction=0.1)),
    TrainConfig(
        run="runs/a b",
        recipe=replace(
            RECIPES["finetune"],
            epochs=7,
            optimiser=replace(RECIPES["finetune"].optimiser, learning_rate=1e-5, decayed=("convolution",)),
            augment=replace(RECIPES["finetune"].augment, random_resized_crop=None, flip=False),
        ),
        data=DataConfig(root="it's; rm -rf $HOME", labels_csv="a b.csv", max_bad=0.2, split_seed=3, decoder="pillow"),
        model=ModelConfig("mobilenet_v1", {"width": 0.5, "dropout": None}, "w.npz", (160, 128), crop_fraction=1.0),
        epochs=5,
        batch_size=48,
        accumulate=2,
        seed=9,
        precision="bf16",
        threads=2,
        gradient_checkpointing=True,
    ),
    TrainConfig(run="runs/a", recipe=RECIPES["small"], data=DataConfig(root="p"), device="cuda", deterministic=True),
    TrainConfig(run="runs/a", recipe=RECIPES["xception_imagenet"], data=DataConfig(root="pics"), batch_size=1920),
]


@pytest.mark.parametrize("config", COMMANDS, ids=range(len(COMMANDS)))
def test_the_command_to_repeat_a_run_gives_its_configuration(config: TrainConfig, tmp_path: Path) -> None:
    """Through the command line's own parser, since a command that only looks right is worse than none."""
    config.to_yaml(tmp_path / "config.yaml")
    said = shlex.split(repeat_command(read_run(tmp_path)) or "")
    assert said[0] == "separable"
    with pytest.MonkeyPatch.context() as patch:
        plans: list[Plan] = []
        patch.setattr("separable.cli.training.carry_out", lambda plan, out: plans.append(plan))
        app(said[1:], standalone_mode=False)
    (plan,) = plans
    assert (str(plan.data), plan.run, plan.resume) == (config.data.root, f"{tmp_path}-again", False)
    data = SimpleNamespace(
        train=SimpleNamespace(root=config.data.train_root), val=SimpleNamespace(root=config.data.val_root)
    )
    weights = None if plan.wishes.weights == "none" else plan.wishes.weights
    made = configure(plan.wishes, Path(config.run), plan.data, data, weights, None)  # type: ignore[arg-type]
    assert config.differences(made) == []


def test_the_other_commands_are_understood_too(finished: Path) -> None:
    pages = parse(finished / "report.html")
    lines = [shlex.split(words(code)) for code in pages.iter(HTML + "code") if words(code).startswith("separable ")]
    assert [line[1] for line in lines] == ["predict", "evaluate", "train", "train"]
    assert lines[3][lines[3].index("--labels") + 1] == str(finished / "suspects.csv")
    for line in lines:
        verb = app_commands()[line[1]]
        verb.make_context(line[1], line[2:])


def app_commands() -> dict[str, Any]:
    return typer.main.get_command(app).commands  # type: ignore[attr-defined,no-any-return]


# runs that lack things


OPTIONAL = {
    "evaluation.json": ["confusion", "classes", "confidence"],
    "predictions.csv": ["wrong", "sample"],
    "suspects.csv": ["labels"],
    "quarantine.csv": ["unreadable"],
    "profile.json": ["cost"],
    "check.json": ["data"],
    "metrics.jsonl": [],
    "environment.json": [],
}


@pytest.mark.parametrize("name", OPTIONAL)
def test_a_missing_file_costs_its_sections_alone(name: str, finished: Path, run: Path) -> None:
    (run / name).unlink()
    before = {node.get("id") for node in parse(finished / "report.html").iter(HTML + "section")}
    page = parse(write_report(run))
    assert before - {node.get("id") for node in page.iter(HTML + "section")} == set(OPTIONAL[name])


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\x00\xff\xfe\x00", b"{", b"[]", b"null", b'{"n": "many", "class_names": 3}', b"[" * 5_000,
        b'{"kind":"step"}\n{"kind":"epoch","epoch":"x","step":1}\n', b'path,label,predicted\n"unclosed',
        b'{"n": 5, "class_names": ["a"], "confusion": [[1, 2]], "per_class": [{}], "calibration": 7}',
        b'{"problems": 7, "processor": [], "parameters": "x", "recipe": 3, "data": [], "timing": 1}',
    ],
    ids=range(11),
)  # fmt: skip
@pytest.mark.parametrize("name", [*OPTIONAL, "config.yaml"])
def test_a_damaged_file_never_stops_the_report(name: str, content: bytes, small: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(small, tmp_path / "run"))
    (run / name).write_bytes(content)
    page = parse(write_report(run))
    assert part(page, "use") is not None


ODD = [None, -1, 0, 1.5, 1e308, 10**30, "x", [], {}, [1], {"a": 1}, True, math.nan, math.inf]


def places(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    yield path
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(inner, (*path, key))


@pytest.mark.parametrize(
    "name", ["evaluation.json", "profile.json", "environment.json", "metrics.jsonl", "config.yaml"]
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_an_odd_value_anywhere_never_stops_the_report(name: str, data: st.DataObject, small: Path) -> None:
    file = small / name
    original = file.read_text(encoding="utf-8")
    if name == "metrics.jsonl":
        content = [json.loads(line) for line in original.splitlines()]
    else:
        content = yaml.safe_load(original)
    *way, last = data.draw(st.sampled_from([p for p in places(content) if p]))
    inner = content
    for key in way:
        inner = inner[key]
    inner[last] = data.draw(st.sampled_from(ODD))
    lines = content if name == "metrics.jsonl" else [content]
    try:
        file.write_text("\n".join(json.dumps(line) for line in lines), encoding="utf-8")
        assert part(parse(write_report(small)), "use") is not None
    finally:
        file.write_text(original, encoding="utf-8")


@pytest.mark.parametrize("place", [("top1",), ("per_class", 0, "recall"), ("calibration", "bins", 14, "accuracy")])
@pytest.mark.parametrize("value", [-0.5, 1.5, math.inf])
def test_a_share_above_all_is_refused(place: tuple[Any, ...], value: float, small: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(small, tmp_path / "run"))
    content = json.loads((run / "evaluation.json").read_text())
    inner = content
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    (run / "evaluation.json").write_text(json.dumps(content))
    assert f"evaluation.json could not be used: ValueError: {value}" in words(parse(write_report(run)))


def test_a_damaged_file_is_named(run: Path) -> None:
    (run / "evaluation.json").write_text('{"n": 5')
    (run / "predictions.csv").write_text("path,label\nx,y\n")
    head = words(parse(write_report(run)).find(f".//{HTML}header"))
    assert "evaluation.json could not be used: JSONDecodeError" in head
    assert "predictions.csv: 1 row could not be used" in head


def test_an_interrupted_run_says_how_to_go_on(tmp_path: Path) -> None:
    pictures = draw_pictures(tmp_path / "val", FLOWERS, 1)
    run = write_run(tmp_path / "run", pictures, val_root=tmp_path / "val", epochs=3, planned=20)
    for name in ("evaluation.json", "predictions.csv", "suspects.csv", "profile.json"):
        (run / name).unlink()
    with (run / "metrics.jsonl").open("a") as journal:
        journal.write('{"kind":"step","step":55,"ep')  # the process was killed while writing
    page = parse(write_report(run))
    head = words(page.find(f".//{HTML}header"))
    assert "Stopped after 3 of 20 epochs" in head
    assert "This run was interrupted after 3 of 20 epochs" in head
    assert "could not be" not in head
    assert "--resume" in words(part(page, "use"))


def test_a_run_stopped_in_its_first_epoch_counts_steps(run: Path) -> None:
    lines = (run / "metrics.jsonl").read_text().splitlines()
    (run / "metrics.jsonl").write_text("\n".join(lines[:7]) + "\n")
    section = part(parse(write_report(run)), "learning")
    assert "No epoch was finished, so the axis counts steps." in words(section)
    hits = [node for node in section.iter(SVG + "title") if "at step 7" in (node.text or "")]  # type: ignore[union-attr]
    assert hits


def test_a_run_without_held_out_pictures(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [], val_root=tmp_path, val=False)
    page = parse(write_report(run))
    assert "Trained, with no pictures left to measure it on" in words(page.find(f".//{HTML}h1"))
    assert "there were no held-out pictures to measure on" in words(part(page, "learning"))
    assert all(part(page, anchor) is None for anchor in ("confusion", "classes", "confidence", "wrong", "sample"))


def test_one_step_of_one_epoch_is_enough(tmp_path: Path) -> None:
    pictures = draw_pictures(tmp_path / "val", ("cat", "dog"), 1)
    run = write_run(
        tmp_path / "run", pictures, val_root=tmp_path / "val", class_names=("cat", "dog"), epochs=1, steps_per_epoch=1
    )
    page = parse(write_report(run))
    assert "right on 2 pictures" in words(page.find(f".//{HTML}h1"))
    assert not [node for node in page.iter() if re.search(r"\bnan\b", " ".join(node.attrib.values()))]


def test_pictures_deleted_since_are_said_to_be_gone(tmp_path: Path) -> None:
    pictures = draw_pictures(tmp_path / "val", FLOWERS, 2)
    run = write_run(tmp_path / "run", pictures, val_root=tmp_path / "val")
    for path, _ in pictures[:4]:
        (tmp_path / "val" / path).unlink()
    section = part(parse(write_report(run)), "sample")
    assert "4 of these 10 could not be shown" in words(section)
    assert sum("picture no longer there" in words(item) for item in shots(section)) == 4
    assert len(list(thumbnails(section))) == 6


def test_losses_that_are_no_numbers_leave_gaps(run: Path) -> None:
    lines = (run / "metrics.jsonl").read_text().splitlines()
    for index, bad in ((5, "NaN"), (6, "Infinity"), (7, "null")):
        lines[index] = re.sub(r'"loss": [^,]+', f'"loss": {bad}', lines[index])
    (run / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    assert "The loss was not a finite number in 3 steps" in words(part(parse(write_report(run)), "learning"))


def test_a_threshold_out_of_reach_is_explained(run: Path) -> None:
    content = json.loads((run / "evaluation.json").read_text())
    content["calibration"] |= {"reject_threshold": None, "reject_reason": "60 pictures cannot show 95%."}
    (run / "evaluation.json").write_text(json.dumps(content))
    section = words(part(parse(write_report(run)), "confidence"))
    assert "predict --reject cannot promise 95% here. 60 pictures cannot show 95%." in section


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (
            {"ece_before_temperature": 0.04},
            "1.210, which cools the confidences; error on pictures that did not choose it: 0.0400 without, 0.0210 with",
        ),
        ({}, "1.210, which cools the confidences; error 0.0210 with it"),
        (
            {"temperature": 1.0, "temperature_reason": "6 pictures are too few."},
            "1, which leaves the confidences as they are. 6 pictures are too few.",
        ),
    ],
)
def test_the_temperature_is_judged_on_the_same_pictures(found: dict[str, Any], said: str, run: Path) -> None:
    content = json.loads((run / "evaluation.json").read_text())
    content["calibration"] |= found
    (run / "evaluation.json").write_text(json.dumps(content))
    section = words(part(parse(write_report(run)), "confidence"))
    assert said in section
    assert ("predict gives the same" in section) == ("temperature" in found)


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch, lambda path: None])
def test_what_is_no_run_folder_is_refused(make: object, tmp_path: Path) -> None:
    make(tmp_path / "thing")  # type: ignore[operator]
    with pytest.raises(RunFolderError, match=r"not a run|no such run folder"):
        write_report(tmp_path / "thing")


# hostile and huge runs


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
    record = read_run(run)
    assert [row.path for row in record.predictions] == [f"a/{name}", "b/x.jpg"]
    assert record.complaints == []


@pytest.mark.parametrize(("size", "expected"), [((8, 8), (160, 160)), ((1, 3000), (1, 160)), ((600, 300), (160, 80))])
def test_thumbnails_of_odd_sizes(size: tuple[int, int], expected: tuple[int, int], tmp_path: Path) -> None:
    Image.new("RGB", size, "green").save(tmp_path / "x.png")
    shown = ElementTree.fromstring(Gallery((tmp_path,)).show("x.png", "a picture"))
    image = Image.open(io.BytesIO(base64.b64decode((shown[0].get("src") or "").split(",")[1])))
    assert image.size == expected


# the small functions


@pytest.mark.parametrize(("right", "n"), [(0, 1), (1, 1), (0, 40), (40, 40), (177, 200), (1, 3), (9873, 10000)])
def test_wilson_interval_agrees_with_scipy(right: int, n: int) -> None:
    expected = binomtest(right, n).proportion_ci(method="wilson")
    assert wilson_interval(right, n) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_nothing_seen_leaves_everything_possible() -> None:
    assert wilson_interval(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.885, "88.5%"), (1.0, "100%"), (0.0, "0%"), (0.99999, ">99.9%"), (0.0001, "<0.1%"), (math.nan, "\N{EN DASH}")],
)
def test_percent(value: float, expected: str) -> None:
    assert percent(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.04, "0.0 s"), (8.44, "8.4 s"), (59.7, "1 min 0 s"), (161, "2 min 41 s"), (4321, "1 h 12 min"),
     (200_000, "2 d 7 h"), (math.nan, "\N{EN DASH}")],
)  # fmt: skip
def test_duration(value: float, expected: str) -> None:
    assert duration(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(22_910_480, "22.9 M"), (8.357e9, "8.36 G"), (832_101, "832 k"), (999_999, "1.00 M"), (17, "17"), (0, "0")],
)
def test_amount(value: float, expected: str) -> None:
    assert amount(value) == expected


def test_counting_words() -> None:
    assert [count_of(n, "picture") for n in (0, 1, 1200)] == ["0 pictures", "1 picture", "1,200 pictures"]
    assert [listed(items) for items in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == ["", "a", "a and b", "a, b and c"]


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from([0.1, 0.3, 0.3, 0.5, 0.9, math.nan]), st.booleans()), max_size=40))
def test_coverage_curve_is_what_each_threshold_gives(answers: list[tuple[float, bool]]) -> None:
    known = [(c, r) for c, r in answers if c == c]
    expected = []
    for threshold in sorted({c for c, _ in known}, reverse=True):
        kept = [r for c, r in known if c >= threshold]
        expected.append((len(kept) / len(known), sum(kept) / len(kept)))
    curve = coverage_curve([Predicted("", "", "", c, r) for c, r in answers])
    assert len(curve) == len(expected)
    assert all(point == pytest.approx(other) for point, other in zip(curve, expected, strict=True))


@settings(deadline=None)
@given(st.lists(st.floats(-1e6, 1e6, allow_nan=False), min_size=1, max_size=300), st.integers(1, 50))
def test_thinned_points_are_means_of_equal_stretches(values: list[float], most: int) -> None:
    points = [(float(x), y) for x, y in enumerate(values)]
    thin = thinned(points, most)
    assert len(thin) == min(len(points), most)
    assert thin == sorted(thin)
    lengths = [round((i + 1) * len(points) / len(thin)) - round(i * len(points) / len(thin)) for i in range(len(thin))]
    total = sum(y * n for (_, y), n in zip(thin, lengths, strict=True))
    assert total == pytest.approx(sum(values), abs=1e-6 * max(1.0, *map(abs, values)) * len(values))
