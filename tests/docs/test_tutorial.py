"""The tutorial from a convolution to Xception runs, and prints and draws what stands in it."""

import re
from pathlib import Path
from types import ModuleType

import pytest

from tests.docs.scripts import DOCS, load

PAGE = DOCS / "from-convolution-to-xception.md"
PICTURES = DOCS / "pictures"

WORKED = {
    "227 to 55 by 11x11 at stride 4 (Krizhevsky et al., 2012)": "227 pixels, 11x11 / 4, padding 0:  55, torch says 55",
    "AlexNet's first layer, neurons": "290,400 neurons",
    "with a bias and weights for each neuron": "105,705,600 parameters without sharing",
    "shared": "34,944 with",
    "a dense layer is a 32x32 convolution": "(2, 10, 1, 1) the same: True",
    "and a 7x7 one, slid": "(1, 64, 6, 6)\nthe same as the dense layer on that crop: True",
    "ELU(-1) = 1/e - 1": "'-0.632'",
    "the mean of a rectified normal is 1 / sqrt(2 pi)": "ReLU mean 0.399",
    "sqrt(e) Phi(-1) - 1/2 is added by ELU": "ELU  mean 0.161",
    "batch normalisation folds": "epsilon 0.001 the same: True",
    "28 %, arXiv:1512.00567 section 3.1": "73,728 for 102,400 weights, 18/25 of it: saves 28%",
    "256 to 512 channels": "1,769,472 for 3,276,800 weights, 27/50 of it: saves 46%",
    "33 %, section 3.2": "3x3 as 1x3 and 3x1  saves 33%",
    "11 %, section 3.2": "3x3 as two 2x2      saves 11%",
    "GoogLeNet 3a, arXiv:1409.4842 table 1": "table 1 prints 159K: 159.5 x 1024\nand 128M operations: 128.0 million",
    "figure 2 is figure 3, arXiv:1610.02357": "step 3 gives what step 2 gives: True",
    "figure 3 ends in figure 4": "96 segments give what a depthwise convolution gives: True",
    "the order does not matter in a stack": "cut elsewhere, the same: True",
    "one segment": "one segment is a regular convolution and a 1x1: True",
    "as many as channels": "24 segments are a separable convolution: True",
    "table 3 of arXiv:1704.04861, full": "regular    462.4 M MACs, 2.36 M weights",
    "table 3 of arXiv:1704.04861, separable": "separable   52.3 M MACs, 0.27 M weights",
    "1 / 512 + 1 / 9": "remaining: 521/4608",
    "36 layers in 14 modules": "14 modules\n2 convolutions + 34 separable = 36 layers",
    "table 3 of arXiv:1610.02357": "together                         22,855,952",
    "and beside it": "Keras' first file            23,626,728",
    "activations of Inception V3": " 9.0 M activations",
    "activations of Xception": "35.8 M activations",
    "MobileNet's table 7": "224 569 M\n192 418 M",
}


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return load("make_tutorial")


@pytest.fixture(scope="module")
def told(script: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], Path]:
    """What the blocks print, and the folder they were run in."""
    folder = tmp_path_factory.mktemp("tutorial")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(str(DOCS))
        return script.run(PAGE.read_text(encoding="utf-8"), PAGE.name), folder


def test_what_it_prints_is_what_is_written(script: ModuleType, told: tuple[list[str], Path]) -> None:
    written = script.blocks_of(PAGE.read_text(encoding="utf-8"))
    assert len(written) > 40
    stale = [f"{PAGE.name}:{b.line}" for b, said in zip(written, told[0], strict=True) if b.output != said]
    assert not stale, "run docs/make_tutorial.py"


@pytest.mark.parametrize("what", WORKED)
def test_the_worked_numbers_of_the_literature(what: str, told: tuple[list[str], Path]) -> None:
    """Typed here from the papers: a page that is written anew with other numbers does not pass."""
    assert WORKED[what] in "".join(told[0])


def test_pictures_are_made_again_to_the_byte(told: tuple[list[str], Path]) -> None:
    made = {path.name: path.read_bytes() for path in (told[1] / "pictures").iterdir()}
    kept = {path.name: path.read_bytes() for path in PICTURES.iterdir()}
    assert made.keys() == kept.keys()
    assert not [name for name in made if made[name] != kept[name]], "run docs/make_tutorial.py"


def test_every_picture_is_shown_and_small() -> None:
    shown = set(re.findall(r"\]\(pictures/([^)]+)\)", PAGE.read_text(encoding="utf-8")))
    assert shown == {path.name for path in PICTURES.iterdir()}
    assert sum(path.stat().st_size for path in PICTURES.iterdir()) < 250_000


def test_no_block_is_overlooked(script: ModuleType) -> None:
    """Fences that the script does not take for code or its output would never be checked."""
    text = PAGE.read_text(encoding="utf-8")
    outputs = [block for block in script.blocks_of(text) if block.output]
    assert text.count("```python\n") == len(script.blocks_of(text))
    assert text.count("```text\n") == len(outputs)
    assert text.count("```") == 2 * (len(script.blocks_of(text)) + len(outputs))


SMALL = "# Page\n\n```python\nx = 2\n```\n\nWords.\n\n```python\nprint(x + 1)\n```\n\n```text\n{}```\n"


def test_a_wrong_output_is_found_and_mended(script: ModuleType) -> None:
    page = SMALL.format("4\n")
    printed = script.run(page, "page.md")
    assert printed == ["", "3\n"]
    assert [block.output for block in script.blocks_of(page)] == ["", "4\n"]
    assert script.filled(page, printed) == SMALL.format("3\n")
    assert script.filled(SMALL.format("3\n"), printed) == SMALL.format("3\n")


def test_an_output_that_is_gone_is_taken_out_and_a_new_one_put_in(script: ModuleType) -> None:
    page = "```python\nx = 1\n```\n\n```text\nold\n```\n\n```python\nprint(x)\n```\n\nEnd.\n"
    mended = "```python\nx = 1\n```\n\n```python\nprint(x)\n```\n\n```text\n1\n```\n\nEnd.\n"
    assert script.filled(page, script.run(page, "page.md")) == mended


def test_a_traceback_names_the_line_of_the_page(script: ModuleType) -> None:
    with pytest.raises(ZeroDivisionError) as failure:
        script.run("Words.\n\n```python\nx = 1\nx / 0\n```\n", "page.md")
    assert failure.traceback[-1].lineno == 4
    assert str(failure.traceback[-1].path).endswith("page.md")
