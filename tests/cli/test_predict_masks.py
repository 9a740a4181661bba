"""`separable predict` for networks that answer for every pixel: files, names, words; nothing that was there is lost."""

import io
import json
import re
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from separable.cli import predict_wishes
from separable.cli.predict_names import Names, named_pictures, shared_stems
from separable.cli.predict_shares import MaskAnswer, print_shares
from separable.runtime.masks import MaskPredictor
from separable.runtime.predictor import load_mask_predictor
from separable.segmentation.labels import background_of
from separable.segmentation.overlay_strips import OverlayStrips
from separable.segmentation.palette import class_colours, distinct_colours
from separable.segmentation.png_writer import is_written_here, write_rgb_png
from separable.segmentation.views import overlay
from tests.cli.conftest import Cli
from tests.cli.masks import indices, write_pictures
from tests.data.made import encode, jpeg, structured
from tests.runtime.made import COLOURS, NAMES, mask_run
from tests.segmentation.made import blobs


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mask_run(tmp_path_factory.mktemp("masks") / "run")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return write_pictures(tmp_path / "pictures")


def test_lines_of_shares(cli: Cli, run: Path, pictures: Path) -> None:
    outcome = cli("predict", run, pictures)
    lines = [line.split("\t") for line in outcome.out.splitlines()]
    assert [Path(line[0]).name for line in lines] == ["a.jpg", "a.png", "bad.png", "a.bmp"]
    assert lines[2][1:] == ["error: not a picture"]
    for line in (*lines[:2], lines[3]):
        shares = [float(value) for value in line[2::2]]
        assert set(line[1::2]) <= set(NAMES)
        assert shares == sorted(shares, reverse=True)
        assert sum(shares) == pytest.approx(1, abs=2e-4)
    assert outcome.code == 0
    assert cli("predict", run, pictures / "bad.png").code == 1
    answers = json.loads(cli("predict", run, pictures, "--json").out)
    assert [answer["error"] for answer in answers] == [None, None, "not a picture", None]
    assert answers[1]["size"] == [40, 52]
    assert list(answers[1]["shares"]) == list(NAMES)


def test_masks_and_overlays_are_those_of_the_predictor(cli: Cli, run: Path, pictures: Path) -> None:
    predictor = load_mask_predictor(run)
    names = {"a.jpg": "a.jpg.png", "a.png": "a.png.png", "sub/a.bmp": "sub/a.png"}
    for options, way in (((), {}), (("--tile", "32x40", "--overlap", "8", "--flips", "all"), None)):
        way = {"tile": (32, 40), "overlap": 8, "flips": "all"} if way is None else way
        outcome = cli("predict", run, pictures, "--out", "masks", "--overlay", "seen", *options)
        assert "3 pictures predicted, masks in masks, overlays in seen; 1 could not be predicted" in outcome.err
        for source, name in names.items():
            (answer,) = predictor([pictures / source], **way)
            assert np.array_equal(indices(Path("masks", name)), answer.mask), name
            with Image.open(Path("masks", name)) as image:
                assert image.getpalette("RGB")[:9] == [*COLOURS[0], *COLOURS[1], *COLOURS[2]]  # type: ignore[index]
            with Image.open(pictures / source) as picture, Image.open(Path("seen", name)) as seen:
                expected = overlay(np.asarray(picture), answer.mask, predictor.colours, background=0)
                different = np.abs(np.asarray(seen).astype(int) - expected).max()
                assert different <= (4 if source.endswith("jpg") else 0), "the decoders of JPEGs differ a little"
    found = sorted(path.relative_to("masks").as_posix() for path in Path("masks").rglob("*.png"))
    assert found == sorted(names.values())
    assert not list(Path().rglob("*.tmp"))


def test_the_document(cli: Cli, run: Path, pictures: Path) -> None:
    outcome = cli("predict", run, pictures, "--out", "masks", "--outlines", "o.json", "--json")
    told = json.loads(outcome.out)
    places = {name: told[name] for name in ("out", "outlines", "pictures", "failed")}
    assert places == {"out": "masks", "outlines": "o.json", "pictures": 4, "failed": 1}
    assert [answer.get("mask") for answer in told["answers"]] == [
        "masks/a.jpg.png",
        "masks/a.png.png",
        None,
        "masks/sub/a.png",
    ]
    assert told["runtime"]["acceleration"] is None


def test_nothing_that_was_there_is_written_over(cli: Cli, run: Path, pictures: Path) -> None:
    """A mask drawn by hand, and the pictures themselves; what predict wrote before is replaced."""
    masks = Path("masks")
    masks.mkdir()
    drawn = encode(Image.fromarray(blobs(33, 35).astype(np.uint8)), "PNG")
    (masks / "kept.png").write_bytes(drawn)
    original = (pictures / "a.png").read_bytes()
    (pictures / "kept.jpg").write_bytes(jpeg(structured(20, 20)))
    for _ in range(2):
        lines = cli("predict", run, pictures, "--out", masks).out.splitlines()
        refused = [line for line in lines if "already there" in line]
        assert refused == [
            f"{pictures}/kept.jpg\terror: masks/kept.png is already there and no output of `separable predict`: "
            "choose another folder"
        ]
        assert (masks / "kept.png").read_bytes() == drawn
        assert is_written_here(masks / "a.jpg.png")
    outcome = cli("predict", run, pictures / "a.jpg", pictures / "kept.jpg", "--out", pictures)
    assert [line.split("\t")[1].startswith("error: ") for line in outcome.out.splitlines()] == [True, False]
    assert (pictures / "a.png").read_bytes() == original
    own = masks / "a.jpg.png"
    before = own.read_bytes()
    assert "error" in cli("predict", run, own, "--out", masks).out, "a picture is not replaced by its own mask"
    assert own.read_bytes() == before
    assert not is_written_here(Path("no.png"))


def test_a_folder_below_the_pictures_is_left_out(cli: Cli, run: Path, pictures: Path) -> None:
    for _ in range(2):
        outcome = cli("predict", run, pictures, "--out", pictures / "masks", "--overlay", pictures / "sub" / "seen")
        assert len(outcome.out.splitlines()) == 4
    everything = cli("predict", run, f"{pictures}/**/*.png", "--out", pictures / "masks").out
    assert "masks" not in everything
    refused = cli("predict", run, pictures, "--out", pictures)
    assert (refused.code, "--out would write among the pictures" in refused.err) == (2, True)


def test_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = Names()
    given = ["cat.jpg", "cat.png", "CAT.JPG", "cat.jpg", "cat.jpg", "sub/cat.jpg", "dog"]
    assert [names.free(name) for name in given] == [
        *("cat", "cat.png", "CAT.JPG", "cat.jpg-2", "cat.jpg-3"),
        *("sub/cat", "dog"),
    ]
    known = Names({"cat"})
    assert [known.free(name) for name in given] == [
        *("cat.jpg", "cat.png", "CAT.JPG-2", "cat.jpg-3", "cat.jpg-4"),
        *("sub/cat", "dog"),
    ]
    monkeypatch.chdir(tmp_path)
    for path in ("x/y/1.png", "x/2.png", "3.png"):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).touch()
    found = named_pictures(["x", "x/y/1.png", "x/**/*.png", "*.png", "-"], ["x/2.png\n"], [])
    assert shared_stems(["x", "3.png", "-"], []) == frozenset()
    assert shared_stems(["x", "x/2.png", "no/*.png"], []) == {"2"}
    assert [one.name for one in found] == ["2.png", "y/1.png", "1.png", "2.png", "y/1.png", "3.png", "2.png"]


def test_names_that_come_one_by_one_are_said(
    cli: Cli, run: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{pictures}/a.jpg\n{pictures}/a.png\n"))
    said = cli("predict", run, "-", "--out", "masks").err
    assert f"note: the file of {pictures}/a.png is masks/a.png.png, as another picture has the plain name" in said
    assert "plain name" not in cli("predict", run, pictures, "--out", "masks2").err


def test_overlays_have_the_colours_of_the_report(cli: Cli, tmp_path: Path, pictures: Path) -> None:
    plain = mask_run(tmp_path / "plain")
    (plain / "evaluation.json").write_text(json.dumps({"task": "segment"}))
    assert cli("predict", plain, pictures / "a.png", "--out", "masks", "--overlay", "seen").code == 0
    mask = indices(Path("masks/a.png"))
    palette = distinct_colours(class_colours(len(NAMES)))
    assert palette != class_colours(len(NAMES))
    with Image.open(pictures / "a.png") as picture, Image.open("seen/a.png") as seen:
        expected = overlay(np.asarray(picture), mask.astype(np.int16), palette, background=0)
        assert np.array_equal(np.asarray(seen), expected)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--top", "3", "--reject"), "--top and --reject are for networks that classify pictures"),
        (("--out", "x.csv"), "The answers of a network for every pixel are masks, not rows"),
        (("--out", "file"), "--out file is a file"),
        (("--out", "same", "--overlay", "./same"), "Masks and overlays need a folder each"),
        (("--outlines", "x.shp"), "Cannot tell the format of x.shp"),
        (("--overlap", "3"), "--overlap is of tiles"),
        (("--tile", "big"), "A picture size is a side or height x width"),
        (("--tile", "64", "--overlap", "60"), "Tiles do not fit together"),
        (("--flips", "sideways"), "Unknown flips"),
        (("--backend", "onnx"), "Unknown backend 'onnx'"),
        (("--batch", "0"), "A batch needs a picture"),
    ],
)
def test_what_is_refused(cli: Cli, run: Path, pictures: Path, options: tuple[str, ...], words: str) -> None:
    Path("file").write_text("")
    outcome = cli("predict", run, pictures, *options)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith(f"separable: {words}")
    assert not list(Path().rglob("masks"))


def test_options_of_masks_are_refused_for_classifiers(cli: Cli, pictures: Path) -> None:
    outcome = cli("predict", "xception", pictures, "--tile", "64", "--flips", "none", "--outlines", "x.json")
    said = "separable: --tile and --flips and --outlines are for networks that answer for every pixel\n"
    assert (outcome.code, outcome.err.startswith(said)) == (2, True), "before weights are fetched"
    assert "xception classifies pictures" in outcome.err


def test_places_that_cannot_be_written_are_said_before_the_work(cli: Cli, run: Path, pictures: Path) -> None:
    Path("file").write_text("")
    for option, place in (("--out", "file/masks"), ("--outlines", "file/x.json")):
        outcome = cli("predict", run, pictures, option, place)
        assert (outcome.code, outcome.out) == (1, "")
        assert "Cannot write file" in outcome.err


def test_tiles_are_suggested_once(cli: Cli, run: Path, tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.mkdir()
    for number in range(2):
        (large / f"{number}.png").write_bytes(encode(structured(140, 150, seed=number), "PNG"))
    said = cli("predict", run, large).err
    assert said.count("with --tile 512 it sees every pixel") == 1
    assert "0.png has 150x140 pixels, and the network sees a copy of 32x32" in said
    assert "--tile" not in cli("predict", run, large, "--tile", "160").err


def test_a_picture_beyond_any_memory_is_predicted_by_strips(
    cli: Cli, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is decoded whole; the network stands aside."""
    monkeypatch.setattr("separable.segmentation.strips.decode_picture", None)
    monkeypatch.setattr("separable.runtime.picture.PictureFile", None)
    monkeypatch.setattr(MaskPredictor, "logits_of_tiles", lambda _, tiles: tiles.float())
    strips = (np.full((50, 3000, 3), [top % 256, 128, 0], np.uint8) for top in range(0, 300, 50))
    write_rgb_png(tmp_path / "large.png", strips, (300, 3000))
    outcome = cli("predict", run, "large.png", "--tile", "64", "--out", "masks", "--overlay", "seen")
    assert outcome.out == "large.png\tbackground\t0.5000\tcat\t0.5000\n"
    mask = indices(Path("masks/large.png"))
    rows = np.repeat([1, 1, 1, 0, 0, 0], 50)
    assert np.array_equal(mask[np.r_[0:140, 160:300]], np.repeat(rows[:, None], 3000, 1)[np.r_[0:140, 160:300]])


def test_many_tiles_are_worth_timing_kernels(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """40x52, 31x60 and 33x35 pixels are 3 * 4 + 2 * 4 + 3 * 3 = 29 tiles of 16; what cannot be read is none."""
    monkeypatch.setattr(predict_wishes, "kernels_are_built", lambda: True)
    for most, many in ((29, True), (30, False)):
        monkeypatch.setattr(predict_wishes, "MANY", most)
        assert predict_wishes.are_many_tiles([str(pictures)], (16, 16)) is many
    assert not predict_wishes.are_many_tiles(["-"], (1, 1))
    assert not predict_wishes.are_many_tiles(["no*.png"], (1, 1))


def test_the_background() -> None:
    names = {("cat", "Background"): 1, ("0", "1"): 0, ("cat", "dog"): None, ("class 0", "class 1"): 0, (): None}
    assert {given: background_of(given) for given in names} == names


def test_overlays_by_strips_are_the_overlay() -> None:
    picture, mask = structured(50, 40), blobs(50, 40, classes=4)
    colours = [(0, 0, 0), (250, 0, 0), (0, 250, 0), (9, 9, 250)]
    for heights in ([50], [1, 1, 30, 0, 18], [1] * 50):
        for background in (0, None):
            shown: list[np.ndarray] = []
            strips = OverlayStrips(shown.append, colours, background)
            for top, bottom in pairwise([0, *np.cumsum(heights).tolist()]):
                strips.add(picture[top:bottom], mask[top:bottom])
            strips.finish()
            assert np.array_equal(np.concatenate(shown), overlay(picture, mask, colours, background=background))


def test_a_table_on_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from separable.cli.output import Output

    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    shares = {f"class {k}": (k + 1) / 28 for k in range(7)} | {"absent": 0.0}
    rows = [MaskAnswer("a\nb.png", (3, 4), shares), MaskAnswer("c.png", error="not a picture")]
    with Output(json=False) as output:
        print_shares(output, iter(rows))
    lines = re.sub(r"\x1b\[\d*m", "", capsys.readouterr().out).splitlines()
    assert lines[0].split() == ["picture", "class", "share"]
    assert lines[1].split()[:3] == ["a\\nb.png", "class", "6"]
    assert lines[1].rstrip().endswith("25.0 %")
    assert lines[6].split() == ["and", "2", "more"]
    assert "error: not a picture" in lines[7]
    assert "absent" not in "".join(lines)
