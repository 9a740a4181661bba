"""A result as one self-contained page with plots."""

from pathlib import Path

from separable.analysis.page import document
from separable.analysis.page.html import Column, command, figure, folded, key_values, note, paragraph, section, tile
from separable.analysis.page.html import table as html_table
from separable.analysis.page.wording import count_of
from separable.analysis.plots.markup import Markup, element, join
from separable.experiments.render.facts import arms_in_words, facts, missing
from separable.experiments.render.plots import Plot, cost_plots, curve_plots, value_plots
from separable.experiments.render.tables import (
    CLAIMS_NOTE,
    Table,
    claims_word,
    compared,
    headed,
    headline,
    ours_table,
    power_sentence,
    published_table,
    realised_text,
    verdict_text,
)
from separable.experiments.results import Result
from separable.experiments.wording import difference_text, is_published_setting, setting_text, size_text, value_text
from separable.files import write_text_atomically

__all__ = ["to_page", "write_page"]

_STYLE = """
.verdict{display:inline-block;min-width:5.6em;margin-right:.8em;color:var(--soft);font-size:13.5px;font-weight:600}
.verdict.sure{color:var(--accent)}
.finding .why{display:block;color:var(--soft);font-size:14.5px;margin-top:3px}
.apart{margin-top:34px}
.apart h3{margin-top:0}
.pair{grid-template-columns:repeat(auto-fit,minmax(min(100%,440px),1fr))}
.pair figure{max-width:560px}
section{grid-template-columns:minmax(0,1fr);gap:18px}
section .words{display:grid;grid-template-columns:minmax(0,250px) minmax(0,1fr);gap:6px 48px}
section .lead{max-width:68ch;margin:0}
@media (max-width:820px){section .words{grid-template-columns:minmax(0,1fr)}}
"""


def write_page(result: Result, path: Path) -> Path:
    """Write the page to `path`.

    Raises:
        OutputError: it cannot be written.
    """
    write_text_atomically(path, to_page(result))
    return path


def to_page(result: Result) -> str:
    """The text of an XHTML page that needs no network and no other file."""
    built = [
        ("values", "What was measured", _values(result)),
        ("claims", claims_word(result), _claims(result)),
        ("curves", "Curves", _curves(result)),
        ("cost", "What it costs", _cost(result)),
        ("networks", "Networks", _networks(result)),
        ("again", "Again", _again(result)),
    ]
    shown = [(anchor, title, content) for anchor, title, content in built if content is not None]
    footer = (
        f"{headed(result)}. Everything here was computed from {result.experiment}'s result of {result.date}. "
        "Nothing on this page was fetched from a network."
    )
    return document(headed(result), _header(result), shown, footer, _STYLE)


def _header(result: Result) -> Markup:
    said = [element("p", result.says, class_="summary")] if result.says else []
    warnings = [element("p", line, class_="note alert") for line in missing(result)]
    if result.scale != "own" and not is_published_setting(result):
        text = setting_text(result)
        small = "Smaller networks, pictures and data stand in for the published ones; "
        both = "figures printed and measured here are not to be compared."
        rest = f"F{both[1:]}" if result.scale == "paper" else small + both
        warnings.insert(0, element("p", f"{text[0].upper()}{text[1:]}. {rest}", class_="note alert"))
    eyebrow = element("p", result.source or result.date, class_="eyebrow")
    title = element("h1", headed(result))
    return join(eyebrow, title, *said, *warnings, element("dl", *_tiles(result), class_="tiles"))


def _tiles(result: Result) -> list[Markup]:
    tiles = []
    if result.claims and result.scale == "own":
        told = sum(claim.verdict in ("holds", "reversed") for claim in result.claims)
        tiles.append(tile(f"{told} of {len(result.claims)}", "pairs told apart"))
    elif result.claims:
        held = sum(claim.verdict in ("holds", "exact") for claim in result.claims)
        turned, unjudged = (sum(claim.verdict == one for claim in result.claims) for one in ("reversed", "not judged"))
        detail = f"{turned} the other way round" if turned else "none the other way round"
        detail += f", {unjudged} not judged" if unjudged else ""
        tiles.append(tile(f"{held} of {len(result.claims)}", "claims hold here", detail))
    if result.power is not None:
        least = size_text(result.power.measure, result.power.smallest_difference)
        realised = realised_text(result)
        detail = f"stated before it was run; as it came out {realised}" if realised else "stated before it was run"
        tiles.append(tile(least, "seen in four of five repetitions", detail))
    seeds = len(result.setup.get("seeds", ()))
    if seeds:
        tiles.append(tile(str(seeds), "seeds an arm" if seeds > 1 else "seed an arm"))
    if result.data.get("held_out"):
        tiles.append(tile(f"{int(result.data['held_out']):,}", "held-out pictures"))
    return tiles


def _values(result: Result) -> Markup:
    plots = _pairs(value_plots(result))
    tables = [_table(one) for one in (published_table(result), ours_table(result)) if one is not None]
    lead = "Printed and measured stand apart." if len(tables) > 1 else ""
    power = power_sentence(result)
    return section("values", "What was measured", f"{setting_text(result)}. {lead}".strip(), plots, *tables,
                   note(power) if power else Markup(""))  # fmt: skip


def _claims(result: Result) -> Markup | None:
    if not result.claims:
        return None
    found = []
    for claim in result.claims:
        sure = claim.verdict in ("holds", "exact", "reversed")
        printed = "" if claim.published is None else f"published {difference_text(claim.measure, claim.published)}; "
        found.append(element(
            "p",
            element("span", verdict_text(result, claim), class_="verdict sure" if sure else "verdict"),
            element("strong", claim.text),
            element("span", f"{compared(claim)}: {printed}{claim.sentence}.", class_="why"),
            class_="finding",
        ))  # fmt: skip
    asked = "Which of two is better" if result.scale == "own" else "Whether their direction is seen"
    lead = f"{asked}; {setting_text(result)}. {CLAIMS_NOTE}"
    return section("claims", claims_word(result), lead, *found)


def _curves(result: Result) -> Markup | None:
    plots = curve_plots(result)
    if not plots:
        return None
    return section("curves", "Curves", f"On the held-out pictures; {setting_text(result)}.", _pairs(plots))


def _cost(result: Result) -> Markup | None:
    plots = cost_plots(result)
    if not plots:
        return None
    lead = f"Right and cheap at once; {setting_text(result)}."
    return section("cost", "What it costs", lead, _pairs(plots))


def _networks(result: Result) -> Markup:
    lead = f"What was trained, {setting_text(result)}."
    return section("networks", "Networks", lead, key_values(arms_in_words(result)), *_seeds(result))


def _again(result: Result) -> Markup:
    lines = [command(result.command)] if result.command else []
    reading = [paragraph(result.reading)] if result.reading else []
    return section("again", "Again", "The same command goes on where it was stopped, and ends in the same table.",
                   *lines, *reading, key_values(facts(result)))  # fmt: skip


def _seeds(result: Result) -> list[Markup]:
    """Every training by itself."""
    names = list(dict.fromkeys(name for arm in result.arms for seed in arm.seeds for name in seed.measures))
    rows = [
        [(arm.name, None), (str(seed.seed), float(seed.seed)),
         *((value_text(name, seed.measures.get(name)), seed.measures.get(name)) for name in names),
         (seed.failed or "", None)]
        for arm in result.arms for seed in arm.seeds
    ]  # fmt: skip
    if not rows:
        return []
    heads = [
        Column("network"),
        Column("seed", True),
        *(Column(headline(name), True) for name in names),
        Column("failed"),
    ]
    caption = f"{count_of(len(rows), 'training')}, {setting_text(result)}."
    return [folded("Every training", html_table(heads, rows, caption))]


def _pairs(plots: list[Plot]) -> Markup:
    return element("div", *(figure(plot.drawing, plot.caption) for plot in plots), class_="pair")


def _table(table: Table) -> Markup:
    columns = [Column(head, index >= table.words) for index, head in enumerate(table.header)]
    rows = [list(zip(cells, values, strict=True)) for cells, values in zip(table.rows, table.values, strict=True)]
    return element("div", element("h3", table.title), html_table(columns, rows, table.note), class_="apart")
