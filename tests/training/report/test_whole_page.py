"""The report of a finished run: every section, number, picture and command."""

import base64
import hashlib
import re
import shlex
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import typer
from PIL import Image
from scipy.stats import binomtest

from separable.cli.app import app
from separable.cli.settings import configure
from separable.cli.training import Plan
from separable.training.config import DataConfig, ModelConfig, TrainConfig
from separable.training.recipes import RECIPES
from separable.training.report import write_report
from separable.training.report.commands import repeat_command
from separable.training.report.reading import read_run
from tests.training.report.page import HTML, SVG, parse, part, rows_of, shots, thumbnails, words, write_rows
from tests.training.synthetic_run import FLOWERS


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
    TrainConfig(
        run="runs/a",
        recipe=replace(RECIPES["segment"], loss="dice + 0.5 focal", class_weights="balanced"),
        data=DataConfig(root="cats"),
        model=ModelConfig("unet_xception", {"width": 0.5}, None, (160, 128), encoder_weights="keras"),
        task="segment",
    ),
    TrainConfig(
        run="runs/a",
        recipe=RECIPES["keras_unet"],
        data=DataConfig(root="cats"),
        model=ModelConfig("deeplab_xception41"),
        task="segment",
    ),
]


@pytest.mark.parametrize("config", COMMANDS, ids=range(len(COMMANDS)))
def test_the_command_to_repeat_a_run_gives_its_configuration(config: TrainConfig, tmp_path: Path) -> None:
    """Through the command line's own parser, since a command that only looks right is worse than none."""
    config.to_yaml(tmp_path / "config.yaml")
    said = shlex.split(repeat_command(read_run(tmp_path)) or "")
    assert said[0] == "separable"
    with pytest.MonkeyPatch.context() as patch:
        plans: list[Plan] = []
        patch.chdir(tmp_path)
        for name in (
            ("images", "masks") if config.task == "segment" else (".",)
        ):  # the command line looks what lies there
            if not Path(config.data.root).is_absolute():
                (tmp_path / config.data.root / name).mkdir(parents=True, exist_ok=True)
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
