"""What `separable doctor MODEL` prints."""

from collections.abc import Iterator

from separable.analysis.advice import Advice, NetworkDiagnosis
from separable.analysis.causes import fastest
from separable.analysis.plots.markup import shorten
from separable.analysis.text_table import text_table

__all__ = ["diagnosis_text"]

_NAMED, _NAME = 3, 26
_WATCHED = 1.05
"""Times that without a stopwatch at every layer, from which on a table with one has to say so."""


def diagnosis_text(name: str, found: NetworkDiagnosis, most: int = 10) -> str:
    """Warnings, the advice ranked by what it could gain, the slowest layers, and the honest sum last."""
    lines = [*_head(name, found), *_warnings(found)]
    if found.advice:
        lines += ["", "What could be gained at most, and where"]
    for number, advice in enumerate(found.advice, 1):
        lines += _advice(number, advice, found)
    lines += ["", *_slowest(found, most), "", *_sum(found)]
    return "\n".join(lines)


def _head(name: str, found: NetworkDiagnosis) -> Iterator[str]:
    base = found.measured
    shape = "x".join(map(str, base.profile.input_shape))
    ceilings = base.ceilings
    rates = ", ".join(f"{rate / 1e9:.3g} GFLOP/s in {precision}" for precision, rate in ceilings.gemm_flops.items())
    yield f"{name}: {_ms(found.seconds)} for {shape} in {base.precision}, evaluation mode"
    yield f"This machine: {ceilings.processor}, {ceilings.threads} threads; {rates}; copies {_rate(found)}"
    if found.runs:
        yield f"Run in turns: {', '.join(f'{what} {_ms(seconds)}' for what, seconds in found.runs)}"
    if base.disturbed:
        yield "Something else used this machine meanwhile: believe ratios at most, and measure again when it is quiet."


def _rate(found: NetworkDiagnosis) -> str:
    ceilings = found.measured.ceilings
    fastest_copy = max(rate for _, rate in ceilings.copies)
    return f"{ceilings.copy_bytes_per_second / 1e9:.3g} GB/s in memory, {fastest_copy / 1e9:.3g} GB/s in a cache"


def _warnings(found: NetworkDiagnosis) -> Iterator[str]:
    by_text: dict[str, list[str]] = {}
    fixes = {bad.what: bad.fix for _, bad in found.warnings}
    for layer, bad in found.warnings:
        by_text.setdefault(bad.what, []).append(layer)
    for what, layers in by_text.items():
        yield ""
        yield f"Danger at {_listed(layers)}: {what}."
        yield f"   -> {fixes[what]}."


def _advice(number: int, advice: Advice, found: NetworkDiagnosis) -> Iterator[str]:
    share = advice.gain / found.seconds
    how = "measured" if advice.measured else "at most"
    yield ""
    yield f"{number:>2}. {advice.title}: {_ms(advice.gain)}, {100 * share:.0f} % of the time ({how})"
    yield f"    {advice.why}"
    if advice.layers:
        named = [f"{one.name} ({_ms(one.gain)} of {_ms(one.seconds)})" for one in advice.layers[:_NAMED]]
        more = f" and {len(advice.layers) - _NAMED} more" if len(advice.layers) > _NAMED else ""
        yield f"    Most in {', '.join(named)}{more}."
    yield f"    -> {advice.fix}."


def _slowest(found: NetworkDiagnosis, most: int) -> Iterator[str]:
    layers = found.slowest(most)
    if not layers:
        return
    yield "The layers furthest above the time they would need at best, and which of the above is why"
    watched = found.measured.watched
    if watched > _WATCHED * found.seconds:
        both = f"makes {_ms(watched)} of {_ms(found.seconds)}"
        yield f"(timed one by one, which {both}; what could be gained is told of the latter)"
    header = ("layer", "what", "why", "ms", "at best", "reached")
    numbers = {advice.key: str(number) for number, advice in enumerate(found.advice, 1)}
    rows = []
    for layer in layers:
        best = fastest(layer, found.measured)
        figures = (f"{1000 * layer.seconds:.3f}", f"{1000 * best:.3f}", f"{100 * best / layer.seconds:.0f} %")
        why = ",".join(numbers[key] for key in found.reasons(layer)) or "?"
        rows.append((shorten(layer.name, _NAME), layer.kind, why, *figures))
    base = found.measured
    best = sum(fastest(layer, base) for layer in base.layers)
    whole = (f"{1000 * base.watched:.3f}", f"{1000 * best:.3f}", f"{100 * best / base.watched:.0f} %")
    outside = ("outside of layers", "", "", f"{1000 * base.outside:.3f}", "", "")
    yield text_table([header, *rows, outside, ("all of the network", "", "", *whole)])


def _sum(found: NetworkDiagnosis) -> Iterator[str]:
    if not found.advice:
        yield "Nothing found that would gain more than 2 % of the time."
        return
    sums = f"Together at most {_ms(found.possible)} of {_ms(found.seconds)}"
    yield f"{sums}: each layer counts once, under what gains most there."
    apart = [advice.title for advice in found.advice if not advice.counts]
    if apart:
        yield f"Not in that sum, being another workload: {', '.join(apart)}."


def _listed(names: list[str]) -> str:
    unique = list(dict.fromkeys(names))
    return ", ".join(unique[:4]) + (f" and {len(unique) - 4} more" if len(unique) > 4 else "")


def _ms(seconds: float) -> str:
    value = 1000 * seconds
    return f"{value:.0f} ms" if value >= 99.5 else f"{value:.3g} ms" if value >= 1 else f"{value:.2g} ms"
