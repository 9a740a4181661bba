"""What stored values mean: the known codings, classes.yaml, and what is told from the values alone."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from separable.errors import BadPictureError, DataFolderError, UsageError
from separable.segmentation.classes_file import classes_text, read_classes
from separable.segmentation.coding import COLOUR, TRANSPARENT, MaskCoding
from separable.segmentation.detect import coding_of, detect_coding
from separable.segmentation.labels import IGNORE, as_mask
from separable.segmentation.palette import class_colours
from tests.data.made import encode

RED, WHITE = COLOUR + 0xFF0000, COLOUR + 0xFFFFFF


def decode(coding: MaskCoding, *values: int) -> list[int]:
    return coding.decode(np.array([values], np.int32))[0].tolist()


def test_known_codings() -> None:
    assert decode(MaskCoding.indices(["a", "b", "c"]), 0, 1, 2, 255, TRANSPARENT) == [0, 1, 2, IGNORE, IGNORE]
    assert decode(MaskCoding.binary(), 0, 255) == [0, 1]
    assert decode(MaskCoding.trimap(), 1, 2, 3) == [1, 0, IGNORE]
    many = MaskCoding.indices([str(k) for k in range(300)], frozenset({65535}))
    assert decode(many, 0, 255, 299, 65535) == [0, 255, 299, IGNORE]


@pytest.mark.parametrize("value", [3, 254, 256, 65535, RED])
def test_an_unseen_value_is_named_and_never_becomes_a_class(value: int) -> None:
    name = "#ff0000" if value == RED else str(value)
    with pytest.raises(BadPictureError, match=f"values that no class has: {name}, in 2 pixels"):
        decode(MaskCoding.indices(["a", "b", "c"]), 0, value, 2, value)


def test_decoding_is_a_dictionary() -> None:
    rng = np.random.default_rng(0)
    stored = np.unique(rng.integers(0, 65536, 40))
    coding = MaskCoding(tuple(map(str, range(len(stored)))), tuple(zip(stored.tolist(), range(99), strict=False)))
    image = rng.choice(stored, (20, 30))
    table = dict(coding.values)
    assert coding.decode(image.astype(np.int32)).tolist() == [[table[v] for v in row] for row in image.tolist()]


def test_contradicting_codings_are_refused() -> None:
    with pytest.raises(UsageError, match="stands for two classes"):
        MaskCoding(("a", "b"), ((0, 0), (0, 1)))
    with pytest.raises(UsageError, match="by numbers or by colours"):
        MaskCoding(("a", "b"), ((0, 0), (RED, 1)), frozenset())
    with pytest.raises(UsageError, match="Every value of a mask coding needs a class"):
        MaskCoding(("a", "b"), ((0, 0), (1, 2)))


def test_classes_are_put_where_a_model_has_them() -> None:
    coding = MaskCoding(("cat", "sky"), ((3, 0), (4, 1)), frozenset({9}), ((1, 2, 3), (4, 5, 6)))
    placed = coding.placed(("sky", "dog", "cat"), [2, 0])
    assert placed.decode(np.array([[3, 4, 9]], np.int32)).tolist() == [[2, 0, -1]]
    assert (placed.colours[0], placed.colours[2]) == ((4, 5, 6), (1, 2, 3))


def test_voc_colours() -> None:
    """The palette as the development kit prints it."""
    colours = class_colours(256)
    assert colours[:6] == ((0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128), (128, 0, 128))
    assert colours[15] == (192, 128, 128)
    assert colours[20] == (0, 64, 128)
    assert colours[255] == (224, 224, 192)
    assert len(set(colours)) == 256


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_classes_file_of_colours(tmp_path: Path) -> None:
    text = """
    classes:
      - {name: road, colour: [0, 0, 0]}
      - {name: car, colour: "#FF0000"}
      - {name: car, color: "#0000ff"}
    ignore: ["#ffffff"]
    """
    coding = read_classes(write(tmp_path / "classes.yaml", text))
    assert coding.class_names == ("road", "car")
    assert decode(coding, COLOUR, RED, COLOUR + 255, WHITE) == [0, 1, 1, IGNORE]
    assert coding.colours == ((0, 0, 0), (255, 0, 0))
    assert coding.by_colour
    with pytest.raises(BadPictureError, match="#123456"):
        decode(coding, COLOUR + 0x123456)


def test_classes_file_of_numbers(tmp_path: Path) -> None:
    path = write(tmp_path / "classes.yaml", "classes: [{name: a, value: 7}, {name: b, value: 26}]\nignore: [0, 1, 2]")
    assert decode(read_classes(path), 7, 26, 0, 1, 2) == [0, 1, IGNORE, IGNORE, IGNORE]
    path = write(tmp_path / "classes.yaml", "classes: [{name: a, value: 0}, {name: b, value: 255}]")
    assert read_classes(path).ignored == frozenset()
    path = write(
        tmp_path / "c.yaml", 'classes: [{name: a, colour: "#000000"}, {name: b, colour: "#ff0000"}]\nignore: [9, 9, 8]'
    )
    assert decode(read_classes(path), COLOUR + 0x090908) == [IGNORE]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no list of classes"),
        ("classes: []", "has no list of classes"),
        ("classes: {a: 1}", "has no list of classes"),
        ("classes: [", "is not YAML"),
        ("\0", "is not YAML"),
        ("classes: [&a {name: a, value: 0}, *a]", "YAML aliases"),
        ("classes: [{name: a, value: 0}]\nclass: 1", "entries that mean nothing"),
        ("classes: [{value: 0}]", "class 1 has no name"),
        ("classes: [{name: no, value: 0}]", "class 1 has no name"),
        ("classes: [{name: a}]", "either a colour or a value"),
        ('classes: [{name: a, value: 0, colour: "#000000"}]', "either a colour or a value"),
        ("classes: [{name: a, value: -1}]", "has no such value"),
        ("classes: [{name: a, value: 65536}]", "has no such value"),
        ("classes: [{name: a, value: true}]", "has no such value"),
        ("classes: [{name: a, colour: red}]", "has no colour"),
        ("classes: [{name: a, colour: [1, 2, 256]}]", "has no colour"),
        ("classes: [{name: a, value: 0}, {name: b, value: 0}]", "stands for two classes"),
        ('classes: [{name: a, value: 0}, {name: b, colour: "#000000"}]', "by numbers or by colours"),
        ("classes: [{name: a, value: 0}]\nignore: 0", "the same value"),
        ("classes: [{name: a, value: 0}]\nignore: black", "no such value"),
    ],
)
def test_classes_file_says_what_is_wrong(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(DataFolderError, match=said):
        read_classes(write(tmp_path / "classes.yaml", text))


def test_classes_file_missing_or_huge(tmp_path: Path) -> None:
    with pytest.raises(DataFolderError, match="cannot be read"):
        read_classes(tmp_path / "none.yaml")
    with pytest.raises(DataFolderError, match="at most a megabyte"):
        read_classes(write(tmp_path / "big.yaml", "#" * (1 << 20) + "#"))


@pytest.mark.parametrize("values", [[RED, WHITE, COLOUR], [3, 40, 200]])
def test_the_proposed_file_can_be_read(tmp_path: Path, values: list[int]) -> None:
    path = write(tmp_path / "classes.yaml", classes_text(["x", "y", "z"], values, []))
    assert read_classes(path).values == tuple(zip(values, range(3), strict=True))


def test_what_values_alone_tell() -> None:
    assert coding_of(Counter([0, 255])) == MaskCoding.binary()
    assert coding_of(Counter([1, 2, 3])) == MaskCoding.trimap()
    assert coding_of(Counter([0, 1, 2, 3])) == MaskCoding.indices(["0", "1", "2", "3"])
    assert coding_of(Counter([0, 1, 255])) == MaskCoding.indices(["0", "1"])
    assert coding_of(Counter([0, 4, TRANSPARENT])) == MaskCoding.indices(list("01234"))


@pytest.mark.parametrize("values", [[0], [255], [7], [7, 255]])
def test_one_class_is_not_enough(values: list[int]) -> None:
    with pytest.raises(DataFolderError, match="show one class alone"):
        coding_of(Counter(values))


def test_what_values_alone_do_not_tell() -> None:
    with pytest.raises(DataFolderError, match=r"have colours.*classes.yaml(.|\n)*#ff0000"):
        coding_of(Counter([COLOUR, RED]))
    with pytest.raises(DataFolderError, match=r"(?s)do not look like class indices.*value: 200"):
        coding_of(Counter([0, 100, 200]))
    with pytest.raises(DataFolderError, match="photographs, or masks that were blurred"):
        coding_of(Counter(range(256)))


def test_detection_reads_every_file_and_leaves_out_the_damaged(tmp_path: Path) -> None:
    paths = []
    for number, value in enumerate((0, 1, 5)):
        paths.append(tmp_path / f"{number}.png")
        paths[-1].write_bytes(encode(np.full((3, 3, 3), value, np.uint8), "PNG"))
    paths.append(tmp_path / "bad.png")
    paths[-1].write_bytes(b"no")
    coding, note = detect_coding(paths)
    assert len(coding.class_names) == 6
    assert note == (
        "Read in the masks: 0 is 0, 1 is 1, 2 is 2, 3 is 3 and so on up to 5. "
        "Name them in a classes.yaml in the data folder, in this order: `classes: [background, cat, dog, ...]`."
    )
    with pytest.raises(DataFolderError, match="None of the masks can be read"):
        detect_coding(paths[-1:])


def test_two_habits_in_one_folder_are_not_mixed_up(tmp_path: Path) -> None:
    """0/1 from one program and 0/255 from another: taken together, all of the latter's foreground would be ignored."""
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    ones, whites = np.eye(3, dtype=np.uint8), np.eye(3, dtype=np.uint8) * 255
    for path, values in zip(paths, (ones, whites), strict=True):
        path.write_bytes(encode(values, "PNG"))
    with pytest.raises(DataFolderError, match=r"(?s)Some masks hold 0 and 1, others 0 and 255.*name: foreground"):
        detect_coding(paths)
    paths[1].write_bytes(encode(np.array([[0, 1, 255]], np.uint8), "PNG"))
    assert detect_coding(paths)[0] == MaskCoding.indices(["0", "1"])


def test_masks_are_checked() -> None:
    assert as_mask(np.array([[0, -1]])).dtype == np.int16
    for bad, said in ((np.zeros(3, int), "a table"), (np.zeros((2, 2)), "a table"), (np.full((1, 1), 2), "outside")):
        with pytest.raises(UsageError, match=said):
            as_mask(bad, 2)


def folder_of_masks(folder: Path, colours: bool) -> list[Path]:
    paths = []
    for number in range(12):
        mask = np.zeros((40, 40), np.uint8)
        mask[:20] = 255
        if number == 3:
            mask[2:4, 5:9] = 77
        pixels = np.stack([mask, mask // 2, np.zeros_like(mask)], axis=2) if colours else mask
        paths.append(folder / f"{number:02d}.png")
        paths[-1].write_bytes(encode(pixels, "PNG"))
    return paths


@pytest.mark.parametrize(("colours", "name"), [(False, "77"), (True, "#4d2600")])
def test_a_stray_value_is_found(tmp_path: Path, colours: bool, name: str) -> None:
    paths = folder_of_masks(tmp_path, colours)
    with pytest.raises(DataFolderError) as refused:
        detect_coding(paths)
    assert refused.value.got == f"3 different ones; {name} occurs only in {paths[3]}, 8 pixels"
    assert refused.value.fix is not None
    assert refused.value.fix.startswith(f"Mend that mask if {name} is no class of yours; or put a classes.yaml into")


def test_one_mask_that_is_a_photograph_is_found(tmp_path: Path) -> None:
    paths = folder_of_masks(tmp_path, colours=False)
    noise = np.zeros((40, 40), np.uint8)
    noise.ravel()[:180] = np.arange(1, 181)
    paths[3].write_bytes(encode(noise, "PNG"))
    with pytest.raises(DataFolderError) as refused:
        detect_coding(paths)
    said = f"182 different ones; 1, 2, 3, 4 and 176 more occur only in {paths[3]}, 180 pixels"
    assert refused.value.got == said
    assert refused.value.fix is not None
    assert refused.value.fix.startswith("Mend that mask: it may be a photograph")


def test_values_in_many_masks_are_no_strays() -> None:
    with pytest.raises(DataFolderError, match=r"3 different ones\. Put a classes\.yaml"):
        coding_of(Counter([0, 100, 200]))
