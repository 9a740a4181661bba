"""Which class is the background is told by its name, as prediction tells it, and not by its place."""

from pathlib import Path

import pytest

from separable.segmentation.report import write_report
from tests.segmentation.report.made_run import make_run


@pytest.mark.parametrize(
    ("names", "kinds", "tile"),
    [
        (("shape", "Background"), ("missed: the prediction says Background", "added: "), "IoU of shape"),
        (("0", "1"), ("missed: the prediction says 0", "added: "), "IoU of 1"),
        (("cat", "dog"), ("confused: one class taken for another",), "mean Dice"),
    ],
)
def test_mistakes_are_about_the_background_that_there_is(
    tmp_path: Path, names: tuple[str, str], kinds: tuple[str, ...], tile: str
) -> None:
    run = make_run(tmp_path, count=3, class_names=names).run
    page = write_report(run).read_text()
    legend = page.split('id="colours"')[1].split("<section")[0]
    for kind in ("missed: ", "added: ", "confused: "):
        assert (kind in legend) is any(one.startswith(kind) for one in kinds)
    assert all(kind in legend for kind in kinds)
    assert tile in page
    said = page.split('id="worst"')[1].split("<section")[0]
    assert ("% confused" in said) is (names == ("cat", "dog"))
    assert ("% missed" in said or "% added" in said) is (names != ("cat", "dog"))
