"""What people write into classes.yaml: what is understood, and how the rest is answered, without words of Python."""

from pathlib import Path

import pytest

from separable.errors import DataFolderError
from separable.segmentation.classes_file import read_classes
from separable.segmentation.coding import COLOUR


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "classes.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_names_alone_are_the_values_from_0_on(tmp_path: Path) -> None:
    coding = read_classes(write(tmp_path, "classes: [background, cat, dog]"))
    assert coding.class_names == ("background", "cat", "dog")
    assert coding.values == ((0, 0), (1, 1), (2, 2))
    assert coding.ignored == {255}
    assert coding.ignored_by_default
    assert not read_classes(write(tmp_path, "classes: [background, cat]\nignore: 255")).ignored_by_default


def test_both_spellings_of_colour(tmp_path: Path) -> None:
    coding = read_classes(write(tmp_path, 'classes: [{name: a, color: "#000000"}, {name: b, colour: [0, 0, 9]}]'))
    assert coding.values == ((COLOUR, 0), (COLOUR + 9, 1))


def test_values_of_one_name_are_merged(tmp_path: Path) -> None:
    text = "classes: [{name: sky, value: 0}, {name: cat, value: 1}, {name: sky, value: 7}]"
    assert read_classes(write(tmp_path, text)).merged() == ["Two values are merged into sky: 0, 7."]


NAMES = "names alone, [background, cat], for the values 0, 1, ..."


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- background\n- cat", ("Got: a list at the top, where `classes:` has to stand before it.", NAMES)),
        ("", ("Got: nothing.", "classes: [{name: background, value: 0}, {name: cat, value: 255}]")),
        ("cats", ("Got: cats alone.",)),
        ("classes:", ("Got: classes: nothing.",)),
        ("klasses: [a]", ("has no list of classes. Got: klasses.",)),
        (
            "classes: {0: background, 255: cat}",
            ("Expected: classes: [{name: background, value: 0}, {name: cat, value: 255}].",),
        ),
        ("classes: [no, yes]", ("class 1 has no name. Got: false.", "such as {name: cat, value: 1}")),
        ("classes: [cat, cat]", ("cat is two classes", "[{name: cat, value: 0}, {name: cat, value: 255}]")),
        (
            "classes: [{name: cat}]",
            ('Got: neither. Expected: {name: cat, value: 1} or {name: cat, colour: "#ff0000"}.',),
        ),
        ("classes: [{name: cat, value: zero}]", ("Got: zero. Expected: a whole number from 0 to 65535.",)),
        ("classes: [{name: cat, colour: black}]", ('Got: black. Expected: "#ff0000", in quotes, or [255, 0, 0].',)),
        ("classes:\n- name: cat\n  colour: #fff", ("Got: nothing: YAML takes what follows # for a remark",)),
        ("classes: [{name: cat, colour: #ff0000}]", ("it is not YAML", "Put colours into quotes")),
        ("classes: [a, b\nc: d", ("in line 2, column ",)),
        ("{{{", ("it is not YAML. Got: ", "in line 1, column 4.")),
        (b"a: \xff", ("it is not YAML. Got: a character that no text has, at place 4.",)),
    ],
)
def test_each_mistake_has_its_answer(tmp_path: Path, text: str | bytes, said: tuple[str, ...]) -> None:
    with pytest.raises(DataFolderError) as refused:
        read_classes(write(tmp_path, text))
    message = str(refused.value)
    for words in said:
        assert words in message
    for word in ("NoneType", "dict", "<byte string>", "^", "got a list", "\n"):
        assert word not in message
