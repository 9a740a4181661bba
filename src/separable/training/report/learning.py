"""Learning curves: loss, accuracy, learning rate and speed over the epochs."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from separable.analysis.page.html import Column, figure, folded, note, section, table
from separable.analysis.page.wording import count_of, duration, percent
from separable.analysis.plots import Marker, Series, line_chart
from separable.analysis.plots.markup import Markup, element
from separable.training.report.record import Epoch, RunRecord, Step, value_at

__all__ = ["Curve", "learning_section", "thinned"]

_MOST_POINTS = 120
_MOST_ROWS = 200


@dataclass(frozen=True)
class Curve:
    """A score of every epoch, from 0 to 1 and higher is better: what it is, and which of `Epoch.scores` it is."""

    name: str
    val: str
    train: str | None = None
    said: str = ""
    """How it is called before its value in a sentence, where `name` does not go without saying."""


def learning_section(record: RunRecord, curves: Sequence[Curve], measured: bool) -> Markup:
    """Small multiples over one epoch axis, and the numbers behind them in a folded table.

    Args:
        record: of the run.
        curves: what is drawn beside the loss; the first one tells which epoch was best.
        measured: whether the page has an evaluation on the held-out pictures.
    """
    if not record.steps and not record.epochs:
        return section("learning", "Learning", "The run stopped before its first step was recorded.")
    per_epoch = _steps_per_epoch(record)
    end = max([_position(s.step, per_epoch) for s in record.steps[-1:]] + [e.epoch + 1.0 for e in record.epochs])
    axis = "epoch" if per_epoch else "step"
    charts = [_loss(record, per_epoch, axis, end), *(_score(record, curve, axis, end) for curve in curves)]
    charts += [_steps_chart(record, per_epoch, axis, end, *what) for what in _STEP_CHARTS]
    drawn = [figure(chart) for chart in charts if chart is not None]
    content = [element("div", *drawn, class_="pair"), note(_how_drawn(record, per_epoch, measured))]
    if record.epochs:
        content.append(
            folded("The numbers by epoch", element("div", _epoch_table(record.epochs, curves), class_="tall"))
        )
    lead = _lead(record, curves)
    if value_at(record.config, "recipe", "select") not in (None, "last") and measured:
        lead += " The epoch was chosen by these same pictures, which flatters the number a little."
    return section("learning", "Learning", lead, *content)


_STEP_CHARTS: tuple[tuple[str, Callable[[Step], float]], ...] = (
    ("learning rate", lambda step: step.learning_rate),
    ("pictures per second", lambda step: step.images_per_second),
)


def thinned(points: Sequence[tuple[float, float]], most: int = _MOST_POINTS) -> list[tuple[float, float]]:
    """At most `most` points: the means of equal stretches, at their middles. A stretch with a NaN stays a NaN."""
    if len(points) <= most:
        return list(points)
    edges = [round(index * len(points) / most) for index in range(most + 1)]
    return [_mean_point(points[a:b]) for a, b in pairwise(edges)]


def _mean_point(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    values = [y for _, y in points]
    mean = math.fsum(values) / len(values) if all(map(math.isfinite, values)) else math.nan
    return math.fsum(x for x, _ in points) / len(points), mean


def _steps_per_epoch(record: RunRecord) -> float:
    """0 where no epoch was finished: then the axis counts steps."""
    return record.epochs[-1].step / (record.epochs[-1].epoch + 1) if record.epochs else 0.0


def _position(step: int, per_epoch: float) -> float:
    return step / per_epoch if per_epoch else float(step)


def _loss(record: RunRecord, per_epoch: float, axis: str, end: float) -> Markup:
    steps = thinned([(_position(s.step, per_epoch), s.loss) for s in record.steps])
    train = steps or [(e.epoch + 1.0, e.train_loss) for e in record.epochs]
    val = [(e.epoch + 1.0, e.val_loss) for e in record.epochs if not math.isnan(e.val_loss)]
    series = [Series("training", train, "muted"), Series("held-out", val)]
    # A loss that starts at 300 before the first correction would flatten everything after it.
    finite = sorted(y for _, y in [*train, *val] if math.isfinite(y))
    top = finite[int(0.98 * (len(finite) - 1))] * 1.05 if finite else 1.0
    clipped = [Series(s.label, [(x, min(y, top)) for x, y in s.points], s.tone) for s in series]
    spiky = bool(finite) and finite[-1] > 2 * top
    return line_chart(
        clipped if spiky else series, name="loss", x_label=axis, x_range=(0.0, end), whole_x=True,
        y_range=(0.0, top if spiky else (finite or [1.0])[-1]) if not finite or finite[0] >= 0 else None,
        write_y="{:.3g}".format,
    )  # fmt: skip


def _score(record: RunRecord, curve: Curve, axis: str, end: float) -> Markup | None:
    train, val = (
        [(e.epoch + 1.0, e.score(key)) for e in record.epochs if not math.isnan(e.score(key))]
        for key in (curve.train, curve.val)
    )
    if not train and not val:
        return None
    best = max(val, key=lambda point: point[1], default=None)
    markers = [Marker(*best, f"best: {percent(best[1])} after epoch {best[0]:g}")] if best else []
    return line_chart(
        [Series("training", train, "muted"), Series("held-out", val)],
        name=curve.name, x_label=axis, x_range=(0.0, end), y_range=(0.0, 1.0), whole_x=True,
        write_y=lambda share: f"{100 * share:.3g}%", markers=markers,
    )  # fmt: skip


def _steps_chart(
    record: RunRecord, per_epoch: float, axis: str, end: float, name: str, pick: Callable[[Step], float]
) -> Markup | None:
    points = thinned([(_position(s.step, per_epoch), pick(s)) for s in record.steps])
    if not any(math.isfinite(y) for _, y in points):
        return None
    most = max(y for _, y in points if math.isfinite(y)) or 1.0
    return line_chart(
        [Series("", points)], name=name, x_label=axis, x_range=(0.0, end), y_range=(0.0, most), whole_x=True
    )


def _lead(record: RunRecord, curves: Sequence[Curve]) -> str:
    key, said = curves[0].val, curves[0].said
    measured = [e for e in record.epochs if not math.isnan(e.score(key))]
    if not measured:
        return f"{count_of(len(record.epochs), 'epoch')} finished; there were no held-out pictures to measure on."
    best, last = max(measured, key=lambda e: e.score(key)), measured[-1]
    highest, final = percent(best.score(key)), percent(last.score(key))
    words = f"Best on the held-out pictures after epoch {best.epoch + 1} of {last.epoch + 1}: {said}{highest}."
    if highest != final:
        words += f" After the last one {final}."
    both = next((curve for curve in curves if curve.train), None)
    gap = last.score(both.train) - last.score(both.val) if both else math.nan
    if math.isfinite(gap) and gap > 0.15:
        words += f" On its training pictures it ends {100 * gap:.0f} points higher: more pictures would help most."
    return words


def _how_drawn(record: RunRecord, per_epoch: float, measured: bool) -> str:
    parts = ["Held-out values are measured after each epoch; the ring marks the best."] if record.epochs else []
    if record.epochs and measured and value_at(record.config, "precision") == "bf16":
        parts.append("The epochs were measured in bf16, the figures of the page in fp32: last digits may differ.")
    if len(record.steps) > _MOST_POINTS:
        parts.append(f"Values of {count_of(len(record.steps), 'step')} are drawn as {_MOST_POINTS} means.")
    if value_at(record.config, "recipe", "regularisation", "label_smoothing") and record.epochs:
        parts.append("The training loss is higher by the label smoothing in it; the held-out loss has none.")
    if not per_epoch:
        parts.append("No epoch was finished, so the axis counts steps.")
    broken = sum(not math.isfinite(s.loss) for s in record.steps)
    if broken:
        parts.append(f"The loss was not a finite number in {count_of(broken, 'step')}: gaps in the line.")
    return " ".join(parts)


def _epoch_table(epochs: Sequence[Epoch], curves: Sequence[Curve]) -> Markup:
    every = max(1, -(-len(epochs) // _MOST_ROWS))
    shown = [e for e in epochs if e.epoch % every == every - 1 or e is epochs[-1]]
    scores = [(curve.said, side, key) for curve in curves
              for side, key in (("training", curve.train), ("held-out", curve.val)) if key]  # fmt: skip
    heads = ["epoch", "step", "training loss", "held-out loss", *[f"{said}{side}" for said, side, _ in scores], "time"]
    columns = [Column(head, True) for head in heads]
    rows = [
        [
            (str(e.epoch + 1), float(e.epoch)),
            (f"{e.step:,}", float(e.step)),
            *[(f"{loss:.4g}" if math.isfinite(loss) else "\N{EN DASH}", loss) for loss in (e.train_loss, e.val_loss)],
            *[(percent(e.score(key)), e.score(key)) for *_, key in scores],
            (duration(e.seconds), e.seconds),
        ]
        for e in shown
    ]
    return table(columns, rows, "Every epoch" if every == 1 else f"Every {every}th epoch")
