"""Whether a stated confidence can be believed, and what answering "I do not know" would buy."""

import math
from collections.abc import Sequence

from separable.analysis.page.html import figure, key_values, note, section
from separable.analysis.page.wording import percent, wilson_interval
from separable.analysis.plots import ReliabilityBin, Series, line_chart, reliability_diagram
from separable.analysis.plots.markup import Markup, element, join
from separable.training.report.record import Answers, Calibration, Predicted

__all__ = ["confidence_section", "coverage_curve"]


def confidence_section(answers: Answers) -> Markup | None:
    """Reliability diagram, the accuracy that a threshold on the confidence buys, and the numbers for `--reject`."""
    evaluation = answers.measured
    if evaluation is None or evaluation.calibration is None:
        return None
    calibration = evaluation.calibration
    bins = [_bin(*values) for values in calibration.bins]
    plots = [
        figure(
            reliability_diagram(bins),
            "On the dashed line a confidence of 80% would be right 8 times in 10; below it the network is too sure. "
            "Vertical lines are 95% intervals.",
        )
    ]
    curve = coverage_curve(answers.predictions)
    if len(curve) > 1:
        lowest = min(y for _, y in curve)
        chart = line_chart(
            [Series("", curve)],
            name="right, of those answered", x_label="share answered", x_range=(0.0, 1.0), write_x="{:.0%}".format,
            y_range=(min(0.95, math.floor(lowest * 20) / 20), 1.0), write_y=lambda v: f"{100 * v:.3g}%",
        )  # fmt: skip
        plots.append(figure(chart, "Answering only the surest pictures: accuracy against the share that is answered."))
    return section(
        "confidence",
        "How far to trust a confidence",
        _lead(calibration),
        element("div", *plots, class_="pair"),
        element("h3", "Saying \N{LEFT DOUBLE QUOTATION MARK}I do not know\N{RIGHT DOUBLE QUOTATION MARK}"),
        element("p", _reject(calibration)),
        key_values(_numbers(calibration)),
        note("Confidences on this page are the network's own; ", element("code", "predict"), _given(calibration)),
    )


def coverage_curve(predictions: Sequence[Predicted]) -> list[tuple[float, float]]:
    """(share answered, accuracy of the answers) for falling thresholds, at most 200 points.

    Pictures of equal confidence come together: no threshold could part them.
    """
    rows = sorted((p for p in predictions if math.isfinite(p.confidence)), key=lambda p: -p.confidence)
    points, right = [], 0
    for index, row in enumerate(rows, start=1):
        right += row.correct
        if index == len(rows) or rows[index].confidence != row.confidence:
            points.append((index / len(rows), right / index))
    every = max(1, -(-len(points) // 200))
    return [p for i, p in enumerate(points) if i % every == every - 1 or i == len(points) - 1]


def _bin(low: float, high: float, confidence: float, accuracy: float, count: int) -> ReliabilityBin:
    interval = wilson_interval(accuracy * count, count) if count and math.isfinite(accuracy) else None
    return ReliabilityBin(low, high, confidence, accuracy, count, interval)


def _lead(calibration: Calibration) -> str:
    if not math.isfinite(calibration.ece):
        return "There were too few pictures to say."
    used = [b for b in calibration.bins if b[4] and math.isfinite(b[2]) and math.isfinite(b[3])]
    total = sum(b[4] for b in used)
    lean = sum((b[2] - b[3]) * b[4] for b in used) / total if total else 0.0
    words = f"Stated confidences are off by {100 * calibration.ece:.1f} points on average"
    if abs(lean) < 0.01:
        return f"{words}, too high about as often as too low."
    return f"{words}, mostly {'too high' if lean > 0 else 'too low'}."


def _reject(calibration: Calibration) -> Markup:
    verb, target = element("code", "predict --reject"), percent(calibration.reject_target, 0)
    if not math.isfinite(calibration.reject_threshold):
        reason = calibration.reject_reason or "No confidence is high enough for it."
        return join(verb, f" cannot promise {target} here. {reason}")
    if calibration.reject_threshold <= 0:
        return join(verb, f" answers always here: all answers together are right in {target} already.")
    words = f" answers where the confidence is at least {calibration.reject_threshold:.2f}, to be right in {target}."
    answered, right = calibration.reject_coverage, calibration.reject_accuracy
    if math.isfinite(answered):
        words += f" Tried on pictures that did not choose this threshold, it answered {percent(answered)} of them"
        words += f" and {percent(right)} of those rightly." if math.isfinite(right) else "."
    return join(verb, words)


def _numbers(calibration: Calibration) -> list[tuple[str, str | Markup]]:
    error = f"{calibration.ece:.4f}" if math.isfinite(calibration.ece) else "\N{EN DASH}"
    pairs: list[tuple[str, str | Markup]] = [("calibration error (ECE)", error)]
    if math.isfinite(calibration.temperature):
        pairs.append(("temperature", _temperature(calibration)))
    return pairs


def _given(calibration: Calibration) -> str:
    return " gives the same." if calibration.temperature == 1 else " gives them corrected."


def _temperature(calibration: Calibration) -> str:
    if calibration.temperature == 1:
        return f"1, which leaves the confidences as they are. {calibration.temperature_reason}".rstrip()
    change = "cools" if calibration.temperature > 1 else "sharpens"
    words = f"{calibration.temperature:.3f}, which {change} the confidences"
    before, after = calibration.ece_before_temperature, calibration.ece_after_temperature
    if not math.isfinite(after):
        return words
    if not math.isfinite(before):
        return f"{words}; error {after:.4f} with it"
    return f"{words}; error on pictures that did not choose it: {before:.4f} without, {after:.4f} with it"
