"""The plots of a result: what was printed and what was measured beside each other, curves, and value over cost."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from separable.analysis.page.wording import amount, count_of, listed
from separable.analysis.plots import (
    DotRow,
    ScatterPoint,
    Series,
    dot_chart,
    line_chart,
    pareto_front,
    scatter_chart,
)
from separable.analysis.plots.axes import figure
from separable.analysis.plots.markup import Markup, element
from separable.analysis.plots.style import standalone_style
from separable.experiments.results import ArmResult, Result
from separable.experiments.wording import measure_of, setting_text, trained_measures, value_text

__all__ = ["Plot", "cost_plots", "curve_plots", "plots_of", "value_plots"]

_COSTS = ("parameters", "macs", "milliseconds", "memory")
_MARGIN, _LINE = 14.0, 22.0
_MOST_CURVES = 4
_MOST_LETTERS = 110


@dataclass(frozen=True)
class Plot:
    """`caption` always says at what scale; `size` is that of the drawing."""

    name: str
    caption: str
    drawing: Markup
    size: tuple[float, float]


def plots_of(result: Result) -> dict[str, str]:
    """Every plot as the text of an SVG file that follows the reader's theme, by its name."""
    plots = [*value_plots(result), *curve_plots(result), *cost_plots(result)]
    return {plot.name: _standalone(plot) for plot in plots}


def value_plots(result: Result) -> list[Plot]:
    """For each trained measure a panel of the printed values, if there are any, and one of those measured here."""
    found = []
    for name in trained_measures(result.measures):
        printed = [
            DotRow(_named(arm), arm.published.get(name, math.nan), muted=True, note="not printed")
            for arm in result.arms
        ]
        if any(math.isfinite(row.value) for row in printed):
            found.append(_dots(result, name, printed, published=True))
        ours = [_measured(arm, name) for arm in result.arms]
        if any(math.isfinite(row.value) for row in ours):
            found.append(_dots(result, name, ours, published=False))
    return found


def curve_plots(result: Result) -> list[Plot]:
    """Held-out measures by epoch: the mean over seeds, and the band from the lowest seed to the highest."""
    arms = [arm for arm in result.arms if any(seed.curve for seed in arm.seeds)]
    if not arms or (len(arms) > _MOST_CURVES and result.kind != "curves"):
        return []
    names = dict.fromkeys(name for arm in arms for seed in arm.seeds for name in seed.curve)
    plots = []
    for name in names:
        if name in ("epoch", "train_loss"):
            continue
        series = [_series(arm, name, place) for place, arm in enumerate(arms)]
        if not any(one.points for one in series):
            continue
        text = measure_of(name).text
        title = text if "held-out" in text else f"{text}, held-out"
        drawing = line_chart(
            series, name=title, x_label="epoch", size=(430, 270), letters=18, whole_x=True, write_y=_writer(name)
        )
        seeds = max(len(arm.seeds) for arm in arms)
        band = "; the bands reach from the lowest seed to the highest" if seeds > 1 else ""
        caption = f"{text} by epoch, mean of {count_of(seeds, 'seed')}{band}. {_scale(result)}"
        plots.append(Plot(f"curve-{name}", caption, drawing, (430, 270)))
    return plots


def cost_plots(result: Result) -> list[Plot]:
    """The first trained measure over what it costs, for each cost in which at least three networks differ."""
    trained = trained_measures(result.measures)
    if not trained:
        return []
    name, plots = trained[0], []
    for cost in _COSTS:
        points = [_costed(arm, name, cost) for arm in result.arms if name in arm.mean and arm.mean.get(cost, 0) > 0]
        if len({point.cost for point in points}) < 3:
            continue
        measure, higher = measure_of(cost), measure_of(name).better != "lower"
        front = pareto_front(points, higher=higher)
        label = f"{measure.text}, {measure.unit}" if measure.unit else measure.text
        drawing = scatter_chart(
            points, name=f"{measure_of(name).text} here", x_label=label, write_x=amount, write_y=_writer(name),
            higher=higher,
        )  # fmt: skip
        caption = (
            f"{measure_of(name).text} over {measure.text}. By the means nothing is both better and cheaper than "
            f"{listed([point.label for point in front])}, along the dashed line; whiskers are the means' 95 % "
            f"intervals over seeds. {_scale(result)}"
        )
        plots.append(Plot(f"cost-{cost}", caption, drawing, (380, 280)))
    return plots


def _dots(result: Result, name: str, rows: Sequence[DotRow], *, published: bool) -> Plot:
    text = measure_of(name).text
    title = f"{text}, published" if published else f"{text}, measured here"
    drawing = dot_chart(rows, name=title, write=lambda value: value_text(name, value), write_tick=_writer(name))
    if published:
        caption = f"As printed in {result.source}."
    else:
        caption = f"Means with their 95 % intervals; small dots are single seeds. {_scale(result)}"
    height = 24.0 + max(1, len(rows)) * 28.0 + 36.0
    return Plot(f"{'published' if published else 'here'}-{name}", caption, drawing, (380, height))


def _measured(arm: ArmResult, name: str) -> DotRow:
    singles = [seed.measures[name] for seed in arm.seeds if name in seed.measures]
    failed = next((seed.failed for seed in arm.seeds if seed.failed), "not measured")
    note = "" if singles else failed
    return DotRow(_named(arm), arm.mean.get(name, math.nan), _interval(arm, name), singles, note)


def _interval(arm: ArmResult, name: str) -> tuple[float, float] | None:
    """A share is not drawn below nothing nor above all, however wide Student's interval is."""
    around = arm.interval.get(name)
    if around is None or measure_of(name).unit != "%":
        return around
    return max(0.0, around[0]), min(1.0, around[1])


def _series(arm: ArmResult, name: str, place: int) -> Series:
    """The mean of all seeds that have an epoch; in four looks."""
    columns: dict[float, list[float]] = {}
    for seed in arm.seeds:
        for epoch, value in zip(seed.curve.get("epoch", ()), seed.curve.get(name, ()), strict=False):
            if epoch is not None and value is not None:
                columns.setdefault(epoch, []).append(value)
    points = [(epoch, sum(values) / len(values)) for epoch, values in sorted(columns.items())]
    band = [(epoch, min(values), max(values)) for epoch, values in sorted(columns.items()) if len(values) > 1]
    return Series(_named(arm), points, "muted" if place % 2 else "accent", band, dashed=place % _MOST_CURVES > 1)


def _costed(arm: ArmResult, name: str, cost: str) -> ScatterPoint:
    note = f"{arm.name}: {value_text(name, arm.mean[name], unit=True)} at {value_text(cost, arm.mean[cost], unit=True)}"
    return ScatterPoint(_named(arm), arm.mean[cost], arm.mean[name], _interval(arm, name), note)


def _named(arm: ArmResult) -> str:
    return " ".join(arm.name.split()) or "unnamed"


def _writer(name: str) -> Callable[[float], str]:
    """Shares in per cent, others as they are."""
    return (lambda share: f"{100 * share:.3g}%") if measure_of(name).unit == "%" else "{:.3g}".format


def _scale(result: Result) -> str:
    text = setting_text(result)
    return f"{text[0].upper()}{text[1:]}."


def _standalone(plot: Plot) -> str:
    """With its caption's words on the scale inside, for a picture that gets away from its page."""
    width, height = plot.size
    inside = _sized(plot.drawing, (width, height))
    said = plot.caption.rsplit(". ", 1)[-1]
    line = element("text", said[:_MOST_LETTERS], x=_MARGIN, y=height + _MARGIN + _LINE - 6)
    size = (width + 2 * _MARGIN, height + 2 * _MARGIN + _LINE)
    page = element("rect", width=size[0], height=size[1], class_="page")
    drawn = element("g", inside, transform=f"translate({_MARGIN:g} {_MARGIN:g})")
    style = element("style", Markup(standalone_style()))
    return f"{_sized(figure(*size, plot.caption, style, page, drawn, line), size)}\n"


def _sized(drawing: Markup, size: tuple[float, float]) -> Markup:
    """As large as it is drawn: an image on a page has no other size to take."""
    return Markup(drawing.replace("<svg ", f'<svg width="{size[0]:g}" height="{size[1]:g}" ', 1))
