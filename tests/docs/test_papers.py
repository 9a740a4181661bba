"""The pages of the papers hold what is made of the catalogue and of the committed results, and nothing else."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest

from separable.experiments.catalog import EXPERIMENTS
from separable.experiments.schema import Arm, Claim, Experiment
from tests.docs.scripts import DOCS, load
from tests.experiments import examples

PAPERS = DOCS / "papers"
PAGES = sorted(PAPERS.glob("*.md"))
RESULTS = sorted((PAPERS / "results").glob("*.json"))


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return load("make_papers")


def test_the_pages_are_what_the_script_makes(script: ModuleType) -> None:
    stale = [path.name for path, text in script.made(PAPERS).items() if path.read_text(encoding="utf-8") != text]
    assert not stale, "run docs/make_papers.py"


def test_nothing_lies_about(script: ModuleType) -> None:
    there = {path for path in (PAPERS / "results").rglob("*") if path.is_file() and path.name != "README.md"}
    assert there == {*RESULTS, *(path for path in script.made(PAPERS) if path.suffix == ".svg")}


@pytest.mark.parametrize("kind", ["published", "results"])
def test_every_experiment_has_its_place_on_one_page(kind: str, script: ModuleType) -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    named = [name for _, found, name, _, _ in script.REGION.findall(text) if found == kind]
    assert sorted(named) == sorted(EXPERIMENTS)
    assert text.count("<!-- begin") == text.count("<!-- end -->") == len(script.REGION.findall(text))


def test_results_are_finished_named_after_themselves_and_from_no_particular_place(script: ModuleType) -> None:
    for path in RESULTS:
        result = script.read_result(path)
        assert result.finished, path
        assert path.stem == script.name_of(result)
        assert result.experiment in EXPERIMENTS
        assert not re.search(r"[\"' =](/(?:home|root|tmp|work|Users|mnt)/)", path.read_text(encoding="utf-8")), path


def test_plots_parse_and_need_nothing_else() -> None:
    for path in (PAPERS / "results").glob("*.svg"):
        for node in ElementTree.fromstring(path.read_bytes()).iter():
            assert node.get("href", "#").startswith("#"), path
            assert not node.tag.endswith("}image"), path


def test_it_all_stays_small() -> None:
    sizes = [path.stat().st_size for path in PAPERS.rglob("*") if path.is_file()]
    assert sum(sizes) < 1_500_000


@pytest.fixture
def folder(script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A page for an invented table, whose experiment is the one that `examples.table1` is a result of."""
    arms = (Arm("VGG-16", "vgg16", published={"top1": 0.715}), Arm("Xception", "xception", published={"top1": 0.79}))
    claims = (Claim("it is better", "top1", "Xception", "above", "VGG-16"),)
    experiment = Experiment(
        "xception/table1", "Title", "arXiv:1610.02357, table 1", "It says so.", arms, ("top1", "top5"), {}, claims,
        reading="So.", costs={"laptop": "an hour of two cores", "smoke": "a minute"},
    )  # fmt: skip
    monkeypatch.setattr(script, "find_experiment", {"xception/table1": experiment}.__getitem__)
    kinds = ("published", "results")
    regions = "\n\n".join(f"<!-- begin {kind} xception/table1 -->\nold\n<!-- end -->" for kind in kinds)
    (tmp_path / "page.md").write_text(f"# Page\n\nWords.\n\n{regions}\n\nMore.\n")
    (tmp_path / "results").mkdir()
    return tmp_path


def made_page(script: ModuleType, folder: Path) -> str:
    return str(script.made(folder)[folder / "page.md"])


def test_all_verdicts_are_in_one_table(script: ModuleType, folder: Path) -> None:
    (folder / "README.md").write_text("<!-- begin verdicts all -->\n<!-- end -->\n")
    result = examples.table1()
    result.write(folder / "results" / "xception-table1-laptop.json")
    replace(result, scale="smoke", claims=()).write(folder / "results" / "xception-table1-smoke.json")
    text = script.made(folder)[folder / "README.md"]
    others = [one for name, one in EXPERIMENTS.items() if name != result.experiment]
    assert f"{len(result.claims) + sum(len(one.claims) for one in others)} claims: " in text
    link = "[xception/table1](page.md#xception-table1)"
    for claim in result.claims:
        assert f"| {link} | {claim.text} | laptop | **{claim.verdict}** | {claim.sentence} |" in text
    assert all(f"[{name}](" in text for name in EXPERIMENTS)
    assert '<a id="xception-table1"></a>' in made_page(script, folder)


def test_a_comparison_is_counted_once(script: ModuleType) -> None:
    """Claimed the other way round, or in another table of the same trainings, it is the same comparison."""
    result = examples.table1()
    claim = result.claims[0]
    turned = replace(claim, left=claim.right, right=claim.left, relation="below")
    again = replace(result, experiment="xception/figure6", claims=(turned,))
    text = script.verdicts([result, again], {})
    others = sum(
        len(one.claims) for name, one in EXPERIMENTS.items() if name not in ("xception/table1", again.experiment)
    )
    assert text.startswith(f"{len(result.claims) + others} claims: ")
    assert "1 more compare the same trainings by the same measure again and are not counted." in text


def test_without_a_result_the_page_says_so(script: ModuleType, folder: Path) -> None:
    text = made_page(script, folder)
    assert "*Not run yet for this page.* `separable reproduce xception/table1 --scale laptop` runs it." in text
    assert "| | top-1 (%) |\n|---|---:|\n| VGG-16 | 71.5 |\n| Xception | 79.0 |" in text
    assert "- it is better (top-1: Xception above VGG-16)" in text
    assert "smoke: a minute; laptop: an hour of two cores." in text
    assert text.startswith("# Page\n\nWords.\n\n<!-- begin published")
    assert text.endswith("<!-- end -->\n\nMore.\n")
    assert "\nold\n" not in text


def test_with_a_result_its_table_verdicts_and_plots_are_shown(script: ModuleType, folder: Path) -> None:
    result = examples.table1()
    result.write(folder / "results" / "xception-table1-laptop.json")
    text = made_page(script, folder)
    _, _, shown = text.partition("<!-- begin results")
    assert "Not run yet" not in text
    assert shown.index("laptop scale: not the published setting") < shown.index("| network |")
    for claim in result.claims:
        assert claim.verdict in shown
    plots = [path for path in script.made(folder) if path.suffix == ".svg"]
    assert plots
    for plot in plots:
        assert f"](results/{plot.name})" in shown
    assert shown.count("<details>") == shown.count("</details>") == 1
    assert shown.index("<details>") > shown.index("| Xception |")
    assert "71.5" not in shown, "published figures stand above, in a table of their own"


def test_what_was_found_over_all_arms_is_said(
    script: ModuleType, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`experiments.spectrum` says it of the spectrum, and nothing of other experiments."""
    examples.table1().write(folder / "results" / "xception-table1-laptop.json")
    assert "Over all of them" not in made_page(script, folder)
    monkeypatch.setattr(script, "findings", lambda result: (f"The best of {result.experiment}.", "The front."))
    text = made_page(script, folder)
    said = "**Over all of them:**\n\n- The best of xception/table1.\n- The front.\n\n<details>"
    assert said in text


def test_a_page_that_was_written_is_not_written_again(script: ModuleType, folder: Path) -> None:
    examples.table1().write(folder / "results" / "xception-table1-laptop.json")
    (folder / "page.md").write_text(made_page(script, folder))
    assert made_page(script, folder) == (folder / "page.md").read_text()


def test_a_changed_figure_makes_the_page_stale(script: ModuleType, folder: Path) -> None:
    path = folder / "results" / "xception-table1-laptop.json"
    examples.table1().write(path)
    before = made_page(script, folder)
    plain = json.loads(path.read_text())
    plain["arms"][3]["mean"]["top1"] += 0.01
    path.write_text(json.dumps(plain))
    assert made_page(script, folder) != before


def test_only_finished_results_that_say_something_are_taken(script: ModuleType, folder: Path) -> None:
    home = folder / "reproductions"
    finished = examples.table1()
    for result in (finished, replace(finished, scale="gpu", finished=False), replace(finished, scale="smoke")):
        place = home / "xception" / "table1" / result.scale
        place.mkdir(parents=True)
        result.write(place / "result.json")
    script.take(home, folder / "results")
    assert [path.name for path in (folder / "results").iterdir()] == ["xception-table1-laptop.json"]
    shutil.rmtree(home)
    assert script.results_in(folder / "results") == [finished]
