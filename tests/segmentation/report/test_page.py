"""The report of a finished segmentation: every number, picture, colour and command, held against the run's files."""

import base64
import io
import json
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from numpy.typing import NDArray
from PIL import Image

from separable.analysis.drawing_lots import draw_by_name
from separable.cli.app import app
from separable.cli.reports import write_report as write_either
from separable.segmentation.report import write_report
from tests.segmentation.report.made_run import IGNORED, Made, make_run
from tests.training.report.page import HTML, SVG, Element, parse, part, rows_of, words

APART = [(0, 0, 0), (230, 159, 0)]
RIGHT, MISSED, ADDED, CONFUSED, UNLABELLED = (235, 235, 235), (0, 114, 178), (213, 94, 0), (204, 121, 167), (60, 60, 60)
CREAM = (224, 224, 192)


def items(section: Element | None) -> list[Element]:
    assert section is not None
    return [item for grid in section.iter(HTML + "ul") if grid.get("class") == "quads" for item in grid]


def images(item: Element) -> dict[str, NDArray[np.uint8]]:
    """Pixels by what stands below them."""
    found = {}
    for one in item.iter(HTML + "figure"):
        image = one.find(f".//{HTML}img")
        if image is not None:
            kind, data = (image.get("src") or "").split(",")
            assert kind in ("data:image/png;base64", "data:image/jpeg;base64")
            assert (kind == "data:image/jpeg;base64") == (words(one.find(HTML + "figcaption")) == "picture")
            opened = Image.open(io.BytesIO(base64.b64decode(data)))
            found[words(one.find(HTML + "figcaption"))] = np.asarray(opened.convert("RGB"))
    return found


def title(item: Element) -> str:
    return next(item.iter(HTML + "img")).get("title") or ""


def percent(text: str) -> float:
    return float(re.search(r"([\d.]+)%", text)[1]) / 100  # type: ignore[index]


def test_the_sections_stand_in_the_order_of_questions(made: Made) -> None:
    page = parse(made.run / "report.html")
    found = [node.get("id") for node in page.iter(HTML + "section")]
    assert found == [
        "use", "learning", "colours", "worst", "sample", "spread", "classes", "confusion", "data", "unreadable",
        "cost", "setup",
    ]  # fmt: skip
    assert [a.get("href") for a in page.iter(HTML + "a")] == [f"#{anchor}" for anchor in found]


def test_the_headline_says_the_scores_and_what_they_mean(made: Made) -> None:
    evaluation = json.loads((made.run / "evaluation.json").read_text())
    truth, predicted = np.stack(made.truth), np.stack(made.predicted)
    known = truth != IGNORED
    right = (truth == predicted)[known].mean()
    background = (truth == 0)[known].mean()
    overlaps = [((truth == k) & (predicted == k) & known).sum() / (((truth == k) | (predicted == k)) & known).sum()
                for k in (0, 1)]  # fmt: skip
    head = words(parse(made.run / "report.html").find(f".//{HTML}header"))
    assert f"Mean IoU {100 * np.mean(overlaps):.1f}% on 40 pictures it never trained on" in head
    assert (
        f"{100 * right:.1f}% get the right class; calling everything background would get {100 * background:.1f}%"
        in head
    )
    assert f"IoU of shape {100 * overlaps[1]:.1f}%" in head
    assert f"outlines (boundary F1) {evaluation['boundary_f1']:.3f} within 2 pixels" in head
    assert "unet_xception (width 0.5) learned 2 classes from 600 pictures in 2 min 6 s" in head


def test_the_worst_pictures_come_first_and_the_pixels_are_theirs(made: Made) -> None:
    rows = sorted(
        rows_of(made.run / "pictures.csv"), key=lambda row: (float(row["miou"]), float(row["pixel_accuracy"]))
    )
    shown = items(part(parse(made.run / "report.html"), "worst"))
    assert [title(item) for item in shown] == [row["path"] for row in rows[:24]]
    for item, row in zip(shown, rows, strict=False):
        index = made.paths.index(row["path"])
        text = words(item.find(HTML + "p"))
        assert text.startswith(f"IoU {100 * made.iou(index, 2):.1f}%, {100 * float(row['pixel_accuracy']):.1f}% of")
        check_pixels(images(item), made.truth[index], made.predicted[index])


def check_pixels(found: dict[str, NDArray[np.uint8]], truth: NDArray[np.uint8], predicted: NDArray[np.uint8]) -> None:
    """Truth, prediction and disagreement, each pixel by a plain rule."""
    assert list(found) == ["picture", "truth", "prediction", "disagreement"]
    height, width = truth.shape
    for row in range(0, height, 5):
        for column in range(0, width, 5):
            t, p = int(truth[row, column]), int(predicted[row, column])
            assert tuple(found["truth"][row, column]) == (CREAM if t == IGNORED else APART[t])
            assert tuple(found["prediction"][row, column]) == APART[p]
            if t == IGNORED:
                kind = UNLABELLED
            elif t == p:
                kind = RIGHT
            else:
                kind = MISSED if p == 0 else ADDED if t == 0 else CONFUSED
            assert tuple(found["disagreement"][row, column]) == kind


def test_the_picture_is_what_the_network_saw_in_its_own_proportions(made: Made) -> None:
    item = items(part(parse(made.run / "report.html"), "worst"))[0]
    shown = images(item)["picture"]
    original = Image.open(made.run.parent / "data" / "val" / "images" / title(item)).convert("RGB")
    assert shown.shape == (original.height, original.width, 3)  # 120 x 96: small enough to be shown as it is
    assert np.abs(shown.astype(float) - np.asarray(original)).mean() < 4
    frames = [node for node in item.iter(HTML + "span") if node.get("class") == "frame"]
    assert {node.get("style") for node in frames} == {"aspect-ratio:1.2500"}


@pytest.mark.parametrize(
    ("size", "expected"), [((400, 200), (256, 256)), ((160, 320), (256, 256)), ((96, 48), (48, 48))]
)
def test_a_crop_of_the_contract_is_a_crop_here(
    size: tuple[int, int], expected: tuple[int, int], tmp_path: Path
) -> None:
    """The network saw the square in the middle: red, between two blue ends."""
    made = make_run(tmp_path, count=1, names=["x.png"], draw=False)
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    pixels[..., 2] = 200
    short = min(size)
    top, left = (size[1] - short) // 2, (size[0] - short) // 2
    pixels[top : top + short, left : left + short] = (200, 0, 0)
    image = made.run.parent / "data/val/images/x.png"
    image.parent.mkdir(parents=True)
    Image.fromarray(pixels).save(image)
    stored = json.loads((made.run / "model/config.json").read_text())
    stored["input"]["resize"] = "shorter"
    (made.run / "model/config.json").write_text(json.dumps(stored))
    shown = images(items(part(parse(write_report(made.run)), "worst"))[0])["picture"]
    assert shown.shape[:2] in (expected, (min(short, 256), min(short, 256)))
    assert (shown[..., 0] > 150).mean() > 0.98


def test_large_masks_are_shown_by_their_nearest_pixels(tmp_path: Path) -> None:
    made = make_run(tmp_path, count=2, side=512, draw=False)
    item = items(part(parse(write_report(made.run)), "worst"))[0]
    found, index = images(item), made.paths.index("000.jpg" if "000" in words(item) else "001.jpg")
    assert found["truth"].shape == (256, 256, 3)
    sources = (2 * np.arange(256) + 1) * 512 // 512
    expected = np.array([*APART, *[CREAM] * 254], np.uint8)[made.truth[index][np.ix_(sources, sources)]]
    assert np.array_equal(found["truth"], expected)


def test_the_sample_is_drawn_by_name_whatever_the_order(copied: Made) -> None:
    expected = [copied.paths[index] for index in draw_by_name(copied.paths, 12)]
    lines = (copied.run / "pictures.csv").read_text().splitlines()
    (copied.run / "pictures.csv").write_text("\n".join([lines[0], *lines[:0:-1]]) + "\n")
    shown = items(part(parse(write_report(copied.run)), "sample"))
    assert [title(item) for item in shown] == expected
    assert all(len(images(item)) == 4 for item in shown)


def test_every_image_says_what_is_on_it(made: Made) -> None:
    index = made.paths.index("032.jpg")
    item = next(i for i in items(part(parse(made.run / "report.html"), "worst")) if title(i) == "032.jpg")
    alts = [image.get("alt") or "" for image in item.iter(HTML + "img")]
    truth = made.truth[index][made.truth[index] != IGNORED]
    assert alts[0] == "picture: 032.jpg"
    shares = [f"{name} {100 * (truth == k).mean():.0f}%" for k, name in enumerate(("background", "shape"))]
    assert alts[1] == f"truth: {', '.join(shares)}"
    assert alts[2].startswith("prediction: background ")
    known = made.truth[index] != IGNORED
    missed = ((made.truth[index] == 1) & (made.predicted[index] == 0))[known].mean()
    assert alts[3].startswith(f"disagreement: {100 * missed:.1f}% missed, ")


def test_the_legend_has_the_colours_of_the_pictures(made: Made) -> None:
    section = part(parse(made.run / "report.html"), "colours")
    assert section is not None
    squares = [node.get("style") for node in section.iter(HTML + "i")]
    expected = [*APART, RIGHT, MISSED, ADDED, UNLABELLED]  # of two classes one cannot be taken for a third
    assert squares == ["background:#{:02x}{:02x}{:02x}".format(*colour) for colour in expected]
    assert "missed: the prediction says background" in words(section)


def test_somebodys_own_colours_are_kept(copied: Made) -> None:
    evaluation = json.loads((copied.run / "evaluation.json").read_text())
    evaluation["colours"] = [[1, 2, 3], [250, 0, 250]]
    (copied.run / "evaluation.json").write_text(json.dumps(evaluation))
    found = images(items(part(parse(write_report(copied.run)), "worst"))[0])["prediction"]
    assert {tuple(colour) for colour in found.reshape(-1, 3).tolist()} == {(1, 2, 3), (250, 0, 250)}


def test_the_numbers_by_class_are_those_of_the_file(made: Made) -> None:
    body = part(parse(made.run / "report.html"), "classes").find(f".//{HTML}tbody")  # type: ignore[union-attr]
    rows = {row["name"]: row for row in json.loads((made.run / "evaluation.json").read_text())["per_class"]}
    total = sum(row["pixels"] for row in rows.values())
    assert [words(row[0]) for row in body] == ["shape", "background"]  # type: ignore[union-attr]
    for line in body:  # type: ignore[union-attr]
        row = rows[words(line[0])]
        keys = ("iou", "dice", "precision", "recall", "boundary_f1")
        expected = [*(f"{row[key]:.3f}" for key in keys), f"{100 * row['pixels'] / total:.1f}%"]
        assert [words(cell) for cell in line[1:]] == expected


def test_the_cells_of_the_confusion_are_shares_of_their_row(made: Made) -> None:
    confusion = np.array(json.loads((made.run / "evaluation.json").read_text())["confusion"])
    section = part(parse(made.run / "report.html"), "confusion")
    cells = [n.text for n in section.iter(SVG + "text") if "on-" in (n.get("class") or "")]  # type: ignore[union-attr]
    assert cells == [f"{share:.0%}" for share in (confusion / confusion.sum(axis=1, keepdims=True)).ravel()]
    assert f"{confusion[0, 1]:,} of {confusion[0].sum():,}" in words(section)


def test_the_spread_counts_every_picture_once(made: Made) -> None:
    values = np.array([made.iou(index, 2) for index in range(len(made.paths))])
    section = part(parse(made.run / "report.html"), "spread")
    bars = [words(n) for n in section.iter(SVG + "text") if "value" in (n.get("class") or "")]  # type: ignore[union-attr]
    expected = np.histogram(np.minimum(values, 0.99999), np.arange(11) / 10)[0][::-1]
    assert bars == [str(count) for count in expected]
    assert f"a mean IoU of {100 * np.median(values):.1f}%" in words(section)
    assert f"The worst one has {100 * values.min():.1f}%" in words(section)


def test_learning_shows_loss_and_overlap(made: Made) -> None:
    section = part(parse(made.run / "report.html"), "learning")
    text = words(section)
    assert "Best on the held-out pictures after epoch 5 of 6: mean IoU 67.5%. After the last one 65.0%." in text
    names = [n.get("aria-label") or "" for n in section.iter(SVG + "svg")]  # type: ignore[union-attr]
    assert [name.split(" by ")[0] for name in names] == [
        "loss", "mean IoU", "pixels right", "learning rate", "pictures per second",
    ]  # fmt: skip
    assert "held-out from 38% to 65%" in names[1] or "held-out from 37.5% to 65%" in names[1]
    assert "training from" in names[2]
    heads = [words(head) for head in section.iter(HTML + "th") if head.get("scope") == "col"]  # type: ignore[union-attr]
    assert heads == ["epoch", "step", "training loss", "held-out loss", "mean IoU held-out", "pixels right, training",
                     "pixels right, held-out", "time"]  # fmt: skip


def test_the_commands_name_real_paths(tmp_path: Path) -> None:
    made = make_run(tmp_path / "it's here; rm -rf $HOME", count=3, draw=False)
    page = parse(write_report(made.run))
    lines = [shlex.split(words(code)) for code in page.iter(HTML + "code") if words(code).startswith("separable ")]
    data = made.run.parent / "data"
    predict = ["separable", "predict", str(made.run), str(data / "val/images"), "--out", "run-masks"]
    assert lines[0] == [*predict, "--overlay", "run-seen"]
    assert lines[1] == [*predict, "--tile", "48x48"]
    assert lines[2] == ["separable", "evaluate", str(made.run)]
    assert lines[3][:7] == ["separable", "train", str(data), "--run", f"{made.run}-again", "--task", "segment"]
    assert lines[3][7:9] == ["--model", "unet_xception"]
    verbs: Any = typer.main.get_command(app)
    for line in lines:
        verbs.commands[line[1]].make_context(line[1], line[2:])


def test_the_data_is_told_by_its_area(copied: Made) -> None:
    check = json.loads((copied.run / "check.json").read_text())
    check["classes"] = [
        {"name": n, "train": 9, "val": 3, "pixels": p} for n, p in (("background", 900), ("shape", 100))
    ]
    (copied.run / "check.json").write_text(json.dumps(check))
    section = part(parse(write_report(copied.run)), "data")
    assert "2, of 10.0% (shape) to 90.0% (background) of the labelled area to learn from" in words(section)
    bars = [n.get("aria-label") or "" for n in section.iter(SVG + "svg")]  # type: ignore[union-attr]
    assert bars == ["area to learn from: background 90.0%; shape 10.0%"]


def test_the_page_needs_nothing_but_itself(made: Made) -> None:
    report = made.run / "report.html"
    page = parse(report)
    for node in page.iter():
        for name, value in node.attrib.items():
            own = re.sub(r"^data:image/(png|jpeg);base64,", "", value)
            assert own != value or not re.search(r"https?:|//|url\(|@import", value), name
    assert not list(page.iter(HTML + "link"))
    assert len(list(page.iter(HTML + "script"))) == 1
    assert report.stat().st_size < 800_000


def test_the_chooser_looks_at_the_task(copied: Made) -> None:
    (copied.run / "report.html").unlink()
    assert "Mean IoU" in words(parse(write_either(copied.run)).find(f".//{HTML}h1"))
    (copied.run / "config.yaml").write_text("{")  # damaged: the evaluation says it too
    assert "Mean IoU" in words(parse(write_either(copied.run)).find(f".//{HTML}h1"))
