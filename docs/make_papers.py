"""Fill the pages of docs/papers: what each paper printed, from the catalogue; what came out here, from result files.

    python docs/make_papers.py                           # write the marked regions of the pages, and the plots
    python docs/make_papers.py --take reproductions      # copy finished results from that folder first
    python docs/make_papers.py --check                   # change nothing; exit with 1 if something would change

A result is docs/papers/results/<experiment>-<scale>.json, with a dash for the slash of the experiment's name; its plots
lie beside it. Regions look so, and everything between their marks is written anew:

    <!-- begin published xception/table1 -->  ...  <!-- end -->
    <!-- begin results xception/table1 -->  ...  <!-- end -->
    <!-- begin verdicts all -->  ...  <!-- end -->
"""

import argparse
import re
import sys
from collections import Counter
from pathlib import Path

from separable.experiments.catalog import EXPERIMENTS, find_experiment
from separable.experiments.render.markdown import to_markdown
from separable.experiments.render.plots import plots_of
from separable.experiments.results import ClaimResult, Result, read_result
from separable.experiments.schema import MEASURES, SCALES, Claim, Experiment
from separable.experiments.spectrum import findings
from separable.experiments.wording import value_text

PAPERS = Path(__file__).resolve().parent / "papers"
REGION = re.compile(r"(<!-- begin (published|results|verdicts) (\S+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
_LEVEL = 3
"""Of the first heading in a region of results; the tables' and figures' own are one higher."""


def results_in(folder: Path) -> list[Result]:
    """All results there, the largest scale of an experiment first."""
    found = [result for path in sorted(folder.rglob("*.json")) if (result := read_result(path)) is not None]
    return sorted(found, key=lambda result: (result.experiment, -SCALES.index(result.scale)))


def name_of(result: Result) -> str:
    """The stem of a result's files."""
    return f"{_anchor(result.experiment)}-{result.scale}"


def made(folder: Path) -> dict[Path, str]:
    """What every file that this script writes has to hold: pages and plots."""
    results = results_in(folder / "results")
    files, regions = {}, {}
    for result in results:
        plots = {plot: text for plot, text in plots_of(result).items() if plot in _shown(result)}
        paths = {plot: Path("results") / f"{name_of(result)}-{plot}.svg" for plot in plots}
        files |= {folder / paths[plot]: text for plot, text in plots.items()}
        names = {plot: str(path) for plot, path in paths.items()}
        regions.setdefault(result.experiment, []).append(came_out(result, names))
    pages = {page: page.read_text(encoding="utf-8") for page in sorted(folder.glob("*.md"))}
    homes = {found[3]: page.name for page, text in pages.items() for found in REGION.finditer(text)}
    regions["all"] = [verdicts(results, homes)]
    return files | {page: filled(text, regions) for page, text in pages.items()}


def _shown(result: Result) -> set[str]:
    """The plots that a page has room for: the first measure, by epoch too, and over the costs that are measures."""
    first = result.measures[0]
    return {f"here-{first}", f"curve-{first}", *(f"cost-{name}" for name in result.measures)}


def filled(text: str, regions: dict[str, list[str]]) -> str:
    """A page with its regions written anew; `regions` are the rendered results by experiment."""

    def one(found: re.Match[str]) -> str:
        opening, kind, name, _, closing = found.groups()
        if kind == "published":
            inside = published(find_experiment(name))
        else:
            inside = "\n\n".join(regions.get(name, [])) or nothing(name)
        return f"{opening}\n{inside.strip()}\n\n{closing}"

    return REGION.sub(one, text)


def nothing(name: str) -> str:
    """What stands where results would."""
    return f"*Not run yet for this page.* `separable reproduce {name} --scale laptop` runs it."


def came_out(result: Result, plots: dict[str, str]) -> str:
    """A result without what the page says above it, its networks and settings folded; `plots` are files by name."""
    text = to_markdown(result, level=_LEVEL, plots=plots, context=False)
    text = re.sub(r"(!\[.*\))\n\n(?=!\[)", r"\1\n", text)  # plots beside each other
    shown, mark, folded = text.partition(f"\n{'#' * (_LEVEL + 1)} Networks\n")
    if found := findings(result):
        shown += "\n\n**Over all of them:**\n\n" + "\n".join(f"- {sentence}" for sentence in found)
    details = f"<details><summary>Networks, settings, machine, the command</summary>\n{folded.rstrip()}\n\n</details>"
    return f"{shown.strip()}\n\n{details}" if mark else shown.strip()


def published(experiment: Experiment) -> str:
    """What the paper printed, as a table; its claims; what running it costs."""
    columns = [name for name in experiment.measures if any(name in arm.published for arm in experiment.arms)]
    lines = [f'<a id="{_anchor(experiment.name)}"></a>', ""]
    lines += [f"**Claimed** ({experiment.source}): {experiment.says}", ""]
    if columns:
        heads = [MEASURES[name].text + (f" ({MEASURES[name].unit})" if MEASURES[name].unit else "") for name in columns]
        lines += ["As printed:", "", f"| | {' | '.join(heads)} |", f"|---|{'---:|' * len(columns)}"]
        for arm in experiment.arms:
            printed = [value_text(name, arm.published.get(name)) for name in columns]
            lines.append(f"| {arm.name}{_note(arm.note)} | {' | '.join(printed)} |")
        lines.append("")
    else:
        lines += [f"No figures are printed with it. Compared: {'; '.join(arm.name for arm in experiment.arms)}.", ""]
    if experiment.claims:
        lines += ["**Tested**:", "", *(_claim(claim) for claim in experiment.claims), ""]
    if experiment.reading:
        lines += [f"**Read here** so: {experiment.reading}", ""]
    lines += ["```bash", f"separable reproduce {experiment.name} --scale laptop", "```", ""]
    if experiment.costs:
        lines.append(
            "; ".join(f"{scale}: {experiment.costs[scale]}" for scale in SCALES if scale in experiment.costs) + "."
        )
    return "\n".join(lines)


def verdicts(results: list[Result], homes: dict[str, str]) -> str:
    """Every claim of every experiment with what became of it at the largest scale that was run.

    Args:
        homes: the page that each experiment is on.
    """
    largest = {result.experiment: result for result in reversed(results)}
    rows, count, seen = [], Counter[str](), set[object]()
    for name, experiment in EXPERIMENTS.items():
        link = f"[{name}]({homes.get(name, '')}#{_anchor(name)})"
        if name not in largest:
            count["not run"] += len(experiment.claims)
            rows += [f"| {link} | {claim.text} | | not run | |" for claim in experiment.claims]
            continue
        for claim in largest[name].claims:
            if (identity := _trainings(largest[name], claim)) not in seen:
                count[claim.verdict] += 1
            seen.add(identity)
            numbers = claim.sentence.replace("|", "\\|")
            rows.append(f"| {link} | {claim.text} | {largest[name].scale} | **{claim.verdict}** | {numbers} |")
    tally = ", ".join(f"{number} {verdict}" for verdict, number in count.most_common())
    twice = len(rows) - count.total()
    once = f" {twice} more compare the same trainings by the same measure again and are not counted." if twice else ""
    lines = [f"{count.total()} claims: {tally}.{once}", ""]
    lines += ["| where | claim | scale | verdict | in numbers |", "|---|---|---|---|---|", *rows]
    return "\n".join(lines)


def _trainings(result: Result, claim: ClaimResult) -> object:
    """What is the same where two claims, of one table or of two, set the same networks against each other."""
    sides = [tuple(seed.cell for seed in result.arm(name).seeds) for name in (claim.left, claim.right)]
    if MEASURES[claim.measure].exact or not all(sides):
        return result.experiment, claim
    return claim.measure, frozenset(sides)


def _anchor(name: str) -> str:
    return name.replace("/", "-")


def _claim(claim: Claim) -> str:
    relation = {"above": "above", "below": "below", "same": "the same as"}[claim.relation]
    return f"- {claim.text} ({MEASURES[claim.measure].text}: {claim.left} {relation} {claim.right})"


def _note(note: str) -> str:
    return f" ({note})" if note else ""


def take(home: Path, folder: Path) -> None:
    """Copy the finished results of `home`, where `separable reproduce` writes, into `folder`; none that only smoke."""
    folder.mkdir(parents=True, exist_ok=True)  # git keeps no empty ones
    for path in sorted(home.rglob("result.json")):
        result = read_result(path)
        if result is not None and result.finished and result.scale != "smoke":
            result.write(folder / f"{name_of(result)}.json")
            print(f"{name_of(result)}.json")


def main() -> None:
    """Take, make, write or compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--take", type=Path, metavar="HOME", help="copy finished results from this folder first")
    parser.add_argument("--check", action="store_true", help="change nothing")
    given = parser.parse_args()
    if given.take is not None:
        take(given.take, PAPERS / "results")
    files = made(PAPERS)
    stale = [path for path, text in files.items() if not path.is_file() or path.read_text(encoding="utf-8") != text]
    for path in stale:
        print(f"{path.relative_to(PAPERS)}{' would change' if given.check else ''}")
        if not given.check:
            path.write_text(files[path], encoding="utf-8")
    sys.exit(1 if given.check and stale else 0)


if __name__ == "__main__":
    main()
