"""Results as lines, Markdown and a page: what has to stand there, at what scale, and nothing that was smuggled in."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from separable.experiments.render import to_markdown, to_text, write_pages
from separable.experiments.render.page import to_page
from separable.experiments.render.plots import cost_plots, curve_plots, plots_of, value_plots
from separable.experiments.render.tables import (
    claims_table,
    headed,
    ours_table,
    power_sentence,
    published_table,
    tables_of,
)
from separable.experiments.results import Result, Trial
from separable.experiments.wording import (
    difference_text,
    interval_text,
    setting_text,
    size_text,
    sure_text,
    value_text,
)
from tests.experiments.examples import NASTY, curves, nasty, spectrum, table1

SMALL = "laptop scale: not the published setting"
RENDERINGS = [to_text, to_markdown, to_page]
EXAMPLES = [table1, curves, spectrum, nasty]


def words(text: str) -> str:
    """Without markup and line breaks."""
    return " ".join(re.sub(r"<style>.*?</style>|<script>.*?</script>|<[^>]*>", " ", text, flags=re.DOTALL).split())


@pytest.mark.parametrize("render", RENDERINGS)
def test_everything_is_said(render: Callable[[Result], str]) -> None:
    result = table1()
    said = words(render(result)).replace("\\", "")
    for claim in result.claims:
        assert claim.text in said
        assert claim.sentence[1:] in said
    for figure in ("71.5", "22,855,952", "8,363,420,352", "1,492,730", "81.9 ± 0.9", "+0.8 points"):
        assert figure in said
    for fact in ("1610.02357, table 1", "The loss became NaN at step 12.", "With 3 seeds and 400 held-out pictures"):
        assert fact in said
    for fact in ("batch 32", "ab12cd34", "0, 1 and 2", "torch 2.13.0", "2026-11-20", "0.5, 1 and 2 times"):
        assert fact in said
    assert "separable reproduce xception/table1 --scale laptop" in said


@pytest.mark.parametrize("example", EXAMPLES)
@pytest.mark.parametrize("render", RENDERINGS)
def test_a_small_scale_is_in_the_title(render: Callable[[Result], str], example: Callable[[], Result]) -> None:
    result = example()
    assert words(render(result)).lstrip("# ").count(SMALL) >= 3
    assert headed(result).endswith(f"({SMALL})")


@pytest.mark.parametrize("example", EXAMPLES)
def test_a_small_scale_is_in_every_heading_and_caption(example: Callable[[], Result]) -> None:
    result = example()
    for table in tables_of(result):
        assert table.title.startswith("Published: ") or SMALL in table.title
    for plot in [*value_plots(result), *curve_plots(result), *cost_plots(result)]:
        assert plot.name.startswith("published-") or SMALL[1:] in plot.caption
    for name, text in plots_of(result).items():
        assert name.startswith("published-") or SMALL[1:] in words(text)


def test_published_and_ours_are_never_in_one_table() -> None:
    result = table1()
    printed, ours = published_table(result), ours_table(result)
    assert printed is not None
    assert [row[2] for row in printed.rows] == ["71.5", "77.0", "78.2", "79.0"]
    cells = {cell for row in ours.rows for cell in row}
    assert not cells & {"71.5", "77.0", "78.2", "79.0", "22,855,952"}
    assert not {cell for row in printed.rows for cell in row} & {"1,492,730", "81.9 ± 0.9"}


@pytest.mark.parametrize("scale", ["smoke", "gpu", "paper", "own"])
def test_scales(scale: str) -> None:
    result = replace(table1(), scale=scale)  # type: ignore[arg-type]
    for render in RENDERINGS:
        said = words(render(result))
        assert setting_text(result) in said
        assert ("not the published setting" in said) == (scale in ("smoke", "gpu"))


IMAGENET = {"what": "ILSVRC2012", "train": 1_281_167, "held_out": 48_238, "classes": 1000, "fingerprint": "12"}


def test_only_imagenet_with_printed_figures_is_the_published_setting() -> None:
    """Whatever somebody runs at that scale, on flowers, with a class less, of what nobody published, is called so."""
    real = replace(table1(), scale="paper", data=IMAGENET)
    other = "the paper's network and recipe on"
    flowers = {**IMAGENET, "what": "flowers", "train": 2934, "held_out": 736, "classes": 5}
    lacking = {**IMAGENET, "held_out": 47_000}
    cases = [
        (real, "the published setting"),
        (replace(real, data={**IMAGENET, "held_out": 50_000}), "the published setting"),
        (replace(real, setup={**real.setup, "seeds": [0]}), "the published setting, one seed"),
        (replace(real, data=flowers), f"{other} flowers, 5 classes"),
        (replace(real, data=lacking), f"{other} ILSVRC2012, 1,000 classes"),
        (replace(curves(), scale="paper", data=IMAGENET), f"{other} ImageNet, 1,000 classes, of which nobody "
         "published figures"),
    ]  # fmt: skip
    for result, expected in cases:
        assert setting_text(result) == expected
        assert headed(result).endswith(f"({expected})")
        assert expected in claims_table(result).title  # type: ignore[union-attr]
        published = expected.startswith("the published")
        for plot in [*value_plots(result), *curve_plots(result), *cost_plots(result)]:
            assert plot.name.startswith("published-") or expected[1:] in plot.caption
        for render in RENDERINGS:
            said = words(render(result)).replace("&#x27;", "'").replace("&#39;", "'")
            assert expected in said
            assert ("the published setting" in said) == published
        assert ("are not to be compared" in to_page(result)) == (not published)


def test_shares_stay_within_all_in_tables() -> None:
    result = table1()
    wide = replace(result, arms=tuple(replace(arm, interval={"top1": (-0.4, 1.3)}) for arm in result.arms))
    assert "(0.0 to 100.0)" in " ".join(ours_table(wide).rows[0])


def test_power_is_stated_beforehand_and_afterwards() -> None:
    result = table1()
    found = [one.smallest for one in result.claims if one.measure == "top1" and one.smallest is not None]
    assert found
    assert f"As it came out, that is {100 * min(found):.1f} to {100 * max(found):.1f} points." in power_sentence(result)
    for render in RENDERINGS:
        assert "As it came out, that is" in words(render(result))


def test_what_is_not_judged_is_shown() -> None:
    result = table1()
    claims = (replace(result.claims[0], verdict="not judged", sentence="not judged: it did not train"),)
    for scale in ("laptop", "own"):
        shown = replace(result, scale=scale, claims=claims)  # type: ignore[arg-type]
        for render in RENDERINGS:
            assert "not judged" in words(render(shown)).replace("NOT JUDGED", "not judged")
    assert "1 not judged" in to_page(replace(result, claims=claims))


def test_columns_without_anything_are_left_out() -> None:
    header = ours_table(curves()).header
    assert header == ("network", "pixels", "top-1, %", "held-out loss", "parameters", "multiply-adds")
    assert published_table(curves()) is None
    assert "failed" in ours_table(table1()).header
    single = curves()
    single = replace(single, arms=tuple(replace(arm, seeds=arm.seeds[:1], interval={}) for arm in single.arms))
    assert ours_table(single).note == "One seed an arm: there are no intervals."


@pytest.mark.parametrize("width", [40, 60, 80, 200])
@pytest.mark.parametrize("example", [table1, curves, spectrum])
def test_lines_fit(example: Callable[[], Result], width: int) -> None:
    """Single cells and commands are not broken, so only they may be wider."""
    result = example()
    text = to_text(result, width)
    longest = max((line for line in text.splitlines() if not line.startswith("Again")), key=len)
    assert len(longest) <= max(width, 62), longest
    joined = " ".join(text.split())
    for arm in result.arms:
        assert f"{100 * arm.mean['top1']:.1f} ±" in joined


@pytest.mark.parametrize("render", RENDERINGS)
def test_what_came_from_outside_stays_text(render: Callable[[Result], str]) -> None:
    text = render(nasty())
    assert "\x1b" not in text
    assert "\u202e" not in text
    if render is not to_text:
        outside_fences = "".join(text.split("```")[::2]) if render is to_markdown else text
        assert "<script>alert" not in outside_fences.replace("\\<", "")
        assert text.count("```") == (2 if render is to_markdown else 0)
    if render is to_markdown:
        rows = [line for line in text.splitlines() if line.startswith("|")]
        heads = {len(re.findall(r"(?<!\\)\|", row)) for row in rows}
        assert heads == {3, 6}, "a table of two columns, two of one and the claims'"


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_page_is_well_formed_and_needs_nothing(example: Callable[[], Result]) -> None:
    text = to_page(example())
    root = ET.fromstring(text.removeprefix("<!DOCTYPE html>\n"))
    assert not re.search(r'(?:src|href)="(?!#)', text)
    scripts = [one for one in root.iter() if one.tag.endswith("script")]
    assert len(scripts) == 1
    anchors = {one.get("id") for one in root.iter() if one.get("id")}
    links = [one.get("href", "")[1:] for one in root.iter() if one.tag.endswith("}a")]
    assert links
    assert set(links) <= anchors
    if example is nasty:
        shown = "".join(root.itertext())
        assert '<script>alert("1")</script>' in shown


@pytest.mark.parametrize("example", EXAMPLES)
def test_plots_are_files_of_their_own(example: Callable[[], Result]) -> None:
    for text in plots_of(example()).values():
        root = ET.fromstring(text)
        assert root.tag.endswith("svg")
        assert f"0 0 {root.get('width')} {root.get('height')}" == root.get("viewBox")
        assert "prefers-color-scheme:dark" in text


def test_which_plots_there_are() -> None:
    assert list(plots_of(table1())) == [
        *("published-top1", "here-top1", "published-top5", "here-top5", "curve-top1", "curve-loss"),
        "cost-milliseconds",
    ]
    assert list(plots_of(curves())) == ["here-top1", "here-loss", "curve-top1", "curve-loss"]
    assert list(plots_of(spectrum())) == [
        "here-top1", "cost-parameters", "cost-macs", "cost-milliseconds", "cost-memory",
    ]  # fmt: skip
    assert list(plots_of(nasty())) == ["published-top1"]


def test_files(tmp_path: Path) -> None:
    write_pages(table1(), tmp_path)
    assert (tmp_path / "result.md").read_text() == to_markdown(table1())
    assert (tmp_path / "report.html").read_text() == to_page(table1())


def test_markdown_goes_below_other_headings() -> None:
    text = to_markdown(table1(), level=3, plots={"here-top1": "plots/here top1.svg"})
    heads = [line.split()[0] for line in text.splitlines() if line.startswith("#")]
    assert heads[0] == "###"
    assert set(heads[1:]) == {"####"}
    short = to_markdown(table1(), context=False)
    assert "71.5" not in short
    assert "Source" not in short
    assert "81.9 ± 0.9" in short
    assert f"![here-top1, {SMALL}](plots/here%20top1.svg)" in text


def test_wording() -> None:
    assert value_text("top1", 0.79) == "79.0"
    assert value_text("top1", 0.79, unit=True) == "79.0 %"
    assert value_text("parameters", 22_855_952) == "22,855,952"
    assert value_text("top1", None) == value_text("top1", float("nan")) == "-"
    assert difference_text("top1", 0.021) == "+2.1 points"
    assert difference_text("top1", -0.0001) == "0.0 points"
    assert difference_text("milliseconds", -3.4) == "-3.40 ms"
    assert difference_text("loss", 0.02) == "+0.020"
    assert difference_text("parameters", -770_776) == "-770,776 parameters"
    assert difference_text("map100", 0.0123) == "+1.23 points"
    assert interval_text("top1", (-0.011, 0.017)) == "-1.1 to +1.7"
    assert size_text("top1", 0.016) == "1.6 points"
    assert sure_text(0.996) == "99.6 % sure"
    assert sure_text(0.99999) == "more than 99.9 % sure"
    assert value_text("something new", 1.5) == "1.500"
    assert NASTY not in to_text(nasty())


def test_shares_are_drawn_from_nothing_to_all() -> None:
    """Student's interval of few seeds may be wider than that; the axis is not."""
    result = table1()
    wide = replace(result, arms=tuple(replace(arm, interval={"top1": (-0.4, 1.3)}) for arm in result.arms))
    (plot,) = [plot for plot in value_plots(wide) if plot.name == "here-top1"]
    ticks = [float(one) for one in re.findall(r">(-?\d+)%<", plot.drawing)]
    assert (min(ticks), max(ticks)) == (0, 100)


def test_ours_minus_published_only_where_both_are_of_the_same() -> None:
    real = replace(table1(), scale="paper", data=IMAGENET)
    table = ours_table(real)
    column = table.header.index("top-1 minus published")
    for arm, cells in zip(real.arms, table.rows, strict=True):
        assert cells[column] == difference_text("top1", arm.mean["top1"] - arm.published["top1"])
    for other in (table1(), replace(real, data={**IMAGENET, "classes": 5}), replace(table1(), scale="gpu")):
        assert not [head for head in ours_table(other).header if "published" in head]


def test_a_learning_rate_at_the_end_of_those_tried_is_called_so() -> None:
    def shown(chosen: float, tried: tuple[float, ...]) -> str:
        arms = tuple(
            replace(arm, learning_rate=chosen, tuning=tuple(Trial(one, 0.5) for one in tried)) for arm in table1().arms
        )
        table = ours_table(replace(table1(), arms=arms))
        return table.rows[0][table.header.index("learning rate")]

    assert shown(1.0, (0.5, 1.0, 2.0)) == "x1"
    assert shown(0.5, (1.0, 0.5, 2.0)) == "x0.5, the least tried"
    assert shown(2.0, (0.5, 1.0, 2.0)) == "x2, the greatest tried"
