"""Medians, quartiles, paired ratios and shares, against sums done by hand; and that files say what was found."""

import json
import math
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from separable.benchmarking.gate import Verdict
from separable.benchmarking.outcome import ContestResult, Spread, Work, spread_of
from separable.benchmarking.report import Report
from separable.benchmarking.session import written
from tests.benchmarking.fakes import entry

CEILINGS: dict[str, Any] = {
    "device": "cpu",
    "processor": "A processor",
    "threads": 2,
    "gemm_flops": {"fp32": 4e9},
    "copy_bytes_per_second": 1e9,
}


def a_report(*contests: ContestResult, kind: Any = "train") -> Report:
    packages = {"packages": {"torch": "2.13.0", "separable": "0.1.0", "numpy": None}}
    return Report(kind, "separable bench train", "2026-01-02", CEILINGS, packages, contests)


def a_contest() -> ContestResult:
    fast = entry("ours", {0: 2.0, 1: 4.0, 2: 3.0}, peer="ours", memory=5 << 20, opening=1.5)
    slow = entry("plain", {0: 4.0, 1: 6.0, 2: 9.0})
    lost = entry("a|b <c>", {}, failure="wrong answer: 0.5 from fp64", verdict=Verdict(False, math.nan, math.nan, "x"))
    return ContestResult("Training step, batch 4", "plain", (fast, slow, lost))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], None),
        ([3.0], Spread(3.0, 3.0, 3.0, 1)),
        ([1.0, 2.0], Spread(1.5, 1.25, 1.75, 2)),
        ([5.0, 1.0, 2.0, 4.0, 3.0], Spread(3.0, 2.0, 4.0, 5)),
    ],
)
def test_spread(values: list[float], expected: Spread | None) -> None:
    assert spread_of(values) == expected


def test_ratios_are_paired_by_round() -> None:
    """4/2, 6/4 and 9/3: the median is 2; the ratio of the medians, 6/3, would be so by luck, of the means 1.9."""
    contest = a_contest()
    assert contest.ratio(contest.entries[0]) == Spread(2.0, 1.75, 2.5, 3)
    assert contest.ratio(contest.entries[1]) == Spread(1.0, 1.0, 1.0, 3)
    assert contest.ratio(contest.entries[2]) is None


def test_a_round_that_only_one_has_is_no_pair() -> None:
    contest = ContestResult("t", "b", (entry("a", {0: 1.0, 5: 100.0}), entry("b", {0: 3.0, 4: 1.0})))
    assert contest.ratio(contest.entries[0]) == Spread(3.0, 3.0, 3.0, 1)


def test_ratios_are_picture_for_picture() -> None:
    wide = entry("a", {0: 1.0}, work=Work(8e9, 0.0, 8))
    contest = ContestResult("t", "b", (wide, entry("b", {0: 1.0})))
    ratio = contest.ratio(wide)
    assert ratio is not None
    assert ratio.median == 2.0


def test_the_limit_is_the_slower_of_products_and_bytes() -> None:
    assert Work(8e9, 1e9).limit(4e9, 1e9) == 2.0
    assert Work(8e9, 3e9).limit(4e9, 1e9) == 3.0
    assert math.isnan(Work(8e9, 3e9).limit(math.nan, 1e9))
    assert math.isnan(Work().limit(4e9, 1e9))


def test_share_of_the_ceiling() -> None:
    report = a_report(a_contest())
    assert [report.share(one) for one in report.contests[0].entries] == [2 / 3, 2 / 6, None]


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    report = a_report(a_contest())
    paths = written(report, tmp_path)
    assert [path.name for path in paths] == [
        f"2026-01-02-bench-train-a-processor.{end}" for end in ("json", "md", "svg")
    ]
    stored = json.loads(paths[0].read_text())
    again = Report.from_json(stored)
    assert again.to_json() == stored
    assert again.contests[0].ratio(again.contests[0].entries[0]) == Spread(2.0, 1.75, 2.5, 3)
    assert stored["contests"][0]["entries"][0]["pictures_per_second"] == 4 / 3
    assert written(report, tmp_path)[0].name == "2026-01-02-bench-train-a-processor-2.json"


def test_the_table_has_the_figures_and_who_was_not_timed() -> None:
    text = a_report(a_contest()).to_text()
    header, _, ours, plain, lost = text.splitlines()[1:6]
    assert re.split(r"  +", header) == [
        "contestant", "network", "precision", "images/s", "quartiles", "vs *", "of ceiling", "MiB", "error"
    ]  # fmt: skip
    assert re.split(r"  +", ours) == [
        "ours", "net", "fp32", "1.33", "[1.14, 1.60]", "2.00 [1.75, 2.50]", "67 %", "5", "1.0e-07 (1.0e-07)"
    ]  # fmt: skip
    assert plain.startswith("plain *")
    assert lost.split() == ["a|b", "<c>", "net", "fp32", "not", "timed"]
    assert "a|b <c>, net: wrong answer: 0.5 from fp64" in text
    assert "products at fp32 4 GFLOP/s, copies at 1.0 GB/s" in text
    assert "separable 0.1.0, torch 2.13.0." in text


def test_markdown_is_not_broken_by_names() -> None:
    lines = a_report(a_contest()).to_markdown().splitlines()
    rows = [line for line in lines if line.startswith("| ")]
    assert len(rows) == 5
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 10 for row in rows)
    assert r"a\|b \<c\>" in rows[-1]


def test_operators_stand_in_one_table_a_shape() -> None:
    one = entry("ours", {0: 0.5}, peer="cpu", work=Work(1e9, 0.25e9, 8))
    contests = [ContestResult("net, 8x1x1x1, 3x3, fp32", "ours", (one,)), ContestResult("net, other", "ours", (one,))]
    report = a_report(*contests, contests[0], kind="ops")
    assert [(table.title, len(table.rows)) for table in report.tables()] == [("8x1x1x1, 3x3, fp32", 2), ("other", 1)]
    assert report.tables()[1].rows[0] == [
        "net", "ours *", "500", "[500, 500]", "1.00 [1.00, 1.00]", "0.50", "50 %", "2.00", "50 %", "1.0e-07 (1.0e-07)"
    ]  # fmt: skip


def test_the_plot_shows_values_limits_and_reasons() -> None:
    svg = a_report(a_contest()).to_svg()
    root = ElementTree.fromstring(svg)
    space = "{http://www.w3.org/2000/svg}"
    bars = [one for one in root.iter(f"{space}rect") if "bar" in (one.get("class") or "")]
    limits = [float(one.get("x1", "nan")) for one in root.iter(f"{space}line")]
    starts = {float(one.get("x", "nan")) for one in bars}
    start = starts.pop()
    assert not starts
    lengths = [float(one.get("width", "nan")) for one in bars]
    assert lengths[0] / lengths[1] == pytest.approx(2, rel=1e-3)
    assert [(limit - start) / lengths[0] for limit in limits] == pytest.approx([1.5, 1.5], rel=1e-3)
    words = "".join(root.itertext())
    assert "wrong answer: 0.5 from fp64" in words
    assert "prefers-color-scheme:dark" in svg


@pytest.mark.parametrize(("seconds", "disturbed"), [(1.9, True), (2.0, False)])
def test_steps_faster_than_the_ceiling_are_said_to_be_strange(seconds: float, disturbed: bool) -> None:
    """8 G operations at 4 G a second are two seconds."""
    report = a_report(ContestResult("t", "a", (entry("a", {0: seconds}),)))
    assert report.disturbed == disturbed
    assert ("Something else used this machine" in report.to_text()) == disturbed
