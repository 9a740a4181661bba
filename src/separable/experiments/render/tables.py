"""A result as tables of text, which the terminal, Markdown and the page all show."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from separable.analysis.page.wording import count_of
from separable.experiments.power import power_text
from separable.experiments.results import ArmResult, ClaimResult, Result
from separable.experiments.wording import (
    DASH,
    difference_text,
    is_published_setting,
    measure_of,
    setting_text,
    size_text,
    trained_measures,
    value_text,
)

__all__ = [
    "CLAIMS_NOTE",
    "Table",
    "claims_table",
    "claims_word",
    "compared",
    "headed",
    "headline",
    "ours_table",
    "power_sentence",
    "published_table",
    "realised_text",
    "tables_of",
    "verdict_text",
]


CLAIMS_NOTE = (
    "Differences with their 95 % intervals over seeds and pictures, of timings over rounds of one process; how sure it "
    "is that a difference has its sign is one minus the one-sided p-value."
)
"""Once for all claims of a result."""


@dataclass(frozen=True)
class Table:
    """The first `words` columns hold words, the others numbers; `values` are those that a column is sorted by."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: int = 1
    note: str = ""
    values: tuple[tuple[float | None, ...], ...] = ()


@dataclass(frozen=True)
class _Column:
    head: str
    text: Callable[[ArmResult], str]
    value: Callable[[ArmResult], float | None]


def headed(result: Result) -> str:
    """The title, never without the scale."""
    return f"{result.title} ({setting_text(result)})"


def tables_of(result: Result, *, published: bool = True) -> list[Table]:
    """What was published, what was found here, and what became of the claims; those that have anything in them."""
    built = [published_table(result) if published else None, ours_table(result), claims_table(result)]
    return [table for table in built if table is not None]


def published_table(result: Result) -> Table | None:
    """The printed figures, and the published networks' counts; None where nothing was."""
    if not any(arm.published for arm in result.arms):
        return None
    measures = dict.fromkeys([*result.measures, *(name for arm in result.arms for name in arm.published)])
    columns = [_printed(name) for name in measures if any(name in arm.published for arm in result.arms)]
    columns.append(_Column("parameters, counted", _count_text("published_parameters"), _count("published_parameters")))
    columns.append(_Column("multiply-adds, counted", _count_text("published_macs"), _count("published_macs")))
    columns.insert(0, _side("published_image_size"))
    note = "As printed, and the published networks as this library counts them."
    return _table(f"Published: {result.source}", result.arms, columns, note)


def ours_table(result: Result) -> Table:
    """What was measured here: means over the seeds with their intervals, counts of the trained networks, timings."""
    trained = trained_measures(_shown(result))
    named = [*trained, *(name for name in _shown(result) if name not in trained)]
    columns = [_side("image_size"), *_widths(result), *(_found(name) for name in named)]
    if is_published_setting(result):
        columns += [_apart(name) for name in trained]
    columns += [_factor(), _failures()]
    seeds = max([sum(one.failed is None for one in arm.seeds) for arm in result.arms], default=0)
    note = ""
    if seeds > 1:
        note = f"Means of {count_of(seeds, 'seed')}, and half of their 95 % intervals."
    elif seeds and result.setup:
        note = "One seed an arm: there are no intervals."
    return _table(f"Measured here, {setting_text(result)}", result.arms, columns, note)


def claims_table(result: Result) -> Table | None:
    """The claims with their verdicts."""
    if not result.claims:
        return None
    rows = [
        (claim.text, compared(claim), _published(claim), claim.sentence, verdict_text(result, claim))
        for claim in result.claims
    ]
    printed = any(claim.published is not None for claim in result.claims)
    kept = (0, 1, *((2,) if printed else ()), 3, 4)
    header = (
        claims_word(result).lower().removesuffix("s"),
        "compared",
        "published difference",
        f"found at {_short_scale(result)}",
        "verdict",
    )
    return Table(
        f"{claims_word(result)}, {setting_text(result)}",
        tuple(header[index] for index in kept),
        tuple(tuple(row[index] for index in kept) for row in rows),
        len(kept),
        CLAIMS_NOTE,
    )


def claims_word(result: Result) -> str:
    """Nobody claims anything of a user's own networks: there it is pairs that are told apart."""
    return "Pairs" if result.scale == "own" else "Claims"


def verdict_text(result: Result, claim: ClaimResult) -> str:
    """The verdict in a word or two."""
    if result.scale != "own" or claim.verdict in ("not measured", "not judged"):
        return claim.verdict
    return "not told apart" if claim.verdict == "not seen" else "told apart"


def compared(claim: ClaimResult) -> str:
    """Which difference it is."""
    return f"{measure_of(claim.measure).text}, {claim.left} minus {claim.right}"


def power_sentence(result: Result) -> str:
    """What the comparison could see; empty where nothing was trained."""
    if result.kind == "count" or not result.setup or not trained_measures(result.measures):
        return ""
    planned, realised = power_text(result.power, seeds=len(result.setup.get("seeds", ()))), realised_text(result)
    return f"{planned} As it came out, that is {realised}." if realised else planned


def realised_text(result: Result) -> str:
    """What differences the claims on the planned measure could have shown, by the spreads that were found; or ""."""
    measure = result.power.measure if result.power else ""
    found = sorted(one.smallest for one in result.claims if one.measure == measure and one.smallest is not None)
    if not found:
        return ""
    low, high = (size_text(measure, one) for one in (found[0], found[-1]))
    return low if low == high else f"{low.partition(' ')[0]} to {high}"


def _shown(result: Result) -> list[str]:
    """The experiment's own measures, and the counts beside them wherever there are any."""
    counted = ("parameters", "macs", "steps_per_second", "milliseconds", "memory")
    there = [name for name in counted if any(name in arm.mean for arm in result.arms)]
    return list(dict.fromkeys([*result.measures, *there]))


def _table(title: str, arms: Sequence[ArmResult], columns: Sequence[_Column], note: str) -> Table:
    kept = [column for column in columns if any(column.text(arm) not in (DASH, "") for arm in arms)]
    rows = tuple((arm.name, *(column.text(arm) for column in kept)) for arm in arms)
    values = tuple((None, *(column.value(arm) for column in kept)) for arm in arms)
    return Table(title, ("network", *(column.head for column in kept)), rows, 1, note, values)


def headline(name: str) -> str:
    """The head of a measure's column, with its unit."""
    measure = measure_of(name)
    return f"{measure.text}, {measure.unit}" if measure.unit else measure.text


def _printed(name: str) -> _Column:
    return _Column(
        headline(name), lambda arm: value_text(name, arm.published.get(name)), lambda arm: arm.published.get(name)
    )


def _found(name: str) -> _Column:
    def text(arm: ArmResult) -> str:
        value = value_text(name, arm.mean.get(name))
        around = arm.interval.get(name)
        if around is None or around[0] == around[1]:  # the same in all seeds by chance: that is no certainty
            return value
        if measure_of(name).unit == "%" and (around[0] < 0 or around[1] > 1):
            return f"{value} ({value_text(name, max(0.0, around[0]))} to {value_text(name, min(1.0, around[1]))})"
        return f"{value} \u00b1 {value_text(name, (around[1] - around[0]) / 2)}"

    return _Column(headline(name), text, lambda arm: arm.mean.get(name))


def _apart(name: str) -> _Column:
    """Ours minus what was printed, where both are of the same networks, recipe and pictures."""

    def value(arm: ArmResult) -> float | None:
        ours, printed = arm.mean.get(name), arm.published.get(name)
        return None if ours is None or printed is None else ours - printed

    return _Column(f"{measure_of(name).text} minus published", lambda arm: difference_text(name, value(arm)), value)


def _count(field: str) -> Callable[[ArmResult], float | None]:
    return lambda arm: getattr(arm, field)


def _count_text(field: str) -> Callable[[ArmResult], str]:
    return lambda arm: value_text("parameters", getattr(arm, field))


def _side(field: str) -> _Column:
    def text(arm: ArmResult) -> str:
        side = getattr(arm, field)
        return DASH if side is None else str(side)

    return _Column("pixels", text, _count(field))


def _widths(result: Result) -> list[_Column]:
    """Those that were solved for where it was run."""
    solved: dict[str, dict[str, float]] = (result.setup.get("solved") or {}).get("arms", {})

    def value(arm: ArmResult) -> float | None:
        return solved[arm.name]["width"] if arm.name in solved else arm.options.get("width")

    return [_Column("width", lambda arm: f"{value(arm):g}" if value(arm) else DASH, value)] if solved else []


def _factor() -> _Column:
    def text(arm: ArmResult) -> str:
        tried = sorted(one.factor for one in arm.tuning)
        if not tried or arm.learning_rate is None:
            return DASH
        ends = {tried[0]: ", the least tried", tried[-1]: ", the greatest tried"} if len(tried) > 1 else {}
        return f"x{arm.learning_rate:g}{ends.get(arm.learning_rate, '')}"

    return _Column("learning rate", text, lambda arm: arm.learning_rate)


def _failures() -> _Column:
    def text(arm: ArmResult) -> str:
        failed = sum(one.failed is not None for one in arm.seeds)
        return f"{failed} of {len(arm.seeds)}" if failed else DASH

    return _Column("failed", text, lambda arm: float(sum(one.failed is not None for one in arm.seeds)))


def _published(claim: ClaimResult) -> str:
    return difference_text(claim.measure, claim.published)


def _short_scale(result: Result) -> str:
    return "your own settings" if result.scale == "own" else f"{result.scale} scale"
